"""A server that will answer in a while: `--wait SECONDS` waits for it; without it, the error says so."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator

import pytest
import redis

from tests.integration.servers.conftest import free_port, started, until
from vecmigrate.embedded import EmbeddedRedis

pytestmark = pytest.mark.embedded

CHANGING = [["upgrade"], ["downgrade", "base"], ["stamp", "head"], ["complete", "cat"], ["rollback", "cat"]]


@pytest.fixture
def ready(project):
    project.script("a1", "create(op)\nop.execute('SET', 'k', '1', undo=['DEL', 'k'])")
    project.configure("lease_seconds = 2\n")
    return project


@contextlib.contextmanager
def loading(folder, seconds: float) -> Iterator[int]:
    """A server that needs about so long to load its data; its port."""
    keys = 200
    with EmbeddedRedis(folder) as server, contextlib.closing(redis.Redis.from_url(server.url)) as client:
        # Large enough for the server to look at its clients in between.
        client.mset({f"k{n}": os.urandom(4096) for n in range(keys)})
        client.config_set("appendfsync", "always")
        client.bgrewriteaof()
        until(lambda: not client.info("persistence")["aof_rewrite_in_progress"])
        until(lambda: not client.info("persistence")["aof_rewrite_scheduled"])
    delay = int(seconds * 1e6 / keys)
    slow = ["--dir", str(folder), "--appendonly", "yes", "--key-load-delay", str(delay)]
    with started(folder, *slow, "--loading-process-events-interval-bytes", "1024") as port:
        with contextlib.closing(redis.Redis(port=port)) as client:
            until(lambda: client.info("persistence")["loading"] == 1)
        yield port


@contextlib.contextmanager
def busy(url: str, seconds: float) -> Iterator[None]:
    """Somebody's script keeps the server busy; it is ended after `seconds`, or with the block."""
    done = threading.Event()

    def run() -> None:
        with contextlib.closing(redis.Redis.from_url(url)) as client, contextlib.suppress(redis.RedisError):
            client.eval("while true do end", 0)

    def end() -> None:
        done.wait(seconds)
        with contextlib.closing(redis.Redis.from_url(url)) as client, contextlib.suppress(redis.RedisError):
            client.script_kill()

    with contextlib.closing(redis.Redis.from_url(url)) as client:
        client.config_set("busy-reply-threshold", 20)
        threads = [threading.Thread(target=run), threading.Thread(target=end)]
        threads[0].start()

        def refuses() -> bool:
            try:
                client.get("k")
            except redis.ResponseError:
                return True
            return False

        until(refuses)
        threads[1].start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()


def test_a_server_that_loads_its_data(ready, tmp_path):
    with loading(tmp_path / "data", 4) as port:
        url = f"redis://127.0.0.1:{port}"
        for words in CHANGING:
            ran = ready("--redis", url, *words)
            assert (ran.code, ran.out) == (1, "")
            assert ran.err.count("\n") == 1
            assert "loading its data" in ran.err
            assert "let --wait SECONDS wait for it" in ran.err
        ran = ready("--redis", url, "status")
        assert "loading its data" in ran.err
        assert "--wait" not in ran.err  # it has no such option
        ran = ready("--redis", url, "upgrade", "--wait", "0.3")
        assert "it was waited for 0.3 s" in ran.err
        ran = ready("--redis", url, "upgrade", "--wait", "60")
        assert ran.code == 0, ran.err
        assert ran.out.endswith("current: a1\n")


def test_a_server_that_is_busy_with_a_script(ready, own_server):
    server = own_server()
    with busy(server.url, 2.5):
        for words in CHANGING:
            ran = ready("--redis", server.url, *words)
            assert (ran.code, ran.out) == (1, "")
            assert ran.err.count("\n") == 1
            assert "is busy with a script that somebody runs; SCRIPT KILL ends it" in ran.err
            assert "let --wait SECONDS wait for it" in ran.err
        ran = ready("--redis", server.url, "upgrade", "--wait", "30")
        assert ran.code == 0, ran.err


def test_a_server_that_is_not_there_yet(ready, tmp_path):
    port = free_port()
    url = f"redis://127.0.0.1:{port}"
    ran = ready("--redis", url, "upgrade")
    assert "let --wait SECONDS wait for it" in ran.err
    servers: list[EmbeddedRedis] = []

    def start() -> None:
        time.sleep(1)
        servers.append(EmbeddedRedis(port=port))

    thread = threading.Thread(target=start)
    thread.start()
    try:
        ran = ready("--redis", url, "upgrade", "--wait", "30")
        assert ran.code == 0, ran.err
    finally:
        thread.join()
        for server in servers:
            server.stop()


def test_a_replica_that_becomes_the_primary(ready, own_server):
    primary, replica = own_server(), own_server()
    with contextlib.closing(redis.Redis.from_url(replica.url)) as client:
        client.execute_command("REPLICAOF", "127.0.0.1", primary.port)
        ran = ready("--redis", replica.url, "upgrade")
        assert ran.code == 1
        assert "is a replica of" in ran.err
        assert "let --wait SECONDS wait for it" in ran.err
        timer = threading.Timer(1, client.execute_command, ("REPLICAOF", "NO", "ONE"))
        timer.start()
        ran = ready("--redis", replica.url, "upgrade", "--wait", "30")
        timer.join()
        assert ran.code == 0, ran.err


def test_what_waiting_cannot_mend_is_told_at_once(ready, emptied_url):
    began = time.monotonic()
    wrong = emptied_url.replace("redis://", "redis://nobody:wrong@")
    assert ready("--redis", wrong, "upgrade", "--wait", "60").code == 1
    assert time.monotonic() - began < 30


INSIDE = """
import os
import time
from pathlib import Path

import redis

def cut_off(client, progress, cursor):
    for n in range(cursor.value or 0, 10):
        client.set(f"n:{{n}}", 1)
        cursor.save(n + 1)
        if n == 4 and not Path("cut").exists():
            Path("cut").touch()
            with redis.Redis(port={port}) as other:
                {fault}
"""


@pytest.mark.parametrize(
    ("fault", "mend", "said"),
    [
        (
            "other.execute_command('REPLICAOF', '127.0.0.1', '1')",
            ("REPLICAOF", "NO", "ONE"),
            "read only replica",
        ),
        (
            "other.config_set('min-replicas-to-write', 1)",
            ("CONFIG", "SET", "min-replicas-to-write", 0),
            "NOREPLICAS",
        ),
    ],
)
def test_inside_a_step(ready, own_server, fault, mend, said):
    """The revision is left half-done with a hint, and the next upgrade goes on where the step was."""
    server = own_server()
    ready.script(
        "b1", "op.run(cut_off)", down="a1", top=INSIDE.format(port=server.port, fault=fault), downgrade=None
    )
    ran = ready("--redis", server.url, "upgrade")
    assert ran.code == 6, ran.err
    assert said in ran.last
    assert "that may pass by itself: `--wait SECONDS` waits for it" in ran.last
    assert "goes on at this step" in ran.last
    with contextlib.closing(redis.Redis.from_url(server.url)) as client:
        client.execute_command(*mend)
        assert client.exists("n:4")
        ran = ready("--redis", server.url, "upgrade", "--wait", "30")
        assert ran.code == 0, ran.err
        assert client.exists(*(f"n:{n}" for n in range(10))) == 10


def test_a_script_of_somebody_inside_a_step(ready, own_server):
    server = own_server()
    top = """
    from pathlib import Path

    def cut_off(client, progress, cursor):
        client.set("begun", 1)
        while not Path("busy").exists():
            pass
        client.set("done", 1)
    """
    ready.script("b1", "op.run(cut_off)", down="a1", top=top, downgrade=None)
    assert ready("--redis", server.url, "upgrade", "a1").code == 0
    ended = threading.Event()

    def disturb() -> None:
        with contextlib.closing(redis.Redis.from_url(server.url)) as client:
            until(lambda: bool(client.exists("begun")))
        with busy(server.url, 60):
            (ready.folder / "busy").touch()
            ended.wait(60)

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        ran = ready("--redis", server.url, "upgrade")
        assert ran.code == 6, ran.err
        assert "busy running a script" in ran.last
        assert "--wait SECONDS" in ran.last
    finally:
        ended.set()
        thread.join()
    ran = ready("--redis", server.url, "upgrade", "--wait", "30")
    assert ran.code == 0, ran.err
