"""Many pods that start at once."""

from __future__ import annotations

import contextlib

from tests.reliability.changes import COMMANDS, CREATE, FUNCTIONS, Change, fill
from tests.reliability.command_line import CommandLine
from tests.reliability.faults import EndedWrongError, fault
from tests.reliability.world import World

RUNNERS = 16
# `0001` makes the index; each round adds the next of these, which leave everything as their number tells.
_ROUNDS = (
    "op.execute('INCR', 'rounds')",
    "op.rebuild_index('item', embedding={{'m': {m}}})",
    "op.alter_index('item', add={{'more{n}': {{'type': 'tag'}}}})",
    COMMANDS,
    "op.rename_index('item', index_name='idx:item{n}')",
)


@fault(
    f"{RUNNERS} upgrades at once, with a fresh revision each round",
    "one applies it, once; the others wait, or exit with 4",
    runs=5,
    full=100,
)
def upgrades(world: World) -> None:
    """A round in a world of its own; which change, and whether pods wait, comes from the seed."""
    fill(world, Change("item", "", (CREATE,), 1))
    world.write(CREATE, top=FUNCTIONS)
    world.must("upgrade")
    body = _ROUNDS[world.seed % len(_ROUNDS)].format(n=world.seed, m=20 + world.seed % 20)
    world.write("op.execute('INCR', 'applied')\n    " + body, top=FUNCTIONS)
    waiting = world.random.random() < 0.5
    words = ("upgrade", "--wait", "90") if waiting else ("upgrade",)
    with contextlib.ExitStack() as stack:
        pods: list[CommandLine] = [stack.enter_context(world.start(*words)) for _ in range(RUNNERS)]
        ended = [pod.end() for pod in pods]
    allowed = (0,) if waiting else (0, 4)
    for one in ended:
        if one.code not in allowed:
            raise EndedWrongError(f"of {RUNNERS}: {one.said}")
    times = int(world.client.get("applied") or 0)
    if times != 1:
        raise EndedWrongError(f"the revision was carried out {times} times")
    appliers = sum("applied 0002" in one.out for one in ended)
    if appliers != 1:
        raise EndedWrongError(f"{appliers} of {RUNNERS} say that they applied it")
    ledger = world.state().ledger
    if ledger["current"] != ["0002"] or ledger["half-done"] or ledger["drift"] or ledger["lease"]:
        raise EndedWrongError(f"status: {ledger}")
