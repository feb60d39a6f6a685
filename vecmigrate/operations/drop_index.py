"""drop_index: drop the index behind an alias. Its documents stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from vecmigrate.operations import indexes
from vecmigrate.operations.base import Command, Context, Operation
from vecmigrate.operations.state import State
from vecmigrate.search import ddl


@dataclass(frozen=True, slots=True)
class DropIndex(Operation):
    """Drop the index `name`.

    With `upgrade_step` it takes back that create_index of the same revision: an index that was adopted or
    was there before then stays.
    """

    kind: ClassVar[str] = "drop_index"
    name: str
    upgrade_step: int | None = None

    @property
    def target(self) -> str:
        """The name of the spec."""
        return self.name

    def apply(self, state: State, revision: str) -> State:
        """The state without the index."""
        return state.without_index(self.name)

    def describe(self, state: State, revision: str) -> Sequence[Command]:
        """FT.DROPINDEX of the physical name, which takes its aliases along."""
        return (ddl.ft_drop_index(state.get(self.name).physical),)

    def run(self, context: Context) -> None:
        """Drop it where it is there. FT.DROPINDEX only ever gets a physical name."""
        index = context.state.get(self.name)
        alias = index.spec.index.name
        outcome = "created"
        if self.upgrade_step is not None:
            # None where the upgrade failed before: what is there then is somebody else's.
            outcome = context.upgrade_step(self.upgrade_step).get("outcome") or "nothing"
        if outcome in ("adopted", "kept"):
            context.progress.message(f"{alias}: was there before this migration; left as it is")
            return
        live = indexes.live_index(context, index.spec) or ""
        if context.search.info(index.physical) is not None:
            context.search.change(*ddl.ft_drop_index(index.physical))
        elif outcome == "created" and (
            live.startswith(f"{alias}@") or (live == alias and self.upgrade_step is None)
        ):
            context.search.change(*ddl.ft_drop_index(live))

    def revert(self, step: int, state: State) -> Operation:
        """Create it anew from the spec that it had."""
        # Imported here because the two are each other's way back.
        from vecmigrate.operations.create_index import CreateIndex

        index = state.get(self.name)
        return CreateIndex(index.spec, index.published)
