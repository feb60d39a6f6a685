"""A search by the generated helper beside the bare command, redis-py's query builder and RedisVL."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import redis.asyncio
from redis.commands.search.query import Query
from redisvl.index import AsyncSearchIndex, SearchIndex
from redisvl.query import VectorQuery

from benchmarks.helpers import INDEX, queries, redisvl_schema, tool_index, tool_items
from benchmarks.measure import MICROSECONDS, Aim, Comparison, Contender, Sample, compare, take_turns
from benchmarks.server import Server
from examples.classifiers.redis_vector_index import knn_search_tools, sync

HELPER = "generated knn_search_tools"
RAW = "raw execute_command"
REDIS_PY = "redis-py ft().search"
REDISVL = "RedisVL VectorQuery"

K = 10
EF_RUNTIME = 200
AT_MOST_RAW = 1.1
RETURNED = ("name", "meta_json")
CLAUSE = f"*=>[KNN {K} @embedding $query EF_RUNTIME {EF_RUNTIME} AS distance]"
BEFORE = ("FT.SEARCH", INDEX, CLAUSE, "PARAMS", 2, "query")
AFTER = (
    *("SORTBY", "distance", "ASC", "RETURN", 3, "distance", *RETURNED),
    *("LIMIT", 0, K, "DIALECT", 2),
)

Vectors = npt.NDArray[np.float32]


def run(server: Server, *, quick: bool) -> list[Comparison]:
    """Blocking and asynchronous, over the same documents."""
    count, asked, rounds = (200, 5, 1) if quick else (5_000, 100, 15)
    vectors = queries(asked)
    with tool_index(server):
        sync.store_many_tools(server.client, tool_items(count))
        blocking = take_turns(_blocking(server, vectors), rounds=rounds)
        with asyncio.Runner() as runner:
            waiting, close = runner.run(_waiting(server, vectors, runner))
            asynchronous = take_turns(waiting, rounds=rounds)
            runner.run(close())
    title = f"KNN, k {K}, EF_RUNTIME {EF_RUNTIME}, over {count:,} documents of 384 dimensions (HNSW)"
    note = f"time of one query, {asked} in each of {rounds} turns; raw: words ready-made, reply left as it is"
    return [
        compare(
            "knn",
            f"{title}, {kind}",
            samples,
            MICROSECONDS,
            against=[RAW],
            aims=[Aim(HELPER, RAW, "at most", AT_MOST_RAW)],
            note=note,
        )
        for kind, samples in (("blocking client", blocking), ("asyncio client", asynchronous))
    ]


def _blocking(server: Server, vectors: Vectors) -> list[Contender]:
    client = server.client
    search = client.ft(INDEX)
    index = SearchIndex.from_dict(redisvl_schema(), redis_client=client)

    def helper(vector: Vectors) -> object:
        return sync.knn_search_tools(client, vector, knn_k=K, ef_runtime=EF_RUNTIME)

    def raw(vector: Vectors) -> object:
        return client.execute_command(*BEFORE, vector.tobytes(), *AFTER)

    def redis_py(vector: Vectors) -> object:
        return search.search(_query(), {"query": vector.tobytes()})

    def redisvl(vector: Vectors) -> object:
        return index.query(_vector_query(vector))

    def contender(name: str, ask: Callable[[Vectors], object]) -> Contender:
        def work() -> Mapping[str, Sample]:
            with server.stopwatch.measure(len(vectors)) as taken:
                for vector in vectors:
                    ask(vector)
            return {name: taken[0]}

        return Contender(work)

    return [
        contender(HELPER, helper),
        contender(RAW, raw),
        contender(REDIS_PY, redis_py),
        contender(REDISVL, redisvl),
    ]


async def _waiting(
    server: Server, vectors: Vectors, runner: asyncio.Runner
) -> tuple[list[Contender], Callable[[], Coroutine[Any, Any, None]]]:
    """The contenders for one asynchronous client, and what closes it."""
    client = redis.asyncio.Redis.from_url(server.url)
    search = client.ft(INDEX)
    index = AsyncSearchIndex.from_dict(redisvl_schema(), redis_client=client)

    def helper(vector: Vectors) -> Awaitable[object]:
        return knn_search_tools(client, vector, knn_k=K, ef_runtime=EF_RUNTIME)

    def raw(vector: Vectors) -> Awaitable[object]:
        return client.execute_command(*BEFORE, vector.tobytes(), *AFTER)

    def redis_py(vector: Vectors) -> Awaitable[object]:
        return search.search(_query(), {"query": vector.tobytes()})

    async def redisvl(vector: Vectors) -> object:
        return await index.query(_vector_query(vector))

    def contender(name: str, ask: Callable[[Vectors], Awaitable[object]]) -> Contender:
        async def work() -> Mapping[str, Sample]:
            with server.stopwatch.measure(len(vectors)) as taken:
                for vector in vectors:
                    await ask(vector)
            return {name: taken[0]}

        return Contender(lambda: runner.run(work()))

    contenders = [
        contender(HELPER, helper),
        contender(RAW, raw),
        contender(REDIS_PY, redis_py),
        contender(REDISVL, redisvl),
    ]
    return contenders, client.aclose


def _query() -> Query:
    query = Query(CLAUSE).sort_by("distance").return_fields("distance", *RETURNED)
    return query.paging(0, K).dialect(2)


def _vector_query(vector: Vectors) -> VectorQuery:
    return VectorQuery(
        vector=vector.tobytes(),
        vector_field_name="embedding",
        return_fields=list(RETURNED),
        num_results=K,
        ef_runtime=EF_RUNTIME,
    )
