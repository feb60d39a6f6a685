"""Is every document in an index that belongs there: asked key by key, while services go on writing.

A scan can pass documents over (those that are renamed while it runs, and on some servers those that are
written), a document may not be indexable, and a FILTER leaves some out on purpose. So each document that an
index lacks is looked at again together with its key, touched, which makes the server index it, and looked at
once more. What is still absent then the filter leaves out, or the index cannot take.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

from vecmigrate.search import reply
from vecmigrate.spec.model import IndexSpec
from vecmigrate.verify import keyspace
from vecmigrate.verify.keyspace import Built
from vecmigrate.verify.scratch import Scratch, filter_spec, scratch_index

if TYPE_CHECKING:
    import redis

NAMED = 20
UNKNOWN_REASON = "reason unknown"
# Each touch may put a vector into several graphs, half a millisecond each, and nobody is served meanwhile.
AT_ONCE = 20
# Batches of the walk that the index is asked for in one round trip.
_BATCHES_AT_ONCE = 8
# Walks over the keyspace. A document that is renamed during each of them may hide from one or two.
_MOST_WALKS = 12
_CLEAN_WALKS = 3
# What is lost already decides the outcome, so touching more of it would only cost the live indexes.
_MOST_LOST_TOUCHED = 1_000
_REMEMBERED = 100_000
_AGAIN_SECONDS = 0.1
_LOOKS = 5
_LOOK_SECONDS = 0.02
_EXPLAIN_TRIES = 3

# Touches the documents with these keys in one fenced step, and says of each whether it was there (1 or 0).
Touch: TypeAlias = Callable[[Sequence[bytes]], Sequence[int]]


@dataclass(slots=True)
class DocumentCheck:
    """What an index holds of the documents under its prefixes.

    Attributes:
        seen: Documents in the keyspace.
        held: Documents in the new index at the end.
        old: Documents in the old index at the same moment; None where there is none.
        mended: Documents that the scan had passed over, and that are in the index now.
        filtered: Documents that the FILTER leaves out.
        unasked: Documents whose keys hold a NUL byte: RediSearch cannot be asked for them.
        lost_count: Documents that the old index holds and the new one does not take.
        rejected_count: Documents that the new index does not take, and the old one, if any, neither.
        lost: At most `NAMED` of the former, each with the server's reason.
        rejected: At most `NAMED` of the latter.
    """

    seen: int = 0
    held: int = 0
    old: int | None = None
    mended: int = 0
    filtered: int = 0
    unasked: int = 0
    lost_count: int = 0
    rejected_count: int = 0
    lost: list[str] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)

    @property
    def missing(self) -> int:
        """Documents that should be in the index and are not."""
        return self.lost_count + self.rejected_count


def check_documents(
    client: redis.Redis,
    new: Built,
    old: Built | None,
    told: Callable[[int], None],
    *,
    touch: Touch | None = None,
    scratch: Scratch | None = None,
) -> DocumentCheck:
    """Ask the index `new` for every document under its prefixes, and mend what its scan passed over.

    With SKIPINITIALSCAN in the spec nothing that was there before is expected, so nothing is asked.

    Args:
        client: For reading.
        new: The index, and the spec that it was built from. Its scan is over.
        old: The index that it takes the place of, where there is one.
        told: Called often, with the number of documents seen so far; may raise to end the check.
        touch: Touches documents; without, what is missing is only counted.
        scratch: An index that may be made to ask what the FILTER lets through; without, every document that
            the index lacks counts as left out by it, unless the old one has the same filter and holds it.
    """
    observer = keyspace.Observer(client, new.spec, new.name, old.name if old is not None else None)
    check = _Check(client, new, old, observer, told, touch, scratch)
    if not new.spec.index.skip_initial_scan:
        check.run()
    found = check.found
    found.held, found.old = keyspace.counts(client, new.name, observer.old)
    return found


@dataclass(slots=True)
class _Check:
    """One check; `filtering` is what FT.INFO says of the scratch index, once it was needed."""

    client: redis.Redis
    new: Built
    old: Built | None
    observer: keyspace.Observer
    told: Callable[[int], None]
    touch: Touch | None
    scratch: Scratch | None
    found: DocumentCheck = field(default_factory=DocumentCheck)
    stack: ExitStack = field(default_factory=ExitStack)
    filtering: reply.Info | None = None
    refused: set[bytes] = field(default_factory=set)
    lost: list[bytes] = field(default_factory=list)
    reasons: dict[bytes, str] = field(default_factory=dict)
    mended: int = 0
    escaped: int = 0

    def run(self) -> None:
        """Walk until nothing more is mended; one clean walk will do where the first one is clean."""
        clean, wanted = 0, 1
        for _ in range(_MOST_WALKS):
            before = self.mended + self.escaped
            self.found = DocumentCheck()
            self.lost = []
            with self.stack:
                self._walk()
            self._count_refused_by_scratch()
            clean = clean + 1 if self.mended + self.escaped == before else 0
            wanted = _CLEAN_WALKS if self.mended + self.escaped else 1
            if clean >= wanted:
                break
        self._ask_again()
        self.found.mended = self.mended

    def _walk(self) -> None:
        walk = keyspace.keys_in_batches(self.client, self.new.spec)
        while batches := list(islice(walk, _BATCHES_AT_ONCE)):
            keys = [key for batch in batches for key in batch]
            self.found.seen += len(keys)
            self.found.unasked += sum(not keyspace.is_askable(key) for key in keys)
            missing = keyspace.absent_of(self.client, self.new.name, batches)
            for start in range(0, len(missing), keyspace.BATCH):
                self._look_at(missing[start : start + keyspace.BATCH])
            self.told(self.found.seen)

    def _look_at(self, keys: Sequence[bytes]) -> None:
        look = self.observer.look(keys)
        doubtful = [key for key in keys if key in look.there and key not in look.new]
        doubtful = self._not_filtered(doubtful, look.old)
        if not doubtful:
            return
        touched = self._mend([key for key in doubtful if key not in self.refused])
        absent, look = self._absent(doubtful)
        for key in doubtful:
            if key in absent:
                self._refuse(key, lost=key in look.old)
            elif key in touched:
                self.mended += 1
            elif key not in look.there and key not in self.refused:
                # Renamed before it was touched, maybe: then it still is absent, under another name.
                self.escaped += 1

    def _absent(self, keys: Sequence[bytes]) -> tuple[list[bytes], keyspace.Look]:
        """Those of `keys` that are there and not in the new index, and what was seen last."""
        look = self.observer.look(keys)
        absent = [key for key in keys if key in look.there and key not in look.new]
        # Where one look proves nothing, several have to agree.
        for _ in range(0 if self.observer.exact else _LOOKS):
            if not absent:
                break
            time.sleep(_LOOK_SECONDS)
            again = self.observer.look(absent)
            absent = [key for key in absent if key in again.there and key not in again.new]
        return absent, look

    def _not_filtered(self, keys: list[bytes], in_old: frozenset[bytes]) -> list[bytes]:
        """Those of `keys` that the FILTER lets through.

        A filter that cannot be evaluated, over a field that is absent, leaves a document out of a scan and
        lets it in when it is written. So filtered documents must not be touched. What is in the old index in
        spite of the same filter came in that way, and belongs in the new one too.
        """
        if self.new.spec.index.filter is None or not keys:
            return keys
        if self.scratch is None:
            outside = set(keys)
        else:
            self._build_scratch(self.scratch)
            outside = set(keyspace.absent(self.client, self.scratch.name, keys))
        if self.old is not None and self.old.spec.index.filter == self.new.spec.index.filter:
            outside -= in_old
        self.found.filtered += len(outside)
        return [key for key in keys if key not in outside]

    def _build_scratch(self, scratch: Scratch) -> None:
        """Let the server evaluate the filter for every document; anew in each walk, as scans miss some."""
        if self.filtering is not None:
            return
        spec = filter_spec(self.new.spec)
        index = scratch_index(self.client, scratch, spec, lambda: self.told(self.found.seen))
        self.filtering = self.stack.enter_context(index)

    def _count_refused_by_scratch(self) -> None:
        """Count the documents that the filter lets through and one of its own fields does not fit (JSON)."""
        info, self.filtering = self.filtering, None
        failures = min(reply.indexing_failures(info), self.found.filtered) if info is not None else 0
        if info is None or not failures:
            return
        self.found.filtered -= failures
        self.found.rejected_count += failures
        last = reply.last_indexing_error(info)
        if last is not None and len(self.found.rejected) < NAMED:
            self.found.rejected.append(f"{last[1]} ({last[0]})")

    def _mend(self, keys: Sequence[bytes]) -> set[bytes]:
        """Touch documents; gives those that were there."""
        touched: set[bytes] = set()
        if self.touch is None or self.found.lost_count > _MOST_LOST_TOUCHED:
            return touched
        for start in range(0, len(keys), AT_ONCE):
            some = keys[start : start + AT_ONCE]
            touched.update(key for key, there in zip(some, self.touch(some), strict=True) if there)
            self.told(self.found.seen)
        return touched

    def _refuse(self, key: bytes, *, lost: bool) -> None:
        if len(self.refused) < _REMEMBERED:
            self.refused.add(key)
        if lost:
            self.found.lost_count += 1
            if len(self.lost) < _MOST_LOST_TOUCHED:
                self.lost.append(key)
            return
        self.found.rejected_count += 1
        if len(self.found.rejected) < NAMED:
            self.found.rejected.append(self._told_why(key))

    def _ask_again(self) -> None:
        """Look at what was lost once more before it counts: services may have mended or deleted it since."""
        time.sleep(_AGAIN_SECONDS if self.lost else 0)
        still = []
        for start in range(0, len(self.lost), keyspace.BATCH):
            some = self.lost[start : start + keyspace.BATCH]
            absent, look = self._absent(some)
            still += [key for key in absent if key in look.old]
        self.found.lost_count -= len(self.lost) - len(still)
        self.found.lost = [self._told_why(key) for key in still[:NAMED]]

    def _told_why(self, key: bytes) -> str:
        if key not in self.reasons:
            self.reasons[key] = explain(self.client, self.new.name, key, self.touch)
        return f"{reply.text(key)} ({self.reasons[key]})"


def explain(client: redis.Redis, index: str, key: bytes, touch: Touch | None = None) -> str:
    """Why `index` does not take the document `key`, as the server says, or that it does not say.

    FT.INFO tells the last error only, so the document is touched and FT.INFO read right after that.
    """
    name = reply.text(key)
    for _ in range(_EXPLAIN_TRIES if touch is not None else 1):
        if touch is not None and not touch([key])[0]:
            return "gone meanwhile"
        info = reply.parse_info(client.execute_command("FT.INFO", index))
        last = reply.last_indexing_error(info)
        if last is not None and last[1] == name:
            fields = [attribute for attribute, error in reply.field_errors(info).items() if error == last]
            return f"field {fields[0]!r}: {last[0]}" if fields else last[0]
    return UNKNOWN_REASON


def named(keys: Iterable[str], count: int) -> str:
    """Keys for a message, and how many more there are."""
    listed = list(keys)
    more = f" and {count - len(listed):,} more" if count > len(listed) else ""
    return ", ".join(listed) + more


def updates_missed(spec: IndexSpec, partial_indexed_docs: str | None) -> list[str]:
    """The fields whose updates the server would not see, in silence.

    With PARTIAL_INDEXED_DOCS RediSearch passes a write over that changes no indexed field of a hash, but it
    looks for the names of fields where it should look for their paths.

    Args:
        spec: The index.
        partial_indexed_docs: The server's setting of that name, None where it does not tell it.
    """
    if (partial_indexed_docs or "").lower() not in ("1", "true", "yes") or spec.index.storage != "hash":
        return []
    return [item.name for item in spec.fields if item.indexed and item.path != item.attribute]
