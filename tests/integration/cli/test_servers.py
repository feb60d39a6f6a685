"""Servers that are not there, not right or not ours to write: one line each, saying what to do."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time

import pytest
import redis

from tests.project import content
from vecmigrate.embedded import find_binaries

ALL = [
    ["upgrade"],
    ["downgrade", "base"],
    ["current"],
    ["status"],
    ["stamp", "head"],
    ["rejects"],
    ["unlock"],
]


@pytest.fixture
def ready(project):
    project.script("a1", "create(op)\nop.execute('SET', 'k', '1', undo=['DEL', 'k'])")
    return project


def one_line(ran, code: int, *said: str) -> None:
    assert (ran.code, ran.out) == (code, "")
    assert ran.err.count("\n") == 1, ran.err
    assert ran.err.startswith("vecmigrate: error: ")
    assert "Traceback" not in ran.err
    for text in said:
        assert text in ran.err


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("words", ALL)
def test_no_server(ready, free_port, words):
    ran = ready("--redis", f"redis://127.0.0.1:{free_port}", *words)
    one_line(ran, 1, f"no Redis to be reached at redis://127.0.0.1:{free_port}", "--redis URL")
    ran = ready("--redis", f"redis://127.0.0.1:{free_port}", *words, "--format", "json")
    assert (ran.code, ran.out) == (1, "")
    assert (ran.error["type"], ran.error["exit_code"]) == ("ServerError", 1)


def test_no_socket(ready, tmp_path):
    one_line(
        ready("--redis", f"unix://{tmp_path}/none.sock", "status"), 1, "no Redis to be reached", "none.sock"
    )


def test_no_such_host(ready):
    one_line(ready("--redis", "redis://no-such-host.invalid", "status"), 1, "no Redis to be reached")


def test_a_server_that_does_not_answer(ready, monkeypatch):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}?socket_timeout=0.2"
        one_line(ready("--redis", url, "status"), 1, "does not answer in time")


def test_a_traceback_is_for_those_who_ask(ready, free_port):
    ran = ready("--redis", f"redis://127.0.0.1:{free_port}", "--debug", "status")
    assert ran.code == 1
    assert "Traceback (most recent call last)" in ran.err
    assert ran.last.startswith("vecmigrate: error: no Redis to be reached")


@pytest.mark.embedded
def test_a_server_without_redisearch(ready, free_port, tmp_path):
    binary = find_binaries().server
    with subprocess.Popen(
        [str(binary), "--port", str(free_port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)],
        stdout=subprocess.DEVNULL,
    ) as server:
        try:
            with contextlib.closing(redis.Redis(port=free_port)) as client:
                deadline = time.monotonic() + 10
                while True:
                    with contextlib.suppress(redis.ConnectionError):
                        if client.ping():
                            break
                    assert time.monotonic() < deadline
                    time.sleep(0.02)
                for words in ALL:
                    ran = ready("--redis", f"redis://127.0.0.1:{free_port}", *words)
                    one_line(ran, 1, "has no RediSearch", "Redis Stack", "embedded:")
                assert client.dbsize() == 0
        finally:
            server.terminate()


def test_a_replica(ready, own_server):
    primary, replica = own_server(), own_server()
    with redis.Redis.from_url(replica.url) as client:
        client.execute_command("REPLICAOF", "127.0.0.1", primary.port)
        for words in ALL:
            ran = ready("--redis", replica.url, *words)
            one_line(ran, 1, f"is a replica of 127.0.0.1:{primary.port}", "give the URL of the primary")
        ran = ready("--redis", replica.url, "status", "--format", "json")
        assert ran.error["type"] == "ReadOnlyServerError"
        client.execute_command("REPLICAOF", "NO", "ONE")
    assert ready("--redis", replica.url, "upgrade").code == 0


def test_a_server_that_may_not_save(ready, own_server, tmp_path):
    """MISCONF: writes are refused after a failed save."""
    server = own_server()
    with redis.Redis.from_url(server.url) as client:
        client.config_set("min-replicas-to-write", 1)
        ran = ready("--redis", server.url, "upgrade")
    one_line(ran, 1, "NOREPLICAS")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://localhost:6379", "no Redis URL"),
        ("localhost:6379", "no Redis URL"),
        ("redis://h?db=first", "'db'"),
        ("redis://h?databse=1", "parameter 1 behind the ? is unknown (expected one of db, "),
        ("redis://[::1", "no Redis URL"),
        ("embedded://folder", "names no folder"),
        ("", "no Redis is named"),
    ],
)
def test_an_url_that_cannot_be_read(ready, monkeypatch, url, said):
    monkeypatch.delenv("REDIS_URL")
    one_line(ready("--redis", url, "status"), 2, said)


@pytest.mark.parametrize("parameters", ["/5", "?db=5", "/0?db=5"])
def test_another_database_is_refused_before_anything_is_written(ready, client, emptied_url, parameters):
    base = emptied_url.rpartition("/")[0]
    for words in ALL:
        ran = ready("--redis", base + parameters, *words)
        one_line(ran, 2, "RediSearch indexes database 0 only (expected database 0, found 5 in --redis)")
    assert client.info("keyspace") == {}


def test_another_database_over_a_socket_is_refused(ready, own_server, tmp_path):
    server = own_server(unix_socket=tmp_path / "redis.sock")
    one_line(ready("--redis", f"{server.url}?db=5", "upgrade"), 2, "database 0 only")
    with redis.Redis.from_url(server.url) as client:
        assert client.info("keyspace") == {}
    assert ready("--redis", f"{server.url}?db=0", "upgrade").code == 0


def test_no_url_at_all(ready, monkeypatch):
    monkeypatch.delenv("REDIS_URL")
    one_line(ready("status"), 2, "no Redis is named", "VECMIGRATE_REDIS_URL")


def test_which_url_counts(ready, monkeypatch, emptied_url, free_port):
    nowhere = f"redis://127.0.0.1:{free_port}"
    # In each step one source more says the right one; what comes after it in rank says a wrong one.
    monkeypatch.delenv("REDIS_URL")
    ready.configure(f'redis = "{emptied_url}"\n')
    assert ready("status").code == 0
    monkeypatch.setenv("REDIS_URL", nowhere)
    assert ready("status").code == 1
    monkeypatch.setenv("VECMIGRATE_REDIS_URL", emptied_url)
    assert ready("status").code == 0
    monkeypatch.setenv("VECMIGRATE_REDIS_URL", nowhere)
    assert ready("status").code == 1
    assert ready("--redis", emptied_url, "status").code == 0


@pytest.mark.parametrize(
    "parameters",
    ["protocol=2", "protocol=3", "protocol=3&decode_responses=true", "protocol=2&decode_responses=true"],
)
def test_any_protocol_and_kind_of_reply(project, emptied_url, client, parameters):
    client.hset("cats", mapping={"tom": "[1, 0]", "bad": "[1", "größe": "[0, 1]"})
    project.script("a1", "create(op, publish=False)")
    project.script(
        "b1",
        "op.backfill_legacy_hash('cat', embeddings_key='cats', metadata_key='m')\nop.publish_index('cat')",
        down="a1",
    )
    url = f"{emptied_url}?{parameters}"
    ran = project("--redis", url, "upgrade")
    assert ran.code == 0, ran.err
    assert "2 written, 1 set aside; verified: 2 equal" in ran.out
    assert project("--redis", url, "status").code == 0
    assert project("--redis", url, "rejects").out.split("\t")[3] == "bad"
    assert project("--redis", url, "upgrade").out == "nothing to upgrade\ncurrent: b1\n"
    assert client.hget("cat:größe", "embedding") is not None
    ran = project("--redis", url, "downgrade", "base")
    assert ran.code == 0, ran.err
    assert "2 removed" in ran.out
    assert client.keys("cat:*") == []


class TestEmbedded:
    pytestmark = pytest.mark.embedded

    def test_one_that_keeps_nothing(self, ready):
        ran = ready("--redis", "embedded:", "upgrade")
        assert ran.code == 0
        assert ran.out.endswith("current: a1\n")
        assert ready("--redis", "embedded:", "current").err == "no revision is applied\n"

    def test_one_with_a_folder_remembers(self, ready, tmp_path):
        url = f"embedded:{tmp_path / 'data'}"
        assert ready("--redis", url, "upgrade").code == 0
        status = ready("--redis", url, "status", "--format", "json").json
        assert (status["current"], status["pending"]) == (["a1"], [])
        assert status["redis"].startswith("redis://127.0.0.1:")
        assert ready("--redis", url, "upgrade").out == "nothing to upgrade\ncurrent: a1\n"
        assert ready("--redis", url, "downgrade", "base").code == 0

    def test_a_folder_that_cannot_be(self, ready, tmp_path):
        (tmp_path / "file").write_text("")
        ran = ready("--redis", f"embedded:{tmp_path / 'file'}", "status")
        one_line(ran, 1, "data folder")


def test_commands_that_need_no_server_ask_for_none(ready, free_port, monkeypatch):
    monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{free_port}")
    for words in (["history"], ["heads"], ["branches"], ["show", "a1"], ["revision", "-m", "x"]):
        assert ready(*words).code == 0


def test_reading_commands_write_nothing(ready, client):
    ready("upgrade")
    before = content(client)
    for words in (
        ["status"],
        ["current"],
        ["rejects"],
        ["history", "-i"],
        ["show", "current"],
        ["unlock"],
        ["upgrade"],
    ):
        assert ready(*words).code == 0
        assert content(client) == before, words
