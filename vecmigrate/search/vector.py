"""Vectors as the server stores them, and the reasons why some may not be stored.

A vector is accepted as a whole or refused with a reason; nothing is repaired. Two things must never reach
the server. A blob of the wrong size is left out of the index without an error. And under cosine a vector
without a direction poisons the answers to everybody: the server divides by its length, the distance is NaN,
and NaN is sorted first. That is so for zero, and for every vector whose length leaves the range of the
numbers that the server computes it in.
"""

from __future__ import annotations

import math
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from vecmigrate.spec.model import BYTES_PER_NUMBER, Datatype, Metric

Array: TypeAlias = npt.NDArray[Any]

# How each datatype lies in memory. numpy has no bfloat16: its bits are the upper half of a float32.
_STORED: Final[dict[Datatype, str]] = {
    "float32": "<f4",
    "float64": "<f8",
    "float16": "<f2",
    "bfloat16": "<u2",
    "int8": "|i1",
    "uint8": "|u1",
}
_WHOLE: Final = ("int8", "uint8")

# The squared lengths whose roots the server divides by correctly under cosine. Measured on RediSearch 2.10.5:
# for the 16-bit types the sum of squares is a float; for float32 it is a double and its root a float; for
# float64 both are doubles. Below the smallest normal number distances are wrong, then NaN; above the largest
# they are 1 from everything.
_FLOAT: Final = np.finfo(np.float32)
_DOUBLE: Final = np.finfo(np.float64)
_SQUARED_LENGTHS: Final[dict[Datatype, tuple[float, float]]] = {
    "float32": (float(_FLOAT.smallest_normal) ** 2, float(_FLOAT.max) ** 2),
    "float64": (float(_DOUBLE.smallest_normal), float(_DOUBLE.max)),
    "float16": (float(_FLOAT.smallest_normal), float(_FLOAT.max)),
    "bfloat16": (float(_FLOAT.smallest_normal), float(_FLOAT.max)),
    "int8": (1.0, math.inf),
    "uint8": (1.0, math.inf),
}


def encode_vector(vector: object, dims: int, datatype: Datatype, metric: Metric) -> bytes:
    """The bytes of one vector as a hash field holds them: `dims` little-endian numbers of `datatype`.

    Args:
        vector: Real numbers, shape (dims,): an array of any integer or floating dtype, a list or a tuple.
        dims: How many numbers the index expects.
        datatype: What each is stored as; floats are rounded to nearest, ties to even.
        metric: How the index compares; cosine takes no vector without a direction.

    Raises:
        ValueError: The vector has another shape or size, is not made of real numbers (text, objects,
            booleans and complex numbers are not), holds NaN or infinity, does not fit `datatype`, or has no
            direction under cosine. The message says which.
    """
    numbers = _as_numbers(vector, dims)
    blobs, reasons = encode_vectors(numbers[np.newaxis, :], datatype, metric)
    if reasons[0] is not None:
        raise ValueError(reasons[0])
    return blobs[0]


def vector_fault(vector: object, dims: int, datatype: Datatype, metric: Metric) -> str | None:
    """Why `vector` cannot be stored, or None: what `encode_vector` would raise, as a text."""
    try:
        encode_vector(vector, dims, datatype, metric)
    except ValueError as error:
        return str(error)
    return None


def encode_vectors(matrix: Array, datatype: Datatype, metric: Metric) -> tuple[list[bytes], list[str | None]]:
    """The bytes of many vectors at once, and for each the reason why it cannot be stored, or None.

    Args:
        matrix: Real numbers, shape (n, dims), any integer or floating dtype.
        datatype: What each number is stored as.
        metric: How the index compares.

    Returns:
        n blobs and n reasons, in the order of the rows. The blob of a row that has a reason is meaningless.
    """
    stored = _to_stored(matrix, datatype)
    width = stored.itemsize * matrix.shape[1]
    packed = stored.tobytes()
    blobs = [packed[start : start + width] for start in range(0, len(packed), width)]
    return blobs, _reasons(matrix, stored, datatype, metric)


def check_vectors(matrix: Array, datatype: Datatype, metric: Metric) -> list[str | None]:
    """For each row of `matrix`, shape (n, dims), the reason why it cannot be stored, or None."""
    return _reasons(matrix, _to_stored(matrix, datatype), datatype, metric)


def decode_vector(blob: bytes, datatype: Datatype) -> Array:
    """The numbers in a stored vector: shape (dims,), in the machine's byte order, writable.

    float64, int8 and uint8 come back as they are; the other types as float32, which holds each exactly.

    Raises:
        ValueError: The blob is not a whole number of numbers.
    """
    size = BYTES_PER_NUMBER[datatype]
    if len(blob) % size:
        raise ValueError(f"the blob has {len(blob)} bytes (expected a multiple of {size} for {datatype})")
    stored = np.frombuffer(blob, dtype=_STORED[datatype])
    if datatype == "bfloat16":
        return _widen_bfloat16(stored)
    wide = {"float16": np.dtype(np.float32)}.get(datatype, stored.dtype.newbyteorder("="))
    return stored.astype(wide)


def _as_numbers(vector: object, dims: int) -> Array:
    """`vector` as an array of real numbers, shape (dims,); raises ValueError with the reason."""
    if isinstance(vector, str | bytes | bytearray | memoryview):
        raise ValueError(f"the vector is {type(vector).__name__} (expected {dims} real numbers)")
    if isinstance(vector, list | tuple) and bool in set(map(type, vector)):
        raise ValueError(f"the vector holds booleans (expected {dims} real numbers)")
    try:
        array: Array = np.asarray(vector)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"the vector is not a row of numbers (expected {dims} real numbers)") from error
    if array.ndim != 1:
        raise ValueError(f"the vector has shape {array.shape} (expected ({dims},))")
    if array.shape[0] != dims:
        raise ValueError(f"the vector has {array.shape[0]} numbers (expected {dims})")
    if array.dtype.name == "bfloat16":  # of the package ml_dtypes; numpy itself does not know its kind
        return array.astype(np.float32)
    if array.dtype.kind not in "fiu":
        raise ValueError(f"the vector is of dtype {array.dtype} (expected real numbers)")
    return array


def _to_stored(matrix: Array, datatype: Datatype) -> Array:
    """`matrix` cast to what is stored, shape (n, dims). What does not fit shows when it is read back."""
    with np.errstate(all="ignore"):
        if datatype != "bfloat16":
            return matrix.astype(_STORED[datatype])
        bits = np.ascontiguousarray(matrix, dtype=np.float32).view(np.uint32)
        # Adding just under half of the dropped part, and its last kept bit, rounds ties to even.
        return ((bits + (0x7FFF + ((bits >> 16) & 1))) >> 16).astype(_STORED[datatype])


def _widen_bfloat16(stored: Array) -> Array:
    return (stored.astype(np.uint32) << 16).view(np.float32)


def _reasons(matrix: Array, stored: Array, datatype: Datatype, metric: Metric) -> list[str | None]:
    """Find the rows that may be at fault in one pass, then look at each of those closely."""
    kept = _widen_bfloat16(stored) if datatype == "bfloat16" else stored
    with np.errstate(all="ignore"):
        wide = kept.astype(np.float64)
        squared = np.einsum("ij,ij->i", wide, wide)
        # Whole numbers: a cast of NaN or of a number out of range gives some other number. Floats: a sum is
        # finite only where every number is (a float64 sum may also overflow, which the closer look forgives).
        good = (matrix == kept).all(axis=1) if datatype in _WHOLE else np.isfinite(squared)
    if metric == "cosine":
        low, high = _SQUARED_LENGTHS[datatype]
        good &= (squared >= low) & (squared <= high)
    reasons: list[str | None] = [None] * len(matrix)
    for row in np.flatnonzero(~good):
        reasons[row] = _reason(matrix[row], kept[row], float(squared[row]), datatype, metric)
    return reasons


def _reason(row: Array, kept: Array, squared: float, datatype: Datatype, metric: Metric) -> str | None:
    """Why one vector, shape (dims,), cannot be stored, or None; the gravest reason comes first."""
    if np.isnan(row).any():
        return "the vector holds NaN (expected finite numbers)"
    if np.isinf(row).any():
        return "the vector holds infinity (expected finite numbers)"
    if datatype in _WHOLE:
        changed = row[row != kept]
        if changed.size:
            low, high = (-128, 127) if datatype == "int8" else (0, 255)
            return (
                f"the vector holds {changed[0]} (expected whole numbers from {low} to {high} for {datatype})"
            )
    elif np.isinf(kept).any():
        return f"the vector holds {row[np.isinf(kept)][0]} (expected numbers in the range of {datatype})"
    if metric != "cosine":
        return None
    low_square, high_square = _SQUARED_LENGTHS[datatype]
    if not kept.any():
        how = f"becomes zero as {datatype}" if row.any() else "is zero"
        return f"the vector {how} (expected a direction, since the metric is cosine)"
    if squared < low_square:
        return f"the vector is too short (expected a squared length of at least {low_square:.3g} for cosine)"
    if squared > high_square:
        return f"the vector is too long (expected a squared length of at most {high_square:.3g} for cosine)"
    return None
