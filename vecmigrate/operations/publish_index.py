"""publish_index: let the alias lead to an index that create_index built with publish=False."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from vecmigrate.operations import checked, indexes
from vecmigrate.operations.base import Command, Context, Operation
from vecmigrate.operations.registry import IndexRecord
from vecmigrate.operations.state import State
from vecmigrate.search import ddl


@dataclass(frozen=True, slots=True)
class PublishIndex(Operation):
    """Wait until the index is complete, then let applications find it."""

    kind: ClassVar[str] = "publish_index"
    name: str

    @property
    def target(self) -> str:
        """The name of the spec."""
        return self.name

    def apply(self, state: State, revision: str) -> State:
        """The state with the alias set."""
        return state.with_published(self.name)

    def describe(self, state: State, revision: str) -> Sequence[Command]:
        """FT.ALIASADD."""
        index = state.get(self.name)
        return tuple(ddl.ft_alias_add(name, index.physical) for name in indexes.aliases(index.spec))

    def run(self, context: Context) -> None:
        """Wait for the background scan and set the alias; an adopted plain index needs none."""
        index = context.state.get(self.name)
        record = indexes.record_of(context, index)
        if record is None:
            # Built here where it is missing: the server may have been emptied since create_index ran.
            physical = indexes.build(context, index.spec, index.physical)
            record = IndexRecord(self.name, physical, "created", context.revision)
        wanted = indexes.aliases(index.spec, record.aliases)
        missing = tuple(name for name in wanted if name != record.physical)
        if record.origin == "created":
            indexes.wait_until_built(context, record.physical, index.spec.name)
            checked.check(context, record.physical, index.spec)
        else:
            indexes.wait_until_indexed(context, record.physical, index.spec.name)
        indexes.uncover(context, replace(record, aliases=missing))
        context.registry.point(replace(record, aliases=missing))

    def revert(self, step: int, state: State) -> Operation:
        """Take the alias away again."""
        return UnpublishIndex(self.name)


@dataclass(frozen=True, slots=True)
class UnpublishIndex(Operation):
    """Take the alias from an index, which stays."""

    kind: ClassVar[str] = "unpublish_index"
    name: str

    @property
    def target(self) -> str:
        """The name of the spec."""
        return self.name

    def apply(self, state: State, revision: str) -> State:
        """The state as it is: an alias that leads nowhere is not a state of its own."""
        state.get(self.name)
        return state

    def describe(self, state: State, revision: str) -> Sequence[Command]:
        """FT.ALIASDEL."""
        return tuple(ddl.ft_alias_del(name) for name in indexes.aliases(state.get(self.name).spec))

    def run(self, context: Context) -> None:
        """Delete the aliases that lead to the index; a plain index is left alone."""
        record = context.registry.get(self.name)
        if record is None:
            return
        leading = [
            name for name in record.aliases if indexes.live_name(context, name) == record.physical != name
        ]
        context.registry.put(replace(record, aliases=()), *(ddl.ft_alias_del(name) for name in leading))

    def revert(self, step: int, state: State) -> Operation:
        """Publish it."""
        return PublishIndex(self.name)
