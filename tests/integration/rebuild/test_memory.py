"""The guard before a rebuild: its estimate held against what indexes take, limits, and what it tells."""

from __future__ import annotations

import time

import numpy as np
import pytest
import redis

from tests import live
from tests.legacy import Run
from vecmigrate.commands.database import parse_memory
from vecmigrate.errors import ConfigError
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


@pytest.mark.parametrize(
    ("text", "size"),
    [("100", 100), ("1kb", 1024), ("1k", 1000), ("1.5GB", 3 * 2**29), ("2 mb", 2**21), ("1tb", 2**40)],
)
def test_an_amount_is_what_redis_conf_takes(client, text, size):
    assert parse_memory(text, client) == size
    assert parse_memory(None, client) is None


def test_a_share_is_of_what_the_server_may_use(client):
    assert parse_memory("50%", client) == client.info("memory")["total_system_memory"] // 2
    client.config_set("maxmemory", 10**9)
    try:
        assert parse_memory("80%", client) == 8 * 10**8
    finally:
        client.config_set("maxmemory", 0)


@pytest.mark.parametrize("text", ["", "much", "2 pb", "-1", "1,5gb"])
def test_what_is_no_amount(client, text):
    with pytest.raises(ConfigError, match="no amount of memory"):
        parse_memory(text, client)


@pytest.mark.embedded
def test_settings_that_will_hurt_are_told(own_server, tmp_path):
    server = own_server()
    config = live.write_project(
        tmp_path / "project", live.CREATE, "op.rebuild_index('item', embedding={'m': 24})"
    )
    with redis.Redis.from_url(server.url) as client:
        live.fill(client, 60)
        with Run(config, server.url, "upgrade", "0001") as run:
            assert run.wait() == 0, run.output
        client.execute_command("FT.CONFIG", "SET", "TIMEOUT", "50")
        client.execute_command("FT.CONFIG", "SET", "ON_TIMEOUT", "fail")
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("maxmemory", 10**9)
        with Run(config, server.url, "upgrade") as run:
            assert run.wait() == 0, run.output
            told = run.output
    assert "queries that take more than 50 ms give an error (TIMEOUT 50, ON_TIMEOUT fail)" in told
    assert "the server evicts documents (maxmemory-policy allkeys-lru)" in told
    assert "BG_INDEX_SLEEP_GAP" not in told  # the embedded server is set gently
    assert ", at most 954 MB" in told
