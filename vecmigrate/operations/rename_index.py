"""rename_index: another name for a spec, another alias, or both. The physical index keeps its name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from vecmigrate.errors import OperationError
from vecmigrate.operations import indexes
from vecmigrate.operations.base import Command, Context, Operation
from vecmigrate.operations.kept import Kept
from vecmigrate.operations.registry import IndexRecord
from vecmigrate.operations.state import State
from vecmigrate.search import ddl
from vecmigrate.spec.build import spec_from_mapping, spec_to_mapping
from vecmigrate.spec.model import IndexSpec


@dataclass(frozen=True, slots=True)
class RenameIndex(Operation):
    """Let a second alias lead there; the old one stays until `complete`, for services not deployed yet.

    With `keep_name` the old one stays for good, among the index's further aliases.
    """

    kind: ClassVar[str] = "rename_index"
    name: str
    to: str | None = None
    index_name: str | None = None
    keep_name: bool = False

    @property
    def target(self) -> str:
        """The name of the spec."""
        return self.name

    def apply(self, state: State, revision: str) -> State:
        """The state with the new names."""
        old = state.get(self.name)
        return state.with_changed(self.name, replace(old, spec=self._after(old.spec)))

    def describe(self, state: State, revision: str) -> Sequence[Command]:
        """FT.ALIASADD where the alias changes."""
        index = state.get(self.name)
        if self.index_name is None:
            return ((f"# {self.name} is called {self.to} in specs and helpers; Redis is not touched",),)
        return (
            ddl.ft_alias_add(self.index_name, index.physical),
            (f"# {index.spec.index.name} stays until `vecmigrate complete {self.to or self.name}`",),
        )

    def run(self, context: Context) -> None:
        """Add the alias; what is kept under the old name of the spec is kept under the new one."""
        index = context.state.get(self.name)
        before = index.spec.index.name
        name = self.to or self.name
        registry = context.registry
        # Under the new name where an earlier run of this step, or of the one that takes it back, ended early.
        record = registry.get(self.name) or registry.get(name)
        if record is None:
            record = indexes.record_of(context, index)
        for item in context.kept.all().values():
            if item.name == self.name != name:
                context.kept.put(replace(item, name=name))
        if record is None:
            if index.published:
                raise OperationError(
                    f"the index of {self.name!r} is gone from the server (expected it to be there)",
                    hint="`vecmigrate heal` builds it anew",
                )
            return
        if record.name != name:
            record = registry.rename(record, name)
        if self.index_name is None or self.index_name == before or not index.published:
            return
        after = self._after(index.spec)
        # `before` is not among them where a rename that is taken back never came to its alias.
        kept_name = before in record.aliases or before == record.physical
        names = indexes.aliases(after, record.aliases)
        changed = replace(record, aliases=tuple(item for item in names if item != record.physical))
        commands: list[tuple[str | bytes, ...]] = [context.kept.forgotten(self.index_name)]
        if kept_name:
            commands.append(context.kept.stored(self._kept(context, name, before, record)))
        if indexes.live_name(context, record.physical) is None:
            # Gone from the server: whoever builds it anew gives it these names; upgrade says that it is gone.
            registry.put(changed, *commands)
            return
        indexes.uncover(context, record)
        registry.point(changed, *commands)
        if kept_name:
            context.step.put({"outcome": f"{before} leads there too, until `vecmigrate complete {name}`"})

    def _kept(self, context: Context, name: str, before: str, record: IndexRecord) -> Kept:
        return Kept(
            what=before,
            kind="alias",
            name=name,
            alias=self.index_name or before,
            live=record.physical,
            revision=record.revision,
            by=context.revision,
            step=context.step.number,
        )

    def revert(self, step: int, state: State) -> Operation:
        """Rename it back."""
        spec = state.get(self.name).spec
        old_alias = spec.index.name if self.index_name is not None else None
        was_alias = self.index_name in (spec.index.aliases or ())
        return RenameIndex(self.to or self.name, self.name if self.to else None, old_alias, was_alias)

    def _after(self, spec: IndexSpec) -> IndexSpec:
        if self.to is None and self.index_name is None:
            raise OperationError("rename_index got no new name (to=, index_name=, or both)")
        mapping = spec_to_mapping(spec)
        mapping.pop("helpers", None)
        mapping["name"] = self.to or spec.name
        if self.index_name is not None and not spec.index.alias:
            raise OperationError(
                f"index {self.name!r} has no alias that could be renamed (`alias: false`: the index "
                f"itself is called {spec.index.name!r}, and an index cannot be renamed)",
                hint=f'op.rebuild_index("{self.name}", index={{"name": "{self.index_name}"}}) builds another '
                "under that name",
            )
        mapping["index"] = {**mapping["index"], "name": self.index_name or spec.index.name}
        if spec.index.aliases is not None:
            # What becomes the name is no further name any more.
            names = spec.index.names if self.keep_name else spec.index.aliases
            mapping["index"]["aliases"] = [name for name in names if name != self.index_name]
        return spec_from_mapping(mapping, names=False)
