"""Kills of the server, which has an append-only file that is synced at every write, and comes back."""

from __future__ import annotations

import threading

from tests.reliability.changes import CHANGES, Change, again, ends, length
from tests.reliability.command_line import CommandLine, Ended
from tests.reliability.disturb import disturbed
from tests.reliability.faults import EndedWrongError, fault
from tests.reliability.proxy import Then
from tests.reliability.world import World

_NAMES = (
    "create create_json adopt backfill rebuild rebuild_fields rebuild_adopted alter rename drop commands "
    "several rollback complete downgrade_backfill downgrade_rebuild downgrade_drop"
).split()
_PROMISE = "the run ends with an error or goes on; the next ends as an undisturbed run does"
# The last commands of a run are the record "applied" and the end of the lease: it may be over for good then.
_LAST = 3


@fault("server killed, started again after the run", _PROMISE, runs=4, full=30, kept=True, lease_seconds=3)
def restarted(world: World) -> None:
    """The runner finds nobody, says so, and ends."""
    change = _change(world)

    def act(_process: CommandLine) -> Then:
        world.kill_server()
        return Then.CUT

    change.set_up(world)
    with disturbed(world, change.command, _moment(world, change), act) as run:
        ended = run.process.end()
        if ended.code == 0:
            raise EndedWrongError(f"{ended.said}, though the server was gone")
    world.start_again()
    _go_on(world, change, ended)


@fault("server killed, started again at once", _PROMISE, runs=3, full=15, kept=True, lease_seconds=3)
def restarted_at_once(world: World) -> None:
    """The runner may find it again while it loads."""
    change = _change(world)
    _restart(world, change, older=False)


@fault("server comes back older, as from a snapshot", _PROMISE, runs=4, full=15, kept=True, lease_seconds=3)
def came_back_older(world: World) -> None:
    """What the ledger, the lease and the documents were some commands ago, they are again."""
    change = _change(world)
    _restart(world, change, older=True)


def _restart(world: World, change: Change, *, older: bool) -> None:
    change.set_up(world)
    at = _moment(world, change)
    back = threading.Event()

    def act(_process: CommandLine) -> Then:
        world.kill_server()
        world.start_again(older=older)
        back.set()
        return Then.CUT

    # Drawn anew, so that in some run everything is lost from the beginning on, in some nearly nothing.
    earlier = (1 + int(world.random.random() * at), world.copy_data) if older else None
    with disturbed(world, change.command, at, act, earlier=earlier) as run:
        ended = run.process.end()
        back.wait(60)
    _go_on(world, change, ended)


def _go_on(world: World, change: Change, ended: Ended) -> None:
    if ended.code == 0:
        ends(world, change)
        return
    if not ended.err.strip():
        raise EndedWrongError(f"{ended.said}: it does not say why")
    again(world, change, "--wait", "30")
    ends(world, change)


def _change(world: World) -> Change:
    return CHANGES[_NAMES[world.seed % len(_NAMES)]]


def _moment(world: World, change: Change) -> int:
    return 1 + int(world.share * max(1, length(change, change.command) - _LAST))
