"""Vectors on their way into a document or a query, and back."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from vecmigrate.helpers.common import Vector

# Squared lengths that a server can divide by: it adds them up in doubles for float32 and float64, and in
# single precision for the 16-bit types. Outside, a cosine distance is NaN, or 1 from everything.
DOUBLE_LENGTHS: Final = (
    float(np.finfo(np.float64).smallest_normal),
    float(np.finfo(np.float64).max),
)


SINGLE_LENGTHS: Final = (
    float(np.finfo(np.float32).smallest_normal),
    float(np.finfo(np.float32).max),
)


# Squared lengths well within all limits, however roughly they are added up.
SURELY_FINE: Final = (1e-30, 1e30)


# Where the metric needs no direction, a finite sum says that all numbers are finite.
ANY_LENGTH: Final = (0.0, float(np.finfo(np.float64).max))


def as_numbers(vector: Vector, dims: int) -> npt.NDArray[Any]:
    """`vector` as an array of real numbers, shape (dims,).

    Raises:
        ValueError: It has another shape or size, or is not made of real numbers.
    """
    if isinstance(vector, str | bytes | bytearray | memoryview):
        raise ValueError(
            f"the vector is {type(vector).__name__} (expected {dims} real numbers)",
        )
    if isinstance(vector, list | tuple) and bool in set(map(type, vector)):
        raise ValueError(f"the vector holds booleans (expected {dims} real numbers)")
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
    if numbers.dtype.kind in "fiu":
        return numbers
    if numbers.dtype.name == "bfloat16":  # of the package ml_dtypes
        return numbers.astype(np.float32)
    raise ValueError(f"the vector is of dtype {numbers.dtype} (expected real numbers)")


def floats_to_blob(
    vector: Vector,
    dims: int,
    dtype: str,
    lengths: tuple[float, float],
    *,
    cosine: bool,
) -> bytes:
    """The bytes of a vector of floating-point numbers.

    Args:
        vector: Real numbers, shape (dims,).
        dims: How many numbers the index expects.
        dtype: numpy's name of what each is stored as, with the byte order.
        lengths: The smallest and largest squared length that need no closer look.
        cosine: The index compares by cosine, so a vector needs a direction.

    Raises:
        ValueError: The vector cannot be stored; the message says why.
    """
    if (
        type(vector) is np.ndarray
        and vector.dtype == dtype
        and vector.shape == (dims,)
        and vector.itemsize > 2
        and SURELY_FINE[0] < vector.dot(vector) < SURELY_FINE[1]
    ):
        # Most vectors are of the stored type already, and of a length that leaves no doubt.
        return vector.tobytes()
    numbers = as_numbers(vector, dims)
    with np.errstate(all="ignore"):
        stored = numbers.astype(dtype)
        wide = stored.astype(np.float64)
        squared = float(wide @ wide)
    if not lengths[0] <= squared <= lengths[1]:
        check_floats(
            numbers,
            stored,
            squared,
            np.dtype(dtype).name,
            lengths,
            cosine=cosine,
        )
    return stored.tobytes()


def bfloat16_to_blob(
    vector: Vector,
    dims: int,
    lengths: tuple[float, float],
    *,
    cosine: bool,
) -> bytes:
    """The bytes of a vector of bfloat16, the upper halves of float32: as `floats_to_blob`."""
    numbers = as_numbers(vector, dims)
    with np.errstate(all="ignore"):
        bits = np.ascontiguousarray(numbers, dtype=np.float32).view(np.uint32)
        # Adding just under half of the dropped part, and its last kept bit, rounds ties to even.
        halves = ((bits + (0x7FFF + ((bits >> 16) & 1))) >> 16).astype("<u2")
        stored = (halves.astype(np.uint32) << 16).view(np.float32)
        wide = stored.astype(np.float64)
        squared = float(wide @ wide)
    if not lengths[0] <= squared <= lengths[1]:
        check_floats(numbers, stored, squared, "bfloat16", lengths, cosine=cosine)
    return halves.tobytes()


def check_floats(
    numbers: npt.NDArray[Any],
    stored: npt.NDArray[Any],
    squared: float,
    datatype: str,
    lengths: tuple[float, float],
    *,
    cosine: bool,
) -> None:
    """Raise ValueError with the reason if `numbers`, kept as `stored`, would spoil the index."""
    if np.isnan(numbers).any():
        raise ValueError("the vector holds NaN (expected finite numbers)")
    if np.isinf(numbers).any():
        raise ValueError("the vector holds infinity (expected finite numbers)")
    too_large = np.isinf(stored)
    if too_large.any():
        raise ValueError(
            f"the vector holds {numbers[too_large][0]} (expected numbers in the range of {datatype})",
        )
    if not cosine:
        return
    shortest, longest = lengths
    if not stored.any():
        how = f"becomes zero as {datatype}" if numbers.any() else "is zero"
        raise ValueError(
            f"the vector {how} (expected a direction, since the metric is cosine)",
        )
    if squared < shortest:
        raise ValueError(
            f"the vector is too short (expected a squared length of at least {shortest:.3g} for cosine)",
        )
    raise ValueError(
        f"the vector is too long (expected a squared length of at most {longest:.3g} for cosine)",
    )


def whole_to_blob(vector: Vector, dims: int, dtype: str, *, cosine: bool) -> bytes:
    """The bytes of a vector of int8 or uint8 (`dtype`, numpy's name).

    Raises:
        ValueError: The vector cannot be stored; the message says why.
    """
    numbers = as_numbers(vector, dims)
    with np.errstate(all="ignore"):
        stored = numbers.astype(dtype)
    if not np.equal(numbers, stored).all():
        if np.isnan(numbers).any():
            raise ValueError("the vector holds NaN (expected finite numbers)")
        if np.isinf(numbers).any():
            raise ValueError("the vector holds infinity (expected finite numbers)")
        changed = numbers[numbers != stored]
        limits = np.iinfo(stored.dtype)
        raise ValueError(
            f"the vector holds {changed[0]} (expected whole numbers from {limits.min} to {limits.max}"
            f" for {stored.dtype.name})",
        )
    if cosine and not stored.any():
        raise ValueError(
            "the vector is zero (expected a direction, since the metric is cosine)",
        )
    return stored.tobytes()


def blob_to_vector(
    blob: bytes | None,
    size: int,
    dtype: str,
    wide: type[np.generic],
) -> Any:
    """The numbers of a stored vector, or None where `blob` is missing or has not `size` bytes."""
    if blob is None or len(blob) != size:
        return None
    return np.frombuffer(blob, dtype=dtype).astype(wide)


def bfloat16_to_vector(blob: bytes | None, size: int) -> Any:
    """The numbers of a stored vector of bfloat16 as float32, or None: as `blob_to_vector`."""
    if blob is None or len(blob) != size:
        return None
    return (np.frombuffer(blob, dtype="<u2").astype(np.uint32) << 16).view(np.float32)


def numbers_to_vector(numbers: Any, dims: int, dtype: type[np.generic]) -> Any:
    """The numbers in a JSON document as an array, or None where there are not `dims` of them."""
    if not isinstance(numbers, list) or len(numbers) != dims:
        return None
    return np.array(numbers, dtype=dtype)


def blob_to_list(blob: bytes, dtype: str) -> list[Any]:
    """The numbers of a blob, for a JSON document."""
    numbers: list[Any] = np.frombuffer(blob, dtype=dtype).tolist()
    return numbers


def bfloat16_to_list(blob: bytes) -> list[Any]:
    """The numbers of a blob of bfloat16, for a JSON document."""
    halves = np.frombuffer(blob, dtype="<u2").astype(np.uint32)
    numbers: list[Any] = (halves << 16).view(np.float32).tolist()
    return numbers
