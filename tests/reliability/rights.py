"""Each right of an ACL user missing once: every command that an upgrade was seen to need."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import redis

from tests.reliability.changes import CHANGES, Change, ends
from tests.reliability.faults import EndedWrongError, fault
from tests.reliability.world import World

_NAMES = (
    "backfill",
    "rebuild",
    "alter",
    "rename_alias",
    "drop",
    "downgrade_backfill",
    "rollback",
    "complete",
)
# Without the first nobody gets as far as asking, and the last is sent by `needed` itself.
_NOT_ASKED_FOR = {"auth", "hello", "client|setinfo", "select", "ping", "config|resetstat"}


@functools.cache
def needed() -> tuple[tuple[str, Change], ...]:
    """Every command that `INFO commandstats` counts, those in scripts too, and a change that sends it."""
    found: dict[str, Change] = {}
    for change in map(CHANGES.__getitem__, _NAMES):
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name, World(0, Path(name)) as world:
            change.set_up(world)
            world.client.config_resetstat()
            world.must(*change.command)
            for stat in world.client.info("commandstats"):
                found.setdefault(stat.removeprefix("cmdstat_").lower(), change)
    return tuple(
        (name, change)
        for name, change in sorted(found.items(), key=lambda item: item[0])
        if name not in _NOT_ASKED_FOR
    )


@fault(
    "one right of the ACL user is missing",
    "named before anything is written, or not needed; granted, it ends as with every right",
    runs=4,
    full=50,
)
def one_command_missing(world: World) -> None:
    """One command after the other, from the seed on."""
    missing, change = needed()[world.seed % len(needed())]
    change.set_up(world)
    user = ("ACL", "SETUSER", "migrator", "reset", "on", ">secret", "~*", "&*", "+@all")
    world.client.execute_command(*user, f"-{missing}")
    url = world.server.url.replace("redis://", "redis://migrator:secret@")
    before = world.everything(), world.indexes()
    try:
        ended = world.run(*change.command, url=url)
    finally:
        with redis.Redis.from_url(world.server.url) as client:
            client.execute_command(*user)
    if ended.code == 0:
        ends(world, change)
        return
    if ended.err.count("error:") != 1:
        raise EndedWrongError(f"without {missing}: {ended.said}: more than one line")
    if missing.replace("|", " ").split()[0] not in ended.err.lower():
        raise EndedWrongError(f"without {missing}: {ended.said}: it does not name the right")
    if (world.everything(), world.indexes()) != before:
        raise EndedWrongError(f"without {missing}: {ended.said}, and something was written")
    world.must(*change.command, url=url)
    ends(world, change)


@fault(
    "a key pattern of the ACL user is missing",
    "named before anything is written; granted, it ends as with every right",
    runs=2,
    full=6,
)
def one_pattern_missing(world: World) -> None:
    """The ledger's keys, the registry's, the documents', the legacy hashes'."""
    change = CHANGES["backfill"]
    change.set_up(world)
    patterns = ["~vecmigrate:*", "~tool:*", "~legacy_*", "~idx:tool*"]
    left_out = patterns.pop(world.seed % len(patterns))
    user = ("ACL", "SETUSER", "migrator", "reset", "on", ">secret", "&*", "+@all")
    world.client.execute_command(*user, *patterns)
    url = world.server.url.replace("redis://", "redis://migrator:secret@")
    before = world.everything(), world.indexes()
    ended = world.run(*change.command, url=url)
    if ended.code == 0:
        raise EndedWrongError(f"without {left_out}: {ended.said}")
    if left_out[1:].rstrip("*") not in ended.err:
        raise EndedWrongError(f"without {left_out}: {ended.said}: it does not name the keys")
    if (world.everything(), world.indexes()) != before:
        raise EndedWrongError(f"without {left_out}: {ended.said}, and something was written")
    world.client.execute_command(*user, *patterns, left_out)
    world.must(*change.command, url=url)
    ends(world, change)
