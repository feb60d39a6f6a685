"""The one way in for commands that write: the lease, and a ledger of this release's format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vecmigrate.runtime.carry_over import carry_over
from vecmigrate.runtime.history import History
from vecmigrate.runtime.lease import Lease
from vecmigrate.runtime.ledger import LedgerWriter

if TYPE_CHECKING:
    from vecmigrate.commands.database import Session


@contextmanager
def locked(session: Session, history: History, command: str, wait: float = 0.0) -> Iterator[LedgerWriter]:
    """Hold the lease for the length of the block, over a ledger that is carried over where it is an older one.

    Raises:
        LockedError: Another runner holds the lease for longer than `wait` seconds.
        LedgerFormatError: A newer release wrote the ledger.
    """
    ledger = session.ledger
    ledger.format()
    seconds = session.config.lease_seconds
    with Lease(session.client, ledger.keys, seconds=seconds, wait=wait, command=command) as lease:
        writer = LedgerWriter(ledger, lease)
        carry_over(writer, history)
        yield writer


def told(ahead: Sequence[str]) -> str:
    """What is said of revisions that the ledger has and no script here."""
    return (
        f"the ledger is ahead: no script here has {', '.join(ahead)}; a newer release applied it, and this one "
        "leaves it as it is"
    )
