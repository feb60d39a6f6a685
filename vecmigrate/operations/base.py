"""What every operation has, and what the runner gives it to work with.

An operation is a small frozen value. `apply` and `describe` are pure and need no server; `run` does the
work and must be idempotent and resumable: it may be called again, on another machine, after it was cut off
anywhere. Dry runs, resuming and progress bars are the runner's: an operation has no branches for them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from vecmigrate.errors import IrreversibleError
from vecmigrate.operations.kept import KeptIndexes
from vecmigrate.operations.progress import Progress
from vecmigrate.operations.registry import IndexRegistry
from vecmigrate.operations.state import State

if TYPE_CHECKING:
    import redis

    from vecmigrate.backfill.books import Books
    from vecmigrate.backfill.throttle import Throttle

# The words of one Redis command. A line that starts with "#" stands for what is not a single command.
Command = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RejectLimit:
    """How many items a step may set aside before it fails: a number, or a share of all items."""

    count: int | None = None
    share: float | None = None

    def exceeded(self, rejected: int, seen: int) -> bool:
        """Whether `rejected` of `seen` items are too many; a share is judged by all that was seen."""
        if self.count is not None and rejected > self.count:
            return True
        return self.share is not None and seen > 0 and rejected / seen > self.share

    def __str__(self) -> str:
        return str(self.count) if self.count is not None else f"{(self.share or 0) * 100:g}%"


Verify = Literal["none", "counts", "recall"]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the operator asks of a run.

    Attributes:
        max_rejects: The limit on items set aside, where one was given.
        max_memory: How many bytes the server may use at the most while a second index is there; None leaves
            it to the server's own `maxmemory`.
        verify: How thoroughly a rebuilt index is looked at before the alias leads to it.
        min_recall: The lowest recall@10 that is accepted; None means 0.95, or what the old index has less
            0.01.
        yes: Whether documents may be deleted.
        max_deletes: How many documents the verifying pass of a backfill may remove; None means 10 %.
        allow_eviction: Whether a server may evict keys meanwhile.
        max_rate: How many items a second a step may deal with.
        max_latency: By how many milliseconds a step may slow down others.
        left_out: Rebuilds, by revision and step, that were rolled back and that the same run does again.
    """

    max_rejects: RejectLimit | None = None
    max_memory: int | None = None
    verify: Verify = "recall"
    min_recall: float | None = None
    yes: bool = False
    max_deletes: RejectLimit | None = None
    allow_eviction: bool = False
    max_rate: float | None = None
    max_latency: float | None = None
    left_out: frozenset[tuple[str, int]] = frozenset()


@dataclass(frozen=True, slots=True)
class ServerMemory:
    """Bytes in use, the server's own limit (None: none), and what it does at the limit."""

    used: int
    maximum: int | None
    policy: str


class StepRecord(Protocol):
    """What the ledger knows of one step. Every write is refused once the lease is lost."""

    @property
    def number(self) -> int:
        """Its place among the steps of the revision, from 0."""

    def get(self, name: str) -> str | None:
        """The stored value called `name`."""

    def put(self, values: Mapping[str, str | int], *commands: Sequence[str | bytes | int]) -> None:
        """Store `values`; raises LeaseLostError where this runner may not write any more.

        `commands` are run before, in the same atomic step: both happen, or neither.
        """


class SearchServer(Protocol):
    """The commands of RediSearch that operations need; every change goes through the fence."""

    def info(self, name: str, *, patient: bool = False) -> dict[str, Any] | None:
        """FT.INFO as plain values, or None where there is no index and no alias of that name.

        With `patient` a server that is being restarted is waited for, as long as the lease lasts.
        """

    def names(self) -> list[str]:
        """The names of all indexes."""

    def setting(self, name: str) -> str | None:
        """A setting of RediSearch such as TIMEOUT, or None where this server does not tell it."""

    def memory(self) -> ServerMemory:
        """How much memory the server uses, and may."""

    def change(self, *words: str | bytes) -> None:
        """Run one command that changes something, in one step with the check of the lease."""

    def aliases_of(self, physical: str) -> list[str] | None:
        """Every alias that leads to the index `physical`; None where the server does not list them."""

    def touch(self, spec: Any, documents: Sequence[bytes]) -> list[int]:
        """Let the server index `documents` of `spec` again; 1 for each that was there, else 0."""

    def require(self, spec: Any) -> None:
        """Raise ServerTooOldError where the server lacks something that `spec` asks for."""


class Watched(Protocol):
    """The server while code that is not ours works on it."""

    @property
    def client(self) -> redis.Redis:
        """A client for that code, closed afterwards; it connects to no other server than at the start."""

    @property
    def step(self) -> StepRecord:
        """This step, written over connections of that client."""

    def check(self) -> None:
        """Raise ServerChangedError where the server is another one by now, or was for a while."""


class Context(Protocol):
    """What the runner gives to `Operation.run`."""

    @property
    def revision(self) -> str:
        """The revision that is being applied or reverted."""

    @property
    def state(self) -> State:
        """The state before this operation."""

    @property
    def step(self) -> StepRecord:
        """This step in the ledger."""

    @property
    def progress(self) -> Progress:
        """Who listens."""

    @property
    def options(self) -> RunOptions:
        """What the operator asked for."""

    @property
    def kept(self) -> KeptIndexes:
        """The indexes that were replaced and stay for a while."""

    @property
    def registry(self) -> IndexRegistry:
        """Which index is whose, and what it is called on the server."""

    @property
    def search(self) -> SearchServer:
        """RediSearch, fenced."""

    @property
    def client(self) -> redis.Redis:
        """The plain client, for reading. Writes that must not come from a stale runner go elsewhere."""

    def upgrade_step(self, step: int) -> StepRecord:
        """The step that this revision's upgrade recorded under that number."""

    def watched(self) -> AbstractContextManager[Watched]:
        """Watch the server as long as the block lasts."""

    def books(self, *, upgrade_step: int | None = None) -> Books:
        """Where a backfill keeps its accounts: of this step, or of that step of the upgrade."""

    def check_lease(self) -> None:
        """Raise LeaseLostError where this runner may not write any more."""

    def throttle(self) -> Throttle:
        """What holds this step back: call `passed(items)` on it between batches, and `close` at the end."""


@dataclass(frozen=True, slots=True)
class Operation(ABC):
    """One recorded thing to do."""

    kind: ClassVar[str]

    @property
    @abstractmethod
    def target(self) -> str:
        """What it is about: the name of an index, of a function, of a command."""

    @property
    def title(self) -> str:
        """What lists and progress bars call it."""
        return f"{self.kind} {self.target}"

    @property
    def deletes_documents(self) -> bool:
        """Whether it deletes documents, which is never done without `--yes`."""
        return False

    @abstractmethod
    def apply(self, state: State, revision: str) -> State:
        """The state afterwards; pure. Raises OperationError where it cannot follow `state`."""

    @abstractmethod
    def describe(self, state: State, revision: str) -> Sequence[Command]:
        """The Redis commands that `run` sends, as far as they are known beforehand; pure."""

    def check_server(self, search: SearchServer, options: RunOptions) -> None:
        """Raise OperationError where it is not safe on this server; called before anything is written."""
        return

    @abstractmethod
    def run(self, context: Context) -> None:
        """Do it. Idempotent; picks up where an earlier run of the same step ended."""

    def revert(self, step: int, state: State) -> Operation:
        """The operation that takes this one back.

        `step` is its number in the upgrade, `state` the state before it. Raises IrreversibleError where
        there is no way back.
        """
        raise IrreversibleError(
            f"{self.title} has no way back (an operation that can be reverted)",
            hint="write the downgrade by hand, with operations that undo it",
        )

    def fingerprint(self, state: State, revision: str) -> str:
        """Tells whether a half-done step and this operation are the same thing (16 hex digits)."""
        text = "\n".join("\x1f".join(words) for words in self.describe(state, revision))
        return sha256(f"{self.title}\n{text}".encode()).hexdigest()[:16]
