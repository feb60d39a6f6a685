"""RedisVL schemas as specs; tests/integration/drift holds the same against RedisVL itself."""

from __future__ import annotations

from typing import Any

import pytest

from vecmigrate.search.ddl import ft_create
from vecmigrate.spec.build import spec_from_mapping
from vecmigrate.spec.problems import Findings
from vecmigrate.spec.redisvl import documents_prefix, propose

VECTOR = {"name": "v", "type": "vector", "attrs": {"algorithm": "flat", "dims": 2}}


def read(*fields: Any, **index: Any):
    findings = Findings("", lambda _: None, lambda _: None)
    schema = {"index": {"name": "thing", "prefix": "d:", **index}, "fields": [*fields, VECTOR]}
    return propose(schema, findings), findings.problems


def words(*fields: Any, **index: Any) -> str:
    """The FT.CREATE of the spec, from SCHEMA to the vector."""
    proposal, problems = read(*fields, **index)
    assert problems == []
    command = " ".join(ft_create(spec_from_mapping(proposal.mapping)))
    return command[command.index("SCHEMA ") + 7 : command.index(" v VECTOR")].removesuffix(" $.v AS")


def field(kind: str, **attrs: Any) -> dict[str, Any]:
    return {"name": "f", "type": kind, "attrs": attrs}


# Left the schema, right what redis-py and RedisVL 0.28 send, less what the server takes for granted.
@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (field("text"), "f TEXT"),
        (
            field("text", weight=2, no_stem=True, phonetic_matcher="dm:en", withsuffixtrie=True,
                  index_empty=True, index_missing=True, sortable=True, unf=True),
            "f TEXT NOSTEM WEIGHT 2 PHONETIC dm:en WITHSUFFIXTRIE INDEXEMPTY INDEXMISSING SORTABLE UNF",
        ),
        (field("text", unf=True), "f TEXT"),
        (field("text", phonetic_matcher=None, weight="1.5", sortable="true"), "f TEXT WEIGHT 1.5 SORTABLE"),
        (field("text", sortable=True, no_index=True), "f TEXT SORTABLE NOINDEX"),
        (field("tag"), "f TAG"),
        (
            field("tag", separator="|", case_sensitive=True, withsuffixtrie=True, index_empty=True),
            "f TAG SEPARATOR | CASESENSITIVE WITHSUFFIXTRIE INDEXEMPTY",
        ),
        (field("numeric", sortable=True, unf=True, index_missing=True), "f NUMERIC INDEXMISSING SORTABLE"),
        (field("geo", sortable=True), "f GEO SORTABLE"),
        ({"name": "f", "type": "tag", "path": "$.x"}, "f TAG"),
        ({"name": "f", "type": "tag", "attrs": None}, "f TAG"),
    ],
)  # fmt: skip  # a table
def test_fields_of_hashes(given, sent: str):
    assert words(given) == sent


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (field("tag"), "$.f AS f TAG SEPARATOR ,"),
        ({"name": "f", "type": "numeric", "path": "$.a.b"}, "$.a.b AS f NUMERIC"),
    ],
)
def test_fields_of_json_documents(given, sent: str):
    assert words(given, storage_type="json") == sent


def test_vectors():
    attrs = {"algorithm": "HNSW", "dims": "4", "datatype": "FLOAT16", "distance_metric": "L2", "m": 8,
             "ef_construction": 100, "ef_runtime": 20, "epsilon": 0.1, "initial_cap": 5}  # fmt: skip
    proposal, _ = read({"name": "w", "type": "vector", "attrs": attrs})
    command = " ".join(ft_create(spec_from_mapping(proposal.mapping)))
    assert (
        "w VECTOR HNSW 16 TYPE FLOAT16 DIM 4 DISTANCE_METRIC L2 INITIAL_CAP 5 M 8 EF_CONSTRUCTION 100 "
        "EF_RUNTIME 20 EPSILON 0.1"
    ) in command


def test_svs_vamana_has_the_defaults_of_redisvl():
    attrs = {"algorithm": "svs-vamana", "dims": 8, "compression": "LeanVec4x8", "reduce": 4, "initial_cap": 3}
    proposal, _ = read({"name": "w", "type": "vector", "attrs": attrs})
    graph = spec_from_mapping(proposal.mapping).vector.algorithm
    assert (graph.graph_max_degree, graph.construction_window_size, graph.search_window_size) == (40, 250, 20)
    assert (graph.compression, graph.reduce) == ("LeanVec4x8", 4)
    assert any("`initial_cap` means nothing" in note for note in proposal.notes)


@pytest.mark.parametrize(
    ("prefix", "separator", "written"),
    [
        ("docs", ":", "docs:"),
        ("docs::", ":", "docs:"),
        ("docs-:", ":-", "docs:-"),
        ("docs", "", "docs"),
        (":", ":", ""),
        ("", ":", ""),
    ],
)
def test_where_documents_are(prefix, separator, written):
    assert documents_prefix(prefix, separator) == written


def test_the_prefix_is_that_of_the_documents_unless_asked():
    proposal, _ = read(prefix=["a", "b", "c:"])
    assert proposal.mapping["index"]["prefix"] == ["a:", "b", "c:"]
    assert "--index-prefix" in proposal.notes[0]
    findings = Findings("", lambda _: None, lambda _: None)
    schema = {"index": {"name": "thing"}, "fields": {"v": VECTOR}}
    raw = propose(schema, findings, index_prefix=True)
    assert raw is not None
    assert raw.mapping["index"]["prefix"] == "rvl"
    assert raw.mapping["index"]["store_prefix"] == "rvl:"
    assert "RedisVL writes documents under 'rvl:', as `store_prefix` says" in raw.notes[0]


def test_a_field_that_is_said_to_be_the_key():
    findings = Findings("", lambda _: None, lambda _: None)
    schema = {"index": {"name": "thing", "prefix": "d:"}, "fields": [field("tag"), VECTOR]}
    proposal = propose(schema, findings, key="f")
    assert proposal is not None
    spec = spec_from_mapping(proposal.mapping)
    assert (spec.key, spec.field("f").source) == ("f", "key")


def test_what_redisvl_does_not_heed_is_noted():
    proposal, problems = read(field("text", bogus=1), {"name": "g", "type": "geo", "extra": 2}, colour="red")
    assert problems == []
    assert [note.split("`")[1] for note in proposal.notes] == [
        "index.colour",
        "fields.0.attrs.bogus",
        "fields.1.extra",
    ]


def test_a_field_that_redisvl_cannot_make_is_stored_only():
    proposal, _ = read(field("text", no_index=True, weight=2))
    assert proposal.mapping["fields"]["f"] == {"type": "text", "index": False}
    assert "`no_index`" in proposal.notes[0]


@pytest.mark.parametrize(
    ("fields", "index", "told"),
    [
        ([{"name": "f", "type": "vector"}], {}, "`algorithm` of 'f' is None"),
        ([{"name": "f", "type": "vector", "attrs": {"algorithm": "tag", "dims": 1}}], {}, "is 'tag'"),
        ([{"name": "f", "type": "tag", "attrs": [1]}], {}, "`attrs` of 'f' is no mapping"),
        ([{"name": "v", "type": "tag"}], {}, "the field 'v' is there twice"),
        ([{"type": "tag"}, "x"], {}, "the field has no name"),
        ([], {"prefix": ""}, "without any prefix"),
        ([], {"prefix": []}, "without any prefix"),
        ([], {"prefix": 3}, "`prefix` is no text"),
        ([], {"key_separator": None}, "`key_separator` is no text"),
    ],
)
def test_what_is_wrong_is_said(fields, index, told: str):
    proposal, problems = read(*fields, **index)
    assert proposal is None
    assert told in "\n".join(map(str, problems))
