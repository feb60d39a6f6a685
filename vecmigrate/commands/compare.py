"""`drift`: the server against the state at the ledger's revision."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from vecmigrate.commands.database import Session
from vecmigrate.diff import drift as pure
from vecmigrate.errors import HistoryAlteredError
from vecmigrate.operations.registry import IndexRecord
from vecmigrate.operations.state import IndexState
from vecmigrate.runtime.carry_over import indexes_of
from vecmigrate.runtime.kept import read_kept
from vecmigrate.runtime.live import look_at
from vecmigrate.runtime.registry import read_builds, read_owners


@dataclass(frozen=True, slots=True)
class DriftResult:
    """What the server has otherwise than the migrations that it went through say.

    Args:
        current: The revisions that the ledger says.
        indexes: The names of the specs that were compared.
        drift: Every difference.
        unseen: What the server does not show, and so nobody can compare.
        neighbours: Other indexes over our documents; no drift.
        half_done: Revisions that stopped half-way: what differs may be their work.
    """

    current: tuple[str, ...]
    indexes: tuple[str, ...]
    drift: tuple[pure.Drift, ...]
    unseen: tuple[str, ...]
    neighbours: tuple[pure.Neighbour, ...]
    half_done: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing differs."""
        return not self.drift

    def to_dict(self) -> dict[str, Any]:
        """As JSON shows it."""
        found = asdict(self)
        for name in ("drift", "neighbours"):
            texts = [str(item) for item in getattr(self, name)]
            found[name] = [{**item, "message": text} for item, text in zip(found[name], texts, strict=True)]
        return {"ok": self.ok, **found}


def drift(session: Session) -> DriftResult:
    """Compare every index with what it should be at the ledger's revision; change nothing.

    Raises:
        HistoryAlteredError: An applied script was changed or is gone, so nobody knows what should be.
    """
    history = session.history()
    records = session.ledger.revisions()
    ahead = history.check_unaltered(records)
    if ahead:
        raise HistoryAlteredError(
            f"the ledger is ahead: no script here has {', '.join(ahead)}, so nobody here knows what should "
            "be (expected every applied script)",
            hint="ask the release that has it",
        )
    applied = [name for name, record in records.items() if record.status == "applied"]
    state = history.state_of(applied)
    ours = indexes_of(session.ledger, history)
    expected = [_expected(item, ours.get(item.spec.name)) for item in state]
    names = [name for item in expected for name in item.spec.index.names]
    live = look_at(session.client, [*names, *(name for record in ours.values() for name in record.aliases)])
    half_done = tuple(
        name for name, record in records.items() if record.status in ("running", "partial", "reverting")
    )
    return DriftResult(
        current=history.graph.current(applied),
        indexes=tuple(item.spec.name for item in expected),
        drift=pure.drift(expected, live),
        unseen=pure.unseen(expected),
        neighbours=pure.neighbours(
            expected,
            live,
            kept=set(read_kept(session.ledger)),
            building=set(read_builds(session.ledger)),
            owners=read_owners(session.client, live.indexes),
            namespace=session.ledger.keys.namespace,
        ),
        half_done=half_done,
    )


def _expected(index: IndexState, record: IndexRecord | None) -> pure.Expected:
    """The index, with the name that the ledger has for it."""
    if record is None:
        return pure.Expected(index.spec, index.physical, published=index.published)
    return pure.Expected(index.spec, record.physical, published=index.published)
