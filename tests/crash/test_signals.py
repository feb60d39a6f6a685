"""SIGINT, SIGTERM and SIGHUP, once or twice: every command gives the lease back and ends in order, soon."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import redis

import vecmigrate as package
from tests.legacy import pause
from tests.project import cli_project
from vecmigrate.runtime.keys import LedgerKeys

pytestmark = pytest.mark.crash

project = cli_project
KEYS = LedgerKeys("default")
COMMAND = [sys.executable, "-c", "from vecmigrate.cli import main; main()"]
SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
# What a command may take to end: five seconds, and the same again because the machine may be busy.
SECONDS = 10.0

WORK = """
import time

def sleeps(client, progress, cursor):
    client.set("at work", 1)
    time.sleep(60)

def reads(client, progress, cursor):
    client.set("at work", 1)
    client.blpop("nothing comes", 60)

def swallows_once(client, progress, cursor):
    client.set("at work", 1)
    try:
        time.sleep(60)
    except BaseException:
        pass
    time.sleep(60)

def swallows_and_returns(client, progress, cursor):
    client.set("at work", 1)
    try:
        time.sleep(60)
    except BaseException:
        pass

def swallows_always(client, progress, cursor):
    client.set("at work", 1)
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass

def has_threads(client, progress, cursor):
    import threading
    threading.Thread(target=time.sleep, args=[60]).start()
    client.set("at work", 1)
    time.sleep(60)

def raises_another(client, progress, cursor):
    client.set("at work", 1)
    try:
        time.sleep(60)
    except BaseException as error:
        raise RuntimeError("something else") from error
"""
FUNCTIONS = [line[4:].partition("(")[0] for line in WORK.splitlines() if line.startswith("def ")]


@pytest.fixture
def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(package.__file__).parent.parent)}


@contextmanager
def started(environment: dict[str, str], *words: str, url: str = "", before=None):
    process = subprocess.Popen(
        [*COMMAND, *(("--redis", url) if url else ()), *words],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=before,  # noqa: PLW1509 - it sets one signal to be ignored
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(found, process, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        pause(0.02)


def ends(process, code: int) -> str:
    """The last line on stderr of a process that got a signal just now."""
    began = time.monotonic()
    _, err = process.communicate(timeout=60)
    assert time.monotonic() - began < SECONDS
    assert process.returncode == code, err
    assert "Traceback" not in err
    return err.splitlines()[-1]


@pytest.mark.parametrize(
    ("function", "number", "code", "times"),
    [("sleeps", *each, times) for each in SIGNALS for times in (1, 2)]
    + [(function, signal.SIGTERM, 143, 1 + n % 2) for n, function in enumerate(FUNCTIONS[1:])],
)
def test_a_function_at_work(project, client, environment, function, number, code, times):
    project.script("a1", f"op.run({function}, undo={function})", top=WORK)
    with started(environment, "upgrade") as process:
        wait_for(lambda: client.exists("at work"), process)
        for _ in range(times):
            process.send_signal(number)
        last = ends(process, code)
    assert last.startswith(f"vecmigrate: interrupted by {signal.Signals(number).name}; the ledger knows")
    assert "`vecmigrate upgrade` goes on from there" in last
    assert client.hgetall(KEYS.lease) == {}
    status = json.loads(project("status", "--format", "json").out)
    assert [item["revision"] for item in status["partial"]] == ["a1"]


UNHEARD = """
import signal
import threading
import time

def unheard(client, progress, cursor):
    def get_it():
        time.sleep(0.3)
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
    threading.Thread(target=get_it, daemon=True).start()
    client.set("at work", 1)
    time.sleep(60)
"""


def test_a_signal_that_does_not_end_the_call_it_comes_in(project, client, environment):
    """As one does that comes just before a system call: Python handles it when that call is over."""
    project.script("a1", "op.run(unheard, undo=unheard)", top=UNHEARD)
    with started(environment, "upgrade") as process:
        wait_for(lambda: client.exists("at work"), process)
        assert "interrupted by SIGTERM" in ends(process, 143)
    assert client.hgetall(KEYS.lease) == {}


@pytest.mark.parametrize(
    ("words", "number", "code"),
    [
        (["upgrade"], signal.SIGTERM, 143),
        (["downgrade", "base"], signal.SIGINT, 130),
        (["stamp", "head"], signal.SIGHUP, 129),
        (["rollback"], signal.SIGTERM, 143),
        (["complete"], signal.SIGINT, 130),
        (["ensure-version"], signal.SIGHUP, 129),
    ],
)
def test_a_command_that_waits_for_the_lease(project, client, environment, words, number, code):
    project.script("a1", "op.execute('SET', 'k', '1', undo=['DEL', 'k'])")
    if words[0] == "downgrade":
        assert project("upgrade").code == 0
    client.hset(KEYS.lease, mapping={"id": "7:somebody", "token": 7, "pid": 1, "host": "elsewhere"})
    with started(environment, *words, "--wait", "60") as process:
        wait_for(lambda: _clients(client) > 0, process)
        pause(0.3)
        process.send_signal(number)
        last = ends(process, code)
    assert f"`vecmigrate {words[0]}`" in last
    assert client.hget(KEYS.lease, "id") == b"7:somebody"


def _clients(client: redis.Redis) -> int:
    return sum(b"evalsha" in str(item.get("cmd", "")).encode() for item in client.client_list())


@pytest.mark.parametrize(
    ("words", "number", "code"),
    [
        (["upgrade"], signal.SIGTERM, 143),
        (["downgrade", "base"], signal.SIGHUP, 129),
        (["stamp", "head"], signal.SIGTERM, 143),
        (["complete"], signal.SIGHUP, 129),
        (["ensure-version"], signal.SIGINT, 130),
    ],
)
def test_a_stalled_connection(project, client, environment, emptied_url, words, number, code):
    """The write that follows the lease is lost on its way; other connections work."""
    project.script("a1", "op.execute('SET', 'k', '1', undo=['DEL', 'k'])")
    if words[0] == "downgrade":
        assert project("upgrade").code == 0
    with (
        stalling(emptied_url, lambda: client.exists(KEYS.lease)) as (url, stalled),
        started(environment, *words, url=url) as process,
    ):
        wait_for(stalled.is_set, process)
        process.send_signal(number)
        process.send_signal(number)
        ends(process, code)
    assert client.hgetall(KEYS.lease) == {}


def test_a_server_that_answers_nobody(project, client, environment, emptied_url):
    """The lease cannot be given back then: the process ends all the same, and the lease lapses."""
    project.configure("lease_seconds = 2\n")
    project.script("a1", "op.execute('SET', 'k', '1', undo=['DEL', 'k'])")
    with (
        stalling(emptied_url, lambda: client.exists(KEYS.lease), others=True) as (url, stalled),
        started(environment, "upgrade", url=f"{url}?socket_timeout=30") as process,
    ):
        wait_for(stalled.is_set, process)
        process.send_signal(signal.SIGTERM)
        ends(process, 143)
    wait_for_lapse = time.monotonic() + 20
    while client.exists(KEYS.lease):
        assert time.monotonic() < wait_for_lapse
        pause(0.05)
    assert project("upgrade").code == 0


def test_a_stalled_connection_ends_with_the_lease(project, client, environment, emptied_url):
    project.configure("lease_seconds = 2\n")
    project.script("a1", "op.execute('SET', 'k', '1', undo=['DEL', 'k'])")
    with (
        stalling(emptied_url, lambda: client.exists(KEYS.lease)) as (url, stalled),
        started(environment, "upgrade", url=url) as process,
    ):
        wait_for(stalled.is_set, process)
        began = time.monotonic()
        _, err = process.communicate(timeout=60)
        assert process.returncode in (1, 4, 6), err
        assert time.monotonic() - began < 15  # and not 60
        assert "Traceback" not in err
    assert project("upgrade", "--wait", "10").code == 0


@contextmanager
def stalling(url: str, when, *, others: bool = False) -> Iterator[tuple[str, threading.Event]]:
    """A proxy that goes silent on the first connection that sends something once `when()` is true."""
    target = redis.Redis.from_url(url).connection_pool.connection_kwargs
    address = (target["host"], target["port"])
    listener = socket.create_server(("127.0.0.1", 0))
    stalled = threading.Event()
    open_sockets: list[socket.socket] = []

    def pump(source: socket.socket, sink: socket.socket, asking: bool) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if asking and (others if stalled.is_set() else when()):
                    stalled.set()
                    return
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)

    def accept() -> None:
        with suppress(OSError):
            while True:
                ours, _ = listener.accept()
                theirs = socket.create_connection(address)
                open_sockets.extend((ours, theirs))
                for ways in ((ours, theirs, True), (theirs, ours, False)):
                    threading.Thread(target=pump, args=ways, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0", stalled
    finally:
        for one in (listener, *open_sockets):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_an_ignored_signal_stays_ignored(project, client, environment, number):
    top = """
    import time

    def work(client, progress, cursor):
        client.set("at work", 1)
        while not client.exists("go on"):
            time.sleep(0.02)
    """
    project.script("a1", "op.run(work)", top=top)

    def ignore() -> None:
        signal.signal(number, signal.SIG_IGN)

    with started(environment, "upgrade", before=ignore) as process:
        wait_for(lambda: client.exists("at work"), process)
        process.send_signal(number)
        pause(0.3)
        client.set("go on", 1)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "applied a1" in out


def test_in_another_thread_no_handlers_are_set(project, client):
    project.script("a1", "op.execute('SET', 'k', '1')")
    before = {number: signal.getsignal(number) for number, _ in SIGNALS}
    codes: list[int] = []

    def work() -> None:
        from vecmigrate.cli import run

        codes.append(run(["upgrade"]))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)
    assert codes == [0]
    assert {number: signal.getsignal(number) for number, _ in SIGNALS} == before
