"""What stays after a cut-over so that there is a way back: the index that was replaced, and old aliases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from vecmigrate.operations.registry import Origin

# replaced: was live before a rebuild; rolled back: was live until a rollback; alias: an old name of an index.
KeptKind: TypeAlias = Literal["replaced", "rolled back", "alias"]


@dataclass(frozen=True, slots=True)
class Kept:
    """One index, or one alias, that no application needs any more.

    Attributes:
        what: Its physical name; for an alias, the alias.
        kind: Why it is there.
        name: The spec that it belongs to.
        alias: What applications query.
        live: The index that the alias leads to instead; for an old alias, the one it leads to as well.
        revision: The revision that built it.
        by: The revision whose step put it aside.
        step: The number of that step.
        since: When, in ISO 8601 and UTC.
        memory: How many bytes it took then.
        origin: How the index came; see `operations.registry.IndexRecord`.
        unknown: Fields that a newer release wrote.
    """

    what: str
    kind: KeptKind
    name: str
    alias: str
    live: str
    revision: str
    by: str
    step: int
    since: str = ""
    memory: int = 0
    origin: Origin = "created"
    unknown: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


class KeptIndexes(Protocol):
    """The ledger's list of what is kept. Each change of it is refused once the lease is lost."""

    def all(self) -> dict[str, Kept]:
        """Everything that is kept, by `what`, the oldest first."""

    def stored(self, item: Kept) -> tuple[str | bytes, ...]:
        """The words that note that `item` is kept from now on; to be run with another change."""

    def forgotten(self, what: str) -> tuple[str, ...]:
        """The words that forget `what`; to be run with another change."""

    def put(self, item: Kept) -> None:
        """Note that `item` is kept from now on."""

    def forget(self, what: str) -> None:
        """Forget `what`, and nothing else."""
