"""Bring the stored tools in line with those that exist now: store all of them, remove the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from redis.asyncio import Redis

from classifiers.legacy_hash import TOOLS, LegacyHash, legacy_names
from classifiers.redis_vector_index import (
    StoreFailure,
    ToolItem,
    delete_many_tools,
    scan_tool_names,
    store_many_tools,
)


@dataclass(frozen=True, slots=True)
class Update:
    """What was done.

    `failed` are the tools that could not be stored, `pruned` the orphans, which were removed from the index,
    from the legacy hashes or from both.
    """

    stored: int
    failed: tuple[StoreFailure, ...]
    pruned: tuple[str, ...]


async def update_tool_embeddings(
    redis: Redis, tools: Sequence[ToolItem], *, legacy: LegacyHash = TOOLS
) -> Update:
    """Store `tools`, then remove every other tool, from the legacy hashes as well.

    Without the latter, an orphan would come back with the next fallback or backfill. Nothing is removed
    unless everything was stored: the orphan may be the old name of a tool that failed.

    Raises:
        ValueError: `tools` is empty; taken at its word, that would remove everything.
        redis.RedisError: Redis fails; running it again finishes what was begun.
    """
    if not tools:
        raise ValueError("no tools were given (expected at least one); an empty list would remove all tools")
    report = await store_many_tools(redis, tools)
    if report["failed"]:
        return Update(report["stored"], tuple(report["failed"]), ())
    wanted = {tool["tool_name"] for tool in tools}
    present = {*await scan_tool_names(redis), *await legacy_names(redis, legacy)}
    orphans = sorted(present - wanted)
    if orphans:
        await delete_many_tools(redis, orphans)
        await redis.execute_command("HDEL", legacy.embeddings_key, *orphans)
        await redis.execute_command("HDEL", legacy.metadata_key, *orphans)
    return Update(report["stored"], (), tuple(orphans))
