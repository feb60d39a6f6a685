"""What a spec says of earlier names, and where a file has each value."""

from __future__ import annotations

from pathlib import Path

import pytest

from vecmigrate.spec.build import spec_from_mapping, spec_to_mapping
from vecmigrate.spec.load import check_specs, load_specs

SPEC = """\
version: 1
name: skill
index: {name: "idx:skill", prefix: "skill:"}
key: skill_id
fields:
  title: {type: text}
  headline: {type: text}
  embedding:
    type: vector
    dims: 4
"""


def problems(folder: Path, **files: str) -> list[str]:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return [
        f"{item.code} {item.line}:{item.column}: {item.message}" for item in check_specs([folder]).problems
    ]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("headline: {type: text}", "headline: {type: text, renamed_from: name}", []),
        (
            "headline: {type: text}",
            "headline: {type: text, renamed_from: title}",
            ["bad-rename 7:40: the field `headline` was called `title`, and there is a field of that name"],
        ),
        (
            "{type: text}",
            "{type: text, renamed_from: name}",
            ["bad-rename 7:40: the field `headline` was called `name`, and so was `title`"],
        ),
        (
            "name: skill\n",
            "name: skill\nrenamed_from: skill\n",
            ["bad-rename 3:15: `renamed_from` is the name that the spec has now, `skill`"],
        ),
        (
            "name: skill\n",
            "name: skill\nrenamed_from: A b\n",
            ['bad-identifier 3:15: `renamed_from` "A b" does not fit'],
        ),
    ],
)
def test_an_earlier_name_is_one_that_is_free(tmp_path: Path, old: str, new: str, expected: list[str]):
    assert problems(tmp_path, skill=SPEC.replace(old, new)) == expected


def test_two_fields_that_differ_in_their_earlier_name_only_are_one_too_many(tmp_path: Path):
    text = SPEC.replace("headline: {type: text}", "headline: {type: text, path: title, renamed_from: name}")
    assert problems(tmp_path, skill=text) == [
        "duplicate-field 7:3: the field `headline` indexes `title` just as `title` does"
    ]


def test_an_earlier_name_belongs_to_one_spec(tmp_path: Path):
    ability = SPEC.replace("skill", "ability").replace(
        "name: ability\n", "name: ability\nrenamed_from: skill\n"
    )
    assert problems(tmp_path, ability=ability) == []
    talent = ability.replace("ability", "talent")
    (found,) = problems(tmp_path, talent=talent)
    assert "bad-rename 3:15: the spec was called `skill`, and that name belongs to " in found
    assert found.endswith("ability.yaml:3")
    (tmp_path / "talent.yaml").unlink()
    (found,) = problems(tmp_path, skill=SPEC)
    assert found.endswith("skill.yaml:2")


def test_earlier_names_are_kept_and_make_no_difference(tmp_path: Path):
    text = SPEC.replace("name: skill\n", "name: skill\nrenamed_from: ability\n")
    text = text.replace("headline: {type: text}", "headline: {type: text, renamed_from: name}")
    (tmp_path / "skill.yaml").write_text(text)
    (spec,) = load_specs([tmp_path]).specs
    mapping = spec_to_mapping(spec)
    assert mapping["renamed_from"] == spec.renamed_from == "ability"
    assert mapping["fields"]["headline"]["renamed_from"] == "name"
    again = spec_from_mapping(mapping)
    assert again == spec
    assert again.field("headline").renamed_from == "name"
    (tmp_path / "skill.yaml").write_text(SPEC)
    assert load_specs([tmp_path]).specs == (spec,)


def test_each_value_has_its_place_and_what_is_absent_that_of_what_is_around_it(tmp_path: Path):
    (tmp_path / "skill.yaml").write_text(SPEC)
    (spec,) = load_specs([tmp_path]).specs
    lines = {
        path: spec.place(*path.split(".")).line  # type: ignore[union-attr]  # the file has them all
        for path in (
            "name",
            "index.prefix",
            "index.filter",
            "fields.embedding.dims",
            "fields.embedding.m",
            "helpers",
        )
    }
    assert lines == {
        "name": 2,
        "index.prefix": 3,
        "index.filter": 3,
        "fields.embedding.dims": 10,
        "fields.embedding.m": 8,
        "helpers": 1,
    }
    assert spec_from_mapping(spec_to_mapping(spec)).place("name") is None
