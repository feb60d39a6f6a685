"""Names for specs that are made from something else, and the text of their files."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import spec_mappings
from vecmigrate.spec.build import spec_from_mapping, spec_to_mapping
from vecmigrate.spec.load import load_specs
from vecmigrate.spec.write import field_name, key_name, spec_name, spec_text

VECTOR = {"type": "vector", "dims": 2}


def spec_with(name: str, field: str):
    return spec_from_mapping(
        {
            "name": name,
            "index": {"name": "i", "prefix": "p:"},
            "key": key_name(name, {field}),
            "fields": {field: {"type": "tag"}, "e_": VECTOR},
        }
    )


@pytest.mark.parametrize(
    ("index", "name"),
    [
        ("idx:skill_emb", "skill"),
        ("user-index", "user"),
        ("MyDocs", "mydocs"),
        ("idx", "idx"),
        ("idx:class", "class_"),
        ("7-up", "index_7_up"),
        ("é", "index"),
    ],
)
def test_names_of_specs(index: str, name: str):
    assert spec_name(index) == name


@pytest.mark.parametrize(
    ("attribute", "name"),
    [
        ("title", "title"),
        ("$.user.age", "user_age"),
        ("doc-id", "doc_id"),
        ("9", "field_9"),
        ("__x", "x"),
        ("ü", "field"),
        ("score", "cat_score"),
        ("class", "cat_class"),
        ("len", "cat_len"),
        ("redis", "cat_redis"),
    ],
)
def test_names_of_fields(attribute: str, name: str):
    assert field_name(attribute, "cat", ()) == name
    assert field_name(attribute, "cat", {name}) == f"{name}_2"


@given(index=st.text(min_size=1), attribute=st.text(min_size=1))
def test_whatever_they_are_made_from_a_spec_can_have_them(index: str, attribute: str):
    name = spec_name(index)
    field = field_name(attribute, name, {"e_"})
    assert spec_with(name, field).fields[0].name == field


def test_names_of_keys():
    assert key_name("cat", ()) == "cat_id"
    assert key_name("cat", {"cat_id"}) == "cat_key"
    assert key_name("cat", {"cat_id", "cat_key"}) == "cat_key2"


@given(mapping=spec_mappings())
def test_every_spec_reads_back_from_its_text(tmp_path_factory, mapping):
    spec = spec_from_mapping(mapping)
    text = spec_text(spec_to_mapping(spec), ["made\nby hand", "word " * 60])
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(text, encoding="utf-8", newline="\n")
    assert load_specs([path]).specs == (spec,)
    comments = [line for line in text.splitlines() if line.startswith("#")]
    assert comments[0] == "# made by hand"
    assert all(len(line) <= 110 for line in comments)


def test_short_fields_take_a_line():
    mapping = spec_to_mapping(spec_with("cat", "breed"))
    text = spec_text(mapping)
    assert "  breed: {type: tag}\n" in text
    assert yaml.safe_load(text) == mapping
