"""Two runners at once: one works, the other waits, gives up or takes over; never do both write."""

from __future__ import annotations

import signal
import time
from functools import partial

import pytest

from tests import legacy
from tests.legacy import KEYS, Run, all_expected, dealt_with, documents, fill, keyspace, make_items
from vecmigrate.backfill.lane import Lane
from vecmigrate.backfill.undo import Remover
from vecmigrate.commands.database import unlock
from vecmigrate.errors import LeaseLostError, LockedError
from vecmigrate.runtime.lease import Lease, holder

pytestmark = pytest.mark.crash

TOOLS = make_items("tool", 3000, seed=3)


@pytest.fixture
def patient(tmp_path):
    """A project whose leases outlast every test."""
    return legacy.write_project(tmp_path / "patient", lease_seconds=600)


@pytest.fixture
def hasty(tmp_path):
    """A project whose leases last for a second."""
    return legacy.write_project(tmp_path / "hasty", lease_seconds=1)


@pytest.fixture
def filled(client):
    fill(client, "tool", TOOLS)
    return client


def start_and_stop(project, url, *words, method="send_packed", call=5, moment="before", owner=Lane):
    """An upgrade that stops itself while copying, where it is about to send a batch, or has sent it."""
    first = partial(legacy.signal_at, method, call, moment, signal.SIGSTOP, owner=owner)
    run = Run(project, url, *(words or ("upgrade",)), first=first)
    run.wait_until_stopped()
    return run


def check_complete(client):
    assert documents(client, "tool") == all_expected("tool", TOOLS)
    values = legacy.step_values(client, legacy.BACKFILL["tool"])
    assert int(values["done"]) == len(all_expected("tool", TOOLS))
    assert int(values["done"]) + int(values["rejected"]) == len(TOOLS)
    assert legacy.status(client) == "applied"


def events(client):
    return [fields[b"event"].decode() for _, fields in client.xrange(KEYS.log)]


def test_a_second_upgrade_exits_with_4_at_once_and_names_the_holder(filled, emptied_url, patient):
    with start_and_stop(patient, emptied_url) as first:
        before = keyspace(filled)
        began = time.monotonic()
        output = legacy.upgrade(patient, emptied_url, expect=4)
        assert time.monotonic() - began < 5
        assert f"process {first.pid}, upgrade" in output
        assert output.count("\n") == 1
        assert keyspace(filled).keys() == before.keys()
        first.wake()
        assert first.wait() == 0, first.output
    check_complete(filled)
    assert events(filled) == ["begin", "applied"]


def test_a_second_upgrade_waits_and_then_finds_nothing_to_do(filled, emptied_url, patient):
    with (
        start_and_stop(patient, emptied_url) as first,
        Run(patient, emptied_url, "upgrade", "--wait", "30") as second,
    ):
        legacy.pause(0.5)
        assert second.running
        first.wake()
        assert first.wait() == 0, first.output
        assert second.wait() == 0, second.output
    assert "nothing to upgrade" in second.output
    assert events(filled) == ["begin", "applied"]
    check_complete(filled)


def test_waiting_ends_with_4(filled, emptied_url, patient):
    with start_and_stop(patient, emptied_url):
        began = time.monotonic()
        legacy.upgrade(patient, emptied_url, "--wait", "0.7", expect=4)
        assert 0.7 <= time.monotonic() - began < 6


@pytest.mark.parametrize("command", [["downgrade", "base"], ["stamp", "head"]])
def test_other_commands_that_write_are_kept_out_too(filled, emptied_url, patient, command):
    with start_and_stop(patient, emptied_url):
        with Run(patient, emptied_url, *command) as second:
            assert second.wait() == 4, second.output
        assert "another runner is at work" in second.output


@pytest.mark.parametrize(("call", "moment"), [(1, "before"), (1, "after"), (6, "before"), (6, "after")])
def test_a_runner_that_slept_past_its_lease_writes_nothing(filled, emptied_url, hasty, call, moment):
    with start_and_stop(hasty, emptied_url, call=call, moment=moment) as first:
        legacy.upgrade(hasty, emptied_url, "--wait", "30")
        check_complete(filled)
        before = keyspace(filled)
        first.wake()
        assert first.wait() == 4, first.output
    assert "the lease was lost" in first.output
    assert first.output.count("Traceback") == 0
    assert keyspace(filled) == before


def test_a_runner_that_slept_before_verifying_settles_nothing(filled, emptied_url, hasty):
    with start_and_stop(hasty, emptied_url, method="__init__", call=1, owner=Remover) as first:
        legacy.upgrade(hasty, emptied_url, "--wait", "30")
        # Each of these is something that verifying would see to.
        written = sorted(all_expected("tool", TOOLS))
        filled.hdel("tool_embeddings", *written[:5])
        for name, item in make_items("tool", 10, seed=4, damaged=False).items():
            legacy.put(filled, "tool", b"late-" + name, item)
            legacy.put(filled, "tool", written[5], item)
        filled.hset("tool_embeddings", "broken", "[")
        before = keyspace(filled)
        first.wake()
        assert first.wait() == 4, first.output
    assert keyspace(filled) == before


@pytest.mark.parametrize("call", [2, 8])
def test_a_downgrade_that_slept_removes_nothing_of_a_later_upgrade(filled, emptied_url, hasty, call):
    legacy.upgrade(hasty, emptied_url)
    with start_and_stop(hasty, emptied_url, "downgrade", "base", method="send", call=call) as first:
        with Run(hasty, emptied_url, "downgrade", "base", "--wait", "30") as second:
            assert second.wait() == 0, second.output
        legacy.upgrade(hasty, emptied_url)
        before = keyspace(filled)
        first.wake()
        assert first.wait() == 4, first.output
    assert keyspace(filled) == before
    check_complete(filled)


def test_a_runner_that_slept_leaves_the_lease_of_its_successor_alone(filled, emptied_url, hasty, patient):
    with start_and_stop(hasty, emptied_url) as first:
        legacy.wait_until(lambda: holder(filled, KEYS) is None, "the lease lapsed")
        with start_and_stop(patient, emptied_url, call=3) as second:
            held, before = filled.hgetall(KEYS.lease), keyspace(filled)
            assert held[b"pid"] == str(second.pid).encode()
            first.wake()
            assert first.wait() == 4, first.output
            assert filled.hgetall(KEYS.lease) == held
            assert keyspace(filled) == before
            second.wake()
            assert second.wait() == 0, second.output
    check_complete(filled)


def test_a_lease_that_lapsed_with_no_successor_stops_its_runner_as_well(filled, emptied_url, hasty):
    with start_and_stop(hasty, emptied_url) as first:
        legacy.wait_until(lambda: holder(filled, KEYS) is None, "the lease lapsed")
        before = keyspace(filled)
        first.wake()
        assert first.wait() == 4, first.output
        assert keyspace(filled) == before
    legacy.upgrade(hasty, emptied_url)
    check_complete(filled)


def test_unlocking_stops_the_runner_that_held_the_lease(filled, emptied_url, patient):
    with start_and_stop(patient, emptied_url) as first:
        with Run(patient, emptied_url, "unlock") as asked:
            assert asked.wait() == 4, asked.output
        with Run(patient, emptied_url, "unlock", "--force") as forced:
            assert forced.wait() == 0, forced.output
        assert str(first.pid) in forced.output
        before = keyspace(filled)
        assert KEYS.lease.encode() not in before
        first.wake()
        assert first.wait() == 4, first.output
        assert keyspace(filled) == before
    assert dealt_with(filled) < len(TOOLS)
    legacy.upgrade(patient, emptied_url)
    check_complete(filled)
    assert events(filled) == ["begin", "unlock", "begin", "applied"]


def test_a_killed_runner_on_this_machine_is_not_waited_for(filled, emptied_url, patient):
    with start_and_stop(patient, emptied_url) as first:
        assert first.kill()
    assert holder(filled, KEYS) is not None
    legacy.upgrade(patient, emptied_url)
    check_complete(filled)


def test_a_killed_runner_on_another_machine_is_waited_for_until_its_lease_lapses(filled, emptied_url, hasty):
    with start_and_stop(hasty, emptied_url) as first:
        filled.hset(KEYS.lease, "machine", "elsewhere")
        assert first.kill()
        filled.pexpire(KEYS.lease, 60_000)
        assert "another runner is at work" in legacy.upgrade(hasty, emptied_url, expect=4)
        filled.pexpire(KEYS.lease, 2_000)
        began = time.monotonic()
        legacy.upgrade(hasty, emptied_url, "--wait", "10")
        assert time.monotonic() - began > 1.9
    check_complete(filled)


def test_the_server_refuses_what_a_runner_sends_that_believes_in_its_lease(client, emptied_url, patient):
    # Nothing tells the first that its lease is gone, and its clock says that it is good for ten minutes.
    with legacy.session(patient, emptied_url) as session, Lease(client, KEYS, seconds=600) as first:
        assert unlock(session, force=True).removed
        with Lease(client, KEYS, seconds=600, command="stamp") as second:
            first.check()
            with pytest.raises(LeaseLostError):
                first.guarded(("SET", "proof", "1"))
            second.guarded(("SET", "proof", "2"), ("INCR", "proof"))
            assert client.get("proof") == b"3"
            with pytest.raises(LockedError, match=r"stamp, since"), Lease(client, KEYS, seconds=600):
                pass
        assert holder(client, KEYS) is None


def test_tokens_grow(client):
    tokens = []
    for _ in range(3):
        with Lease(client, KEYS, seconds=60):
            tokens.append(holder(client, KEYS).token)
    assert tokens == [1, 2, 3]


def test_the_heartbeat_keeps_a_lease_alive(client):
    with Lease(client, KEYS, seconds=0.3) as lease:
        legacy.pause(1)
        lease.check()
        assert lease.guarded(("SET", "proof", "1"))
