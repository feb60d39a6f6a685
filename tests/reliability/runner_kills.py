"""Kills of the runner, at any command that it sends, and whatever somebody runs afterwards."""

from __future__ import annotations

from contextlib import suppress

from tests.reliability.changes import CHANGES, Change, Words, again, ends, length, settle_on
from tests.reliability.command_line import CommandLine
from tests.reliability.disturb import disturbed
from tests.reliability.faults import EndedWrongError, MissedError, fault
from tests.reliability.proxy import Then
from tests.reliability.world import State, World

_PROMISE = "run again, or sent the other way, it ends as an undisturbed run does"
_TWICE = 0.25
_INSTEAD = 0.5


def killed(world: World, change: Change) -> None:
    """Kill the change's command, go on one way or the other, and look at the end."""
    change.set_up(world)
    kill(world, change, change.command, world.share)
    instead = world.random.choice(change.instead) if change.instead else None
    if world.random.random() < _TWICE:
        second = world.random.choice((change.command, *change.instead))
        # It may have nothing left to do, or refuse.
        with suppress(MissedError, EndedWrongError):
            kill(world, change, second, world.random.random())
    if instead is None or world.random.random() > _INSTEAD:
        again(world, change)
        ends(world, change)
    else:
        the_other_way(world, change, instead)


def the_other_way(world: World, change: Change, instead: Words) -> None:
    """Run `instead`: it ends as after the whole command, or as after none of it, or it says why not."""
    ended = world.run(*instead)
    if ended.code:
        # A refusal is an answer, as long as the command itself can be ended.
        if len(ended.err.strip().splitlines()) == 0:
            raise EndedWrongError(f"{ended.said}: it does not say why")
        again(world, change)
        ends(world, change)
        return
    allowed = _allowed(change, instead)
    found = world.state()
    differences = [found.against(state) for state in allowed]
    if all(differences):
        raise EndedWrongError(f"after `{' '.join(instead)}`: {differences[0]}")
    if change.forward is not None:
        words = change.forward
        if instead[0] == "rollback" and found == settle_on(change, instead):
            words = ("upgrade", "--release")
        world.must(*words)
        ends(world, change)


def _allowed(change: Change, instead: Words) -> list[State]:
    return [
        settle_on(change, instead),
        settle_on(change, command=False),
        settle_on(change, instead, command=False),
    ]


def kill(world: World, change: Change, command: Words, share: float) -> None:
    """Kill `command` when the drawn one of its commands passes."""

    def act(process: CommandLine) -> Then:
        process.kill()
        return Then.LOSE

    at = 1 + int(share * length(change, command))
    with disturbed(world, command, at, act) as run:
        ended = run.process.end()
        if ended.code > 0:
            raise EndedWrongError(ended.said)
        if ended.code == 0:
            raise MissedError


def _enter(change: Change) -> None:
    def scenario(world: World) -> None:
        killed(world, change)

    scenario.__name__ = change.name
    fault(f"runner killed in {change.text}", _PROMISE, runs=2, full=12)(scenario)


for _change in CHANGES.values():
    _enter(_change)
