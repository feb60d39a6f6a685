"""Other clients of the same server: what services, operators, other projects and other releases do to us."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable

import redis

from tests.reliability.changes import (
    CHANGES,
    FUNCTIONS,
    REBUILD,
    REBUILD_AGAIN,
    Change,
    create,
    ends,
    ends_without_kept,
    fill,
    moment,
    plain_index,
    settle_on,
)
from tests.reliability.command_line import CommandLine, Ended
from tests.reliability.disturb import disturbed
from tests.reliability.faults import EndedWrongError, fault
from tests.reliability.proxy import Then
from tests.reliability.world import World

_REBUILDS = (
    "rebuild",
    "rebuild_fields",
    "rebuild_flat",
    "rebuild_again",
    "rebuild_adopted",
    "downgrade_rebuild",
)
_MENDED = "named, and mended by upgrade or by the command that the error suggests"
_SUGGESTED = re.compile(r"`vecmigrate ([a-z][^`]*)`")
_PODS = 4


@fault("a client creates a plain index over our alias, at any stage of a rebuild", _MENDED, runs=4, full=40)
def plain_index_over_alias(world: World) -> None:
    """As RedisVL and what is built on it do at the start of each pod."""
    _meanwhile(world, lambda: plain_index(world))


@fault("as before, with another definition than ours", "named, and left as it is", runs=2, full=16)
def other_index_over_alias(world: World) -> None:
    """It may be anybody's, and hold what nobody can make again."""
    _meanwhile(world, lambda: plain_index(world, m=7))


@fault("a client deletes our alias, at any stage of a rebuild", _MENDED, runs=2, full=20)
def alias_deleted(world: World) -> None:
    """FT.ALIASDEL by hand."""
    _meanwhile(world, lambda: world.client.execute_command("FT.ALIASDEL", "idx:item"))


@fault(
    "a client lets our alias lead to an index of its own, at any stage of a rebuild",
    "named, and left as it is until its owner decides",
    runs=2,
    full=20,
)
def alias_moved(world: World) -> None:
    """FT.ALIASUPDATE by hand. The client's index stays, whatever we do."""

    def move() -> None:
        world.client.execute_command("FT.ALIASUPDATE", "idx:item", "theirs")

    _meanwhile(world, move, theirs="theirs")


@fault("a client drops the index behind our alias, at any stage of a rebuild", _MENDED, runs=2, full=20)
def index_dropped(world: World) -> None:
    """FT.DROPINDEX follows aliases."""
    _meanwhile(world, lambda: world.client.execute_command("FT.DROPINDEX", "idx:item"), dropped=True)


@fault("FLUSHDB of database 5, which drops every index, at any stage of a rebuild", _MENDED, runs=2, full=20)
def flushdb_of_another_database(world: World) -> None:
    """Nothing of ours is in that database."""

    def flush() -> None:
        with redis.Redis(port=world.server.port, db=5) as other:
            other.flushdb()

    _meanwhile(world, flush, dropped=True)


@fault("every index gone while nothing is pending (FLUSHDB of database 5)", _MENDED, runs=1, full=4)
def nothing_pending(world: World) -> None:
    """The ledger says "applied", and the next pod would start."""
    change = CHANGES[("create", "rebuild", "alter", "rename_alias")[world.seed % 4]]
    change.set_up(world)
    world.must(*change.command)
    with redis.Redis(port=world.server.port, db=5) as other:
        other.flushdb()
    ended = world.run("upgrade")
    if ended.code == 0 and not world.indexes():
        raise EndedWrongError(f"{ended.said}, and there is no index")
    _mend(world, change, ended, dropped=True)


def _meanwhile(world: World, act: Callable[[], object], *, theirs: str = "", dropped: bool = False) -> None:
    """Let a client act while a rebuild is at a moment drawn from the seed; then the next pod starts."""
    change = CHANGES[_REBUILDS[world.seed % len(_REBUILDS)]]
    change.set_up(world)
    if theirs:
        plain_index(world, theirs, m=5)

    def happen(_process: CommandLine) -> Then:
        # A plain index may be there already, or the alias nowhere: then this client has nothing to do.
        with contextlib.suppress(redis.ResponseError):
            act()
        return Then.PASS

    with disturbed(world, change.command, moment(world, change), happen) as run:
        run.process.end()
    ended = world.run(*change.command, "--wait", "30")
    _mend(world, change, ended, theirs=theirs, dropped=dropped)


def _mend(world: World, change: Change, ended: Ended, *, theirs: str = "", dropped: bool = False) -> None:
    """Do what errors suggest; where a strange index is left alone for good, its owner takes it away."""
    for _ in range(3):
        if ended.code == 0:
            break
        for words in _SUGGESTED.findall(ended.err):
            if not re.search(r"[A-Z]{2}|…", words):
                world.run(*words.split())
        ended = world.run(*change.command, "--wait", "30")
    if ended.code and world.leads_to("idx:item") == "idx:item":
        if "idx:item" not in ended.err:
            raise EndedWrongError(f"{ended.said}: it does not name the index in the way")
        world.client.execute_command("FT.DROPINDEX", "idx:item")
        ended = world.run(*change.command, "--wait", "30")
    if theirs and world.leads_to("idx:item") == theirs:
        # Whom it should lead to only its owner knows; until then it has to be told.
        if theirs not in ended.err + ended.out:
            raise EndedWrongError(f"{ended.said}: it does not say that the alias leads to {theirs!r}")
        world.client.execute_command("FT.ALIASDEL", "idx:item")
        ended = world.run(*change.command, "--wait", "30")
    if ended.code:
        raise EndedWrongError(ended.said)
    if theirs:
        if world.leads_to(theirs) != theirs:
            raise EndedWrongError(f"the client's index {theirs!r} is gone")
        world.client.execute_command("FT.DROPINDEX", theirs)
    (ends_without_kept if dropped else ends)(world, change)


@fault(
    "a second namespace runs the same migrations, at any stage of a rebuild, and takes them back",
    "nothing of the first is dropped, altered or led elsewhere",
    runs=3,
    full=30,
)
def second_namespace(world: World) -> None:
    """As staging that was given production's URL."""
    change = CHANGES[_REBUILDS[world.seed % len(_REBUILDS)]]
    change.set_up(world)
    back = ("downgrade", "base")

    def happen(_process: CommandLine) -> Then:
        world.run("upgrade", namespace="staging")
        if world.random.random() < 0.5:
            world.run(*back, namespace="staging")
        return Then.PASS

    with disturbed(world, change.command, moment(world, change), happen) as run:
        ended = run.process.end()
    if ended.code:
        raise EndedWrongError(ended.said)
    world.run("upgrade", namespace="staging")
    world.run(*back, namespace="staging")
    ends(world, change)


@fault("an older release is deployed", "a warning, exit code 0, nothing is changed", runs=2, full=6)
def older_release(world: World) -> None:
    """Its scripts end before those of the ledger."""
    change = CHANGES[("several", "rebuild", "alter", "rename", "drop", "rebuild_again")[world.seed % 6]]
    change.set_up(world)
    world.must("upgrade")
    newer = sorted((world.project / "migrations").glob("*.py"))[-1]
    text = newer.read_text()
    newer.unlink()
    for _ in range(2):
        ended = world.must("upgrade")
        if newer.name[:4] not in ended.err + ended.out:
            raise EndedWrongError(f"{ended.said}: it does not say which revision it does not know")
    world.must("current")
    world.must("status")
    newer.write_text(text)
    ends(world, change)


@fault(
    "rollback, and then pods that upgrade at their start",
    "it stays rolled back, exit code 0",
    runs=3,
    full=20,
)
def pods_after_rollback(world: World) -> None:
    """Then either `upgrade --release`, or a newer revision."""
    change = CHANGES[("rebuild", "rebuild_json", "rebuild_aliases")[world.seed % 3]]
    change.set_up(world)
    world.must("upgrade")
    world.must("rollback", "item")
    back = settle_on(change, ("rollback", "item"))
    with contextlib.ExitStack() as stack:
        pods = [stack.enter_context(world.start("upgrade", "--wait", "30")) for _ in range(_PODS)]
        ended = [pod.end() for pod in pods]
    for one in ended:
        if one.code:
            raise EndedWrongError(one.said)
    if difference := world.state().against(back):
        raise EndedWrongError(f"after {_PODS} pods: {difference}")
    if world.random.random() < 0.5:
        world.must("upgrade", "--release")
        ends(world, change)
        return
    world.write("op.execute('SET', 'newer', '1')")
    world.must("upgrade")
    current = world.state().ledger["current"]
    if current != ["0003"]:
        raise EndedWrongError(f"after a newer revision status says {current}")


@fault(
    "an alias that somebody else made, named by the spec",
    "it is moved by rebuild, rollback and downgrade, and leads nowhere else",
    runs=2,
    full=6,
)
def alias_of_others(world: World) -> None:
    """Adopted along with a plain index, as a service of old asks by it."""
    aliased = create(aliases=["idx:old"])
    change = Change("aliased", "", (aliased, REBUILD, REBUILD_AGAIN), 0, plain=world.seed % 2 == 0)
    fill(world, change)
    if change.plain:
        world.client.execute_command("FT.ALIASADD", "idx:old", "idx:item")
    world.write(*change.bodies, top=FUNCTIONS)
    for words in (
        ("upgrade", "0001"),
        ("upgrade", "0002"),
        ("upgrade", "0003"),
        ("rollback", "item"),
        ("upgrade", "--release"),
        ("complete", "item"),
        ("downgrade", "0001"),
    ):
        world.must(*words)
        world.settle()
        at = {world.leads_to(alias) for alias in ("idx:item", "idx:old")}
        if len(at) != 1 or None in at:
            raise EndedWrongError(f"after `{' '.join(words)}` the two aliases lead to {at}")
        if messages := world.state().ledger["drift"]:
            raise EndedWrongError(f"after `{' '.join(words)}`: {messages}")
