"""The copying pass of a backfill: scan, decode and write overlap on three connections.

Correct while services run. The source hashes are watched from before a batch is read until it is written;
where they changed in between, each item's text is compared by the server in the same step that writes it.
Existing documents are never overwritten. docs/adr/ says what this costs and why.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import resources
from types import TracebackType
from typing import TYPE_CHECKING, Any

from redis.exceptions import NoScriptError, ResponseError

from vecmigrate.backfill.batch_command import EXEC, MULTI, BatchCommand
from vecmigrate.backfill.books import Books
from vecmigrate.backfill.convert import Aside, Converter, Document, Items
from vecmigrate.backfill.counts import Counts, Verified
from vecmigrate.backfill.lane import Lane, Words
from vecmigrate.backfill.pace import Pace
from vecmigrate.errors import OperationError, ServerError
from vecmigrate.spec.model import IndexSpec

if TYPE_CHECKING:
    import redis

logger = logging.getLogger(__name__)

LANES = 3
ROUNDS = 5
COPIED = "done"

# Redis 7.4 and newer say how many hashes of a database have fields that expire.
_EXPIRING_FIELDS = re.compile(rb"subexpiry=([1-9]\d*)")


@dataclass(slots=True)
class Batch:
    """What one HSCAN returned, and what was made of it. `cursor` is where the next one starts."""

    lane: Lane
    cursor: int
    names: list[bytes]
    vectors: list[bytes]
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
        self,
        client: redis.Redis,
        spec: IndexSpec,
        embeddings_key: str,
        metadata_key: str,
        books: Books | None,
    ) -> None:
        self.client = client
        self.spec = spec
        self.embeddings_key = embeddings_key
        self.metadata_key = metadata_key
        self.books = books
        self.converter = Converter(spec)
        self.pace = Pace()
        self._lanes: list[Lane] = []
        self._expiring_fields = False
        self.command: BatchCommand

    def __enter__(self) -> Backfill:
        """Open the connections, all to the same server process."""
        try:
            self._lanes = [Lane(self.client) for _ in range(LANES)]
            seen = {_run_id(lane) for lane in self._lanes}
            if len(seen) != 1:
                raise ServerError(
                    "the server was restarted while we connected (one process)", hint="run it again"
                )
            self.command = BatchCommand(
                sha=self._load_script(),
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
            self.convert(batch, batch.lane.receive)
            if writing is not None:
                # Acknowledged before the next is sent: the cursor in the ledger never runs ahead of the
                # documents.
                self._finish(writing, counts)
                yield counts
            packed = self.command.pack(batch.documents, batch.aside, cursor=batch.cursor)
            batch.sent_at = time.monotonic()
            batch.lane.send_packed(MULTI + packed + EXEC, 3)
            writing = batch
        if writing is not None:
            self._finish(writing, counts)
        # A word in the place of the cursor: from here on there is nothing left to copy, whichever server
        # asks.
        self.write(self._lanes[0], self.command.pack([], [], cursor=COPIED))
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
            # The small question first: the server would answer it after the scan otherwise.
            batch.lane.send(*(self._metadata_request(batch.names) if batch.names else [("UNWATCH",)]))
            if more:
                lane = (lane + 1) % LANES
                self._ask_batch(self._lanes[lane], batch.cursor)
            if batch.names:
                yield batch
            else:
                batch.lane.receive()
            if not more:
                return

    def convert(self, batch: Batch, answers: Callable[[], Sequence[Any]]) -> None:
        """Make the documents of `batch`; `answers` reads its metadata, which comes during the decoding."""
        decoded = self.converter.decode(batch.vectors)
        items = _items(batch.names, batch.vectors, answers())
        batch.documents, batch.aside = self.converter.convert(items, decoded)
        if self.books is None:
            # Without a ledger the log is the only place for what was set aside.
            for item in batch.aside:
                name = item.name.decode(errors="backslashreplace")
                logger.warning("%s: %s was set aside: %s", self.embeddings_key, name, item.reason)

    def read_again(self, lane: Lane, names: Sequence[bytes]) -> Items:
        """The items called `names` as they are now; those that are gone are left out."""
        texts, *answers = lane.ask(("HMGET", self.embeddings_key, *names), *self._metadata_request(names))
        items = _items(list(names), texts, answers)
        there = [place for place, text in enumerate(texts) if text is not None]
        return Items(
            [items.names[place] for place in there],
            [items.vectors[place] for place in there],
            [items.metadata[place] for place in there],
            [items.expires_at[place] for place in there],
        )

    def write(self, lane: Lane, packed: bytes) -> list[Any]:
        """Call the script with `packed` words, outside a transaction; its reply."""
        lane.send_packed(packed, 1)
        reply: list[Any] = lane.receive()[0]
        return reply

    def verify(self) -> Iterator[Verified]:
        """Compare every item of the source with its document, and settle what differs; see `verify.py`."""
        # Imported here because the two know each other: verifying is copying with another question.
        from vecmigrate.backfill.verify import verify

        if self.books is None:
            raise OperationError("verifying needs the accounts of a ledger (a backfill with books)")
        return verify(self, self.books)

    def _finish(self, batch: Batch, counts: Counts) -> None:
        """Read what became of `batch`; where its source changed meanwhile, write it item by item."""
        try:
            outcome = batch.lane.receive()[2]
        except NoScriptError:
            # Somebody flushed the scripts. Nothing of the batch was written.
            self._load_script()
            outcome = None
        self.pace.took(time.monotonic() - batch.sent_at, len(batch.names))
        if outcome is not None:
            _count(counts, outcome[0])
            return
        documents, aside = self._with_expiry(batch.lane, batch.documents), batch.aside
        for _ in range(ROUNDS):
            # What changes faster than this is settled by the verifying pass.
            answer = self.write(
                batch.lane, self.command.pack(documents, aside, cursor=batch.cursor, compare=True)
            )
            _count(counts, answer)
            changed = [documents[position - 1].name for position in answer[4]]
            if not changed:
                return
            items = self.read_again(batch.lane, changed)
            documents, aside = self.converter.convert(items, self.converter.decode(items.vectors))

    def _ask_batch(self, lane: Lane, cursor: int) -> None:
        lane.send(
            ("WATCH", self.embeddings_key, self.metadata_key),
            ("HSCAN", self.embeddings_key, cursor, "COUNT", self.pace.items),
            ("INFO", "keyspace"),
        )

    def _take_batch(self, lane: Lane) -> Batch:
        _, (cursor, flat), keyspace = lane.receive()
        self._expiring_fields = _EXPIRING_FIELDS.search(keyspace) is not None
        # A scan may bring one item up twice; in one batch the first is enough.
        found = dict(zip(flat[::2], flat[1::2], strict=True))
        return Batch(lane, int(cursor), list(found), list(found.values()))

    def _with_expiry(self, lane: Lane, documents: list[Document]) -> list[Document]:
        """`documents`, to expire when their items do now: that too may have changed, unseen by the script."""
        if not documents:
            return documents
        self._expiring_fields = _EXPIRING_FIELDS.search(lane.ask(("INFO", "keyspace"))[0]) is not None
        answers = lane.ask(*self._expiry_request([document.name for document in documents]))
        times = _times(len(documents), answers)
        return [document._replace(expires_at=at) for document, at in zip(documents, times, strict=True)]

    def _metadata_request(self, names: Sequence[bytes]) -> list[Words]:
        """What is asked about items beside their vectors."""
        return [("HMGET", self.metadata_key, *names), *self._expiry_request(names)]

    def _expiry_request(self, names: Sequence[bytes]) -> list[Words]:
        asked: list[Words] = [("PEXPIRETIME", self.embeddings_key)]
        if self._expiring_fields:
            asked.append(("HPEXPIRETIME", self.embeddings_key, "FIELDS", len(names), *names))
        return asked

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

    def _load_script(self) -> str:
        text = resources.files("vecmigrate.backfill").joinpath("write_batch.lua").read_text()
        sha: str = self._lanes[0].ask(("SCRIPT", "LOAD", text))[0].decode()
        return sha

    def _close(self) -> None:
        for lane in self._lanes:
            lane.close()


def _items(names: list[bytes], vectors: list[bytes], answers: Sequence[Any]) -> Items:
    """Items from their names, the texts of their vectors and the answers to `_metadata_request`."""
    metadata, *expiry = answers
    return Items(names, vectors, metadata, _times(len(names), expiry))


def _times(count: int, answers: Sequence[Any]) -> list[int]:
    """When each of `count` items expires, from the answers to `_expiry_request`; 0 for never."""
    whole, *own = answers
    # -1 and -2 say that a key or a field never expires or is not there.
    if own and own[0]:
        return [min((at for at in (int(whole), int(each)) if at > 0), default=0) for each in own[0]]
    return [max(int(whole), 0)] * count


def _run_id(lane: Lane) -> str:
    text = lane.ask(("INFO", "server"))[0].decode()
    return str(dict(line.split(":", 1) for line in text.splitlines() if ":" in line)["run_id"])


def _count(counts: Counts, outcome: Sequence[Any]) -> None:
    counts.written += int(outcome[0])
    counts.existing += int(outcome[1])
    counts.rejected += int(outcome[2])
    counts.remarks += int(outcome[5])
