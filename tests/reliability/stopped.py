"""Runners that stand still for longer than their lease lasts, and wake up when another has taken over."""

from __future__ import annotations

from tests.reliability.changes import CHANGES, again, ends, length
from tests.reliability.command_line import CommandLine
from tests.reliability.disturb import disturbed
from tests.reliability.faults import EndedWrongError, MissedError, fault
from tests.reliability.proxy import Then
from tests.reliability.world import World, wait_until
from vecmigrate.runtime.keys import LedgerKeys

_LEASE = LedgerKeys("default").lease

_NAMES = (
    "create backfill rebuild rebuild_fields alter rename drop commands several "
    "rollback complete downgrade_backfill downgrade_rebuild downgrade_drop downgrade_rename"
).split()


@fault(
    "runner stopped past its lease (SIGSTOP), another takes over, the first wakes up (SIGCONT)",
    "the first writes nothing any more, not even what was on its way, and exits with 4",
    runs=5,
    full=40,
    lease_seconds=1,
)
def taken_over(world: World) -> None:
    """The command at which it stopped is still on its way, and arrives after all is over."""
    change = CHANGES[_NAMES[world.seed % len(_NAMES)]]
    change.set_up(world)

    def act(process: CommandLine) -> Then:
        process.stop()
        return Then.STALL

    # The first commands only connect and look; from the lease on there is something to lose.
    at = 1 + int(world.share * length(change, change.command))
    with disturbed(world, change.command, at, act) as run:
        first = run.process
        wait_until(lambda: first.stopped or not first.running, "the first runner is stopped")
        # Before it has the lease, or after it gave it back, there is nothing that another could take over.
        if not first.running or world.client.hget(_LEASE, "pid") != str(first.pid).encode():
            first.wake()
            run.proxy.flow()
            first.end()
            raise MissedError
        try:
            again(world, change, "--wait", "30")
            ends(world, change)
            before = world.everything()
        finally:
            first.wake()
        run.proxy.flow()
        ended = first.end()
        if ended.code not in (0, 4):
            raise EndedWrongError(ended.said)
        after = world.everything()
        changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
        if changed:
            raise EndedWrongError(f"{ended.said}, and changed {', '.join(sorted(changed)[:3])}")
    ends(world, change)
