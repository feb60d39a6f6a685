"""The pytest plugin as a user's own suite meets it: in a project of its own, by one line in its conftest."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import redis

from vecmigrate.testing.servers import RedisContainer, empty

pytestmark = pytest.mark.embedded

SUITE = """
import pytest

@pytest.mark.parametrize("run", [1, 2])
def test_empty_every_time(vecmigrate_redis, run):
    assert vecmigrate_redis.dbsize() == 0
    assert list(vecmigrate_redis.execute_command("FT._LIST")) == []
    vecmigrate_redis.set("key", "value")
    vecmigrate_redis.execute_command("FT.CREATE", "index", "SCHEMA", "text", "TEXT")
    vecmigrate_redis.execute_command("FT.ALIASADD", "alias", "index")

def test_url(vecmigrate_redis_url):
    assert vecmigrate_redis_url.startswith("redis://")
"""


@pytest.fixture
def suite(tmp_path):
    """Run a small suite that uses the plugin, with these environment variables only."""
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["vecmigrate.testing.plugin"]\n')
    (tmp_path / "test_it.py").write_text(SUITE)
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    ours = {"CI", "DOCKER_HOST"}
    inherited = {k: v for k, v in os.environ.items() if k not in ours and not k.startswith("VECMIGRATE_")}

    def run(**variables: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-rs", "-p", "no:cacheprovider", str(tmp_path)],
            env={**inherited, **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout

    return run


def test_an_embedded_server_by_default(suite):
    code, output = suite()
    assert code == 0, output
    assert "vecmigrate: embedded Redis" in output
    assert "3 passed" in output


def test_a_server_that_is_there(suite, own_server):
    server = own_server()
    code, output = suite(VECMIGRATE_TEST_REDIS_URL=server.url)
    assert code == 0, output
    assert redis.Redis.from_url(server.url).get("key") == b"value"


def test_a_server_with_data_is_not_emptied(suite, own_server):
    server = own_server()
    client = redis.Redis.from_url(server.url)
    client.set("precious", 1)
    code, output = suite(VECMIGRATE_TEST_REDIS_URL=server.url)
    assert code == 1
    assert "holds 1 keys and 0 indexes (expected an empty one" in output
    assert client.get("precious") == b"1"


def test_an_unknown_backend(suite):
    code, output = suite(VECMIGRATE_TEST_BACKEND="dcoker")
    assert code == 1
    assert "VECMIGRATE_TEST_BACKEND is 'dcoker' (expected embedded or container)" in output


def test_without_an_engine_container_tests_are_skipped_but_fail_in_ci(suite, tmp_path):
    variables = {"VECMIGRATE_TEST_BACKEND": "container", "DOCKER_HOST": f"unix://{tmp_path}/none.sock"}
    code, output = suite(**variables)
    assert code == 0, output
    assert "3 skipped" in output
    assert "no container of redis:8 can be started" in output

    code, output = suite(**variables, CI="true")
    assert code == 1
    assert "3 errors" in output


def test_empty_removes_keys_indexes_aliases_and_functions(own_server):
    client = redis.Redis.from_url(own_server().url)
    for _ in range(2):
        client.hset("key", "text", "value")
        client.execute_command("FT.CREATE", "index", "SCHEMA", "text", "TEXT")
        client.execute_command("FT.ALIASADD", "alias", "index")
        client.function_load("#!lua name=f\nredis.register_function('f', function() return 1 end)")
        empty(client)
        assert client.dbsize() == 0
        assert client.execute_command("FT._LIST") == []
        with pytest.raises(redis.ResponseError):
            client.execute_command("FT.INFO", "alias")
        assert client.function_list() == []


def test_the_container_class_says_that_testcontainers_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "testcontainers.core.container", None)
    with pytest.raises(Exception, match="pip install testcontainers"):
        RedisContainer("redis:8")
