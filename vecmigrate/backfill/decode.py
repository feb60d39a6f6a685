"""JSON texts of vectors, decoded a batch at a time; what cannot be decoded gets its reason."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

try:
    import simdjson
except ImportError:  # The extra `fast` is not installed: orjson does it, at some 40,000 vectors a second.
    simdjson = None  # type: ignore[assignment]  # a missing module is told by None

Row = NDArray[np.float64]


def decode_texts(texts: Sequence[bytes], dims: int) -> tuple[NDArray[np.float64], list[str | None]]:
    """Decode JSON arrays of `dims` numbers.

    Args:
        texts: n JSON texts.
        dims: How many numbers each must hold.

    Returns:
        A matrix (n, dims) of float64, and for each text None or what is wrong with it; the rows of the
        latter are zero. NaN and infinity, zero vectors and the like are for `search.vector` to find.
    """
    matrix = np.zeros((len(texts), dims), dtype=np.float64)
    reasons: list[str | None] = [None] * len(texts)
    parse = _parser()
    for position, text in enumerate(texts):
        row = parse(text)
        if row is not None and row.shape[0] == dims:
            matrix[position] = row
        else:
            reasons[position] = _reason(text, dims, matrix[position])
    return matrix, reasons


def _parser() -> Callable[[bytes], Row | None]:
    """A function that decodes one text fast, or returns None where that takes a closer look."""
    if simdjson is None:
        return _parse_orjson
    parser = simdjson.Parser()

    def parse(text: bytes) -> Row | None:
        # as_buffer would flatten nested arrays.
        if text.count(b"[") != 1:
            return None
        try:
            return np.frombuffer(parser.parse(text).as_buffer(of_type="d"), dtype=np.float64)
        except (ValueError, TypeError, AttributeError, RuntimeError):
            return None

    return parse


def _parse_orjson(text: bytes) -> Row | None:
    try:
        value = orjson.loads(text)
        if type(value) is not list or not all(type(number) is float for number in value):
            return None
        return np.array(value, dtype=np.float64)
    except (ValueError, OverflowError):
        return None


def _reason(text: bytes, dims: int, row: Row) -> str | None:
    """What is wrong with `text`; None where it is right after all, with its numbers in `row`."""
    try:
        # The standard library's decoder also reads NaN and Infinity, as Python writes them.
        value: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        return f"not JSON ({str(error) if isinstance(error, json.JSONDecodeError) else type(error).__name__})"
    if not isinstance(value, list):
        return f"not a JSON array but {_kind(value)}"
    for place, item in enumerate(value):
        if isinstance(item, bool) or not isinstance(item, int | float):
            return f"element {place} is {_kind(item)}, not a number"
    if len(value) != dims:
        return f"{len(value)} numbers ({dims} expected)"
    try:
        row[:] = value
    except OverflowError:
        return "a number is too large for a double"
    return None


def _kind(value: object) -> str:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
