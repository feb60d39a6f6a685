"""What an index would take, held against what indexes did take on RediSearch 2.10.5."""

from __future__ import annotations

import pytest

from vecmigrate.search.memory import MB, estimate, scan_limit, used_by
from vecmigrate.spec.build import spec_from_mapping


def spec(**vector):
    return spec_from_mapping(
        {
            "name": "item",
            "index": {"name": "idx:item", "prefix": "item:"},
            "key": "item_id",
            "fields": {"n": {"type": "tag"}, "d": {"type": "text"}, "v": {"type": "vector", **vector}},
        }
    )


def info(documents):
    """FT.INFO of an index with a tag and a text, as 390 bytes a document."""
    return {
        "num_docs": documents,
        "doc_table_size_mb": 390 * documents / MB,
        "vector_index_sz_mb": 0.0,
        "attributes": [{"type": "TAG"}, {"type": "TEXT"}, {"type": "VECTOR"}],
    }


# Documents, dimensions, M (0: FLAT), bytes a document as used_memory grew by them.
@pytest.mark.parametrize(
    ("documents", "dims", "m", "measured"),
    [
        (4000, 32, 0, 814),
        (4000, 32, 8, 1087),
        (4000, 32, 16, 1142),
        (4000, 32, 64, 1553),
        (4000, 384, 0, 2475),
        (4000, 384, 16, 2821),
        (4000, 384, 64, 3228),
        (12000, 64, 0, 956),
        (12000, 64, 8, 1251),
        (12000, 64, 32, 1456),
        (12000, 64, 64, 1711),
    ],
)
def test_within_a_twentieth_of_what_was_measured(documents, dims, m, measured):
    algorithm = {"algorithm": "hnsw", "m": m} if m else {"algorithm": "flat"}
    found = estimate(spec(dims=dims, **algorithm), info(documents)) / documents
    assert found == pytest.approx(measured, rel=0.05)


def test_a_field_more_takes_more():
    wanted = spec(dims=4)
    live = info(1000)
    fewer = {**live, "attributes": live["attributes"][1:]}
    assert estimate(wanted, fewer) > estimate(wanted, live)


def test_vectors_count_where_an_index_is_there():
    assert used_by({**info(1000), "vector_index_sz_mb": 5.0}) == used_by(info(1000)) + 5 * MB


@pytest.mark.parametrize(
    ("maximum", "threshold", "limit"),
    [
        (None, None, None),
        (0, "80", None),
        (1000, None, 1000),
        (1000, "100", 1000),
        (1000, "80", 800),
        (1000, "0", 1000),
        (1000, "no number", 1000),
    ],
)
def test_what_a_scan_may_use(maximum, threshold, limit):
    assert scan_limit(maximum, threshold) == limit
