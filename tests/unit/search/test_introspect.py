"""Each difference is made here; that an index made from a spec has none is tested on the real server."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from vecmigrate.search.introspect import Difference, differences, invisible
from vecmigrate.spec.build import spec_from_mapping

MAPPING: dict[str, Any] = {
    "version": 1,
    "name": "item",
    "index": {
        "name": "idx:item",
        "prefix": ["item:", "old:"],
        "language": "german",
        "stopwords": ["The", "a"],
    },
    "key": "item_id",
    "fields": {
        "title": {"type": "text", "weight": 2, "sortable": True, "unf": True, "phonetic": "dm:en"},
        "kind": {"type": "tag", "path": "stored kind", "separator": "\n", "case_sensitive": True},
        "price": {"type": "numeric", "sortable": True},
        "area": {"type": "geoshape"},
        "note": {"type": "text", "index": False},
        "embedding": {"type": "vector", "dims": 4, "m": 32, "ef_runtime": 50},
    },
}
SPEC = spec_from_mapping(MAPPING)

# As RediSearch 2.10.5 answers for this spec, less what is no definition.
INFO: dict[str, Any] = {
    "index_name": "idx:item",
    "index_options": [],
    "index_definition": {
        "key_type": "HASH",
        "prefixes": ["old:", "item:"],
        "default_language": "german",
        "default_score": 1.0,
    },
    "stopwords_list": ["a", "the"],
    "attributes": [
        {
            "identifier": "title",
            "attribute": "title",
            "type": "TEXT",
            "WEIGHT": 2.0,
            "flags": ["SORTABLE", "UNF"],
        },
        {
            "identifier": "stored kind",
            "attribute": "kind",
            "type": "TAG",
            "SEPARATOR": "\\n",
            "flags": ["CASESENSITIVE"],
        },
        {"identifier": "price", "attribute": "price", "type": "NUMERIC", "flags": ["SORTABLE", "UNF"]},
        {
            "identifier": "area",
            "attribute": "area",
            "type": "GEOSHAPE",
            "coord_system": "SPHERICAL",
            "flags": [],
        },
        {
            "identifier": "embedding",
            "attribute": "embedding",
            "type": "VECTOR",
            "algorithm": "HNSW",
            "data_type": "FLOAT32",
            "dim": 4,
            "distance_metric": "COSINE",
            "M": 32,
            "ef_construction": 200,
            "flags": [],
        },
    ],
}


def changed(where: tuple[Any, ...], value: Any) -> dict[str, Any]:
    info = copy.deepcopy(INFO)
    target: Any = info
    for step in where[:-1]:
        target = target[step]
    target[where[-1]] = value
    return info


def test_the_same_has_no_differences() -> None:
    assert differences(SPEC, INFO) == ()


@pytest.mark.parametrize(
    ("where", "value", "difference"),
    [
        (("index_definition", "key_type"), "JSON", Difference(None, "ON", "HASH", "JSON")),
        (
            ("index_definition", "prefixes"),
            ["item:"],
            Difference(None, "PREFIX", ["item:", "old:"], ["item:"]),
        ),
        (("index_definition", "filter"), "@a>1", Difference(None, "FILTER", None, "@a>1")),
        (("index_definition", "default_language"), "dutch", Difference(None, "LANGUAGE", "german", "dutch")),
        (("index_definition", "language_field"), "l", Difference(None, "LANGUAGE_FIELD", None, "l")),
        (("index_definition", "default_score"), 0.5, Difference(None, "SCORE", 1.0, 0.5)),
        (("index_definition", "score_field"), "s", Difference(None, "SCORE_FIELD", None, "s")),
        (("index_definition", "payload_field"), "p", Difference(None, "PAYLOAD_FIELD", None, "p")),
        (("index_options",), ["NOFREQS"], Difference(None, "NOFREQS", False, True)),
        (("index_options",), ["NOHL"], Difference(None, "NOHL", False, True)),
        (("index_options",), ["NOFIELDS"], Difference(None, "NOFIELDS", False, True)),
        (("index_options",), ["NOOFFSETS"], Difference(None, "NOOFFSETS", False, True)),
        (("index_options",), ["MAXTEXTFIELDS"], Difference(None, "MAXTEXTFIELDS", False, True)),
        (("stopwords_list",), ["a"], Difference(None, "STOPWORDS", ["a", "the"], ["a"])),
        (("stopwords_list",), None, Difference(None, "STOPWORDS", ["a", "the"], None)),
        (("attributes", 0, "identifier"), "t", Difference("title", "path", "title", "t")),
        (("attributes", 0, "WEIGHT"), 1.0, Difference("title", "WEIGHT", 2.0, 1.0)),
        (("attributes", 0, "flags"), ["SORTABLE"], Difference("title", "UNF", True, False)),
        (
            ("attributes", 0, "flags"),
            ["SORTABLE", "UNF", "NOSTEM"],
            Difference("title", "NOSTEM", False, True),
        ),
        (("attributes", 1, "SEPARATOR"), ",", Difference("kind", "SEPARATOR", "\n", ",")),
        (("attributes", 1, "flags"), [], Difference("kind", "CASESENSITIVE", True, False)),
        (("attributes", 1, "type"), "TEXT", Difference("kind", "type", "TAG", "TEXT")),
        (("attributes", 2, "flags"), [], Difference("price", "SORTABLE", True, False)),
        (
            ("attributes", 2, "flags"),
            ["SORTABLE", "UNF", "NOINDEX"],
            Difference("price", "NOINDEX", False, True),
        ),
        (
            ("attributes", 3, "coord_system"),
            "FLAT",
            Difference("area", "coordinate system", "SPHERICAL", "FLAT"),
        ),
        (("attributes", 3, "flags"), ["INDEXMISSING"], Difference("area", "INDEXMISSING", False, True)),
        (("attributes", 4, "algorithm"), "FLAT", Difference("embedding", "algorithm", "HNSW", "FLAT")),
        (("attributes", 4, "data_type"), "FLOAT64", Difference("embedding", "TYPE", "FLOAT32", "FLOAT64")),
        (("attributes", 4, "dim"), 8, Difference("embedding", "DIM", 4, 8)),
        (
            ("attributes", 4, "distance_metric"),
            "L2",
            Difference("embedding", "DISTANCE_METRIC", "COSINE", "L2"),
        ),
        (("attributes", 4, "M"), 16, Difference("embedding", "M", 32, 16)),
        (("attributes", 4, "ef_construction"), 100, Difference("embedding", "EF_CONSTRUCTION", 200, 100)),
        (("attributes",), INFO["attributes"][1:], Difference("title", "field", "TEXT", None)),
        (
            ("attributes",),
            [*INFO["attributes"], {"identifier": "x", "attribute": "x", "type": "TAG", "flags": []}],
            Difference("x", "field", None, "TAG"),
        ),
    ],
    ids=lambda value: str(value)[:60],
)
def test_each_difference_is_found_and_nothing_else(
    where: tuple[Any, ...], value: Any, difference: Difference
) -> None:
    assert differences(SPEC, changed(where, value)) == (difference,)


def test_a_stored_only_field_is_not_missed_but_one_in_the_index_is_too_many() -> None:
    extra = {"identifier": "note", "attribute": "note", "type": "TEXT", "WEIGHT": 1.0, "flags": []}
    assert differences(SPEC, changed(("attributes",), [*INFO["attributes"], extra])) == (
        Difference("note", "field", None, "TEXT"),
    )


def test_what_an_older_server_does_not_print_is_no_difference() -> None:
    bare = {"identifier": "embedding", "attribute": "embedding", "type": "VECTOR", "flags": []}
    assert differences(SPEC, changed(("attributes", 4), bare)) == ()


def test_differences_read_as_one_line() -> None:
    assert str(Difference("embedding", "M", 32, 16)) == "field 'embedding': M is 16 (expected 32)"
    assert str(Difference("x", "field", None, "TAG")) == "field 'x': field is 'TAG' (expected absent)"
    assert str(Difference(None, "NOFREQS", False, True)) == "NOFREQS is on (expected off)"
    assert str(Difference(None, "PREFIX", ["a:"], ["b:", "c:"])) == "PREFIX is ('b:', 'c:') (expected ('a:'))"


def test_what_cannot_be_seen() -> None:
    assert invisible(SPEC) == ("field 'title': PHONETIC dm:en", "field 'embedding': EF_RUNTIME 50")
    mapping = copy.deepcopy(MAPPING)
    mapping["index"] |= {"temporary": 60, "skip_initial_scan": True}
    mapping["fields"] = {
        "a": {"type": "vector", "dims": 4, "epsilon": 0.5, "initial_cap": 10},
        "b": {"type": "vector", "dims": 4, "algorithm": "flat", "block_size": 10, "initial_cap": 10},
        "c": {
            "type": "vector",
            "dims": 4,
            "algorithm": "svs_vamana",
            "search_window_size": 20,
            "epsilon": 0.5,
        },
        "d": {"type": "vector", "dims": 4, "algorithm": "flat"},
    }
    assert invisible(spec_from_mapping(mapping)) == (
        "TEMPORARY 60",
        "SKIPINITIALSCAN",
        "field 'a': INITIAL_CAP 10",
        "field 'a': EF_RUNTIME 10",
        "field 'a': EPSILON 0.5",
        "field 'b': INITIAL_CAP 10",
        "field 'b': BLOCK_SIZE 10",
        "field 'c': SEARCH_WINDOW_SIZE 20",
        "field 'c': EPSILON 0.5",
    )


SVS = {
    "identifier": "v",
    "attribute": "v",
    "type": "VECTOR",
    "algorithm": "SVS-VAMANA",
    "data_type": "FLOAT32",
    "dim": 4,
    "distance_metric": "COSINE",
    "graph_max_degree": 32,
    "construction_window_size": 200,
    "flags": [],
}


@pytest.mark.parametrize(
    ("wanted", "shown", "found"),
    [
        (None, "NO_COMPRESSION", []),
        ("LVQ8", "LVQ8", []),
        ("LVQ8", "GlobalSQ8", []),
        ("LVQ8", "LVQ4", [Difference("v", "COMPRESSION", "LVQ8", "LVQ4")]),
        ("LVQ8", "NO_COMPRESSION", [Difference("v", "COMPRESSION", "LVQ8", None)]),
        (None, "GlobalSQ8", [Difference("v", "COMPRESSION", None, "GlobalSQ8")]),
        (None, "LVQ8", [Difference("v", "COMPRESSION", None, "LVQ8")]),
    ],
)
def test_compression_of_svs_vamana(wanted: str | None, shown: str, found: list[Difference]) -> None:
    field = {"type": "vector", "dims": 4, "algorithm": "svs_vamana"}
    if wanted is not None:
        field["compression"] = wanted
    mapping = {**MAPPING, "index": {"name": "idx:item", "prefix": "item:"}, "fields": {"v": field}}
    info = {
        "index_definition": {"key_type": "HASH", "prefixes": ["item:"], "default_score": 1.0},
        "attributes": [{**SVS, "compression": shown}],
    }
    assert list(differences(spec_from_mapping(mapping), info)) == found
