"""Signals that ask a command to end: from a terminal, an orchestrator, a closed session."""

from __future__ import annotations

import os
import signal

from tests.reliability.changes import CHANGES, again, ends, moment
from tests.reliability.command_line import CommandLine
from tests.reliability.disturb import disturbed
from tests.reliability.faults import EndedWrongError, fault
from tests.reliability.proxy import Then
from tests.reliability.world import LEDGER, World

_NAMES = (
    "backfill rebuild create alter rename drop commands rollback complete downgrade_backfill "
    "downgrade_rebuild stamp_purge"
).split()
_PROMISE = "the command ends, its lease is free at once, the next ends as an undisturbed run does"
_SECONDS_TO_END = 20.0  # 5 are promised; the rest is for a busy machine


def _signalled(world: World, number: signal.Signals, times: int = 1) -> None:
    change = CHANGES[_NAMES[world.seed % len(_NAMES)]]
    change.set_up(world)

    def act(process: CommandLine) -> Then:
        for _ in range(times):
            os.kill(process.pid, number)
        return Then.PASS

    with disturbed(world, change.command, moment(world, change), act) as run:
        ended = run.process.end(_SECONDS_TO_END)
    held = world.client.hgetall(f"{LEDGER}{{default}}:lease")
    if held:
        raise EndedWrongError(f"{ended.said}, and the lease is still there")
    if ended.code == 0:
        ends(world, change)
        return
    again(world, change)
    ends(world, change)


@fault("SIGTERM", _PROMISE, runs=2, full=24)
def sigterm(world: World) -> None:
    """As an orchestrator ends a pod."""
    _signalled(world, signal.SIGTERM)


@fault("SIGTERM twice", _PROMISE, runs=2, full=12)
def sigterm_twice(world: World) -> None:
    """As by somebody who is impatient."""
    _signalled(world, signal.SIGTERM, 2)


@fault("SIGHUP", _PROMISE, runs=2, full=12)
def sighup(world: World) -> None:
    """As where a session is closed."""
    _signalled(world, signal.SIGHUP)


@fault("SIGINT", _PROMISE, runs=2, full=12)
def sigint(world: World) -> None:
    """Ctrl-C."""
    _signalled(world, signal.SIGINT)
