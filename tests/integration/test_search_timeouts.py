"""A search that the server gave up, or that met the end of its index, is no answer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import redis
import redis.asyncio

from tests.conftest import WAYS_TO_CONNECT
from tests.generated import Helpers, Spy, a_spec, make_package
from vecmigrate.embedded import EmbeddedRedis
from vecmigrate.search.ddl import ft_create

COUNT, DIMS = 20_000, 64
VECTOR = {"type": "vector", "dims": DIMS, "algorithm": "flat", "metric": "l2"}
SPECS = (
    a_spec("loud", embedding=VECTOR, half={"type": "tag"}),
    a_spec("quiet", embedding=VECTOR, half={"type": "tag"}, helpers={"on_error": "empty"}),
)
VECTORS = np.random.default_rng(7).standard_normal((COUNT, DIMS)).astype(np.float32)
DROPPED = "The index was dropped before the query could be executed"


@pytest.fixture(scope="module")
def large() -> Iterator[EmbeddedRedis]:
    """A server with two indexes of 20,000 documents, which no search reads in a millisecond."""
    with EmbeddedRedis() as server, redis.Redis.from_url(server.url) as client:
        for spec in SPECS:
            client.execute_command(*ft_create(spec))
            pipe = client.pipeline(transaction=False)
            for number, vector in enumerate(VECTORS):
                values = {"embedding": vector.tobytes(), "half": "even" if number % 2 == 0 else "odd"}
                pipe.hset(f"{spec.name}:{number}", mapping=values)
            pipe.execute()
        yield server


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    return make_package(tmp_path_factory.mktemp("timeouts"), *SPECS)


class Timeouts:
    """The tests; two classes below say with which helpers."""

    async def test_what_ran_out_of_time_raises(self, helpers: Helpers, package: ModuleType):
        query = VECTORS[0]
        for search, arguments in (
            (helpers.knn_search_louds, {"knn_k": COUNT}),
            (helpers.knn_search_louds, {"knn_k": COUNT // 2, "half": "even"}),
            (helpers.range_search_louds, {"min_score": 1e-9, "limit": COUNT}),
            # All that were asked for, but the nearest of those alone that were looked at in time.
            (helpers.range_search_louds, {"min_score": 1e-9, "limit": 3}),
        ):
            with pytest.raises(package.SearchTimeout) as raised:
                await search(query, timeout_ms=1, **arguments)
            assert isinstance(raised.value, package.SearchWarning)
            assert isinstance(raised.value, redis.RedisError)
        with pytest.raises(package.SearchTimeout):
            await helpers.knn_many_louds([query, query], knn_k=COUNT, timeout_ms=1)

    async def test_nothing_is_found_then_where_the_spec_says_so(
        self, helpers: Helpers, package: ModuleType, caplog: pytest.LogCaptureFixture
    ):
        with caplog.at_level(logging.DEBUG):
            assert await helpers.knn_search_quiets(VECTORS[0], knn_k=COUNT, timeout_ms=1) == []
        (error,) = [record.exc_info[1] for record in caplog.records if record.exc_info]
        assert isinstance(error, package.SearchTimeout)
        query = VECTORS[0]
        assert await helpers.knn_many_quiets([query, query], knn_k=COUNT, timeout_ms=1) == [[], []]
        assert await helpers.range_search_quiets(query, min_score=1e-9, timeout_ms=1) == []

    async def test_enough_time_is_the_default(self, helpers: Helpers, server: redis.Redis):
        server.execute_command("FT.CONFIG", "SET", "TIMEOUT", 1)
        try:
            assert len(await helpers.knn_search_louds(VECTORS[0], knn_k=COUNT)) == COUNT
        finally:
            server.execute_command("FT.CONFIG", "SET", "TIMEOUT", 500)

    async def test_fewer_because_fewer_exist_is_an_answer(self, helpers: Helpers):
        hits = await helpers.knn_search_louds(VECTORS[0], knn_k=COUNT + 5, half="even")
        assert len(hits) == COUNT // 2
        assert await helpers.knn_search_louds(VECTORS[0], knn_k=5, half="none") == []

    @pytest.mark.parametrize("timeout_ms", [0, -1])
    async def test_a_search_may_take_some_time(self, helpers: Helpers, timeout_ms: int):
        for search, more in (
            (helpers.knn_search_louds, {"knn_k": 1}),
            (helpers.range_search_louds, {"min_score": 0.5}),
        ):
            with pytest.raises(ValueError, match=f"timeout_ms is {timeout_ms}"):
                await search(VECTORS[0], timeout_ms=timeout_ms, **more)


class TestAsync(Timeouts):
    """The asyncio helpers."""

    @pytest.fixture(params=WAYS_TO_CONNECT)
    async def helpers(self, package: ModuleType, large: EmbeddedRedis, request: pytest.FixtureRequest) -> Any:
        async with redis.asyncio.Redis.from_url(large.url, **request.param) as client:
            yield Helpers(package, client)

    @pytest.fixture
    def server(self, large: EmbeddedRedis) -> Iterator[redis.Redis]:
        with redis.Redis.from_url(large.url) as client:
            yield client


class TestBlocking(Timeouts):
    """Their blocking twins."""

    @pytest.fixture(params=WAYS_TO_CONNECT)
    async def helpers(self, package: ModuleType, large: EmbeddedRedis, request: pytest.FixtureRequest) -> Any:
        with redis.Redis.from_url(large.url, **request.param) as client:
            yield Helpers(package.sync, client)

    @pytest.fixture
    def server(self, large: EmbeddedRedis) -> Iterator[redis.Redis]:
        with redis.Redis.from_url(large.url) as client:
            yield client


# Clients to which something happens on the way to a real server.


class SlowClient(redis.Redis):
    """Each command takes longer than the searches below may."""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        reply = super().execute_command(*args, **options)
        time.sleep(0.03)
        return reply


class DroppingPipeline(redis.client.Pipeline):
    def execute(self, raise_on_error: bool = True) -> list[Any]:
        replies = super().execute(raise_on_error=raise_on_error)
        return [
            redis.ResponseError(DROPPED) if number == 1 else reply for number, reply in enumerate(replies)
        ]


class DroppingClient(redis.Redis):
    """The first searches meet the end of their index, as many as `times`."""

    times = 1

    def execute_command(self, *args: Any, **options: Any) -> Any:
        if args[0] in ("FT.SEARCH", b"FT.SEARCH") and self.times:
            self.times -= 1
            raise redis.ResponseError(DROPPED)
        return super().execute_command(*args, **options)

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> Any:
        if not self.times:
            return super().pipeline(transaction, shard_hint)
        self.times -= 1
        return DroppingPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)


class DroppingAsyncClient(redis.asyncio.Redis):
    times = 1

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        if args[0] in ("FT.SEARCH", b"FT.SEARCH") and self.times:
            self.times -= 1
            raise redis.ResponseError(DROPPED)
        return await super().execute_command(*args, **options)


@pytest.fixture
def few(client: redis.Redis) -> redis.Redis:
    """A server with three documents of which one has no vector."""
    for spec in SPECS:
        client.execute_command(*ft_create(spec))
        for number in range(2):
            values = {"embedding": VECTORS[number].tobytes(), "half": "x"}
            client.hset(f"{spec.name}:{number}", mapping=values)
        client.hset(f"{spec.name}:bare", mapping={"half": "x"})
    return client


@pytest.mark.parametrize("protocol", [2, 3])
def test_a_slow_network_is_no_timeout(package: ModuleType, few: redis.Redis, emptied_url: str, protocol: int):
    sync = package.sync
    with SlowClient.from_url(emptied_url, protocol=protocol) as client:
        assert len(sync.knn_search_louds(client, VECTORS[0], knn_k=9, timeout_ms=20)) == 2
        assert len(sync.knn_search_louds(client, VECTORS[0], knn_k=9, half="x", timeout_ms=20)) == 2
        assert len(sync.range_search_louds(client, VECTORS[0], min_score=1e-9, timeout_ms=20)) == 2
        with Spy(few) as spy:
            assert len(sync.knn_search_louds(client, VECTORS[0], knn_k=2, timeout_ms=20)) == 2
        assert [words[0] for words in spy.commands] == [b"FT.SEARCH"]


def test_what_nobody_can_tell_is_no_answer(package: ModuleType, few: redis.Redis, emptied_url: str):
    few.execute_command("ACL", "SETUSER", "plain", "on", "nopass", "~*", "+@all", "-ft.profile")
    options = {"protocol": 2, "username": "plain", "password": "x"}
    try:
        with SlowClient.from_url(emptied_url, **options) as client:
            with pytest.raises(package.SearchTimeout, match=r"20\).*protocol=3, allow FT.PROFILE"):
                package.sync.knn_search_louds(client, VECTORS[0], knn_k=9, timeout_ms=20)
            assert len(package.sync.knn_search_louds(client, VECTORS[0], knn_k=9, timeout_ms=60_000)) == 2
        with SlowClient.from_url(emptied_url, **{**options, "protocol": 3}) as client:
            assert len(package.sync.knn_search_louds(client, VECTORS[0], knn_k=9, timeout_ms=20)) == 2
    finally:
        few.execute_command("ACL", "DELUSER", "plain")


@pytest.mark.parametrize("protocol", [2, 3])
def test_a_search_whose_index_was_dropped_is_sent_once_more(
    package: ModuleType, few: redis.Redis, emptied_url: str, protocol: int
):
    sync, query = package.sync, VECTORS[0]
    with DroppingClient.from_url(emptied_url, protocol=protocol) as client:
        for search in (sync.knn_search_louds, sync.knn_search_quiets):
            client.times = 1
            assert len(search(client, query, knn_k=9)) == 2
        client.times = 1
        assert len(sync.range_search_louds(client, query, min_score=1e-9)) == 2
        client.times = 1
        assert [len(hits) for hits in sync.knn_many_louds(client, [query] * 3, knn_k=9)] == [2, 2, 2]
        client.times = 2
        with pytest.raises(redis.ResponseError, match="dropped"):
            sync.knn_search_louds(client, query, knn_k=9)
        client.times = 2
        assert sync.knn_search_quiets(client, query, knn_k=9) == []

    async def ask() -> int:
        async with DroppingAsyncClient.from_url(emptied_url, protocol=protocol) as client:
            return len(await package.knn_search_louds(client, query, knn_k=9))

    assert asyncio.run(ask()) == 2
