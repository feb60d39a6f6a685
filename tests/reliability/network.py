"""What happens between the runner and the server, and what other clients do to the server as a whole."""

from __future__ import annotations

import contextlib
import threading
import time

import redis

from tests.reliability.changes import CHANGES, Change, again, ends, moment
from tests.reliability.command_line import CommandLine
from tests.reliability.disturb import disturbed
from tests.reliability.faults import EndedWrongError, MissedError, fault
from tests.reliability.proxy import Proxy, Then
from tests.reliability.world import World

_NAMES = (
    "backfill rebuild create rebuild_fields alter rename drop commands several rebuild_adopted "
    "rollback complete downgrade_backfill downgrade_rebuild downgrade_drop downgrade_alter"
).split()
_AGAIN = "the run goes on or ends with an error; the next ends as an undisturbed run does"
_GOES_ON = "the run goes on by itself and ends as an undisturbed one"
_BUSY = "local t = redis.call('TIME')[1] + 2; while tonumber(redis.call('TIME')[1]) <= t do end"


def _change(world: World) -> Change:
    return CHANGES[_NAMES[world.seed % len(_NAMES)]]


def _happens(world: World, then: Then, what: str = "", *, resumed: bool = False) -> None:
    """At a command drawn from the seed, `what` (a command of redis-cli) is sent by somebody, and `then`."""
    change = _change(world)
    change.set_up(world)

    def act(_process: CommandLine) -> Then:
        if what:
            world.client.execute_command(*what.split())
        return then

    with disturbed(world, change.command, moment(world, change), act) as run:
        ended = run.process.end()
    _goes_on(world, change, ended.code, ended.err, ended.said, resumed=resumed)


def _goes_on(world: World, change: Change, code: int, err: str, said: str, *, resumed: bool = False) -> None:
    if code and (resumed or not err.strip()):
        raise EndedWrongError(said)
    if code:
        again(world, change, "--wait", "30")
    ends(world, change)


@fault("connection cut before a command", _AGAIN, runs=3, full=30)
def cut(world: World) -> None:
    """The command does not reach the server."""
    _happens(world, Then.CUT)


@fault("connection cut after a command, its reply lost", _AGAIN, runs=3, full=30)
def reply_lost(world: World) -> None:
    """The server did what the runner believes it did not."""
    _happens(world, Then.LOSE_REPLY)


@fault("CLIENT KILL of every connection", _AGAIN, runs=2, full=20)
def client_kill(world: World) -> None:
    """As an operator does it, or a server that is short of connections."""
    _happens(world, Then.PASS, "CLIENT KILL TYPE normal")


@fault(
    "connection stalled, both ways, for good", "the run ends with its lease", runs=2, full=16, lease_seconds=2
)
def stalled(world: World) -> None:
    """Nobody is told that nothing arrives any more, as where a firewall forgot the connection."""
    change = _change(world)
    change.set_up(world)
    with disturbed(world, change.command, moment(world, change), lambda _: Then.STALL) as run:
        # Its lease and as long again; the rest is for a busy machine.
        ended = run.process.end(2 * world.lease_seconds + 20)
    if ended.code == 0:
        # All that was left to do was to give the lease back.
        world.must("status")
    _goes_on(world, change, ended.code, ended.err, ended.said)


@fault("20 ms of delay each way", "ends as without", runs=1, full=16)
def delay(world: World) -> None:
    """Correctness alone: how long it takes is measured elsewhere."""
    change = _change(world)
    change.set_up(world)
    with Proxy(world.server.port, delay=0.02) as proxy:
        world.must(*change.command, url=proxy.url)
    ends(world, change)


@fault("SCRIPT FLUSH", _GOES_ON, runs=3, full=20)
def script_flush(world: World) -> None:
    """Scripts that were loaded are unknown from one command to the next."""
    _happens(world, Then.PASS, "SCRIPT FLUSH", resumed=True)


@fault("CLIENT PAUSE for two seconds", _GOES_ON, runs=1, full=10)
def client_pause(world: World) -> None:
    """As during a planned failover."""
    _happens(world, Then.PASS, "CLIENT PAUSE 2000 ALL", resumed=True)


@fault("BUSY: somebody's script runs for seconds", _AGAIN, runs=2, full=16)
def busy(world: World) -> None:
    """The server answers BUSY to everything meanwhile."""
    change = _change(world)
    change.set_up(world)
    world.client.config_set("busy-reply-threshold", 50)

    def hold() -> None:
        with contextlib.suppress(redis.RedisError), redis.Redis.from_url(world.server.url) as other:
            other.eval(_BUSY, 0)

    script = threading.Thread(target=hold)

    def act(_process: CommandLine) -> Then:
        script.start()
        time.sleep(0.2)
        return Then.PASS

    try:
        with disturbed(world, change.command, moment(world, change), act) as run:
            ended = run.process.end()
    finally:
        if script.ident is not None:
            script.join()
    _goes_on(world, change, ended.code, ended.err, ended.said)


@fault("READONLY: the primary became a replica, and a primary again", _AGAIN, runs=2, full=16)
def readonly(world: World) -> None:
    """As in a failover that is taken back."""
    change = _change(world)
    change.set_up(world)

    def act(_process: CommandLine) -> Then:
        world.client.execute_command("REPLICAOF", "127.0.0.1", "1")
        return Then.PASS

    try:
        with disturbed(world, change.command, moment(world, change), act) as run:
            time.sleep(0.5)
            if not run.proxy.acted:
                run.process.end()
                raise MissedError
            world.client.execute_command("REPLICAOF", "NO", "ONE")
            ended = run.process.end()
    finally:
        world.client.execute_command("REPLICAOF", "NO", "ONE")
    _goes_on(world, change, ended.code, ended.err, ended.said)


@fault("out of memory from a command on (maxmemory, noeviction)", _AGAIN, runs=2, full=20)
def out_of_memory(world: World) -> None:
    """Writes are refused, deletes are not; later there is memory again."""
    change = _change(world)
    change.set_up(world)

    def act(_process: CommandLine) -> Then:
        world.client.config_set("maxmemory", 1)
        return Then.PASS

    with disturbed(world, change.command, moment(world, change), act) as run:
        ended = run.process.end()
    world.client.config_set("maxmemory", 0)
    _goes_on(world, change, ended.code, ended.err, ended.said)


@fault("out of memory before complete, rollback, downgrade", "they free memory, so they work", runs=3, full=6)
def works_when_out_of_memory(world: World) -> None:
    """What frees memory, or takes nearly none, is what one needs then."""
    name = (
        "complete",
        "rollback",
        "downgrade_rebuild",
        "downgrade_rename",
        "downgrade_create",
        "op_complete",
    )[world.seed % 6]
    change = CHANGES[name]
    change.set_up(world)
    world.client.config_set("maxmemory", 1)
    ended = world.run(*change.command)
    world.client.config_set("maxmemory", 0)
    if ended.code:
        raise EndedWrongError(f"{name}: {ended.said}")
    ends(world, change)
