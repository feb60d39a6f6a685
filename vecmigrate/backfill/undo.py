"""Removing what a backfill wrote, and nothing that was changed since."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import TYPE_CHECKING, Any

from vecmigrate.backfill.books import Books
from vecmigrate.backfill.convert import DIGEST_BYTES, digest
from vecmigrate.backfill.lane import Lane, Words
from vecmigrate.backfill.pace import Pace
from vecmigrate.spec.model import IndexSpec

if TYPE_CHECKING:
    import redis

ROUNDS = 5
WRITTEN = b"w"
REJECTED = b"r"


class Remover:
    """Deletes documents that still are what the backfill wrote, each check and deletion one atomic step."""

    def __init__(self, lane: Lane, spec: IndexSpec, books: Books) -> None:
        self._lane = lane
        self._prefix = spec.prefix.encode()
        self._books = books
        text = resources.files("vecmigrate.backfill").joinpath("remove_written.lua").read_text()
        self._sha = lane.ask(("SCRIPT", "LOAD", text))[0].decode()

    def remove(self, marks: Mapping[bytes, bytes], *, unless_in: str | None = None) -> tuple[int, int]:
        """Remove the documents of the items in `marks` (name → mark in the accounts), and strike those out.

        An item that was set aside has no document of ours, and is only struck out. With `unless_in` an item
        that is a field of that hash is kept.

        Returns:
            How many documents were removed, and how many items kept: changed since, or wanted.
        """
        for _ in range(ROUNDS):
            outcome = self._attempt(marks, unless_in)
            if outcome is not None:
                return outcome
            if len(marks) > 1:
                each = [self.remove({name: mark}, unless_in=unless_in) for name, mark in marks.items()]
                return sum(removed for removed, _ in each), sum(kept for _, kept in each)
        return 0, len(marks)

    def _attempt(self, marks: Mapping[bytes, bytes], unless_in: str | None) -> tuple[int, int] | None:
        """As `remove`; None where a document changed between being looked at and being deleted."""
        keys = [self._prefix + name for name in marks]
        asked: list[Words] = [("WATCH", *keys), *(("HGETALL", key) for key in keys)]
        answers = self._lane.ask(*asked)[1:]
        doomed = [
            name
            for (name, mark), stored in zip(marks.items(), answers, strict=True)
            if not changed_since(mark, as_fields(stored))
        ]
        if not doomed:
            self._lane.ask(("UNWATCH",))
            return 0, len(marks)
        books = self._books
        words: list[str | bytes | int] = ["EVALSHA", self._sha, 5, books.lease, books.items, books.steps]
        words += [
            books.rejects,
            unless_in or books.lease,
            books.identity,
            self._prefix,
            books.prefix,
            *doomed,
        ]
        outcome = self._lane.ask(("MULTI",), words, ("EXEC",))[2]
        if outcome is None:
            return None
        removed, out = outcome[0]
        return int(removed), len(marks) - int(out)


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


def remove_written(client: redis.Redis, spec: IndexSpec, books: Books) -> Iterator[tuple[int, int]]:
    """Remove everything that the backfill with these `books` wrote; yields (removed, kept) after each batch.

    Raises:
        LeaseLostError: The lease was lost; nothing was removed since.
    """
    lane = Lane(client)
    try:
        remover = Remover(lane, spec, books)
        pace = Pace()
        removed = kept = cursor = 0
        while True:
            reply, flat = lane.ask(("HSCAN", books.items, cursor, "COUNT", pace.items))[0]
            found = dict(zip(flat[::2], flat[1::2], strict=True))
            marks = {name: mark for name, mark in found.items() if mark.startswith(WRITTEN)}
            if marks:
                began = time.monotonic()
                more, spared = remover.remove(marks)
                pace.took(time.monotonic() - began, len(marks))
                removed += more
                kept += spared
            yield removed, kept
            cursor = int(reply)
            if cursor == 0:
                return
    finally:
        lane.close()
