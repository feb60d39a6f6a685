"""Legacy monolithic hashes to migrate from, and the same items ready to be stored."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.keys import ALIAS, EMBEDDINGS_KEY, METADATA_KEY, PREFIX
from benchmarks.server import Server

SPEC_NAME = "bench_item"
# So many different texts are enough that no cache of the processor holds them.
DISTINCT = 4000


@dataclass(frozen=True, slots=True)
class LegacyItems:
    """`names` n; `texts` and `vectors` (m, dims) repeat after m items; `metadata` n JSON texts."""

    dims: int
    names: list[str]
    texts: list[bytes]
    vectors: npt.NDArray[np.float32]
    metadata: list[bytes]

    @property
    def keys(self) -> list[str]:
        """The keys of the documents."""
        return [PREFIX + name for name in self.names]

    def documents(self) -> list[dict[Any, Any]]:
        """The fields of each document, the vector as the server stores it."""
        blobs = [row.tobytes() for row in self.vectors.astype("<f4")]
        return [
            {"name": name, "meta_json": text, "embedding": blobs[place % len(blobs)]}
            for place, (name, text) in enumerate(zip(self.names, self.metadata, strict=True))
        ]

    def store(self, server: Server) -> None:
        """Fill the two legacy hashes."""
        server.delete([EMBEDDINGS_KEY, METADATA_KEY])
        server.put_fields(EMBEDDINGS_KEY, self.names, self.texts)
        server.put_fields(METADATA_KEY, self.names, self.metadata)


def make_items(count: int, dims: int, *, digits: int | None = None, distinct: int = DISTINCT) -> LegacyItems:
    """Random unit vectors, as embedding models give them, in the texts of json.dumps(vector.tolist()).

    A float32 comes out of `tolist` as a double with up to 17 digits. With `digits` numbers are rounded to so
    many places after the point, as careful writers do.
    """
    vectors = unit_vectors(min(count, distinct), dims, seed=dims)
    rows = (row.tolist() for row in vectors)
    if digits is not None:
        rows = ([round(number, digits) for number in row] for row in rows)
    names = [f"item_{place:06d}" for place in range(count)]
    return LegacyItems(
        dims, names, [json.dumps(row).encode() for row in rows], vectors, [*map(_metadata, names)]
    )


def unit_vectors(count: int, dims: int, *, seed: int) -> npt.NDArray[np.float32]:
    """Random vectors of length 1, shape (count, dims)."""
    vectors = np.random.default_rng(seed).standard_normal((count, dims)).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def spec_mapping(dims: int) -> dict[str, Any]:
    """The index that the items are for, as YAML would say it; FLAT, since inserting costs little there."""
    return {
        "version": 1,
        "name": SPEC_NAME,
        "index": {"name": ALIAS, "prefix": PREFIX},
        "key": "item_name",
        "fields": {
            "name": {"type": "tag", "from": "key"},
            "meta_json": {"type": "json"},
            "embedding": {
                "type": "vector",
                "dims": dims,
                "datatype": "float32",
                "metric": "cosine",
                "algorithm": "flat",
            },
        },
    }


def metadata_of(name: str) -> Mapping[str, Any]:
    """The metadata of one item."""
    return {
        "name": name,
        "description": f"What {name} does, in a sentence as long as such sentences usually are.",
        "category": "benchmark",
        "parameters": ["path", "limit"],
    }


def _metadata(name: str) -> bytes:
    return json.dumps(metadata_of(name)).encode()
