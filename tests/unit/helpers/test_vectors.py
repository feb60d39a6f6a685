from __future__ import annotations

import contextlib
import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vecmigrate.helpers.vectors import decode_numbers, decode_vector, encode_vector, encode_vectors
from vecmigrate.spec.model import BYTES_PER_NUMBER, Datatype, Metric

DATATYPES: tuple[Datatype, ...] = tuple(BYTES_PER_NUMBER)
METRICS: tuple[Metric, ...] = ("cosine", "l2", "ip")


def vector_fault(vector: Any, dims: int, datatype: Datatype, metric: Metric) -> str | None:
    """Why a vector cannot be stored, or None."""
    try:
        encode_vector(vector, dims, datatype, metric)
    except ValueError as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    ("datatype", "blob"),
    [
        ("float32", "0000803f 000000c0"),
        ("float64", "000000000000f03f 00000000000000c0"),
        ("float16", "003c 00c0"),
        ("bfloat16", "803f 00c0"),
        ("int8", "01 fe"),
    ],
)
@pytest.mark.parametrize(
    "vector",
    [
        [1, -2],
        (1.0, -2.0),
        np.array([1, -2], dtype=np.int64),
        np.array([1, -2], dtype=">f8"),
        np.array([1, -2], dtype=np.float16),
        np.array([1, -2], dtype=ml_dtypes.bfloat16),
        np.array([1, 9, -2, 9], dtype=np.float32)[::2],
    ],
    ids=lambda vector: f"{type(vector).__name__}-{getattr(vector, 'dtype', '')}",
)
def test_bytes_are_little_endian_whatever_the_vector_is_made_of(
    vector: Any, datatype: Datatype, blob: str
) -> None:
    assert encode_vector(vector, 2, datatype, "cosine") == bytes.fromhex(blob)


def test_uint8() -> None:
    assert encode_vector([0, 255], 2, "uint8", "cosine") == b"\x00\xff"


@pytest.mark.parametrize(
    ("vector", "reason"),
    [
        ([1.0], "has 1 numbers (expected 2)"),
        ([], "has 0 numbers (expected 2)"),
        ([1.0, 2.0, 3.0], "has 3 numbers (expected 2)"),
        ([[1.0, 2.0]], "has shape (1, 2) (expected (2,))"),
        (np.ones((1, 2)), "has shape (1, 2) (expected (2,))"),
        (1.0, "has shape () (expected (2,))"),
        (None, "has shape () (expected (2,))"),
        ({}, "has shape () (expected (2,))"),
        ([[1.0], [1.0, 2.0]], "is not a row of numbers"),
        ("12", "is str (expected 2 real numbers)"),
        (b"12", "is bytes (expected 2 real numbers)"),
        (bytearray(2), "is bytearray (expected 2 real numbers)"),
        (["1", "2"], "is of dtype <U1 (expected real numbers)"),
        ([1.0, None], "is of dtype object (expected real numbers)"),
        ([10**400, 1], "is of dtype object (expected real numbers)"),
        ([1j, 2j], "is of dtype complex128 (expected real numbers)"),
        ([True, 1.5], "holds booleans (expected 2 real numbers)"),
        (np.array([True, False]), "is of dtype bool (expected real numbers)"),
        (np.array(["2020-01-01"] * 2, dtype="M8[D]"), "is of dtype datetime64[D] (expected real numbers)"),
        ([1.0, math.nan], "holds NaN (expected finite numbers)"),
        ([1.0, math.inf], "holds infinity (expected finite numbers)"),
        ([-math.inf, math.inf], "holds infinity (expected finite numbers)"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("datatype", DATATYPES)
def test_what_is_no_vector_is_refused_under_every_datatype_and_metric(
    vector: Any, reason: str, datatype: Datatype
) -> None:
    for metric in METRICS:
        with pytest.raises(ValueError, match="^the vector ") as caught:
            encode_vector(vector, 2, datatype, metric)
        assert reason in str(caught.value)
        assert vector_fault(vector, 2, datatype, metric) == str(caught.value)


@pytest.mark.parametrize(
    ("datatype", "number"),
    [("float32", 1e39), ("float16", 70000.0), ("bfloat16", 3.4e38), ("bfloat16", 1e39)],
)
def test_what_overflows_is_refused_and_not_stored_as_infinity(datatype: Datatype, number: float) -> None:
    with pytest.raises(ValueError, match="the vector holds -") as caught:
        encode_vector([1.0, -number], 2, datatype, "l2")
    assert str(caught.value) == f"the vector holds {-number} (expected numbers in the range of {datatype})"


@pytest.mark.parametrize(
    ("datatype", "number", "expected"),
    [
        ("int8", 128, "-128 to 127"),
        ("int8", -129, "-128 to 127"),
        ("int8", 0.5, "-128 to 127"),
        ("int8", 1e300, "-128 to 127"),
        ("uint8", -1, "0 to 255"),
        ("uint8", 256, "0 to 255"),
        ("uint8", 2**63, "0 to 255"),
    ],
)
def test_whole_numbers_out_of_range_are_refused(datatype: Datatype, number: float, expected: str) -> None:
    with pytest.raises(
        ValueError, match=rf"the vector holds .* \(expected whole numbers from {expected} for"
    ):
        encode_vector([1, number], 2, datatype, "l2")


@pytest.mark.parametrize("datatype", DATATYPES)
def test_zero_is_refused_under_cosine_only(datatype: Datatype) -> None:
    with pytest.raises(ValueError, match="the vector is zero"):
        encode_vector([0.0, -0.0], 2, datatype, "cosine")
    assert vector_fault([0, 0], 2, datatype, "l2") is None
    assert vector_fault([0, 0], 2, datatype, "ip") is None


@pytest.mark.parametrize(
    ("datatype", "number", "reason"),
    [
        ("float32", 1e-46, "becomes zero as float32"),
        ("float32", 1e-38, "is too short"),
        ("float16", 1e-8, "becomes zero as float16"),
        ("bfloat16", 1e-41, "becomes zero as bfloat16"),
        ("float64", 1e-163, "is too short"),
        ("float64", 1e155, "is too long"),
        ("bfloat16", 1e-23, "is too short"),
        ("bfloat16", 1e20, "is too long"),
    ],
)
def test_a_length_that_the_server_cannot_divide_by_is_refused_under_cosine_only(
    datatype: Datatype, number: float, reason: str
) -> None:
    with pytest.raises(ValueError, match=f"the vector {reason}"):
        encode_vector([number, 0.0], 2, datatype, "cosine")
    assert vector_fault([number, 0.0], 2, datatype, "l2") is None


def test_components_in_range_may_still_be_too_long_together() -> None:
    assert vector_fault([3e38, 0.0], 2, "float32", "cosine") is None
    with pytest.raises(ValueError, match=r"too long \(expected a squared length of at most 1.16e\+77 for"):
        encode_vector([3e38, 3e38], 2, "float32", "cosine")


@pytest.mark.parametrize(
    ("datatype", "number"),
    [("float32", 1.2e-38), ("float32", 3.4e38), ("float64", 1e-150), ("float16", 1e-7), ("bfloat16", 1e18)],
)
def test_short_and_long_vectors_that_the_server_can_take_are_taken(datatype: Datatype, number: float) -> None:
    assert vector_fault([number, 0.0], 2, datatype, "cosine") is None


finite32 = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(hnp.arrays(np.float32, st.integers(1, 8), elements=finite32))
def test_bfloat16_rounds_as_ml_dtypes_does(row: np.ndarray) -> None:
    with np.errstate(over="ignore"):
        expected = row.astype(ml_dtypes.bfloat16)
    fault = vector_fault(row, len(row), "bfloat16", "l2")
    if np.isinf(expected.astype(np.float32)).any():
        assert fault is not None
    else:
        assert encode_vector(row, len(row), "bfloat16", "l2") == expected.tobytes()


@given(
    st.sampled_from(DATATYPES),
    st.integers(1, 6).flatmap(lambda dims: hnp.arrays(np.int16, dims, elements=st.integers(0, 100))),
)
def test_small_whole_numbers_come_back_as_they_were(datatype: Datatype, row: np.ndarray) -> None:
    decoded = decode_vector(encode_vector(row, len(row), datatype, "ip"), len(row), datatype)
    assert decoded.shape == row.shape
    assert decoded.dtype.isnative
    assert decoded.flags.writeable
    assert (decoded == row).all()


@pytest.mark.parametrize(
    ("datatype", "dtype"),
    [
        ("float32", np.float32),
        ("float64", np.float64),
        ("float16", np.float32),
        ("bfloat16", np.float32),
        ("int8", np.int8),
        ("uint8", np.uint8),
    ],
)
def test_what_decoding_gives(datatype: Datatype, dtype: type) -> None:
    assert decode_vector(bytes(2 * BYTES_PER_NUMBER[datatype]), 2, datatype).dtype == dtype
    assert decode_numbers([1, 2], 2, datatype).dtype == dtype


@pytest.mark.parametrize("blob", [None, b"", bytes(7), bytes(12)])
def test_a_blob_of_another_size_is_no_vector(blob: bytes | None) -> None:
    assert decode_vector(blob, 2, "float32") is None


@pytest.mark.parametrize("numbers", [None, "12", [1], [1, 2, 3], [1, None], [1, "2"], [1, True], [[1], [2]]])
def test_what_a_json_document_holds_may_be_no_vector(numbers: Any) -> None:
    assert decode_numbers(numbers, 2, "float32") is None


@pytest.mark.parametrize("datatype", DATATYPES)
def test_numbers_of_a_json_document_that_do_not_fit_raise_nothing(datatype: Datatype) -> None:
    decode_numbers([300, -1], 2, datatype)
    decode_numbers([10**400, 1], 2, datatype)
    decode_numbers([1e300, 1.5], 2, datatype)


MASKED = np.ma.array([1.0, 2.0], mask=[False, True])


@pytest.mark.parametrize(
    "vector",
    [MASKED, MASKED.astype(np.float32), np.ma.masked_all(2), [1.0, np.ma.masked], (1.0, MASKED[1])],
    ids=["float64", "float32", "all", "list", "tuple"],
)
def test_masked_numbers_are_refused(vector: Any) -> None:
    with pytest.raises(ValueError, match=r"^the vector has masked numbers \(expected 2 real numbers; fill"):
        encode_vector(vector, 2, "float32", "l2")


def test_a_masked_array_without_masked_numbers_is_an_array() -> None:
    vector = np.ma.array([1.0, 2.0], mask=False)
    assert encode_vector(vector, 2, "float32", "l2") == np.array([1, 2], "<f4").tobytes()
    # What the message about masked numbers says.
    assert encode_vector(MASKED.filled(0), 2, "float32", "l2") == np.array([1, 0], "<f4").tobytes()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("datatype", DATATYPES)
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", ["f2", "f4", "f8", ">f4", "g", "i8", "u1"])
@pytest.mark.parametrize("number", [0, 1, 3e38, 1e300, 65504, math.nan, math.inf, 1e-45])
def test_no_vector_causes_a_warning(datatype: Datatype, metric: Metric, kind: str, number: float) -> None:
    with np.errstate(all="ignore"):
        vector = np.full(384, number).astype(kind)
    for vectors in (vector, np.repeat(vector, 2)[::2], vector.tolist()):
        with contextlib.suppress(ValueError):
            encode_vector(vectors, 384, datatype, metric)
    encode_vectors(vector[np.newaxis, :], datatype, metric)
    decode_vector(b"\xff" * 2 * BYTES_PER_NUMBER[datatype], 2, datatype)


awkward = st.sampled_from(
    [
        *(0.0, -0.0, 1.0, -1.0, 0.5, 127.0, 128.0, 256.0, 1e-46, 1e-23, 1e20, 7e4, 1e39, 1e155, 1e-163),
        *(math.nan, math.inf, -math.inf),
    ]
)


@given(
    st.sampled_from(DATATYPES),
    st.sampled_from(METRICS),
    st.tuples(st.integers(0, 5), st.integers(1, 4)).flatmap(
        lambda shape: hnp.arrays(np.float64, shape, elements=awkward)
    ),
)
def test_many_at_once_are_judged_as_one_by_one(
    datatype: Datatype, metric: Metric, matrix: np.ndarray
) -> None:
    rows, dims = matrix.shape
    blobs, reasons = encode_vectors(matrix, datatype, metric)
    assert reasons == [vector_fault(row, dims, datatype, metric) for row in matrix]
    assert len(blobs) == rows
    for row, blob, reason in zip(matrix, blobs, reasons, strict=True):
        if reason is None:
            assert blob == encode_vector(row, dims, datatype, metric)
            assert np.isfinite(decode_vector(blob, dims, datatype).astype(np.float64)).all()
