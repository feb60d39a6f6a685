"""A server that forgets scripts, is busy, loads its data or comes back older; and slow networks."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import redis

from benchmarks.network import DelayingProxy
from tests import legacy
from tests.integration.backfill.test_writers import BeforeVerifying, once
from tests.legacy import BACKFILL, KEYS, REVISION, Run, all_expected, documents, fill, make_items
from vecmigrate.backfill import undo, verify
from vecmigrate.backfill.books import Fence
from vecmigrate.backfill.engine import Backfill
from vecmigrate.backfill.lane import Lane
from vecmigrate.commands.migrate import downgrade, upgrade
from vecmigrate.errors import LeaseLostError, PartialError
from vecmigrate.operations.progress import Silent

STEP = BACKFILL["tool"]
ITEMS = make_items("tool", 1500, seed=60)
NAMES = list(all_expected("tool", ITEMS))
WANTED = all_expected("tool", ITEMS)
# Runs for some 1.5 s; the server says BUSY after a tenth of one.
SLOW_SCRIPT = "local n = 0 for i = 1, ARGV[1] do n = n + redis.call('EXISTS', 'x') end return n"
SLOW_ROUNDS = 4_000_000


@pytest.fixture
def project(tmp_path):
    return legacy.write_project(tmp_path / "project")


def go_up(project, url, **options):
    with legacy.session(project, url) as session:
        return upgrade(session, **options)


def go_down(project, url, **options):
    with legacy.session(project, url) as session:
        return downgrade(session, "base", **options)


def each(act: Callable[[], None], original: Callable[..., Any]) -> Callable[..., Any]:
    """`original`, with `act` called before each call."""

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        act()
        return original(*args, **kwargs)

    return wrapped


# SCRIPT FLUSH


@pytest.mark.parametrize("method", ["send_packed", "receive", "send"])
def test_scripts_flushed_at_every_moment(client, emptied_url, project, monkeypatch, method):
    fill(client, "tool", ITEMS)
    monkeypatch.setattr(Lane, method, each(client.script_flush, getattr(Lane, method)))

    def change():
        client.hdel("tool_embeddings", *NAMES[:10])
        client.hset("tool_embeddings", mapping=dict.fromkeys(NAMES[10:20], b"[1, 2, 3, 4, 5, 6, 7, 8]"))
        client.hset("tool_embeddings", mapping={f"late-{n}": b"[1, 2, 3, 4, 5, 6, 7, 8]" for n in range(20)})

    go_up(project, emptied_url, progress=BeforeVerifying(change))
    found = documents(client, "tool")
    assert {name: found.get(name) for name in NAMES[20:]} == {name: WANTED[name] for name in NAMES[20:]}
    assert not set(found) & set(NAMES[:10])
    assert {found[name]["embedding"] for name in NAMES[10:20]} == {legacy.blob(range(1, 9))}
    assert sum(name.startswith(b"late") for name in found) == 20
    go_down(project, emptied_url)
    assert documents(client, "tool") == {}


# BUSY


class Busy:
    """Keeps a server busy with a script of its own, in a thread."""

    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(url)
        self._thread = threading.Thread(target=self._run)

    def __call__(self) -> None:
        self._thread.start()
        legacy.wait_until(self._is_busy, "the server is busy")

    def _run(self) -> None:
        with contextlib.closing(self._client) as client:
            client.eval(SLOW_SCRIPT, 0, SLOW_ROUNDS)

    def _is_busy(self) -> bool:
        return self._thread.is_alive()

    def end(self) -> None:
        self._thread.join(60)


@pytest.mark.parametrize("moment", ["copy", "verify", "settle", "remove"])
def test_a_busy_server_is_waited_for(own_server, project, monkeypatch, moment):
    server = own_server()
    with contextlib.closing(redis.Redis.from_url(server.url)) as client:
        client.config_set("busy-reply-threshold", 50)
        fill(client, "tool", ITEMS)
        busy = Busy(server.url)
        refused = []
        original = Lane.wait
        monkeypatch.setattr(Lane, "wait", lambda self: (refused.append(1), original(self))[1])

        def act():
            busy()
            legacy.pause(0.3)

        progress = Silent()
        if moment == "copy":
            monkeypatch.setattr(Backfill, "convert", once(act, Backfill.convert))
        elif moment == "verify":
            monkeypatch.setattr(verify.Settler, "differing", once(act, verify.Settler.differing))
        elif moment == "settle":
            progress = BeforeVerifying(lambda: client.hdel("tool_metadata", *NAMES[:5]))
            monkeypatch.setattr(verify, "_decide", once(act, verify._decide))
        go_up(project, server.url, progress=progress)
        if moment == "remove":
            monkeypatch.setattr(undo.Remover, "doomed", once(act, undo.Remover.doomed))
            go_down(project, server.url)
            assert documents(client, "tool") == {}
        else:
            assert set(documents(client, "tool")) == set(WANTED)
        busy.end()
        assert refused


def test_a_server_that_loads_its_data_is_waited_for():
    assert all(
        passes(text)
        for text in (
            "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
            "LOADING Redis is loading the dataset in memory",
            "EXECABORT Transaction discarded because of: BUSY Redis is busy running a script.",
        )
    )
    assert not any(
        passes(text)
        for text in (
            "BUSYKEY Target key name already exists.",
            "BUSYGROUP Consumer Group name already exists",
            "EXECABORT Transaction discarded because of previous errors.",
            "OOM command not allowed when used memory > 'maxmemory'.",
            "NOPERM User x has no permissions to run the 'evalsha' command",
            "ERR about a BUSY or LOADING thing",
        )
    )


def passes(text: str) -> bool:
    from vecmigrate.backfill.lane import is_passing

    return is_passing(redis.ResponseError(text))


def test_nothing_else_is_waited_for(client, emptied_url):
    lane = Lane(client, lambda: pytest.fail("waited"))
    with contextlib.closing(lane):
        for words in (("HGET", "x"), ("NO_SUCH_COMMAND",), ("EVALSHA", "0" * 40, 0)):
            with pytest.raises(redis.ResponseError):
                lane.ask(words)
        # And the connection goes on.
        assert lane.ask(("ECHO", "here")) == [b"here"]


def test_waiting_ends_with_the_lease(own_server):
    server = own_server()
    with contextlib.closing(redis.Redis.from_url(server.url)) as client:
        client.config_set("busy-reply-threshold", 50)
        busy = Busy(server.url)

        def lost() -> None:
            raise LeaseLostError

        with contextlib.closing(Lane(client, lost)) as lane:
            busy()
            legacy.pause(0.3)
            with pytest.raises(LeaseLostError):
                lane.ask(("GET", "x"))
        busy.end()


# Lost writes


def test_the_fence_keeps_the_highest_number():
    fence = Fence()
    for number in (3, 1, 2):
        fence.confirmed(number)
    assert fence.seq == 3


WENT_BACK = (
    r"came back from an older state: writes of this run are lost \(expected write \d+ or later, found 1\)"
)


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_server_that_lost_writes_ends_the_run(client, emptied_url, project, monkeypatch, direction):
    fill(client, "tool", ITEMS)
    calls = 0

    def lose():
        nonlocal calls
        calls += 1
        if calls == 8:
            client.hset(KEYS.lease, "seq", 1)

    monkeypatch.setattr(Lane, "send_packed", each(lose, Lane.send_packed))
    if direction == "down":
        calls = -1000
        go_up(project, emptied_url)
        calls = 4
    with pytest.raises(PartialError, match=WENT_BACK):
        (go_up if direction == "up" else go_down)(project, emptied_url)
    # What the message suggests.
    go_up(project, emptied_url)
    assert documents(client, "tool") == WANTED


# Slow networks


@pytest.fixture
def slow(emptied_url):
    with DelayingProxy(int(emptied_url.rpartition(":")[2].partition("/")[0]), 0.02) as proxy:
        yield proxy.url


def test_a_round_trip_is_no_load_of_the_server(client, slow, project, monkeypatch):
    fill(client, "tool", ITEMS)
    sizes: list[int] = []
    in_flight: list[int] = []
    send, receive = Lane.send_packed, Backfill._finish
    under_way = 0

    def sending(self, data, answers):
        nonlocal under_way
        under_way += 1
        in_flight.append(under_way)
        send(self, data, answers)

    def finishing(self, batch, reader, counts):
        nonlocal under_way
        sizes.append(batch.size)
        receive(self, batch, reader, counts)
        under_way -= 1

    monkeypatch.setattr(Lane, "send_packed", sending)
    monkeypatch.setattr(Backfill, "_finish", finishing)
    go_up(project, slow)
    assert documents(client, "tool") == WANTED
    assert max(sizes) >= 200
    assert max(in_flight) > 1


@pytest.mark.parametrize("batch", [2, 4, 5, 7])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_with_several_batches_under_way(client, emptied_url, slow, project, batch, moment):
    items = make_items("tool", 5000, seed=61)
    fill(client, "tool", items)
    first = partial(legacy.signal_at, "send_packed", batch, moment)
    with Run(project, slow, "upgrade", first=first) as run:
        assert run.wait() == -9, run.output
    legacy.upgrade(project, emptied_url, "--wait", "60")
    assert documents(client, "tool") == all_expected("tool", items)
    values = legacy.step_values(client, STEP)
    assert int(values["done"]) + int(values["rejected"]) == len(items)
    assert client.hlen(KEYS.items(REVISION, STEP)) == len(items)
