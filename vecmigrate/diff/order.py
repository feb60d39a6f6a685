"""In which order a change is deployed, and taken back: expand, deploy, contract.

Pods of two releases run side by side during a deploy, and the index changes at one moment. `compat` says of
each change whose helpers fail with whose index. Where only old helpers fail with the new index, helpers go
first; where only new helpers fail with the old index, the index does. On the way back it is the other way
round. Where both fail, no order works, and it takes two releases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from vecmigrate.diff.compat import Effect, effect
from vecmigrate.diff.model import Change, worst
from vecmigrate.spec.model import IndexSpec

Name: TypeAlias = Literal["expand", "deploy", "contract"]

_UPGRADE: Final = "`vecmigrate upgrade`"
_OLDER: Final = "deploy the older services"
_ANY_ORDER: Final = "in any order"


@dataclass(frozen=True, slots=True)
class Stage:
    """One thing to do, and why then."""

    name: Name
    action: str


@dataclass(frozen=True, slots=True)
class Deployment:
    """What deployers do for the changes of one index, in order, and what they do to take them back."""

    stages: tuple[Stage, ...] = ()
    back: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Judged:
    """A change that one of the releases, or both, cannot share."""

    change: Change
    effect: Effect

    @property
    def subject(self) -> str:
        change = self.change
        if change.option == "name":
            return f"{change.old} is called {change.new}"
        where = f"{change.field}: " if change.field is not None else ""
        if change.option == "field":
            return f"{change.field}"
        return where + change.option.removeprefix("index.")


def deployment(changes: Sequence[Change], old: IndexSpec | None, new: IndexSpec | None) -> Deployment:
    """What deployers do for the changes of one index from `old` to `new`, None where there is none."""
    if not changes:
        return Deployment()
    if any(change.kind == "drop" for change in changes):
        return Deployment(
            (
                Stage("deploy", "services that no longer use the index, everywhere"),
                Stage("contract", f"{_UPGRADE} drops the index; its documents stay"),
            ),
            ("`vecmigrate downgrade -1`, which builds the index again", _OLDER),
        )
    kind = worst(changes)
    if kind == "create" or old is None or new is None:
        return Deployment(
            (
                Stage("expand", f"{_UPGRADE} builds the index; nobody asks for it yet"),
                Stage("deploy", "the services that store into it and search it"),
            ),
            (_OLDER, "`vecmigrate downgrade -1`, which drops the index; its documents stay"),
        )
    if kind == "nothing":
        renamed = any(change.option.startswith("helpers.") or change.option == "key" for change in changes)
        with_callers = "the generated code together with its callers" if renamed else "at any time"
        return Deployment((Stage("deploy", f"{with_callers}; no migration is needed"),), (_OLDER,))
    judged = [_Judged(change, effect(change, old, new, apart=_gets_own_index(changes))) for change in changes]
    apart = [item for item in judged if item.effect.old_fails and item.effect.new_fails]
    if apart:
        return _side_by_side(apart)
    helpers_first = [item for item in judged if item.effect.old_fails]
    index_first = [item for item in judged if item.effect.new_fails]
    return _in_order(changes, helpers_first, index_first)


def _gets_own_index(changes: Sequence[Change]) -> bool:
    """Whether each release asks an index of its own, by a name of its own (`alias: false`)."""
    return any(change.option == "index.name" and change.kind == "rebuild" for change in changes)


def _in_order(
    changes: Sequence[Change], helpers_first: Sequence[_Judged], index_first: Sequence[_Judged]
) -> Deployment:
    kind = worst(changes)
    index = changes[0].index
    renamed = any(change.option == "index.name" for change in changes)
    until = "nobody asks for the old name" if renamed else "nobody wants to go back to the old index"
    complete = (Stage("contract", f"`vecmigrate complete {index}` once {until}"),)
    after = complete if kind == "rebuild" or renamed else ()
    means = {
        "rebuild": "builds a second index, and lets the alias lead to it",
        "in_place": "alters the index",
    }.get(kind, "writes the documents, and indexes them anew")
    if touches_names_only(changes):
        means = "writes down the new name; the index stays as it is"
    if _gets_own_index(changes):
        means = "builds a second index under the new name; the old one keeps the old name"
    elif renamed:
        means += "; both names lead to it"
    undo = (
        f"`vecmigrate rollback {index}`" if kind == "rebuild" and not renamed else "`vecmigrate downgrade -1`"
    )
    if helpers_first and index_first:
        return _in_two_migrations(helpers_first, index_first, after)
    if helpers_first:
        why = _reasons(helpers_first, old=True)
        return Deployment(
            (
                Stage(
                    "deploy",
                    f"the services with the new helpers, everywhere: with the new index the old helpers fail "
                    f"({why}); the new ones work with the old index too",
                ),
                Stage("contract", f"{_UPGRADE}, when no old pod is left: it {means}"),
                *after,
            ),
            (f"{undo}, while the new services still run", _OLDER),
        )
    if index_first:
        why = _reasons(index_first, old=False)
        return Deployment(
            (
                Stage("expand", f"{_UPGRADE} {means}; the old helpers go on working"),
                Stage("deploy", f"the services, after that: with the old index the new helpers fail ({why})"),
                *after,
            ),
            (f"{_OLDER}, everywhere", f"{undo}, when no new pod is left"),
        )
    return Deployment(
        (
            Stage("expand", f"{_UPGRADE} {means}; it is compatible with both releases"),
            Stage("deploy", "the services, at any time after that"),
            *after,
        ),
        (f"{undo} and the older services, {_ANY_ORDER}",),
    )


def _in_two_migrations(
    helpers_first: Sequence[_Judged], index_first: Sequence[_Judged], after: tuple[Stage, ...]
) -> Deployment:
    """Some changes want the index first and some the helpers: no order works with one migration for both."""
    late, early = _subjects(helpers_first), _subjects(index_first)
    return Deployment(
        (
            Stage(
                "expand",
                f"no order works with one migration for all of it, so make two: a first one for {early}, "
                f"and {_UPGRADE}; with the old index the new helpers fail "
                f"({_reasons(index_first, old=False)})",
            ),
            Stage("deploy", "the services with the new helpers, everywhere"),
            Stage(
                "contract",
                f"a second migration for {late}, and {_UPGRADE}, when no old pod is left: then the old "
                f"helpers fail ({_reasons(helpers_first, old=True)})",
            ),
            *after,
        ),
        (
            "`vecmigrate downgrade -1` takes back the second migration",
            f"{_OLDER}, everywhere",
            "`vecmigrate downgrade -1` takes back the first, when no new pod is left",
        ),
    )


def _side_by_side(apart: Sequence[_Judged]) -> Deployment:
    what = _subjects(apart)
    why = "; ".join(dict.fromkeys(item.effect.old_fails or "" for item in apart))
    # Only where stored values serve both forms can two fields lie over them.
    if all(item.change.option in ("name", "type") and item.change.kind == "rebuild" for item in apart):
        form = "leave the field as it is, and add the new form as another field over the same `path`"
        contract = "drop the old field in a later migration"
    else:
        form = (
            "give the new form a spec with a name and an `index.name` of its own, and fill it, while old "
            "pods go on with the old one"
        )
        contract = "drop the old one in a later migration"
    return Deployment(
        (
            Stage(
                "expand",
                f"no order works, as old and new pods need different indexes ({what}: {why}); "
                f"it takes two releases: {form}",
            ),
            Stage("deploy", "the services that use the new form, with thresholds and models that fit it"),
            Stage(
                "contract",
                f"{contract}. Or, where a pause is bearable: stop the old pods, {_UPGRADE}, start the new "
                "ones",
            ),
        ),
        (f"{_OLDER}, as long as the old form is there; later stop the new pods first",),
    )


def touches_names_only(changes: Sequence[Change]) -> bool:
    """Whether all that is to be done is to call something otherwise: no index is built, no document read."""
    real = [change for change in changes if change.kind != "nothing"]
    names = ("name", "index.name", "index.aliases")
    return bool(real) and all(
        change.field is None and change.kind == "in_place" and change.option in names for change in real
    )


def _subjects(items: Sequence[_Judged]) -> str:
    return ", ".join(dict.fromkeys(item.subject for item in items))


def _reasons(items: Sequence[_Judged], *, old: bool) -> str:
    found = ((item, item.effect.old_fails if old else item.effect.new_fails) for item in items)
    return "; ".join(dict.fromkeys(f"{item.subject}: {why}" for item, why in found))
