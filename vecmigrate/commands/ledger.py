"""`ensure-version`: the ledger, made where there is none."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from vecmigrate.commands.database import Session
from vecmigrate.commands.locked import locked


@dataclass(frozen=True, slots=True)
class EnsureVersionResult:
    """Which ledger there is now, and whether it was made by this call."""

    redis: str
    namespace: str
    created: bool

    def to_dict(self) -> dict[str, Any]:
        """As JSON shows it."""
        return asdict(self)


def ensure_version(session: Session, *, wait: float = 0.0) -> EnsureVersionResult:
    """Make the ledger where there is none; no migration is run.

    A ledger needs no making: this shows that it can be written, with the lease and the fence that all
    writes need, and leaves one entry in its log.

    Raises:
        LockedError: Another runner holds the lease for longer than `wait` seconds.
        ServerError: The server takes no writes, or not from this user.
    """
    ledger = session.ledger
    with locked(session, session.history(), "ensure-version", wait) as writer:
        created = not session.client.exists(ledger.keys.log)
        if created:
            writer.lease.guarded(writer.log_entry("ledger made", "", None), keys=[ledger.keys.log])
    return EnsureVersionResult(session.url, ledger.keys.namespace, created)
