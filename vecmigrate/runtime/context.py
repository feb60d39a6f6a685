"""What the runner hands to each operation."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass

import redis

from vecmigrate.backfill.books import Books
from vecmigrate.backfill.throttle import Limits, Throttle
from vecmigrate.operations.base import RunOptions, StepRecord
from vecmigrate.operations.progress import Progress
from vecmigrate.operations.state import State
from vecmigrate.runtime.kept import KeptLedger
from vecmigrate.runtime.ledger import LedgerWriter, Step, books
from vecmigrate.runtime.registry import Registry
from vecmigrate.runtime.search_server import FencedSearch
from vecmigrate.runtime.watch import Watch, watch


@dataclass(frozen=True, slots=True)
class RunContext:
    """`operations.base.Context` over a client, a ledger and a lease."""

    revision: str
    state: State
    step: StepRecord
    progress: Progress
    options: RunOptions
    search: FencedSearch
    client: redis.Redis
    writer: LedgerWriter
    direction: str = "u"

    @property
    def kept(self) -> KeptLedger:
        """The indexes that were replaced and stay for a while."""
        return KeptLedger(self.writer)

    @property
    def registry(self) -> Registry:
        """Which index is whose, and what it is called on the server."""
        return Registry(self.writer, revision=self.revision, direction=self.direction, step=self.step.number)

    def upgrade_step(self, step: int) -> Step:
        """The step that this revision's upgrade recorded under that number."""
        return Step(self.writer, self.revision, step, "u")

    def watched(self) -> AbstractContextManager[Watch]:
        """Watch the server as long as the block lasts, for code that is not ours."""
        if not isinstance(self.step, Step):
            raise TypeError("only a step of a revision runs code that is not ours")
        return watch(self.client, self.step)

    def books(self, *, upgrade_step: int | None = None) -> Books:
        """Where a backfill keeps its accounts: of this step, or of that step of the upgrade."""
        return books(self.writer, self.revision, self.step.number if upgrade_step is None else upgrade_step)

    def check_lease(self) -> None:
        """Raise LeaseLostError where this runner may not write any more."""
        self.writer.lease.check()

    def throttle(self) -> Throttle:
        """What holds this step back; what it says is stored as `held` of the step."""
        limits = Limits(self.options.max_rate, self.options.max_latency)
        return Throttle(self.client, self.writer.keys.pause, limits, self.check_lease, self._held)

    def _held(self, text: str) -> None:
        self.step.put({"held": text})
        if text:
            self.progress.message(text)
