"""Conditions against a filter in plain Python: 2,000 queries here, more by `python -m tests.fuzz.where`."""

from __future__ import annotations

import os

import pytest
import redis

from tests.fuzz.where import STORAGES, Storage, run

QUERIES = int(os.environ.get("VECMIGRATE_TEST_FUZZ_QUERIES", "2000"))
SEED = int(os.environ.get("VECMIGRATE_TEST_FUZZ_SEED", "1"))


@pytest.mark.parametrize("storage", STORAGES, ids=lambda storage: storage.name)
def test_conditions_find_what_a_filter_in_python_finds(client: redis.Redis, storage: Storage):
    assert run(client, storage, QUERIES // len(STORAGES), SEED) == []
