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

DOUBLE = 8


def decode_texts(texts: Sequence[bytes], dims: int) -> tuple[NDArray[np.float64], list[str | None]]:
    """Decode JSON arrays of `dims` numbers.

    Args:
        texts: n JSON texts.
        dims: How many numbers each must hold.

    Returns:
        A matrix (n, dims) of float64, and for each text None or what is wrong with it; the rows of the
        latter are zero. NaN and infinity, zero vectors and the like are for `helpers.vectors` to find.
    """
    parse = _parser()
    size = dims * DOUBLE
    zeros = memoryview(bytes(size))
    rows: list[memoryview] = []
    reasons: list[str | None] = [None] * len(texts)
    for position, text in enumerate(texts):
        row = parse(text)
        if row is None or row.nbytes != size:
            row, reasons[position] = _look_closely(text, dims)
        rows.append(zeros if row is None else row)
    return np.frombuffer(b"".join(rows), dtype=np.float64).reshape(len(texts), dims), reasons


def _parser() -> Callable[[bytes], memoryview | None]:
    """A function that decodes one text into doubles fast, or returns None where that takes a closer look."""
    if simdjson is None:
        return _parse_orjson
    parse_text = simdjson.Parser().parse

    def parse(text: bytes) -> memoryview | None:
        # A second bracket would be a nested array, which as_buffer flattens.
        if text.find(b"[", 1) != -1:
            return None
        try:
            array: Any = parse_text(text)
            return memoryview(array.as_buffer(of_type="d"))
        except (ValueError, TypeError, AttributeError, RuntimeError):
            return None

    return parse


def _parse_orjson(text: bytes) -> memoryview | None:
    try:
        value = orjson.loads(text)
        if type(value) is not list or not set(map(type, value)) <= {float, int}:
            return None
        return np.array(value, dtype=np.float64).data
    except (ValueError, OverflowError):
        return None


def _look_closely(text: bytes, dims: int) -> tuple[memoryview | None, str | None]:
    """The doubles in `text` where it is right after all, or what is wrong with it."""
    try:
        # The standard library's decoder also reads NaN and Infinity, as Python writes them.
        value: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        return (
            None,
            f"not JSON ({error if isinstance(error, json.JSONDecodeError) else type(error).__name__})",
        )
    if not isinstance(value, list):
        return None, f"not a JSON array but {_kind(value)}"
    for place, item in enumerate(value):
        if isinstance(item, bool) or not isinstance(item, int | float):
            return None, f"element {place} is {_kind(item)}, not a number"
    if len(value) != dims:
        return None, f"{len(value)} numbers ({dims} expected)"
    try:
        return np.array(value, dtype=np.float64).data, None
    except OverflowError:
        return None, "a number is too large for a double"


def _kind(value: object) -> str:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
