"""Filters, counts and scores: an answer, or a ValueError or TypeError that names the argument."""

from __future__ import annotations

import datetime
import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from vecmigrate.helpers.common import (
    RESULTS_MAX,
    StoreMany,
    as_bytes,
    batches,
    check_many,
    whole_number,
)
from vecmigrate.helpers.queries import Filters, Labels, search_radius, search_radius_l2


def clause(wanted: Any) -> tuple[str, list[Any]]:
    filters = Filters()
    filters.number("n", wanted)
    return filters.query, filters.params[1::2]


@pytest.mark.parametrize(
    ("wanted", "bounds"),
    [
        ((1, 2), [1.0, 2.0]),
        ([None, 2], [-math.inf, 2.0]),
        ((1, None), [1.0, math.inf]),
        ((None, None), [-math.inf, math.inf]),
        ((-math.inf, math.inf), [-math.inf, math.inf]),
        ((np.int64(1), np.float32(2)), [1.0, 2.0]),
        (np.array([1, 2]), [1.0, 2.0]),
        (iter((1, 2)), [1.0, 2.0]),
        ((False, True), [0.0, 1.0]),
        ((2024, 2024), [2024.0, 2024.0]),
    ],
)
def test_pairs_of_numbers(wanted: Any, bounds: list[float]):
    assert clause(wanted) == ("(@n:[$filter_0 $filter_1])", bounds)


@pytest.mark.parametrize(
    "wanted",
    [
        (None, -math.inf),
        (math.inf, None),
        (math.inf, math.inf),
        (-math.inf, -math.inf),
        (10**400, None),
        (None, 10**400),
        (None, -(10**400)),
        (math.nan, 1),
        (1, math.nan),
        (2, 1),
        2024,
        2024.5,
        np.int64(2024),
        True,
        "12",
        b"12",
        ("1", "2"),
        (1,),
        (1, 2, 3),
        (),
        {1, 2},
        {1: 2, 3: 4},
        np.array(2024),
        np.ones((2, 2)),
        (datetime.date(2024, 1, 1), None),
        (Decimal(1), 2),
        range(0),
        pytest.param(iter((1, 2, 3)), id="iterator"),
    ],
    ids=repr,
)
def test_what_is_no_range_of_numbers_is_a_value_error(wanted: Any):
    with pytest.raises(ValueError, match="^(a bound of )?the filter n "):
        clause(wanted)


def test_a_bare_year_is_told_what_a_pair_is():
    with pytest.raises(ValueError, match=r"^the filter n is int \(expected a pair of smallest and largest"):
        clause(2024)


def labels(wanted: Any, kept: Labels | None = None) -> list[Any]:
    filters = Filters()
    filters.tag("t", wanted, kept or Labels(","))
    return filters.params[1::2]


@pytest.mark.parametrize(
    ("wanted", "parameters"),
    [
        ("a", [b"a"]),
        (b"a", [b"a"]),
        (" a\t", [b"a"]),
        ("\u00a0a\x1c", ["\u00a0a\x1c".encode()]),
        (["a", "b"], [b"a", b"b"]),
        (("a",), [b"a"]),
        (iter(["a", "b"]), [b"a", b"b"]),
        (np.array(["a", "b"]), [b"a", b"b"]),
        ("a\\.b", [b"a\\\\.b"]),
    ],
)
def test_labels(wanted: Any, parameters: list[bytes]):
    assert labels(wanted) == parameters


def test_labels_that_are_not_split_keep_their_blanks_and_the_separators_of_others():
    assert labels([" a ", " ", "a,b"], Labels("")) == [b" a ", b" ", b"a,b"]
    assert labels("", Labels("", index_empty=True)) == [b""]
    with pytest.raises(ValueError, match="has the label ''"):
        labels("", Labels(""))


@pytest.mark.parametrize(
    "wanted", [[], (), "", " ", [""], [None], [5], True, 2024, 0, 1.5, "a,b", "a\0", "\ud83d"]
)
def test_what_is_no_label_is_a_value_error(wanted: Any):
    with pytest.raises(ValueError, match=r"the filter t |field 't'"):
        labels(wanted)


def test_a_mapping_is_no_list_of_labels():
    with pytest.raises(TypeError, match="the filter t is dict"):
        labels({"a": 1})


@pytest.mark.parametrize("value", [5, np.int64(5), np.uint8(5), np.array(5)])
def test_whole_numbers_of_any_kind(value: Any):
    found = whole_number("knn_k", value, RESULTS_MAX)
    assert (type(found), found) == (int, 5)


@pytest.mark.parametrize(
    "value", [5.0, "5", b"5", None, True, np.bool_(True), np.float64(5), Fraction(5), [5]]
)
def test_what_is_no_whole_number_is_a_type_error(value: Any):
    with pytest.raises(TypeError, match=r"^knn_k is \w+ \(expected a whole number of at least 1\)$"):
        whole_number("knn_k", value, RESULTS_MAX)


@pytest.mark.parametrize("value", [0, -1, np.int64(0), RESULTS_MAX + 1, 2_000_000, 10**30])
def test_whole_numbers_out_of_range_are_a_value_error(value: Any):
    with pytest.raises(ValueError, match=r"^knn_k is -?\d+ \(expected at (least 1|most 1000000)\)$"):
        whole_number("knn_k", value, RESULTS_MAX)


@pytest.mark.parametrize("score", [np.float32(0.5), Fraction(1, 2), 0.5])
def test_scores_of_any_kind(score: Any):
    assert type(search_radius(score)) is float
    assert (search_radius(score), search_radius_l2(score)) == (0.5, 1.0)


@pytest.mark.parametrize(
    "score", [math.nan, math.inf, -math.inf, 2, "0.5", None, Decimal("0.5"), 10**400, [1]]
)
def test_what_is_no_score_is_a_value_error(score: Any):
    for radius in (search_radius, search_radius_l2):
        with pytest.raises(ValueError, match="^min_score is "):
            radius(score)


@pytest.mark.parametrize("items", ["abc", b"abc", bytearray(b"abc"), {"a": 1}, memoryview(b"abc")])
def test_one_is_not_several(items: Any):
    with pytest.raises(
        TypeError, match=r"^keys is \w+ \(expected an iterable of several; put one into a list"
    ):
        check_many("keys", items)
    with pytest.raises(TypeError, match="^keys is"):
        list(batches("keys", items, 500))
    assert list(batches("keys", ["abc"], np.int64(500))) == [["abc"]]


def test_texts_of_a_command_are_utf8():
    assert as_bytes(("HSET", "größe", b"\xff", 5, 0.5)) == (b"HSET", "größe".encode(), b"\xff", 5, 0.5)


class Broken(dict[str, Any]):
    def get(self, *_: Any) -> Any:
        raise RuntimeError("get is broken")


def test_no_item_stops_the_others():
    def encode(item: Any) -> list[Any]:
        return [("SET", item["key"])]

    work = StoreMany(encode, "key", 500)
    for item in ({"key": "a"}, "text", None, 5, Broken(), {}, {"key": "b"}):
        work.add(item)
    work.settle([True, True])
    assert work.report["stored"] == 2
    reasons = {failure["index"]: failure["reason"] for failure in work.report["failed"]}
    assert reasons == {
        1: "the item is str (expected a mapping)",
        2: "the item is NoneType (expected a mapping)",
        3: "the item is int (expected a mapping)",
        4: "get is broken",
        5: "the item has no 'key'",
    }
