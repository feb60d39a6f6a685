"""From legacy items to documents: what the generated store helper would write, or a reason."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import OLD_ALGORITHMS, OLD_DATATYPES, specs
from vecmigrate.backfill.convert import Converter, Document, Items, digest, read_metadata
from vecmigrate.helpers.vectors import encode_vector
from vecmigrate.search.document import encode_document
from vecmigrate.spec.build import spec_from_mapping
from vecmigrate.spec.model import IndexSpec

SKILL = spec_from_mapping(
    {
        "version": 1,
        "name": "skill",
        "index": {"name": "idx:skill_emb", "prefix": "skill_emb:"},
        "key": "skill_id",
        "fields": {
            "skill_id": {"type": "tag", "from": "key"},
            "name": {"type": "text", "default_from": "key"},
            "description": {"type": "text", "default": ""},
            "meta_json": {"type": "json"},
            "embedding": {"type": "vector", "dims": 2, "metric": "cosine"},
        },
    }
)


def convert(spec: IndexSpec, *items: tuple[bytes, bytes, bytes | None]) -> tuple[list[Document], list[Any]]:
    names, vectors, metadata = (list(column) for column in zip(*items, strict=True))
    converter = Converter(spec)
    return converter.convert(Items(names, vectors, metadata, [0] * len(items)), converter.decode(vectors))


def fields(spec: IndexSpec, document: Document) -> dict[str, bytes]:
    paths = [item.path for item in spec.fields]
    pairs = zip(paths, document.values, strict=True)
    return {path: value for path, value in pairs if value is not None}


def test_an_item_becomes_the_document_of_the_store_helper():
    meta = b'{"name": "Baking",  "level": 3}'
    (document,), aside = convert(SKILL, (b"bake", b"[1, 2]", meta))
    assert aside == []
    assert fields(SKILL, document) == {
        "skill_id": b"bake",
        "name": b"Baking",
        "description": b"",
        "meta_json": meta,
        "embedding": np.array([1, 2], "<f4").tobytes(),
    }
    assert (document.remark, document.name) == ("", b"bake")


@pytest.mark.parametrize("text", [None, b"", b"{", b"[1]", b"null", b'"x"', b"\xff"])
def test_metadata_that_is_none_falls_back_to_the_key(text: bytes | None):
    (document,), _ = convert(SKILL, (b"bake", b"[1, 2]", text))
    stored = fields(SKILL, document)
    assert json.loads(stored["meta_json"]) == {"skill_id": "bake"}
    assert stored["name"] == b"bake"
    # Metadata that is absent is usual; metadata that is damaged is told.
    assert bool(document.remark) == (text is not None)


@pytest.mark.parametrize(
    ("name", "vector", "metadata", "reason"),
    [
        (b"a", b"[1]", None, "1 numbers (2 expected)"),
        (b"a", b"[0, 0]", None, "zero"),
        (b"a", b"[NaN, 1]", None, "NaN"),
        (b"a", b"[Infinity, 1]", None, "infinity"),
        (b"a", b"[1e300, 1]", None, "float32"),
        (b"", b"[1, 2]", None, "the key is empty"),
        (b"\xff", b"[1, 2]", None, "not UTF-8"),
        (b"a\0b", b"[1, 2]", None, "the key holds NUL"),
        (b"a" * 4097, b"[1, 2]", None, "field 'skill_id': a tag has 4097 bytes (expected at most 4096"),
        (b"a", b"[1, 2]", b'{"name": "x\\u0000y"}', "field 'name': the text holds NUL"),
        (b"a", b"[1, 2]", b'{"name": {"first": 1}}', "name"),
    ],
)
def test_what_cannot_be_converted_is_set_aside_with_its_reason(name, vector, metadata, reason):
    documents, (aside,) = convert(SKILL, (name, vector, metadata))
    assert documents == []
    assert aside.name == name
    assert reason.lower() in aside.reason.lower(), aside.reason


def test_names_in_any_script():
    (document,), _ = convert(SKILL, ("größe 🐈".encode(), b"[1, 2]", None))
    assert fields(SKILL, document)["skill_id"] == "größe 🐈".encode()


NAMES = st.one_of(st.text(max_size=6).map(lambda text: text.encode(errors="replace")), st.binary(max_size=4))
VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)


@st.composite
def cases(draw: st.DrawFn) -> tuple[IndexSpec, list[tuple[bytes, bytes, bytes | None]]]:
    spec = draw(
        specs(storages=("hash",), datatypes=OLD_DATATYPES, algorithms=OLD_ALGORITHMS).filter(
            lambda spec: len(spec.vectors) == 1 and spec.vector.dims <= 64
        )
    )
    known = st.sampled_from([item.name for item in spec.fields])
    metadata = st.dictionaries(known | st.text(max_size=3), VALUES, max_size=5).map(json.dumps)
    number = st.floats(-2, 2) | st.just(0.0) | st.floats()
    vector = st.lists(number, min_size=spec.vector.dims, max_size=spec.vector.dims).map(json.dumps)
    rows = st.tuples(
        NAMES,
        vector.map(str.encode) | st.binary(max_size=5),
        st.none() | metadata.map(str.encode) | st.binary(max_size=5),
    )
    return spec, draw(st.lists(rows, min_size=1, max_size=4))


@settings(max_examples=150, deadline=None)
@given(cases())
def test_every_item_is_a_document_as_the_helper_writes_it_or_set_aside(case):
    spec, items = case
    documents, aside = convert(spec, *items)
    assert sorted([*(document.name for document in documents), *(item.name for item in aside)]) == sorted(
        name for name, _, _ in items
    )
    assert all(item.reason and "\n" not in item.reason for item in aside)
    for document in documents:
        numbers = json.loads(document.vector)
        blob = encode_vector(numbers, spec.vector.dims, spec.vector.datatype, spec.vector.metric)
        assert document.blob == blob
        key = document.name.decode()
        known = read_metadata(document.metadata)[0]
        fallback = {next((item.name for item in spec.fields if item.source == "key"), spec.key): key}
        metadata = known if known is not None else fallback
        stored = fields(spec, document)
        expected = encode_document(spec, key, {spec.vector.name: blob}, metadata, metadata)
        assert stored.keys() == expected.keys()
        for path, value in expected.items():
            # The text of the metadata is kept to the byte; read, it is the same.
            same = stored[path] == value or json.loads(stored[path]) == json.loads(value)
            assert same, path
        assert document.digest == digest(stored)


@given(
    st.dictionaries(st.text("ab:1", max_size=3), st.binary(max_size=3), max_size=4),
    st.dictionaries(st.text("ab:1", max_size=3), st.binary(max_size=3), max_size=4),
)
def test_a_digest_tells_documents_apart_and_not_their_order(one, other):
    assert (digest(one) == digest(other)) == (one == other)
    assert digest(dict(reversed(one.items()))) == digest(one)
