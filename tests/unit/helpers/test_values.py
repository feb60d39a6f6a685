"""Values on their way into a document or a query: one form each, and a ValueError for what would be lost."""

from __future__ import annotations

import json
import math
from enum import Enum, IntEnum
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from vecmigrate.helpers import values

HALF = "x\ud83d"


class Topic(str, Enum):  # noqa: UP042 - what many services have, and what `str` makes "Topic.NEWS" of
    NEWS = "news"


class Level(IntEnum):
    HIGH = 3


class Loud(str):
    """A text that shows itself otherwise."""

    def __str__(self) -> str:
        return "LOUD"

    def encode(self, *_: Any) -> bytes:
        return b"LOUD"


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (Topic.NEWS, b"news"),
        (Loud("news"), b"news"),
        (np.str_("news"), b"news"),
        (np.bytes_(b"news"), b"news"),
        (Level.HIGH, b"3"),
        (np.int64(3), b"3"),
        (True, b"true"),
        (np.bool_(False), b"false"),
        (b"\xff", b"\xff"),
    ],
)
def test_a_text_is_one_text_alone_and_in_a_list_in_hashes_and_json(value: Any, stored: bytes):
    assert values.encode_text("f", value) == stored
    assert values.encode_tags("f", value, ",") == stored
    assert values.encode_tags("f", [value, "z"], ",") == stored + b",z"
    if stored != b"\xff":
        assert values.json_tags("f", value, "") == stored.decode()
        assert values.json_tags("f", [value], ";") == [stored.decode()]
        assert type(values.json_tags("f", value, "")) is str


@pytest.mark.parametrize("value", [HALF, Loud(HALF)])
def test_half_a_surrogate_pair_is_named_wherever_it_is(value: str):
    for store in (
        lambda: values.encode_text("f", value),
        lambda: values.encode_tags("f", ["a", value], ","),
        lambda: values.json_tags("f", [value], ""),
        lambda: values.encode_shape("f", value),
        lambda: values.encode_json("f", {"a": [value]}),
        lambda: values.encode_json("f", {value: 1}),
        lambda: values.json_set_command(b"k", [(("f",), value)]),
        lambda: values.document_key("p:", value),
        lambda: values.document_command("DEL", "p:", value),
        lambda: values.tag_parameter("f", value, ","),
    ):
        with pytest.raises(ValueError, match=r"half a surrogate pair \(expected whole characters\)"):
            store()


def test_bytes_that_are_not_utf8_have_no_place_in_json():
    for store in (
        lambda: values.json_tags("f", b"\xff", ""),
        lambda: values.json_tags("f", ["a", b"\xff"], ";"),
        lambda: values.json_string("f", values.encode_text("f", b"\xff")),
    ):
        with pytest.raises(ValueError, match=r"^field 'f': the bytes are not UTF-8 \(expected text"):
            store()


@pytest.mark.parametrize("value", ["a\0b", "\0", b"a\0"])
def test_nul_is_refused_where_the_index_would_cut_the_text(value: Any):
    for store in (
        lambda: values.encode_text("f", value),
        lambda: values.encode_tags("f", [value], ","),
        lambda: values.json_tags("f", value, ""),
        lambda: values.tag_parameter("f", value, ""),
    ):
        with pytest.raises(ValueError, match="holds NUL"):
            store()
    # Nothing is cut within JSON.
    assert values.encode_json("f", {"a": "a\0b"}) == b'{"a":"a\\u0000b"}'


@pytest.mark.parametrize("key", ["a\0b", "\0", ""])
def test_keys_that_searches_would_lose_are_refused(key: str):
    with pytest.raises(
        ValueError, match=r"^the key (holds NUL|is empty) \(expected some text without NUL\)$"
    ):
        values.document_key("p:", key)
    # What others stored under such a key can be read and deleted.
    assert values.document_command("DEL", "p:", key) == ("DEL", b"p:" + key.encode())


@pytest.mark.parametrize("key", [b"a", 5, None])
def test_keys_are_text(key: Any):
    for use in (values.document_key, lambda prefix, name: values.document_command("DEL", prefix, name)):
        with pytest.raises(TypeError, match=r"^the key is \w+ \(expected text\)$"):
            use("p:", key)


LONG = "é" * 2048


@pytest.mark.parametrize("separator", [",", ";"])
def test_labels_that_the_index_would_cut_are_refused_where_it_would(separator: str):
    assert values.encode_tags("f", [LONG], separator) == LONG.encode()
    assert values.encode_tags("f", f"  {LONG} ", separator) == f"  {LONG} ".encode()
    assert values.encode_tags("f", separator.join([LONG] * 3), separator) is not None
    for value in (f"{LONG}x", f"a{separator}{LONG}x", [f"{LONG}x"], {f"x{LONG}"}):
        for store in (values.encode_tags, values.json_tags):
            with pytest.raises(ValueError, match=r"a tag has 4097 bytes \(expected at most 4096"):
                store("f", value, separator)
    with pytest.raises(ValueError, match="a tag has 4097 bytes"):
        values.tag_parameter("f", f"{LONG}x", separator)
    # Without a separator nothing is cut.
    assert values.json_tags("f", [f"{LONG}x"], "") == [f"{LONG}x"]
    assert values.tag_parameter("f", f"{LONG}x", "") == f"{LONG}x".encode()


@pytest.mark.parametrize("label", ["", " ", "\t\n"])
def test_empty_labels_of_a_list_are_refused_unless_the_index_keeps_them(label: str):
    for store in (values.encode_tags, values.json_tags):
        with pytest.raises(ValueError, match=r"^field 'f': a tag is empty \(expected some text"):
            store("f", ["a", label], ";")
        assert store("f", ["a", label], ";", index_empty=True) is not None
        # Alone it is no label, as an empty list.
        assert store("f", label, ";") is not None
    with pytest.raises(ValueError, match="expected some text"):
        values.tag_parameter("f", label, ";")
    assert values.tag_parameter("f", label, ";", index_empty=True) == b""


def test_a_separator_is_refused_within_a_label_of_a_list_in_json_as_well():
    for store in (values.encode_tags, values.json_tags):
        with pytest.raises(ValueError, match="the tag 'a;b' contains the separator ';'"):
            store("f", ["a;b"], ";")
    assert values.json_tags("f", ["a;b", " "], "") == ["a;b", " "]
    with pytest.raises(ValueError, match=r"contains the separator ';' \(expected one label; a list stands"):
        values.tag_parameter("f", "a;b", ";")


@pytest.mark.parametrize("label", [5, True, None, ["a"], np.int64(5)])
def test_a_label_of_a_filter_is_text(label: Any):
    with pytest.raises(ValueError, match="the filter f has the label"):
        values.tag_parameter("f", label, ",")


@pytest.mark.parametrize(
    "shape",
    [
        "POINT(1 2)",
        "POINT ( -1.5  2e1 )\n",
        b"POINT(1 2)",
        "POLYGON((0 0, 0 1, 1 1, 0 0))",
        "POLYGON ( ( 0 0 , 0 1 , 1 1 ) )",
        "POLYGON((0 0,0 9,9 9,9 0,0 0),(1 1,1 2,2 2,1 1))",
    ],
)
def test_shapes_that_the_index_reads(shape: Any):
    assert values.encode_shape("f", shape) == (shape if isinstance(shape, bytes) else shape.encode())


RUBBISH = [
    *(
        "",
        "rubbish",
        "POINT",
        "POINT()",
        "POINT(1)",
        "POINT(1 2 3)",
        "POINT(1,2)",
        "POINT EMPTY",
        "POINT(1 2",
    ),
    *(" POINT(1 2)", "point(1 2)", "POINT(1 2) x", "POINT(nan 1)", "POINT(inf 1)", "POINT(1e400 1)"),
    *("POINT(0x1 1)", "POINT(1_0 2)", "POINT(1 2)(3 4)", "LINESTRING(0 0,1 1)", "POLYGON((0 0,1 0))"),
    *("POLYGON((0 0,0 0,0 0))", "POLYGON(0 0,0 1,1 1,0 0)", "POLYGON(())", "POLYGON EMPTY", "POINT(1 2)\0"),
    *("POLYGON((0 0,0 1,1 1,0 0)", "POLYGON((0 0,0 1,1 1,0 0),(1 1,2 2))", "MULTIPOINT((1 2))"),
]


@pytest.mark.parametrize("shape", RUBBISH)
def test_shapes_that_the_index_cannot_read_are_refused(shape: str):
    with pytest.raises(ValueError, match="^field 'f': "):
        values.encode_shape("f", shape)


def test_json_that_others_could_not_read_is_refused():
    for value in ({"a": math.nan}, [math.inf]):
        with pytest.raises(ValueError, match="^field 'f': .*JSON compliant"):
            values.encode_json("f", value)
    with pytest.raises(TypeError):
        values.encode_json("f", {"a": {1, 2}})
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ValueError, match="too deep"):
        values.encode_json("f", deep)
    itself: list[Any] = []
    itself.append(itself)
    with pytest.raises(ValueError, match="Circular"):
        values.encode_json("f", itself)


def test_json_keys_become_text_and_mappings_are_taken():
    assert values.encode_json("f", MappingProxyType({1: "ö", "b": None})) == '{"1":"ö","b":null}'.encode()
    assert values.encode_json("f", {Topic.NEWS: Topic.NEWS, "n": Level.HIGH}) == b'{"news":"news","n":3}'
    assert json.loads(values.encode_json("f", {1: [True]}) or b"") == {"1": [True]}


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def test_json_documents_are_as_deep_and_as_exact_as_the_server_keeps_them():
    def store(value: Any) -> Any:
        return values.json_set_command(b"k", [(("a", "b"), value), (("c",), None)])

    assert store(5) == ("JSON.SET", b"k", "$", b'{"a":{"b":5}}')
    store(nested(125))
    with pytest.raises(ValueError, match=r"lie too deep in each other \(expected at most 127 levels\)"):
        store(nested(126))
    # Many beside each other are not deep, and digits in a text are no number.
    store([[]] * 500)
    store("1" * 500)
    store([2**64 - 1, -(2**63), 1e300, "9" * 30])
    for number in (2**64, -(2**63) - 1, 10**400):
        with pytest.raises(ValueError, match="out of the range of 64 bits"):
            store({"n": [number]})


@pytest.mark.parametrize(
    ("value", "parameter"),
    [
        (5, 5.0),
        (np.int64(5), 5.0),
        (np.float32(0.5), 0.5),
        (True, 1.0),
        (math.inf, math.inf),
        (-1e308, -1e308),
    ],
)
def test_bounds_are_doubles(value: Any, parameter: float):
    found = values.number_parameter("f", value)
    assert type(found) is float
    assert found == parameter


@pytest.mark.parametrize("value", [math.nan, 10**400, -(10**400), "5", b"5", None, [1], 1j])
def test_what_is_no_bound_is_refused_by_the_name_of_its_field(value: Any):
    with pytest.raises(ValueError, match="^a bound of the filter f is "):
        values.number_parameter("f", value)
