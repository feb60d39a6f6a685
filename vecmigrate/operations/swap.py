"""Building an index beside the one that is live, looking at it, and letting the alias lead to it.

The stages are written into the ledger one by one, so that any runner goes on where another one ended. Each
looks at what is there before it does anything: a stage that was cut off in the middle is done again.

    guard      is there room for a second index, and nothing in the way
    build      FT.CREATE, and wait for the scan
    verify     documents and recall against the old index, the keyspace and an exact search
    cut over   one alias update
    keep       the old index stays for a rollback, or goes
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from vecmigrate.errors import MemoryLimitError, OperationError, VerificationError
from vecmigrate.operations import checked, indexes
from vecmigrate.operations.base import Context
from vecmigrate.operations.kept import Kept
from vecmigrate.operations.registry import IndexRecord
from vecmigrate.operations.settings import remarks
from vecmigrate.operations.state import IndexState
from vecmigrate.search import memory, reply
from vecmigrate.search.introspect import differences
from vecmigrate.spec.model import Flat, Hnsw, IndexSpec

STAGES = ("guard", "build", "verify", "cut over", "keep")
DEFAULT_RECALL = 0.95
RECALL_LOSS = 0.01


@dataclass(frozen=True, slots=True)
class Swap:
    """`new` in the place of `old`. With `keep` the old index stays until `vecmigrate complete`."""

    context: Context
    old: IndexState
    new: IndexState
    keep: bool = True

    @property
    def alias(self) -> str:
        """What applications query."""
        return self.new.spec.index.name

    def run(self) -> None:
        """Go through the stages, from the one where an earlier run ended.

        Raises:
            MemoryLimitError: There is no room; nothing was done.
            VerificationError: The new index failed a check and was removed.
            IndexConflictError: Something else is in the way.
        """
        begin = self._begin()
        if begin is None:
            self.context.step.put({"outcome": "was there already"})
            return
        if begin != STAGES[0]:
            self.context.progress.message(f"{self.physical}: going on at the stage {begin!r}")
        acts: dict[str, Callable[[], None]] = {
            "guard": self._guard,
            "build": self._build,
            "verify": self._verify,
            "cut over": self._cut_over,
            "keep": self._keep,
        }
        for stage in STAGES[STAGES.index(begin) :]:
            self.context.step.put({"stage": stage})
            acts[stage]()

    @property
    def physical(self) -> str:
        """What the new index is called: as this step noted, or as it will be proposed."""
        return self.context.step.get("physical") or self.new.physical

    def _begin(self) -> str | None:
        """The stage to go on at; None where an index like the new one is live already."""
        stored = self.context.step.get("stage")
        record = self.context.registry.get(self.new.spec.name)
        there = self.context.search.info(self.physical)
        if record is not None and there is not None and record.physical == self.physical:
            if stored in ("cut over", "keep"):
                return stored
            if record.revision == self.new.revision and not differences(self.new.spec, there):
                return None
        if stored is None or there is None or not self.context.registry.is_ours(self.physical):
            return STAGES[0]
        return "verify" if stored == "keep" else stored

    def _guard(self) -> None:
        search, progress = self.context.search, self.context.progress
        search.require(self.new.spec)
        checked.require_updates_seen(self.context, self.new.spec)
        record = indexes.record_of(self.context, self.old)
        live = None if record is None else record.physical
        if record is not None:
            indexes.uncover(self.context, record)
        self.context.step.put({"old": live or "", "physical": self.new.physical})
        if live is None:
            return
        # A server that was restarted reads its indexes in again: until then they look smaller than they are.
        # One whose own scan was given up is what a rebuild mends.
        indexes.wait_until_indexed(self.context, live, live, complete=False)
        info = search.info(live) or {}
        documents = reply.num_docs(info)
        self.context.step.put({"old_documents": documents})
        self._refuse_too_much(info)
        if live in self._aliases():
            progress.message(
                f"{live}: a plain index gives its name to an alias; it cannot be kept for a rollback"
            )
        if record is not None and record.origin == "adopted":
            self._refuse_unknown_aliases(live)
        for remark in remarks(search, documents):
            progress.message(remark)
        for item in _become_flat(self.old.spec, self.new.spec):
            progress.message(
                f"{self.new.physical}: a FLAT index refuses EF_RUNTIME, which helpers generated for HNSW "
                f"send with each query of {item!r}: services need the new helpers before the cut-over"
            )

    def _refuse_unknown_aliases(self, live: str) -> None:
        """Dropping an index takes its aliases along; the server must list them, or the spec name them."""
        if not self.new.spec.index.ask_aliases or self.context.search.aliases_of(live) is not None:
            return
        raise OperationError(
            f"index {live!r} was taken over, and other aliases that lead to it would go with it; this server "
            "does not list them (expected a list in `index.aliases`, found null)",
            hint="name every other alias that services ask for, or `aliases: []` where there is none, in the "
            'spec and in this migration, as in index={"aliases": []}',
        )

    def _aliases(self) -> tuple[str, ...]:
        """Every alias that is to lead to the new index: the spec's, and those that led to the old one."""
        if not self.new.published:
            return ()
        spec = self.new.spec
        record = self.context.registry.get(spec.name)
        before = () if record is None else record.aliases
        listed = None if record is None else self.context.search.aliases_of(record.physical)
        if not spec.index.alias:
            # Those who ask the old name go on asking the old index.
            own = {self.old.spec.index.name}
            before = tuple(name for name in before if name not in own)
            listed = [name for name in listed or () if name not in own]
        return indexes.aliases(spec, before, listed or ())

    def _refuse_too_much(self, info: dict[str, Any]) -> None:
        needed = memory.estimate(self.new.spec, info)
        server = self.context.search.memory()
        threshold = self.context.search.setting(memory.SCAN_THRESHOLD)
        maximum = memory.scan_limit(server.maximum, threshold)
        limits = [limit for limit in (maximum, self.context.options.max_memory) if limit is not None]
        documents = reply.num_docs(info)
        told = (
            f"{self.new.physical}: {documents:,} documents; a second index takes some {_mb(needed)}, "
            f"and Redis uses {_mb(server.used)}"
        )
        self.context.step.put({"memory_estimate": needed, "used_before": server.used})
        if limits and server.used + needed > min(limits):
            name = "--max-memory" if min(limits) == self.context.options.max_memory else "maxmemory"
            raise MemoryLimitError(
                f"a second index would take some {_mb(needed)}, and Redis uses {_mb(server.used)} already "
                f"(at most {_mb(min(limits))}, by {name})",
                hint="`vecmigrate complete` frees what is kept; or raise the limit",
            )
        bound = f", at most {_mb(min(limits))}" if limits else ""
        self.context.progress.message(f"{told}{bound}")

    def _build(self) -> None:
        if not self.context.step.get("began"):
            self.context.step.put({"began": f"{time.time():.3f}"})
        physical = indexes.build(self.context, self._scanning, self.new.physical)
        self.context.step.put({"physical": physical})
        total = int(self.context.step.get("old_documents") or 0) or None
        indexes.wait_until_built(self.context, physical, physical, total)
        self.context.step.put({"built": f"{time.time():.3f}"})

    @property
    def _scanning(self) -> IndexSpec:
        """A rebuilt index holds what is there, whatever the spec says of new ones."""
        spec = self.new.spec
        return replace(spec, index=replace(spec.index, skip_initial_scan=False))

    def _verify(self) -> None:
        # A server that was restarted since scans anew.
        physical = self.physical
        indexes.wait_until_built(self.context, physical, physical)
        mode = self.context.options.verify
        # Imported here: it needs numpy, and recording a migration does not.
        from vecmigrate.verify.compare import Built, measure_recall, named

        new = Built(physical, self.new.spec)
        live = self.context.step.get("old") or ""
        there = bool(live) and self.context.search.info(live) is not None
        old = Built(live, self._live().spec) if there else None
        progress = self.context.progress
        before = (old.name, old.spec) if old is not None else None
        known = int(self.context.step.get("old_documents") or 0) or None
        counts = checked.check(self.context, physical, self._scanning, before, total=known)
        if counts is None:
            return
        self.context.step.put({"documents": counts.held, "missing": counts.lost_count})
        if counts.lost_count:
            self._give_up(
                f"{counts.lost_count:,} documents are missing from {new.name}: "
                f"{named(counts.lost, counts.lost_count)}"
            )
        if mode != "recall":
            return
        progress.start(f"recall of {new.name} against an exact search", counts.seen or None)
        found = measure_recall(self.context.client, new, old, self._told)
        listed = [self._say(item.field, item.new, item.old) for item in found]
        progress.finish(", ".join(listed) or "no vector to ask for")
        for item in found:
            self.context.step.put(
                {
                    f"recall:{item.field}": f"{item.new:.4f}",
                    f"old_recall:{item.field}": "" if item.old is None else f"{item.old:.4f}",
                }
            )
            if item.lacking_count:
                self._give_up(
                    f"{item.lacking_count:,} documents have a vector for field {item.field!r} in the old "
                    f"index and none in {new.name}: {named(item.lacking, item.lacking_count)}"
                )
            floor = self._floor(item.old)
            if item.new < floor:
                self._give_up(
                    f"recall@10 of field {item.field!r} is {item.new:.3f} (at least {floor:.3f}"
                    f"{'' if item.old is None else f'; the old index has {item.old:.3f}'})"
                )
        self.context.step.put({"figures": "; ".join(listed)})

    def _live(self) -> IndexState:
        """The index that is live: the old one, or one before it where that was left out."""
        record = self.context.registry.get(self.new.spec.name)
        index: IndexState | None = self.old
        while index is not None:
            if record is None or index.revision == record.revision:
                return index
            index = index.previous
        return self.old

    def _told(self, seen: int) -> None:
        self.context.check_lease()
        self.context.progress.advance(seen)

    def _floor(self, old: float | None) -> float:
        given = self.context.options.min_recall
        if given is not None:
            return given
        return DEFAULT_RECALL if old is None else min(DEFAULT_RECALL, old - RECALL_LOSS)

    @staticmethod
    def _say(field: str, new: float, old: float | None) -> str:
        return f"recall@10 of {field} {new:.3f}{'' if old is None else f' (old index {old:.3f})'}"

    def _give_up(self, figure: str) -> None:
        physical = self.physical
        self.context.registry.drop(physical)
        self.context.step.put({"stage": STAGES[0]})
        raise VerificationError(
            f"{figure}; {self.alias!r} leads where it did before, and {physical} was removed",
            hint="change the parameters and upgrade again; --min-recall and --verify set what is accepted",
        )

    def _cut_over(self) -> None:
        """Every alias in one step, together with what the ledger says of both indexes."""
        context = self.context
        physical = self.physical
        indexes.wait_until_indexed(context, physical, physical)
        old = indexes.record_of(context, self.old)
        if old is not None and old.physical != physical:
            # A restarted server may still be reading it in; it must not be taken for an empty one.
            indexes.wait_until_indexed(context, old.physical, old.physical, complete=False)
            indexes.uncover(context, old)
        names = tuple(name for name in self._aliases() if name != physical)
        new = IndexRecord(self.new.spec.name, physical, "created", self.new.revision, names)
        # A name that the spec says is no old name any more, to go with `complete`.
        wanted = [physical, *indexes.aliases(self.new.spec)]
        commands: list[tuple[str | bytes, ...]] = [context.kept.forgotten(name) for name in wanted]
        # What was live goes, unless it is kept or gives its name to an alias; also where it is gone already.
        noted = context.registry.get(self.old.spec.name)
        superseded = noted.physical if noted is not None and noted.physical != physical else None
        over = {old.physical} & set(names) if old is not None else set()
        kept = self._kept(old) if old is not None and not over and old.physical != physical else None
        if kept is not None:
            commands.append(context.kept.stored(kept))
        if kept is not None or over:
            superseded = None
        context.registry.point(new, *commands, over_plain=over, superseded=superseded)

    def _kept(self, old: IndexRecord) -> Kept | None:
        """What is kept of the old index, where there is one that a rollback could be wanted for."""
        context = self.context
        info = context.search.info(old.physical)
        # Without documents, or without an alias, it serves nobody, and only costs writes.
        if info is None or not self.keep or not reply.num_docs(info) or not self.new.published:
            return None
        return Kept(
            what=old.physical,
            kind="replaced",
            name=self.new.spec.name,
            alias=self.old.spec.index.name,
            live=self.physical,
            revision=old.revision,
            by=context.revision,
            step=context.step.number,
            memory=memory.used_by(info),
            origin=old.origin,
        )

    def _keep(self) -> None:
        """Say what is kept; what is not goes."""
        context = self.context
        old = context.step.get("old") or ""
        documents = int(context.step.get("old_documents") or 0)
        told = [f"{int(context.step.get('documents') or documents):,} documents"]
        told += filter(None, [context.step.get("figures")])
        kept = context.kept.all().get(old)
        if kept is not None:
            context.progress.message(
                f"{old}: kept for `vecmigrate rollback {kept.name}`; it takes some {_mb(kept.memory)}, "
                f"and every write goes into both, until `vecmigrate complete {kept.name}`"
            )
            told.append(f"{old} kept")
        elif old and old != self.physical and context.registry.is_ours(old):
            context.registry.drop(old)
        # Also what was replaced and is gone: the registry would say for good that it is ours.
        context.registry.drop_leftovers(self.new.spec.name)
        context.step.put({"outcome": ", ".join(told)})


def check_rebuild(old: IndexSpec, new: IndexSpec) -> None:
    """Raise OperationError where `new` is about other documents or other stored values than `old`."""
    for option, before, after in (
        ("storage", old.index.storage, new.index.storage),
        ("prefix", sorted(old.index.prefixes), sorted(new.index.prefixes)),
    ):
        if before != after:
            raise OperationError(
                f"rebuild_index cannot change the {option} of {old.name!r} from {before!r} to {after!r} "
                "(changes that leave the stored documents as they are)",
                hint="documents have to be written anew: create another index and fill it",
            )
    stored = {item.path: item for item in old.vectors}
    for item in new.vectors:
        before_field = stored.get(item.path)
        # A JSON document holds an array of numbers, whatever the index makes of it.
        any_type = new.index.storage == "json"
        if before_field is not None and (
            before_field.dims != item.dims or not (any_type or before_field.datatype == item.datatype)
        ):
            raise OperationError(
                f"rebuild_index cannot make {item.dims} × {item.datatype} of field {item.name!r}, whose "
                f"stored vectors are {before_field.dims} × {before_field.datatype} (the same stored vectors)",
                hint="embed anew into another field, and index that one",
            )


def _become_flat(old: IndexSpec, new: IndexSpec) -> list[str]:
    """The vector fields that were searched with EF_RUNTIME and will be FLAT."""
    before = {item.name for item in old.vectors if isinstance(item.algorithm, Hnsw)}
    return [item.name for item in new.vectors if item.name in before and isinstance(item.algorithm, Flat)]


def _mb(size: int) -> str:
    return f"{size / memory.MB:,.0f} MB" if size >= memory.MB else f"{size / 1024:,.0f} kB"
