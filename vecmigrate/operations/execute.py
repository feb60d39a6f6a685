"""execute: send one Redis command as it stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from vecmigrate.operations.base import Command, Context, Operation
from vecmigrate.operations.state import State


@dataclass(frozen=True, slots=True)
class Execute(Operation):
    """Send `words`, in one step with the check of the lease; `undo` are the words that take it back."""

    kind: ClassVar[str] = "execute"
    words: Command
    undo: Command | None = None

    @property
    def target(self) -> str:
        """The command's name."""
        return self.words[0]

    def apply(self, state: State, revision: str) -> State:
        """The state as it is."""
        return state

    def describe(self, state: State, revision: str) -> Sequence[Command]:
        """The command."""
        return (self.words,)

    def run(self, context: Context) -> None:
        """Send it."""
        context.search.change(*self.words)

    def revert(self, step: int, state: State) -> Operation:
        """Send `undo`; without it there is no way back."""
        if self.undo is None:
            return Operation.revert(self, step, state)
        return Execute(self.undo, self.words)
