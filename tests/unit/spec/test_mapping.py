# ruff: noqa: E501 - a message stands on one line, as a user sees it

"""Specs from Python mappings, as migrations give them, and back."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from vecmigrate.errors import SpecError
from vecmigrate.spec.build import spec_from_mapping, spec_to_mapping
from vecmigrate.spec.load import load_specs
from vecmigrate.spec.model import Flat, Hnsw, JsonField, SvsVamana, TagField

ROOT = Path(__file__).parents[3]


def mapping(**fields: Any) -> dict[str, Any]:
    return {
        "name": "item",
        "index": {"name": "idx:item", "prefix": "item:"},
        "key": "item_id",
        "fields": {"embedding": {"type": "vector", "dims": 4}, **fields},
    }


def problems(given: Any) -> list[str]:
    with pytest.raises(SpecError) as caught:
        spec_from_mapping(given)
    return str(caught.value).split("\n")


def test_problems_name_the_path_of_the_value():
    given = mapping(tags={"type": "tag", "separator": "ab"}, embedding={"type": "vector", "dims": 0})
    given["index"]["prefix"] = ["a:", ""]
    del given["key"]
    assert problems(given) == [
        "key: the spec has no `key`; add `key`: the parameter that completes the prefix: the key of a document is"
        " the prefix and this",
        "index.prefix[1]: entry 2 of `prefix` is empty (expected some text)",
        "fields.embedding.dims: `dims` is 0 (expected 1 to 32768)",
        'fields.tags.separator: `separator` "ab" does not fit (expected a single ASCII character)',
    ]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, "spec: the spec is empty (expected a mapping)"),
        ([1], "spec: the spec is a list (expected a mapping)"),
        (mapping(a={"type": "tag", 5: 6}), "fields.a: the key 5 is a number (expected text)"),
        (mapping(a={"type": "tag", "path": b"x"}), "fields.a.path: `path` is a bytes (expected text)"),
        (
            mapping(a={"type": "numeric", "default": float("nan")}),
            "fields.a.default: `default` is nan (expected a finite number)",
        ),
        ({**mapping(), "version": 2}, "version: `version` is 2 (expected 1)"),
    ],
)
def test_what_is_no_spec(given: Any, expected: str):
    assert problems(given) == [expected]


def test_a_mapping_that_contains_itself_is_refused():
    given = mapping()
    given["fields"]["embedding"]["path"] = given
    assert any(
        "values are nested too deeply (expected at most 20 levels)" in line for line in problems(given)
    )


def test_warnings_do_not_stop_a_migration():
    given = mapping()
    given["index"]["prefix"] = "item"
    assert spec_from_mapping(given).prefix == "item"


def test_any_mapping_and_any_sequence_will_do():
    given = mapping()
    given["index"] |= {"prefix": ("a:", "b:"), "stopwords": ()}
    spec = spec_from_mapping(MappingProxyType(given))
    assert spec.index.prefixes == ("a:", "b:")
    assert spec.index.stopwords == ()


def test_algorithms_take_their_own_parameters():
    given = mapping(
        a={"type": "vector", "dims": 2, "algorithm": "flat", "block_size": 7},
        b={"type": "vector", "dims": 2, "m": 8, "epsilon": 1},
        c={"type": "vector", "dims": 2, "algorithm": "svs_vamana", "compression": "LeanVec4x8", "reduce": 1},
    )
    assert [vector.algorithm for vector in spec_from_mapping(given).vectors] == [
        Hnsw(),
        Flat(block_size=7),
        Hnsw(m=8, epsilon=1.0),
        SvsVamana(compression="LeanVec4x8", reduce=1),
    ]


def sources(**fields: Any) -> dict[str, str]:
    return {field.name: field.source for field in spec_from_mapping(mapping(**fields)).fields}


def test_where_values_come_from_unless_a_spec_says_so():
    text, json = {"type": "text"}, {"type": "json"}
    assert sources(a=text) == {"embedding": "argument", "a": "argument"}
    assert sources(a=text, j=json) == {"embedding": "argument", "a": "metadata", "j": "metadata"}
    assert sources(j=json, k=json) == {"embedding": "argument", "j": "metadata", "k": "argument"}
    named = {"type": "json", "from": "metadata"}
    assert sources(j=json, k=named, a=text) == {
        "embedding": "argument",
        "j": "argument",
        "k": "metadata",
        "a": "metadata",
    }
    given = {"type": "json", "from": "argument"}
    assert sources(j=given, k=json, a=text) == {
        "embedding": "argument",
        "j": "argument",
        "k": "argument",
        "a": "argument",
    }


@pytest.mark.parametrize(("storage", "path", "separator"), [("hash", "tags", ","), ("json", "$.tags", "")])
def test_defaults_that_depend_on_the_storage(storage: str, path: str, separator: str):
    given = mapping(tags={"type": "tag"})
    given["index"]["storage"] = storage
    tags = spec_from_mapping(given).field("tags")
    assert isinstance(tags, TagField)
    assert (tags.path, tags.separator) == (path, separator)


def test_json_fields_are_never_indexed():
    field = spec_from_mapping(mapping(j={"type": "json"})).field("j")
    assert isinstance(field, JsonField)
    assert not field.indexed


def test_the_canonical_mapping_says_what_matters_and_no_more():
    (spec,) = load_specs([ROOT / "specs" / "skill.yaml"]).specs
    assert spec_to_mapping(spec) == {
        "version": 1,
        "name": "skill",
        "description": "One embedding per skill, for the skill classifier.",
        "index": {"name": "idx:skill_emb", "prefix": "skill_emb:"},
        "key": "skill_id",
        "fields": {
            "skill_id": {"type": "tag", "from": "key"},
            "name": {"type": "text", "default_from": "key"},
            "description": {"type": "text", "default": ""},
            "meta_json": {"type": "json"},
            "embedding": {
                "type": "vector",
                "dims": 384,
                "datatype": "float32",
                "metric": "cosine",
                "algorithm": "hnsw",
                "m": 16,
                "ef_construction": 200,
                "ef_runtime": 200,
            },
        },
        "helpers": {
            "on_error": "empty",
            "store": {"name": "store_skill_embedding_hash", "vector": "vec", "metadata": "meta"},
            "delete": {"name": "delete_skill_embedding_hash"},
            "migrate_legacy": {"name": "migrate_legacy_skill_hashes_to_redisearch"},
        },
    }


def test_every_option_comes_back():
    given = mapping(
        t={"type": "text", "weight": 2.0, "nostem": True, "phonetic": "dm:fr", "sortable": True, "unf": True},
        g={
            "type": "tag",
            "separator": ";",
            "case_sensitive": True,
            "index_empty": True,
            "with_suffix_trie": True,
        },
        n={"type": "numeric", "default": 1.5, "from": "metadata", "noindex": True, "sortable": True},
        s={"type": "geoshape", "coord_system": "flat", "index_missing": True},
        u={"type": "text", "index": False, "path": "other"},
    )
    options = {
        "filter": "@n > 1",
        "language": "german",
        "language_field": "l",
        "score": 0.5,
        "score_field": "s",
        "payload_field": "p",
        "max_text_fields": True,
        "temporary": 60,
        "no_offsets": True,
        "no_highlight": True,
        "no_fields": True,
        "no_freqs": True,
        "stopwords": ["a"],
        "skip_initial_scan": True,
    }
    given["index"] |= options
    back = spec_to_mapping(spec_from_mapping(given))
    assert back["index"] == given["index"]
    del back["fields"]["embedding"], given["fields"]["embedding"]
    assert back["fields"] == given["fields"]
