"""The memory guard's estimate, held against what indexes take on the server at hand."""

from __future__ import annotations

import time

import numpy as np
import pytest
import redis

from vecmigrate.search import memory
from vecmigrate.search.ddl import ft_create
from vecmigrate.search.reply import is_indexing, parse_info
from vecmigrate.spec.build import spec_from_mapping

DOCUMENTS = 2000


def spec(**vector):
    return spec_from_mapping(
        {
            "name": "item",
            "index": {"name": "idx:item", "prefix": "item:"},
            "key": "item_id",
            "fields": {
                "colour": {"type": "tag", "sortable": True},
                "label": {"type": "text"},
                "size": {"type": "numeric"},
                "embedding": {"type": "vector", "dims": 96, **vector},
            },
        }
    )


def build(client, wanted, name):
    before = client.info("memory")["used_memory"]
    client.execute_command(*ft_create(wanted, name))
    while is_indexing(info := parse_info(client.execute_command("FT.INFO", name))):
        time.sleep(0.02)
    return client.info("memory")["used_memory"] - before, info


@pytest.mark.parametrize(
    "vector",
    [
        {"algorithm": "flat"},
        {"m": 8, "ef_construction": 20},
        {"m": 48, "ef_construction": 20},
        {"m": 16, "ef_construction": 20, "metric": "l2"},
    ],
    ids=["flat", "m8", "m48", "l2"],
)
@pytest.mark.embedded
def test_the_estimate_is_within_a_fifth(own_server, vector):
    random = np.random.default_rng(1)
    with redis.Redis.from_url(own_server().url) as client:
        with client.pipeline(transaction=False) as pipe:
            for number in range(DOCUMENTS):
                fields = {
                    "colour": f"colour {number % 50}",
                    "label": f"a label of some words, the {number}th",
                    "size": number,
                    "embedding": random.normal(size=96).astype(np.float32).tobytes(),
                }
                pipe.hset(f"item:{number}", mapping=fields)
            pipe.execute()
        # What a first index sets up for all that follow is no matter of the second one.
        _, live = build(client, spec(ef_construction=20), "idx:item@0001")
        used, info = build(client, spec(**vector), "idx:item@0002")
        assert memory.estimate(spec(**vector), live) == pytest.approx(used, rel=0.2)
        assert memory.used_by(info) == pytest.approx(used, rel=0.2)
