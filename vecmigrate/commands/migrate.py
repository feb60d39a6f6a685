"""`upgrade` and `downgrade`: the migrations, run against a server."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import redis

from vecmigrate.commands.database import (
    Session,
    applied_revisions,
    current_revisions,
    parse_memory,
    parse_reject_limit,
)
from vecmigrate.commands.healing import MENDED_BY_UPGRADE, Mended, mend, refuse_gone
from vecmigrate.commands.locked import locked, told
from vecmigrate.commands.results import PlannedRevision, PlannedStep, UpgradeResult
from vecmigrate.errors import ConfigError, HistoryAlteredError, OperationError, RevisionError
from vecmigrate.operations.alter_index import AlterIndex
from vecmigrate.operations.base import Operation, RunOptions, Verify
from vecmigrate.operations.progress import Guarded, Progress, Silent
from vecmigrate.runtime.carry_over import indexes_of
from vecmigrate.runtime.history import History, Plan
from vecmigrate.runtime.kept import read_kept
from vecmigrate.runtime.ledger import LedgerWriter, RevisionRecord
from vecmigrate.runtime.look import look
from vecmigrate.runtime.registry import read_indexes
from vecmigrate.runtime.runner import RevisionOutcome, Runner, outline
from vecmigrate.runtime.search_server import infos
from vecmigrate.spec.implied import attribute_of


def upgrade(  # one parameter for each option
    session: Session,
    revision: str = "head",
    *,
    dry_run: bool = False,
    wait: float = 0.0,
    accept_changed: bool = False,
    release: bool = False,
    max_rejects: str | None = None,
    max_memory: str | None = None,
    verify: Verify = "recall",
    min_recall: float | None = None,
    yes: bool = False,
    max_deletes: str | None = None,
    allow_eviction: bool = False,
    max_rate: float | None = None,
    max_latency: float | None = None,
    progress: Progress | None = None,
) -> UpgradeResult:
    """Apply what is pending up to `revision`; a revision that stopped half-way goes on where it stopped.

    Then every index is looked at: an alias that is hidden or gone is mended, an index that is gone is an
    error. What was rolled back stays so, unless `release` says otherwise or a newer revision goes on from it.
    A ledger that is ahead of the scripts here is left as it is.

    `max_memory` (such as `2gb`) bounds what the server may use while a rebuilt index is there beside the
    old one; `verify` says how thoroughly it is looked at, `min_recall` what recall@10 it must reach.
    Documents are deleted only with `yes`. `max_deletes` (`10` or `2.5%`) bounds how many documents the
    verifying pass of a backfill may remove; `max_rate` (items a second) and `max_latency` (milliseconds by
    which others are slowed down) hold it back.

    Raises:
        HistoryAlteredError: An applied script was changed, or a revision is not of these scripts.
        LockedError: Another runner holds the lease for longer than `wait` seconds.
        PartialError: A step failed. The ledger knows which, and how far it came.
        MemoryLimitError: A second index does not fit.
        VerificationError: A rebuilt index failed a check; the alias is where it was.
        MissingIndexError: An index that the ledger calls applied is gone.
    """
    options = RunOptions(
        max_rejects=parse_reject_limit(max_rejects),
        max_memory=parse_memory(max_memory, session.client),
        verify=verify,
        min_recall=min_recall,
        yes=yes,
        max_deletes=parse_reject_limit(max_deletes, "deletes"),
        allow_eviction=allow_eviction,
        max_rate=max_rate,
        max_latency=max_latency,
    )
    history = session.history()
    if session.variables.given:
        history.check_variables()
    records = session.ledger.revisions()
    changed = history.changed(records)
    accepting = changed if accept_changed else []
    unchanged = {name: record for name, record in records.items() if name not in accepting}
    ahead = history.check_unaltered(unchanged, indexes=read_indexes(session.ledger) if changed else ())
    path, held = _path(history, records, revision, release=release)
    if path:
        _refuse_ahead(records, ahead)
        history.check_variables()
    result = UpgradeResult("upgrade", current_revisions(history, records), ahead=ahead, held=held)
    if dry_run:
        planned = _planned(history, path, "upgrade")
        return replace(result, planned=planned, dry_run=True, accepted=tuple(accepting))
    outcomes: list[RevisionOutcome] = []
    accepted: tuple[str, ...] = ()
    if path or changed:
        plans = [history.upgrade(name) for name in path]
        with locked(session, history, "upgrade", wait, plans=plans) as writer:
            # Read again: another runner may have been at work until now.
            records = session.ledger.revisions()
            if accept_changed:
                accepted = _accept(history, records, writer)
                records = session.ledger.revisions()
            ahead = history.check_unaltered(records)
            path, held = _path(history, records, revision, release=release)
            _refuse_lost_fields(session, history, records, path)
            options = replace(options, left_out=_left_out(history, records, path))
            runner = Runner(
                session.client, session.server, session.ledger, history, writer.lease,
                Silent() if progress is None else Guarded(progress), options,
            )  # fmt: skip  # the fields read best in one go
            if path:
                _refuse_ahead(records, ahead)
            _refuse_to_delete([history.upgrade(name) for name in path], options)
            for name in path:
                outcomes.append(runner.upgrade(name))
        records = session.ledger.revisions()
        result = replace(result, current=current_revisions(history, records))
    mended = _look(session, history, wait, progress)
    return replace(
        result, revisions=tuple(outcomes), accepted=accepted, ahead=ahead, held=held, mended=tuple(mended[0]),
        warnings=tuple(mended[1]),
    )  # fmt: skip  # the fields read best in one go


def downgrade(
    session: Session,
    revision: str,
    *,
    dry_run: bool = False,
    wait: float = 0.0,
    max_memory: str | None = None,
    verify: Verify = "recall",
    min_recall: float | None = None,
    yes: bool = False,
    max_rate: float | None = None,
    max_latency: float | None = None,
    progress: Progress | None = None,
) -> UpgradeResult:
    """Take back what is applied above `revision`, the newest first; the options are those of upgrade.

    Then every index is looked at, as upgrade does.

    Raises:
        HistoryAlteredError: As upgrade; also where the ledger is ahead of the scripts.
        LockedError, PartialError, MissingIndexError: As upgrade.
    """
    limit = parse_memory(max_memory, session.client)
    options = RunOptions(
        max_memory=limit,
        verify=verify,
        min_recall=min_recall,
        yes=yes,
        max_rate=max_rate,
        max_latency=max_latency,
    )
    history = session.history()
    history.check_variables()
    records = session.ledger.revisions()
    _refuse_to_go_back(history.check_unaltered(records))
    path = history.graph.downgrade_path(list(records), revision)
    for name in path:
        # What has no way back further down is told before anything is taken back.
        history.downgrade(name)
    if not path:
        _refuse_half_done(history, records, revision)
    result = UpgradeResult("downgrade", current_revisions(history, records), dry_run=dry_run)
    if dry_run:
        return replace(result, planned=_planned(history, path, "downgrade"))
    outcomes: list[RevisionOutcome] = []
    if path:
        plans = [history.downgrade(name) for name in path]
        with locked(session, history, "downgrade", wait, plans=plans) as writer:
            records = session.ledger.revisions()
            _refuse_to_go_back(history.check_unaltered(records))
            runner = Runner(
                session.client, session.server, session.ledger, history, writer.lease,
                Silent() if progress is None else Guarded(progress), options,
            )  # fmt: skip  # the fields read best in one go
            path = history.graph.downgrade_path(list(records), revision)
            _refuse_to_delete([history.downgrade(name) for name in path], options)
            for name in path:
                outcomes.append(runner.downgrade(name))
        records = session.ledger.revisions()
        result = replace(result, current=current_revisions(history, records), revisions=tuple(outcomes))
    mended, warnings = _look(session, history, wait, progress)
    return replace(result, mended=tuple(mended), warnings=tuple(warnings))


def _path(
    history: History, records: Mapping[str, RevisionRecord], revision: str, *, release: bool
) -> tuple[list[str], tuple[str, ...]]:
    """What has to be applied, and what of it stays rolled back."""
    known = [name for name in applied_revisions(records) if name in history.scripts]
    path = history.graph.upgrade_path(known, revision)
    rolled_back = {name for name in path if name in records and records[name].status == "rolled back"}
    if release or not rolled_back:
        return path, ()
    newer = [name for name in path if name not in rolled_back]
    # A newer revision that goes on from it takes it along.
    held = rolled_back - history.graph.ancestors(*newer) if newer else rolled_back
    return [name for name in path if name not in held], history.graph.ordered(held)


def _refuse_lost_fields(
    session: Session, history: History, records: Mapping[str, RevisionRecord], path: Collection[str]
) -> None:
    """Raise OperationError where a rebuild that was rolled back would come again without a later field."""
    applied = set(applied_revisions(records))
    aside = [item for item in read_kept(session.ledger).values() if item.kind == "rolled back"]
    for name in path:
        later = [item for item in history.graph.ordered(history.graph.descendants(name)) if item in applied]
        rebuilt = {
            item.operation.target for item in history.upgrade(name).recorded if _rebuilds(item.operation)
        }
        for newer in later:
            for step in history.upgrade(newer).recorded:
                operation = step.operation
                if not isinstance(operation, AlterIndex) or operation.target not in rebuilt:
                    continue
                put_aside = [item.what for item in aside if (item.name, item.by) == (operation.target, name)]
                has = _fields(session.client, put_aside)
                lost = {name for name, body in operation.add.items() if attribute_of(name, body) not in has}
                if lost:
                    raise OperationError(
                        f"revision {name} would build index {operation.target!r} without field "
                        f"{', '.join(sorted(lost))}, which {newer} added since (expected every later change "
                        "in it)",
                        hint=f"`vecmigrate downgrade` takes both back, down to what {name} stands on; then "
                        "upgrade",
                    )


def _rebuilds(operation: Operation) -> bool:
    return operation.kind == "rebuild_index"


def _fields(client: redis.Redis, names: Collection[str]) -> set[str]:
    infos_there = infos(client, list(names)) if names else {}
    return {str(item["attribute"]) for info in infos_there.values() for item in info.get("attributes", ())}


def _left_out(
    history: History, records: Mapping[str, RevisionRecord], path: list[str]
) -> frozenset[tuple[str, int]]:
    """The rebuilds in `path` that were rolled back, of an index that is rebuilt or dropped right after."""
    steps = [
        (name, number, item.operation)
        for name in path
        for number, item in enumerate(history.upgrade(name).recorded)
    ]
    found = set()
    for place, (name, number, operation) in enumerate(steps):
        held = name in records and records[name].status == "rolled back"
        later = (other for *_, other in steps[place + 1 :] if other.target == operation.target)
        following = next(later, None)
        again = following is not None and following.kind in ("rebuild_index", "drop_index")
        if held and again and _rebuilds(operation):
            found.add((name, number))
    return frozenset(found)


def _look(
    session: Session, history: History, wait: float, progress: Progress | None
) -> tuple[list[Mended], list[str]]:
    """Look at every index once more, and mend what needs nobody to decide."""
    records = indexes_of(session.ledger, history)
    faults = look(session.client, records)
    refuse_gone(faults)
    if not any(fault.kind in MENDED_BY_UPGRADE for fault in faults):
        return [], [str(fault) for fault in faults]
    with locked(session, history, "heal", wait, touches_indexes=True) as writer:
        records = read_indexes(session.ledger)
        mended = mend(session, writer, history, records, kinds=MENDED_BY_UPGRADE, progress=progress)
    return mended, [str(fault) for fault in look(session.client, records)]


def _refuse_ahead(records: Mapping[str, RevisionRecord], ahead: Collection[str]) -> None:
    """Where the ledger is ahead, nothing is applied beside what is there: nobody here knows what that is."""
    if not ahead:
        return
    unfinished = [name for name in ahead if records[name].status != "applied"]
    if unfinished:
        raise HistoryAlteredError(
            f"revision {unfinished[0]} is {records[unfinished[0]].status}, and no script here has it "
            "(expected it to be finished before anything else is applied)",
            hint=f"bring its script back, or `vecmigrate abandon {unfinished[0]}` cleans up after it",
        )
    raise HistoryAlteredError(
        f"{told(list(ahead))} (expected nothing else to apply)",
        hint="upgrade from a release that has all of these scripts",
    )


def _refuse_to_go_back(ahead: Collection[str]) -> None:
    if ahead:
        raise HistoryAlteredError(
            f"the ledger is ahead: no script here has {', '.join(ahead)} (expected every script that is to "
            "be taken back)",
            hint="downgrade from the release that has it; `vecmigrate abandon` cleans up after one that "
            "stopped half-way",
        )


def _refuse_half_done(history: History, records: Mapping[str, RevisionRecord], revision: str) -> None:
    """Raise RevisionError where what is to be gone back to is not finished itself."""
    for name in history.graph.resolve(revision, list(records)):
        record = records.get(name)
        if record is not None and record.status in ("running", "partial", "reverting"):
            below = ", ".join(history.graph.parents(name)) or "base"
            raise RevisionError(
                f"revision {name} is half-done, so nothing can be downgraded to it (expected an applied one)",
                hint=f"`vecmigrate upgrade` ends it, and `vecmigrate downgrade {below}` takes it back",
            )


def _refuse_to_delete(plans: list[Plan], options: RunOptions) -> None:
    for plan in plans:
        for item in plan.recorded:
            if item.operation.deletes_documents and not options.yes:
                raise ConfigError(
                    f"revision {plan.script.revision} deletes the documents of index "
                    f"{item.operation.target!r} ({item.operation.title}, documents=True); nothing was done",
                    hint="say --yes if that is what you want: nothing brings them back",
                )


def _planned(history: History, path: list[str], direction: str) -> tuple[PlannedRevision, ...]:
    planned = []
    for name in path:
        plan = history.upgrade(name) if direction == "upgrade" else history.downgrade(name)
        steps = tuple(PlannedStep(title, commands) for title, commands in outline(plan))
        planned.append(PlannedRevision(name, plan.script.message, steps))
    return tuple(planned)


def _accept(history: History, records: Mapping[str, RevisionRecord], writer: LedgerWriter) -> tuple[str, ...]:
    changed = history.changed(records)
    for name in changed:
        writer.put(replace(records[name], checksum=history.scripts[name].checksum), "change accepted")
    return tuple(changed)
