"""rebuild_index: another index over the same documents takes the place of the one that is live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from vecmigrate.errors import OperationError
from vecmigrate.operations import indexes
from vecmigrate.operations.base import Command, Context, Operation
from vecmigrate.operations.rollback import Rollback
from vecmigrate.operations.state import IndexState, State, proposed_name, require_new_name
from vecmigrate.operations.swap import Swap, check_rebuild
from vecmigrate.search import ddl
from vecmigrate.spec.change import change_spec


@dataclass(frozen=True, slots=True)
class RebuildIndex(Operation):
    """Build `<index.name>@<revision>` from the changed spec, verify it, and let the alias lead to it."""

    kind: ClassVar[str] = "rebuild_index"
    name: str
    changes: Mapping[str, Any]

    @property
    def target(self) -> str:
        """The name of the spec."""
        return self.name

    def apply(self, state: State, revision: str) -> State:
        """The state with the changed spec; raises OperationError where a rebuild cannot do that."""
        return state.with_changed(self.name, self._after(state, revision))

    def describe(self, state: State, revision: str) -> Sequence[Command]:
        """FT.CREATE, what is looked at, and the alias update."""
        new = self._after(state, revision)
        create = ddl.ft_create(new.spec, new.physical)
        old = state.get(self.name).physical
        if not new.published:
            return (create, ddl.ft_drop_index(old))
        look = (f"# waits for the scan; compares documents and recall@10 with {old}",)
        if not new.spec.index.alias:
            return (create, look, (f"# both stay until `vecmigrate complete {self.name}`",))
        return (
            create,
            look,
            *(ddl.ft_alias_update(name, new.physical) for name in indexes.aliases(new.spec)),
            (f"# keeps {old} until `vecmigrate complete {self.name}`",),
        )

    def run(self, context: Context) -> None:
        """Go through the stages of a swap; see `operations.swap`.

        What was rolled back is not let in again on the way to what mends it.
        """
        if (context.revision, context.step.number) in context.options.left_out:
            self._leave_out(context)
            return
        Swap(context, context.state.get(self.name), self._after(context.state, context.revision)).run()

    def _leave_out(self, context: Context) -> None:
        for item in context.kept.all().values():
            if (item.kind, item.by, item.step) == ("rolled back", context.revision, context.step.number):
                context.registry.drop(item.what, context.kept.forgotten(item.what))
        context.step.put({"outcome": "left out: it was rolled back, and a later revision builds it anew"})

    def revert(self, step: int, state: State) -> Operation:
        """Back to the index that was replaced: the kept one, or one built like it."""
        return Rollback(self.name)

    def _after(self, state: State, revision: str) -> IndexState:
        old = state.get(self.name)
        spec = change_spec(old.spec, self.changes)
        check_rebuild(old.spec, spec)
        require_new_name(old.spec, spec)
        if old.physical == proposed_name(spec, revision):
            raise OperationError(
                f"index {self.name!r} is built in this revision already (once an index and revision)",
                hint="say all changes in one operation, or write another revision",
            )
        return IndexState(spec, revision, old.published, previous=old)
