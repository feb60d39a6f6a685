"""Exact search over batches finds what a search over everything finds, and judges answers by distance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecmigrate.verify.exact import Nearest, distances, hits

METRICS = ["cosine", "l2", "ip"]


def vectors(count: int, dims: int = 5, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, dims)).astype(np.float32)


def one_by_one(query, vector, metric):
    if metric == "l2":
        return float(((query - vector) ** 2).sum())
    product = float(query @ vector)
    if metric == "cosine":
        product /= float(np.linalg.norm(query) * np.linalg.norm(vector))
    return 1 - product


@pytest.mark.parametrize("metric", METRICS)
def test_distances_are_those_of_the_definition(metric):
    queries, stored = vectors(3), vectors(7, seed=1)
    found = distances(queries, stored, metric)
    assert found.shape == (3, 7)
    for row, query in enumerate(queries):
        for column, vector in enumerate(stored):
            assert found[row, column] == pytest.approx(one_by_one(query, vector, metric), abs=1e-5)


@pytest.mark.parametrize("metric", METRICS)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 60), batch=st.integers(1, 25), k=st.integers(1, 8))
def test_batches_give_what_everything_at_once_gives(metric, seed, count, batch, k):
    stored = vectors(count, seed=seed)
    queries = vectors(4, seed=seed + 1)
    keys = [b"%d" % number for number in range(count)]
    near = Nearest(queries, metric, k)
    for start in range(0, count, batch):
        near.add(keys[start : start + batch], stored[start : start + batch])
    everything = distances(queries, stored, metric)
    for row in range(len(queries)):
        # Rounding differs with the size of a batch: the distances decide, not the names.
        found = sorted(everything[row, int(key)] for key in near.keys(row))
        assert found == pytest.approx(sorted(everything[row])[:k], abs=1e-5)


def test_a_key_that_comes_again_counts_once():
    stored = vectors(6)
    near = Nearest(stored[:1], "l2", 3)
    for _ in range(3):
        near.add([b"a", b"b", b"c"], stored[:3])
    near.add([b"d", b"e", b"f"], stored[3:])
    squares = ((stored - stored[0]) ** 2).sum(axis=1)
    assert near.keys(0) == {b"abcdef"[place : place + 1] for place in np.argsort(squares)[:3]}
    assert near.keys(0, 1) == {b"a"}


def test_of_documents_at_one_distance_any_will_do():
    query = np.array([1.0, 0.0])
    near = {b"a": np.array([1.0, 0.0]), b"b": np.array([0.0, 1.0]), b"c": np.array([0.0, -1.0])}
    assert hits(query, near, [b"a", b"b"], "cosine", 2) == (2, 2)
    assert hits(query, near, [b"a", b"c"], "cosine", 2) == (2, 2)
    assert hits(query, near, [b"b"], "cosine", 1) == (0, 1)


def test_what_is_gone_is_not_expected_and_does_not_count():
    query = np.array([1.0, 0.0])
    near = {b"a": np.array([1.0, 0.0])}
    assert hits(query, near, [b"a", b"gone"], "l2", 10) == (1, 1)
    assert hits(query, near, [b"gone"], "l2", 10) == (0, 1)
    assert hits(query, {}, [b"gone"], "l2", 10) == (0, 0)


def test_an_answer_that_names_a_document_twice_gains_nothing():
    query = np.array([1.0, 0.0])
    near = {b"a": np.array([1.0, 0.0]), b"b": np.array([1.0, 0.1])}
    assert hits(query, near, [b"a", b"a"], "l2", 2) == (1, 2)
