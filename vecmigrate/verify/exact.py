"""Exact nearest neighbours in numpy, over batches, in bounded memory. Pure: no server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from vecmigrate.spec.model import Metric

Numbers: TypeAlias = npt.NDArray[Any]

# Distances that differ by less, relative to their size, are the same: the server computes in float32.
TOLERANCE = 1e-5


def distances(queries: Numbers, vectors: Numbers, metric: Metric) -> Numbers:
    """How far each of `vectors` is from each of `queries`, as RediSearch measures it.

    Args:
        queries: Shape (q, dims).
        vectors: Shape (n, dims).
        metric: cosine: 1 less the cosine; ip: 1 less the product; l2: the squared distance.

    Returns:
        Shape (q, n), float64 where either is, else float32.
    """
    if metric == "l2":
        squares = np.einsum("ij,ij->i", queries, queries)[:, None] + np.einsum("ij,ij->i", vectors, vectors)
        found: Numbers = squares - 2 * (queries @ vectors.T)
        return np.maximum(found, 0)
    products: Numbers = queries @ vectors.T
    if metric == "cosine":
        with np.errstate(divide="ignore", invalid="ignore"):
            products = products / (
                np.linalg.norm(queries, axis=1)[:, None] * np.linalg.norm(vectors, axis=1)[None, :]
            )
    return np.subtract(1, products)


class Nearest:
    """The `k` nearest of all the vectors that were shown, for each query.

    Holds q × k keys and distances, and while it looks at a batch of n vectors q × n distances.

    Args:
        queries: Shape (q, dims), float32 or float64.
        metric: How to measure.
        k: How many to keep for each query.
    """

    def __init__(self, queries: Numbers, metric: Metric, k: int) -> None:
        self.queries = queries
        self.metric = metric
        self.k = k
        self._kept: list[dict[bytes, float]] = [{} for _ in range(len(queries))]
        self._worst = np.full(len(queries), np.inf)

    def add(self, keys: Sequence[bytes], vectors: Numbers) -> None:
        """Show a batch: `vectors` of shape (n, dims) and their `keys`. A key may come again."""
        if not len(keys):
            return
        found = distances(self.queries, vectors, self.metric)
        for row in np.nonzero((found < self._worst[:, None]).any(axis=1))[0]:
            near = (
                np.argpartition(found[row], self.k - 1)[: self.k] if len(keys) > self.k else range(len(keys))
            )
            for column in near:
                # The farthest kept one may have been replaced since the batch was compared.
                if found[row, column] < self._worst[row]:
                    self._take(int(row), keys[column], float(found[row, column]))

    def _take(self, row: int, key: bytes, distance: float) -> None:
        kept = self._kept[row]
        kept[key] = distance
        if len(kept) > self.k:
            del kept[max(kept, key=kept.__getitem__)]
        if len(kept) == self.k:
            self._worst[row] = max(kept.values())

    def keys(self, row: int, k: int | None = None) -> set[bytes]:
        """The keys kept for query number `row`: those of the `k` nearest, or all of them."""
        kept = self._kept[row]
        return set(kept if k is None else sorted(kept, key=kept.__getitem__)[:k])


def hits(
    query: Numbers, near: dict[bytes, Numbers], answered: Sequence[bytes], metric: Metric, k: int
) -> tuple[int, int]:
    """How many of an answer are right, and how many there are to be found.

    An answer is right where it is no farther than the k-th nearest: of documents at the same distance any
    will do.

    Args:
        query: Shape (dims,).
        near: Vectors of shape (dims,) as they are now, of every document that may be among the nearest, those
            answered included where they still exist.
        answered: Keys that the index gave.
        metric: How to measure.
        k: How many were asked for.
    """
    keys = list(near)
    wanted = min(k, len(keys))
    if not wanted:
        return 0, 0
    matrix = np.stack([near[key] for key in keys]).astype(np.float64)
    found = distances(query.astype(np.float64)[None, :], matrix, metric)[0]
    last = float(np.sort(found)[wanted - 1])
    limit = last + TOLERANCE * max(1.0, abs(last))
    by_key = dict(zip(keys, found, strict=True))
    right = sum(key in by_key and bool(by_key[key] <= limit) for key in set(answered))
    return min(right, wanted), wanted
