"""Shapes that the real server gives are tested in tests/integration; here are those that it rarely gives."""

from __future__ import annotations

import math

import pytest

from vecmigrate.search import reply


def flat_info() -> list[object]:
    return [
        b"index_name",
        b"idx:\xff",
        b"index_options",
        [b"NOOFFSETS", b"NOHL"],
        b"index_definition",
        [b"key_type", b"HASH", b"prefixes", [b"1", b"b:"], b"filter", b"1", b"default_score", b"0.5"],
        b"attributes",
        [
            [
                b"identifier",
                b"SORTABLE",
                b"attribute",
                b"UNF",
                b"type",
                b"TEXT",
                b"WEIGHT",
                b"2",
                b"SORTABLE",
                b"UNF",
            ],
            [b"identifier", b"12", b"attribute", b"n", b"type", b"TAG", b"SEPARATOR", b"3"],
        ],
        b"num_docs",
        7,
        b"records_per_doc_avg",
        b"nan",
        b"percent_indexed",
        b"0.25",
        b"indexing",
        3,
        b"hash_indexing_failures",
        2,
        b"stopwords_list",
        [b"1", b"a"],
        b"gc_stats",
        [b"bytes_collected", b"0"],
        b"Index Errors",
        [b"indexing failures", 2, b"last indexing error", b"1", b"last indexing error key", b"2"],
        b"field statistics",
        [[b"identifier", b"12", b"attribute", b"n", b"Index Errors", [b"indexing failures", 0]]],
    ]


def map_info() -> dict[object, object]:
    return {
        "index_name": "idx:\udcff",
        "index_options": ["NOOFFSETS", "NOHL"],
        "index_definition": {
            "key_type": "HASH",
            "prefixes": ["1", "b:"],
            "filter": "1",
            "default_score": 0.5,
        },
        "attributes": [
            {
                "identifier": "SORTABLE",
                "attribute": "UNF",
                "type": "TEXT",
                "WEIGHT": 2.0,
                "flags": ["SORTABLE", "UNF"],
            },
            {"identifier": "12", "attribute": "n", "type": "TAG", "SEPARATOR": "3", "flags": []},
        ],
        "num_docs": 7,
        "records_per_doc_avg": math.nan,
        "percent_indexed": 0.25,
        "indexing": 3,
        "hash_indexing_failures": 2,
        "stopwords_list": ["1", "a"],
        "gc_stats": {"bytes_collected": 0.0},
        "Index Errors": {"indexing failures": 2, "last indexing error": "1", "last indexing error key": "2"},
        "field statistics": [
            {"identifier": "12", "attribute": "n", "Index Errors": {"indexing failures": 0}}
        ],
    }


def test_both_protocols_give_the_same_values() -> None:
    flat, mapped = reply.parse_info(flat_info()), reply.parse_info(map_info())
    assert math.isnan(flat.pop("records_per_doc_avg"))
    assert math.isnan(mapped.pop("records_per_doc_avg"))
    assert flat == mapped
    expected = map_info()
    del expected["records_per_doc_avg"]
    assert mapped == expected


def test_what_is_asked_of_info() -> None:
    info = reply.parse_info(flat_info())
    assert reply.index_name(info) == "idx:\udcff"
    assert reply.num_docs(info) == 7
    assert reply.is_indexing(info)
    assert reply.percent_indexed(info) == 0.25
    assert reply.indexing_failures(info) == 2
    assert reply.last_indexing_error(info) == ("1", "2")


def test_an_index_at_rest() -> None:
    info = reply.parse_info(
        [b"num_docs", b"12", b"indexing", b"0", b"Index Errors", [b"indexing failures", 0]]
    )
    assert reply.num_docs(info) == 12
    assert not reply.is_indexing(info)
    assert reply.last_indexing_error(info) is None


# As RediSearch 8.0.2 answers after a scan that it gave up; RESP3 sends maps.
_BROKEN_OFF = [
    b"num_docs", 5069, b"percent_indexed", b"1", b"indexing", 0, b"Index Errors",
    [
        b"indexing failures", 0,
        b"last indexing error", b"Used memory is more than 100 percent of max memory, cancelling the scan",
        b"last indexing error key", b"doc:1\xff",
        b"background indexing status", b"OOM failure",
    ],
]  # fmt: skip  # pairs of name and value


def as_map(value: list[object]) -> dict[object, object]:
    return {
        name: as_map(item) if isinstance(item, list) else item
        for name, item in zip(value[::2], value[1::2], strict=True)
    }


@pytest.mark.parametrize("answer", [_BROKEN_OFF, as_map(_BROKEN_OFF)], ids=["resp2", "resp3"])
def test_a_scan_that_is_over_and_not_complete(answer: object) -> None:
    info = reply.parse_info(answer)
    assert not reply.is_indexing(info)
    assert reply.percent_indexed(info) == 1
    assert reply.scan_problem(info) == (
        "the scan of the documents was broken off: OOM failure "
        "(Used memory is more than 100 percent of max memory, cancelling the scan)"
    )


@pytest.mark.parametrize("status", [b"OK", "OK", b"N/A", None])
def test_a_scan_that_is_complete(status: object) -> None:
    errors: list[object] = [b"indexing failures", 0, b"last indexing error", b"N/A"]
    if status is not None:
        errors += [b"background indexing status", status]
    for answer in ([b"Index Errors", errors], {"Index Errors": as_map(errors)}):
        assert reply.scan_problem(reply.parse_info(answer)) is None
    assert reply.scan_problem(reply.parse_info([])) is None


def test_errors_of_fields() -> None:
    errors = [b"indexing failures", 1, b"last indexing error", b"e", b"last indexing error key", b"7"]
    info = reply.parse_info(
        [
            b"field statistics",
            [
                [b"identifier", b"x", b"attribute", b"1", b"Index Errors", errors],
                [b"identifier", b"y", b"attribute", b"y", b"Index Errors", [b"indexing failures", 0]],
            ],
        ]
    )
    assert reply.field_errors(info) == {"1": ("e", "7")}


@pytest.mark.parametrize("answer", [{}, {"num_docs": "many"}, {"num_docs": None}, {"num_docs": math.nan}])
def test_no_count_is_an_error(answer: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="FT.INFO holds no num_docs"):
        reply.num_docs(reply.parse_info(answer))


@pytest.mark.parametrize("answer", [None, b"OK", 5, ["odd"], {"index_definition": 1}, {"attributes": [5]}])
def test_what_is_no_info_is_an_error(answer: object) -> None:
    with pytest.raises(ValueError, match="expected a map or a list"):
        reply.parse_info(answer)


def test_a_document_that_expired_during_the_query_has_no_fields() -> None:
    expected = (reply.SearchHit("a"), reply.SearchHit("b", {"x": b"1"}))
    assert reply.parse_search([2, b"a", None, b"b", [b"x", b"1"]]).hits == expected
    results = [{"id": "a"}, {"id": "b", "extra_attributes": {b"x": b"1"}}]
    assert reply.parse_search({"total_results": 2, "results": results}).hits == expected


def test_warnings_are_passed_on() -> None:
    answer = {b"total_results": 0, b"results": [], b"warning": [b"Timeout limit was reached"]}
    assert reply.parse_search(answer) == reply.SearchReply(0, (), ("Timeout limit was reached",))


@pytest.mark.parametrize("answer", [None, b"OK", [], [b"x"], [1, b"a"]])
def test_what_is_no_answer_of_a_search_is_an_error(answer: object) -> None:
    with pytest.raises(ValueError, match="FT.SEARCH answered"):
        reply.parse_search(answer)
