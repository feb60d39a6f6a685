"""`store_many_…` beside pipelines that are written by hand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import redis.asyncio

from benchmarks.helpers import PREFIX, tool_index, tool_items
from benchmarks.measure import RATE, Aim, Comparison, Contender, Sample, compare, take_turns
from benchmarks.server import Server, in_batches
from examples.classifiers.redis_vector_index import ToolItem, store_many_tools, sync

HELPER = "generated store_many_tools"
RAW = "pipeline of HSET, encoded by hand"
READY = "pipeline of HSET, ready blobs and texts"

BATCH = 500
AT_LEAST_RAW = 0.9


def run(server: Server, *, quick: bool) -> list[Comparison]:
    """Without an index, where the client is the price, and with HNSW live, as applications have it."""
    count, indexed, rounds = (200, 100, 1) if quick else (10_000, 2_000, 9)
    items = tool_items(count)
    few = items[:indexed]
    plain = take_turns(_blocking(server, items), rounds=rounds)
    waiting = take_turns(_waiting(server, items), rounds=rounds)
    _delete(server, items)
    with tool_index(server):
        live = take_turns(_blocking(server, few), rounds=min(rounds, 3))
        _delete(server, few)
    tables = (
        ("no index, blocking client", count, plain),
        ("no index, asyncio client", count, waiting),
        ("HNSW live, blocking client", indexed, live),
    )
    return [
        compare(
            "store",
            f"Storing {stored:,} documents of 384 dimensions in batches of {BATCH}, {how}",
            samples,
            RATE,
            against=[RAW],
            aims=[Aim(HELPER, RAW, "at least", AT_LEAST_RAW)],
            note="the helper checks every vector and reports item by item; the pipelines do neither",
        )
        for how, stored, samples in tables
    ]


def _blocking(server: Server, items: Sequence[ToolItem]) -> list[Contender]:
    client = server.client
    ready = [_fields(item) for item in items]

    def pipelined(documents: Iterable[tuple[str, dict[Any, Any]]]) -> None:
        pipeline = client.pipeline(transaction=False)
        for key, fields in documents:
            pipeline.hset(key, mapping=fields)
        pipeline.execute()

    def helper() -> None:
        sync.store_many_tools(client, items, batch_size=BATCH)

    def raw() -> None:
        for some in in_batches(items, BATCH):
            pipelined(map(_fields, some))

    def with_ready() -> None:
        for some in in_batches(ready, BATCH):
            pipelined(some)

    return [
        _contender(server, items, HELPER, helper),
        _contender(server, items, RAW, raw),
        _contender(server, items, READY, with_ready),
    ]


def _waiting(server: Server, items: Sequence[ToolItem]) -> list[Contender]:
    async def helper() -> None:
        async with redis.asyncio.Redis.from_url(server.url) as client:
            await store_many_tools(client, items, batch_size=BATCH)

    async def raw() -> None:
        async with redis.asyncio.Redis.from_url(server.url) as client:
            for some in in_batches(items, BATCH):
                pipeline = client.pipeline(transaction=False)
                for key, fields in map(_fields, some):
                    pipeline.hset(key, mapping=fields)
                await pipeline.execute()

    return [
        _contender(server, items, HELPER, lambda: asyncio.run(helper())),
        _contender(server, items, RAW, lambda: asyncio.run(raw())),
    ]


def _contender(server: Server, items: Sequence[ToolItem], name: str, work: Callable[[], None]) -> Contender:
    def measured() -> Mapping[str, Sample]:
        with server.stopwatch.measure(len(items)) as taken:
            work()
        return {name: taken[0]}

    return Contender(measured, lambda: _delete(server, items))


def _fields(item: ToolItem) -> tuple[str, dict[Any, Any]]:
    """Key and fields of one document, as one would write them by hand."""
    name = item["tool_name"]
    blob: bytes = item["centroid"].astype("<f4").tobytes()  # type: ignore[union-attr]  # arrays here, all of them
    return PREFIX + name, {"name": name, "meta_json": json.dumps(item["metadata"]), "embedding": blob}


def _delete(server: Server, items: Sequence[ToolItem]) -> None:
    server.delete([PREFIX + item["tool_name"] for item in items])
