"""drop_index: drop the index behind an alias. Its documents stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from vecmigrate.errors import OperationError
from vecmigrate.operations.base import Command, Context, Operation
from vecmigrate.operations.complete import drop_kept
from vecmigrate.operations.state import State
from vecmigrate.search import ddl


@dataclass(frozen=True, slots=True)
class DropIndex(Operation):
    """Drop the index `name`.

    With `documents` everything in it is deleted too, which is done only where the operator said yes. With
    `upgrade_step` it takes back that create_index of the same revision: an index that was adopted stays.
    """

    kind: ClassVar[str] = "drop_index"
    name: str
    upgrade_step: int | None = None
    documents: bool = False

    @property
    def deletes_documents(self) -> bool:
        """Whether it deletes documents."""
        return self.documents

    @property
    def target(self) -> str:
        """The name of the spec."""
        return self.name

    def apply(self, state: State, revision: str) -> State:
        """The state without the index."""
        return state.without_index(self.name)

    def describe(self, state: State, revision: str) -> Sequence[Command]:
        """FT.DROPINDEX of the physical name, which takes its aliases along."""
        return (ddl.ft_drop_index(state.get(self.name).physical, delete_documents=self.documents),)

    def run(self, context: Context) -> None:
        """Drop what the ledger says is ours. FT.DROPINDEX only ever gets a physical name."""
        if self.documents and not context.options.yes:
            raise OperationError(
                f"dropping the documents of {self.name!r} needs --yes (said once more, by who runs it)"
            )
        registry = context.registry
        # First what is kept and what was left half-built: dropped on its own it leaves the documents alone.
        for item in context.kept.all().values():
            if item.name == self.name and item.kind != "alias":
                drop_kept(context, item)
        registry.drop_leftovers(self.name)
        record = registry.get(self.name)
        old_names = [item for item in context.kept.all().values() if item.name == self.name]
        forget_names = [context.kept.forgotten(item.what) for item in old_names]
        if record is None:
            for item in old_names:
                context.kept.forget(item.what)
            return
        if self.upgrade_step is not None and record.origin == "adopted":
            registry.release(self.name, *forget_names)
            context.progress.message(f"{record.physical}: was there before this migration; left as it is")
            return
        along = {*record.aliases, *(item.what for item in old_names)}
        if not registry.drop(record.physical, *forget_names, along=along, delete_documents=self.documents):
            context.progress.message(f"{record.physical}: is gone already")

    def revert(self, step: int, state: State) -> Operation:
        """Create it anew from the spec that it had; there is no way back where its documents went too."""
        if self.documents:
            return Operation.revert(self, step, state)
        # Imported here because the two are each other's way back.
        from vecmigrate.operations.create_index import CreateIndex

        index = state.get(self.name)
        return CreateIndex(index.spec, index.published)
