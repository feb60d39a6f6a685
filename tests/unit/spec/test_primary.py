"""Which of several vectors the helpers are about: the spec says it, not the order of its fields."""

from __future__ import annotations

from pathlib import Path

import pytest

from vecmigrate.commands.specs import validate
from vecmigrate.config import Config
from vecmigrate.errors import Problem, SpecError
from vecmigrate.spec.build import spec_from_mapping, spec_to_mapping
from vecmigrate.spec.change import change_spec, changes_between
from vecmigrate.spec.load import check_specs
from vecmigrate.spec.write import say_primary

HEAD = "version: 1\nname: doc\nindex: {name: idx:doc, prefix: 'doc:'}\nkey: doc_id\nfields:\n"


def written(tmp_path: Path, **primary: str) -> Path:
    path = tmp_path / "doc.yaml"
    fields = (f"  {name}: {{type: vector, dims: 4, primary: {is_so}}}\n" for name, is_so in primary.items())
    path.write_text(HEAD + "".join(fields))
    return path


def problems(path: Path) -> tuple[Problem, ...]:
    config = Config(root=path.parent, specs=path.parent, migrations=path.parent)
    return validate(config, [path]).problems


def mapping(primary: str | None, *names: str) -> dict[str, object]:
    vector = {"type": "vector", "dims": 4}
    fields = {name: {**vector, **({"primary": True} if name == primary else {})} for name in names}
    return {
        "name": "doc",
        "index": {"name": "idx:doc", "prefix": "doc:"},
        "key": "doc_id",
        "fields": fields,
    }


def test_two_vectors_need_a_primary_one(tmp_path: Path):
    path = written(tmp_path, body="false", title="false")
    (problem,) = problems(path)
    assert (problem.code, problem.severity, problem.line) == ("missing-primary", "error", 6)
    assert "`body` and `title`" in problem.message
    assert "say `primary: true` there" in (problem.hint or "")
    # A deploy of specs that are older than the key goes on, and takes the first.
    loaded = check_specs([path])
    assert [found.severity for found in loaded.problems] == ["warning"]
    assert loaded.specs[0].vector.name == "body"
    path.write_text(path.read_text().replace("false", "true", 1))  # what the hint says
    assert problems(path) == ()


def test_one_vector_needs_no_word(tmp_path: Path):
    assert problems(written(tmp_path, body="false")) == ()


def test_only_one_vector_is_primary(tmp_path: Path):
    (problem,) = problems(written(tmp_path, body="true", title="true"))
    assert (problem.code, problem.line) == ("several-primary", 7)


@pytest.mark.parametrize("names", [("body", "title"), ("title", "body")])
def test_the_order_of_fields_decides_nothing(names: tuple[str, str]):
    spec = spec_from_mapping(mapping("title", *names))
    assert spec.vector.name == "title"
    assert [vector.name for vector in spec.vectors] == ["title", "body"]
    assert spec.helpers.vector_parameter == "title"
    assert spec_from_mapping(spec_to_mapping(spec)).vector.name == "title"


def test_no_migration_is_about_the_primary_vector():
    old, new = (spec_from_mapping(mapping(name, "body", "title")) for name in ("body", "title"))
    assert changes_between(old, new) == {}
    assert change_spec(new, {"index": {"language": "german"}}).vector.name == "title"


def test_what_is_made_of_an_index_says_it():
    fields: dict[str, dict[str, object]] = {"n": {"type": "numeric"}, "a": {"type": "vector"}}
    say_primary(fields)
    assert "primary" not in fields["a"]
    fields["b"] = {"type": "vector"}
    say_primary(fields)
    assert [field.get("primary") for field in fields.values()] == [None, True, None]


def test_the_primary_vector_has_to_be_stored():
    given = mapping("title", "body", "title")
    given["fields"]["title"]["path"] = "body"  # type: ignore[index]
    with pytest.raises(SpecError, match="primary vector field `title` cannot be written"):
        spec_from_mapping(given)
