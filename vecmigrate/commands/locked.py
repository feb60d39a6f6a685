"""The one way in for commands that write: the lease, and a ledger of this release's format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vecmigrate.errors import LeaseLostError, PartialError, ServerWentBackError
from vecmigrate.runtime import preflight, rights
from vecmigrate.runtime.carry_over import carry_over
from vecmigrate.runtime.history import History, Plan
from vecmigrate.runtime.kept import read_kept
from vecmigrate.runtime.lease import Lease
from vecmigrate.runtime.ledger import Ledger, LedgerWriter
from vecmigrate.runtime.registry import read_indexes

if TYPE_CHECKING:
    from vecmigrate.commands.database import Session


@contextmanager
def locked(
    session: Session,
    history: History,
    command: str,
    wait: float = 0.0,
    *,
    plans: Iterable[Plan] = (),
    touches_indexes: bool = False,
) -> Iterator[LedgerWriter]:
    """Hold the lease for the length of the block; a ledger of an older format is carried over first.

    Before that, the rights of the Redis user are looked at: those that the ledger, `plans` and, with
    `touches_indexes`, the indexes in the ledger ask for.

    Raises:
        LockedError: Another runner holds the lease for longer than `wait` seconds.
        LeaseLostError: The block failed, and the lease was over by then.
        LedgerFormatError: A newer release wrote the ledger.
        ServerError: The user lacks rights; all are named, and nothing was written.
    """
    ledger = session.ledger
    ledger.format()
    needs = rights.for_plans(ledger.keys.namespace, plans)
    if touches_indexes:
        needs += rights.for_names(_names(ledger))
    preflight.require_rights(session.client, needs, command)
    seconds = session.config.lease_seconds
    wait = max(0.0, wait - session.waited)
    with Lease(session.client, ledger.keys, seconds=seconds, wait=wait, command=command) as lease:
        writer = LedgerWriter(ledger, lease)
        try:
            carry_over(writer, history)
            yield writer
        except (LeaseLostError, ServerWentBackError, PartialError):
            raise
        except Exception as error:
            # Whoever slept past the lease may have read half of it before and half after another's work, and
            # a connection that stood still meanwhile fails first: neither is what went wrong.
            if lease.lapsed():
                raise LeaseLostError from error
            raise


def _names(ledger: Ledger) -> list[str]:
    """Every index and alias that the ledger knows."""
    found = [name for item in read_kept(ledger).values() for name in (item.what, item.alias, item.live)]
    found += [name for item in read_indexes(ledger).values() for name in (item.physical, *item.aliases)]
    return list(dict.fromkeys(found))


def told(ahead: Sequence[str]) -> str:
    """What is said of revisions that the ledger has and no script here."""
    return (
        f"the ledger is ahead: no script here has {', '.join(ahead)}; a newer release applied it, and this "
        "one leaves it as it is"
    )
