"""How long other parameters take, by what the live index took."""

from __future__ import annotations

from typing import Any

import pytest

from vecmigrate.diff.effort import relative_effort
from vecmigrate.spec.build import spec_from_mapping

HNSW: dict[str, Any] = {
    "type": "VECTOR",
    "algorithm": "HNSW",
    "dim": 384,
    "M": 16,
    "ef_construction": 200,
}
FLAT: dict[str, Any] = {"type": "VECTOR", "algorithm": "FLAT", "dim": 384}
SVS: dict[str, Any] = {
    "type": "VECTOR",
    "algorithm": "SVS-VAMANA",
    "dim": 384,
    "graph_max_degree": 32,
    "construction_window_size": 200,
}


def effort(live: dict[str, Any], **options: Any) -> float | None:
    field = {"type": "vector", "dims": 384, **options}
    spec = spec_from_mapping(
        {
            "name": "item",
            "index": {"name": "idx:item", "prefix": "item:"},
            "key": "item_id",
            "fields": {"embedding": field},
        }
    )
    return relative_effort(spec, {"attributes": [live]})


@pytest.mark.parametrize(
    ("live", "options", "expected"),
    [
        (HNSW, {}, 1.0),
        (HNSW, {"ef_construction": 400}, 1.97),
        (HNSW, {"m": 64}, 1.97),
        (HNSW, {"algorithm": "flat"}, 0.03),
        (FLAT, {"algorithm": "flat", "metric": "ip"}, 1.0),
        (HNSW, {"algorithm": "svs_vamana"}, 1.0),
        (SVS, {"algorithm": "hnsw"}, 1.0),
    ],
)
def test_the_graph_is_what_takes_time(live: dict[str, Any], options: dict[str, Any], expected: float):
    assert effort(live, **options) == pytest.approx(expected, abs=0.01)


def test_an_index_without_a_graph_tells_nothing_of_one_with():
    assert effort(FLAT) is None
