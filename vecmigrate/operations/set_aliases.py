"""set_aliases: the further names that lead to an index, beside `index.name`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from vecmigrate.operations import indexes
from vecmigrate.operations.base import Command, Context, Operation
from vecmigrate.operations.state import State
from vecmigrate.search import ddl
from vecmigrate.spec.change import change_spec
from vecmigrate.spec.model import IndexSpec


@dataclass(frozen=True, slots=True)
class SetAliases(Operation):
    """Let exactly `aliases` lead to the index beside `index.name`. None: nobody knows them any more."""

    kind: ClassVar[str] = "set_aliases"
    name: str
    aliases: tuple[str, ...] | None

    @property
    def target(self) -> str:
        """The name of the spec."""
        return self.name

    def apply(self, state: State, revision: str) -> State:
        """The state with the aliases; raises OperationError where another index has one of them."""
        old = state.get(self.name)
        return state.with_changed(self.name, replace(old, spec=self._after(old.spec)))

    def describe(self, state: State, revision: str) -> Sequence[Command]:
        """FT.ALIASUPDATE for each alias that is new, FT.ALIASDEL for each that is gone."""
        index = state.get(self.name)
        added, gone = alias_changes(index.spec, self._after(index.spec))
        if self.aliases is None:
            return ((f"# aliases of {self.name} are not known from now on, and stay as they are",),)
        if not (added or gone):
            return ((f"# aliases of {self.name} are known from now on; none is changed",),)
        return (
            *(ddl.ft_alias_update(alias, index.physical) for alias in added),
            *(ddl.ft_alias_del(alias) for alias in gone),
        )

    def run(self, context: Context) -> None:
        """Let each alias lead to the index, and take away those that are gone."""
        index = context.state.get(self.name)
        record = indexes.require_there(context, index)
        after = self._after(index.spec)
        _, gone = alias_changes(index.spec, after)
        doomed = [name for name in gone if indexes.live_name(context, name) == record.physical != name]
        rest = [name for name in record.aliases if name not in gone]
        wanted = indexes.aliases(after, rest) if index.published else tuple(rest)
        names = tuple(name for name in wanted if name != record.physical)
        indexes.uncover(context, record)
        changed = replace(record, aliases=names)
        # A name that the spec says is no old name any more, to go with `complete`.
        wanted_again = [context.kept.forgotten(name) for name in indexes.aliases(after)]
        context.registry.point(changed, *(ddl.ft_alias_del(name) for name in doomed), *wanted_again)
        context.step.put({"outcome": f"{', '.join(names) or 'no alias'} leads there"})

    def revert(self, step: int, state: State) -> Operation:
        """The aliases of before; where nobody knew them, all stay."""
        return SetAliases(self.name, state.get(self.name).spec.index.aliases)

    def _after(self, spec: IndexSpec) -> IndexSpec:
        value = None if self.aliases is None else list(self.aliases)
        return replace(change_spec(spec, {"index": {"aliases": value}}), helpers=spec.helpers)


def alias_changes(old: IndexSpec, new: IndexSpec) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The aliases that are new and those that are gone, `index.name` apart.

    Where `new` does not know the aliases, none is gone.
    """
    before, after = old.index.aliases or (), new.index.aliases or ()
    gone = () if new.index.aliases is None else tuple(alias for alias in before if alias not in after)
    return tuple(alias for alias in after if alias not in before), gone
