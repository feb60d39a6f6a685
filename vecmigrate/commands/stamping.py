"""`stamp` and `abandon`: what the ledger says, changed without running a migration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from vecmigrate.commands.database import Session, applied_revisions, current_revisions
from vecmigrate.commands.locked import locked
from vecmigrate.commands.results import StampResult
from vecmigrate.errors import HistoryAlteredError, IndexConflictError, OperationError, RevisionError
from vecmigrate.operations import indexes
from vecmigrate.operations.registry import IndexRecord
from vecmigrate.operations.state import IndexState, State
from vecmigrate.runtime.carry_over import missing_record
from vecmigrate.runtime.history import History
from vecmigrate.runtime.kept import KeptLedger, read_kept
from vecmigrate.runtime.keys import OWNERS
from vecmigrate.runtime.ledger import LedgerWriter, RevisionRecord, now
from vecmigrate.runtime.records import dump_record
from vecmigrate.runtime.registry import Registry, read_indexes, read_owners
from vecmigrate.runtime.search_server import index_info
from vecmigrate.search import ddl, reply

Words = tuple[str | bytes, ...]


@dataclass(frozen=True, slots=True)
class AbandonResult:
    """Of abandon: the revision, what was dropped, which indexes are live again, and what stays."""

    revision: str
    dropped: tuple[str, ...]
    restored: tuple[str, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON shows it."""
        return asdict(self)


def stamp(session: Session, revision: str, *, purge: bool = False, wait: float = 0.0) -> StampResult:
    """Make the ledger say that the database is at `revision`, without running anything.

    An index that is live under the name that a spec has at that revision is taken for the index of that spec.
    With `purge` every entry is removed first, those of scripts that are gone included. All is one step.

    Raises:
        HistoryAlteredError: The ledger has a revision without a script, and `purge` is false.
        IndexConflictError: An index belongs to another namespace.
    """
    history = session.history()
    with locked(session, history, "stamp", wait) as writer:
        records = session.ledger.revisions()
        if not purge:
            _require_scripts(history, records)
        known = [name for name in records if name in history.scripts]
        wanted = history.graph.resolve(revision, known)
        target = set(wanted) | history.graph.ancestors(*wanted)
        # Other branches stay as they are.
        above = history.graph.descendants(*wanted) if wanted else set(records)
        doomed = [name for name in records if purge or name in above]
        commands: list[Words] = []
        for name in doomed:
            commands += writer.forgetting(name, "purged" if purge else "stamped away")
        added = []
        for name in history.graph.topological():
            if name in target and (purge or name not in records or records[name].status != "applied"):
                script = history.scripts[name]
                record = RevisionRecord(
                    name, "applied", script.checksum, script.message, now(), now(), 0.0, by="stamp",
                    down_revision=script.down_revision,
                )  # fmt: skip  # the fields read best in one go
                commands += [writer.stored(record), writer.log_entry("stamped", name, None)]
                added.append(name)
        left = [name for name in applied_revisions(records) if name not in doomed and name in history.scripts]
        commands += _claims(session, history, {*target, *left}, purge=purge)
        if commands:
            keys = writer.keys
            writer.lease.guarded(
                *commands, keys=[keys.revisions, keys.log, keys.indexes, keys.builds, keys.kept, OWNERS]
            )
        records = session.ledger.revisions()
    removed = tuple(name for name in doomed if name not in target)
    return StampResult(current_revisions(history, records), tuple(added), removed)


def _require_scripts(history: History, records: Mapping[str, RevisionRecord]) -> None:
    history.check_unaltered({name: item for name, item in records.items() if name not in history.scripts})
    ahead = [name for name in records if name not in history.scripts]
    if ahead:
        raise HistoryAlteredError(
            f"the ledger is ahead: no script here has {', '.join(ahead)} (expected a script for each "
            "revision)",
            hint="stamp from the release that has it",
        )


def _claims(session: Session, history: History, revisions: set[str], *, purge: bool) -> list[Words]:
    """The commands that record the index of each spec of the state at `revisions`, as it is on the server."""
    keys, client = session.ledger.keys, session.client
    before = read_indexes(session.ledger)
    state = {item.spec.name: item for item in history.state_of(revisions)} if revisions else {}
    commands: list[Words] = []
    for name, gone in before.items() if purge else ():
        if name not in state:
            commands += [("HDEL", keys.indexes, name), ("HDEL", OWNERS, gone.physical)]
    for name, index in state.items():
        record = before.get(name)
        if record is not None and index_info(client, record.physical) is not None:
            if record.aliases or not index.published or record.physical == index.spec.index.name:
                continue
            claimed = replace(record, aliases=indexes.aliases(index.spec))
        else:
            claimed = _found(session, index) or missing_record(index)
        owner = read_owners(client, [claimed.physical]).get(claimed.physical)
        if owner not in (None, keys.namespace):
            raise IndexConflictError(
                f"index {claimed.physical!r} of spec {name!r} belongs to namespace {owner!r} (expected "
                f"{keys.namespace!r}); nothing was stamped",
                hint="services that share a Redis need a `namespace` and index names of their own",
            )
        # The same index under the name that its spec had before.
        commands += [
            ("HDEL", keys.indexes, other)
            for other, stale in before.items()
            if other not in state and stale.physical == claimed.physical
        ]
        commands += [
            ("HSET", keys.indexes, name, dump_record(claimed)),
            ("HSET", OWNERS, claimed.physical, keys.namespace),
        ]
    return commands


def _found(session: Session, index: IndexState) -> IndexRecord | None:
    """The index that is live under the name that `index` has."""
    info = index_info(session.client, index.spec.index.name)
    if info is None and (info := index_info(session.client, index.physical)) is None:
        return None
    physical = reply.index_name(info)
    names = indexes.aliases(index.spec) if index.published else ()
    origin = "created" if physical == index.physical != index.spec.index.name else "adopted"
    return IndexRecord(
        index.spec.name,
        physical,
        "created" if origin == "created" else "adopted",
        index.revision,
        tuple(name for name in names if name != physical),
    )


def abandon(session: Session, revision: str, *, wait: float = 0.0) -> AbandonResult:
    """Clean up after a revision that stopped half-way, or was rolled back, and whose script is gone.

    What it was building is dropped, and an index that it replaced is live again. Documents that it wrote
    stay.

    Raises:
        RevisionError: The ledger does not have it.
        OperationError: It has a script, or was applied: there are other ways back.
    """
    history = session.history()
    with locked(session, history, "abandon", wait, touches_indexes=True) as writer:
        record = session.ledger.revisions().get(revision)
        if record is None:
            raise RevisionError(
                f"the ledger has no revision {revision!r}", hint="`vecmigrate status` lists what it has"
            )
        if revision in history.scripts:
            raise OperationError(
                f"revision {revision} has a script (expected one that was withdrawn)",
                hint="`vecmigrate upgrade` ends it, or `vecmigrate downgrade` takes it back",
            )
        if record.status == "applied":
            raise OperationError(
                f"revision {revision} is applied, and not half-done (expected one that stopped half-way)",
                hint="a release that has its script can downgrade it",
            )
        return _cleaned(session, writer, history, revision)


def _cleaned(session: Session, writer: LedgerWriter, history: History, revision: str) -> AbandonResult:
    registry = Registry(writer, revision=revision)
    dropped, restored, notes = [], [], []
    aside = [item for item in read_kept(session.ledger).values() if item.by == revision]
    for item in aside:
        live = registry.get(item.name)
        if item.kind == "replaced" and live is not None and live.physical == item.live:
            back = replace(live, physical=item.what, origin=item.origin, revision=item.revision)
            registry.point(back, ("HDEL", writer.keys.kept, item.what), superseded=live.physical)
            restored.append(item.what)
        elif item.kind == "rolled back" and registry.drop(item.what):
            dropped.append(item.what)
    dropped += registry.drop_unfinished()
    notes += _as_before(session, registry, history, revision, dropped)
    for item in aside:
        if item.kind == "alias":
            KeptLedger(writer).forget(item.what)
    written = sum(
        int(step.values.get("done", 0)) for step in session.ledger.steps(revision) if step.direction == "u"
    )
    if written:
        notes.append(f"{written:,} documents that it wrote stay: without its script nobody knows where")
    writer.forget(revision, "abandoned")
    return AbandonResult(revision, tuple(dropped), tuple(restored), tuple(notes))


def _as_before(
    session: Session, registry: Registry, history: History, revision: str, dropped: list[str]
) -> list[str]:
    """Give each index the names that it had before `revision`, and drop those that it made; what to say."""
    applied = applied_revisions(session.ledger.revisions())
    if any(name not in history.scripts for name in applied):
        return ["what it renamed stays so: the ledger is ahead of the scripts here"]
    state = history.state_of(applied) if applied else State()
    known = {item.spec.name for item in state}
    notes = []
    for index in state:
        name = index.spec.name
        found = registry.all()
        record = found.get(name)
        if record is None:
            renamed = [item for item in found.values() if item.name not in known and _answers(item, index)]
            record = _renamed_back(session, registry, renamed[0], name) if renamed else None
        if record is None:
            registry.put(missing_record(index))
            notes.append(f"the index of {name!r} is gone; `vecmigrate heal` builds it anew")
            continue
        if record.revision == revision:
            record = replace(record, revision=index.revision)
            notes.append(
                f"{record.physical} stays live, as what it replaced is gone; `vecmigrate drift` says how it "
                "differs"
            )
        _named_as_before(session, registry, index, record, revision)
    for record in registry.all().values():
        if record.name not in known and record.revision == revision:
            if record.origin == "adopted":
                registry.release(record.name)
            elif registry.drop(record.physical, along=record.aliases):
                dropped.append(record.physical)
    return notes


def _answers(record: IndexRecord, index: IndexState) -> bool:
    return record.physical == index.physical or index.spec.index.name in (record.physical, *record.aliases)


def _renamed_back(session: Session, registry: Registry, record: IndexRecord, name: str) -> IndexRecord:
    key = session.ledger.keys.kept
    aside = [item for item in read_kept(session.ledger).values() if item.name == record.name]
    moved = [("HSET", key, item.what, dump_record(replace(item, name=name))) for item in aside]
    return registry.rename(record, name, *moved)


def _named_as_before(
    session: Session, registry: Registry, index: IndexState, record: IndexRecord, revision: str
) -> None:
    spec = index.spec
    old_names = [item for item in read_kept(session.ledger).values() if item.kind == "alias"]
    new = {item.alias for item in old_names if item.name == spec.name and item.by == revision}
    names: tuple[str, ...] = ()
    if index.published:
        # Names that nobody here knows of stay, except where the spec lists all of them.
        others = record.aliases if spec.index.aliases is None else ()
        older = [item.what for item in old_names if item.name == spec.name and item.by != revision]
        listed = indexes.aliases(spec, [item for item in others if item not in new], older)
        names = tuple(item for item in listed if item != record.physical)
    gone = [item for item in record.aliases if item not in names]
    gone = [item for item in gone if _behind(session, item) == record.physical]
    changed, deleted = replace(record, aliases=names), [ddl.ft_alias_del(item) for item in gone]
    if _behind(session, record.physical) is None:
        registry.put(changed)
    else:
        registry.point(changed, *deleted)


def _behind(session: Session, name: str) -> str | None:
    info = index_info(session.client, name)
    return None if info is None else reply.index_name(info)
