"""The embedded server: how it starts, what it keeps, and that it never outlives its parent."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import signal
import socket
import struct
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import redis

from vecmigrate import embedded
from vecmigrate.embedded import EmbeddedRedis, parse_embedded_url
from vecmigrate.errors import ConfigError, EmbeddedError

pytestmark = pytest.mark.embedded

STARTS_AND_SLEEPS = """
    import json, os, sys, time
    from pathlib import Path
    from vecmigrate.embedded import EmbeddedRedis
    server = EmbeddedRedis(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
    folder = os.readlink(f"/proc/{server.pid}/cwd") if os.path.exists("/proc") else None
    print(json.dumps({"pid": server.pid, "url": server.url, "folder": folder}), flush=True)
"""


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def ends(pid: int, seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while alive(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@contextlib.contextmanager
def parent(script: str, *arguments: str):
    """Run a script that starts a server and reports it in one JSON line; the script is killed at the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(STARTS_AND_SLEEPS) + textwrap.dedent(script), *arguments],
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


def client_of(server: EmbeddedRedis) -> redis.Redis:
    return redis.Redis.from_url(server.url, retry=None)


def fill(client: redis.Redis) -> None:
    definition = "ON HASH PREFIX 1 doc: SCHEMA v VECTOR FLAT 6 TYPE FLOAT32 DIM 2 DISTANCE_METRIC L2"
    client.execute_command("FT.CREATE", "idx", *definition.split())
    client.hset("doc:1", "v", struct.pack("<2f", 1, 2))


def is_filled(client: redis.Redis) -> bool:
    query = ("*=>[KNN 1 @v $v]", "PARAMS", "2", "v", struct.pack("<2f", 1, 2), "DIALECT", "2", "NOCONTENT")
    return b"doc:1" in str(client.execute_command("FT.SEARCH", "idx", *query)).encode()


# Starting and stopping


def test_it_has_search_and_json_and_leaves_nothing_behind(own_server):
    server = own_server()
    client = client_of(server)
    fill(client)
    client.execute_command("JSON.SET", "j", "$", "{}")
    assert is_filled(client)
    assert client.info("server")["process_id"] == server.pid
    folder = Path(client.config_get("dir")["dir"])
    assert folder.is_dir()
    server.stop()
    assert not alive(server.pid)
    assert not folder.exists()
    assert not server.running
    server.stop()


def test_a_rebuild_yields_to_queries_every_10_documents(own_server):
    client = redis.Redis.from_url(own_server().url, protocol=2)
    assert client.execute_command("FT.CONFIG", "GET", "BG_INDEX_SLEEP_GAP") == [
        [b"BG_INDEX_SLEEP_GAP", b"10"]
    ]


def test_it_listens_on_loopback_only(own_server):
    server = own_server()
    addresses = {c.laddr.ip for c in psutil.Process(server.pid).net_connections() if c.status == "LISTEN"}
    assert addresses == {"127.0.0.1"}


def test_servers_that_start_at_once_get_ports_of_their_own(own_server):
    with ThreadPoolExecutor(8) as pool:
        servers = list(pool.map(lambda _: own_server(), range(8)))
    assert len({server.url for server in servers}) == 8
    assert all(client_of(server).ping() for server in servers)


def test_a_port_lost_to_somebody_else_is_tried_again_elsewhere(own_server, monkeypatch):
    first = own_server()
    free = embedded._free_port()
    ports = iter([first.port, first.port, free])
    monkeypatch.setattr(embedded, "_free_port", lambda: next(ports))
    second = own_server()
    assert second.port == free
    assert client_of(second).info("server")["process_id"] == second.pid


def test_a_given_port_that_is_taken_is_an_error(own_server):
    taken = own_server()
    with pytest.raises(EmbeddedError, match=rf"^port {taken.port} on 127.0.0.1 is in use \(expected"):
        EmbeddedRedis(port=taken.port)
    assert client_of(taken).ping()


def test_a_given_port_is_taken(own_server):
    port = embedded._free_port()
    assert own_server(port=port).url == f"redis://127.0.0.1:{port}/0"


def test_a_unix_socket(own_server, tmp_path):
    server = own_server(unix_socket=tmp_path / "redis.sock")
    assert server.url == f"unix://{tmp_path}/redis.sock"
    assert client_of(server).ping()
    assert not [c for c in psutil.Process(server.pid).net_connections("inet") if c.status == "LISTEN"]
    with pytest.raises(EmbeddedError, match=r"redis\.sock is in use"):
        EmbeddedRedis(unix_socket=tmp_path / "redis.sock")
    assert client_of(server).ping()


def test_a_socket_path_that_the_system_would_cut_is_an_error(tmp_path):
    with pytest.raises(EmbeddedError, match="is too long"):
        EmbeddedRedis(unix_socket=tmp_path / ("x" * 100))


def test_a_port_and_a_socket_exclude_each_other(tmp_path):
    with pytest.raises(ValueError, match="not both"):
        EmbeddedRedis(port=1, unix_socket=tmp_path / "s")


def test_an_invalid_locale_does_not_matter(own_server, monkeypatch):
    monkeypatch.setenv("LC_ALL", "xx_YY.UTF-8")
    assert client_of(own_server()).ping()


# A data folder


def test_a_data_folder_survives_a_stop_and_sigkill(own_server, tmp_path):
    folder = tmp_path / "with space, ' and \""
    server = own_server(folder)
    fill(client_of(server))
    server.stop()
    assert (folder / embedded.LOG_FILE).exists()

    again = own_server(folder)
    assert is_filled(client_of(again))
    client_of(again).set("late", 1)
    os.kill(again.pid, signal.SIGKILL)
    assert ends(again.pid)

    last = own_server(folder, port=again.port)
    assert last.url == again.url
    assert is_filled(client_of(last))
    assert client_of(last).get("late") == b"1"


def test_two_servers_cannot_share_a_data_folder(own_server, tmp_path, monkeypatch):
    server = own_server(tmp_path)
    monkeypatch.setattr(embedded, "_SECONDS_FOR_LOCK", 0.1)
    with pytest.raises(EmbeddedError) as caught:
        EmbeddedRedis(tmp_path)
    assert str(caught.value) == (
        f"the data folder {tmp_path} is in use by the server of process {server.pid}; "
        f"stop that one, or use --redis {server.url}"
    )
    assert client_of(server).ping()


def test_a_data_folder_is_free_again_soon_after_its_parent_was_killed(own_server, tmp_path):
    with parent("time.sleep(60)", str(tmp_path)) as (process, server):
        redis.Redis.from_url(server["url"]).set("x", 1)
        process.kill()
        assert client_of(own_server(tmp_path)).get("x") == b"1"


def test_a_start_that_fails_tells_what_the_server_said(own_server, tmp_path):
    own_server(tmp_path).stop()
    (manifest,) = tmp_path.glob("appendonlydir/*.manifest")
    manifest.write_text("nonsense\n")
    with pytest.raises(EmbeddedError, match="ended while it started") as caught:
        EmbeddedRedis(tmp_path)
    message = str(caught.value)
    assert "AOF manifest" in message
    assert "\n" not in message
    assert str(tmp_path / embedded.LOG_FILE) in message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_data_folder_that_cannot_be_written_is_an_error(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(EmbeddedError, match="cannot be made: Permission denied"):
        EmbeddedRedis(tmp_path / "data")


def test_a_file_is_no_data_folder(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedError, match="cannot be made: File exists"):
        EmbeddedRedis(tmp_path / "file")


# The end of the parent


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_when_its_parent_is_killed(number):
    with parent("time.sleep(60)") as (process, server):
        assert alive(server["pid"])
        process.send_signal(number)
        assert ends(server["pid"])
        if server["folder"]:
            deadline = time.monotonic() + 5
            while Path(server["folder"]).exists() and time.monotonic() < deadline:
                time.sleep(0.02)
            assert not Path(server["folder"]).exists()


def test_it_ends_when_its_parent_forgets_to_stop_it():
    with parent("") as (_, server):
        assert ends(server["pid"])


def test_it_ends_when_its_parent_is_killed_though_a_forked_child_lives_on():
    script = """
        child = os.fork()
        if child == 0:
            server.stop()  # not the child's to stop
            print("forked", os.getpid(), flush=True)
            time.sleep(60)
        time.sleep(60)
    """
    with parent(script) as (process, server):
        word, child = process.stdout.readline().split()
        try:
            assert word == "forked"
            assert redis.Redis.from_url(server["url"]).ping()
            process.kill()
            assert ends(server["pid"])
            assert alive(int(child))
        finally:
            os.kill(int(child), signal.SIGKILL)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with the one that started it")
def test_it_ends_when_its_watcher_is_killed(own_server):
    server = own_server()
    folder = Path(client_of(server).config_get("dir")["dir"])
    psutil.Process(server.pid).parent().kill()
    assert ends(server.pid)
    server.stop()
    assert not folder.exists()


def test_it_outlives_the_thread_that_started_it(own_server):
    servers = []
    thread = threading.Thread(target=lambda: servers.append(own_server()))
    thread.start()
    thread.join()
    time.sleep(1.5)  # longer than the watcher takes to look at its parent
    assert client_of(servers[0]).ping()


def test_ctrl_c_at_a_terminal_does_not_reach_it(own_server):
    assert os.getpgid(own_server().pid) != os.getpgid(0)


# In the foreground


SERVES = """
    from vecmigrate.embedded import serve_forever
    server.stop()
    serve_forever(lambda s: print(json.dumps({"pid": s.pid, "url": s.url}), flush=True))
    print("done", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serving_ends_by_a_signal(number):
    with parent(SERVES) as (process, _):
        server = json.loads(process.stdout.readline())
        assert redis.Redis.from_url(server["url"]).ping()
        process.send_signal(number)
        assert process.stdout.readline() == "done\n"
        assert process.wait(10) == 0
        assert not alive(server["pid"])


def test_serving_fails_when_the_server_dies(own_server, monkeypatch):
    def kill(server: EmbeddedRedis) -> None:
        client_of(server).set("x", 1)
        os.kill(server.pid, signal.SIGKILL)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(EmbeddedError, match="ended by itself"):
        embedded.serve_forever(kill)
    assert signal.getsignal(signal.SIGTERM) is before


# Where there is none


def test_wheels_that_are_not_installed(monkeypatch):
    monkeypatch.setattr(embedded, "_in_package", lambda *_: None)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(EmbeddedError) as caught:
        EmbeddedRedis()
    message = str(caught.value)
    assert "pip install 'vecmigrate[embedded]'" in message
    assert "docker run -p 6379:6379 redis:8" in message
    assert "\n" not in message


def test_a_platform_without_wheels(monkeypatch):
    monkeypatch.setattr(embedded, "_in_package", lambda *_: None)
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(EmbeddedError) as caught:
        EmbeddedRedis()
    message = str(caught.value)
    assert "riscv64" in message
    assert "docker run -p 6379:6379 redis:8" in message
    assert "pip install" not in message
    assert "\n" not in message


# embedded:[DIR]


@pytest.mark.parametrize(
    ("url", "directory"),
    [
        ("embedded:", None),
        ("embedded:data", Path("data")),
        ("embedded:../a b", Path("../a b")),
        ("embedded:/srv/data", Path("/srv/data")),
        ("embedded:///srv/data", Path("/srv/data")),
        ("embedded:~/data", Path.home() / "data"),
    ],
)
def test_urls(url, directory):
    assert parse_embedded_url(url) == directory


@pytest.mark.parametrize("url", ["redis://localhost", "embedded", "embedded://data", "EMBEDDED:", ""])
def test_what_is_no_embedded_url(url):
    with pytest.raises(ConfigError, match=r"expected embedded: or embedded:DIR"):
        parse_embedded_url(url)


def test_a_stranger_on_the_port_is_never_taken_for_our_server(monkeypatch):
    """Something that listens but is no Redis: the server's own start fails, and that is what is reported."""
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(EmbeddedError, match="is in use"):
        EmbeddedRedis(port=listener.getsockname()[1])
