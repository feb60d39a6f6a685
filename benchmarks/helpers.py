"""What the benchmarks of the generated helpers share: the tool index, filled, and vectors to ask with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.legacy import metadata_of, unit_vectors
from benchmarks.server import Server
from examples.classifiers.redis_vector_index import ToolItem
from vecmigrate.search.ddl import ft_create
from vecmigrate.spec.load import load_specs

DIMS = 384
INDEX = "idx:tool_emb"
PREFIX = "tool_emb:"
SPEC = Path(__file__).parents[1] / "specs" / "tool.yaml"


def tool_items(count: int) -> list[ToolItem]:
    """Items as an application has them: a name, a vector (384,) and a mapping."""
    vectors = unit_vectors(count, DIMS, seed=1)
    names = [f"tool_{place:06d}" for place in range(count)]
    return [
        {"tool_name": name, "centroid": vector, "metadata": metadata_of(name)}
        for name, vector in zip(names, vectors, strict=True)
    ]


def queries(count: int) -> npt.NDArray[np.float32]:
    """Vectors to look for, shape (count, 384)."""
    return unit_vectors(count, DIMS, seed=2)


@contextmanager
def tool_index(server: Server) -> Iterator[None]:
    """The HNSW index of specs/tool.yaml for the length of the block; its documents go with it."""
    (spec,) = load_specs([SPEC]).specs
    server.client.execute_command(*ft_create(spec))
    try:
        yield
    finally:
        server.client.execute_command("FT.DROPINDEX", INDEX, "DD")


def redisvl_schema() -> dict[str, Any]:
    """The tool index in RedisVL's words."""
    return {
        "index": {"name": INDEX, "prefix": PREFIX.removesuffix(":"), "storage_type": "hash"},
        "fields": [
            {"name": "name", "type": "tag"},
            {
                "name": "embedding",
                "type": "vector",
                "attrs": {
                    "dims": DIMS,
                    "algorithm": "hnsw",
                    "datatype": "float32",
                    "distance_metric": "cosine",
                    "m": 16,
                    "ef_construction": 200,
                    "ef_runtime": 200,
                },
            },
        ],
    }
