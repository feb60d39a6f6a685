"""run: call a named Python function, which may keep a cursor in the ledger."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from vecmigrate.operations.base import Command, Context, Operation, StepRecord
from vecmigrate.operations.progress import Progress
from vecmigrate.operations.state import State

if TYPE_CHECKING:
    import redis


class Cursor:
    """How far a function has come, kept in the ledger.

    `value` is what was saved last, by this runner or by one before it, or None. `save` takes anything that
    JSON can say; it raises LeaseLostError once this runner may not write any more, which is the moment to
    stop.
    """

    def __init__(self, step: StepRecord) -> None:
        self._step = step
        saved = step.get("cursor")
        self.value: Any = None if saved is None else json.loads(saved)

    def save(self, value: Any) -> None:
        """Keep `value` as the place to go on from."""
        self._step.put({"cursor": json.dumps(value)})
        self.value = value


Function: TypeAlias = "Callable[[redis.Redis, Progress, Cursor], object]"


@dataclass(frozen=True, slots=True)
class Run(Operation):
    """Call `function(client, progress, cursor)`. It must be able to run again after being cut off."""

    kind: ClassVar[str] = "run"
    function: Function
    name: str
    undo: Function | None = None

    @property
    def target(self) -> str:
        """The name of the function."""
        return self.name

    def apply(self, state: State, revision: str) -> State:
        """The state as it is: what a function does to data changes no index."""
        return state

    def describe(self, state: State, revision: str) -> Sequence[Command]:
        """A comment: what a function sends is not known beforehand."""
        return ((f"# calls {self.name}(client, progress, cursor)",),)

    def run(self, context: Context) -> None:
        """Call it."""
        context.check_lease()
        self.function(context.client, context.progress, Cursor(context.step))

    def revert(self, step: int, state: State) -> Operation:
        """Call `undo`; without one there is no way back."""
        if self.undo is None:
            return Operation.revert(self, step, state)
        return Run(self.undo, getattr(self.undo, "__name__", f"undo of {self.name}"), self.function)
