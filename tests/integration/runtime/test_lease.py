"""The lease: one at a time, kept alive, given back, and worthless once lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time

import pytest
import redis

from tests.project import cli_project as project
from tests.project import content
from vecmigrate.commands.database import open_session
from vecmigrate.commands.locked import locked
from vecmigrate.config import load_config
from vecmigrate.errors import (
    LeaseLostError,
    LockedError,
    OperationError,
    PartialError,
    ServerWentBackError,
)
from vecmigrate.operations.execute import Execute
from vecmigrate.runtime.keys import LedgerKeys
from vecmigrate.runtime.lease import Lease, holder
from vecmigrate.runtime.ledger import Ledger, LedgerWriter, Step

KEYS = LedgerKeys("default")

__all__ = ["project"]


@pytest.fixture
def lease(client):
    return lambda **options: Lease(client, KEYS, **{"seconds": 30, **options})


def fall_asleep(lease: Lease) -> None:
    """Let nothing renew the lease any more, as in a process that is stopped."""
    lease._stop.set()
    assert lease._heartbeat is not None
    lease._heartbeat.join()


class TestTaking:
    def test_it_says_who_holds_it(self, lease, client):
        assert holder(client, KEYS) is None
        with lease(command="downgrade"):
            found = holder(client, KEYS)
            assert found is not None
            assert (found.command, found.token) == ("downgrade", 1)
            assert found.pid > 0
            assert 29 < found.seconds_left <= 30
            assert f"process {found.pid}, downgrade" in str(found)
        assert holder(client, KEYS) is None
        assert not client.exists(KEYS.lease)

    def test_only_one_at_a_time(self, lease):
        with (
            lease(),
            pytest.raises(LockedError, match=r"another runner is at work: .*process \d+, upgrade"),
            lease(),
        ):
            raise AssertionError("two hold it")

    def test_it_is_given_back_after_an_exception_too(self, lease, client):
        with pytest.raises(ZeroDivisionError), lease():
            raise ZeroDivisionError
        assert not client.exists(KEYS.lease)

    def test_tokens_only_grow(self, lease, client):
        tokens = []
        for _ in range(5):
            with lease() as held:
                tokens.append(int(held.identity.partition(":")[0]))
        assert tokens == [1, 2, 3, 4, 5]
        assert client.get(KEYS.fence) == b"5"

    def test_namespaces_have_one_each(self, lease, client):
        with lease(), Lease(client, LedgerKeys("other"), seconds=30):
            assert client.exists(KEYS.lease, LedgerKeys("other").lease) == 2

    def test_waiting_ends_with_the_lease_or_after_the_time_given(self, lease):
        first = lease()
        first.__enter__()
        began = time.monotonic()
        with pytest.raises(LockedError), lease(wait=0.3):
            raise AssertionError("two hold it")
        assert 0.3 <= time.monotonic() - began < 2
        timer = threading.Timer(0.3, first.__exit__, (None, None, None))
        timer.start()
        with lease(wait=20) as second:
            second.check()
        timer.join()

    def test_many_who_want_it_take_turns(self, client, emptied_url):
        inside, most, tokens = 0, 0, []

        def work() -> None:
            nonlocal inside, most
            with redis.Redis.from_url(emptied_url) as own, Lease(own, KEYS, seconds=30, wait=30) as held:
                inside += 1
                most = max(most, inside)
                tokens.append(int(held.identity.partition(":")[0]))
                time.sleep(0.01)
                inside -= 1

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (most, tokens) == (1, [1, 2, 3, 4, 5, 6])


class TestKeeping:
    def test_the_heartbeat_keeps_it_longer_than_its_time(self, lease, client):
        with lease(seconds=0.6) as held:
            end = time.monotonic() + 1.5
            while time.monotonic() < end:
                held.check()
                assert client.hget(KEYS.lease, "id") == held.identity.encode()
                held.guarded(("INCR", "work"))
                time.sleep(0.02)
        assert not client.exists(KEYS.lease)

    def test_without_one_it_lapses_and_the_next_may_take_it(self, lease, client):
        with lease(seconds=0.3) as sleeper:
            fall_asleep(sleeper)
            with lease(wait=10) as second:
                with pytest.raises(LeaseLostError):
                    sleeper.check()
                with pytest.raises(LeaseLostError):
                    sleeper.guarded(("SET", "k", "stale"))
                second.guarded(("SET", "k", "fresh"))
                sleeper.__exit__(None, None, None)
                assert client.hget(KEYS.lease, "id") == second.identity.encode()
        assert client.get("k") == b"fresh"

    def test_a_runner_whose_clock_says_otherwise_is_refused_by_the_server(self, lease, client):
        with lease(seconds=0.3) as sleeper:
            fall_asleep(sleeper)
            sleeper._valid_until = float("inf")
            with lease(wait=10):
                sleeper.check()
                with pytest.raises(LeaseLostError):
                    sleeper.guarded(("SET", "k", "stale"))
        assert not client.exists("k")

    def test_a_runner_that_lost_it_to_unlock_notices_by_itself(self, lease, client):
        with lease(seconds=0.3) as held:
            client.delete(KEYS.lease)
            assert held._heartbeat is not None
            held._heartbeat.join(timeout=5)
            with pytest.raises(LeaseLostError):
                held.check()
            # And does not take it again.
            assert not client.exists(KEYS.lease)

    def test_a_server_that_is_gone_takes_the_lease_along(self, own_server):
        server = own_server()
        with redis.Redis.from_url(server.url) as client, Lease(client, KEYS, seconds=0.5) as held:
            server.stop()
            with pytest.raises(redis.ConnectionError):
                held.guarded(("SET", "k", "1"))
            time.sleep(0.6)
            with pytest.raises(LeaseLostError):
                held.check()


class TestGuarding:
    def test_all_commands_run_and_the_last_answers(self, lease, client):
        with lease() as held:
            answer = held.guarded(
                ("SET", "a", b"\x00\xff"), ("INCRBY", "b", 5), ("GET", "a"), keys=["a", "b"]
            )
        assert answer == b"\x00\xff"
        assert client.get("b") == b"5"

    def test_none_runs_after_unlock(self, lease, client):
        with lease() as held:
            client.delete(KEYS.lease)
            with pytest.raises(LeaseLostError):
                held.guarded(("SET", "a", "1"), ("SET", "b", "1"))
        assert client.keys() == [KEYS.fence.encode()]

    def test_another_token_of_the_same_name_does_not_count(self, lease, client):
        with lease() as held:
            client.hset(KEYS.lease, "id", held.identity.replace("1:", "2:", 1))
            with pytest.raises(LeaseLostError):
                held.guarded(("SET", "a", "1"))

    def test_other_errors_are_what_they_are(self, lease, client):
        client.set("text", "x")
        with lease() as held, pytest.raises(redis.ResponseError, match="not an integer"):
            held.guarded(("INCR", "text"))

    def test_flushed_scripts_are_loaded_again(self, lease, client):
        with lease() as held:
            client.script_flush()
            held.guarded(("SET", "a", "1"))
        assert client.get("a") == b"1"
        assert not client.exists(KEYS.lease)


class TestRunnersThatWereKilled:
    @pytest.fixture
    def held_by(self, lease, client):
        """Make the lease say that another process, or another machine, holds it."""

        def write(**changed: object) -> None:
            with lease():
                fields = {name.decode(): value.decode() for name, value in client.hgetall(KEYS.lease).items()}
            fields |= {name: str(value) for name, value in changed.items()} | {"id": "1:somebody"}
            client.hset(KEYS.lease, mapping=fields)
            client.pexpire(KEYS.lease, 30_000)

        return write

    def test_one_of_this_machine_is_not_waited_for(self, held_by, lease):
        gone = subprocess.Popen([sys.executable, "-c", ""])
        gone.wait()
        held_by(pid=gone.pid)
        with lease() as held:
            assert held.identity.startswith("2:")

    @pytest.mark.parametrize("changed", [{"machine": "another"}, {}], ids=["elsewhere", "alive"])
    def test_any_other_is(self, held_by, lease, changed):
        gone = subprocess.Popen([sys.executable, "-c", ""])
        gone.wait()
        held_by(**({"pid": gone.pid, **changed} if changed else {"pid": os.getpid()}))
        with pytest.raises(LockedError), lease():
            raise AssertionError("two hold it")


def test_every_write_of_the_ledger_is_refused_once_the_lease_is_lost(lease, client):
    ledger = Ledger(client, "default")
    with lease() as held:
        writer = LedgerWriter(ledger, held)
        record = writer.begin("a1", "sha256:x", "Do it", "running", down_revision=())
        step = Step(writer, "a1", 0, "u")
        step.put({"cursor": 1, "status": "running"})
        Step(writer, "a1", 0, "d").put({"status": "running"})
        client.delete(KEYS.lease)
        before = content(client)
        writes = [
            lambda: writer.put(record, "applied"),
            lambda: writer.begin("a1", "sha256:y", "", "running", down_revision=()),
            lambda: writer.forget("a1", "reverted"),
            lambda: writer.reopen("a1"),
            lambda: writer.clear_steps("a1", "u"),
            lambda: step.put({"cursor": 2}),
            lambda: step.clear(["u0:cursor"]),
        ]
        for write in writes:
            with pytest.raises(LeaseLostError):
                write()
            assert content(client) == before


class Stale(Execute):
    """An operation whose runner slept past its lease: what it meets first is a stale connection."""

    def run(self, context):
        context.client.delete(KEYS.lease)
        while True:
            try:
                context.check_lease()
            except LeaseLostError:
                raise redis.TimeoutError("Timeout reading from socket") from None
            time.sleep(0.05)


def test_a_stale_connection_after_the_lease_was_lost_ends_as_that(project, client, monkeypatch):
    monkeypatch.setattr("vecmigrate.operations.recorder.Execute", Stale)
    project.configure("lease_seconds = 1\n")
    project.script("a1", "op.execute('SET', 'k', '1')")
    ran = project("upgrade")
    assert (ran.code, "the lease was lost" in ran.last) == (4, True)
    # Another one may be at work already, so nothing was written about it.
    assert json.loads(client.hget(KEYS.revisions, "a1"))["status"] == "running"


def test_a_function_that_meets_it_ends_as_that_too(project, client):
    project.configure("lease_seconds = 1\n")
    top = """
    import time

    import redis


    def work(client, progress, cursor):
        client.delete("vecmigrate:{default}:lease")
        time.sleep(1.5)
        raise redis.TimeoutError("Timeout reading from socket")
    """
    project.script("a1", "op.run(work)", top=top)
    ran = project("upgrade")
    assert (ran.code, "the lease was lost" in ran.last) == (4, True)


class TestACommandThatWakesUpTooLate:
    """Between two writes it only reads, and what it read, or did not get to read, is not what went wrong."""

    @pytest.fixture
    def work(self, project, emptied_url, client):
        project.configure("lease_seconds = 1\n")
        config = load_config(project.folder / "vecmigrate.toml")
        taken = threading.Event()

        def work(error: Exception) -> None:
            with (
                open_session(config, redis_url=emptied_url) as session,
                locked(session, session.history(), "rollback") as writer,
            ):
                client.delete(KEYS.lease)
                while not writer.lease.lapsed():
                    taken.wait(0.05)
                raise error

        return work

    @pytest.mark.parametrize(
        "error", [redis.TimeoutError("slow"), redis.ConnectionError(), OperationError("not as it was")]
    )
    def test_it_says_that_the_lease_is_lost(self, work, error):
        with pytest.raises(LeaseLostError) as raised:
            work(error)
        assert raised.value.exit_code == 4
        assert raised.value.__cause__ is error

    @pytest.mark.parametrize("error", [PartialError("a step failed"), ServerWentBackError("WENTBACK 2 1")])
    def test_what_says_more_stays(self, work, error):
        with pytest.raises(type(error)):
            work(error)
