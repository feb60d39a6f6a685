"""Each eviction policy of a server with a limit on its memory."""

from __future__ import annotations

from tests.reliability.changes import CHANGES, ends
from tests.reliability.faults import EndedWrongError, fault
from tests.reliability.world import LEDGER, World

_EVICTING = (
    "allkeys-lru allkeys-lfu allkeys-random volatile-lru volatile-lfu volatile-random volatile-ttl"
).split()
_NAMES = ("backfill", "rebuild", "backfill", "create")
_LIMIT = "1gb"


def _enter(policy: str) -> None:
    def scenario(world: World) -> None:
        change = CHANGES[_NAMES[(world.seed - 1) % len(_NAMES)]]
        change.set_up(world)
        world.client.config_set("maxmemory", _LIMIT)
        world.client.config_set("maxmemory-policy", policy)
        before = world.everything()
        ended = world.run(*change.command)
        if ended.code == 0 and change.name == "backfill":
            raise EndedWrongError(f"{ended.said} (expected: refused, or --allow-eviction)")
        if ended.code == 0:
            ends(world, change)
            return
        if policy not in ended.err:
            raise EndedWrongError(f"{ended.said}: it does not name the policy")
        written = {key for key, value in world.everything().items() if before.get(key) != value}
        # The lease and what says that there is a ledger are no part of the change.
        if any(not key.startswith(LEDGER) or ":revisions" in key or ":steps" in key for key in written):
            raise EndedWrongError(f"{ended.said}, and wrote {', '.join(sorted(written))}")
        world.must(*change.command, "--allow-eviction")
        ends(world, change)

    scenario.__name__ = policy.replace("-", "_")
    promise = "a backfill is refused before it writes anything; with --allow-eviction it is done"
    fault(f"maxmemory-policy {policy}", promise, runs=1, full=4)(scenario)


for _policy in _EVICTING:
    _enter(_policy)


@fault("maxmemory-policy noeviction", "done as without a limit", runs=1, full=4)
def noeviction(world: World) -> None:
    """The one policy under which nothing goes."""
    change = CHANGES[_NAMES[(world.seed - 1) % len(_NAMES)]]
    change.set_up(world)
    world.client.config_set("maxmemory", _LIMIT)
    world.client.config_set("maxmemory-policy", "noeviction")
    world.must(*change.command)
    ends(world, change)
