"""A real Redis for every test that asks for one.

redis_url                       the run's server; VECMIGRATE_TEST_REDIS_URL or _BACKEND choose which
client, async_client            a client of it, over an emptied server
any_client, any_async_client    the same four times: RESP2 and RESP3, bytes and str replies
own_server                      starts private embedded servers, which a test may kill and restart
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import pytest_asyncio
import redis
import redis.asyncio
from hypothesis import settings

from vecmigrate.embedded import EmbeddedRedis
from vecmigrate.testing.servers import empty

pytest_plugins = ["vecmigrate.testing.plugin"]

# A loaded machine is no fault of the code. CI tries the same examples each time, so that a failure
# there can be had again.
settings.register_profile("vecmigrate", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("vecmigrate")

# Where a shell runs the suite in the background, Ctrl-C is ignored, and every process that a test starts
# would inherit that; some tests are about just this signal.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

WAYS_TO_CONNECT = [
    pytest.param({"protocol": protocol, "decode_responses": decode}, id=f"resp{protocol}-{kind}")
    for protocol in (2, 3)
    for decode, kind in ((False, "bytes"), (True, "str"))
]


def pytest_configure(config: pytest.Config) -> None:
    """Refuse several workers on one server: each empties it before a test."""
    if os.environ.get("VECMIGRATE_TEST_REDIS_URL") and getattr(config.option, "numprocesses", None):
        raise pytest.UsageError("VECMIGRATE_TEST_REDIS_URL names one server, so leave -n out")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what runs on its own embedded server, so that a run in containers can leave it out."""
    for item in items:
        if "own_server" in getattr(item, "fixturenames", ()):
            item.add_marker("embedded")


@pytest.fixture(scope="session")
def redis_url(vecmigrate_redis_url: str) -> str:
    """URL of the run's server."""
    return vecmigrate_redis_url


@pytest.fixture
def emptied_url(redis_url: str) -> str:
    """URL of the run's server, emptied: no keys, no indexes."""
    with contextlib.closing(redis.Redis.from_url(redis_url)) as client:
        empty(client)
    return redis_url


@pytest.fixture
def client(emptied_url: str) -> Iterator[redis.Redis]:
    """A blocking client as redis-py makes it by default, over an emptied server."""
    with contextlib.closing(redis.Redis.from_url(emptied_url)) as client:
        yield client


@pytest.fixture(params=WAYS_TO_CONNECT)
def any_client(emptied_url: str, request: pytest.FixtureRequest) -> Iterator[redis.Redis]:
    """A blocking client: each of RESP2 and RESP3, bytes and str."""
    with contextlib.closing(redis.Redis.from_url(emptied_url, **request.param)) as client:
        yield client


@pytest_asyncio.fixture
async def async_client(emptied_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    """An asyncio client as redis-py makes it by default, over an emptied server."""
    async with redis.asyncio.Redis.from_url(emptied_url) as client:
        yield client


@pytest_asyncio.fixture(params=WAYS_TO_CONNECT)
async def any_async_client(
    emptied_url: str, request: pytest.FixtureRequest
) -> AsyncIterator[redis.asyncio.Redis]:
    """An asyncio client: each of RESP2 and RESP3, bytes and str."""
    async with redis.asyncio.Redis.from_url(emptied_url, **request.param) as client:
        yield client


@pytest.fixture
def own_server() -> Iterator[Callable[..., EmbeddedRedis]]:
    """Start private embedded servers with the arguments of `EmbeddedRedis`; all end with the test."""
    with contextlib.ExitStack() as stack:

        def start(*args: Any, **kwargs: Any) -> EmbeddedRedis:
            return stack.enter_context(EmbeddedRedis(*args, **kwargs))

        yield start
