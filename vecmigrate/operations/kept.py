"""What stays after a cut-over so that there is a way back: the index that was replaced, and old aliases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

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


class KeptIndexes(Protocol):
    """The ledger's list of what is kept. Each change of it is refused once the lease is lost."""

    def all(self) -> dict[str, Kept]:
        """Everything that is kept, by `what`, the oldest first."""

    def put(self, item: Kept) -> None:
        """Note that `item` is kept from now on."""

    def forget(self, what: str, *commands: Sequence[str]) -> None:
        """Run `commands` and forget `what`, in one step."""
