"""Finding without a vector: counting, listing, going through any number of documents, and deleting them.

Each function for asyncio is followed by its twin for blocking clients. What is read are the documents
themselves, as `get` gives them, rather than what a search returns of them.
"""

from __future__ import annotations

import contextlib
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Generator,
    Iterator,
    Mapping,
    Sequence,
)
from typing import Any, Final

from redis.exceptions import RedisError

from vecmigrate.helpers.common import (
    RESULTS_MAX,
    AsyncRedis,
    BlockingRedis,
    Command,
    T,
    as_bytes,
    whole_number,
)
from vecmigrate.helpers.fields import Field, Numeric, Tag, Text
from vecmigrate.helpers.index import Index, ReadDocument
from vecmigrate.helpers.queries import Filters
from vecmigrate.helpers.replies import value_of
from vecmigrate.helpers.run import AS_BYTES, note_failure
from vecmigrate.helpers.searches import search_warning, warnings_of
from vecmigrate.helpers.values import as_str
from vecmigrate.helpers.where import Where

# Documents that one reply of a cursor names, and one pipeline reads or deletes.
WALK_BATCH: Final = 500


# An answer that was cut short could not be told from a whole one under RESP2, and a count is never short.
NO_TIME_LIMIT: Final = ("TIMEOUT", 0, "DIALECT", 2)


def condition_words(where: Where | None) -> Command:
    """A condition as the words of a command: the query, and its parameters."""
    filters = Filters()
    filters.where(where)
    params = ("PARAMS", len(filters.params), *filters.params) if filters.params else ()
    return (filters.query, *params)


def count_command(index: Index, where: Where | None) -> Command:
    """FT.SEARCH that counts the documents that meet a condition."""
    query, *params = condition_words(where)
    words = ("FT.SEARCH", index.name, query, *params, "LIMIT", 0, 0)
    return as_bytes((*words, *NO_TIME_LIMIT))


def list_command(
    index: Index,
    where: Where | None,
    *,
    sort_by: Field | None,
    descending: bool,
    offset: int,
    limit: int,
) -> Command:
    """FT.SEARCH for the ids of some of the documents that meet a condition.

    Raises:
        ValueError: `limit` is less than 1, or `offset` less than 0.
        TypeError: `sort_by` is no field with an order.
    """
    limit = whole_number("limit", limit, RESULTS_MAX)
    start = whole_number("offset", offset, RESULTS_MAX) if offset else 0
    query, *params = condition_words(where)
    order: Command = ()
    if sort_by is not None:
        if not isinstance(sort_by, Tag | Numeric | Text):
            raise TypeError(
                f"sort_by is {sort_by!r} (expected a tag, numeric or text field of the index)",
            )
        order = ("SORTBY", sort_by.attribute, "DESC" if descending else "ASC")
    words = ("FT.SEARCH", index.name, query, *params, "NOCONTENT", *order)
    return as_bytes((*words, "LIMIT", start, limit, *NO_TIME_LIMIT))


def walk_command(index: Index, where: Where | None) -> Command:
    """FT.AGGREGATE with a cursor over the ids of all documents that meet a condition."""
    query, *params = condition_words(where)
    words = ("FT.AGGREGATE", index.name, query, *params, "LOAD", 1, "@__key")
    words = (*words, "WITHCURSOR", "COUNT", WALK_BATCH)
    return as_bytes((*words, *NO_TIME_LIMIT))


def cursor_command(index: Index, action: str, cursor: int) -> Command:
    """FT.CURSOR READ or DEL."""
    return ("FT.CURSOR", action, index.name, cursor)


def check_whole(reply: Mapping[Any, Any]) -> None:
    """Raise SearchWarning where the server says that its answer is not whole."""
    text = "; ".join(dict.fromkeys(warnings_of(reply)))
    if text:
        raise search_warning(text)


def total_of(reply: Any) -> int:
    """How many documents a reply of FT.SEARCH says that there are."""
    if isinstance(reply, Mapping):
        check_whole(reply)
        return int(value_of(reply, "total_results") or 0)
    return int(reply[0])


def ids_of(reply: Any) -> list[Any]:
    """The ids in a reply of FT.SEARCH without content."""
    if isinstance(reply, Mapping):
        check_whole(reply)
        return [value_of(result, "id") for result in value_of(reply, "results") or ()]
    return list(reply[1:])


def walked(reply: Any) -> tuple[list[Any], int]:
    """The ids in a reply of a cursor, and the cursor; 0 where it is at its end."""
    found, cursor = reply
    if isinstance(found, Mapping):
        check_whole(found)
        results = value_of(found, "results") or ()
        rows = [value_of(result, "extra_attributes") for result in results]
        ids = [value_of(row, "__key") for row in rows if row]
    else:
        # A document that went away meanwhile has nothing in its row.
        ids = [row[1] for row in found[1:] if row]
    return [name for name in ids if name is not None], int(cursor)


def keys_of(index: Index, ids: Sequence[Any]) -> list[str]:
    """The keys in ids of documents."""
    return [index.key_of(as_str(name)) for name in ids]


def documents_of(
    index: Index,
    keys: Sequence[str],
    replies: Sequence[Any],
    read: ReadDocument[T],
) -> list[T]:
    """The documents in replies to `get_command`, without those that went away meanwhile."""
    found = []
    for key, reply in zip(keys, replies, strict=True):
        document = None if reply is None else index.document(key, reply, read)
        if document is not None:
            found.append(document)
    return found


async def count(redis: AsyncRedis, index: Index, where: Where | None) -> int:
    """How many documents meet a condition."""
    command = count_command(index, where)
    try:
        return total_of(await redis.execute_command(*command, **AS_BYTES))
    except RedisError as error:
        note_failure(index, error)
        return 0


def count_blocking(redis: BlockingRedis, index: Index, where: Where | None) -> int:
    """The blocking twin of `count`."""
    command = count_command(index, where)
    try:
        return total_of(redis.execute_command(*command, **AS_BYTES))
    except RedisError as error:
        note_failure(index, error)
        return 0


async def get_each(
    redis: AsyncRedis,
    index: Index,
    ids: Sequence[Any],
    read: ReadDocument[T],
) -> list[T]:
    """The documents with these ids, in one round trip."""
    keys = keys_of(index, ids)
    pipeline = redis.pipeline(transaction=False)
    for key in keys:
        pipeline.execute_command(*index.get_command(key), **AS_BYTES)
    return documents_of(index, keys, await pipeline.execute(), read)


def get_each_blocking(
    redis: BlockingRedis,
    index: Index,
    ids: Sequence[Any],
    read: ReadDocument[T],
) -> list[T]:
    """The blocking twin of `get_each`."""
    keys = keys_of(index, ids)
    pipeline = redis.pipeline(transaction=False)
    for key in keys:
        pipeline.execute_command(*index.get_command(key), **AS_BYTES)
    return documents_of(index, keys, pipeline.execute(), read)


async def list_documents(
    redis: AsyncRedis,
    index: Index,
    read: ReadDocument[T],
    where: Where | None,
    *,
    sort_by: Field | None,
    descending: bool,
    offset: int,
    limit: int,
) -> list[T]:
    """Some of the documents that meet a condition."""
    command = list_command(
        index,
        where,
        sort_by=sort_by,
        descending=descending,
        offset=offset,
        limit=limit,
    )
    try:
        ids = ids_of(await redis.execute_command(*command, **AS_BYTES))
        return await get_each(redis, index, ids, read)
    except RedisError as error:
        note_failure(index, error)
        return []


def list_documents_blocking(
    redis: BlockingRedis,
    index: Index,
    read: ReadDocument[T],
    where: Where | None,
    *,
    sort_by: Field | None,
    descending: bool,
    offset: int,
    limit: int,
) -> list[T]:
    """The blocking twin of `list_documents`."""
    command = list_command(
        index,
        where,
        sort_by=sort_by,
        descending=descending,
        offset=offset,
        limit=limit,
    )
    try:
        ids = ids_of(redis.execute_command(*command, **AS_BYTES))
        return get_each_blocking(redis, index, ids, read)
    except RedisError as error:
        note_failure(index, error)
        return []


async def walk_ids(
    redis: AsyncRedis,
    index: Index,
    command: Command,
) -> AsyncGenerator[list[Any], None]:
    """The ids that a cursor gives, in batches. A cursor that the server lost is an error, not the end."""
    cursor = 0
    try:
        reply = await redis.execute_command(*command, **AS_BYTES)
        while True:
            ids, cursor = walked(reply)
            yield ids
            if not cursor:
                return
            command = cursor_command(index, "READ", cursor)
            reply = await redis.execute_command(*command, **AS_BYTES)
    finally:
        if cursor:
            command = cursor_command(index, "DEL", cursor)
            with contextlib.suppress(RedisError):
                await redis.execute_command(*command, **AS_BYTES)


def walk_ids_blocking(
    redis: BlockingRedis,
    index: Index,
    command: Command,
) -> Generator[list[Any], None, None]:
    """The blocking twin of `walk_ids`."""
    cursor = 0
    try:
        reply = redis.execute_command(*command, **AS_BYTES)
        while True:
            ids, cursor = walked(reply)
            yield ids
            if not cursor:
                return
            command = cursor_command(index, "READ", cursor)
            reply = redis.execute_command(*command, **AS_BYTES)
    finally:
        if cursor:
            command = cursor_command(index, "DEL", cursor)
            with contextlib.suppress(RedisError):
                redis.execute_command(*command, **AS_BYTES)


async def walk(
    redis: AsyncRedis,
    index: Index,
    read: ReadDocument[T],
    where: Where | None,
) -> AsyncIterator[T]:
    """All documents that meet a condition; errors are raised whatever the index says: some were given."""
    walking = walk_ids(redis, index, walk_command(index, where))
    async with contextlib.aclosing(walking):
        async for ids in walking:
            for document in await get_each(redis, index, ids, read):
                yield document


def walk_blocking(
    redis: BlockingRedis,
    index: Index,
    read: ReadDocument[T],
    where: Where | None,
) -> Iterator[T]:
    """The blocking twin of `walk`."""
    walking = walk_ids_blocking(redis, index, walk_command(index, where))
    with contextlib.closing(walking):
        for ids in walking:
            yield from get_each_blocking(redis, index, ids, read)


def check_deletion(where: Where | None, everything: bool) -> None:
    """Raise ValueError unless it is plain what to delete: what meets a condition, or everything."""
    if (where is None) is not everything:
        raise ValueError(
            f"where is {where!r} and everything is {everything} (expected a condition, or everything=True"
            " and no condition, which deletes all documents of the index)",
        )


async def delete_where(
    redis: AsyncRedis,
    index: Index,
    where: Where | None,
    everything: bool,
) -> int:
    """Delete the documents that meet a condition, and say how many they were."""
    check_deletion(where, everything)
    deleted = 0
    walking = walk_ids(redis, index, walk_command(index, where))
    async with contextlib.aclosing(walking):
        async for ids in walking:
            pipeline = redis.pipeline(transaction=False)
            for name in ids:
                pipeline.execute_command("DEL", name)
            deleted += sum(await pipeline.execute())
    return deleted


def delete_where_blocking(
    redis: BlockingRedis,
    index: Index,
    where: Where | None,
    everything: bool,
) -> int:
    """The blocking twin of `delete_where`."""
    check_deletion(where, everything)
    deleted = 0
    walking = walk_ids_blocking(redis, index, walk_command(index, where))
    with contextlib.closing(walking):
        for ids in walking:
            pipeline = redis.pipeline(transaction=False)
            for name in ids:
                pipeline.execute_command("DEL", name)
            deleted += sum(pipeline.execute())
    return deleted
