"""The project fixture under its usual name, and servers that stand behind sentinels."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from tests.project import cli_project as project  # noqa: F401
from vecmigrate.embedded import EmbeddedRedis, find_binaries

SECONDS = 30.0


@dataclass
class Sentinels:
    """A primary, a replica and one sentinel that watches both as `main`."""

    primary: EmbeddedRedis
    replica: EmbeddedRedis
    port: int

    @property
    def url(self) -> str:
        return f"redis+sentinel://127.0.0.1:{self.port}/main/0"

    def fail_over(self) -> None:
        """Let the replica take over, and wait until the sentinel says so and the old primary follows."""
        with contextlib.closing(redis.Redis(port=self.port)) as sentinel:
            until(lambda: sentinel.sentinel_master("main")["num-slaves"] == 1)

            def asked() -> bool:
                # "No suitable replica" until the sentinel has seen it in step.
                try:
                    return bool(sentinel.execute_command("SENTINEL", "FAILOVER", "main"))
                except redis.ResponseError:
                    return False

            until(asked)
            until(lambda: sentinel.sentinel_master("main")["port"] == self.replica.port)
        for server, role in ((self.replica, "master"), (self.primary, "slave")):
            with contextlib.closing(redis.Redis(port=server.port)) as client:
                until(lambda client=client, role=role: client.info("replication")["role"] == role)
        self.primary, self.replica = self.replica, self.primary


def until(true: Callable[[], bool], seconds: float = SECONDS) -> None:
    """Wait until `true()` is."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(redis.ConnectionError):
            if true():
                return
        assert time.monotonic() < deadline, "it did not become true"
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def started(folder: Path, *arguments: str) -> Iterator[int]:
    """A redis-server with RediSearch and these arguments, which need not be ready; its port."""
    binaries = find_binaries()
    port = free_port()
    words = [str(binaries.server), "--port", str(port), "--bind", "127.0.0.1", "--save", "", *arguments]
    modules = ["--loadmodule", str(binaries.search)]
    with subprocess.Popen([*words, *modules], stdout=subprocess.DEVNULL, cwd=folder) as process:
        try:
            yield port
        finally:
            process.kill()


@pytest.fixture
def sentinels(own_server: Callable[..., EmbeddedRedis], tmp_path: Path) -> Iterator[Sentinels]:
    """A primary, a replica in step with it, and a sentinel."""
    primary, replica = own_server(), own_server()
    for server in (primary, replica):
        with contextlib.closing(redis.Redis(port=server.port)) as client:
            client.config_set("repl-diskless-sync-delay", 0)
    with contextlib.closing(redis.Redis(port=replica.port)) as client:
        client.execute_command("REPLICAOF", "127.0.0.1", primary.port)
        until(lambda: client.info("replication")["master_link_status"] == "up")
    port = free_port()
    folder = tmp_path / "sentinel"
    folder.mkdir()
    (folder / "sentinel.conf").write_text(
        f"port {port}\nbind 127.0.0.1\ndir {folder}\n"
        f"sentinel monitor main 127.0.0.1 {primary.port} 1\n"
        "sentinel down-after-milliseconds main 2000\nsentinel failover-timeout main 3000\n"
    )
    binary = str(find_binaries().server)
    with subprocess.Popen(
        [binary, str(folder / "sentinel.conf"), "--sentinel"], stdout=subprocess.DEVNULL, cwd=folder
    ) as process:
        try:
            with contextlib.closing(redis.Redis(port=port)) as client:
                # It asks its servers every ten seconds otherwise.
                fast = ("INFO-PERIOD", 200, "PING-PERIOD", 200, "ASK-PERIOD", 200, "PUBLISH-PERIOD", 200)
                until(lambda: bool(client.execute_command("SENTINEL", "DEBUG", *fast)))
                until(lambda: client.sentinel_master("main")["num-slaves"] == 1)
            yield Sentinels(primary, replica, port)
        finally:
            process.terminate()
