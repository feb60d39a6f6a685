from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from vecmigrate.spec import defaults
from vecmigrate.spec.build import ALGORITHM_CLASSES, FIELD_CLASSES
from vecmigrate.spec.check import _HANDLERS, load_schema
from vecmigrate.spec.docs import render_reference
from vecmigrate.spec.model import IndexOptions, VectorField
from vecmigrate.spec.naming import DEFAULT_METADATA, DEFAULT_ON_ERROR, DEFAULT_QUERY, GENERATED
from vecmigrate.spec.problems import CODES, WARNINGS

ROOT = Path(__file__).parents[3]
SCHEMA = load_schema()


def target(item: dict[str, Any]) -> dict[str, Any]:
    return SCHEMA["$defs"][item["$ref"].rpartition("/")[2]] if "$ref" in item else item


def properties(name: str) -> dict[str, Any]:
    found = SCHEMA["$defs"][name]["properties"]
    return {key: target(item) for key, item in found.items()}


def model_defaults(cls: type) -> dict[str, Any]:
    return {item.name: item.default for item in dataclasses.fields(cls)}


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def assert_same(name: str, cls: type, leave_out: set[str]) -> None:
    given = {key: item.get("default") for key, item in properties(name).items() if key not in leave_out}
    wanted = {key: value for key, value in model_defaults(cls).items() if key in given}
    assert given == wanted
    assert given


COMMON = {"type", "attribute", "path", "from", "default", "default_from", "index"}


@pytest.mark.parametrize("kind", [kind for kind in FIELD_CLASSES if kind not in {"vector", "json"}])
def test_defaults_of_fields_are_those_of_the_model(kind: str):
    # The separator's default depends on the storage, so the schema can only describe it.
    assert_same(kind, FIELD_CLASSES[kind], COMMON | {"separator"})


@pytest.mark.parametrize("algorithm", ALGORITHM_CLASSES)
def test_defaults_of_vectors_are_those_of_the_model(algorithm: str):
    common = {"datatype", "metric", "index_missing", "primary"}
    own = set(model_defaults(ALGORITHM_CLASSES[algorithm]))
    name = f"vector_{algorithm}"
    assert_same(name, ALGORITHM_CLASSES[algorithm], set(properties(name)) - own)
    assert_same(name, VectorField, set(properties(name)) - common)
    assert properties(name).keys() == own | common | {
        "type",
        "attribute",
        "path",
        "dims",
        "algorithm",
        "renamed_from",
    }
    assert properties(name)["algorithm"]["default"] == defaults.ALGORITHM


def test_defaults_of_the_index_are_those_of_the_model():
    assert_same("index", IndexOptions, {"name", "prefix"})


def test_every_option_of_the_model_has_a_place_in_the_schema():
    # `aliases: null` is what `ask_aliases` says.
    assert "null" in properties("index")["aliases"]["type"]
    unlike = {"prefixes", "ask_aliases"}
    assert properties("index").keys() == model_defaults(IndexOptions).keys() - unlike | {"prefix"}
    inherited = {"name", "source", "default_from_key", "indexed", "location"}
    for kind, cls in FIELD_CLASSES.items():
        if kind not in {"vector", "json"}:
            assert (
                properties(kind).keys() | {"default_from"} == model_defaults(cls).keys() - inherited | COMMON
            )


def test_bounds_are_those_of_the_defaults():
    hnsw = properties("vector_hnsw")
    assert hnsw["dims"]["maximum"] == defaults.DIMS_MAX
    assert hnsw["m"]["minimum"] == defaults.M_MIN
    assert hnsw["m"]["maximum"] == defaults.M_MAX
    assert hnsw["ef_construction"]["maximum"] == hnsw["ef_runtime"]["maximum"] == defaults.EF_MAX


def test_helpers_are_those_that_are_generated():
    helpers = properties("helpers")
    assert helpers.keys() == {*GENERATED, "on_error", "plural", "generate", "constant", "timeout_ms"}
    assert tuple(helpers["generate"]["items"]["enum"]) == GENERATED
    assert helpers["on_error"]["default"] == DEFAULT_ON_ERROR
    assert helpers["timeout_ms"]["default"] == defaults.TIMEOUT_MS
    assert helpers["store"]["properties"]["metadata"]["default"] == DEFAULT_METADATA
    assert helpers["knn"]["properties"]["query"]["default"] == DEFAULT_QUERY


def test_every_keyword_of_the_schema_has_a_message():
    silent = {"$ref", "properties", "items", "propertyNames", "allOf", "if", "then", "not"}
    annotations = {"$schema", "$defs", "title", "description", "default", "x-expected", "x-code"}
    found: set[str] = set()

    def walk(schema: dict[str, Any]) -> None:
        found.update(schema)
        for key in ("properties", "$defs"):
            for item in schema.get(key, {}).values():
                walk(item)
        for key in ("items", "propertyNames", "additionalProperties", "if", "then", "not"):
            if isinstance(schema.get(key), dict):
                walk(schema[key])
        for item in schema.get("allOf", []):
            walk(item)

    walk(SCHEMA)
    assert found - silent - annotations <= _HANDLERS.keys()


def test_every_key_is_described():
    for name, section in SCHEMA["$defs"].items():
        if name != "field":
            for key, item in section.get("properties", {}).items():
                assert target(item).get("description"), f"{name}.{key}"


def test_codes_are_known_and_used():
    text = "".join(path.read_text("utf-8") for path in (ROOT / "vecmigrate" / "spec").glob("*.py"))
    text += (ROOT / "vecmigrate" / "spec" / "schema.json").read_text("utf-8")
    assert [code for code in CODES if text.count(f'"{code}"') < 2] == []
    assert CODES.keys() > WARNINGS


def test_the_reference_is_fresh():
    written = (ROOT / "docs" / "specs.md").read_text("utf-8")
    assert written == render_reference(SCHEMA), "run: python -m vecmigrate.spec.docs > docs/specs.md"
