"""rollback and complete: what to do with the index that a rebuild has replaced."""

from __future__ import annotations

import difflib
import time
from dataclasses import dataclass, replace

from vecmigrate.commands.database import Session, applied_revisions, kept_status
from vecmigrate.commands.locked import locked
from vecmigrate.commands.results import CompleteResult, KeptStatus, RollbackResult
from vecmigrate.errors import OperationError
from vecmigrate.operations import indexes
from vecmigrate.operations.complete import drop_kept
from vecmigrate.operations.kept import Kept
from vecmigrate.operations.registry import IndexRecord
from vecmigrate.runtime.history import History
from vecmigrate.runtime.kept import KeptLedger, read_kept
from vecmigrate.runtime.ledger import LedgerWriter, RevisionRecord, now
from vecmigrate.runtime.registry import Registry, read_indexes
from vecmigrate.runtime.search_server import FencedSearch, index_info
from vecmigrate.search import memory, reply
from vecmigrate.search.introspect import missed
from vecmigrate.search.reply import Info


@dataclass(frozen=True, slots=True)
class _Keeper:
    """What dropping a kept index needs, outside a migration."""

    search: FencedSearch
    kept: KeptLedger
    registry: Registry


def rollback(
    session: Session, name: str | None = None, *, accept_broken_readers: bool = False, wait: float = 0.0
) -> RollbackResult:
    """Let every alias of `name` lead to the index that the last rebuild replaced: one step.

    Without `name` there must be one such index only. The index that is put aside stays, and the revision is
    held: `upgrade` leaves it rolled back until `--release`, or until a newer revision goes on from it.

    Args:
        session: The server.
        name: The spec.
        accept_broken_readers: Go back although queries of the helpers in use would fail then.
        wait: How many seconds to wait for another runner to finish.

    Raises:
        OperationError: Nothing is kept for `name`, the kept index cannot answer now, or queries would fail
            then.
        LockedError: Another runner holds the lease for longer than `wait` seconds.
    """
    history = session.history()
    with locked(session, history, "rollback", wait, touches_indexes=True) as writer:
        kept = list(read_kept(session.ledger).values())
        live = {record.physical for record in read_indexes(session.ledger).values()}
        item = _to_roll_back(kept, name, live)
        began = time.monotonic()
        put_aside, otherwise = _roll_back(
            session, history, writer, item, accept_broken_readers=accept_broken_readers
        )
        seconds = time.monotonic() - began
    return RollbackResult(
        item.name, item.alias, item.what, put_aside.what, item.by, seconds, tuple(otherwise)
    )


def _roll_back(
    session: Session, history: History, writer: LedgerWriter, item: Kept, *, accept_broken_readers: bool
) -> tuple[Kept, list[str]]:
    client, keys, registry = session.client, writer.keys, Registry(writer)
    record = registry.get(item.name)
    if record is None or record.physical != item.live:
        at = None if record is None else record.physical
        raise OperationError(
            f"index {item.name!r} is {at!r} by the ledger (expected {item.live!r}, which replaced "
            f"{item.what!r})",
            hint="`vecmigrate status` shows what is there",
        )
    info = index_info(client, item.what)
    if info is None or reply.index_name(info) != item.what:
        raise OperationError(
            f"index {item.what!r}, which was kept, is gone (expected it to be there; somebody else dropped "
            "it)",
            hint="`vecmigrate downgrade` builds it anew",
        )
    if reply.is_indexing(info):
        raise OperationError(
            f"index {item.what!r} is being scanned, {reply.percent_indexed(info):.0%} done (expected a "
            "complete one; a server scans anew when it was restarted)",
            hint="wait until it is done",
        )
    revision = session.ledger.revisions().get(item.by)
    if revision is None or revision.status != "applied":
        raise OperationError(
            f"revision {item.by} is {'unknown' if revision is None else revision.status} (expected applied)",
            hint="`vecmigrate upgrade` or `downgrade` ends what was begun",
        )
    _refuse_half_done(session, history, item)
    live = index_info(client, record.physical)
    otherwise = _refuse_what_would_break(session, history, item, info, live, accepted=accept_broken_readers)
    put_aside = Kept(
        what=item.live,
        kind="rolled back",
        name=item.name,
        alias=item.alias,
        live=item.what,
        revision=item.by,
        by=item.by,
        step=item.step,
        since=now(),
        memory=0 if live is None else memory.used_by(live),
        origin=record.origin,
    )
    moved = replace(revision, status="rolled back", step=item.step, finished_at=now())
    step, kept = f"u{item.step}:", KeptLedger(writer)
    back = IndexRecord(item.name, item.what, item.origin, item.revision, _aliases(session, record, item))
    registry.point(
        back,
        kept.stored(put_aside),
        kept.forgotten(item.what),
        ("HSET", keys.steps(item.by), f"{step}status", "rolled back", f"{step}stage", "verify",
         f"{step}physical", item.live),
        writer.stored(moved),
        writer.log_entry("rolled back", item.by, None),
        over_plain=_hidden(session, registry, record),
    )  # fmt: skip  # the words of a command read best on their lines
    return put_aside, otherwise


def _aliases(session: Session, record: IndexRecord, item: Kept) -> tuple[str, ...]:
    """Every alias that the rebuild moved, and the one that it left, as one without an alias does.

    One that is the name of the kept index itself is none.
    """
    info = index_info(session.client, item.alias)
    left = (item.alias,) if info is not None and reply.index_name(info) == item.what else ()
    return tuple(name for name in dict.fromkeys((*left, *record.aliases)) if name != item.what)


def _hidden(session: Session, registry: Registry, record: IndexRecord) -> list[str]:
    """The aliases of `record` that a plain index hides, where its readers miss nothing in ours."""
    hidden = []
    ours = index_info(session.client, record.physical) or {}
    for name in record.aliases:
        info = index_info(session.client, name)
        if info is not None and reply.index_name(info) == name != record.physical:
            registry.require_free(name)
            wrong = missed(ours, info)
            if wrong:
                raise indexes.hiding(name, record.physical, wrong)
            hidden.append(name)
    return hidden


def _refuse_half_done(session: Session, history: History, item: Kept) -> None:
    """Raise OperationError where a half-done revision stands on the rebuild, as upgrade would end it."""
    if item.by not in history.scripts:
        return
    above = history.graph.descendants(item.by)
    for name, record in session.ledger.revisions().items():
        if name in above and record.status in ("running", "partial", "reverting"):
            raise OperationError(
                f"revision {name}, which stands on {item.by}, is half-done: the next `vecmigrate upgrade` "
                "would go on with it, and undo the rollback (expected it applied or taken back)",
                hint=f"`vecmigrate downgrade {item.by}` takes it back; then roll back",
            )


def _refuse_what_would_break(
    session: Session, history: History, item: Kept, before: Info, live: Info | None, *, accepted: bool
) -> list[str]:
    """What readers find otherwise after going back.

    Raises:
        OperationError: A later change would be lost, or all queries of today's helpers would fail.
    """
    records = session.ledger.revisions()
    later = _added_since(history, records, item, before)
    if later:
        raise OperationError(
            f"index {item.what!r} lacks {', '.join(later)}, added after {item.by} replaced it (expected what "
            "is applied to be in it)",
            hint=f"`vecmigrate downgrade` takes both back, in order, down to what {item.by} stands on",
        )
    failing, otherwise = _effects(before, live or {})
    if failing and not accepted:
        raise OperationError(
            f"queries of helpers that were generated for {item.live!r} would fail after the rollback: "
            f"{'; '.join(failing)} (expected an index that answers them)",
            hint="deploy the helpers of the release before first, then `vecmigrate rollback "
            f"{item.name} --accept-broken-readers`",
        )
    return otherwise


def _added_since(history: History, records: dict[str, RevisionRecord], item: Kept, before: Info) -> list[str]:
    """Fields that revisions after the rebuild added, and that the kept index does not have."""
    applied = [name for name in applied_revisions(records) if name in history.scripts]
    if item.by not in history.scripts:
        return []
    then = history.state(item.by).find(item.name)
    today = history.state_of(applied).find(item.name)
    if then is None or today is None:
        return []
    known = {field.attribute for field in then.spec.fields if field.indexed}
    has = {str(attribute["attribute"]) for attribute in before.get("attributes", ())}
    return [
        f"field {field.name!r}"
        for field in today.spec.fields
        if field.indexed and field.attribute not in known and field.attribute not in has
    ]


def _effects(before: Info, live: Info) -> tuple[list[str], list[str]]:
    """What makes every query fail that works on the index `live`, and what readers find otherwise."""
    failing = []
    old = {str(item["attribute"]): item for item in before.get("attributes", ())}
    for item in live.get("attributes", ()):
        name, has = str(item["attribute"]), old.get(str(item["attribute"]))
        if item.get("type") != "VECTOR":
            continue
        if has is None or has.get("type") != "VECTOR":
            failing.append(f"field {name!r} is no vector there")
        elif (has.get("dim"), has.get("data_type")) != (item.get("dim"), item.get("data_type")):
            failing.append(f"field {name!r} takes {has.get('dim')} × {has.get('data_type')} there")
        elif item.get("algorithm") == "HNSW" and has.get("algorithm") == "FLAT":
            failing.append(f"field {name!r} is FLAT there, which refuses the EF_RUNTIME that they send")
    return failing, list(missed(before, live, called="the one before"))


def complete(session: Session, name: str | None = None, *, wait: float = 0.0) -> CompleteResult:
    """Drop what is kept for `name`, or for every index.

    Raises:
        OperationError: There is no index `name`.
        IndexConflictError: An alias that somebody else made leads to it.
        LockedError: Another runner holds the lease for longer than `wait` seconds.
    """
    with locked(session, session.history(), "complete", wait, touches_indexes=True) as writer:
        kept = list(read_kept(session.ledger).values())
        wanted = [item for item in kept if name in (None, item.name)]
        # A run that was cut off at its very end has dropped everything: repeating it is no mistake.
        if name is not None and not wanted and name not in read_indexes(session.ledger):
            raise _nothing_kept(name, kept)
        search = FencedSearch(session.client, writer.lease, session.server)
        keeper = _Keeper(search, KeptLedger(writer), Registry(writer))
        dropped = []
        for item in wanted:
            told = kept_status(session.client, item)
            there = drop_kept(keeper, item)
            dropped.append(told if there else _gone(told))
            log = writer.log_entry(f"complete {item.what}", item.by, None)
            writer.lease.guarded(log, keys=[session.ledger.keys.log])
    return CompleteResult(tuple(dropped))


def _to_roll_back(kept: list[Kept], name: str | None, live: set[str]) -> Kept:
    # Of several, the one that was replaced by what is live.
    ordered = sorted(kept, key=lambda item: item.live in live)
    replaced = {item.name: item for item in ordered if item.kind == "replaced"}
    if name is not None:
        if name not in replaced:
            raise _nothing_kept(name, kept)
        return replaced[name]
    if not replaced:
        raise OperationError(
            "no index is kept (one that a rebuild replaced)",
            hint="`vecmigrate downgrade` builds the old one anew",
        )
    if len(replaced) > 1:
        raise OperationError(
            f"several indexes have one to go back to: {', '.join(sorted(replaced))} (one)",
            hint="name the one that is meant",
        )
    return next(iter(replaced.values()))


def _nothing_kept(name: str, kept: list[Kept]) -> OperationError:
    known = sorted({item.name for item in kept})
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"kept: {', '.join(known) or 'nothing'}"
    return OperationError(
        f"nothing is kept for index {name!r} (the name of a spec that was rebuilt)", hint=hint
    )


def _gone(item: KeptStatus) -> KeptStatus:
    return KeptStatus(
        item.what, item.kind, item.name, item.alias, item.live, item.by, item.since, 0, there=False
    )
