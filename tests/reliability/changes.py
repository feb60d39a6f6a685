"""The changes that are disturbed: what is there before, the command, and what somebody may do instead of it.

CHANGES     name → Change
settle_on   how a change ends where nothing disturbs it
"""

from __future__ import annotations

import functools
import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tests.reliability.command_line import CommandLine
from tests.reliability.disturb import disturbed
from tests.reliability.faults import EndedWrongError
from tests.reliability.proxy import Proxy, Then
from tests.reliability.world import State, World

DIMS = 8
DOCUMENTS = 300
ITEMS = 1_200
Words = tuple[str, ...]


def create(**index: object) -> str:
    """The migration that makes the index `item`."""
    described = {"name": "idx:item", "prefix": "item:", **index}
    fields = {
        "item_id": {"type": "tag", "from": "key"},
        "colour": {"type": "tag", "from": "argument"},
        "label": {"type": "text", "from": "argument"},
        "embedding": {"type": "vector", "dims": DIMS, "m": 16, "ef_construction": 64},
    }
    return f"op.create_index('item', index={described!r}, key='item_id', fields={fields!r})"


CREATE = create()
CREATE_JSON = create(storage="json")
REBUILD = "op.rebuild_index('item', embedding={'m': 24})"
REBUILD_AGAIN = "op.rebuild_index('item', embedding={'m': 32})"
FIELDS = "op.rebuild_index('item', fields={'size': {'type': 'numeric'}}, drop_fields=['label'])"
FLAT = "op.rebuild_index('item', embedding={'algorithm': 'flat'})"
ALTER = "op.alter_index('item', add={'size': {'type': 'numeric'}})"
RENAME = "op.rename_index('item', to='thing', index_name='idx:thing')"
RENAME_ALIAS = "op.rename_index('item', index_name='idx:thing')"
DROP = "op.drop_index('item')"
BACKFILL = f"""fields = {{'meta': {{'type': 'json'}}, 'embedding': {{'type': 'vector', 'dims': {DIMS}}}}}
    index = {{'name': 'idx:tool', 'prefix': 'tool:'}}
    op.create_index('tool', index=index, key='tool_id', fields=fields, publish=False)
    op.backfill_legacy_hash('tool', embeddings_key='legacy_embeddings', metadata_key='legacy_metadata')
    op.publish_index('tool')"""
COMMANDS = """op.execute('SET', 'limit', 20, undo=('SET', 'limit', 10))
    op.run(mark, undo=unmark)"""
FUNCTIONS = '''
def mark(client, progress, cursor):
    """Each document gets a field, which bears repeating."""
    keys = sorted(client.scan_iter("item:*", count=500))
    for place in range(cursor.value or 0, len(keys), 20):
        for key in keys[place:place + 20]:
            client.hset(key, "seen", "yes")
        cursor.save(place + 20)


def unmark(client, progress, cursor):
    for key in client.scan_iter("item:*", count=500):
        client.hdel(key, "seen")
'''


@dataclass(frozen=True)
class Change:
    """`command` is disturbed after `first` of the revisions are applied and `before` was run.

    `instead` is what somebody may run afterwards, other than the command once more; `forward` what makes the
    command's end of that. With `plain` a plain index is there from the beginning, with `hidden` one is made
    over the alias at last; with `withdrawn` the last revision stopped half-way, and its script is gone.
    Without `repeatable` the command refuses where it is done already.
    """

    name: str
    text: str
    bodies: Words
    first: int
    command: Words = ("upgrade",)
    before: tuple[Words, ...] = ()
    instead: tuple[Words, ...] = ()
    forward: Words | None = ("upgrade",)
    plain: bool = False
    hidden: bool = False
    withdrawn: bool = False
    repeatable: bool = True
    storage: str = "hash"

    def set_up(self, world: World) -> None:
        """Bring everything to the point before the command."""
        fill(world, self)
        world.write(*self.bodies, top=FUNCTIONS)
        if self.first:
            world.must("upgrade", f"{self.first:04d}")
        for words in self.before:
            world.must(*words)
        if self.withdrawn:
            _stop_half_way(world, self)
        if self.hidden:
            plain_index(world)


def _stop_half_way(world: World, change: Change) -> None:
    """Kill the upgrade to the last revision while its index is there already, and delete its script."""

    def act(process: CommandLine) -> Then:
        process.kill()
        return Then.LOSE

    at = length(replace(change, withdrawn=False, command=("upgrade",)), ("upgrade",)) * 2 // 3
    with disturbed(world, ("upgrade",), at, act) as run:
        run.process.end()
    sorted((world.project / "migrations").glob("*.py"))[-1].unlink()


def fill(world: World, change: Change) -> None:
    """The documents or legacy hashes that are there from the beginning, the same each time."""
    vectors = np.random.default_rng(7).standard_normal((ITEMS, DIMS)).astype(np.float32)
    pipe = world.client.pipeline(transaction=False)
    if BACKFILL in change.bodies:
        for n in range(ITEMS):
            pipe.hset("legacy_embeddings", f"t{n}", json.dumps(vectors[n].tolist()))
            pipe.hset("legacy_metadata", f"t{n}", json.dumps({"n": n}))
    else:
        for n in range(DOCUMENTS):
            values: dict[str, str | int] = {
                "item_id": f"{n}",
                "colour": "red green blue".split()[n % 3],
                "label": f"thing {n}",
                "size": n,
            }
            if change.storage == "json":
                document = json.dumps({**values, "embedding": vectors[n].tolist()})
                pipe.execute_command("JSON.SET", f"item:{n}", "$", document)
            else:
                pipe.hset(
                    f"item:{n}",
                    mapping={**values, "embedding": vectors[n].tobytes()},  # type: ignore[dict-item]
                )
    pipe.execute()
    if change.plain:
        plain_index(world)


def plain_index(world: World, name: str = "idx:item", m: int = 16) -> None:
    """A plain index as services make one at their start; with M 16 it has the definition of CREATE."""
    world.client.execute_command(
        *("FT.CREATE", name, "ON", "HASH", "PREFIX", 1, "item:", "SCHEMA"),
        *("item_id", "TAG", "colour", "TAG", "label", "TEXT"),
        *("embedding", "VECTOR", "HNSW", 10, "TYPE", "FLOAT32", "DIM", DIMS, "DISTANCE_METRIC", "COSINE"),
        *("M", m, "EF_CONSTRUCTION", 64),
    )


_BASE: Words = ("downgrade", "base")
_TO_1: Words = ("downgrade", "0001")
_TO_2: Words = ("downgrade", "0002")
_BACK: Words = ("rollback", "item")


def _upgrades() -> list[Change]:
    both = (_TO_1, _BACK)
    return [
        Change("create", "create_index over documents", (CREATE,), 0, instead=(_BASE,)),
        Change(
            "create_json",
            "create_index over JSON documents",
            (CREATE_JSON,),
            0,
            instead=(_BASE,),
            storage="json",
        ),
        Change("adopt", "create_index that adopts a plain index", (CREATE,), 0, instead=(_BASE,), plain=True),
        Change("backfill", "backfill: create, copy, verify, publish", (BACKFILL,), 0, instead=(_BASE,)),
        Change("rebuild", "rebuild_index, another M", (CREATE, REBUILD), 1, instead=both),
        Change(
            "rebuild_fields", "rebuild_index, a field more and one less", (CREATE, FIELDS), 1, instead=both
        ),
        Change("rebuild_flat", "rebuild_index, HNSW → FLAT", (CREATE, FLAT), 1, instead=both),
        Change(
            "rebuild_json",
            "rebuild_index over JSON documents",
            (CREATE_JSON, REBUILD),
            1,
            instead=both,
            storage="json",
        ),
        Change(
            "rebuild_adopted",
            "rebuild_index of an adopted plain index",
            (CREATE, REBUILD),
            1,
            instead=both,
            plain=True,
        ),
        Change(
            "rebuild_again",
            "rebuild_index after a rebuild_index",
            (CREATE, REBUILD, REBUILD_AGAIN),
            2,
            instead=(_TO_2, _BACK),
        ),
        Change(
            "rebuild_renamed",
            "rebuild_index after a rename_index",
            (CREATE, RENAME_ALIAS, REBUILD),
            2,
            instead=(_TO_2,),
        ),
        Change(
            "rebuild_aliases",
            "rebuild_index of an index with further aliases",
            (create(aliases=["idx:old"]), REBUILD),
            1,
            instead=both,
        ),
        Change("alter", "alter_index", (CREATE, ALTER), 1, instead=(_TO_1,)),
        Change("rename", "rename_index, spec and alias", (CREATE, RENAME), 1, instead=(_TO_1,)),
        Change("rename_alias", "rename_index, alias only", (CREATE, RENAME_ALIAS), 1, instead=(_TO_1,)),
        Change("drop", "drop_index", (CREATE, DROP), 1, instead=(_TO_1,)),
        Change(
            "drop_rebuilt", "drop_index after a rebuild_index", (CREATE, REBUILD, DROP), 2, instead=(_TO_2,)
        ),
        Change(
            "op_rollback",
            "the operation rollback",
            (CREATE, REBUILD, "op.rollback('item')"),
            2,
            instead=(_TO_2,),
        ),
        Change(
            "op_complete",
            "the operation complete",
            (CREATE, REBUILD, "op.complete('item')"),
            2,
            instead=(_TO_2,),
        ),
        Change("commands", "execute and run", (CREATE, COMMANDS), 1, instead=(_TO_1,)),
        Change(
            "several",
            "four revisions in one upgrade",
            (CREATE, REBUILD, ALTER, RENAME),
            0,
            instead=(_BASE, _TO_2),
        ),
    ]


def _downgrades() -> list[Change]:
    return [
        replace(
            item,
            name=f"downgrade_{item.name}",
            text=f"downgrade of {item.text}",
            first=len(item.bodies),
            command=item.instead[0],
            instead=(("upgrade",),),
            forward=item.instead[0],
        )
        for item in _upgrades()
        if item.name not in ("rebuild_flat", "create_json", "several")
    ]


def _others() -> list[Change]:
    bodies = (CREATE, REBUILD)
    up: Words = ("upgrade",)
    done: Words = ("complete", "item")
    release: Words = ("upgrade", "--release")
    purge: Words = ("stamp", "0002", "--purge")
    return [
        Change(
            "rollback",
            "the command rollback",
            bodies,
            2,
            _BACK,
            instead=(up,),
            forward=None,
            repeatable=False,
        ),
        Change("complete", "the command complete", bodies, 2, done, instead=(_BACK,), forward=None),
        Change("release", "upgrade --release", bodies, 2, release, before=(_BACK,), instead=(_TO_1,)),
        Change("downgrade_rolled_back", "downgrade after a rollback", bodies, 2, _TO_1, before=(_BACK,)),
        Change(
            *("downgrade_completed", "downgrade of rebuild_index after complete", bodies, 2, _TO_1),
            before=(done,),
            instead=(up,),
            forward=_TO_1,
        ),
        Change("heal", "heal, where a plain index hides the alias", bodies, 1, ("heal",), hidden=True),
        Change(
            "upgrade_hidden", "rebuild_index, where a plain index hides the alias", bodies, 1, hidden=True
        ),
        Change(
            *("abandon", "abandon, after a rebuild_index whose script was withdrawn", bodies, 1),
            command=("abandon", "0002"),
            withdrawn=True,
            repeatable=False,
        ),
        Change("stamp_purge", "stamp --purge", bodies, 2, purge, instead=(up,), forward=None),
    ]


CHANGES = {item.name: item for item in (*_upgrades(), *_downgrades(), *_others())}


@functools.cache
def settle_on(change: Change, *afterwards: Words, command: bool = True) -> State:
    """How it ends undisturbed: set up, the command unless told otherwise, and what is run `afterwards`."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name, World(0, Path(name)) as world:
        change.set_up(world)
        if command:
            world.must(*change.command)
        for words in afterwards:
            world.run(*words)
        return world.state()


@functools.cache
def length(change: Change, command: Words) -> int:
    """How many commands an undisturbed `command` sends, polls aside."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name, World(0, Path(name)) as world:
        change.set_up(world)
        if command != change.command:
            world.must(*change.command)
        with Proxy(world.server.port) as proxy:
            world.run(*command, url=proxy.url)
            return len(proxy.commands)


def again(world: World, change: Change, *options: str) -> None:
    """Run the change's command once more, to its end.

    Raises:
        EndedWrongError: It fails, other than by saying that it was done already.
    """
    ended = world.run(*change.command, *options)
    if ended.code and (change.repeatable or world.state().against(settle_on(change))):
        raise EndedWrongError(ended.said)


def ends(world: World, change: Change) -> None:
    """Raise EndedWrongError unless everything is as if nothing had happened to the change's command."""
    difference = world.state().against(settle_on(change))
    if difference:
        raise EndedWrongError(difference)


def ends_without_kept(world: World, change: Change) -> None:
    """As `ends`, where an index that is or was to be kept for a rollback may be gone for good."""
    found, wanted = world.state(), settle_on(change)
    surplus = [item for item in found.indexes if item not in wanted.indexes]
    missing = [item for item in wanted.indexes if item not in found.indexes and item[2]]
    same = ("current", "pending", "half-done", "lease", "drift")
    differing = [name for name in same if found.ledger[name] != wanted.ledger[name]]
    if surplus or missing or differing or found.documents != wanted.documents:
        raise EndedWrongError(found.against(wanted))
    stale = found.ledger["owned and gone"] - found.ledger["kept and gone"]
    if stale > wanted.ledger["owned and gone"]:
        raise EndedWrongError(f"the registry still knows {stale} indexes that are gone and not kept either")


def moment(world: World, change: Change, share: float | None = None) -> int:
    """The number of the command at which it happens, drawn from the seed."""
    share = world.share if share is None else share
    return 1 + int(share * length(change, change.command))
