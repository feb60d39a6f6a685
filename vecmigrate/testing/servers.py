"""Where the tests' Redis comes from, chosen by environment variables.

VECMIGRATE_TEST_REDIS_URL   a server that is there already; it must be empty: tests empty it
VECMIGRATE_TEST_BACKEND     embedded (the default) or container
VECMIGRATE_TEST_IMAGE       image of the container; default redis:8
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from vecmigrate.embedded import EmbeddedRedis
from vecmigrate.errors import ConfigError, EmbeddedError

if TYPE_CHECKING:
    from redis import Redis

DEFAULT_IMAGE = "redis:8"
REDIS_PORT = 6379

_SECONDS_TO_START = 60.0


class NoContainerEngineError(EmbeddedError):
    """No container engine answers, or testcontainers is not installed."""


def image_for_tests(environ: Mapping[str, str] = os.environ) -> str:
    """The image that containers are made of."""
    return environ.get("VECMIGRATE_TEST_IMAGE") or DEFAULT_IMAGE


@contextlib.contextmanager
def server_for_tests(environ: Mapping[str, str] = os.environ) -> Iterator[str]:
    """Provide an empty server for the length of the `with` block, and yield its URL.

    Raises:
        ConfigError: VECMIGRATE_TEST_BACKEND is unknown, or the server at VECMIGRATE_TEST_REDIS_URL holds
            data.
        EmbeddedError: The embedded server cannot run here.
        NoContainerEngineError: A container is wanted, and nothing can run one.
    """
    backend = environ.get("VECMIGRATE_TEST_BACKEND") or "embedded"
    if url := environ.get("VECMIGRATE_TEST_REDIS_URL"):
        _refuse_data(url)
        yield url
    elif backend == "embedded":
        with EmbeddedRedis() as server:
            yield server.url
    elif backend == "container":
        with RedisContainer(image_for_tests(environ)) as container:
            yield container.url
    else:
        raise ConfigError(f"VECMIGRATE_TEST_BACKEND is {backend!r} (expected embedded or container)")


class RedisContainer:
    """A running container with Redis; ready when the constructor returns, removed when the `with` block ends.

    Args:
        image: An image with RediSearch, such as redis:8.
        arguments: Further arguments of redis-server, such as "--appendonly", "yes".

    Raises:
        NoContainerEngineError: Nothing can run a container of this image.
        EmbeddedError: The server in it does not answer.
    """

    def __init__(self, image: str, *arguments: str) -> None:
        try:
            from docker.errors import DockerException
            from testcontainers.core.container import DockerContainer
        except ImportError as error:
            raise NoContainerEngineError(
                "a container is wanted, and testcontainers is not installed",
                hint="pip install testcontainers",
            ) from error
        try:
            self._container = DockerContainer(image).with_exposed_ports(REDIS_PORT)
            if arguments:
                self._container.with_command(list(arguments))
            self._container.start()
        except DockerException as error:
            raise NoContainerEngineError(
                f"no container of {image} can be started: {error}", hint="start Docker, or set DOCKER_HOST"
            ) from error
        try:
            self.wait()
        except BaseException:
            self.stop()
            raise

    @property
    def url(self) -> str:
        """`redis://HOST:PORT/0`; to be asked for again after a restart, which may change the port."""
        host, port = self._container.get_container_host_ip(), self._container.get_exposed_port(REDIS_PORT)
        return f"redis://{host}:{port}/0"

    @property
    def docker(self) -> Any:
        """The container as docker-py knows it, for faults: `kill`, `start`, `restart`, `pause`, `unpause`."""
        return self._container.get_wrapped_container()

    def wait(self) -> None:
        """Wait until the server answers, has loaded its data and knows RediSearch."""
        wait_for(self.url)

    def stop(self) -> None:
        """Stop and remove the container."""
        self._container.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


def wait_for(url: str, seconds: float = _SECONDS_TO_START) -> None:
    """Wait until the server at `url` answers, has loaded its data and knows RediSearch.

    Raises:
        EmbeddedError: It does not within `seconds`.
    """
    from redis import Redis
    from redis.exceptions import RedisError

    deadline = time.monotonic() + seconds
    with contextlib.closing(Redis.from_url(url, socket_timeout=5, retry=None)) as client:
        while True:
            try:
                client.execute_command("FT._LIST")
            except RedisError as error:
                if time.monotonic() > deadline:
                    raise EmbeddedError(f"no RediSearch answers at {url}: {error}") from error
                time.sleep(0.02)
            else:
                return


def empty(client: Redis) -> None:
    """Remove every key, index, alias and function from the server behind `client`."""
    client.flushall()
    for name in client.execute_command("FT._LIST"):
        client.execute_command("FT.DROPINDEX", name)
    client.function_flush("SYNC")


def _refuse_data(url: str) -> None:
    from redis import Redis

    with contextlib.closing(Redis.from_url(url)) as client:
        keys = client.dbsize()
        indexes = len(client.execute_command("FT._LIST"))
    if keys or indexes:
        raise ConfigError(
            f"the server in VECMIGRATE_TEST_REDIS_URL holds {keys} keys and {indexes} indexes (expected an "
            "empty one: the tests empty it)",
            hint="use another server, or run FLUSHALL there",
        )
