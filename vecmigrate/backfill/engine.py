"""The copying pass of a backfill: scan, decode and write overlap on several connections.

Correct while services run. The source hashes are watched from before a batch is read until it is written;
where they changed in between, each item's text is compared by the server in the same step that writes it.
Existing documents are never overwritten. docs/adr/ says what this costs and why.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

import redis as redis_client
from redis.exceptions import NoScriptError, ResponseError

from vecmigrate.backfill.batch_command import EXEC, MULTI, BatchCommand
from vecmigrate.backfill.books import Books
from vecmigrate.backfill.convert import Aside, Converter, Document, Items
from vecmigrate.backfill.counts import Counts, Verified
from vecmigrate.backfill.lane import Check, Lane, Words, is_passing, open_lanes
from vecmigrate.backfill.losses import Losses
from vecmigrate.backfill.pace import Pace, round_trip
from vecmigrate.backfill.reading import Batch, Reader, Source
from vecmigrate.backfill.scripts import script
from vecmigrate.backfill.throttle import Throttle
from vecmigrate.errors import OperationError, ServerError
from vecmigrate.spec.model import IndexSpec

if TYPE_CHECKING:
    import redis

logger = logging.getLogger(__name__)

ROUNDS = 5
COPIED = "done"
# What a key of the source may be.
_KINDS = ("hash", "none")


class Backfill:
    """One legacy monolithic hash on its way into the documents of one index.

    Args:
        client: Where both live. Only its settings are used; connections are made anew.
        spec: The index that the documents are for; storage hash, one vector field.
        embeddings_key: Hash of name → JSON vector, shape `(dims,)`.
        metadata_key: Hash of name → JSON metadata.
        books: Where accounts are kept; None copies without a ledger.
        check: Raises where the run may not go on. Given, a busy server is waited for.
        throttle: What holds the run back.
    """

    def __init__(
        self,
        client: redis.Redis,
        spec: IndexSpec,
        embeddings_key: str,
        metadata_key: str,
        books: Books | None,
        *,
        check: Check | None = None,
        throttle: Throttle | None = None,
    ) -> None:
        self.client = client
        self.spec = spec
        self.embeddings_key = embeddings_key
        self.metadata_key = metadata_key
        self.books = books
        self.check = check
        self.throttle = throttle
        self.converter = Converter(spec)
        self.source = Source(embeddings_key, metadata_key, spec.vector.dims)
        self.pace = Pace()
        # Whether the next call has to bring the script, which the server did not know.
        self._by_text = False
        self._lanes: list[Lane] = []
        self.settling: Lane
        self.command: BatchCommand

    def __enter__(self) -> Backfill:
        """Open the connections, all to the same server process."""
        try:
            at_most = self.throttle.batch_seconds if self.throttle else None
            self.pace = Pace(round_trip(self.client), at_most)
            # One for names, one for what differs, those to write from, and as many to read ahead from.
            count = 2 + self.pace.most_in_flight + self._ahead
            self._lanes = open_lanes(self.client, count, self.check)
            self.settling = self._lanes.pop()
            self.settling.send(("SCRIPT", "LOAD", script("write_batch.lua").text))
            for lane in (*self._lanes, self.settling):
                lane.send(("INFO", "server"))
            seen = {_run_id(lane.receive()[-1]) for lane in (*self._lanes, self.settling)}
            if len(seen) != 1:
                raise ServerError(
                    "the server was restarted while we connected (expected one process)", hint="run it again"
                )
            self.command = BatchCommand(
                script=script("write_batch.lua"),
                books=self.books,
                embeddings_key=self.embeddings_key,
                metadata_key=self.metadata_key,
                prefix=self.spec.prefix,
                paths=self.converter.paths,
                run_id=seen.pop(),
            )
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self._close()

    def lengths(self, *others: str) -> tuple[int, ...]:
        """How many fields there are in the hashes `others`, and then in the source: items, texts of metadata.

        Raises:
            OperationError: A key of the source is no hash.
        """
        keys = (*others, self.embeddings_key, self.metadata_key)
        try:
            return tuple(map(int, self._lanes[0].ask(*(("HLEN", key) for key in keys))))
        except ResponseError as error:
            if not str(error).startswith("WRONGTYPE"):
                raise
            raise self._no_hash() from error

    def total(self) -> int:
        """How many items the source holds; raises OperationError where it is no hash."""
        return self.lengths()[0]

    def copy(self) -> Iterator[Counts]:
        """Copy what is not there yet; yields the counts after each batch, at least once.

        Raises:
            LeaseLostError: The lease was lost; nothing was written since.
            ServerWentBackError: The server lost writes of this run.
            OperationError: The source is no hash.
            redis.ConnectionError: The server is gone. What was written is in the ledger.
        """
        counts, cursor, finished = self._resume()
        if finished:
            yield counts
            return
        reader = self.reader(self._watching)
        writing: deque[Batch] = deque()

        def settled(leave: int) -> Iterator[Counts]:
            while len(writing) > leave:
                batch = writing.popleft()
                self._finish(batch, reader, counts)
                size = batch.size
                reader.release(batch)
                self.hold_back(size)
                yield counts

        for batch in self.scan(reader, cursor):
            self.convert(batch)
            yield from settled(self.pace.in_flight - 1)
            # The cursor in the ledger never runs ahead of the documents: it is where a scan has to begin that
            # brings up again all that is not acknowledged yet.
            packed = self.command.pack(batch.documents, batch.aside, cursor=reader.cursor)
            batch.sent_at = time.monotonic()
            batch.lane.send_packed(MULTI + packed + EXEC, 3)
            writing.append(batch)
        yield from settled(0)
        # A word in the place of the cursor: from here on there is nothing left to copy, whichever server
        # asks.
        self.write(self._lanes[0], [], [], cursor=COPIED)
        yield counts

    def reader(
        self,
        request: Callable[[Sequence[bytes]], tuple[list[Words], list[Words]]],
        *,
        writing: bool = True,
    ) -> Reader:
        """A reader of the whole source.

        `request` is what is asked of each batch beside its texts. Unless batches are written from their
        lanes, more of them are read ahead.
        """
        return Reader(
            self.source,
            self._lanes[0],
            self._lanes[1:],
            ahead=self._ahead if writing else len(self._lanes) - 1,
            most=self._batch_size,
            request=request,
        )

    def scan(self, reader: Reader, cursor: int) -> Iterator[Batch]:
        """The batches of `reader`; raises OperationError where the source has become something else."""
        try:
            yield from reader.batches(cursor)
        except ResponseError as error:
            if not str(error).startswith("WRONGTYPE"):
                raise
            raise self._no_hash() from error

    def convert(self, batch: Batch) -> None:
        """Make the documents of `batch` from what was read."""
        items = batch.items
        batch.documents, aside = self.converter.convert(items, self.converter.decode(items.vectors))
        batch.aside += aside
        if self.books is None:
            self._log(batch.aside)

    def read_again(self, lane: Lane, names: Sequence[bytes]) -> tuple[Items, list[Aside]]:
        """The items called `names` as they are now, and those that are too long; less those that are gone."""
        asked: list[Words] = []
        for name in names:
            asked += (("HSTRLEN", self.embeddings_key, name), ("HSTRLEN", self.metadata_key, name))
        answers = lane.ask(*asked)
        reasons = [self.source.too_long(pair) for pair in zip(answers[::2], answers[1::2], strict=True)]
        aside = [Aside(name, reason) for name, reason in zip(names, reasons, strict=True) if reason]
        wanted = [name for name, reason in zip(names, reasons, strict=True) if not reason]
        request = self.source.request(wanted)
        return self.source.items(lane, wanted, lane.ask(*request) if request else []), aside

    def convert_again(self, lane: Lane, names: Sequence[bytes]) -> tuple[list[Document], list[Aside]]:
        """The documents of `names` as they are now, and those that cannot be converted."""
        items, too_long = self.read_again(lane, names)
        documents, aside = self.converter.convert(items, self.converter.decode(items.vectors))
        return documents, [*too_long, *aside]

    def write(
        self,
        lane: Lane,
        documents: Sequence[Document],
        aside: Sequence[Aside],
        *,
        cursor: int | str = 0,
        compare: bool = False,
        verifying: bool = False,
        replace: Mapping[bytes, bytes] | None = None,
        watched: bool = False,
    ) -> list[Any] | None:
        """Call the script; its reply, or None where `watched` and what the lane watches has changed.

        A busy server is waited for; a script that the server does not know any more is sent again.
        """
        while True:
            by_text, self._by_text = self._by_text, False
            packed = self.command.pack(
                documents, aside, cursor=cursor, compare=compare, verifying=verifying, replace=replace,
                by_text=by_text,
            )  # fmt: skip  # every parameter of the batch is the same as here
            lane.send_packed(MULTI + packed + EXEC if watched else packed, 3 if watched else 1)
            try:
                answer = lane.receive()[-1]
            except NoScriptError:
                # Nothing was done; what was watched is not any more.
                self._by_text = True
                if watched:
                    return None
                continue
            except redis_client.RedisError as error:
                if not (lane.patient and is_passing(error)):
                    raise
                lane.wait()
                if watched:
                    return None
                continue
            reply: list[Any] | None = answer[0] if watched and answer is not None else answer
            if reply is not None:
                self.acknowledge(reply, documents)
            return reply

    def acknowledge(self, reply: Sequence[Any], documents: Sequence[Document]) -> None:
        """Take note of the number of a write, and log what it rejected where there is no ledger."""
        if self.books is not None:
            self.books.fence.confirmed(int(reply[8]))
            return
        foreign = reply[6]
        for position, kind in zip(foreign[::2], foreign[1::2], strict=True):
            name = documents[int(position) - 1].name
            key = self.spec.prefix + name.decode(errors="backslashreplace")
            self._log(
                [
                    Aside(
                        name,
                        f"the key {key} is taken: its type is {kind.decode()} (expected hash, or no key)",
                    )
                ]
            )

    def verify(self, losses: Losses) -> Iterator[Verified]:
        """Compare every item of the source with its document, and settle what differs; see `verify.py`."""
        # Imported here because the two know each other: verifying is copying with another question.
        from vecmigrate.backfill.verify import verify

        if self.books is None:
            raise OperationError("verifying needs the accounts of a ledger (expected a backfill with books)")
        return verify(self, self.books, losses)

    def hold_back(self, items: int) -> None:
        """`items` more are done: return when the next may follow."""
        if self.throttle is not None:
            self.throttle.passed(items)

    def _finish(self, batch: Batch, reader: Reader, counts: Counts) -> None:
        """Read what became of `batch`; where its source changed meanwhile, write it item by item."""
        outcome = None
        try:
            outcome = batch.lane.receive()[2]
        except NoScriptError:
            # Somebody flushed the scripts. Nothing of the batch was written.
            self._by_text = True
        except redis_client.RedisError as error:
            # Nor was it where the server was busy with something else.
            if not (batch.lane.patient and is_passing(error)):
                raise
            batch.lane.wait()
        if outcome is not None:
            reply = outcome[0]
            seconds = self.pace.server_seconds(int(reply[7]), time.monotonic() - batch.sent_at)
            self.pace.took(seconds, batch.size)
            self.acknowledge(reply, batch.documents)
            _count(counts, reply)
            return
        documents, aside = self._with_expiry(batch.lane, batch.documents), batch.aside
        for _ in range(ROUNDS):
            # What changes faster than this is settled by the verifying pass.
            answer = self.write(batch.lane, documents, aside, cursor=reader.cursor, compare=True)
            assert answer is not None  # noqa: S101 - nothing is watched
            _count(counts, answer)
            changed = [documents[position - 1].name for position in answer[4]]
            if not changed:
                return
            documents, aside = self.convert_again(batch.lane, changed)

    def _batch_size(self) -> int:
        largest = self.throttle.largest if self.throttle is not None else None
        return self.pace.items if largest is None else min(self.pace.items, largest)

    @property
    def _ahead(self) -> int:
        return 1 + self.pace.most_in_flight

    def _watching(self, names: Sequence[bytes]) -> tuple[list[Words], list[Words]]:
        return [("WATCH", self.embeddings_key, self.metadata_key)], []

    def _with_expiry(self, lane: Lane, documents: list[Document]) -> list[Document]:
        """`documents`, to expire when their items do now: that too may have changed, unseen by the script."""
        if not documents:
            return documents
        names = [document.name for document in documents]
        times = self.source.times(lane, names, lane.ask(*self.source.expiry_request(names)))
        return [document._replace(expires_at=at) for document, at in zip(documents, times, strict=True)]

    def _resume(self) -> tuple[Counts, int, bool]:
        """The counts so far, the cursor to go on from, and whether the copying pass is done."""
        if self.books is None:
            return Counts(), 0, False
        cursor, given_by, *numbers = self.books.read(
            self.client, "cursor", "run_id", "done", "skipped", "rejected", "remarks"
        )
        counts = Counts(*(int(number or 0) for number in numbers))
        if cursor == COPIED:
            return counts, 0, True
        # A cursor means nothing to another server process: then the scan starts again, which is harmless.
        return counts, int(cursor) if cursor and given_by == self.command.run_id else 0, False

    def _no_hash(self) -> OperationError:
        # On a connection of its own: answers may be owed on the others.
        lane = Lane(self.client)
        try:
            keys = (self.embeddings_key, self.metadata_key)
            answers = lane.ask(*(("TYPE", key) for key in keys))
            kinds = {key: kind.decode() for key, kind in zip(keys, answers, strict=True)}
        finally:
            lane.close()
        wrong = [f"{key!r} is no hash but a {kind}" for key, kind in kinds.items() if kind not in _KINDS]
        found = ", ".join(wrong) or "a key of the source is no hash, or was none for a moment"
        return OperationError(
            f"{found} (expected two hashes, or nothing)",
            hint="give the right keys by -x, or in the migration",
        )

    def _log(self, aside: Sequence[Aside]) -> None:
        # Without a ledger the log is the only place for what was rejected.
        for item in aside:
            name = item.name.decode(errors="backslashreplace")
            logger.warning("%s: %s was set aside: %s", self.embeddings_key, name, item.reason)

    def _close(self) -> None:
        for lane in self._lanes:
            lane.close()
        if hasattr(self, "settling"):
            self.settling.close()


def _run_id(answer: bytes) -> str:
    text = answer.decode()
    return str(dict(line.split(":", 1) for line in text.splitlines() if ":" in line)["run_id"])


def _count(counts: Counts, outcome: Sequence[Any]) -> None:
    counts.written += int(outcome[0])
    counts.existing += int(outcome[1])
    counts.rejected += int(outcome[2])
    counts.remarks += int(outcome[5])
