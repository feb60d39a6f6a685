"""complete: what was kept for a rollback goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

from vecmigrate.operations.base import Command, Context, Operation, SearchServer
from vecmigrate.operations.kept import Kept, KeptIndexes
from vecmigrate.operations.registry import IndexRecord, IndexRegistry
from vecmigrate.operations.state import State
from vecmigrate.search import ddl, reply


@dataclass(frozen=True, slots=True)
class Complete(Operation):
    """Drop every index that is kept for `name`, and the aliases that it had before it was renamed."""

    kind: ClassVar[str] = "complete"
    name: str

    @property
    def target(self) -> str:
        """The name of the spec."""
        return self.name

    def apply(self, state: State, revision: str) -> State:
        """The state as it is: what is kept belongs to no state."""
        state.get(self.name)
        return state

    def describe(self, state: State, revision: str) -> Sequence[Command]:
        """FT.DROPINDEX of what the last rebuild replaced; the ledger may know of more."""
        previous = state.get(self.name).previous
        if previous is None:
            return ((f"# drops what the ledger keeps for {self.name}",),)
        return (ddl.ft_drop_index(previous.physical),)

    def run(self, context: Context) -> None:
        """Drop what the ledger lists."""
        done = [
            item.what
            for item in context.kept.all().values()
            if item.name == self.name and drop_kept(context, item)
        ]
        context.step.put({"outcome": f"dropped {', '.join(done)}" if done else "nothing was kept"})

    def revert(self, step: int, state: State) -> Operation:
        """Nothing to take back: a rollback past it builds anew what is gone."""
        return Completed(self.name)


@dataclass(frozen=True, slots=True)
class Completed(Operation):
    """What takes `complete` back, which is nothing."""

    kind: ClassVar[str] = "completed"
    name: str

    @property
    def target(self) -> str:
        """The name of the spec."""
        return self.name

    def apply(self, state: State, revision: str) -> State:
        """The state as it is."""
        return state

    def describe(self, state: State, revision: str) -> Sequence[Command]:
        """A comment."""
        return ((f"# what {self.name} kept is gone; taking its rebuild back builds the old index anew",),)

    def run(self, context: Context) -> None:
        """Do nothing."""
        context.step.put({"outcome": "nothing to take back"})

    def revert(self, step: int, state: State) -> Operation:
        """Complete again."""
        return Complete(self.name)


class Keeper(Protocol):
    """What dropping a kept index needs: a part of `Context`."""

    @property
    def search(self) -> SearchServer:
        """RediSearch, fenced."""

    @property
    def kept(self) -> KeptIndexes:
        """What is kept."""

    @property
    def registry(self) -> IndexRegistry:
        """Which index is whose."""


def drop_kept(keeper: Keeper, item: Kept) -> bool:
    """Drop one kept index or alias and forget it; whether there was anything to drop.

    What is live by now is never dropped, whatever the list of what is kept says.

    Raises:
        IndexConflictError: An alias that somebody else made leads to it; nothing was dropped.
    """
    registry = keeper.registry
    record = registry.get(item.name)
    if item.kind == "alias":
        return _drop_alias(keeper, item, record)
    if record is not None and record.physical == item.what:
        keeper.kept.forget(item.what)
        return False
    # Without an alias from now on, its successor left the old name where it was.
    others = {name for some in registry.all().values() for name in some.aliases}
    return registry.drop(item.what, keeper.kept.forgotten(item.what), along={item.alias} - others)


def _drop_alias(keeper: Keeper, item: Kept, record: IndexRecord | None) -> bool:
    info = keeper.search.info(item.what)
    # An index of that name, as where a plain one was adopted, is no alias.
    there = info is not None and reply.index_name(info) != item.what
    commands: list[tuple[str | bytes, ...]] = [keeper.kept.forgotten(item.what)]
    # It may lead to the index of another spec by now.
    ours = record is not None and info is not None and there and reply.index_name(info) == record.physical
    if ours:
        commands.insert(0, ddl.ft_alias_del(item.what))
    if record is None:
        # Nothing of ours that it could lead to.
        keeper.kept.forget(item.what)
        return False
    rest = tuple(name for name in record.aliases if name != item.what)
    keeper.registry.put(replace(record, aliases=rest), *commands)
    return ours
