"""rollback and complete: what to do with the index that a rebuild has replaced."""

from __future__ import annotations

import difflib
import time

from vecmigrate.commands.database import Session, kept_status
from vecmigrate.commands.results import CompleteResult, KeptStatus, RollbackResult
from vecmigrate.errors import OperationError
from vecmigrate.operations.complete import drop_kept
from vecmigrate.operations.kept import Kept
from vecmigrate.runtime import preflight, rights
from vecmigrate.runtime.kept import KeptLedger, read_kept, roll_back
from vecmigrate.runtime.lease import Lease
from vecmigrate.runtime.ledger import LedgerWriter
from vecmigrate.runtime.search_server import FencedSearch, index_info
from vecmigrate.search import reply


def rollback(session: Session, name: str | None = None, *, wait: float = 0.0) -> RollbackResult:
    """Let the alias of `name` lead to the index that the last rebuild replaced: one alias update.

    Without `name` there must be one such index only. The index that is put aside stays, so that `upgrade`
    can cut over to it again.

    Raises:
        OperationError: Nothing is kept for `name`, or the kept index cannot answer now.
        LockedError: Another runner holds the lease for longer than `wait` seconds.
    """
    _require_rights(session, "rollback")
    with _lease(session, "rollback", wait) as lease:
        kept = list(read_kept(session.ledger).values())
        live = {item.live for item in kept if _live(session, item) == item.live}
        item = _to_roll_back(kept, name, live)
        began = time.monotonic()
        put_aside = roll_back(LedgerWriter(session.ledger, lease), item)
        seconds = time.monotonic() - began
    return RollbackResult(item.name, item.alias, item.what, put_aside.what, item.by, seconds)


def complete(session: Session, name: str | None = None, *, wait: float = 0.0) -> CompleteResult:
    """Drop what is kept for `name`, or for every index.

    Raises:
        OperationError: Nothing is kept for `name`.
        LockedError: Another runner holds the lease for longer than `wait` seconds.
    """
    _require_rights(session, "complete")
    with _lease(session, "complete", wait) as lease:
        kept = list(read_kept(session.ledger).values())
        wanted = [item for item in kept if name in (None, item.name)]
        if name is not None and not wanted:
            raise _nothing_kept(name, kept)
        writer = LedgerWriter(session.ledger, lease)
        search = FencedSearch(session.client, lease, session.server)
        dropped = []
        for item in wanted:
            told = kept_status(session.client, item)
            there = drop_kept(search, KeptLedger(writer), item)
            dropped.append(told if there else _gone(told))
            log = writer.log_entry(f"complete {item.what}", item.by, None)
            lease.guarded(log, keys=[session.ledger.keys.log])
    return CompleteResult(tuple(dropped))


def _require_rights(session: Session, doing: str) -> None:
    kept = read_kept(session.ledger).values()
    names = [name for item in kept for name in (item.what, item.alias, item.live)]
    needs = rights.for_kept(session.ledger.keys.namespace, names)
    preflight.require_rights(session.client, needs, doing)


def _lease(session: Session, command: str, wait: float) -> Lease:
    seconds = session.config.lease_seconds
    return Lease(session.client, session.ledger.keys, seconds=seconds, wait=wait, command=command)


def _live(session: Session, item: Kept) -> str | None:
    info = index_info(session.client, item.alias)
    return None if info is None else reply.index_name(info)


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
