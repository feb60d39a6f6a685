"""What is kept after a cut-over, in the ledger: reading it and changing it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from vecmigrate.operations.kept import Kept
from vecmigrate.runtime.ledger import Ledger, LedgerWriter, now
from vecmigrate.runtime.records import dump_record, load_record


def read_kept(ledger: Ledger) -> dict[str, Kept]:
    """Everything that is kept, by its name, the oldest first."""
    stored: Any = ledger.client.hgetall(ledger.keys.kept)
    return parse_kept(stored)


def parse_kept(stored: Mapping[bytes, bytes]) -> dict[str, Kept]:
    """What is kept, from a reply of HGETALL."""
    found = sorted((load_record(Kept, text) for text in stored.values()), key=lambda item: item.since)
    return {item.what: item for item in found}


class KeptLedger:
    """`operations.kept.KeptIndexes` over the ledger."""

    def __init__(self, writer: LedgerWriter) -> None:
        self._writer = writer
        self._key = writer.keys.kept

    def all(self) -> dict[str, Kept]:
        """Everything that is kept, by its name, the oldest first."""
        return read_kept(self._writer.ledger)

    def stored(self, item: Kept) -> tuple[str | bytes, ...]:
        """The words that note that `item` is kept from now on; to be run with another change."""
        return ("HSET", self._key, item.what, dump_record(replace(item, since=item.since or now())))

    def forgotten(self, what: str) -> tuple[str, ...]:
        """The words that forget `what`; to be run with another change."""
        return ("HDEL", self._key, what)

    def put(self, item: Kept) -> None:
        """Note that `item` is kept from now on."""
        self._writer.lease.guarded(self.stored(item), keys=[self._key])

    def forget(self, what: str) -> None:
        """Forget `what`, and nothing else."""
        self._writer.lease.guarded(self.forgotten(what), keys=[self._key])
