"""Vectors as the server stores them, and the reasons why some may not be stored.

A vector is accepted as a whole or refused with a reason; nothing is repaired. Two things must never reach
the server. A blob of the wrong size is left out of the index without an error. And under cosine a vector
without a direction poisons the answers to everybody: the server divides by its length, the distance is NaN,
and NaN is sorted first. That is so for zero, and for every vector whose length leaves the range of the
numbers that the server computes it in.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from vecmigrate.helpers.common import Vector

# How each datatype lies in memory. numpy has no bfloat16: its bits are the upper half of a float32.
STORED_AS: Final[dict[str, np.dtype[Any]]] = {
    "float32": np.dtype("<f4"),
    "float64": np.dtype("<f8"),
    "float16": np.dtype("<f2"),
    "bfloat16": np.dtype("<u2"),
    "int8": np.dtype("i1"),
    "uint8": np.dtype("u1"),
}


# As what its numbers are given back: 16 bits in float32, which holds each exactly.
READ_AS: Final[dict[str, type[np.generic]]] = {
    "float32": np.float32,
    "float64": np.float64,
    "float16": np.float32,
    "bfloat16": np.float32,
    "int8": np.int8,
    "uint8": np.uint8,
}


WHOLE_RANGES: Final = {"int8": (-128, 127), "uint8": (0, 255)}


# The squared lengths whose roots the server divides by correctly under cosine. Measured on RediSearch 2.10.5:
# for the 16-bit types the sum of squares is a float; for float32 it is a double and its root a float; for
# float64 both are doubles. Below the smallest normal number distances are wrong, then NaN; above the largest
# they are 1 from everything.
FLOAT: Final = (
    float(np.finfo(np.float32).smallest_normal),
    float(np.finfo(np.float32).max),
)


SQUARED_LENGTHS: Final[dict[str, tuple[float, float]]] = {
    "float32": (FLOAT[0] ** 2, FLOAT[1] ** 2),
    "float64": (
        float(np.finfo(np.float64).smallest_normal),
        float(np.finfo(np.float64).max),
    ),
    "float16": FLOAT,
    "bfloat16": FLOAT,
    "int8": (1.0, math.inf),
    "uint8": (1.0, math.inf),
}


# Numbers, and rows of them, that need no closer look.
PLAIN: Final = frozenset({float, int, np.ndarray})


# Squared lengths well within all limits, however roughly they are added up.
SURELY_FINE: Final = (1e-30, 1e30)


def encode_vector(vector: Vector, dims: int, datatype: str, metric: str) -> bytes:
    """The bytes of one vector, for a field or a query: `dims` little-endian numbers of `datatype`.

    Args:
        vector: Real numbers, shape (dims,): an array of any integer or floating dtype, a list or a tuple.
        dims: How many numbers the index expects.
        datatype: What each is stored as; floats are rounded to nearest, ties to even.
        metric: How the index compares; `cosine` takes no vector without a direction.

    Raises:
        ValueError: The vector has another shape or size, is not made of real numbers (text, objects,
            booleans and complex numbers are not), has masked numbers, holds NaN or infinity, does not fit
            `datatype`, or has no direction under cosine. The message says which.
    """
    dtype = STORED_AS[datatype]
    if (
        type(vector) is np.ndarray
        and vector.dtype == dtype
        and vector.shape == (dims,)
        and vector.itemsize > 2
        and SURELY_FINE[0] < np.vdot(vector, vector) < SURELY_FINE[1]
    ):
        # Most vectors are of the stored type already, and of a length that leaves no doubt.
        return vector.tobytes()
    numbers = as_numbers(vector, dims)
    with np.errstate(all="ignore"):
        stored = to_stored(numbers, datatype)
        kept = widened(stored, datatype)
        wide = kept.astype(np.float64)
        squared = float(wide @ wide)
        is_same = datatype not in WHOLE_RANGES or (numbers == kept).all()
    low, high = SQUARED_LENGTHS[datatype]
    if not is_same or not low <= squared <= high:
        reason = vector_reason(numbers, kept, squared, datatype, metric)
        if reason is not None:
            raise ValueError(reason)
    return stored.tobytes()


def encode_vectors(
    matrix: npt.NDArray[Any],
    datatype: str,
    metric: str,
) -> tuple[list[bytes], list[str | None]]:
    """The bytes of many vectors at once, and for each the reason why it cannot be stored, or None.

    Args:
        matrix: Real numbers, shape (n, dims), any integer or floating dtype.
        datatype: What each number is stored as.
        metric: How the index compares.

    Returns:
        n blobs and n reasons, in the order of the rows. The blob of a row that has a reason is meaningless.
    """
    with np.errstate(all="ignore"):
        stored = to_stored(matrix, datatype)
    width = stored.itemsize * matrix.shape[1]
    packed = stored.tobytes()
    blobs = [packed[start : start + width] for start in range(0, len(packed), width)]
    kept = widened(stored, datatype)
    with np.errstate(all="ignore"):
        wide = kept.astype(np.float64)
        squared = np.einsum("ij,ij->i", wide, wide)
        low, high = SQUARED_LENGTHS[datatype]
        good = (squared >= low) & (squared <= high)
        if datatype in WHOLE_RANGES:
            good &= (matrix == kept).all(axis=1)
    reasons: list[str | None] = [None] * len(matrix)
    for row in np.flatnonzero(~good):
        numbers, length = matrix[row], float(squared[row])
        reasons[row] = vector_reason(numbers, kept[row], length, datatype, metric)
    return blobs, reasons


def as_numbers(vector: Vector, dims: int) -> npt.NDArray[Any]:
    """`vector` as an array of real numbers, shape (dims,).

    Raises:
        ValueError: It has another shape or size, or is not made of real numbers.
    """
    if isinstance(vector, str | bytes | bytearray | memoryview):
        raise ValueError(
            f"the vector is {type(vector).__name__} (expected {dims} real numbers)",
        )
    is_row = isinstance(vector, list | tuple)
    kinds = set(map(type, vector)) if is_row else {type(vector)}
    is_plain = kinds <= PLAIN
    if not is_plain and any(issubclass(kind, bool | np.bool_) for kind in kinds):
        raise ValueError(f"the vector holds booleans (expected {dims} real numbers)")
    if not is_plain and (np.ma.is_masked(vector) or np.ma.core.MaskedConstant in kinds):
        raise ValueError(
            f"the vector has masked numbers (expected {dims} real numbers; fill them in first)",
        )
    try:
        numbers: npt.NDArray[Any] = np.asarray(vector)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(
            f"the vector is not a row of numbers (expected {dims} real numbers)",
        ) from error
    if numbers.ndim != 1:
        raise ValueError(f"the vector has shape {numbers.shape} (expected ({dims},))")
    if numbers.shape[0] != dims:
        raise ValueError(f"the vector has {numbers.shape[0]} numbers (expected {dims})")
    if numbers.dtype.name == "bfloat16":  # of the package ml_dtypes
        return numbers.astype(np.float32)
    if numbers.dtype.kind not in "fiu":
        raise ValueError(
            f"the vector is of dtype {numbers.dtype} (expected real numbers)",
        )
    return numbers


def to_stored(numbers: npt.NDArray[Any], datatype: str) -> npt.NDArray[Any]:
    """Numbers cast to what is stored, in the same shape. What does not fit shows when it is read back."""
    if datatype != "bfloat16":
        return numbers.astype(STORED_AS[datatype])
    bits = np.ascontiguousarray(numbers, dtype=np.float32).view(np.uint32)
    # Adding just under half of the dropped part, and its last kept bit, rounds ties to even.
    halves = (bits + (0x7FFF + ((bits >> 16) & 1))) >> 16
    return halves.astype(STORED_AS[datatype])


def widened(stored: npt.NDArray[Any], datatype: str) -> npt.NDArray[Any]:
    """Stored numbers as numpy can compute with them: bfloat16 as float32, all else as it is."""
    if datatype != "bfloat16":
        return stored
    return (stored.astype(np.uint32) << 16).view(np.float32)


def vector_reason(
    numbers: npt.NDArray[Any],
    kept: npt.NDArray[Any],
    squared: float,
    datatype: str,
    metric: str,
) -> str | None:
    """Why `numbers`, shape (dims,), cannot be stored as `kept`, or None; the most serious reason first."""
    if np.isnan(numbers).any():
        return "the vector holds NaN (expected finite numbers)"
    if np.isinf(numbers).any():
        return "the vector holds infinity (expected finite numbers)"
    expected = f"numbers in the range of {datatype}"
    if datatype in WHOLE_RANGES:
        smallest, largest = WHOLE_RANGES[datatype]
        expected = f"whole numbers from {smallest} to {largest} for {datatype}"
        changed = numbers[numbers != kept]
    else:
        changed = numbers[np.isinf(kept)]
    if changed.size:
        return f"the vector holds {changed[0]} (expected {expected})"
    if metric != "cosine":
        return None
    if not kept.any():
        how = f"becomes zero as {datatype}" if numbers.any() else "is zero"
        return f"the vector {how} (expected a direction, since the metric is cosine)"
    low, high = SQUARED_LENGTHS[datatype]
    if low <= squared <= high:
        return None
    how, limit = ("short", "least") if squared < low else ("long", "most")
    length = f"a squared length of at {limit} {low if squared < low else high:.3g}"
    return f"the vector is too {how} (expected {length} for cosine)"


def decode_vector(blob: bytes | None, dims: int, datatype: str) -> Any:
    """The numbers of a stored vector: shape (dims,), in the machine's byte order, writable.

    None where `blob` is missing or is not `dims` numbers long.
    """
    stored_as = STORED_AS[datatype]
    if blob is None or len(blob) != dims * stored_as.itemsize:
        return None
    stored = np.frombuffer(blob, dtype=stored_as)
    with np.errstate(all="ignore"):
        return widened(stored, datatype).astype(READ_AS[datatype])


def decode_numbers(numbers: Any, dims: int, datatype: str) -> Any:
    """The numbers in a JSON document as an array: as `decode_vector`; None where they are no such numbers."""
    if not isinstance(numbers, list) or len(numbers) != dims:
        return None
    if not all(type(number) is float or type(number) is int for number in numbers):
        return None
    try:
        with np.errstate(all="ignore"):
            return np.array(numbers, dtype=READ_AS[datatype])
    except OverflowError:
        return None


def blob_to_list(blob: bytes, dims: int, datatype: str) -> list[Any]:
    """The numbers of a blob that `encode_vector` made, for a JSON document."""
    numbers: list[Any] = decode_vector(blob, dims, datatype).tolist()
    return numbers
