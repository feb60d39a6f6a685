"""publish_index: let the alias lead to an index that create_index built with publish=False."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from vecmigrate.operations import indexes
from vecmigrate.operations.base import Command, Context, Operation
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
        return (ddl.ft_alias_add(index.spec.index.name, index.physical),)

    def run(self, context: Context) -> None:
        """Wait for the background scan and set the alias; an adopted plain index needs none."""
        index = context.state.get(self.name)
        if indexes.live_index(context, index.spec) == index.spec.index.name:
            return
        # Built here where it is missing: the server may have been emptied since create_index ran.
        indexes.build(context, index.spec, index.physical)
        indexes.publish(context, index.spec, index.physical)

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
        return (ddl.ft_alias_del(state.get(self.name).spec.index.name),)

    def run(self, context: Context) -> None:
        """Delete the alias where it leads to the index of this state; a plain index is left alone."""
        index = context.state.get(self.name)
        if indexes.live_index(context, index.spec) == index.physical:
            context.search.change(*ddl.ft_alias_del(index.spec.index.name))

    def revert(self, step: int, state: State) -> Operation:
        """Publish it."""
        return PublishIndex(self.name)
