"""rollback: back to the index that the last rebuild replaced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from vecmigrate.errors import OperationError
from vecmigrate.operations import indexes
from vecmigrate.operations.base import Command, Context, Operation
from vecmigrate.operations.kept import Kept
from vecmigrate.operations.registry import IndexRecord
from vecmigrate.operations.state import IndexState, State
from vecmigrate.operations.swap import Swap
from vecmigrate.search import ddl


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
    """Let the aliases lead to `wanted` instead of `now`, which is dropped afterwards."""
    registry = context.registry
    name = now.spec.name
    record = indexes.record_of(context, now)
    target = _target(now, wanted)
    # Where somebody dropped what is live, the way back is open all the same.
    noted = record or registry.get(name)
    kept = _kept(context, name, noted)
    if record is not None and record.revision != now.revision:
        # A rebuild that never came to its cut-over, or was rolled back: what was live before still is.
        context.step.put({"outcome": f"{record.physical} is live"})
    elif noted is not None and noted.revision == now.revision and kept is not None:
        indexes.wait_until_indexed(context, kept.what, kept.what)
        if record is not None:
            indexes.uncover(context, record)
        back = IndexRecord(name, kept.what, kept.origin, kept.revision, _aliases(target, noted, kept.what))
        if not target.published:
            back = replace(back, aliases=())
        registry.point(back, context.kept.forgotten(kept.what), superseded=noted.physical)
        context.step.put({"outcome": f"{kept.what} was kept and is live again"})
        _drop(context, noted.physical)
    else:
        Swap(context, now, target, keep=False).run()
    registry.drop_leftovers(name)
    for item in context.kept.all().values():
        if item.name == name and item.by == context.revision and item.kind == "rolled back":
            _drop(context, item.what)


def _target(now: IndexState, wanted: IndexState) -> IndexState:
    """`wanted` under the names that count now: it may have been renamed since it was built."""
    target = replace(wanted, published=now.published)
    if not (now.spec.index.alias and wanted.spec.index.alias):
        return replace(target, spec=replace(target.spec, name=now.spec.name))
    index = replace(target.spec.index, name=now.spec.index.name)
    return replace(target, spec=replace(target.spec, index=index))


def _aliases(target: IndexState, record: IndexRecord, physical: str) -> tuple[str, ...]:
    if not target.spec.index.alias:
        return tuple(name for name in indexes.aliases(target.spec) if name != physical)
    return tuple(name for name in indexes.aliases(target.spec, record.aliases) if name != physical)


def _kept(context: Context, name: str, record: IndexRecord | None) -> Kept | None:
    """The index that was replaced by what is live, where it is kept and still there."""
    for item in context.kept.all().values():
        replaced = item.kind == "replaced" and item.name == name
        if not replaced or record is None or item.live != record.physical:
            continue
        if indexes.live_name(context, item.what) == item.what and context.registry.is_ours(item.what):
            return item
    return None


def _drop(context: Context, physical: str) -> None:
    """Drop an index that was live until now; looked at once more, right before anything is dropped."""
    in_use = {record.physical for record in context.registry.all().values()}
    if physical not in in_use:
        context.registry.drop(physical, context.kept.forgotten(physical))


def _before(index: IndexState) -> IndexState:
    if index.previous is None:
        raise OperationError(
            f"index {index.spec.name!r} was not rebuilt so far (a rebuild to go back from)",
            hint="`vecmigrate history` shows what was done",
        )
    return index.previous
