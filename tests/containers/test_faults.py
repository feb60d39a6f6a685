"""What only a container can show: the server dies, freezes and comes back, with its data."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator

import pytest
import redis

from vecmigrate.testing.servers import NoContainerEngineError, RedisContainer, image_for_tests

pytestmark = pytest.mark.container

QUERY = ("*=>[KNN 2 @v $vec AS distance]", "PARAMS", "2", "vec", struct.pack("<2f", 1, 0), "DIALECT", "2")


@pytest.fixture
def container() -> Iterator[RedisContainer]:
    if os.environ.get("VECMIGRATE_TEST_BACKEND") != "container":
        pytest.skip("needs a container engine: make test-containers")
    try:
        with RedisContainer(image_for_tests(), "--appendonly", "yes", "--appendfsync", "everysec") as server:
            yield server
    except NoContainerEngineError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))


def connect(container: RedisContainer, timeout: float = 5) -> redis.Redis:
    """A client without retries, which would hide the faults; the port may be another after each start."""
    return redis.Redis.from_url(container.url, socket_timeout=timeout, retry=None, protocol=2)


def fill(client: redis.Redis) -> None:
    definition = "ON HASH PREFIX 1 doc: SCHEMA name TAG v VECTOR FLAT 6 TYPE FLOAT32 DIM 2 DISTANCE_METRIC L2"
    client.execute_command("FT.CREATE", "idx@1", *definition.split())
    client.execute_command("FT.ALIASADD", "idx", "idx@1")
    for name, vector in (("near", (1, 0)), ("far", (0, 1))):
        client.hset(f"doc:{name}", mapping={"name": name, "v": struct.pack("<2f", *vector)})


def found(client: redis.Redis) -> list[bytes]:
    """Keys by distance, through the alias."""
    return client.execute_command("FT.SEARCH", "idx", *QUERY, "SORTBY", "distance", "NOCONTENT")[1:]


def test_documents_and_index_survive_sigkill(container):
    client = connect(container)
    fill(client)
    container.docker.kill("SIGKILL")
    with pytest.raises(redis.ConnectionError):
        client.ping()
    container.docker.start()
    container.wait()
    client = connect(container)
    assert client.hget("doc:near", "name") == b"near"
    assert client.execute_command("FT._LIST") == [b"idx@1"]
    assert found(client) == [b"doc:near", b"doc:far"]


def test_documents_and_index_survive_a_restart(container):
    client = connect(container)
    fill(client)
    before = client.info("server")["run_id"]
    container.docker.restart()
    container.wait()
    client = connect(container)
    assert client.info("server")["run_id"] != before
    assert found(client) == [b"doc:near", b"doc:far"]


def test_a_frozen_server_times_out_and_answers_again(container):
    client = connect(container, timeout=0.5)
    fill(client)
    container.docker.pause()
    try:
        with pytest.raises(redis.TimeoutError):
            client.ping()
    finally:
        container.docker.unpause()
    assert found(connect(container)) == [b"doc:near", b"doc:far"]
