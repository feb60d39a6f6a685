"""What the operations on indexes share: building, waiting, publishing and dropping physical indexes."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from vecmigrate.errors import IndexConflictError
from vecmigrate.operations.base import Context
from vecmigrate.operations.state import IndexState
from vecmigrate.search import ddl, reply
from vecmigrate.search.introspect import differences
from vecmigrate.spec.model import IndexSpec

POLL_SECONDS = 0.2
SHORTEST_POLL_SECONDS = 0.005
# Nearly always there is little to scan, and then nothing to tell.
QUIET_SECONDS = 0.5


def require_same(spec: IndexSpec, info: dict[str, Any], name: str) -> None:
    """Raise IndexConflictError where the index `name` is not what `spec` says, as far as FT.INFO shows it."""
    found = differences(spec, info)
    if not found:
        return
    listed = ", ".join(str(item) for item in found)
    raise IndexConflictError(
        f"index {name!r} exists with another definition ({listed})",
        hint="make the spec in this migration say what the index is and migrate from there, "
        f"or FT.DROPINDEX {name} (documents stay), or give the spec another index.name",
    )


def build(context: Context, spec: IndexSpec, physical: str) -> None:
    """Create the index `physical` unless it is there already, as `spec` says."""
    info = context.search.info(physical)
    if info is None:
        context.search.change(*ddl.ft_create(spec, physical))
    else:
        require_same(spec, info, physical)


def wait_until_indexed(context: Context, physical: str, label: str, total: int | None = None) -> None:
    """Wait until `physical` is scanned: until then its answers are silently incomplete.

    `total` is how many documents there will be, as far as that is known. A server that is being restarted is
    waited for; it scans from the start then.
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


def lead(context: Context, old: IndexState, alias: str, physical: str) -> None:
    """Let `alias`, which leads to the index of `old` or nowhere, lead to `physical` in one step."""
    live = live_ours(context, old, physical)
    if live == physical:
        return
    if live is None:
        context.search.change(*ddl.ft_alias_add(alias, physical))
    elif live == alias:
        context.search.replace_plain(alias, physical)
    else:
        context.search.change(*ddl.ft_alias_update(alias, physical))


def publish(context: Context, spec: IndexSpec, physical: str) -> None:
    """Let the alias lead to `physical`, once its scan is done."""
    wait_until_indexed(context, physical, spec.name)
    info = context.search.info(spec.index.name)
    if info is None:
        context.search.change(*ddl.ft_alias_add(spec.index.name, physical))
    elif reply.index_name(info) not in (physical, spec.index.name):
        context.search.change(*ddl.ft_alias_update(spec.index.name, physical))


def live_index(context: Context, spec: IndexSpec) -> str | None:
    """The physical name behind the spec's alias: `<name>@<revision>`, a plain index, or None."""
    info = context.search.info(spec.index.name)
    return None if info is None else reply.index_name(info)


def take_along(context: Context, name: str, physical: str) -> None:
    """Let the aliases that the index `name` had before it was renamed lead to `physical` too."""
    for item in context.kept.all().values():
        if item.kind == "alias" and item.name == name and live_name(context, item.what) != item.what:
            context.search.change(*ddl.ft_alias_update(item.what, physical))
            context.kept.put(replace(item, live=physical))


def live_name(context: Context, alias: str) -> str | None:
    """The index that answers to `alias`, or None."""
    info = context.search.info(alias)
    return None if info is None else reply.index_name(info)


def live_ours(context: Context, index: IndexState, *others: str) -> str | None:
    """The index behind the alias of `index`, or None; raises IndexConflictError where it is not ours."""
    alias = index.spec.index.name
    live = live_name(context, alias)
    if live is not None and live not in (index.physical, index.plain, *others):
        raise IndexConflictError(
            f"alias {alias!r} leads to index {live!r} (to {index.physical!r}, as the migrations say)",
            hint="`vecmigrate drift` shows what is there; FT.ALIASUPDATE or `vecmigrate stamp` mends it",
        )
    return live
