"""pytest fixtures with a real Redis for suites that test vector indexes.

Opt in from the top-level `conftest.py`:

    pytest_plugins = ["vecmigrate.testing.plugin"]

The server is the embedded one, or a container: `vecmigrate.testing.servers` tells which variables choose.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from vecmigrate.testing.servers import NoContainerEngineError, empty, image_for_tests, server_for_tests

if TYPE_CHECKING:
    from redis import Redis


def pytest_report_header() -> str:
    """Say in the first lines of a run which server it uses."""
    if os.environ.get("VECMIGRATE_TEST_REDIS_URL"):
        return "vecmigrate: the server in VECMIGRATE_TEST_REDIS_URL"
    if os.environ.get("VECMIGRATE_TEST_BACKEND") == "container":
        return f"vecmigrate: a container of {image_for_tests()}"
    return "vecmigrate: embedded Redis"


@pytest.fixture(scope="session")
def vecmigrate_redis_url() -> Iterator[str]:
    """URL of a Redis with RediSearch and RedisJSON that is started for this run and ends with it.

    Where containers are wanted and nothing can run them, the tests are skipped, except with CI=true.
    """
    try:
        with server_for_tests() as url:
            yield url
    except NoContainerEngineError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))


@pytest.fixture
def vecmigrate_redis(vecmigrate_redis_url: str) -> Iterator[Redis]:
    """A `redis.Redis` for that server, emptied before the test: no keys, no indexes."""
    from redis import Redis

    with contextlib.closing(Redis.from_url(vecmigrate_redis_url)) as client:
        empty(client)
        yield client
