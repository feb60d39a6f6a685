"""The words that name revisions: what they mean on a graph, and what is wrong with those that mean nothing.

    identifier = [label "@"] [id | prefix | label | head | heads | base | current] [("+" | "-") number]

Steps from an id go from revision to revision. Steps from `current`, which may be left out, are about what is
applied: `+1` is what comes next, `-1` leaves out what is on top.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, NamedTuple

from vecmigrate.errors import RevisionError

if TYPE_CHECKING:
    from vecmigrate.revisions.graph import RevisionGraph

RESERVED = ("head", "heads", "base", "current")

# They become parts of file names, keys and names of indexes.
_NAME = re.compile(r"(?!\.)[\w.]{1,64}")
_MAX_BYTES = 128

_IDENTIFIER = re.compile(r"(?:(?P<label>[^@]+)@)?(?P<name>[^@+\-]*)(?P<steps>[+-]\d+)?")


class Identifier(NamedTuple):
    """The parts of an identifier; `name` is empty where only steps are given."""

    text: str
    label: str | None
    name: str
    steps: int

    @property
    def relative(self) -> bool:
        """Whether it counts from what is applied."""
        return self.name in ("", "current")


def check_name(what: str, name: str) -> None:
    """Raise RevisionError where `name` cannot be a revision id or a branch label, which is `what`."""
    if not _NAME.fullmatch(name) or len(name.encode()) > _MAX_BYTES or name in RESERVED:
        shown = repr(name) if len(name) <= 64 else f"{name[:40]!r}…"
        raise RevisionError(
            f"{what} {shown} is not allowed (expected up to 64 letters, digits, '_' and '.', and none of "
            f"{', '.join(RESERVED)})"
        )


def needs_applied(identifier: str) -> bool:
    """Whether what `identifier` names depends on what is applied, as `current` and `-1` do."""
    return parse(identifier).relative


def parse(identifier: str) -> Identifier:
    """Take an identifier apart; raises RevisionError where it is none."""
    match = _IDENTIFIER.fullmatch(identifier)
    if match is None:
        raise RevisionError(
            f"{identifier!r} is not a revision identifier (expected as in head, a1b2, a1b2+1, -1)"
        )
    return Identifier(identifier, match["label"], match["name"], int(match["steps"] or 0))


def named(graph: RevisionGraph, parsed: Identifier, applied: Collection[str]) -> tuple[str, ...]:
    """The revisions that the identifier names without its steps."""
    branch = graph.branch(parsed.label)
    if parsed.name in ("head", "heads"):
        heads = tuple(revision for revision in graph.heads() if revision in branch)
        if parsed.name == "head" and len(heads) > 1:
            raise RevisionError(
                f"there are {len(heads)} heads: {listed(heads)} (expected one for {parsed.text!r})",
                hint="say `heads` for all of them, name one, or join them with `vecmigrate merge`",
            )
        return heads
    if parsed.name == "base":
        if not parsed.label:
            return ()
        outside = {below for revision in branch for below in graph.parents(revision)} - branch
        return graph.ordered(outside)
    if parsed.name == "current":
        return graph.current(set(applied) & branch)
    if parsed.name == "":
        raise RevisionError(
            f"{parsed.text!r} names no revision "
            "(expected an id, a label, head, heads, base, current, +N or -N)"
        )
    revision = _one(graph, parsed.name)
    if revision not in branch:
        raise RevisionError(f"revision {revision!r} is not on branch {parsed.label!r}")
    return (revision,)


def _one(graph: RevisionGraph, name: str) -> str:
    if name in graph:
        return name
    if name in graph.label_owners:
        return graph.label_owners[name]
    matches = sorted(revision for revision in graph.topological() if revision.startswith(name))
    if len(matches) > 1:
        raise RevisionError(
            f"{name!r} is the start of {len(matches)} revisions: {listed(matches)} (expected one)"
        )
    if not matches:
        raise RevisionError(
            f"no revision {name!r}",
            hint=nearest(name, (*graph.topological(), *graph.label_owners)) or "see `vecmigrate history`",
        )
    return matches[0]


def walk(graph: RevisionGraph, parsed: Identifier, start: tuple[str, ...]) -> tuple[str, ...]:
    """Go `steps` up or down from one named place; the base may be an end of the walk."""
    if len(start) > 1:
        raise RevisionError(
            f"{parsed.text!r} starts at {len(start)} revisions: {listed(start)} (expected one)"
        )
    place = start[0] if start else None
    for _ in range(abs(parsed.steps)):
        if parsed.steps > 0:
            steps = graph.children(place) if place else graph.bases()
            if parsed.label:
                branch = graph.branch(parsed.label)
                steps = tuple(revision for revision in steps if revision in branch)
        else:
            if place is None:
                raise RevisionError(f"{parsed.text!r} goes below the base")
            steps = graph.parents(place)
        if not steps and parsed.steps > 0:
            raise RevisionError(
                f"{parsed.text!r} goes beyond the head {place!r}" if place else "there are no revisions"
            )
        place = _only(parsed, steps) if steps else None
    return (place,) if place else ()


def forward(graph: RevisionGraph, parsed: Identifier, applied: Collection[str]) -> str:
    """The revision that lies `steps` above what is applied."""
    branch = graph.branch(parsed.label)
    here = graph.current(set(applied) & branch)
    for _ in range(parsed.steps):
        if here:
            above = {child for revision in here for child in graph.children(revision)}
        else:
            above = {revision for revision in branch if not branch & set(graph.parents(revision))}
        steps = graph.ordered((above & branch) - set(applied))
        if not steps:
            raise RevisionError(
                f"{parsed.text!r} goes beyond the head",
                hint="see `vecmigrate current` and `vecmigrate heads`",
            )
        here = (_only(parsed, steps),)
    return here[0]


def backward(graph: RevisionGraph, parsed: Identifier, applied: Collection[str]) -> list[str]:
    """The `steps` revisions that are on top of what is applied, topmost first."""
    left = set(applied)
    branch = graph.branch(parsed.label)
    reverted: list[str] = []
    for _ in range(-parsed.steps):
        on_top = tuple(revision for revision in graph.current(left) if revision in branch)
        if not on_top:
            raise RevisionError(
                f"{parsed.text!r} goes below the base ({len(reverted)} applied)"
                if not left & branch
                else f"{parsed.text!r} is ambiguous: other branches stand on {parsed.label!r}",
                hint="see `vecmigrate current`",
            )
        reverted.append(_only(parsed, on_top))
        left.remove(reverted[-1])
    return reverted


def _only(parsed: Identifier, steps: tuple[str, ...]) -> str:
    if len(steps) > 1:
        raise RevisionError(
            f"{parsed.text!r} is ambiguous: it could be {listed(steps)}", hint="name the revision instead"
        )
    return steps[0]


def listed(revisions: Iterable[str]) -> str:
    """Revisions, for a message."""
    return ", ".join(revisions)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The hint that names the known name most like `name`, where there is one."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {close[0]!r}?" if close else None
