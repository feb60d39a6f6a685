"""Conditions on fields: what they become, and what is refused before anything is sent."""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import StrEnum
from typing import Any

import numpy as np
import pytest

from vecmigrate.helpers.fields import Field, Geo, GeoShape, Numeric, Tag, Text
from vecmigrate.helpers.queries import Filters
from vecmigrate.helpers.where import Where

lang = Tag("lang", index_missing=True, index_empty=True)
year = Numeric("year")
body = Text("body", index_empty=True)
title = Text("title")
place = Geo("place")
area = GeoShape("area")


class Lang(StrEnum):
    EN = "en"


def shown(where: Where) -> tuple[str, list[Any]]:
    """The query, and the values beside it."""
    filters = Filters()
    filters.where(where)
    return filters.query, filters.params[1::2]


@pytest.mark.parametrize(
    ("where", "query", "values"),
    [
        (lang == "en", "((@lang:{$filter_0}))", [b"en"]),
        (lang == Lang.EN, "((@lang:{$filter_0}))", [b"en"]),
        ("en" == lang, "((@lang:{$filter_0}))", [b"en"]),  # noqa: SIM300
        (lang != " e\\n ", "(((-(@lang:{$filter_0}))))", [b"e\\\\n"]),
        (lang.any_of("a", "b"), "((@lang:{$filter_0 | $filter_1}))", [b"a", b"b"]),
        (lang.none_of(["a", "b"]), "(((-(@lang:{$filter_0 | $filter_1}))))", [b"a", b"b"]),
        (lang.missing(), "((ismissing(@lang)))", []),
        (lang.present(), "(((-(ismissing(@lang)))))", []),
        (lang.empty(), "((@lang:{$filter_0}))", [b""]),
        (year == 5, "((@year:[$filter_0 $filter_1]))", [5.0, 5.0]),
        (year > np.int64(5), "((@year:[($filter_0 $filter_1]))", [5.0, math.inf]),
        (year < 5, "((@year:[$filter_0 ($filter_1]))", [-math.inf, 5.0]),
        (5 >= year, "((@year:[$filter_0 $filter_1]))", [-math.inf, 5.0]),  # noqa: SIM300
        (year.between(1, 2), "((@year:[$filter_0 $filter_1]))", [1.0, 2.0]),
        (
            year.any_of(1, 2),
            "((@year:[$filter_0 $filter_1] | @year:[$filter_2 $filter_3]))",
            [1.0, 1.0, 2.0, 2.0],
        ),
        (body.words("The Quick-brown"), '((@body:("quick") @body:("brown")))', []),
        (body.words("a\\-b"), "((@body:($filter_0)))", [b"a-b"]),
        (body.words("a\\\\b"), "((@body:($filter_0)))", [b"a\\\\b"]),
        (body.phrase("of the Quick, brown"), '((@body:("quick brown")))', []),
        (body.prefix("Qui"), "((@body:($filter_0*)))", [b"qui"]),
        (body.empty(), "((@body:($filter_0)))", [b""]),
        (
            place.within(13.4, 52.5, 3, "mi"),
            "((@place:[$filter_0 $filter_1 $filter_2 mi]))",
            [b"13.4", b"52.5", 3.0],
        ),
        (area.contains("POINT(1 2)"), "((@area:[CONTAINS $filter_0]))", [b"POINT(1 2)"]),
        (Tag('we"ird.na-me') == "x", '((@we\\"ird\\.na\\-me:{$filter_0}))', [b"x"]),
    ],
)
def test_values_travel_beside_the_query(where: Where, query: str, values: list[Any]):
    assert shown(where) == (query, values)


def test_what_is_joined_alike_stands_beside_each_other_and_all_else_in_parentheses():
    a, b, c = lang == "a", lang == "b", lang == "c"
    text = "@lang:{$filter_%d}"
    first, second, third = (text % at for at in range(3))
    assert shown(a & b & c)[0] == f"(({first} {second} {third}))"
    assert shown(a | (b & c))[0] == f"(({first} | ({second} {third})))"
    assert shown((a | b) & c)[0] == f"((({first} | {second}) {third}))"
    assert shown(~(a | b))[0] == f"(((-({first} | {second}))))"


def test_many_conditions_need_no_deep_recursion():
    where = lang == "x0"
    for number in range(1, 3000):
        where |= lang == f"x{number}"
    assert len(shown(where)[1]) == 3000


def test_an_empty_text_is_asked_for_first():
    query, values = shown((lang == "a") & (body.empty() | (lang == "b")))
    assert query == "(((@body:($filter_0) | @lang:{$filter_1}) @lang:{$filter_2}))"
    assert values == [b"", b"b", b"a"]


@pytest.mark.parametrize(
    "mistake",
    [
        lambda: (lang == "a") and (lang == "b"),
        lambda: (lang == "a") or (lang == "b"),
        lambda: not (lang == "a"),  # noqa: SIM201
        lambda: 1 < year < 5,
        lambda: lang in ["a", "b"],
        lambda: bool(lang),
        lambda: lang and (year > 1),
        lambda: (lang == "a") & year,
        lambda: (lang == "a") & True,
        lambda: body == "a text",
        lambda: place != (1, 2),
        lambda: lang < "b",
        lambda: Filters().where(True),  # type: ignore[arg-type]
        lambda: Filters().where("@lang:{a}"),  # type: ignore[arg-type]
    ],
)
def test_what_python_would_decide_by_itself_is_a_type_error(mistake: Callable[[], object]):
    with pytest.raises(TypeError, match="expected|unsupported"):
        mistake()


@pytest.mark.parametrize(
    "mistake",
    [
        lang.any_of,
        lambda: lang.none_of([]),
        year.any_of,
        lambda: lang == None,  # noqa: E711
        lambda: Tag("t") == "",
        lambda: Tag("t") == " \t",
        lambda: lang == "a,b",
        lambda: lang == "a\0b",
        lambda: lang == "\ud800",
        lambda: lang == "x" * 4097,
        lambda: Tag("t").missing(),
        lambda: Tag("t").present(),
        lambda: Tag("t").empty(),
        title.empty,
        lambda: Field("embedding").missing(),
        lambda: year == np.float32("nan"),
        lambda: year == math.inf,
        lambda: year > math.inf,
        lambda: year < -math.inf,
        lambda: year == 10**400,
        lambda: year == "5",
        lambda: year.between(2, 1),
        lambda: body.words(""),
        lambda: body.words("the, and"),
        lambda: body.words("two\nlines"),
        lambda: body.words(5),  # type: ignore[arg-type]
        lambda: body.words("\ud800"),
        lambda: body.phrase("ho ho"),
        lambda: body.phrase("a\\-b"),
        lambda: body.prefix("q"),
        lambda: body.prefix("two words"),
        lambda: body.prefix("Üb"),
        lambda: body.prefix("stra\u00df"),
        lambda: place.within(0, 0, 0),
        lambda: place.within(0, 0, math.inf),
        lambda: place.within(200, 0, 1),
        lambda: place.within(0, 0, 1, "miles"),  # type: ignore[arg-type]
        lambda: area.within("a circle"),
    ],
)
def test_what_no_document_can_meet_is_a_value_error(mistake: Callable[[], object]):
    with pytest.raises(ValueError, match="expected"):
        mistake()


def test_infinity_leaves_a_side_open():
    assert shown(year.between(-math.inf, 3)) == shown(year <= 3)
    assert shown(year >= -math.inf)[1] == [-math.inf, math.inf]
