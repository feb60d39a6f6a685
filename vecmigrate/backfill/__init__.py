"""Moving items out of legacy monolithic hashes, in batches, while services run.

Generated helpers call `migrate_legacy_hash` and its asynchronous twin: the engine of the migration, without
a ledger.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import redis
    import redis.asyncio

    from vecmigrate.helpers.common import AsyncRedis, BlockingRedis

logger = logging.getLogger(__name__)


def migrate_legacy_hash(
    client: BlockingRedis, spec: Mapping[str, Any], *, embeddings_key: str, metadata_key: str
) -> int:
    """Write one document for each item of a legacy monolithic hash; documents that exist stay as they are.

    Args:
        client: Where both live; a client of redis-py.
        spec: The index, as its YAML spec says it.
        embeddings_key: Hash of name → JSON vector, shape `(dims,)`.
        metadata_key: Hash of name → JSON metadata.

    Returns:
        How many documents were written. Items that cannot be converted are skipped, each with a log line.

    Raises:
        OperationError: One of the keys is no hash.
        redis.RedisError: The server failed. Calling again is safe.
    """
    # Imported here so that applications which never migrate do not load the engine.
    from vecmigrate.backfill.engine import Backfill
    from vecmigrate.spec.build import spec_from_mapping

    index = spec_from_mapping(spec)
    with Backfill(cast("redis.Redis", client), index, embeddings_key, metadata_key, books=None) as backfill:
        backfill.total()
        # The counts are those of the whole run; the last ones tell all.
        *_, counts = backfill.copy()
    logger.info("migrated %s into %s: %s", embeddings_key, index.index.name, counts)
    return counts.written


async def migrate_legacy_hash_async(
    client: AsyncRedis, spec: Mapping[str, Any], *, embeddings_key: str, metadata_key: str
) -> int:
    """`migrate_legacy_hash` for an asynchronous client: a blocking twin of it does the work in a thread."""
    blocking = _blocking_twin(cast("redis.asyncio.Redis", client))
    try:
        return await asyncio.to_thread(
            migrate_legacy_hash, blocking, spec, embeddings_key=embeddings_key, metadata_key=metadata_key
        )
    finally:
        blocking.close()


def _blocking_twin(client: redis.asyncio.Redis) -> redis.Redis:
    """A blocking client to the same server, with the same credentials."""
    import redis  # as above
    import redis.asyncio.connection as asynchronous

    settings = dict(client.connection_pool.connection_kwargs)
    kinds: dict[type, type] = {
        asynchronous.UnixDomainSocketConnection: redis.UnixDomainSocketConnection,
        asynchronous.SSLConnection: redis.SSLConnection,
    }
    kind = kinds.get(client.connection_pool.connection_class, redis.Connection)
    # What only the asynchronous side understands, or holds an event loop.
    for name in ("retry", "retry_on_error", "parser_class", "redis_connect_func", "event_dispatcher"):
        settings.pop(name, None)
    settings = {name: value for name, value in settings.items() if "maint_notifications" not in name}
    return redis.Redis(connection_pool=redis.ConnectionPool(connection_class=kind, **settings))
