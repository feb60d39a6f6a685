from __future__ import annotations

import random
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.strategies import spec_mappings, specs
from vecmigrate.errors import SpecError
from vecmigrate.spec.build import build_spec, spec_from_mapping, spec_to_mapping
from vecmigrate.spec.load import check_specs, load_specs
from vecmigrate.spec.model import IndexSpec

ROOT = Path(__file__).parents[3]
FILES = sorted((ROOT / "specs").glob("*.yaml"))
WORDS = (
    *(
        "name",
        "index",
        "fields",
        "type",
        "vector",
        "text",
        "m",
        "dims",
        "prefix",
        "*a",
        "&a",
        "<<",
        "!!int",
        "~",
    ),
    *("no", "1:30", "010", "0x1F", ".nan", ".inf", "-1", "1e400", "[", "]", "{", "}", "|", ">", "- ", "? "),
    *(
        ": ",
        "#",
        "\t",
        "\n",
        "\n\n",
        "---\n",
        "...\n",
        "%YAML 9.9\n",
        "\x00",
        "\ufeff",
        "\ud7ff",
        "'",
        '"',
        "\\",
    ),
    *(
        "9" * 5000,
        "!!python/object/apply:os.system",
        "!!binary",
        "!!set",
        "2001-01-01",
        "\u2028",
        '"\\ud800"',
    ),
)


@given(specs())
def test_a_spec_survives_the_way_through_its_mapping(spec: IndexSpec):
    mapping = spec_to_mapping(spec)
    assert spec_from_mapping(mapping) == spec
    assert spec_to_mapping(spec_from_mapping(mapping)) == mapping


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(mapping=spec_mappings())
def test_a_spec_says_the_same_as_yaml_and_as_a_mapping(tmp_path: Path, mapping):
    path = tmp_path / "spec.yaml"
    path.write_text(yaml.safe_dump(mapping, sort_keys=False, allow_unicode=True), "utf-8")
    loaded = load_specs([path])
    assert loaded.specs == (spec_from_mapping(mapping),)
    assert all(field.location is not None and field.location.line > 1 for field in loaded.specs[0].fields)


@given(spec_mappings(), st.randoms(use_true_random=False))
def test_a_mapping_with_anything_in_it_is_a_spec_or_a_spec_error(mapping, rng: random.Random):
    _damage(mapping, rng)
    try:
        spec = spec_from_mapping(mapping)
    except SpecError as error:
        assert error.problems
        assert all("\n" not in str(problem) for problem in error.problems)
    else:
        assert spec_from_mapping(spec_to_mapping(spec)) == spec


def _damage(mapping: dict, rng: random.Random) -> None:
    target = mapping
    while True:
        key = rng.choice(list(target))
        if isinstance(target[key], dict) and target[key] and rng.random() < 0.8:
            target = target[key]
            continue
        break
    values = [
        "",
        "x",
        "key",
        "$.a",
        -1,
        0,
        3,
        10**400,
        1.5,
        float("nan"),
        float("inf"),
        None,
        True,
        b"x",
        {1},
    ]
    values += [
        [],
        ["a"],
        [None],
        {},
        {"name": "x"},
        {"type": "tag"},
        {3: 4},
        "a\nb",
        "\ud800",
        "class",
        "list",
    ]
    action = rng.randrange(3)
    if action == 0:
        del target[key]
    elif action == 1:
        target[key] = rng.choice(values)
    else:
        target[rng.choice(["m", "unf", "from", "default", "x", "score", "metadata", "redis", "index", 5])] = (
            rng.choice(values)
        )


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(rng=st.randoms(use_true_random=False), times=st.integers(1, 4))
def test_damaged_yaml_never_raises_anything_but_a_spec_error(path: Path, tmp_path: Path, rng, times):
    data = path.read_bytes()
    for _ in range(times):
        data = _mutate(data, rng)
    broken = tmp_path / "broken.yaml"
    broken.write_bytes(data)
    loaded = check_specs([broken])
    for problem in loaded.problems:
        assert problem.line >= 1
        assert problem.column >= 1
        assert "\n" not in str(problem)
    if loaded.errors:
        with pytest.raises(SpecError) as caught:
            load_specs([broken])
        assert caught.value.problems == loaded.problems
    else:
        (spec,) = loaded.specs
        assert spec_from_mapping(spec_to_mapping(spec)) == spec


def _mutate(data: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(data) + 1)
    end = min(len(data), start + rng.randrange(12))
    lines = data.split(b"\n")
    match rng.randrange(5):
        case 0:
            return data[:start] + data[end:]
        case 1:
            return data[:start] + rng.choice(WORDS).encode() + data[end:]
        case 2:
            return data[:start] + rng.randbytes(rng.randrange(1, 4)) + data[end:]
        case 3:
            lines.insert(rng.randrange(len(lines)), rng.choice(lines))
            return b"\n".join(lines)
        case _:
            rng.shuffle(lines)
            return b"\n".join(lines)


def test_the_four_specs_of_the_project_have_no_findings():
    loaded = check_specs([ROOT / "specs"])
    assert loaded.problems == ()
    assert [spec.name for spec in loaded.specs] == ["benign_tech", "dangerous_cmd", "skill", "tool"]


def test_building_does_not_change_its_mapping():
    mapping = spec_to_mapping(load_specs([ROOT / "specs" / "skill.yaml"]).specs[0])
    before = repr(mapping)
    build_spec(mapping)
    assert repr(mapping) == before
