"""Spec against spec, and specs against the state of the migrations: each difference as a typed change.

The kind of a change says what carries it out:

    nothing   no index and no document is touched: descriptions, names of helpers, EF_RUNTIME (helpers send it
              with each query), defaults for what is stored from now on
    in_place  FT.ALTER adds a field whose stored values are there, or aliases are set or renamed
    rebuild   a second index over the same documents, behind the alias: whatever FT.ALTER cannot set
    rewrite   documents have to be written anew: prefix, storage, datatype, values moved or new
    re_embed  vectors have to be computed anew
    create    an index that was not there
    drop      an index that is no more

Renames are taken from `renamed_from` and never guessed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from vecmigrate.diff.fields import field_changes
from vecmigrate.diff.model import AmbiguousRename, Change, Diff, Kind, worst
from vecmigrate.spec.build import field_type
from vecmigrate.spec.change import renamed_fields, same_aliases
from vecmigrate.spec.model import Field, IndexOptions, IndexSpec, VectorField

__all__ = [
    "AmbiguousRename",
    "Change",
    "Diff",
    "Kind",
    "diff_specs",
    "diff_state",
    "needs_new_name",
    "new_name_wanted",
    "worst",
]

_SEPARATE: Final = frozenset(
    {"name", "prefixes", "store_prefix", "storage", "skip_initial_scan", "alias", "aliases", "ask_aliases"}
)
# What another index has to be built for, where documents stay as they are.
_NEW_INDEX: Final = ("rebuild", "re_embed")


def diff_specs(old: IndexSpec, new: IndexSpec) -> tuple[Change, ...]:
    """Every change from one form of a spec to another, those of the index first, then field by field."""
    return (*_descriptive(old, new), *_of_index(old, new), *_of_fields(old, new))


def diff_state(
    state: Mapping[str, IndexSpec], specs: Sequence[IndexSpec], *, known_new: Collection[str] = ()
) -> Diff:
    """Every change from the specs of a state, by name, to `specs`.

    Descriptions and helpers are left out: migrations do not carry them. `known_new` are the things that are
    new and no renamed ones, `skill` or `skill.headline`, where that could be doubted.
    """
    changes: list[Change] = []
    ambiguous: list[AmbiguousRename] = []
    renamed = {spec.name: before for spec in specs if (before := renamed_index(state, specs, spec))}
    appeared = [spec for spec in specs if spec.name not in state and spec.name not in renamed]
    gone = [
        name for name in state if name not in renamed.values() and name not in {spec.name for spec in specs}
    ]
    for spec in specs:
        old = state.get(renamed.get(spec.name, spec.name))
        if old is None:
            note = f"{spec.index.name} over {', '.join(spec.index.prefixes)}"
            changes.append(Change("create", spec.name, None, "index", None, spec.name, spec.location, note))
            continue
        changes += (*_of_index(old, spec), *_of_fields(old, spec))
        ambiguous += _doubtful_fields(old, spec, known_new)
    for name in gone:
        old = state[name]
        note = f"{old.index.name}; its documents stay"
        changes.append(Change("drop", name, None, "index", name, None, old.location, note))
        ambiguous += [
            AmbiguousRename(None, name, spec.name, spec.location)
            for spec in appeared
            if spec.name not in known_new and _alike(old, spec)
        ]
    return Diff(tuple(changes), tuple(ambiguous))


def renamed_index(state: Mapping[str, IndexSpec], specs: Sequence[IndexSpec], spec: IndexSpec) -> str | None:
    """The name that `spec` has in `state`, where it declares a rename that is still to come; else None."""
    before = spec.renamed_from
    pending = before in state and spec.name not in state and all(other.name != before for other in specs)
    return before if pending else None


def _descriptive(old: IndexSpec, new: IndexSpec) -> Iterator[Change]:
    if old.description != new.description:
        place = new.place("description")
        yield Change("nothing", new.name, None, "description", old.description, new.description, place)
    for item in dataclasses.fields(old.helpers):
        before, after = getattr(old.helpers, item.name), getattr(new.helpers, item.name)
        # The names of classes follow from the name of the spec.
        if before != after and not item.name.endswith("_class"):
            place = new.place("helpers", item.name)
            note = "callers use it by name"
            yield Change("nothing", new.name, None, f"helpers.{item.name}", before, after, place, note)


def _of_index(old: IndexSpec, new: IndexSpec) -> Iterator[Change]:
    def change(kind: Kind, option: str, before: object, after: object, note: str = "") -> Change:
        return Change(kind, new.name, None, option, before, after, new.place(*option.split(".")), note)

    if old.name != new.name:
        yield change("in_place", "name", old.name, new.name, "generated code gets new names")
    if old.key != new.key:
        yield change("nothing", "key", old.key, new.key, "a parameter of helpers is renamed")
    before, after = old.index, new.index
    if before.name != after.name:
        behind = before.alias and after.alias
        note = "applications that query the old name have to move first"
        if not behind:
            note = "a new index; the one that is there keeps the old name until `vecmigrate complete`"
        yield change("in_place" if behind else "rebuild", "index.name", before.name, after.name, note)
    if before.alias != after.alias:
        note = "an alias leads to the index" if after.alias else "the index itself is called so"
        yield change("rebuild", "index.alias", before.alias, after.alias, note)
    yield from _of_aliases(old, new)
    if set(before.prefixes) != set(after.prefixes) or old.prefix != new.prefix:
        yield _of_prefixes(old, new)
    if before.storage != after.storage:
        yield change("rewrite", "index.storage", before.storage, after.storage, "every document")
    if before.skip_initial_scan != after.skip_initial_scan:
        kind: Kind = "rebuild" if before.skip_initial_scan else "nothing"
        note = "" if before.skip_initial_scan else "it matters only when an index is created"
        yield change(kind, "index.skip_initial_scan", before.skip_initial_scan, after.skip_initial_scan, note)
    for item in dataclasses.fields(IndexOptions):
        was, will = getattr(before, item.name), getattr(after, item.name)
        if item.name == "stopwords":
            # A set to the server, which folds case too.
            same = was == will or (None not in (was, will) and _words(was) == _words(will))
        else:
            same = was == will
        if item.name not in _SEPARATE and not same:
            yield change("rebuild", f"index.{item.name}", _plain(was), _plain(will))


def needs_new_name(old: IndexSpec, new: IndexSpec, changes: Sequence[Change]) -> bool:
    """Whether `changes` from `old` to `new` need an index for which `new` has no free name.

    An index that is called `index.name` itself (`alias: false`) cannot be built beside one of that name.
    """
    own = not new.index.alias and new.index.name in old.index.names
    return own and any(change.kind in _NEW_INDEX or _reads_anew(change) for change in changes)


def new_name_wanted(
    old: IndexSpec, new: IndexSpec, changes: Sequence[Change], taken: Collection[str]
) -> tuple[str, str]:
    """What is wrong where `needs_new_name`, and which line to change to what. `taken` are names in use."""
    first = next(change for change in changes if change.kind in _NEW_INDEX or _reads_anew(change))
    holder = "the alias of the one that is there" if old.index.alias else "the one that is there"
    place = new.place("index", "name")
    line = f"line {place.line} of {place.file}" if place is not None and place.line else "the spec"
    return (
        f"{new.name} needs a new index ({first.describe().partition(': ')[2]}), and {new.index.name!r} is "
        f"{holder} (expected another index.name, since `alias: false` makes it the name of the index itself)",
        f"write `name: {_next_name(new.index.name, taken)}` under `index` in {line}",
    )


def _next_name(name: str, taken: Collection[str]) -> str:
    """`name` with the next number at its end that is free: `idx:doc` → `idx:doc_2` → `idx:doc_3`."""
    stem, _, digits = name.rpartition("_")
    numbered = bool(stem) and digits.isdecimal()
    number = int(digits) + 1 if numbered else 2
    while (free := f"{stem if numbered else name}_{number}") in taken:
        number += 1
    return free


def _reads_anew(change: Change) -> bool:
    """Whether documents that are written anew need another index too: all but for a field that is added."""
    apart = change.option in ("field", "index.prefix", "index.store_prefix", "index.storage")
    return change.kind == "rewrite" and not apart


def _of_aliases(old: IndexSpec, new: IndexSpec) -> Iterator[Change]:
    before, after = old.index.aliases, new.index.aliases
    if same_aliases(old.index, new.index):
        return
    kind: Kind = "in_place"
    gone = [name for name in before or () if name not in new.index.names]
    note = f"{', '.join(gone)} will lead nowhere" if gone else "no index is touched"
    if after is None:
        # Forgetting a name is not a wish to delete it, which is what `[]` says.
        kind, note = "nothing", "they stay as they are; `aliases: []` takes them away"
    place = new.place("index", "aliases")
    yield Change(kind, new.name, None, "index.aliases", _plain(before), _plain(after), place, note)


def _of_prefixes(old: IndexSpec, new: IndexSpec) -> Change:
    before, after = list(old.index.prefixes), list(new.index.prefixes)
    note = "other documents belong to the index"
    if old.prefix != new.prefix:
        note = f"documents are stored under {old.prefix!r}, helpers will look for them under {new.prefix!r}"
    if before == after:
        place = new.place("index", "store_prefix")
        return Change("rewrite", new.name, None, "index.store_prefix", old.prefix, new.prefix, place, note)
    one = len(before) == len(after) == 1
    return Change(
        "rewrite",
        new.name,
        None,
        "index.prefix",
        before[0] if one else before,
        after[0] if one else after,
        new.place("index", "prefix"),
        note,
    )


def _of_fields(old: IndexSpec, new: IndexSpec) -> Iterator[Change]:
    renamed = renamed_fields(old, new)
    before = {item.name: item for item in old.fields}
    for item in new.fields:
        yield from field_changes(old, new, before.get(renamed.get(item.name, item.name)), item)
    kept = {renamed.get(item.name, item.name) for item in new.fields}
    for item in old.fields:
        if item.name not in kept:
            yield from field_changes(old, new, item, None)


def _doubtful_fields(old: IndexSpec, new: IndexSpec, known_new: Collection[str]) -> list[AmbiguousRename]:
    renamed = renamed_fields(old, new)
    names = {item.name for item in new.fields} | set(renamed.values())
    gone = [item for item in old.fields if item.name not in names]
    before = {item.name for item in old.fields} | renamed.keys()
    appeared = [item for item in new.fields if item.name not in before]
    return [
        AmbiguousRename(new.name, lost.name, item.name, item.location)
        for lost in gone
        for item in appeared
        if f"{new.name}.{item.name}" not in known_new and _alike_fields(lost, item)
    ]


def _alike_fields(old: Field, new: Field) -> bool:
    return field_type(old) == field_type(new) or old.path == new.path


def _alike(old: IndexSpec, new: IndexSpec) -> bool:
    """Whether one might be the other: the same alias, a common prefix, or the same fields."""
    return (
        old.index.name == new.index.name
        or not set(old.index.prefixes).isdisjoint(new.index.prefixes)
        or _shape(old) == _shape(new)
    )


def _shape(spec: IndexSpec) -> set[tuple[str, str, int]]:
    return {
        (item.name, field_type(item), item.dims if isinstance(item, VectorField) else 0)
        for item in spec.fields
    }


def _words(words: Sequence[str]) -> set[str]:
    return {word.lower() for word in words}


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
