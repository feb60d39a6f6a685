"""In which order a change is deployed: expand what all pods bear, deploy, contract what no pod needs.

Pods of two releases run side by side during a deploy, and the index changes at one moment. So for each
change the question is who bears what: old pods the new index, or new pods the old one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from vecmigrate.diff.model import Change, worst

Name: TypeAlias = Literal["expand", "deploy", "contract"]

_UPGRADE: Final = "`vecmigrate upgrade`"
# Old pods and new pods need different indexes: scores, blobs, keys or names differ.
_APART: Final = frozenset({"metric", "datatype", "dims", "index.storage", "type", "path"})


@dataclass(frozen=True, slots=True)
class Stage:
    """One thing to do, and why then."""

    name: Name
    action: str


def stages(changes: Sequence[Change]) -> tuple[Stage, ...]:
    """What deployers do for the changes of one index, in order."""
    index = changes[0].index if changes else ""
    kind = worst(changes)
    if kind == "create":
        return (
            Stage("expand", f"{_UPGRADE} builds the index; nobody asks for it yet"),
            Stage("deploy", "the services that store into it and search it"),
        )
    if any(change.kind == "drop" for change in changes):
        return (
            Stage("deploy", "services that no longer use the index, everywhere"),
            Stage("contract", f"{_UPGRADE} drops the index; its documents stay"),
        )
    if kind == "nothing":
        renamed = any(change.option.startswith("helpers.") or change.option == "key" for change in changes)
        with_callers = "the generated code together with its callers" if renamed else "at any time"
        return (Stage("deploy", f"{with_callers}; no migration is needed"),) if changes else ()
    # With a new index of a new name (`alias: false`) each release asks its own.
    own = any(change.option == "index.name" and change.kind == "rebuild" for change in changes)
    apart = [change for change in changes if _apart(change) and (not own or change.kind != "rebuild")]
    if apart:
        return _side_by_side(apart)
    realiased = any(change.option == "index.name" for change in changes)
    until = "nobody asks for the old name" if realiased else "nobody wants to go back to the old index"
    complete = Stage("contract", f"`vecmigrate complete {index}` once {until}")
    after = (complete,) if kind == "rebuild" or realiased else ()
    first = [change for change in changes if _code_first(change) and not own]
    if first:
        what = ", ".join(change.field or change.option for change in first)
        return (
            Stage("deploy", f"services that no longer ask for {what}, everywhere; they bear the old index"),
            Stage("contract", f"{_UPGRADE}, when no old pod is left"),
            *after,
        )
    means = {"rebuild": "builds a second index, and lets the alias lead to it"}.get(kind, "alters the index")
    if touches_names_only(changes):
        means = "writes down the new name; the index stays as it is"
    if own:
        means = "builds a second index under the new name; the old one keeps the old name"
    elif realiased:
        means += "; both names lead to it"
    return (
        Stage("expand", f"{_UPGRADE} {means}; services of both releases bear it"),
        Stage("deploy", "the services, at any time after that"),
        *after,
    )


def _side_by_side(apart: Sequence[Change]) -> tuple[Stage, ...]:
    what = ", ".join(dict.fromkeys(map(_difference, apart)))
    return (
        Stage(
            "expand",
            f"old and new pods need different indexes ({what}): give the new form a spec with a name and an "
            "`index.name` of its own, and fill it, while old pods go on with the old one",
        ),
        Stage("deploy", "the services that use the new one, with thresholds and models that fit it"),
        Stage(
            "contract",
            "drop the old one in a later migration. Or, where a pause is bearable: stop the old pods, "
            f"{_UPGRADE}, start the new ones",
        ),
    )


def touches_names_only(changes: Sequence[Change]) -> bool:
    """Whether all that is to be done is to call something otherwise: no index is built, no document read."""
    real = [change for change in changes if change.kind != "nothing"]
    names = ("name", "index.name", "index.aliases")
    return bool(real) and all(
        change.field is None and change.kind == "in_place" and change.option in names for change in real
    )


def _difference(change: Change) -> str:
    if change.option == "name":
        return f"{change.old} is called {change.new}"
    return change.option.removeprefix("index.")


def _apart(change: Change) -> bool:
    """Whether pods of one release give wrong answers with the index of the other."""
    renamed = change.option == "name" and change.field is not None
    moved = change.kind == "rewrite" and change.option != "field"
    return change.option in _APART or renamed or moved


def _code_first(change: Change) -> bool:
    """Whether new pods bear the old index, and old pods do not bear the new one."""
    gone = change.option == "field" and change.new is None and change.kind != "nothing"
    hidden = (change.option == "index" and change.new is False) or (change.option == "noindex" and change.new)
    return bool(gone or hidden)
