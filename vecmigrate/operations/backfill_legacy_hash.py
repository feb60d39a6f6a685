"""backfill_legacy_hash: one document an item out of a legacy monolithic hash, while services run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from vecmigrate.errors import OperationError, TooManyDeletesError, TooManyRejectsError
from vecmigrate.operations.base import Command, Context, Operation, RunOptions, SearchServer
from vecmigrate.operations.eviction import check_eviction
from vecmigrate.operations.state import State

if TYPE_CHECKING:
    from vecmigrate.backfill.counts import Verified
    from vecmigrate.backfill.engine import Backfill
    from vecmigrate.backfill.losses import Losses


@dataclass(frozen=True, slots=True)
class BackfillLegacyHash(Operation):
    """Read `embeddings_key` (field → JSON vector) and `metadata_key` (field → JSON metadata) into `name`."""

    kind: ClassVar[str] = "backfill_legacy_hash"
    name: str
    embeddings_key: str
    metadata_key: str

    @property
    def target(self) -> str:
        """The name of the spec."""
        return self.name

    def apply(self, state: State, revision: str) -> State:
        """The state as it is; raises OperationError where the index cannot take such documents."""
        spec = state.get(self.name).spec
        if spec.index.storage != "hash":
            raise OperationError(
                f"backfill_legacy_hash writes hashes, and index {self.name!r} stores {spec.index.storage} "
                "(storage: hash)",
                hint="use op.run with a function of your own",
            )
        if len(spec.vectors) != 1:
            raise OperationError(
                f"index {self.name!r} has {len(spec.vectors)} vector fields "
                "(one: a legacy hash holds one vector an item)",
                hint="use op.run with a function of your own",
            )
        return state

    def describe(self, state: State, revision: str) -> Sequence[Command]:
        """The commands of one batch; each is repeated until the cursor is back at 0."""
        spec = state.get(self.name).spec
        fields = [word for item in spec.fields for word in (item.path, f"<{item.name}>")]
        return (
            ("WATCH", self.embeddings_key, self.metadata_key),
            ("HSCAN", self.embeddings_key, "<cursor>", "COUNT", "<batch>"),
            ("HMGET", self.embeddings_key, "<name>", "..."),
            ("HMGET", self.metadata_key, "<name>", "..."),
            ("HSET", f"{spec.prefix}<name>", *fields),
        )

    def check_server(self, search: SearchServer, options: RunOptions) -> None:
        """Refuse a server that may evict what is written, or what it is read from."""
        check_eviction(search.memory(), options)

    def run(self, context: Context) -> None:
        """Copy what is not there yet, then verify; TooManyRejectsError, TooManyDeletesError past a limit."""
        # Imported here: it needs redis and numpy, and recording a migration needs neither.
        from vecmigrate.backfill.engine import Backfill
        from vecmigrate.backfill.server import evictions

        spec = context.state.get(self.name).spec
        throttle = context.throttle()
        backfill = Backfill(
            context.client,
            spec,
            self.embeddings_key,
            self.metadata_key,
            context.books(),
            check=context.check_lease,
            throttle=throttle,
        )
        try:
            with backfill:
                begun = self._begin(context, backfill)
                context.progress.start(f"backfill {self.name} from {self.embeddings_key}", begun.total)
                for counts in backfill.copy():
                    context.check_lease()
                    context.progress.advance(counts.seen, **counts.outcomes())
                    self._check(context, counts.rejected - begun.rejected, counts.seen, final=False)
                context.progress.finish(str(counts))
                context.progress.start(f"verify {self.name} against {self.embeddings_key}", backfill.total())
                for found in self._verify(context, backfill, begun.losses):
                    context.check_lease()
                    context.progress.advance(found.seen, **found.outcomes())
                evicted, run_id = evictions(context.client)
                evicted -= begun.evicted if run_id == begun.run_id else 0
                if evicted:
                    found.blame_eviction()
                    context.progress.message(
                        f"the server evicted {evicted:,} keys since this step began; which of them were "
                        f"documents of {self.name!r} or its source, nobody can tell"
                    )
                context.progress.finish(str(found))
        finally:
            throttle.close()
        context.step.put(found.as_record())
        found.raise_if_missing(self.name)
        self._check(context, found.rejected, found.seen, final=True)

    def _begin(self, context: Context, backfill: Backfill) -> _Begun:
        """Look at source and server before anything is written, and remember what was there at first."""
        from vecmigrate.backfill.losses import DEFAULT_LIMIT, Losses
        from vecmigrate.backfill.server import check_fit, evictions, typical_lengths

        books = context.books()
        rejected, items_then, metadata_then, evicted, evicted_by = books.read(
            context.client, "rejected", "source_items", "source_metadata", "evicted", "evicted_by"
        )
        memory = context.search.memory()
        check_eviction(memory, context.options)
        there, total, metadata = backfill.lengths(books.items)
        if memory.maximum is not None and not context.options.allow_eviction:
            check_fit(memory, backfill, total - there, typical_lengths(backfill))
        # What the source held when this step was first begun, or has held since, whichever is more.
        items = max(total, int(items_then or 0))
        metadata = max(metadata, int(metadata_then or 0))
        evicted_now, run_id = evictions(context.client)
        if evicted_by != run_id:
            # Another process counts from 0 again.
            evicted = "0" if evicted_by else str(evicted_now)
        context.step.put(
            {
                "source_items": items,
                "source_metadata": metadata,
                "evicted": evicted or "0",
                "evicted_by": run_id,
            }
        )
        limit = context.options.max_deletes or DEFAULT_LIMIT
        losses = Losses(limit, items, metadata, self.embeddings_key, self.metadata_key)
        # Those that an earlier run set aside may have been mended since: only verifying can tell.
        return _Begun(losses, total, int(rejected or 0), int(evicted or 0), run_id)

    def _verify(self, context: Context, backfill: Backfill, losses: Losses) -> Iterator[Verified]:
        try:
            yield from backfill.verify(losses)
        except TooManyDeletesError:
            # What is missing now may come back as a whole, and copying is quicker at that.
            context.step.put({"cursor": 0})
            raise

    @staticmethod
    def _check(context: Context, rejected: int, seen: int, *, final: bool) -> None:
        limit = context.options.max_rejects
        # A share means little before everything was seen; a number is final as soon as it is passed.
        if limit is None or (limit.share is not None and not final):
            return
        if limit.exceeded(rejected, seen):
            raise TooManyRejectsError(
                f"{rejected} of {seen} items were set aside (at most {limit}, by --max-rejects)",
                hint="see `vecmigrate rejects`, mend the source or raise the limit, and upgrade again",
            )

    def revert(self, step: int, state: State) -> Operation:
        """Remove what this step wrote and nobody changed since."""
        return RemoveBackfilled(self.name, step)


@dataclass(frozen=True, slots=True)
class _Begun:
    """What was there when a backfill began: its source, items rejected before, and keys that were evicted."""

    losses: Losses
    total: int
    rejected: int
    evicted: int
    run_id: str


@dataclass(frozen=True, slots=True)
class RemoveBackfilled(Operation):
    """Delete the documents that a backfill of this revision wrote, except those that were changed since."""

    kind: ClassVar[str] = "remove_backfilled"
    name: str
    upgrade_step: int

    @property
    def target(self) -> str:
        """The name of the spec."""
        return self.name

    def apply(self, state: State, revision: str) -> State:
        """The state as it is."""
        state.get(self.name)
        return state

    def describe(self, state: State, revision: str) -> Sequence[Command]:
        """One DEL for each document that still is what the backfill wrote."""
        return (("DEL", f"{state.get(self.name).spec.prefix}<name>"),)

    def run(self, context: Context) -> None:
        """Go through what the ledger says was written; compare, and delete in one step."""
        # Imported here: it needs redis, and recording a migration does not.
        from vecmigrate.backfill.undo import remove_written

        spec = context.state.get(self.name).spec
        books = context.books(upgrade_step=self.upgrade_step)
        context.progress.start(
            f"remove what the backfill of {self.name} wrote", books.count_items(context.client)
        )
        removed = kept = 0
        throttle = context.throttle()
        try:
            for removed, kept in remove_written(
                context.client, spec, books, check=context.check_lease, throttle=throttle
            ):
                context.check_lease()
                context.progress.advance(removed + kept, removed=removed, kept=kept)
        finally:
            throttle.close()
        context.step.put({"removed": removed, "kept": kept})
        context.progress.finish(f"{removed} removed, {kept} changed since and kept")

    def revert(self, step: int, state: State) -> Operation:
        """There is none: the upgrade does it again."""
        return Operation.revert(self, step, state)
