"""execute: send one Redis command as it stands, once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import pbkdf2_hmac, sha256
from typing import ClassVar

from vecmigrate.errors import OperationError
from vecmigrate.operations.base import Command, Context, Operation
from vecmigrate.operations.redis_command import RedisCommand
from vecmigrate.operations.state import State
from vecmigrate.revisions.user_code import is_redis_error

EXECUTED = "executed"
_ROUNDS = 100_000


@dataclass(frozen=True, slots=True)
class Execute(Operation):
    """Send a command, in one step with the check of the lease and the note that it was sent.

    `undo` takes it back. A runner that is killed afterwards finds the note and does not send it again.
    """

    kind: ClassVar[str] = "execute"
    command: RedisCommand
    undo: RedisCommand | None = None

    @property
    def target(self) -> str:
        """The command's name."""
        return self.command.name

    def apply(self, state: State, revision: str) -> State:
        """The state as it is."""
        return state

    def describe(self, state: State, revision: str) -> Sequence[Command]:
        """The command, without what looks like a secret."""
        return (self.command.shown,)

    def run(self, context: Context) -> None:
        """Send it, unless an earlier run of this step did."""
        if context.step.get("stage") == EXECUTED:
            return
        words = self.command.words
        try:
            try:
                context.step.put({"stage": EXECUTED}, words)
            except Exception as error:
                if not (is_redis_error(error) and "not allowed from script" in str(error)):
                    raise
                # Such a command is sent, and then noted: killed in between, it is sent again.
                context.search.change(*words)
                context.step.put({"stage": EXECUTED})
        except Exception as error:
            if not is_redis_error(error):
                raise
            raise OperationError(f"Redis: {self.command.clean(str(error))}") from None

    def revert(self, step: int, state: State) -> Operation:
        """Send `undo`; without it there is no way back."""
        if self.undo is None:
            return Operation.revert(self, step, state)
        return Execute(self.undo, self.command)

    def fingerprint(self, state: State, revision: str) -> str:
        """Tells this command from another; what stands in the ledger does not give a secret away."""
        if not self.command.has_secrets and all(isinstance(word, str) for word in self.command.words):
            return Operation.fingerprint(self, state, revision)
        digests = [sha256(w if isinstance(w, bytes) else w.encode()).digest() for w in self.command.words]
        text = b"".join(digests)
        if self.command.has_secrets:
            # A short password could be found by trying; this makes each try dear.
            text = pbkdf2_hmac("sha256", text, f"{revision}:{self.title}".encode(), _ROUNDS)
        return sha256(text).hexdigest()[:16]
