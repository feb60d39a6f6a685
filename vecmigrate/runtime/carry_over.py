"""A ledger of format 1 as one of format 2: which indexes are ours, from the names that format 1 derived.

Format 1 knew an index by `<index.name>@<revision>`, or by the name of a plain index that was adopted. What is
found here is stored by the first runner that takes the lease; commands that only read use it as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import redis

from vecmigrate.errors import VecmigrateError
from vecmigrate.operations.indexes import aliases
from vecmigrate.operations.kept import Kept
from vecmigrate.operations.registry import Build, IndexRecord, Origin
from vecmigrate.operations.state import IndexState
from vecmigrate.runtime.history import History
from vecmigrate.runtime.kept import read_kept
from vecmigrate.runtime.keys import OWNERS
from vecmigrate.runtime.ledger import FORMAT, Ledger, LedgerWriter, RevisionRecord
from vecmigrate.runtime.records import dump_record
from vecmigrate.runtime.registry import read_indexes, read_owners
from vecmigrate.runtime.search_server import index_info
from vecmigrate.search import reply


@dataclass(frozen=True, slots=True)
class Ours:
    """What belongs to a namespace: an index for each spec, and what was being built."""

    indexes: Mapping[str, IndexRecord]
    builds: Mapping[str, Build]


def indexes_of(ledger: Ledger, history: History) -> dict[str, IndexRecord]:
    """The index of every spec; of a ledger of format 1, what would be carried over."""
    if ledger.format() >= FORMAT:
        return read_indexes(ledger)
    return dict(derive(ledger, history, ledger.revisions()).indexes)


def carry_over(writer: LedgerWriter, history: History) -> None:
    """Make the ledger one of this format, in one step; nothing where it is one already."""
    ledger = writer.ledger
    if ledger.format() >= FORMAT:
        return
    records = ledger.revisions()
    if not records:
        writer.write_format()
        return
    found = derive(ledger, history, records)
    keys = writer.keys
    commands: list[tuple[str | bytes, ...]] = []
    for name, record in found.indexes.items():
        commands.append(("HSET", keys.indexes, name, dump_record(record)))
    for physical, build in found.builds.items():
        commands.append(("HSET", keys.builds, physical, dump_record(build)))
    ours = {record.physical for record in found.indexes.values()} | set(found.builds)
    ours |= {item.what for item in read_kept(ledger).values() if item.kind != "alias"}
    # Nobody owned anything before: what another namespace has claimed by now stays with it.
    commands += [("HSETNX", OWNERS, physical, keys.namespace) for physical in sorted(ours)]
    for revision, stored in records.items():
        script = history.scripts.get(revision)
        if script is not None and stored.down_revision is None:
            commands.append(writer.stored(replace(stored, down_revision=script.down_revision)))
    writer.write_format(*commands)


def derive(ledger: Ledger, history: History, records: Mapping[str, RevisionRecord]) -> Ours:
    """What a ledger of format 1 says by its names, as far as it is on the server."""
    known = {name: record for name, record in records.items() if name in history.scripts}
    kept = read_kept(ledger)
    indexes: dict[str, IndexRecord] = {}
    applied = {name for name, record in known.items() if record.status == "applied"}
    for index in _states(history, known):
        built = {**dict.fromkeys([index.plain, *kept], index.revision), **_noted(ledger, known)}
        record = _record(ledger.client, index, {**built, index.physical: index.revision}, kept)
        if record is None and index.revision in applied:
            # Gone from the server; that it should be there is what the ledger is for.
            record = missing_record(index)
        if record is not None:
            indexes[index.spec.name] = record
    owners = read_owners(ledger.client, [record.physical for record in indexes.values()])
    namespace = ledger.keys.namespace
    indexes = {
        name: record
        for name, record in indexes.items()
        if owners.get(record.physical, namespace) == namespace
    }
    return Ours(indexes, _builds(ledger, history, known, {item.physical for item in indexes.values()}))


def missing_record(index: IndexState) -> IndexRecord:
    """The record of an index that the applied revisions made and the server does not have."""
    names = aliases(index.spec) if index.published else ()
    found = tuple(name for name in names if name != index.physical)
    return IndexRecord(index.spec.name, index.physical, "created", index.revision, found)


def _states(history: History, records: Mapping[str, RevisionRecord]) -> list[IndexState]:
    """Every index of the applied revisions, and those that a half-done one may have made already."""
    found: dict[str, IndexState] = {}
    applied = [name for name, record in records.items() if record.status == "applied"]
    others = [name for name, record in records.items() if record.status != "applied"]
    for revisions in (*([name] for name in others), applied):
        try:
            found.update({item.spec.name: item for item in history.state_of(revisions)} if revisions else {})
        except VecmigrateError:
            # A script that cannot be recorded any more tells nothing here; the command itself says so.
            continue
    return list(found.values())


def _noted(ledger: Ledger, records: Mapping[str, RevisionRecord]) -> dict[str, str]:
    """The physical names that steps noted, of indexes that they built, adopted or found: name → revision."""
    return {
        step.values["physical"]: revision
        for revision in records
        for step in ledger.steps(revision)
        if "physical" in step.values
    }


def _record(
    client: redis.Redis, index: IndexState, names: Mapping[str, str], kept: Mapping[str, Kept]
) -> IndexRecord | None:
    """The record of `index`; `names` are those that it may have, each with the revision that built it."""
    alias = index.spec.index.name
    info = index_info(client, alias)
    behind = None if info is None else reply.index_name(info)
    old_names = tuple(
        item.what for item in kept.values() if item.kind == "alias" and item.name == index.spec.name
    )
    if behind is not None and (behind in names or behind == alias):
        if behind == alias and index_info(client, index.physical) is not None and index.physical != alias:
            # A plain index hides our alias: it is not the index that the ledger is about.
            behind = index.physical
        origin: Origin = "created" if "@" in behind else "adopted"
        leading = () if behind == alias else (alias, *old_names)
        revision = names.get(behind, index.revision)
        return IndexRecord(index.spec.name, behind, origin, revision, leading)
    if index_info(client, index.physical) is not None:
        leading = (alias, *old_names) if index.published else ()
        return IndexRecord(index.spec.name, index.physical, "created", index.revision, leading)
    return None


def _builds(
    ledger: Ledger, history: History, records: Mapping[str, RevisionRecord], live: set[str]
) -> dict[str, Build]:
    """Indexes that half-done revisions were building, or that a rollback put aside for another try."""
    found = {}
    for revision, record in records.items():
        if record.status == "applied":
            continue
        try:
            plan = history.upgrade(revision).recorded
        except VecmigrateError:
            continue
        for number, item in enumerate(plan):
            for index in item.operation.apply(item.state, revision):
                physical = index.physical
                if (
                    index.revision != revision
                    or physical in live
                    or index_info(ledger.client, physical) is None
                ):
                    continue
                if item.operation.target in (index.spec.name,) and physical not in found:
                    found[physical] = Build(physical, index.spec.name, revision, "u", number)
    return found
