"""Which index on the server is whose: what operations know of physical names, and how they change them.

The state says what an index must look like. What it is called on the server is a fact of the ledger:
`<index.name>@<revision>` is only how a new index is proposed to be called. Nothing is dropped, altered or led
to that is not ours by record.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

# created: by an operation of ours; adopted: it was there, and we took it over as it was.
Origin: TypeAlias = Literal["created", "adopted"]


@dataclass(frozen=True, slots=True)
class IndexRecord:
    """The index of one spec, as the ledger knows it.

    Attributes:
        name: The spec.
        physical: The name of the index itself.
        origin: How it came.
        revision: The revision that built or adopted it.
        aliases: Every name that is to lead to it; none until it is published, or where the index itself
            carries the name that applications query.
        unknown: Fields that a newer release wrote.
    """

    name: str
    physical: str
    origin: Origin
    revision: str
    aliases: tuple[str, ...] = ()
    unknown: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Build:
    """An index that a step builds, or began to build, or is about to drop; noted before it does.

    `direction` is "u" for a step of the upgrade, "d" for one of the downgrade, "-" for one that is to go.
    """

    physical: str
    name: str
    revision: str
    direction: str
    step: int
    unknown: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


class IndexRegistry(Protocol):
    """The ledger's part about indexes. Each change is refused once the lease is lost."""

    def get(self, name: str) -> IndexRecord | None:
        """The index of the spec `name`, or None."""

    def all(self) -> dict[str, IndexRecord]:
        """Every index, by the name of its spec."""

    def owner(self, physical: str) -> str | None:
        """The namespace that owns the index `physical`, or None."""

    def is_ours(self, physical: str) -> bool:
        """Whether this namespace owns the index `physical`."""

    def require_free(self, physical: str) -> None:
        """Raise IndexConflictError where the index `physical` belongs to another namespace."""

    def begin_build(self, name: str, wanted: str, *, exact: bool = False) -> str:
        """The physical name under which this step builds, noted before anything is created.

        The same for each run of the same step: `wanted`, or one like it where that is taken. What another
        step began for the same spec and never finished is dropped.

        Raises:
            IndexConflictError: `wanted` is taken, and with `exact` no other name will do.
        """

    def create(self, words: Sequence[str], physical: str) -> None:
        """Send FT.CREATE for `physical` and take ownership of it, in one step."""

    def point(
        self,
        record: IndexRecord,
        *commands: Sequence[str | bytes],
        over_plain: Collection[str] = (),
        superseded: str | None = None,
    ) -> None:
        """Let every alias of `record` lead to its index, store the record, and run `commands`: in one step.

        `over_plain` are plain indexes of the names of aliases that may be dropped in the same step.
        `superseded` is an index that nothing needs from then on: the caller drops it next, and where that
        never happens it is among the leftovers.

        Raises:
            IndexConflictError: An alias leads to an index of somebody else, or another plain index hides it.
        """

    def put(self, record: IndexRecord, *commands: Sequence[str | bytes]) -> None:
        """Store `record` and run `commands`, in one step; no alias moves."""

    def adopt(self, record: IndexRecord) -> None:
        """Take ownership of an index that is there, and store `record`.

        Raises:
            IndexConflictError: It belongs to another namespace.
        """

    def rename(self, record: IndexRecord, name: str) -> IndexRecord:
        """Store `record` under another name of its spec, in one step."""

    def release(self, name: str, *commands: Sequence[str | bytes]) -> None:
        """Forget the index of the spec `name` and give up its ownership; the index stays."""

    def drop(
        self,
        physical: str,
        *commands: Sequence[str | bytes],
        along: Collection[str] = (),
        delete_documents: bool = False,
    ) -> bool:
        """Drop the index `physical` where it is there and ours, forget it everywhere, and run `commands`.

        `along` are the aliases that may go with it. Returns whether there was an index to drop.

        Raises:
            IndexConflictError: It belongs to somebody else, or another alias leads to it.
        """

    def drop_leftovers(self, name: str) -> list[str]:
        """Drop what was begun for the spec `name` by steps other than this one, and never finished.

        Only what is ours is dropped. Returns the names of what was.
        """
