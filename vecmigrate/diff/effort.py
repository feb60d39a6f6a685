"""How much longer or shorter an index with other parameters takes to build, from what one took here.

Inserting vectors into graphs is the price of everything: on RediSearch 2.10.5 a FLAT index over 4,000 × 384
was built in a thirtieth of the time of an HNSW one. Within HNSW the time is about proportional to
EF_CONSTRUCTION, and grows with M some less than in proportion: measured from 50 to 400 and from 8 to 64.
"""

from __future__ import annotations

import math
from typing import Any, Final

from vecmigrate.search.reply import Info
from vecmigrate.spec.model import Hnsw, IndexSpec, SvsVamana, VectorField

# What a document costs beside its graphs, where 1 is an HNSW graph of M 16 and EF_CONSTRUCTION 200.
_BESIDE: Final = 0.03
_M: Final = 16
_EF_CONSTRUCTION: Final = 200


def relative_effort(spec: IndexSpec, live: Info) -> float | None:
    """The time of building `spec` over the documents of a live index, by the time that index took.

    1.0 means as long. None where nothing can be told: `spec` has a graph, and the live index none to go by.
    """
    before = sum(_of_attribute(item) for item in live.get("attributes", ()))
    after = sum(_of_field(item) for item in spec.vectors if item.indexed)
    if after > 0 and before == 0:
        return None
    return (after + _BESIDE) / (before + _BESIDE)


def _of_field(item: VectorField) -> float:
    match item.algorithm:
        case Hnsw(m=m, ef_construction=ef_construction):
            return _of_graph(item.dims, m, ef_construction)
        case SvsVamana() as svs:
            return _of_graph(item.dims, svs.graph_max_degree / 2, svs.construction_window_size)
        case _:
            return 0.0


def _of_attribute(attribute: dict[str, Any]) -> float:
    """The same of a field as FT.INFO shows it."""
    dims = int(attribute.get("dim", 0))
    if attribute.get("algorithm") == "HNSW":
        return _of_graph(dims, float(attribute["M"]), float(attribute["ef_construction"]))
    if "graph_max_degree" in attribute:
        window = float(attribute.get("construction_window_size", _EF_CONSTRUCTION))
        return _of_graph(dims, float(attribute["graph_max_degree"]) / 2, window)
    return 0.0


def _of_graph(dims: int, m: float, ef_construction: float) -> float:
    # Fields of other lengths come in only where a spec has several: each step costs a look at one vector.
    return (64 + dims) / (64 + 384) * ef_construction / _EF_CONSTRUCTION * math.sqrt(m / _M)
