from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from vecmigrate.search.document import encode_document
from vecmigrate.spec.build import spec_from_mapping
from vecmigrate.spec.model import IndexSpec

VECTOR = {"type": "vector", "dims": 2}
BLOB = bytes(8)


def spec_of(**fields: dict[str, Any]) -> IndexSpec:
    return spec_from_mapping(
        {
            "version": 1,
            "name": "skill",
            "index": {"name": "idx:skill_emb", "prefix": "skill_emb:"},
            "key": "skill_id",
            "fields": {**fields, "embedding": VECTOR},
        }
    )


SKILL = spec_of(
    skill_id={"type": "tag", "from": "key"},
    name={"type": "text", "default_from": "key"},
    description={"type": "text", "default": ""},
    meta_json={"type": "json"},
)


def written(spec: IndexSpec, metadata: Any = None, **arguments: Any) -> dict[str, bytes]:
    document = encode_document(spec, "k1", {"embedding": BLOB}, metadata, arguments)
    assert document.pop("embedding") == BLOB
    return document


def test_a_skill_as_the_reference_writes_it() -> None:
    metadata = {"name": "Dig", "description": "Dig a höle", "level": 3}
    assert written(SKILL, metadata) == {
        "skill_id": b"k1",
        "name": b"Dig",
        "description": "Dig a höle".encode(),
        "meta_json": '{"name":"Dig","description":"Dig a höle","level":3}'.encode(),
    }


@pytest.mark.parametrize("metadata", [None, {}])
def test_the_fallbacks_of_a_skill_without_metadata(metadata: Any) -> None:
    assert written(SKILL, metadata) == {
        "skill_id": b"k1",
        "name": b"k1",
        "description": b"",
        "meta_json": b"{}",
    }


@pytest.mark.parametrize("blank", [None, ""])
def test_default_from_key_steps_in_for_blanks(blank: Any) -> None:
    assert written(SKILL, {"name": blank})["name"] == b"k1"


def test_a_default_steps_in_for_none_but_not_for_an_empty_text() -> None:
    spec = spec_of(kind={"type": "tag", "default": "other", "from": "argument"})
    assert written(spec)["kind"] == b"other"
    assert written(spec, kind=None)["kind"] == b"other"
    assert written(spec, kind="")["kind"] == b""


def test_what_is_absent_and_has_no_default_is_not_written() -> None:
    spec = spec_of(kind={"type": "tag"}, price={"type": "numeric"})
    assert written(spec) == {}
    assert written(spec, kind="a", price=None) == {"kind": b"a"}


def test_values_lie_under_their_paths_in_the_order_of_the_spec() -> None:
    spec = spec_of(
        b={"type": "tag", "path": "stored b"}, a={"type": "text", "index": False}, meta={"type": "json"}
    )
    document = encode_document(spec, "k", {"embedding": BLOB}, {"a": "1", "b": "2", "stored b": "3"})
    assert list(document) == ["stored b", "a", "meta", "embedding"]
    assert document["stored b"] == b"2"


def test_arguments_do_not_come_from_metadata_nor_the_other_way() -> None:
    spec = spec_of(a={"type": "tag", "from": "argument"}, b={"type": "tag"}, meta={"type": "json"})
    assert written(spec, {"a": "x", "b": "y"}) == {"b": b"y", "meta": b'{"a":"x","b":"y"}'}
    assert written(spec, {}, a="x", b="y") == {"a": b"x", "meta": b"{}"}


def test_a_second_json_field_is_an_argument() -> None:
    spec = spec_of(meta={"type": "json"}, extra={"type": "json", "from": "argument"})
    assert written(spec, {"a": 1}, extra=[1, "ä"]) == {"meta": b'{"a":1}', "extra": '[1,"ä"]'.encode()}
    assert written(spec, {"a": 1}) == {"meta": b'{"a":1}'}


@pytest.mark.parametrize(
    ("kind", "value", "stored"),
    [
        ("text", "Größe", "Größe".encode()),
        ("text", b"\xff", b"\xff"),
        ("text", True, b"true"),
        ("text", 3, b"3"),
        ("text", 3.0, b"3"),
        ("text", 0.1, b"0.1"),
        ("tag", "a,b", b"a,b"),
        ("tag", False, b"false"),
        ("tag", ["a", "b c", 1, True], b"a,b c,1,true"),
        ("tag", ("a",), b"a"),
        ("tag", {"b", "a"}, b"a,b"),
        ("tag", [], b""),
        ("numeric", 5, b"5"),
        ("numeric", 5.0, b"5"),
        ("numeric", -0.25, b"-0.25"),
        ("numeric", 1e-7, b"1e-07"),
        ("numeric", 1e22, b"1e+22"),
        ("numeric", 2**60, b"1152921504606846976"),
        ("numeric", True, b"1"),
        ("numeric", " 7.50 ", b"7.5"),
        ("numeric", np.float32(0.5), b"0.5"),
        ("numeric", np.int16(7), b"7"),
        ("geo", (13.4, 52.5), b"13.4,52.5"),
        ("geo", [13, "52.5"], b"13,52.5"),
        ("geo", "13.40, 52.5", b"13.4,52.5"),
        ("geo", b"-180,85.05112878", b"-180,85.05112878"),
        ("geoshape", "POINT (1 2)", b"POINT (1 2)"),
    ],
)
def test_how_values_are_written(kind: str, value: Any, stored: bytes) -> None:
    assert written(spec_of(value={"type": kind}), value=value) == {"value": stored}


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        ("text", ["a"], "the value is list (expected text)"),
        ("text", {"a": 1}, "the value is dict (expected text)"),
        ("text", "\ud800", "the text holds half a surrogate pair (expected whole characters)"),
        ("text", math.nan, "the value is nan as a double (expected a finite number)"),
        ("tag", ["a", "b,c"], "the tag 'b,c' contains the separator ','"),
        ("tag", [["a"]], "the value is list (expected text)"),
        ("tag", {"a": 1}, "the value is dict (expected text)"),
        ("numeric", "many", "the value is a text that reads as no number (expected a number)"),
        ("numeric", math.inf, "the value is inf as a double (expected a finite number)"),
        ("numeric", "nan", "the value is nan as a double (expected a finite number)"),
        ("numeric", 10**400, "the value is inf as a double (expected a finite number)"),
        ("numeric", [1], "the value is list (expected a number)"),
        ("numeric", Decimal(1), "the value is Decimal (expected a number)"),
        ("geo", "Berlin", "the value is no point (expected longitude,latitude)"),
        ("geo", (1, 2, 3), "the value is no point (expected longitude,latitude)"),
        ("geo", (181, 0), "the point 181,0 is out of range"),
        ("geo", (0, -86), "the point 0,-86 is out of range"),
        ("geo", ("x", 1), "the value is a text that reads as no number"),
        ("geoshape", (1, 2), "the value is tuple (expected well-known text)"),
    ],
)
def test_what_the_server_would_not_read_is_refused(kind: str, value: Any, reason: str) -> None:
    with pytest.raises(ValueError, match="^field 'value': ") as caught:
        written(spec_of(value={"type": kind}), value=value)
    assert reason in str(caught.value)


def test_the_separator_of_the_field_decides() -> None:
    spec = spec_of(value={"type": "tag", "separator": ";"})
    assert written(spec, value=["a,b", "c"]) == {"value": b"a,b;c"}
    with pytest.raises(ValueError, match="contains the separator ';'"):
        written(spec, value=["a;b"])


def test_a_key_is_written_even_where_it_contains_the_separator() -> None:
    document = encode_document(SKILL, "a,b", {"embedding": BLOB})
    assert document["skill_id"] == b"a,b"


def test_vectors_must_be_there_and_fit() -> None:
    with pytest.raises(ValueError, match="field 'embedding': no vector is given"):
        encode_document(SKILL, "k", {})
    with pytest.raises(ValueError, match=r"field 'embedding': the blob has 4 bytes \(expected 8\)"):
        encode_document(SKILL, "k", {"embedding": bytes(4)})
