"""The verifying pass: every item of the source is there, or newer at the destination, or rejected.

It also catches up: what came to the source, changed there or went away after the copying pass had gone by is
brought over now, as long as nobody else touched the document. What would take something away is left to the
end, when it is known how much that is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import redis

from vecmigrate.backfill.books import Books
from vecmigrate.backfill.convert import Aside, Document, digest
from vecmigrate.backfill.counts import Verified
from vecmigrate.backfill.lane import Lane, Words
from vecmigrate.backfill.losses import Losses
from vecmigrate.backfill.reading import Batch
from vecmigrate.backfill.undo import REJECTED, WRITTEN, Remover, as_fields, changed_since, written_as

if TYPE_CHECKING:
    from vecmigrate.backfill.engine import Backfill

ROUNDS = 20
PAGE = 200
# So many items that differ are looked at together.
GROUP = 100

Outcome: TypeAlias = Literal[
    "equal", "newer", "deleted", "refreshed", "late", "rejected", "missing", "gone", "withdrawn", "stripped"
]
# These take something away: they wait until it is known how many there are.
_DESTRUCTIVE = ("withdrawn", "stripped")


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of one item, and what is to be written for that, if anything."""

    outcome: Outcome
    document: Document | None = None
    aside: Aside | None = None
    replace: bytes = b""


@dataclass(slots=True)
class Postponed:
    """Items whose documents would be removed (`withdrawn`, `gone`) or lose their metadata (`stripped`)."""

    withdrawn: list[bytes] = field(default_factory=list)
    stripped: list[bytes] = field(default_factory=list)
    gone: dict[bytes, bytes] = field(default_factory=dict)


def verify(backfill: Backfill, books: Books, losses: Losses) -> Iterator[Verified]:
    """Compare and settle; yields the counts after each batch, at least once.

    Raises:
        LeaseLostError: The lease was lost; nothing was written since.
        TooManyDeletesError: More is gone from the source than `losses` allows; nothing was removed.
    """
    found = Verified()
    postponed = Postponed()
    # A connection of its own for what differs, so that the scan goes on undisturbed.
    lane = backfill.settling
    settler = Settler(backfill, books, lane)
    reader = backfill.reader(settler.also_asked, writing=False)
    for batch in backfill.scan(reader, 0):
        differing = settler.differing(batch, found)
        reader.release(batch)
        for start in range(0, len(differing), GROUP):
            settler.settle(differing[start : start + GROUP], found, postponed)
        backfill.hold_back(batch.size)
        yield found
    accounted, items, metadata = backfill.lengths(books.items)
    came_by = found.seen - found.missing + len(postponed.withdrawn) + len(postponed.stripped)
    # Every item that verifying came by is in the accounts by now. The length of the source would not do to
    # compare with: items that came meanwhile would make up for those that are gone.
    if accounted > came_by:
        _find_gone(backfill, books, lane, postponed)
    written = {name: mark for name, mark in postponed.gone.items() if mark.startswith(WRITTEN)}
    removing = len(written) + len(postponed.withdrawn)
    if losses.exceeded(removing, max(losses.items, accounted)):
        # Some of them may be gone as well, or somebody else's by now.
        removing = len(postponed.withdrawn) + settler.count_ours(written)
    losses.check(
        removing=removing,
        written=accounted,
        items=items,
        stripped=len(postponed.stripped),
        metadata=metadata,
    )
    for name in postponed.stripped + postponed.withdrawn:
        _count(found, settler.settle_one(name))
        backfill.hold_back(1)
    for removed in _prune(backfill, settler.remover, postponed.gone):
        found.removed += removed
        yield found
    yield found


class Settler:
    """Brings items over where that is right, each in one atomic step with looking at it."""

    def __init__(self, backfill: Backfill, books: Books, lane: Lane) -> None:
        self._backfill = backfill
        self._books = books
        self._lane = lane
        self._prefix = backfill.spec.prefix.encode()
        self._path = backfill.spec.vector.path
        self._own_paths = [path for path in backfill.converter.paths if path != self._path]
        self.remover = Remover(lane, backfill.spec, books)

    def also_asked(self, names: Sequence[bytes]) -> tuple[list[Words], list[Words]]:
        """What is asked about a batch beside its texts: the accounts, and the vectors that are stored."""
        keys: list[Words] = [("HGET", self._prefix + name, self._path) for name in names]
        return [], [("HMGET", self._books.items, *names), *keys]

    def differing(self, batch: Batch, found: Verified) -> list[bytes]:
        """Count what is plainly as it should be, and return the names that need a closer look."""
        too_long = {item.name for item in batch.aside}
        names = [*batch.names, *(item.name for item in batch.aside)]
        self._backfill.convert(batch)
        marks, *stored = batch.extra
        documents = {document.name: document for document in batch.documents}
        there = {*batch.items.names, *too_long}
        differing = []
        for name, mark, blob in zip(names, marks, stored, strict=True):
            document = documents.get(name)
            if name not in there:
                # Gone from the source since its name was read.
                continue
            taken = isinstance(blob, redis.ResponseError)
            if _is_rejected(mark) and (document is None or taken):
                found.rejected += 1
            elif document is not None and blob == document.blob and _settled(mark, document):
                found.equal += 1
            else:
                differing.append(name)
        return differing

    def settle(self, names: Sequence[bytes], found: Verified, postponed: Postponed) -> None:
        """Settle `names`, those that change meanwhile one by one; postpone what takes something away."""
        undecided = list(names) if len(names) == 1 else self._settle_together(names, found, postponed)
        for name in undecided:
            outcome = self.settle_one(name, postpone=postponed)
            _count(found, outcome)

    def _settle_together(self, names: Sequence[bytes], found: Verified, postponed: Postponed) -> list[bytes]:
        """As `settle`, in one attempt; the names that were not settled."""
        decisions = self._look(names)
        writing = {
            name: decision
            for name, decision in decisions.items()
            if _writes(decision) and decision.outcome not in _DESTRUCTIVE
        }
        changed: set[bytes] = set()
        if writing:
            answer = self._write(list(writing.values()))
            if answer is None:
                changed = set(writing)
            else:
                changed, rejected = answer
                for name in rejected:
                    decisions[name] = Decision("rejected")
        else:
            self._lane.ask(("UNWATCH",))
        for name, decision in decisions.items():
            if name in changed:
                continue
            if not _postpone(name, decision.outcome, postponed):
                _count(found, decision.outcome)
        return [name for name in decisions if name in changed]

    def settle_one(self, name: bytes, *, postpone: Postponed | None = None) -> Outcome:
        """Settle one item, or postpone it; "missing" where it changes too fast.

        Only the document is watched. The source's texts are compared by the script, so that writers who are
        busy with other items do not get in the way.
        """
        for _ in range(ROUNDS):
            decision = self._look([name])[name]
            if postpone is not None and _postpone(name, decision.outcome, postpone):
                self._lane.ask(("UNWATCH",))
                return "gone"
            if decision.outcome == "withdrawn":
                self._lane.ask(("UNWATCH",))
                mark = self._lane.ask(("HGET", self._books.items, name))[0]
                if mark is not None:
                    self.remover.remove({name: mark})
                continue
            outcome: Outcome = "refreshed" if decision.outcome == "stripped" else decision.outcome
            if not _writes(decision):
                self._lane.ask(("UNWATCH",))
                return outcome
            answer = self._write([decision])
            if answer is None:
                continue
            changed, rejected = answer
            if not changed:
                return "rejected" if rejected else outcome
        return "missing"

    def _look(self, names: Sequence[bytes]) -> dict[bytes, Decision]:
        """What is to be done about each of `names`. Their documents are watched from here on."""
        keys = [self._prefix + name for name in names]
        count = len(keys)
        answers = self._lane.ask(
            ("WATCH", *keys),
            ("HMGET", self._books.items, *names),
            *(("HGETALL", key) for key in keys),
            wrong_type_from=2,
        )
        marks, stored = answers[1], answers[2 : 2 + count]
        documents, aside = self._backfill.convert_again(self._lane, names)
        about: dict[bytes, Document | Aside] = {item.name: item for item in documents}
        about |= {item.name: item for item in aside}
        return {
            name: _decide(self, about.get(name), _fields(kept), mark)
            for name, kept, mark in zip(names, stored, marks, strict=True)
        }

    def _write(self, decisions: Sequence[Decision]) -> tuple[set[bytes], set[bytes]] | None:
        """Write; the names whose source changed and those rejected, or None where a document changed."""
        documents = [item.document for item in decisions if item.document is not None]
        aside = [item.aside for item in decisions if item.aside is not None]
        replace = {item.document.name: item.replace for item in decisions if item.document and item.replace}
        reply = self._backfill.write(
            self._lane, documents, aside, compare=True, verifying=True, replace=replace, watched=True
        )
        if reply is None:
            return None
        changed, foreign = reply[4], reply[6]
        return (
            {documents[position - 1].name for position in changed},
            {documents[int(position) - 1].name for position in foreign[::2]},
        )

    def loses_metadata(self, document: Document, stored: Mapping[str, bytes]) -> bool:
        """Whether `document`, made without any metadata, would replace one that has some."""
        if document.metadata is not None:
            return False
        values = dict(zip(self._backfill.converter.paths, document.values, strict=True))
        return any(stored.get(path) != values[path] for path in self._own_paths)

    def count_ours(self, marks: Mapping[bytes, bytes]) -> int:
        """How many documents of the items in `marks` are there and still what was written."""
        names = list(marks)
        ours = 0
        for start in range(0, len(names), PAGE):
            some = names[start : start + PAGE]
            answers = self._lane.ask(*(("HGETALL", self._prefix + name) for name in some), wrong_type_from=0)
            for name, stored in zip(some, map(_fields, answers), strict=True):
                ours += bool(stored) and not changed_since(marks[name], stored or {})
            self._backfill.hold_back(0)
        return ours

    @property
    def vector_path(self) -> str:
        """The name of the vector's field in documents."""
        return self._path


def _decide(
    settler: Settler, about: Document | Aside | None, stored: Mapping[str, bytes] | None, mark: bytes | None
) -> Decision:
    """What becomes of one item: `about` is what the source has, `stored` the document, None if no hash."""
    if about is None:
        return Decision("gone")
    if isinstance(about, Aside):
        if mark is None or _is_rejected(mark):
            return Decision("rejected", aside=about)
        # What we wrote of it would be stale; what anybody else wrote stays.
        theirs = stored is None or not mark.startswith(WRITTEN) or changed_since(mark, stored)
        return Decision("newer" if theirs else "withdrawn")
    document = about
    if _is_rejected(mark):
        mark = None
    if stored is None:
        # A key of another type: the script says which, and rejects the item.
        return Decision("newer") if mark is not None else Decision("rejected", document)
    if not stored:
        return Decision("deleted") if mark is not None else Decision("late", document)
    as_stored = digest(stored)
    if mark is not None and written_as(mark, as_stored) and as_stored != document.digest:
        outcome: Outcome = "stripped" if settler.loses_metadata(document, stored) else "refreshed"
        return Decision(outcome, document, replace=as_stored)
    same = stored.get(settler.vector_path) == document.blob
    # Without a mark it came to both sides after the copying pass; it gets one, so that every item has.
    return Decision("equal" if same else "newer", document if mark is None else None)


def _postpone(name: bytes, outcome: Outcome, postponed: Postponed) -> bool:
    if outcome not in _DESTRUCTIVE:
        return False
    getattr(postponed, outcome).append(name)
    return True


def _writes(decision: Decision) -> bool:
    return decision.document is not None or decision.aside is not None


def _count(found: Verified, outcome: Outcome) -> None:
    if outcome != "gone":
        setattr(found, outcome, getattr(found, outcome) + 1)


def _fields(stored: Any) -> dict[str, bytes] | None:
    return None if isinstance(stored, redis.ResponseError) else as_fields(stored)


def _settled(mark: bytes | None, document: Document) -> bool:
    """Whether the item is accounted for, and what we wrote is what we would write now."""
    if mark is None or _is_rejected(mark):
        return False
    return not mark.startswith(WRITTEN) or written_as(mark, document.digest)


def _is_rejected(mark: bytes | None) -> bool:
    return mark is not None and mark.startswith(REJECTED)


def _find_gone(backfill: Backfill, books: Books, lane: Lane, postponed: Postponed) -> None:
    """Look for what we wrote or rejected and what has gone from the source since."""
    cursor = 0
    while True:
        reply, flat = lane.ask(("HSCAN", books.items, cursor, "COUNT", PAGE))[0]
        marks: dict[bytes, bytes] = dict(zip(flat[::2], flat[1::2], strict=True))
        ours = [name for name, mark in marks.items() if mark.startswith((WRITTEN, REJECTED))]
        here_still: list[Any] = (
            lane.ask(*(("HEXISTS", backfill.embeddings_key, name) for name in ours)) if ours else []
        )
        for name, is_there in zip(ours, here_still, strict=True):
            if not is_there:
                postponed.gone[name] = marks[name]
        backfill.hold_back(0)
        cursor = int(reply)
        if cursor == 0:
            return


def _prune(backfill: Backfill, remover: Remover, gone: Mapping[bytes, bytes]) -> Iterator[int]:
    """Take away what has gone from the source; yields how many documents, batch by batch."""
    names = list(gone)
    for start in range(0, len(names), PAGE):
        batch = {name: gone[name] for name in names[start : start + PAGE]}
        removed, _ = remover.remove(batch, unless_in=backfill.embeddings_key)
        backfill.hold_back(len(batch))
        yield removed
