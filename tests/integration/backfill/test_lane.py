"""A lane's connection beside those of the client that it is made from."""

from __future__ import annotations

import redis

from vecmigrate.backfill.lane import Lane


def test_lanes_use_up_nothing_of_the_clients_pool(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url, max_connections=1) as client:
        for _ in range(3):
            lane = Lane(client)
            assert lane.ask(("ECHO", "here")) == [b"here"]
            lane.close()
        assert client.ping()
