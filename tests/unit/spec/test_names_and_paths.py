from __future__ import annotations

from pathlib import Path

import pytest

from vecmigrate.spec.build import spec_from_mapping
from vecmigrate.spec.load import load_specs
from vecmigrate.spec.naming import camel, class_names, function_names, key_stem
from vecmigrate.spec.paths import PathUse, json_keys, written_names

ROOT = Path(__file__).parents[3]


def test_the_four_specs_have_the_names_of_the_module_that_they_replace():
    found = {
        spec.name: function_names(spec.helpers, ["embedding"]) for spec in load_specs([ROOT / "specs"]).specs
    }
    assert found["tool"] == {
        "store": "store_tool_embedding_hash",
        "store_many": "store_many_tools",
        "get": "get_tool",
        "delete": "delete_tool_embedding_hash",
        "delete_many": "delete_many_tools",
        "knn": "knn_search_tools",
        "knn_many": "knn_many_tools",
        "range": "range_search_tools",
        "scan": "scan_tool_names",
        "iterate": "iter_tool_names",
        "count": "count_tools",
        "list": "list_tools",
        "walk": "iter_tools",
        "delete_where": "delete_tools_where",
        "migrate_legacy": "migrate_legacy_tool_hashes_to_redisearch",
    }
    assert found["skill"]["migrate_legacy"] == "migrate_legacy_skill_hashes_to_redisearch"
    assert found["skill"]["scan"] == "scan_skill_ids"
    assert found["dangerous_cmd"]["scan"] == "scan_dangerous_cmd_category_ids"
    assert found["benign_tech"]["scan"] == "scan_benign_tech_category_ids"
    assert [found[name]["knn"] for name in ("skill", "dangerous_cmd", "benign_tech")] == [
        "knn_search_skills",
        "knn_search_dangerous_cmds",
        "knn_search_benign_tech",
    ]
    assert "migrate_legacy" not in found["dangerous_cmd"]


def test_the_four_specs_have_the_parameters_of_the_module_that_they_replace():
    found = {
        spec.name: (
            spec.key,
            spec.helpers.vector_parameter,
            spec.helpers.metadata_parameter,
            spec.helpers.on_error,
        )
        for spec in load_specs([ROOT / "specs"]).specs
    }
    assert found == {
        "tool": ("tool_name", "centroid", "metadata", "empty"),
        "skill": ("skill_id", "vec", "meta", "empty"),
        "dangerous_cmd": ("category_id", "centroid", "metadata", "empty"),
        "benign_tech": ("category_id", "centroid", "metadata", "empty"),
    }


def test_further_vectors_have_searches_of_their_own():
    vector = {"type": "vector", "dims": 2}
    mapping = {
        "name": "doc",
        "index": {"name": "i", "prefix": "d:"},
        "key": "k",
        "fields": {"a": vector, "b": vector},
    }
    names = function_names(spec_from_mapping(mapping).helpers, ["a", "b"])
    assert {role: name for role, name in names.items() if ":" in role} == {
        "knn:b": "knn_search_docs_by_b",
        "knn_many:b": "knn_many_docs_by_b",
        "range:b": "range_search_docs_by_b",
    }


@pytest.mark.parametrize(
    ("name", "key", "expected"),
    [
        ("tool", "tool_name", "tool_name"),
        ("dangerous_cmd", "category_id", "dangerous_cmd_category_id"),
        ("tool", "tools", "tool_tools"),
    ],
)
def test_the_stem_of_a_key(name: str, key: str, expected: str):
    assert key_stem(name, key) == expected


def test_classes():
    assert camel("benign_tech") == "BenignTech"
    assert class_names("tool") == ("ToolHit", "ToolItem", "ToolDocument", "ToolFields")


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("$", ()),
        ("$.a", ("a",)),
        ("$.a.b_2", ("a", "b_2")),
        ("$.a[0]", None),
        ("$..a", None),
        ("$.*", None),
        ("$.a-b", ("a-b",)),
        ("$['a']", ("a",)),
        ('$["user.name"].é', None),
        ('$["user.name"].b', ("user.name", "b")),
        ('$["a"b"]', None),
        ('$["a\\"]', None),
        ("$['']", None),
        ("a", None),
        ("$.a\n", None),
    ],
)
def test_the_keys_of_a_plain_path(path: str, keys: tuple[str, ...] | None):
    assert json_keys(path) == keys


def written(storage: str, *fields: tuple[str, str] | tuple[str, str, bool]) -> set[str]:
    return set(written_names(storage, [PathUse(*field, *([False] * (3 - len(field)))) for field in fields]))


def test_the_first_field_of_a_path_writes_it():
    assert written("hash", ("a", "x"), ("b", "x"), ("c", "y")) == {"a", "c"}
    assert written("json", ("a", "$.x"), ("b", "$.x"), ("c", "$.y")) == {"a", "c"}


def test_in_json_only_plain_paths_outside_of_json_fields_are_written():
    fields = [("a", "$.m.title"), ("m", "$.m", True), ("w", "$.list[*]"), ("r", "$"), ("p", "$.p.q")]
    assert written("json", *fields) == {"m", "p"}


def test_a_spec_knows_what_its_helpers_write():
    mapping = {
        "name": "doc",
        "index": {"name": "i", "prefix": "d:", "storage": "json"},
        "key": "k",
        "fields": {
            "title": {"type": "text", "path": "$.meta.title"},
            "meta": {"type": "json"},
            "embedding": {"type": "vector", "dims": 2},
        },
    }
    assert [field.name for field in spec_from_mapping(mapping).written_fields] == ["meta", "embedding"]
