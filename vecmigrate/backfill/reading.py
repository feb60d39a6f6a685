"""Reading a legacy hash in batches of bounded size, several of them ahead.

First come names and lengths, a page at a time; they are small, so one round trip brings many. Then come the
texts, batch by batch, over as many connections as the network's round trip takes to be filled.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from vecmigrate.backfill.convert import Aside, Document, Items
from vecmigrate.backfill.lane import Lane, Words
from vecmigrate.backfill.scripts import script

PAGE = 1000
# So many bytes of texts at most are in one batch, unless a single item has more.
BATCH_BYTES = 4 * 1024 * 1024
# Python writes a double in 24 letters at most; others write more, and white space. What is longer than this
# is none of that, and shorter texts are worth a closer look.
BYTES_A_NUMBER = 1024
LONGEST_VECTOR = 128 * 1024
LONGEST_METADATA = 8 * 1024 * 1024

# Redis 7.4 and newer say how many hashes of a database have fields that expire.
_EXPIRING_FIELDS = re.compile(rb"subexpiry=([1-9]\d*)")


@dataclass(slots=True)
class Page:
    """What one scan returned: names, the lengths of their two texts, and how much is under way or to come.

    `start` is the cursor that brings this page again.
    """

    start: int
    names: list[bytes]
    lengths: list[tuple[int, int]]
    begun: int = 0
    under_way: int = 0

    @property
    def done(self) -> bool:
        """Whether everything of it was dealt with."""
        return self.begun == len(self.names) and not self.under_way


@dataclass(slots=True)
class Batch:
    """Some names of a page, what was read of them, and what was made of that."""

    page: Page
    names: list[bytes]
    aside: list[Aside]
    lane: Lane
    items: Items = field(default_factory=lambda: Items([], [], [], []))
    documents: list[Document] = field(default_factory=list)
    extra: list[Any] = field(default_factory=list)
    sent_at: float = 0.0

    @property
    def size(self) -> int:
        """How many items it has."""
        return len(self.names) + len(self.aside)


class Source:
    """The two legacy hashes, and how their texts are asked for.

    Args:
        embeddings_key: Hash of name → JSON vector.
        metadata_key: Hash of name → JSON metadata.
        dims: How many numbers a vector has.
    """

    def __init__(self, embeddings_key: str, metadata_key: str, dims: int) -> None:
        self.embeddings_key = embeddings_key
        self.metadata_key = metadata_key
        self.dims = dims
        self.longest_vector = max(LONGEST_VECTOR, dims * BYTES_A_NUMBER)
        self.expiring_fields = False

    def pages(self, lane: Lane, cursor: int) -> Iterator[Page]:
        """Names and lengths from `cursor` on; the next page is looked for while the caller works."""
        self._ask_page(lane, cursor)
        while True:
            reply, names, vectors, metadata = lane.receive()[0]
            start, cursor = cursor, int(reply)
            if cursor:
                self._ask_page(lane, cursor)
            # A scan may bring one item up twice; in one page the first is enough.
            found = dict(zip(names, zip(vectors, metadata, strict=True), strict=True))
            yield Page(start, list(found), list(found.values()))
            if not cursor:
                return

    def too_long(self, lengths: tuple[int, int]) -> str | None:
        """Why texts of these lengths cannot be used, without having seen them; None where they may be."""
        vector, metadata = lengths
        if vector > self.longest_vector:
            most = f"{self.dims} numbers, so at most {self.longest_vector:,}"
            return f"a text of {vector:,} bytes (expected {most})"
        if metadata > LONGEST_METADATA:
            return f"the metadata has {metadata:,} bytes (expected at most {LONGEST_METADATA:,})"
        return None

    def take(self, page: Page, most: int) -> tuple[list[bytes], list[Aside]]:
        """The next names of `page` that are read together, at most `most`, and those that are too long."""
        names: list[bytes] = []
        aside: list[Aside] = []
        size = 0
        while page.begun < len(page.names) and len(names) + len(aside) < most:
            name, lengths = page.names[page.begun], page.lengths[page.begun]
            reason = self.too_long(lengths)
            if reason is not None:
                aside.append(Aside(name, reason))
            elif names and size + sum(lengths) > BATCH_BYTES:
                break
            else:
                names.append(name)
                size += sum(lengths)
            page.begun += 1
        return names, aside

    def request(self, names: Sequence[bytes]) -> list[Words]:
        """What is asked to read `names`; `items` makes items of the answers."""
        if not names:
            return []
        asked: list[Words] = [
            ("HMGET", self.embeddings_key, *names),
            ("HMGET", self.metadata_key, *names),
            *self.expiry_request(names),
        ]
        return asked

    def expiry_request(self, names: Sequence[bytes]) -> list[Words]:
        """What is asked to learn when `names` expire."""
        asked: list[Words] = [("INFO", "keyspace"), ("PEXPIRETIME", self.embeddings_key)]
        if self.expiring_fields:
            asked.append(self._field_expiry(names))
        return asked

    def items(self, lane: Lane, names: Sequence[bytes], answers: Sequence[Any]) -> Items:
        """The items called `names`, less those that are gone, from the answers to `request`."""
        if not names:
            return Items([], [], [], [])
        vectors, metadata, *expiry = answers
        times = self.times(lane, names, expiry)
        if None not in vectors:
            return Items(list(names), vectors, metadata, times)
        there = [place for place, text in enumerate(vectors) if text is not None]
        return Items(
            [names[place] for place in there],
            [vectors[place] for place in there],
            [metadata[place] for place in there],
            [times[place] for place in there],
        )

    def times(self, lane: Lane, names: Sequence[bytes], answers: Sequence[Any]) -> list[int]:
        """When each of `names` expires, from the answers to `expiry_request`; 0 for never."""
        keyspace, whole, *own = answers
        self.expiring_fields = _EXPIRING_FIELDS.search(keyspace) is not None
        if self.expiring_fields and not own:
            # The first time that some field expires; the connection watches already.
            own = lane.ask(self._field_expiry(names))
        # -1 and -2 say that a key or a field never expires or is not there.
        if own and own[0]:
            return [min((at for at in (int(whole), int(each)) if at > 0), default=0) for each in own[0]]
        return [max(int(whole), 0)] * len(names)

    def _ask_page(self, lane: Lane, cursor: int) -> None:
        # By its text: a scan takes few calls, and so the script need not be known to the server.
        words = script("scan_names.lua").words(by_text=True)
        lane.send((*words, 2, self.embeddings_key, self.metadata_key, cursor, PAGE))

    def _field_expiry(self, names: Sequence[bytes]) -> Words:
        return ("HPEXPIRETIME", self.embeddings_key, "FIELDS", len(names), *names)


class Reader:
    """Reads batches ahead over several lanes. A lane belongs to its batch until `release`.

    Args:
        source: What is read.
        scanning: The lane for names.
        lanes: The lanes for texts.
        ahead: How many batches are read ahead at most.
        most: How many items the next batch may have.
        request: The commands for a batch beside those that read its texts: (before, after) them.
    """

    def __init__(
        self,
        source: Source,
        scanning: Lane,
        lanes: Sequence[Lane],
        *,
        ahead: int,
        most: Callable[[], int],
        request: Callable[[Sequence[bytes]], tuple[list[Words], list[Words]]],
    ) -> None:
        self._source = source
        self._scanning = scanning
        self._free = list(lanes)
        self._ahead = ahead
        self._most = most
        self._request = request
        self._pages: deque[Page] = deque()

    def batches(self, cursor: int) -> Iterator[Batch]:
        """Every batch from `cursor` on, read and in order."""
        reading: deque[tuple[Batch, int, int]] = deque()
        slices = self._slices(cursor)
        more = True
        while True:
            while more and self._free and len(reading) < self._ahead:
                found = next(slices, None)
                if found is None:
                    more = False
                else:
                    reading.append(self._ask(*found))
            if not reading:
                return
            yield self._read(*reading.popleft())

    def release(self, batch: Batch) -> None:
        """`batch` was dealt with: its lane is free for another one, and its page that much further."""
        batch.page.under_way -= 1
        self._free.append(batch.lane)

    @property
    def cursor(self) -> int:
        """Where a scan has to begin that misses nothing of what is under way or to come."""
        while len(self._pages) > 1 and self._pages[0].done:
            self._pages.popleft()
        return self._pages[0].start if self._pages else 0

    def _slices(self, cursor: int) -> Iterator[tuple[Page, list[bytes], list[Aside]]]:
        for page in self._source.pages(self._scanning, cursor):
            self._pages.append(page)
            while page.begun < len(page.names):
                names, aside = self._source.take(page, self._most())
                page.under_way += 1
                yield page, names, aside

    def _ask(self, page: Page, names: list[bytes], aside: list[Aside]) -> tuple[Batch, int, int]:
        batch = Batch(page, names, aside, self._free.pop())
        before, after = self._request([*names, *(item.name for item in aside)])
        reading = self._source.request(names)
        batch.lane.send(*before, *reading, *after)
        return batch, len(before), len(before) + len(reading)

    def _read(self, batch: Batch, begin: int, end: int) -> Batch:
        # What is at a destination may be of any type; the source may not.
        answers = batch.lane.receive(wrong_type_from=end)
        batch.extra = answers[end:]
        batch.items = self._source.items(batch.lane, batch.names, answers[begin:end])
        return batch
