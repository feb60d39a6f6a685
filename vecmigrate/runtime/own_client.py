"""Another client to the same server, with connections of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from redis.sentinel import SentinelConnectionPool

# What a pool puts among the arguments of its connections for itself.
_OF_THE_POOL = frozenset(
    {"connection_pool", "maint_notifications_pool_handler", "himport_registry", "event_dispatcher"}
)


@contextmanager
def own_client(client: redis.Redis, **changes: Any) -> Iterator[redis.Redis]:
    """A client that connects as `client` does, with `changes` to the arguments of its connections.

    Its connections are closed at the end of the block.
    """
    pool = client.connection_pool
    arguments = {
        name: value
        for name, value in pool.connection_kwargs.items()
        if name not in _OF_THE_POOL and not name.startswith("orig_")
    }
    arguments.update(changes)
    own: redis.ConnectionPool
    if isinstance(pool, SentinelConnectionPool):
        own = SentinelConnectionPool(
            pool.service_name, pool.sentinel_manager, is_master=pool.is_master, **arguments
        )
    else:
        own = redis.ConnectionPool(connection_class=pool.connection_class, **arguments)
    try:
        yield redis.Redis(connection_pool=own)
    finally:
        own.disconnect()
