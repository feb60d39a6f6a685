"""What a sample of documents tells, and that nothing is concluded from too little."""

from __future__ import annotations

import struct
from typing import Any

from vecmigrate.search.documents import observe
from vecmigrate.spec.build import spec_from_mapping


def spec_of(storage: str = "hash", **fields: Any):
    return spec_from_mapping(
        {
            "name": "cat",
            "index": {"name": "idx:cat", "prefix": "cat:", "storage": storage},
            "key": "cat_key",
            "fields": {**fields, "e": {"type": "vector", "dims": 2}},
        }
    )


GOOD = struct.pack("<ff", 1, 1)


def test_no_documents_tell_nothing():
    assert observe(spec_of(name={"type": "tag"}), {}) == ()


def test_fields_that_no_index_knows():
    found = observe(
        spec_of(),
        {
            "cat:1": {"e": GOOD, "meta": b'{"a": 1}', "note": b"{no"},
            "cat:2": {"e": GOOD, "meta": b"[]"},
        },
    )
    assert found == (
        "2 of 2 documents looked at also hold 'meta' (JSON), and no field of the spec is that",
        "1 of 2 documents looked at also hold 'note', and no field of the spec is that",
    )


def test_a_field_that_is_the_key_in_every_document():
    spec = spec_of(name={"type": "tag"}, kind={"type": "tag"})
    both = {"cat:tom": {"name": b"tom", "kind": b"tom"}, "cat:kit": {"name": b"kit", "kind": b"tom"}}
    assert observe(spec, both) == (
        "field 'name' is the key itself in all of 2 documents looked at: `key: name` and `from: key` say so",
    )
    assert observe(spec, {**both, "cat:x": {}}) == ()
    assert observe(spec_of(name={"type": "tag", "from": "key"}, kind={"type": "tag"}), both) == ()


def test_vectors_that_spoil_searches():
    (text,) = observe(spec_of(), {"cat:1": {"e": GOOD}, "cat:2": {"e": bytes(len(GOOD))}})
    assert text.startswith(
        "field 'e': in 1 of 2 documents looked at the vector is one that store helpers refuse"
    )
    assert "the vector is zero" in text


def test_vectors_of_the_wrong_size():
    (text,) = observe(spec_of(), {"cat:1": {"e": GOOD}, "cat:2": {"e": b"\0"}, "cat:3": {}})
    assert text == (
        "field 'e': in 1 of 3 documents looked at it is not 8 bytes long, and the index leaves those out"
    )


def test_json_documents_are_looked_at_from_the_top():
    spec = spec_of("json", author={"type": "tag", "path": "$.meta.author"})
    assert observe(spec, {"cat:1": {"e": [0, 1], "meta": {"author": "x"}, "more": 1}}) == (
        "1 of 1 documents looked at also hold 'more', and no field of the spec is that",
    )
    spec = spec_of("json", slug={"type": "tag"})
    assert "`from: key`" in observe(spec, {"cat:1": {"e": [0, 1], "slug": "1"}})[0]
    nested = spec_of("json", slug={"type": "tag", "path": "$.slug.inner"})
    assert observe(nested, {"cat:1": {"e": [0, 1], "slug": "1"}}) == ()
