"""What the operations on indexes share: building, waiting, and telling what is in the way."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from vecmigrate.errors import IndexConflictError, MemoryLimitError, OperationError
from vecmigrate.operations.base import Context
from vecmigrate.operations.registry import IndexRecord
from vecmigrate.operations.state import IndexState
from vecmigrate.search import ddl, reply
from vecmigrate.search.introspect import differences, missed
from vecmigrate.spec.model import IndexSpec

POLL_SECONDS = 0.2
SHORTEST_POLL_SECONDS = 0.005
# Nearly always there is little to scan, and then nothing to tell.
QUIET_SECONDS = 0.5


def require_same(spec: IndexSpec, info: dict[str, Any], name: str) -> None:
    """Raise IndexConflictError where the index `name` is not what `spec` says, as far as FT.INFO shows it.

    `name` may be an alias.
    """
    found = differences(spec, info)
    if not found:
        return
    listed = ", ".join(str(item) for item in found)
    physical = reply.index_name(info)
    if physical != name:
        raise IndexConflictError(
            f"alias {name!r} leads to index {physical!r}, which has another definition ({listed})",
            hint="make the spec in this migration say what the index is and migrate from there, "
            f"or FT.ALIASDEL {name} (the index stays), or give the spec another index.name",
        )
    raise IndexConflictError(
        f"index {name!r} exists with another definition ({listed})",
        hint="make the spec in this migration say what the index is and migrate from there, "
        f"or FT.DROPINDEX {name} (documents stay), or give the spec another index.name",
    )


def build(context: Context, spec: IndexSpec, wanted: str) -> str:
    """Create an index as `spec` says, unless an earlier run of this step did; its physical name.

    `wanted` is what it is called where that is free. An index without an alias carries `index.name` itself.
    """
    exact = not spec.index.alias
    while True:
        physical = context.registry.begin_build(spec.name, spec.index.name if exact else wanted, exact=exact)
        info = context.search.info(physical)
        if info is None:
            context.registry.create(ddl.ft_create(spec, physical), physical)
            return physical
        if not differences(spec, info):
            return physical
        # Begun by an earlier run, from what this migration said then.
        context.registry.drop(physical)


def wait_until_indexed(
    context: Context, physical: str, label: str, total: int | None = None, *, complete: bool = True
) -> None:
    """Wait until `physical` is scanned: until then its answers are silently incomplete.

    `total` is how many documents there will be, as far as that is known. A server that is being restarted is
    waited for; it scans from the start then.

    Raises:
        IndexConflictError: It is gone.
        MemoryLimitError: The server gave the scan up; not without `complete`.
    """
    began = time.monotonic()
    told = False
    done = 0
    while (info := context.search.info(physical, patient=True)) is not None and reply.is_indexing(info):
        context.check_lease()
        waited = time.monotonic() - began
        if waited > QUIET_SECONDS and not told:
            context.progress.start(f"indexing {label}", total or 100, "documents" if total else "%")
            told = True
        if told and total:
            # Documents that are written meanwhile are counted by the index, but not by the scan.
            done = min(int(reply.percent_indexed(info) * total), total)
            context.progress.advance(done)
        elif told:
            context.progress.advance(int(reply.percent_indexed(info) * 100), documents=reply.num_docs(info))
        time.sleep(min(POLL_SECONDS, max(SHORTEST_POLL_SECONDS, waited / 10)))
    if info is None:
        raise IndexConflictError(
            f"index {physical!r} is gone (the index that is being built)",
            hint="the server was emptied, or somebody dropped it: upgrade again",
        )
    if told:
        context.progress.finish(
            f"{reply.num_docs(info):,} documents indexed in {time.monotonic() - began:.1f} s"
        )
    problem = reply.scan_problem(info)
    if problem is not None and complete:
        raise MemoryLimitError(
            f"index {physical!r} holds {reply.num_docs(info):,} documents, and not all: {problem}",
            hint="`vecmigrate complete` frees what is kept; or raise maxmemory; then run it again",
        )


def wait_until_built(context: Context, physical: str, label: str, total: int | None = None) -> None:
    """As `wait_until_indexed`, for an index that this step builds: it is dropped where its scan was given up.

    Nothing but another index starts that scan again.
    """
    try:
        wait_until_indexed(context, physical, label, total)
    except MemoryLimitError:
        context.registry.drop(physical)
        raise


def aliases(spec: IndexSpec, *others: Iterable[str]) -> tuple[str, ...]:
    """Every alias that is to lead to the index of `spec`: its own, those that it names, and `others`."""
    own = (spec.index.name,) if spec.index.alias else ()
    return tuple(
        dict.fromkeys((*own, *(spec.index.aliases or ()), *(name for some in others for name in some)))
    )


def live_name(context: Context, alias: str) -> str | None:
    """The index that answers to `alias`, or None."""
    info = context.search.info(alias)
    return None if info is None else reply.index_name(info)


def record_of(context: Context, index: IndexState) -> IndexRecord | None:
    """The index that the ledger has for `index`, where it is on the server; None where it is not.

    An index of which the ledger knows nothing is adopted where it has the right definition and nobody owns
    it.

    Raises:
        IndexConflictError: The name is taken by an index that is not ours.
    """
    name = index.spec.name
    record = context.registry.get(name)
    if record is not None:
        context.registry.require_free(record.physical)
        return record if live_name(context, record.physical) == record.physical else None
    found = live_name(context, index.spec.index.name)
    if found is None:
        return None
    return adopt(context, index.spec, found, index.revision)


def adopt(context: Context, spec: IndexSpec, physical: str, revision: str) -> IndexRecord:
    """Take over the index `physical`, which nobody owns, as the index of `spec`.

    Raises:
        IndexConflictError: It has another definition, or belongs to another namespace.
    """
    # Whose it is comes first: what to do about another definition is not for us to say then.
    context.registry.require_free(physical)
    alias = spec.index.name
    name = alias if live_name(context, alias) == physical else physical
    require_same(spec, context.search.info(physical) or {}, name)
    found = tuple(name for name in aliases(spec) if name != physical)
    record = IndexRecord(spec.name, physical, "adopted", revision, found)
    context.registry.adopt(record)
    return record


def hidden_by(context: Context, record: IndexRecord) -> list[str]:
    """The aliases of `record` that a plain index of the same name hides."""
    return [name for name in record.aliases if name != record.physical and live_name(context, name) == name]


def uncover(context: Context, record: IndexRecord) -> IndexRecord:
    """Drop plain indexes that hide aliases of `record`, where they ask for nothing that ours does not answer.

    Raises:
        IndexConflictError: One of them is of another kind; nothing was done.
    """
    hidden = hidden_by(context, record)
    ours = context.search.info(record.physical) or {}
    for name in hidden:
        context.registry.require_free(name)
        wrong = missed(ours, context.search.info(name) or {})
        if wrong:
            raise hiding(name, record.physical, wrong)
    if hidden:
        context.registry.point(record, over_plain=hidden)
        context.progress.message(
            f"{', '.join(hidden)}: a plain index of that name hid the alias; it was dropped, and the alias "
            f"leads to {record.physical} again"
        )
    return record


def hiding(name: str, physical: str, wrong: Iterable[str]) -> IndexConflictError:
    """The error for a plain index that hides an alias and is another one."""
    return IndexConflictError(
        f"a plain index {name!r} hides the alias of that name, which leads to {physical!r}, and has another "
        f"definition ({', '.join(wrong)})",
        hint=f"`vecmigrate heal --drop-different` drops {name} (documents stay); first stop whoever creates "
        "it",
    )


def require_there(context: Context, index: IndexState) -> IndexRecord:
    """The index of `index`; raises OperationError where it is gone."""
    record = record_of(context, index)
    if record is None:
        raise OperationError(
            f"the index of {index.spec.name!r} is gone from the server (expected it to be there)",
            hint="`vecmigrate heal` builds it anew",
        )
    return record
