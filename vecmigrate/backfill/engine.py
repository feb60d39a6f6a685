"""The copying pass of a backfill: scan, decode and write overlap on three connections.

Correct while services run. The source hashes are watched from before a batch is read until it is written; where
they changed in between, each item's text is compared by the server in the same step that writes it. Existing
documents are never overwritten. See docs/adr for what this costs and why.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha1
from importlib import resources
from types import TracebackType
from typing import TYPE_CHECKING, Any

from redis.exceptions import NoScriptError, ResponseError

from vecmigrate.backfill.books import Books
from vecmigrate.backfill.convert import Aside, Converter, Document, Source
from vecmigrate.backfill.counts import Counts, Verified
from vecmigrate.backfill.lane import Lane, Words
from vecmigrate.backfill.pace import Pace
from vecmigrate.errors import OperationError, ServerError
from vecmigrate.spec.model import IndexSpec

if TYPE_CHECKING:
    import redis

LANES = 3
ROUNDS = 5
COPIED = "done"
# HPEXPIRETIME came with Redis 7.4.
FIELD_EXPIRY_SINCE = (7, 4, 0)


@dataclass(slots=True)
class Batch:
    """What one HSCAN returned, and what was made of it."""

    lane: Lane
    cursor: int
    items: list[Source]
    documents: list[Document] = field(default_factory=list)
    aside: list[Aside] = field(default_factory=list)
    sent_at: float = 0.0


class Backfill:
    """One legacy monolithic hash on its way into the documents of one index.

    Args:
        client: Where both live. Only its settings are used; connections are made anew.
        spec: The index that the documents are for; storage hash, one vector field.
        embeddings_key: Hash of name → JSON vector, shape `(dims,)`.
        metadata_key: Hash of name → JSON metadata.
        books: Where accounts are kept; None copies without a ledger.
    """

    def __init__(
        self, client: redis.Redis, spec: IndexSpec, embeddings_key: str, metadata_key: str, books: Books | None
    ) -> None:
        self.client = client
        self.spec = spec
        self.embeddings_key = embeddings_key
        self.metadata_key = metadata_key
        self.books = books
        self.converter = Converter(spec)
        self.pace = Pace()
        self.run_id = ""
        self._lanes: list[Lane] = []
        self._sha = ""
        self._field_expiry = False

    def __enter__(self) -> Backfill:
        """Open the connections, all to the same server process."""
        try:
            self._lanes = [Lane(self.client) for _ in range(LANES)]
            seen = {self._look(lane) for lane in self._lanes}
            if len(seen) != 1:
                raise ServerError("the server was restarted while we connected (one process)", hint="run it again")
            self._load_script()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self._close()

    def total(self) -> int:
        """How many items the source holds now; raises OperationError where it is no hash."""
        try:
            return int(self._lanes[0].ask(("HLEN", self.embeddings_key), ("HLEN", self.metadata_key))[0])
        except ResponseError as error:
            raise OperationError(
                f"{self.embeddings_key!r} or {self.metadata_key!r} is no hash (two hashes, or nothing)",
                hint=f"give the right keys by -x, or in the migration; the server says: {error}",
            ) from error

    def copy(self) -> Iterator[Counts]:
        """Copy what is not there yet; yields the counts after each batch, at least once.

        Raises:
            LeaseLostError: The lease was lost; nothing was written since.
            redis.ConnectionError: The server is gone. What was written is in the ledger.
        """
        counts, cursor, finished = self._resume()
        if finished:
            yield counts
            return
        writing: Batch | None = None
        for batch in self.scan(cursor):
            self.convert(batch, self._metadata(batch))
            if writing is not None:
                self._finish(writing, counts)
                yield counts
            self._write(batch)
            writing = batch
        if writing is not None:
            self._finish(writing, counts)
        # A word in the place of the cursor: from here on there is nothing left to copy, whichever server asks.
        self._lanes[0].ask(self.write_words([], [], cursor=COPIED))
        yield counts

    def scan(self, cursor: int) -> Iterator[Batch]:
        """Every batch of the source from `cursor` on, each with a request for its metadata under way.

        While the caller works on one batch, the server is already looking for the next.
        """
        lane = 0
        self._ask_batch(self._lanes[lane], cursor)
        while True:
            batch = self._take_batch(self._lanes[lane])
            more = batch.cursor != 0
            if more:
                lane = (lane + 1) % LANES
                self._ask_batch(self._lanes[lane], batch.cursor)
            if batch.items:
                batch.lane.send(*self.metadata_request([item.name for item in batch.items]))
                yield batch
            else:
                batch.lane.ask(("UNWATCH",))
            if not more:
                return

    def metadata_request(self, names: Sequence[bytes]) -> list[Words]:
        """What is asked about `names` beside their vectors: metadata and, where there is such a thing, expiry."""
        asked: list[Words] = [("HMGET", self.metadata_key, *names), ("PEXPIRETIME", self.embeddings_key)]
        if self._field_expiry:
            asked.append(("HPEXPIRETIME", self.embeddings_key, "FIELDS", len(names), *names))
        return asked

    def with_metadata(self, items: Sequence[Source], answers: Sequence[Any]) -> list[Source]:
        """`items` completed by the answers to `metadata_request`."""
        metadata, whole = answers[0], int(answers[1])
        each = answers[2] if len(answers) > 2 and answers[2] else [-1] * len(items)  # noqa: PLR2004  # the third answer
        complete = []
        for item, text, own in zip(items, metadata, each, strict=True):
            times = [at for at in (whole, int(own)) if at > 0]
            complete.append(Source(item.name, item.vector, text, min(times, default=0)))
        return complete

    def convert(self, batch: Batch, items: Sequence[Source]) -> None:
        """Make the documents of `batch`."""
        batch.items = list(items)
        batch.documents, batch.aside = self.converter.convert(batch.items)

    def write_words(  # noqa: PLR0913  # one call of the script, which has these parameters
        self,
        documents: Sequence[Document],
        aside: Sequence[Aside],
        *,
        cursor: int | str = 0,
        compare: bool = False,
        verifying: bool = False,
        replace: bytes = b"",
    ) -> Words:
        """The EVALSHA that writes `documents` and `aside` (write_batch.lua)."""
        books = self.books
        keys: list[str] = [books.lease, books.steps, books.items, books.rejects] if books else ["", "", "", ""]
        words: list[str | bytes | int] = ["EVALSHA", self._sha, 6, *keys, self.embeddings_key, self.metadata_key]
        words += [books.identity if books else "", books.prefix if books else "", cursor, self.run_id]
        words += [int(compare), int(verifying), books.step if books else 0, self.spec.prefix]
        words += [len(documents), len(aside)]
        for document in documents:
            source = document.source
            sums = (_sum(source.vector), _sum(source.metadata)) if compare else ("", "")
            words += [source.name, document.digest, source.expires_at, replace, *sums]
            words += [document.remark, 2 * len(document.fields)]
            for name, value in document.fields.items():
                words += [name, value]
        for item in aside:
            words += [item.source.name, self.embeddings_key, item.reason]
        return words

    def verify(self) -> Iterator[Verified]:
        """Compare every item of the source with its document, and settle what differs; see `verify.py`."""
        # Imported here because the two know each other: verifying is copying with another question.
        from vecmigrate.backfill.verify import verify  # noqa: PLC0415

        if self.books is None:
            raise OperationError("verifying needs the accounts of a ledger (a backfill with books)")
        return verify(self, self.books)

    def read_again(self, lane: Lane, names: Sequence[bytes]) -> list[Source]:
        """The items called `names` as they are now; those that are gone are left out."""
        texts, *answers = lane.ask(("HMGET", self.embeddings_key, *names), *self.metadata_request(names))
        items = self.with_metadata([Source(name, text or b"", None) for name, text in zip(names, texts, strict=True)], answers)
        return [item for item, text in zip(items, texts, strict=True) if text is not None]

    def _write(self, batch: Batch) -> None:
        words = self.write_words(batch.documents, batch.aside, cursor=batch.cursor)
        batch.sent_at = time.monotonic()
        batch.lane.send(("MULTI",), words, ("EXEC",))

    def _finish(self, batch: Batch, counts: Counts) -> None:
        """Read what became of `batch`; where its source changed meanwhile, write it item by item."""
        try:
            outcome = batch.lane.receive()[2]
        except NoScriptError:
            # Somebody flushed the scripts. Nothing of the batch was written.
            self._load_script()
            outcome = None
        self.pace.took(time.monotonic() - batch.sent_at, len(batch.items))
        if outcome is not None:
            _count(counts, outcome[0])
            return
        documents, aside = batch.documents, batch.aside
        for attempt in range(ROUNDS):
            # What is set aside while the source changes is looked at again by the verify pass.
            final = self.write_words(documents, aside if attempt == 0 else [], cursor=batch.cursor, compare=True)
            answer = batch.lane.ask(final)[0]
            _count(counts, answer)
            changed = [documents[position - 1].source.name for position in answer[4]]
            if not changed:
                return
            documents, more = self.converter.convert(self.read_again(batch.lane, changed))
            if more:
                _count(counts, batch.lane.ask(self.write_words([], more, cursor=batch.cursor))[0])
            if not documents:
                return

    def lane(self) -> Lane:
        """A connection for questions of one's own, while no scan is under way."""
        return self._lanes[0]

    def _ask_batch(self, lane: Lane, cursor: int) -> None:
        lane.send(
            ("WATCH", self.embeddings_key, self.metadata_key),
            ("HSCAN", self.embeddings_key, cursor, "COUNT", self.pace.items),
        )

    def _take_batch(self, lane: Lane) -> Batch:
        cursor, flat = lane.receive()[1]
        # A scan may bring one item up twice; in one batch the first is enough.
        found = dict(zip(flat[::2], flat[1::2], strict=True))
        return Batch(lane, int(cursor), [Source(name, text, None) for name, text in found.items()])

    def _metadata(self, batch: Batch) -> list[Source]:
        return self.with_metadata(batch.items, batch.lane.receive())

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
        return counts, int(cursor) if cursor and given_by == self.run_id else 0, False

    def _look(self, lane: Lane) -> str:
        text = lane.ask(("INFO", "server"))[0].decode()
        values = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        version = tuple(int(part) for part in values["redis_version"].split(".")[:3])
        self._field_expiry = version >= FIELD_EXPIRY_SINCE
        self.run_id = values["run_id"]
        return self.run_id

    def _load_script(self) -> None:
        text = resources.files("vecmigrate.backfill").joinpath("write_batch.lua").read_text()
        self._sha = self._lanes[0].ask(("SCRIPT", "LOAD", text))[0].decode()

    def _close(self) -> None:
        for lane in self._lanes:
            lane.close()


def _sum(text: bytes | None) -> str:
    # SHA-1 because that is what the server's Lua has; it guards against change, not against malice.
    return sha1(text or b"", usedforsecurity=False).hexdigest()


def _count(counts: Counts, outcome: Sequence[Any]) -> None:
    counts.written += int(outcome[0])
    counts.existing += int(outcome[1])
    counts.rejected += int(outcome[2])
    counts.remarks += int(outcome[5])
