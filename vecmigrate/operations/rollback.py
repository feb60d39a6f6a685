"""rollback: back to the index that the last rebuild replaced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from vecmigrate.errors import OperationError
from vecmigrate.operations import indexes
from vecmigrate.operations.base import Command, Context, Operation
from vecmigrate.operations.state import IndexState, State
from vecmigrate.operations.swap import Swap
from vecmigrate.search import ddl, reply


@dataclass(frozen=True, slots=True)
class Rollback(Operation):
    """Let the alias lead to the kept index, or build it anew where it is gone; the one in its place goes."""

    kind: ClassVar[str] = "rollback"
    name: str

    @property
    def target(self) -> str:
        """The name of the spec."""
        return self.name

    def apply(self, state: State, revision: str) -> State:
        """The state with the index as it was before the last rebuild."""
        return state.with_changed(self.name, _before(state.get(self.name)))

    def describe(self, state: State, revision: str) -> Sequence[Command]:
        """The alias update, and FT.DROPINDEX of what was live until then."""
        now = state.get(self.name)
        before = _before(now)
        return (
            (f"# where {before.physical} is not kept any more: builds and verifies it again",),
            ddl.ft_alias_update(now.spec.index.name, before.physical),
            ddl.ft_drop_index(now.physical),
        )

    def run(self, context: Context) -> None:
        """Go back; nothing is dropped before the alias leads elsewhere."""
        now = context.state.get(self.name)
        restore(context, now, _before(now))

    def revert(self, step: int, state: State) -> Operation:
        """Build again what was rolled back."""
        return Restore(self.name, state.get(self.name))


@dataclass(frozen=True, slots=True)
class Restore(Operation):
    """Take a rollback back: build `index` again in the place of what is live."""

    kind: ClassVar[str] = "restore"
    name: str
    index: IndexState

    @property
    def target(self) -> str:
        """The name of the spec."""
        return self.name

    def apply(self, state: State, revision: str) -> State:
        """The state before the rollback."""
        return state.with_changed(self.name, self.index)

    def describe(self, state: State, revision: str) -> Sequence[Command]:
        """FT.CREATE, the alias update, and FT.DROPINDEX of what was live."""
        return (
            ddl.ft_create(self.index.spec, self.index.physical),
            ddl.ft_alias_update(self.index.spec.index.name, self.index.physical),
            ddl.ft_drop_index(state.get(self.name).physical),
        )

    def run(self, context: Context) -> None:
        """Go through the stages of a swap."""
        restore(context, context.state.get(self.name), self.index)

    def revert(self, step: int, state: State) -> Operation:
        """Roll back again."""
        return Rollback(self.name)


def restore(context: Context, now: IndexState, wanted: IndexState) -> None:
    """Let the alias lead to `wanted` instead of `now`, which is dropped afterwards."""
    alias = now.spec.index.name
    target = replace(wanted, published=now.published)
    # Renamed since it was built: the name that applications query now counts.
    target = replace(target, spec=replace(target.spec, index=replace(target.spec.index, name=alias)))
    live = indexes.live_name(context, alias)
    # A rebuild that never came to its cut-over has left the old index where it was, adopted ones too.
    if live in (target.physical, target.plain) and live != now.physical:
        context.step.put({"outcome": f"{live} is live"})
    elif target.physical in context.kept.all() and context.search.info(target.physical) is not None:
        indexes.wait_until_indexed(context, target.physical, target.physical)
        if target.published:
            indexes.lead(context, now, alias, target.physical)
            indexes.take_along(context, now.spec.name, target.physical)
        context.step.put({"outcome": f"{target.physical} was kept and is live again"})
    else:
        Swap(context, now, target, keep=False).run()
    context.kept.forget(target.physical)
    info = context.search.info(now.physical)
    # Looked at once more, right before anything is dropped.
    live = indexes.live_name(context, alias)
    if info is not None and reply.index_name(info) == now.physical != live:
        context.kept.forget(now.physical, ddl.ft_drop_index(now.physical))


def _before(index: IndexState) -> IndexState:
    if index.previous is None:
        raise OperationError(
            f"index {index.spec.name!r} was not rebuilt so far (a rebuild to go back from)",
            hint="`vecmigrate history` shows what was done",
        )
    return index.previous
