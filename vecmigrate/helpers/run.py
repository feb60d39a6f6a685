"""Commands on their way to Redis: each function for asyncio, then its twin for blocking clients."""

from __future__ import annotations

import math
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterable,
    Iterator,
    Sequence,
)
from typing import Any, Final

from redis.client import NEVER_DECODE
from redis.exceptions import RedisError

from vecmigrate.helpers.common import (
    SCAN_COUNT,
    AsyncRedis,
    BlockingRedis,
    Command,
    Items,
    StoreMany,
    StoreReport,
    T,
    as_bytes,
    batches,
    check_many,
    logger,
)
from vecmigrate.helpers.index import Index, ReadDocument, ReadHit, Search
from vecmigrate.helpers.replies import doc_count
from vecmigrate.helpers.searches import Searches
from vecmigrate.helpers.values import as_str, real_number

# The shortest time to live in seconds, and the longest: a hundred years.
MILLISECOND: Final = 0.001


LONGEST_TTL: Final = 100 * 366 * 86400.0


# Lua: each command as the number of its words and these.
ONE_BY_ONE: Final = """
local at = 1
while at <= #ARGV do
  local count = tonumber(ARGV[at])
  redis.call(unpack(ARGV, at + 1, at + count))
  at = at + count + 1
end
"""

# Replies come as bytes from any client: a vector is no text, and a text may be stored in UTF-8 whatever
# encoding a client decodes with.
AS_BYTES: Final = {NEVER_DECODE: True}


async def pipelined(
    redis: AsyncRedis,
    commands: Iterable[Command],
    *,
    raise_on_error: bool = True,
) -> list[Any]:
    """Send commands in one round trip, and give their replies in the same order."""
    pipeline = redis.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command, **AS_BYTES)
    return await pipeline.execute(raise_on_error=raise_on_error)


def pipelined_blocking(
    redis: BlockingRedis,
    commands: Iterable[Command],
    *,
    raise_on_error: bool = True,
) -> list[Any]:
    """The blocking twin of `pipelined`."""
    pipeline = redis.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command, **AS_BYTES)
    return pipeline.execute(raise_on_error=raise_on_error)


def expiry_command(document_id: str | bytes | float, ttl: float) -> Command:
    """PEXPIRE of a document in `ttl` seconds; PERSIST where that is infinity.

    Raises:
        ValueError: `ttl` is no number of at least a millisecond, or none that a server takes.
    """
    seconds = real_number("ttl", ttl)
    if seconds == math.inf:
        return ("PERSIST", document_id)
    if not MILLISECOND <= seconds <= LONGEST_TTL:
        raise ValueError(
            f"ttl is {ttl} (expected seconds, from {MILLISECOND} to {LONGEST_TTL:.0f}, or infinity)",
        )
    return ("PEXPIRE", document_id, round(seconds * 1000))


def expiring_command(commands: Sequence[Command], ttl: float) -> Command:
    """Commands on one document and its expiry as one command: a transaction would go on behind an error."""
    words: list[str | bytes | int | float] = []
    for command in (*commands, expiry_command(commands[0][1], ttl)):
        words += (len(command), *command)
    return ("EVAL", ONE_BY_ONE, 1, commands[0][1], *words)


async def store(
    redis: AsyncRedis,
    commands: Sequence[Command],
    ttl: float | None = None,
) -> None:
    """Send the commands that store one document; with a `ttl`, they and its expiry are one."""
    if ttl is not None:
        await redis.execute_command(*expiring_command(commands, ttl))
    elif len(commands) == 1:
        await redis.execute_command(*commands[0])
    else:
        await pipelined(redis, commands)


def store_blocking(
    redis: BlockingRedis,
    commands: Sequence[Command],
    ttl: float | None = None,
) -> None:
    """The blocking twin of `store`."""
    if ttl is not None:
        redis.execute_command(*expiring_command(commands, ttl))
    elif len(commands) == 1:
        redis.execute_command(*commands[0])
    else:
        pipelined_blocking(redis, commands)


async def store_many(
    redis: AsyncRedis,
    items: Items[T],
    encode: Callable[[T], Sequence[Command]],
    key_name: str,
    batch_size: int,
) -> StoreReport:
    """Store items batch by batch; those that cannot be stored are in the report."""
    check_many("items", items)
    work = StoreMany(encode, key_name, batch_size)
    async for item in each(items):
        if work.add(item):
            work.settle(await pipelined(redis, work.commands, raise_on_error=False))
    work.settle(await pipelined(redis, work.commands, raise_on_error=False))
    return work.report


def store_many_blocking(
    redis: BlockingRedis,
    items: Iterable[T],
    encode: Callable[[T], Sequence[Command]],
    key_name: str,
    batch_size: int,
) -> StoreReport:
    """The blocking twin of `store_many`."""
    check_many("items", items)
    work = StoreMany(encode, key_name, batch_size)
    for item in items:
        if work.add(item):
            work.settle(pipelined_blocking(redis, work.commands, raise_on_error=False))
    work.settle(pipelined_blocking(redis, work.commands, raise_on_error=False))
    return work.report


async def each(items: Items[T]) -> AsyncIterator[T]:
    """The items of any iterable, asynchronous or not."""
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item


async def get(
    redis: AsyncRedis,
    index: Index,
    key: str,
    read: ReadDocument[T],
) -> T | None:
    """The document of a key; None where there is none."""
    reply = await redis.execute_command(*index.get_command(key), **AS_BYTES)
    return index.document(key, reply, read)


def get_blocking(
    redis: BlockingRedis,
    index: Index,
    key: str,
    read: ReadDocument[T],
) -> T | None:
    """The blocking twin of `get`."""
    reply = redis.execute_command(*index.get_command(key), **AS_BYTES)
    return index.document(key, reply, read)


async def delete(redis: AsyncRedis, index: Index, key: str) -> None:
    """Delete the document of a key, if there is one."""
    await redis.execute_command(*index.delete_command(key))


def delete_blocking(redis: BlockingRedis, index: Index, key: str) -> None:
    """The blocking twin of `delete`."""
    redis.execute_command(*index.delete_command(key))


async def delete_many(
    redis: AsyncRedis,
    index: Index,
    keys: Iterable[str],
    batch_size: int,
) -> int:
    """Delete the documents of these keys, and say how many there were."""
    deleted = 0
    for batch in batches("keys", keys, batch_size):
        deleted += sum(await pipelined(redis, map(index.delete_command, batch)))
    return deleted


def delete_many_blocking(
    redis: BlockingRedis,
    index: Index,
    keys: Iterable[str],
    batch_size: int,
) -> int:
    """The blocking twin of `delete_many`."""
    deleted = 0
    for batch in batches("keys", keys, batch_size):
        deleted += sum(pipelined_blocking(redis, map(index.delete_command, batch)))
    return deleted


async def find(redis: AsyncRedis, search: Search, read: ReadHit[T]) -> list[T]:
    """What a search finds; nothing on errors of Redis, if the index is told so."""
    work = Searches([search])
    while work.commands:
        try:
            reply = await redis.execute_command(*work.commands[0], **AS_BYTES)
        except RedisError as error:
            reply = error
        work.settle([reply])
    return hits_of_each(work, read)[0]


def find_blocking(redis: BlockingRedis, search: Search, read: ReadHit[T]) -> list[T]:
    """The blocking twin of `find`."""
    work = Searches([search])
    while work.commands:
        try:
            reply = redis.execute_command(*work.commands[0], **AS_BYTES)
        except RedisError as error:
            reply = error
        work.settle([reply])
    return hits_of_each(work, read)[0]


async def find_many(
    redis: AsyncRedis,
    searches: Sequence[Search],
    read: ReadHit[T],
) -> list[list[T]]:
    """What each of several searches finds, in one round trip."""
    work = Searches(searches)
    while work.commands:
        try:
            replies = await pipelined(redis, work.commands, raise_on_error=False)
        except RedisError as error:
            replies = [error] * len(work.commands)
        work.settle(replies)
    return hits_of_each(work, read)


def find_many_blocking(
    redis: BlockingRedis,
    searches: Sequence[Search],
    read: ReadHit[T],
) -> list[list[T]]:
    """The blocking twin of `find_many`."""
    work = Searches(searches)
    while work.commands:
        try:
            replies = pipelined_blocking(
                redis,
                work.commands,
                raise_on_error=False,
            )
        except RedisError as error:
            replies = [error] * len(work.commands)
        work.settle(replies)
    return hits_of_each(work, read)


def hits_of_each(work: Searches, read: ReadHit[T]) -> list[list[T]]:
    """The results of each search."""
    found: list[list[T]] = []
    for search, reply in zip(work.searches, work.replies, strict=True):
        if isinstance(reply, Exception):
            note_failure(search.index, reply)
            found.append([])
        else:
            found.append(search.hits(reply, read))
    return found


def note_failure(index: Index, error: Exception) -> None:
    """Raise the error of a search, or log it where the index is told to be empty then."""
    if index.on_error == "raise":
        raise error
    logger.debug("The search of %s failed", index.name, exc_info=error)


def scan_options(index: Index) -> dict[str, Any]:
    """What SCAN is told beside a pattern: documents only, as others may have keys of that form."""
    return {"count": SCAN_COUNT, "_type": index.key_type, **AS_BYTES}


async def iterate(redis: AsyncRedis, index: Index) -> AsyncIterator[str]:
    """The keys that have documents, as SCAN comes across them."""
    for pattern, earlier in index.scans:
        keys = redis.scan_iter(match=pattern.encode(), **scan_options(index))
        async for key in keys:
            name = as_str(key)
            if not name.startswith(earlier):
                yield index.key_of(name)


def iterate_blocking(redis: BlockingRedis, index: Index) -> Iterator[str]:
    """The blocking twin of `iterate`."""
    for pattern, earlier in index.scans:
        keys = redis.scan_iter(match=pattern.encode(), **scan_options(index))
        for key in keys:
            name = as_str(key)
            if not name.startswith(earlier):
                yield index.key_of(name)


async def scan(redis: AsyncRedis, index: Index) -> list[str]:
    """The keys that have documents: sorted, each once."""
    return sorted({key async for key in iterate(redis, index)})


def scan_blocking(redis: BlockingRedis, index: Index) -> list[str]:
    """The blocking twin of `scan`."""
    return sorted(set(iterate_blocking(redis, index)))


async def redisearch_index_doc_count(redis: AsyncRedis, index_name: str) -> int:
    """How many documents an index holds: a cheap check before a search.

    Args:
        redis: A client of `redis.asyncio`.
        index_name: The name of an index or of an alias.

    Returns:
        `num_docs` of FT.INFO; -1 on any failure, such as a missing index or a server that is away.
    """
    try:
        reply = await redis.execute_command(*as_bytes(("FT.INFO", index_name)))
    except Exception:  # the contract: whatever fails, the count is -1
        logger.debug("FT.INFO of %s failed", index_name, exc_info=True)
        return -1
    return doc_count(reply)


def redisearch_index_doc_count_blocking(redis: BlockingRedis, index_name: str) -> int:
    """The blocking twin of `redisearch_index_doc_count`."""
    try:
        reply = redis.execute_command(*as_bytes(("FT.INFO", index_name)))
    except Exception:  # as above
        logger.debug("FT.INFO of %s failed", index_name, exc_info=True)
        return -1
    return doc_count(reply)
