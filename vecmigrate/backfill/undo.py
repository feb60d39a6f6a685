"""Removing what a backfill wrote, and nothing that was changed since."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import redis as redis_client

from vecmigrate.backfill.batch_command import EXEC, MULTI, packed_command
from vecmigrate.backfill.books import Books
from vecmigrate.backfill.convert import DIGEST_BYTES, digest
from vecmigrate.backfill.lane import Check, Lane, is_passing, open_lanes
from vecmigrate.backfill.pace import Pace, round_trip
from vecmigrate.backfill.scripts import script
from vecmigrate.backfill.throttle import Throttle
from vecmigrate.spec.model import IndexSpec

if TYPE_CHECKING:
    import redis

ROUNDS = 5
PAGE = 1000
WRITTEN = b"w"
REJECTED = b"r"


@dataclass(frozen=True, slots=True)
class Removed:
    """What became of some items: documents `removed`, and items `kept`, as changed since or wanted."""

    removed: int = 0
    kept: int = 0
    # Microseconds that the server took; -1 where it does not tell.
    taken: int = -1


class Remover:
    """Deletes documents that still are what the backfill wrote, each check and deletion one atomic step."""

    def __init__(self, lane: Lane, spec: IndexSpec, books: Books) -> None:
        self._lane = lane
        self._prefix = spec.prefix.encode()
        self._books = books
        # After the server said that it does not know the script, until it knows it again.
        self._by_text = False

    def remove(
        self, marks: Mapping[bytes, bytes], *, unless_in: str | None = None, lane: Lane | None = None
    ) -> tuple[int, int]:
        """Remove the documents of the items in `marks` (name → mark in the accounts), and strike those out.

        An item that was rejected has no document of ours, and is only struck out. With `unless_in` an item
        that is a field of that hash is kept.

        Returns:
            How many documents were removed, and how many items kept: changed since, or wanted.
        """
        for _ in range(ROUNDS):
            outcome = self._attempt(lane or self._lane, marks, unless_in)
            if outcome is not None:
                return outcome.removed, outcome.kept
            if len(marks) > 1:
                each = [
                    self.remove({name: mark}, unless_in=unless_in, lane=lane) for name, mark in marks.items()
                ]
                return sum(removed for removed, _ in each), sum(kept for _, kept in each)
        return 0, len(marks)

    def _attempt(self, lane: Lane, marks: Mapping[bytes, bytes], unless_in: str | None) -> Removed | None:
        """As `remove`; None where a document changed between being looked at and being deleted."""
        self.ask(lane, marks)
        doomed = self.doomed(lane, marks)
        if not doomed:
            lane.ask(("UNWATCH",))
            return Removed(0, len(marks))
        self.delete(lane, doomed, unless_in)
        return self.deleted(lane, len(marks))

    def ask(self, lane: Lane, marks: Mapping[bytes, bytes]) -> None:
        """Ask for the documents of `marks`, and watch them from here on."""
        keys = [self._prefix + name for name in marks]
        lane.send(("UNWATCH",), ("WATCH", *keys), *(("HGETALL", key) for key in keys))

    def doomed(self, lane: Lane, marks: Mapping[bytes, bytes]) -> list[bytes]:
        """The names of those that still are what was written, from the answers to `ask`."""
        answers = lane.receive(wrong_type_from=2)[2:]
        # A key of another type is somebody else's.
        hashes = [None if isinstance(answer, redis_client.ResponseError) else answer for answer in answers]
        return [
            name
            for (name, mark), stored in zip(marks.items(), hashes, strict=True)
            if stored is not None and not changed_since(mark, as_fields(stored))
        ]

    def delete(self, lane: Lane, doomed: Sequence[bytes], unless_in: str | None = None) -> None:
        """Send what deletes `doomed`; `deleted` reads the answer."""
        books = self._books
        words: list[str | bytes | int] = [*script("remove_written.lua").words(by_text=self._by_text), 5]
        words += [books.lease, books.items, books.steps, books.rejects, unless_in or books.lease]
        words += [books.identity, self._prefix, books.prefix, books.fence.seq, *doomed]
        self._by_text = False
        lane.send_packed(MULTI + packed_command(words) + EXEC, 3)

    def deleted(self, lane: Lane, items: int) -> Removed | None:
        """What became of `items` items; None where nothing was done, and `remove` has to try again."""
        try:
            outcome = lane.receive()[2]
        except redis_client.exceptions.NoScriptError:
            self._by_text = True
            return None
        except redis_client.RedisError as error:
            if not (lane.patient and is_passing(error)):
                raise
            lane.wait()
            return None
        if outcome is None:
            return None
        removed, out, absent, taken, fence = (int(number) for number in outcome[0])
        self._books.fence.confirmed(fence)
        return Removed(removed, items - out - absent, taken)


def changed_since(mark: bytes, stored: Mapping[str, bytes]) -> bool:
    """Whether somebody else wrote the document `stored`, or changed it after we wrote it under `mark`."""
    return mark.startswith(WRITTEN) and bool(stored) and not written_as(mark, digest(stored))


def written_as(mark: bytes | None, digest_: bytes) -> bool:
    """Whether `mark` tells of a document that we wrote, with that digest."""
    return mark is not None and mark[: 1 + DIGEST_BYTES] == WRITTEN + digest_


def as_fields(reply: Any) -> dict[str, bytes]:
    """HGETALL's reply, a map or a flat list, as a mapping. Names that are not UTF-8 are none of ours."""
    pairs = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)
    return {name.decode(errors="surrogateescape"): value for name, value in pairs}


def remove_written(
    client: redis.Redis,
    spec: IndexSpec,
    books: Books,
    *,
    check: Check | None = None,
    throttle: Throttle | None = None,
) -> Iterator[tuple[int, int]]:
    """Remove everything that the backfill with these `books` wrote; yields (removed, kept) after each batch.

    Raises:
        LeaseLostError: The lease was lost; nothing was removed since.
        ServerWentBackError: The server lost writes of this run.
    """
    pace = Pace(round_trip(client), throttle.batch_seconds if throttle else None)
    lanes = open_lanes(client, 1 + 2 * pace.most_in_flight, check)
    try:
        free = lanes[1:]
        free[0].ask(("SCRIPT", "LOAD", script("remove_written.lua").text))
        remover = Remover(free[0], spec, books)
        asking: deque[tuple[Lane, dict[bytes, bytes]]] = deque()
        deleting: deque[tuple[Lane, dict[bytes, bytes], float]] = deque()
        removed = kept = 0

        def finish(leave: int) -> Iterator[tuple[int, int]]:
            nonlocal removed, kept
            while len(deleting) > leave:
                lane, marks, sent_at = deleting.popleft()
                outcome = remover.deleted(lane, len(marks))
                if outcome is None:
                    outcome = Removed(*remover.remove(marks, lane=lane))
                else:
                    seconds = pace.server_seconds(outcome.taken, time.monotonic() - sent_at)
                    pace.took(seconds, len(marks))
                free.append(lane)
                removed += outcome.removed
                kept += outcome.kept
                if throttle is not None:
                    throttle.passed(len(marks))
                yield removed, kept

        def go_on(leave: int) -> Iterator[tuple[int, int]]:
            nonlocal kept
            while len(asking) > leave:
                lane, marks = asking.popleft()
                doomed = remover.doomed(lane, marks)
                yield from finish(pace.in_flight - 1)
                if doomed:
                    # Of those that are kept, the script knows nothing.
                    kept += len(marks) - len(doomed)
                    remover.delete(lane, doomed)
                    deleting.append((lane, {name: marks[name] for name in doomed}, time.monotonic()))
                else:
                    kept += len(marks)
                    free.append(lane)
                    yield removed, kept

        for page in _pages(lanes[0], books.items):
            names = list(page)
            while names:
                most = pace.items if throttle is None else min(pace.items, throttle.largest or pace.items)
                some, names = names[:most], names[most:]
                marks = {name: page[name] for name in some}
                lane = free.pop()
                remover.ask(lane, marks)
                asking.append((lane, marks))
                yield from go_on(pace.most_in_flight - 1)
        yield from go_on(0)
        yield from finish(0)
        yield removed, kept
    finally:
        for lane in lanes:
            lane.close()


def _pages(lane: Lane, key: str) -> Iterator[dict[bytes, bytes]]:
    """The items that were written, a page at a time; the next page is looked for meanwhile."""
    lane.send(("HSCAN", key, 0, "COUNT", PAGE))
    while True:
        reply, flat = lane.receive()[0]
        cursor = int(reply)
        if cursor:
            lane.send(("HSCAN", key, cursor, "COUNT", PAGE))
        found = dict(zip(flat[::2], flat[1::2], strict=True))
        yield {name: mark for name, mark in found.items() if mark.startswith(WRITTEN)}
        if not cursor:
            return
