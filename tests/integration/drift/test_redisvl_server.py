"""What a RedisVL schema means, held against the index and the documents that RedisVL makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vecmigrate.search import ddl, reply
from vecmigrate.search.introspect import differences
from vecmigrate.spec import redisvl as schemas
from vecmigrate.spec.build import spec_from_mapping
from vecmigrate.spec.model import IndexSpec
from vecmigrate.spec.problems import Findings

pytest.importorskip("redisvl", reason="the extra `bench` is not installed")

from redisvl.index import SearchIndex
from redisvl.schema import IndexSchema

FLAG = st.booleans()
VECTOR = {"name": "v", "type": "vector", "attrs": {"algorithm": "flat", "dims": 2}}


def imported(schema: dict[str, Any], **choices: Any) -> tuple[IndexSpec, tuple[str, ...]]:
    findings = Findings("", lambda _: None, lambda _: None)
    proposal = schemas.propose(schema, findings, **choices)
    assert findings.problems == []
    assert proposal is not None
    return spec_from_mapping(proposal.mapping), proposal.notes


def made_by_redisvl(client: redis.Redis, schema: dict[str, Any]) -> SearchIndex:
    index = SearchIndex(IndexSchema.from_dict(schema), redis_client=client)
    index.create()
    return index


def info(client: redis.Redis, name: str) -> reply.Info:
    return reply.parse_info(client.execute_command("FT.INFO", name))


def attributes(**options: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=options)


COMMON = {"sortable": FLAG, "index_missing": FLAG}
KINDS = {
    "text": attributes(
        **COMMON,
        weight=st.sampled_from([1, 2, 0.5]),
        no_stem=FLAG,
        withsuffixtrie=FLAG,
        phonetic_matcher=st.sampled_from(["dm:en", "dm:fr", None]),
        index_empty=FLAG,
        unf=FLAG,
    ),
    "tag": attributes(
        **COMMON,
        separator=st.sampled_from([",", "|", ";"]),
        case_sensitive=FLAG,
        withsuffixtrie=FLAG,
        index_empty=FLAG,
    ),
    "numeric": attributes(**COMMON, unf=FLAG),
    "geo": attributes(**COMMON),
}
VECTORS = {
    "flat": attributes(block_size=st.integers(1, 500), initial_cap=st.integers(1, 50)),
    "HNSW": attributes(
        m=st.integers(2, 32),
        ef_construction=st.integers(1, 400),
        ef_runtime=st.integers(1, 400),
        epsilon=st.sampled_from([0.01, 0.1]),
        initial_cap=st.integers(1, 50),
    ),
}


@st.composite
def redisvl_schemas(draw: st.DrawFn) -> dict[str, Any]:
    fields = []
    for number, kind in enumerate(draw(st.lists(st.sampled_from(sorted(KINDS)), max_size=5))):
        field = {"name": f"f{number}", "type": kind, "attrs": draw(KINDS[kind])}
        # RedisVL cannot say NOINDEX alone, and RediSearch refuses it beside INDEXMISSING.
        if field["attrs"].get("sortable") and not field["attrs"].get("index_missing") and draw(FLAG):
            field["attrs"]["no_index"] = True
        if draw(FLAG):
            field["path"] = f"$.inner.f{number}"
        fields.append(field)
    algorithm = draw(st.sampled_from(sorted(VECTORS)))
    common = {
        "algorithm": algorithm,
        "dims": draw(st.integers(1, 8)),
        "distance_metric": draw(st.sampled_from(["cosine", "L2", "ip"])),
        "datatype": draw(st.sampled_from(["float32", "FLOAT64", "bfloat16", "float16"])),
    }
    fields.insert(
        draw(st.integers(0, len(fields))),
        {"name": "v", "type": "vector", "attrs": common | draw(VECTORS[algorithm])},
    )
    index = {"name": "thing", "prefix": draw(st.sampled_from(["docs:", "docs", ["a:", "b:"]]))}
    index |= draw(
        attributes(
            storage_type=st.sampled_from(["hash", "json"]),
            stopwords=st.sampled_from([None, [], ["The", "of"]]),
        )
    )
    return {"version": "0.1.0", "index": index, "fields": fields}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(schema=redisvl_schemas())
def test_the_spec_is_that_of_the_index_that_redisvl_makes(client: redis.Redis, schema) -> None:
    client.flushall()
    made_by_redisvl(client, schema)
    spec, _ = imported(schema, index_prefix=True)
    assert differences(spec, info(client, "thing")) == ()
    # And what FT.INFO does not show is as RedisVL said it.
    wanted = ddl.ft_create(spec)
    vector = schema["fields"][[field["name"] for field in schema["fields"]].index("v")]["attrs"]
    for option, key in (
        ("INITIAL_CAP", "initial_cap"),
        ("EF_RUNTIME", "ef_runtime"),
        ("BLOCK_SIZE", "block_size"),
    ):
        if key in vector:
            assert wanted[wanted.index(option) + 1] == str(vector[key])
    for field in schema["fields"]:
        if field["attrs"].get("phonetic_matcher"):
            assert field["attrs"]["phonetic_matcher"] in wanted


@pytest.mark.parametrize(
    ("prefix", "separator", "written", "found"),
    [
        ("docs", ":", "docs:", 1),
        ("docs:", ":", "docs:", 1),
        ("docs::", ":", "docs:", 0),
        ("docs", "", "docs", 1),
        ("docs_", ":", "docs_:", 1),
        ("docs:", "::", "docs::", 1),
        ("docs-:", "-:", "docs-:", 1),
        ("docs:-", "-:", "docs-:", 0),
        (["a", "b"], ":", "a:", 1),
    ],
)
@pytest.mark.parametrize("storage", ["hash", "json"])
def test_helpers_write_where_redisvl_writes(
    client: redis.Redis, prefix, separator: str, written: str, found: int, storage: str
) -> None:
    schema = {
        "index": {"name": "thing", "prefix": prefix, "key_separator": separator, "storage_type": storage},
        "fields": [VECTOR],
    }
    index = made_by_redisvl(client, schema)
    vector: Any = [1.0, 0.0] if storage == "json" else np.array([1, 0], "f4").tobytes()
    index.load([{"id": "7", "v": vector}], id_field="id")
    assert client.keys() == [f"{written}7".encode()]
    assert reply.num_docs(info(client, "thing")) == found
    spec, notes = imported(schema)
    assert spec.prefix == written
    first = prefix if isinstance(prefix, str) else prefix[0]
    assert bool(notes) is (written != first)
    assert all(repr(first) in note and repr(written) in note for note in notes)
    assert any("has none of them" in note for note in notes) is (found == 0)
    # The index that the spec asks for finds the document, whatever RedisVL's index does.
    client.execute_command(*ddl.ft_create(spec, "ours"))
    assert wait_for_documents(client, "ours") == 1


def wait_for_documents(client: redis.Redis, name: str) -> int:
    while reply.is_indexing(found := info(client, name)):
        pass
    return reply.num_docs(found)


@pytest.mark.parametrize("prefix", ["", ":", "::"])
def test_documents_without_a_prefix_have_no_spec(client: redis.Redis, prefix: str) -> None:
    schema = {"index": {"name": "thing", "prefix": prefix}, "fields": [VECTOR]}
    index = made_by_redisvl(client, schema)
    index.load([{"id": "7", "v": np.array([1, 0], "f4").tobytes()}], id_field="id")
    assert client.keys() == [b"7"]
    findings = Findings("schema.yaml", lambda _: None, lambda _: None)
    assert schemas.propose(schema, findings) is None
    assert "without any prefix" in str(findings.problems[0])


def test_svs_vamana_gets_the_defaults_of_redisvl(tmp_path: Path) -> None:
    schema = {
        "index": {"name": "thing", "prefix": "d:"},
        "fields": [{"name": "v", "type": "vector", "attrs": {"algorithm": "svs-vamana", "dims": 8}}],
    }
    theirs = IndexSchema.from_dict(schema).fields["v"].attrs
    ours = imported(schema)[0].vector.algorithm
    for key in ("graph_max_degree", "construction_window_size", "search_window_size", "epsilon", "reduce"):
        assert getattr(ours, key) == getattr(theirs, key)
