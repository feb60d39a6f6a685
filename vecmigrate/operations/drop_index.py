"""drop_index: drop the index behind an alias. Its documents stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from vecmigrate.errors import OperationError
from vecmigrate.operations import indexes
from vecmigrate.operations.base import Command, Context, Operation
from vecmigrate.operations.complete import drop_kept
from vecmigrate.operations.state import State
from vecmigrate.search import ddl


@dataclass(frozen=True, slots=True)
class DropIndex(Operation):
    """Drop the index `name`.

    With `documents` everything in it is deleted too, which is done only where the operator said yes. With
    `upgrade_step` it takes back that create_index of the same revision: an index that was adopted or
    was there before then stays.
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
        """Drop it where it is there. FT.DROPINDEX only ever gets a physical name."""
        if self.documents and not context.options.yes:
            raise OperationError(
                f"dropping the documents of {self.name!r} needs --yes (said once more, by who runs it)"
            )
        index = context.state.get(self.name)
        alias = index.spec.index.name
        # First what is kept: dropped on its own it leaves the documents alone.
        for item in context.kept.all().values():
            if item.name == self.name:
                drop_kept(context.search, context.kept, item)
        outcome = "created"
        if self.upgrade_step is not None:
            # None where the upgrade failed before: what is there then is somebody else's.
            outcome = context.upgrade_step(self.upgrade_step).get("outcome") or "nothing"
        if outcome in ("adopted", "kept"):
            context.progress.message(f"{alias}: was there before this migration; left as it is")
            return
        live = indexes.live_index(context, index.spec) or ""
        if context.search.info(index.physical) is not None:
            context.search.change(*ddl.ft_drop_index(index.physical, delete_documents=self.documents))
        elif outcome == "created" and (
            live.startswith(f"{alias}@") or (live in (alias, index.plain) and self.upgrade_step is None)
        ):
            context.search.change(*ddl.ft_drop_index(live, delete_documents=self.documents))

    def revert(self, step: int, state: State) -> Operation:
        """Create it anew from the spec that it had; there is no way back where its documents went too."""
        if self.documents:
            return Operation.revert(self, step, state)
        # Imported here because the two are each other's way back.
        from vecmigrate.operations.create_index import CreateIndex

        index = state.get(self.name)
        return CreateIndex(index.spec, index.published)
