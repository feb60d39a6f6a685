"""What is kept after a cut-over, in the ledger: reading it, changing it, and going back to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import orjson
import redis

from vecmigrate.errors import OperationError
from vecmigrate.operations.kept import Kept
from vecmigrate.runtime.ledger import Ledger, LedgerWriter, now
from vecmigrate.runtime.search_server import index_info, run_together
from vecmigrate.search import ddl, memory, reply


def read_kept(ledger: Ledger) -> dict[str, Kept]:
    """Everything that is kept, by its name, the oldest first."""
    stored: Any = ledger.client.hgetall(ledger.keys.kept)
    found = sorted((Kept(**orjson.loads(text)) for text in stored.values()), key=lambda item: item.since)
    return {item.what: item for item in found}


class KeptLedger:
    """`operations.kept.KeptIndexes` over the ledger."""

    def __init__(self, writer: LedgerWriter) -> None:
        self._writer = writer

    def all(self) -> dict[str, Kept]:
        """Everything that is kept, by its name, the oldest first."""
        return read_kept(self._writer.ledger)

    def put(self, item: Kept) -> None:
        """Note that `item` is kept from now on."""
        text = orjson.dumps(asdict(replace(item, since=item.since or now())))
        key = self._writer.keys.kept
        self._writer.lease.guarded(("HSET", key, item.what, text), keys=[key])

    def forget(self, what: str, *commands: Sequence[str]) -> None:
        """Run `commands` and forget `what`, in one step."""
        key = self._writer.keys.kept
        client = self._writer.ledger.client
        run_together(client, self._writer.lease, [*commands, ("HDEL", key, what)], keys=[key])


def roll_back(writer: LedgerWriter, item: Kept) -> Kept:
    """Let the alias lead to the kept index `item` again, by one alias update; what is kept instead.

    In the same step the ledger takes note that the revision which had replaced it is rolled back: the next
    upgrade verifies the index that this one built, which stays, and cuts over to it again.

    Raises:
        OperationError: There is no way back just now; the alias is where it was.
    """
    ledger, keys = writer.ledger, writer.keys
    client: redis.Redis = ledger.client
    info = index_info(client, item.what)
    renamed = read_kept(ledger).get(item.alias)
    if renamed is not None and renamed.kind == "alias":
        raise OperationError(
            f"index {item.name!r} was renamed since: {renamed.alias!r} leads to it too (an index whose alias "
            "is what it was when it was rebuilt)",
            hint="`vecmigrate downgrade` takes both back, in order",
        )
    if info is None:
        raise OperationError(
            f"index {item.what!r}, which was kept, is gone (dropped by somebody else)",
            hint="`vecmigrate downgrade` builds it anew",
        )
    if reply.is_indexing(info):
        raise OperationError(
            f"index {item.what!r} is being scanned, {reply.percent_indexed(info):.0%} done "
            "(a complete index; a server scans anew when it was restarted)",
            hint="wait until it is done",
        )
    live = index_info(client, item.alias)
    at = None if live is None else reply.index_name(live)
    if live is None or at != item.live:
        raise OperationError(
            f"alias {item.alias!r} leads to {at!r} (expected {item.live!r}, which replaced {item.what!r})",
            hint="`vecmigrate status` shows what is there",
        )
    record = ledger.revisions().get(item.by)
    if record is None or record.status != "applied":
        raise OperationError(
            f"revision {item.by} is not applied ({'unknown' if record is None else record.status})",
            hint="`vecmigrate upgrade` or `downgrade` ends what was begun",
        )
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
        memory=memory.used_by(live),
    )
    moved = replace(record, status="rolled back", step=item.step, finished_at=now())
    step = f"u{item.step}:"
    run_together(
        client,
        writer.lease,
        [
            ddl.ft_alias_update(item.alias, item.what),
            ("HSET", keys.kept, item.live, orjson.dumps(asdict(put_aside))),
            ("HDEL", keys.kept, item.what),
            ("HSET", keys.steps(item.by), f"{step}status", "rolled back", f"{step}stage", "verify"),
            ("HSET", keys.revisions, item.by, orjson.dumps(asdict(moved))),
            writer.log_entry("rolled back", item.by, None),
        ],
        keys=[keys.kept, keys.steps(item.by), keys.revisions, keys.log],
    )
    return put_aside
