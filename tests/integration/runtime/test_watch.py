"""A function of op.run works on the server that its step began on, or the step is not done."""

from __future__ import annotations

import os
import signal
import sys
import time
from types import ModuleType

import pytest
import redis

from vecmigrate.errors import ServerChangedError
from vecmigrate.runtime.connect import connect
from vecmigrate.runtime.own_client import own_client

HOOKS = "vecmigrate_test_hooks"
RESTARTS_ONCE = """
import sys
restart = sys.modules["vecmigrate_test_hooks"].restart

def work(client, progress, cursor):
    first = cursor.value is None
    for number in range(cursor.value or 0, 3):
        client.rpush("done", number)
        cursor.save(number + 1)
    if first:
        restart()
        {}
"""


@pytest.fixture
def server(own_server, tmp_path, monkeypatch):
    """A server whose data outlives it; `restart()` of the hooks kills it and starts it again."""
    running = [own_server(tmp_path / "data")]
    port = running[0].port
    with redis.Redis.from_url(running[0].url) as client:
        client.config_set("appendfsync", "always")

    def restart() -> None:
        os.kill(running[-1].pid, signal.SIGKILL)
        running[-1].stop()
        running.append(own_server(tmp_path / "data", port=port))

    hooks = ModuleType(HOOKS)
    hooks.restart = restart  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, HOOKS, hooks)
    return running


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize(
    "then",
    [
        "pass",
        "client.ping()",
        "cursor.save(99)",
        "try:\n            cursor.save(99)\n        except Exception:\n            pass",
        "try:\n            client.ping()\n        except BaseException:\n            pass",
        "client.close(); client.pipeline().set('k', 1).execute()",
        "raise RuntimeError('lost its way')",
    ],
    ids=["returns", "asks", "saves", "swallows", "swallows all", "pipeline", "raises"],
)
def test_a_server_that_was_restarted_ends_the_step(project, server, monkeypatch, then, protocol):
    url = f"redis://127.0.0.1:{server[0].port}/0?protocol={protocol}"
    monkeypatch.setenv("REDIS_URL", url)
    project.script("a1", "op.run(work)", top=RESTARTS_ONCE.format(then))
    ran = project("upgrade")
    assert (ran.code, ran.out) == (6, "")
    assert "step 0 (run work): " in ran.last
    if then != "raise RuntimeError('lost its way')":
        # An old connection that is found to be dead is an error as well.
        assert "restarted or replaced" in ran.last or "Redis: " in ran.last
    (partial,) = project("status", "--format", "json").json["partial"]
    assert partial["cursor"] == "3"
    ran = project("upgrade", "--wait", "40")
    assert ran.code == 0, ran.err
    with redis.Redis.from_url(server[-1].url) as client:
        assert client.lrange("done", 0, -1) == [b"0", b"1", b"2"]


@pytest.mark.parametrize(
    "url", ["redis://u:p@127.0.0.1:1/0?protocol=3&socket_timeout=7", "rediss://:p@h:2/0", "unix://u:p@/s"]
)
def test_a_client_of_its_own_connects_in_the_same_way(url):
    client = connect(url)
    with own_client(client, socket_connect_timeout=0.5) as own:
        assert own.connection_pool is not client.connection_pool
        assert own.connection_pool.connection_class is client.connection_pool.connection_class
        ours, theirs = (made.connection_pool.make_connection() for made in (own, client))
        for name in ("host", "port", "path", "username", "password", "db", "protocol", "socket_timeout"):
            assert getattr(ours, name, None) == getattr(theirs, name, None)
        assert ours.socket_connect_timeout == 0.5 if hasattr(ours, "host") else True
    client.close()


def test_its_connections_are_closed_with_the_step(project, client, monkeypatch):
    hooks = ModuleType(HOOKS)
    monkeypatch.setitem(sys.modules, HOOKS, hooks)
    top = """
    import sys

    def work(client, progress, cursor):
        hooks = sys.modules["vecmigrate_test_hooks"]
        hooks.client, hooks.id = client, client.client_id()
    """
    project.script("a1", "op.run(work)", top=top)
    assert project("upgrade").code == 0
    with pytest.raises(redis.ConnectionError, match="is over"):
        hooks.client.ping()
    deadline = time.monotonic() + 20
    while str(hooks.id) in [
        item["id"] for item in client.client_list()
    ]:  # the server learns of it a moment later
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_over_a_unix_socket(project, own_server, tmp_path, monkeypatch):
    server = own_server(unix_socket=tmp_path / "s")
    monkeypatch.setenv("REDIS_URL", server.url)
    project.script("a1", "op.run(work)", top="def work(client, progress, cursor):\n    client.set('k', 1)")
    ran = project("upgrade")
    assert ran.code == 0, ran.err


def test_the_error_says_how_to_go_on():
    assert "goes on at the cursor" in str(ServerChangedError())
