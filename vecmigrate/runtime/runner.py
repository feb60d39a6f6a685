"""The runner: takes revisions one by one, and each operation of a revision as a step that the ledger knows.

It has the list of recorded operations, so dry runs, resuming and progress are here and not in the operations.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import redis

from vecmigrate.errors import (
    LeaseLostError,
    MemoryLimitError,
    PartialError,
    ServerWentBackError,
    TooManyDeletesError,
    TooManyRejectsError,
    VecmigrateError,
    VerificationError,
)
from vecmigrate.operations.base import Operation, RunOptions
from vecmigrate.operations.progress import Progress
from vecmigrate.runtime.connect import Server
from vecmigrate.runtime.context import RunContext
from vecmigrate.runtime.history import History, Plan
from vecmigrate.runtime.lease import Lease
from vecmigrate.runtime.ledger import Direction, Ledger, LedgerWriter, RevisionRecord, Status, Step, now
from vecmigrate.runtime.registry import Registry
from vecmigrate.runtime.search_server import FencedSearch
from vecmigrate.runtime.translate import explain, redis_error_behind
from vecmigrate.search import versions

DONE = "done"


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """One step that was run, or that an earlier run had done already (`resumed`)."""

    number: int
    operation: str
    values: dict[str, str]
    seconds: float
    resumed: bool = False


@dataclass(frozen=True, slots=True)
class RevisionOutcome:
    """One revision that was applied or reverted."""

    revision: str
    message: str
    steps: tuple[StepOutcome, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Runner:
    """Applies and reverts revisions on one server, holding the lease.

    Use `upgrade` and `downgrade` inside the lease's `with` block only.
    """

    client: redis.Redis
    server: Server
    ledger: Ledger
    history: History
    lease: Lease
    progress: Progress
    options: RunOptions = field(default_factory=RunOptions)

    def upgrade(self, revision: str) -> RevisionOutcome:
        """Apply `revision`, from the step where an earlier run stopped.

        Raises:
            PartialError: A step failed; the ledger knows which.
        """
        plan = self.history.upgrade(revision)
        for item in plan.recorded:
            for index in item.operation.apply(item.state, revision):
                versions.require(index.spec, self.server.version)
        search = FencedSearch(self.client, self.lease, self.server)
        for item in plan.recorded:
            item.operation.check_server(search, self.options)
        record = self.ledger.revisions().get(revision)
        writer = LedgerWriter(self.ledger, self.lease)
        if record is not None and record.status == "reverting":
            # A downgrade got half-way: what its steps undid is to be done again, and all steps can be
            # repeated. What was not undone yet still counts as written by this revision.
            writer.reopen(revision)
        began = time.monotonic()
        record = writer.begin(
            revision,
            plan.script.checksum,
            plan.script.message,
            "running",
            down_revision=plan.script.down_revision,
            before=record,
        )
        self.progress.message(f"upgrade {revision}: {plan.script.message}")
        steps = self._run(plan, writer, record, "u")
        Registry(writer, revision=revision).drop_unfinished()
        seconds = time.monotonic() - began
        done = replace(record, status="applied", finished_at=now(), seconds=round(seconds, 3), error=None)
        writer.put(done, "applied")
        return RevisionOutcome(revision, plan.script.message, steps, seconds)

    def downgrade(self, revision: str) -> RevisionOutcome:
        """Take `revision` back; raises PartialError where a step fails."""
        plan = self.history.downgrade(revision)
        writer = LedgerWriter(self.ledger, self.lease)
        began = time.monotonic()
        stored = self.ledger.revisions()[revision]
        if stored.status != "reverting":
            writer.clear_steps(revision, "d")
        record = writer.begin(
            revision,
            stored.checksum,
            plan.script.message,
            "reverting",
            down_revision=plan.script.down_revision,
            before=stored,
        )
        self.progress.message(f"downgrade {revision}: {plan.script.message}")
        steps = self._run(plan, writer, record, "d")
        Registry(writer, revision=revision).drop_unfinished()
        writer.forget(revision, "reverted")
        return RevisionOutcome(revision, plan.script.message, steps, time.monotonic() - began)

    def _run(
        self, plan: Plan, writer: LedgerWriter, record: RevisionRecord, direction: Direction
    ) -> tuple[StepOutcome, ...]:
        search = FencedSearch(self.client, self.lease, self.server)
        outcomes: list[StepOutcome] = []
        revision = plan.script.revision
        for number, item in enumerate(plan.recorded):
            step = Step(writer, revision, number, direction)
            fingerprint = item.operation.fingerprint(item.state, revision)
            stored = step.all()
            if stored.get("fingerprint") != fingerprint:
                # Another operation than the one begun here, or the same with other variables: nothing
                # carries over.
                step.clear(stored)
            elif stored.get("status") == DONE:
                outcomes.append(StepOutcome(number, item.operation.title, stored, 0.0, resumed=True))
                continue
            context = RunContext(
                revision,
                item.state,
                step,
                self.progress,
                self.options,
                search,
                self.client,
                writer,
                direction,
            )
            record = replace(record, step=number)
            writer.lease.guarded(
                writer.stored(record),
                step.stored(
                    {
                        "operation": item.operation.title,
                        "fingerprint": fingerprint,
                        "status": "running",
                        "at": now(),
                    }
                ),
                keys=[writer.keys.revisions, writer.keys.steps(revision)],
            )
            began = time.monotonic()
            self._step(item.operation, context, partial(self._failed, writer, record, direction))
            seconds = time.monotonic() - began
            step.put({"status": DONE, "seconds": f"{seconds:.3f}", "at": now()})
            outcomes.append(StepOutcome(number, item.operation.title, step.all(), seconds))
        return tuple(outcomes)

    def _step(self, operation: Operation, context: RunContext, failed: Callable[[str], None]) -> None:
        """Run one operation; a failure is written into the ledger and raised as PartialError."""
        where = f"revision {context.revision}, step {context.step.number} ({operation.title})"
        try:
            operation.run(context)
        except LeaseLostError:
            # Somebody else may be at work already: nothing may be written, the error neither.
            raise
        except (TooManyRejectsError, TooManyDeletesError, VerificationError, MemoryLimitError) as error:
            failed(error.message)
            raise type(error)(f"{where}: {error.message}", hint=error.hint) from error
        except VecmigrateError as error:
            if isinstance(error.__cause__, redis.RedisError):
                context.check_lease()
            failed(error.message)
            raise PartialError(f"{where}: {error.message}", hint=error.hint or _hint(error)) from error
        except redis.RedisError as error:
            # Whoever slept past the lease finds a stale connection first: what counts is that it is lost.
            context.check_lease()
            told = explain(error)
            failed(told.message)
            if isinstance(told, LeaseLostError):
                raise told from error
            raise PartialError(f"{where}: {told.message}", hint=_hint(error)) from error
        except KeyboardInterrupt:
            failed("interrupted")
            raise
        except BaseException as error:
            failed(f"{type(error).__name__}: {error}")
            raise PartialError(f"{where}: {type(error).__name__}: {error}", hint=_AGAIN) from error

    def _failed(self, writer: LedgerWriter, record: RevisionRecord, direction: Direction, error: str) -> None:
        status: Status = "partial" if direction == "u" else "reverting"
        text = error.splitlines()[0] if error else "?"
        try:
            writer.put(replace(record, status=status, error=text, finished_at=now()), "failed")
        except (redis.RedisError, LeaseLostError, ServerWentBackError):
            # The server is gone or came back older, or the lease is lost: "running" without a lease says the
            # same.
            return


_WAIT = "that may pass by itself: `--wait SECONDS` waits for it"
_AGAIN = "mend the cause and run it again: it goes on at this step"


def _hint(error: BaseException) -> str:
    """What helps where Redis is behind `error`, and how to go on."""
    cause = redis_error_behind(error)
    if cause is None:
        return _AGAIN
    told = explain(cause)
    hint = _WAIT if getattr(told, "passing", False) else told.hint
    return f"{hint}; {_AGAIN}" if hint else _AGAIN


def outline(plan: Plan) -> Sequence[tuple[str, tuple[tuple[str, ...], ...]]]:
    """What a plan would do: each operation's title and the commands it would send."""
    revision = plan.script.revision
    return [
        (item.operation.title, tuple(item.operation.describe(item.state, revision))) for item in plan.recorded
    ]
