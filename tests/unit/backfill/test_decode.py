"""Decoding agrees with json and numpy, whichever parser does it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from vecmigrate.backfill import decode
from vecmigrate.backfill.decode import decode_texts

FLOATS = st.floats(allow_nan=True, allow_infinity=True)
NUMBERS = st.one_of(FLOATS, st.integers(), st.integers(-(2**70), 2**70))
ANY_JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)
SPACES = st.text(" \t\n\r", max_size=3)


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    """Vectors as Python and others write them, other JSON, cut-off JSON, and anything at all."""
    kind = draw(st.sampled_from(["vector", "vector", "vector", "json", "cut", "bytes"]))
    if kind == "bytes":
        return draw(st.binary(max_size=20))
    value = draw(st.lists(NUMBERS, min_size=3, max_size=3) if kind == "vector" else ANY_JSON)
    text = json.dumps(value, indent=draw(st.sampled_from([None, 1])), ensure_ascii=draw(st.booleans()))
    text = draw(SPACES) + text + draw(SPACES)
    data = text.encode(errors="replace")
    return data[: draw(st.integers(0, len(data)))] if kind == "cut" else data


def by_the_book(text: bytes, dims: int) -> Any:
    """The vector in `text` by json and numpy, or None."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, list) or len(value) != dims:
        return None
    if not all(type(item) in (int, float) for item in value):
        return None
    try:
        return np.array([float(item) for item in value])
    except OverflowError:
        return None


@pytest.fixture(params=["simdjson", "orjson"])
def parser(request, monkeypatch):
    if request.param == "orjson":
        monkeypatch.setattr(decode, "simdjson", None)
    else:
        pytest.importorskip("simdjson")
    return request.param


class TestBothParsers:
    # The fixture chooses a parser, which is the same for every example.
    @settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.lists(texts(), max_size=6))
    @example([b"[1, 2, 3]", b"[NaN, Infinity, -Infinity]", b"[1e400, 0, 0]", b"[1, [2], 3]", b"[[1, 2, 3]]"])
    @example([b'["[", 1, 2]', b"[true, 1, 2]", b"[null, 1, 2]", b"[1, 2, 3] 4", b"\xef\xbb\xbf[1, 2, 3]"])
    @example([b"[18446744073709551615, 9223372036854775808, -9223372036854775808]", b"[-0, -0.0, 0]"])
    @example([str([10**400, 1, 2]).encode(), b"", b"[", b"[]", b"{}", b"[1, 2]", b"[1, 2, 3, 4]"])
    @example([json.dumps([1, 2, 3]).encode("utf-16"), b"[1, 2, 3\x00]", b"[" * 5000])
    def test_they_agree_with_json_and_numpy(self, parser, batch: list[bytes]):
        matrix, reasons = decode_texts(batch, 3)
        assert matrix.shape == (len(batch), 3)
        assert matrix.dtype == np.float64
        for text, row, reason in zip(batch, matrix, reasons, strict=True):
            expected = by_the_book(text, 3)
            if expected is None:
                assert reason, text
                assert not row.any()
            else:
                assert reason is None, (text, reason)
                np.testing.assert_array_equal(row, expected)

    def test_rows_do_not_share_memory_with_one_another(self, parser):
        matrix, reasons = decode_texts([b"[%d, 0, 0]" % number for number in range(500)], 3)
        assert matrix[:, 0].tolist() == list(range(500))
        assert reasons == [None] * 500

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            (b"[1", "not JSON"),
            (b"\xff", "not JSON"),
            (b"", "not JSON"),
            (b"null", "not a JSON array but null"),
            (b"true", "not a JSON array but a boolean"),
            (b'"[1, 2, 3]"', "not a JSON array but a string"),
            (b'{"v": [1]}', "not a JSON array but an object"),
            (b"5", "not a JSON array but a number"),
            (b"[1, 2]", "2 numbers (3 expected)"),
            (b"[]", "0 numbers (3 expected)"),
            (b'[1, "2", 3]', "element 1 is a string, not a number"),
            (b"[[1, 2, 3]]", "element 0 is an array, not a number"),
            (b"[1, 2, null]", "element 2 is null, not a number"),
            (b"[1, true, 3]", "element 1 is a boolean, not a number"),
            (b"[1%b, 2, 3]" % (b"0" * 400), "a number is too large for a double"),
        ],
    )
    def test_reasons(self, parser, text: bytes, reason: str):
        _, (found,) = decode_texts([text], 3)
        assert found is not None
        assert reason in found
        assert "\n" not in found
