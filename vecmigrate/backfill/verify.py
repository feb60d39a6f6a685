"""The verifying pass: every item of the source is there, or newer at the destination, or set aside.

It also catches up: what came to the source, changed there or went away after the copying pass had gone by is
brought over now, as long as nobody else touched the document.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from vecmigrate.backfill.batch_command import EXEC, MULTI
from vecmigrate.backfill.books import Books
from vecmigrate.backfill.convert import Document, Items, digest
from vecmigrate.backfill.counts import Verified
from vecmigrate.backfill.lane import Lane, Words
from vecmigrate.backfill.undo import REJECTED, WRITTEN, Remover, as_fields, changed_since, written_as

if TYPE_CHECKING:
    from vecmigrate.backfill.engine import Backfill, Batch

ROUNDS = 20
PAGE = 200

Outcome: TypeAlias = Literal[
    "equal", "newer", "deleted", "refreshed", "late", "rejected", "missing", "gone", "withdrawn"
]


def verify(backfill: Backfill, books: Books) -> Iterator[Verified]:
    """Compare and settle; yields the counts after each batch, at least once.

    Raises:
        LeaseLostError: The lease was lost; nothing was written since.
    """
    found = Verified()
    # A connection of its own for what differs, so that the scan goes on undisturbed.
    lane = Lane(backfill.client)
    try:
        remover = Remover(lane, backfill.spec, books)
        for batch in backfill.scan(0):
            for name in _differing(backfill, books, batch, found):
                outcome = _settle(backfill, books, lane, remover, name)
                if outcome != "gone":
                    setattr(found, outcome, getattr(found, outcome) + 1)
            yield found
        for removed in _prune(backfill, books, lane, remover, found):
            found.removed += removed
            yield found
        yield found
    finally:
        lane.close()


def _differing(backfill: Backfill, books: Books, batch: Batch, found: Verified) -> list[bytes]:
    """Count what is plainly as it should be, and return the names that need a closer look."""
    prefix, path = backfill.spec.prefix.encode(), backfill.spec.vector.path
    names = batch.names
    asked: list[Words] = [("UNWATCH",), ("HMGET", books.items, *names)]
    batch.lane.send(*asked, *(("HGET", prefix + name, path) for name in names))
    marks: list[bytes | None] = []
    stored: list[bytes | None] = []

    def metadata() -> list[Any]:
        # The answers to the request for metadata, which the scan sent, come first.
        *about, _, here, blobs = _split(batch.lane.receive(), len(names))
        marks.extend(here)
        stored.extend(blobs)
        return about

    backfill.convert(batch, metadata)
    documents = {document.name: document for document in batch.documents}
    differing = []
    for name, mark, blob in zip(names, marks, stored, strict=True):
        document = documents.get(name)
        if document is None and _is_rejected(mark):
            found.rejected += 1
        elif document is not None and blob == document.blob and _settled(mark, document):
            found.equal += 1
        else:
            differing.append(name)
    return differing


def _split(answers: list[Any], count: int) -> list[Any]:
    """`answers` with the last `count` of them as one list."""
    return [*answers[:-count], answers[-count:]]


def _settled(mark: bytes | None, document: Document) -> bool:
    """Whether the item is accounted for, and what we wrote is what we would write now."""
    if mark is None or _is_rejected(mark):
        return False
    return not mark.startswith(WRITTEN) or written_as(mark, document.digest)


def _is_rejected(mark: bytes | None) -> bool:
    return mark is not None and mark.startswith(REJECTED)


def _settle(backfill: Backfill, books: Books, lane: Lane, remover: Remover, name: bytes) -> Outcome:
    """Bring one item over where that is right, in one atomic step with looking at it.

    Only the document is watched. The source's texts are compared by the script, so that writers who are
    busy with other items do not get in the way.
    """
    key = backfill.spec.prefix.encode() + name
    for _ in range(ROUNDS):
        lane.ask(("WATCH", key))
        items = backfill.read_again(lane, [name])
        stored, mark = lane.ask(("HGETALL", key), ("HGET", books.items, name))
        packed, outcome = _decide(backfill, items, as_fields(stored), mark)
        if packed is None:
            lane.ask(("UNWATCH",))
            if outcome != "withdrawn":
                return outcome
            remover.remove({name: mark})
            continue
        lane.send_packed(MULTI + packed + EXEC, 3)
        answer = lane.receive()[2]
        if answer is not None and not answer[0][4]:
            return outcome
    return "missing"


def _decide(
    backfill: Backfill, items: Items, stored: dict[str, bytes], mark: bytes | None
) -> tuple[bytes | None, Outcome]:
    """What to write about one item, if anything, and what that makes it."""
    if not items.names:
        return None, "gone"
    documents, aside = backfill.converter.convert(items, backfill.converter.decode(items.vectors))
    pack = backfill.command.pack
    if aside:
        if mark is None or _is_rejected(mark):
            return pack([], aside, verifying=True), "rejected"
        # What we wrote of it would be stale; what anybody else wrote stays.
        theirs = not mark.startswith(WRITTEN) or changed_since(mark, stored)
        return None, "newer" if theirs else "withdrawn"
    document = documents[0]
    if _is_rejected(mark):
        mark = None
    if not stored:
        if mark is not None:
            return None, "deleted"
        return pack(documents, [], compare=True, verifying=True), "late"
    as_stored = digest(stored)
    if written_as(mark, as_stored) and as_stored != document.digest:
        return pack(documents, [], compare=True, verifying=True, replace=as_stored), "refreshed"
    same = stored.get(backfill.spec.vector.path) == document.blob
    # Without a mark it came to both sides after the copying pass; it gets one, so that every item has.
    packed = pack(documents, [], compare=True, verifying=True) if mark is None else None
    return packed, "equal" if same else "newer"


def _prune(backfill: Backfill, books: Books, lane: Lane, remover: Remover, found: Verified) -> Iterator[int]:
    """Take away what we wrote and what has gone from the source since; yields how many, batch by batch."""
    # Every item that verifying came by is in the accounts by now. The length of the source would not do to
    # compare with: items that came meanwhile would make up for those that are gone.
    if lane.ask(("HLEN", books.items))[0] <= found.seen - found.missing:
        return
    cursor = 0
    while True:
        reply, flat = lane.ask(("HSCAN", books.items, cursor, "COUNT", PAGE))[0]
        marks: dict[bytes, bytes] = dict(zip(flat[::2], flat[1::2], strict=True))
        ours = [name for name, mark in marks.items() if mark.startswith((WRITTEN, REJECTED))]
        here_still: list[Any] = (
            lane.ask(*(("HEXISTS", backfill.embeddings_key, name) for name in ours)) if ours else []
        )
        gone = {name: marks[name] for name, is_there in zip(ours, here_still, strict=True) if not is_there}
        if gone:
            yield remover.remove(gone, unless_in=backfill.embeddings_key)[0]
        cursor = int(reply)
        if cursor == 0:
            return
