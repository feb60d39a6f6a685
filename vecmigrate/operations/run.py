"""run: call a named Python function, which may keep a cursor in the ledger."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from vecmigrate.errors import OperationError
from vecmigrate.operations.base import Command, Context, Operation, StepRecord
from vecmigrate.operations.progress import Progress
from vecmigrate.operations.state import State
from vecmigrate.revisions.scripts import display_path
from vecmigrate.revisions.user_code import (
    SYNC_HINT,
    UserCodeFault,
    asynchronous,
    call_user_code,
    fault_of,
    name_of,
)

if TYPE_CHECKING:
    import redis

_EXPECTED = "expected a function that is called with client, progress and cursor"


class Cursor:
    """How far a function has come, kept in the ledger.

    `value` is what was saved last, by this runner or by one before it, or None. `save` takes anything that
    JSON can say; it raises LeaseLostError once this runner may not write any more, and ServerChangedError
    once the server is another one: the moment to stop.
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


def check_function(function: object, what: str) -> None:
    """Raise OperationError where `function` cannot do its work when it is called with three arguments."""
    if not callable(function):
        raise OperationError(f"{what} of run is of type {type(function).__name__} ({_EXPECTED})")
    name = name_of(function)
    kind = asynchronous(function)
    if kind is not None:
        raise OperationError(
            f"{what} `{name}` of run is {kind}, which does nothing when it is called ({_EXPECTED})",
            hint=SYNC_HINT,
        )
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # what is written in C need not have one
        return
    try:
        signature.bind(None, None, None)
    except TypeError as error:
        raise OperationError(
            f"{what} of run is `{name}{signature}` ({_EXPECTED}): {error}",
            hint=f"write def {name}(client, progress, cursor)",
        ) from None


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
        """Call it, on a server that has to stay the same until it returns."""
        context.check_lease()
        with context.watched() as watched:
            try:
                call_user_code(self.function, watched.client, context.progress, Cursor(watched.step))
            except UserCodeFault as fault:
                raise fault_of(fault.error, self.function, display_path) from fault.error
            # It may have swallowed what told it so, or worked through a client of its own.
            watched.check()

    def revert(self, step: int, state: State) -> Operation:
        """Call `undo`; without one there is no way back."""
        if self.undo is None:
            return Operation.revert(self, step, state)
        return Run(self.undo, getattr(self.undo, "__name__", f"undo of {self.name}"), self.function)
