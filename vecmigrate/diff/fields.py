"""Field against field: what each difference takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Final

from vecmigrate.diff.model import Change, Kind
from vecmigrate.spec.build import algorithm_name, default_separator, field_type
from vecmigrate.spec.model import (
    Field,
    Hnsw,
    IndexSpec,
    JsonField,
    TextField,
    VectorField,
)

# An index that was made without MAXTEXTFIELDS takes no more text fields than this by FT.ALTER.
ALTER_TEXT_FIELDS: Final = 32

# Values of these types are stored alike, so that one can be indexed as another.
_STORED_ALIKE: Final = ({"text", "tag"}, {"text", "tag", "numeric"})

_STORED: Final = {"source": "from", "default": "default", "default_from_key": "default_from"}
_APART: Final = frozenset(
    {*_STORED, "name", "path", "indexed", "algorithm", "dims", "datatype", "renamed_from", "location"}
)


def field_changes(
    old: IndexSpec, new: IndexSpec, before: Field | None, after: Field | None
) -> Iterator[Change]:
    """The changes from a field of `old` to one of `new`; None stands for a field that is not there."""
    if after is None:
        if before is not None:
            yield _dropped(new, before)
    elif before is None:
        yield _added(old, new, after)
    elif field_type(before) != field_type(after):
        yield _retyped(old, new, before, after)
    else:
        yield from _named(old, new, before, after)
        yield from _options(old, new, before, after)


def is_indexed(item: Field) -> bool:
    """Whether the index knows the field."""
    return item.indexed and not isinstance(item, JsonField)


def _written(spec: IndexSpec, item: Field) -> bool:
    return item.name in {other.name for other in spec.written_fields}


def _has_values(old: IndexSpec, item: Field) -> bool:
    """Whether documents stored under `old` have values where `item` looks for them, in the form it needs."""
    for other in old.written_fields:
        if other.path == item.path:
            return _readable_as(old, other, item)
    return False


def _readable_as(spec: IndexSpec, stored: Field, item: Field) -> bool:
    """Whether values of the field `stored` can be indexed as `item`."""
    if isinstance(stored, VectorField) and isinstance(item, VectorField):
        same = spec.index.storage == "json" or stored.datatype == item.datatype
        return stored.dims == item.dims and same
    kinds = {field_type(stored), field_type(item)}
    # A JSON document keeps a number as a number, a hash everything as text.
    alike = _STORED_ALIKE[1] if spec.index.storage == "hash" else _STORED_ALIKE[0]
    return len(kinds) == 1 or kinds <= alike


def _change(
    spec: IndexSpec, item: Field, kind: Kind, option: str, values: tuple[object, object], *, note: str = ""
) -> Change:
    before, after = values
    return Change(
        kind, spec.name, item.name, option, before, after, spec.place("fields", item.name, option), note
    )


def _dropped(new: IndexSpec, item: Field) -> Change:
    place = item.location or new.place("fields")
    kind: Kind = "rebuild" if is_indexed(item) else "nothing"
    note = "stored values stay where they are"
    return Change(kind, new.name, item.name, "field", field_type(item), None, place, note)


def _added(old: IndexSpec, new: IndexSpec, item: Field) -> Change:
    kind: Kind
    if isinstance(item, VectorField):
        stored = _has_values(old, item) or not _written(new, item)
        kind = "rebuild" if stored else "re_embed"
        note = "over stored vectors" if stored else "no document has such a vector yet"
    elif not is_indexed(item):
        kind, note = "nothing", "stored beside the rest from now on"
    elif _has_values(old, item) or not _written(new, item):
        kind, note = _alterable(old, new, item), "over stored values"
    elif item.source == "key" or item.default is not None or item.default_from_key:
        kind = "rewrite"
        note = f"documents that exist lack the value that {_giver(item)} stands for"
    else:
        kind = _alterable(old, new, item)
        note = "documents without a value stay without until they are stored again"
    return _change(new, item, kind, "field", (None, field_type(item)), note=note)


def _giver(item: Field) -> str:
    if item.source == "key":
        return "`from: key`"
    return "`default_from: key`" if item.default_from_key else "`default`"


def _alterable(old: IndexSpec, new: IndexSpec, item: Field) -> Kind:
    texts = sum(isinstance(other, TextField) and is_indexed(other) for other in new.fields)
    wide = old.index.max_text_fields or not isinstance(item, TextField) or texts <= ALTER_TEXT_FIELDS
    return "in_place" if wide else "rebuild"


def _retyped(old: IndexSpec, new: IndexSpec, before: Field, after: Field) -> Change:
    moved = before.path != after.path and not _has_values(old, after)
    kind: Kind = "rebuild"
    note = "values that do not fit the type are not found any more"
    if isinstance(after, VectorField):
        kind, note = "re_embed", "no document has such a vector yet"
    elif moved or not _readable_as(old, before, after) or not (is_indexed(before) or is_indexed(after)):
        kind, note = "rewrite", "stored values have another form"
    elif not is_indexed(before):
        kind, note = _alterable(old, new, after), "over stored values"
    return _change(new, after, kind, "type", (field_type(before), field_type(after)), note=note)


def _named(old: IndexSpec, new: IndexSpec, before: Field, after: Field) -> Iterator[Change]:
    """The changes of the name, and of where the value lies."""
    if before.name != after.name:
        kind: Kind = "rebuild" if is_indexed(before) or is_indexed(after) else "nothing"
        note = "queries and results use the new name"
        yield _change(new, after, kind, "name", (before.name, after.name), note=note)
    # With another storage every document is written anew, and that is said of the index.
    if before.path == after.path or old.index.storage != new.index.storage:
        return
    if _has_values(old, after) or not _written(new, after):
        kind = "rebuild" if is_indexed(after) else "nothing"
        yield _change(new, after, kind, "path", (before.path, after.path), note="over stored values")
        return
    note = "stored values have to be moved"
    if before.name != after.name:
        note += f"; with `path: {before.path}` they can stay"
    yield _change(new, after, "rewrite", "path", (before.path, after.path), note=note)


def _options(old: IndexSpec, new: IndexSpec, before: Field, after: Field) -> Iterator[Change]:
    for attribute, option in _STORED.items():
        was, will = getattr(before, attribute), getattr(after, attribute)
        if was != will and _written(old, before) and _written(new, after):
            yield _of_storing(new, after, option, was, will)
    if before.indexed != after.indexed and not isinstance(after, JsonField):
        kind: Kind = "rebuild"
        if after.indexed and not isinstance(after, VectorField):
            kind = _alterable(old, new, after)
        yield _change(new, after, kind, "index", (before.indexed, after.indexed), note="over stored values")
    elif is_indexed(after):
        for item in dataclasses.fields(after):
            if item.name in _APART:
                continue
            was, will = getattr(before, item.name), getattr(after, item.name)
            implied = item.name == "separator" and (was, will) == _separators(old, new)
            if was != will and not implied:
                yield _change(new, after, "rebuild", item.name, (was, will), note=_meaning(item.name))
    if isinstance(before, VectorField) and isinstance(after, VectorField):
        yield from _of_vector(new, before, after)


def _separators(old: IndexSpec, new: IndexSpec) -> tuple[str, str]:
    return default_separator(old.index.storage), default_separator(new.index.storage)


def _meaning(option: str) -> str:
    return "scores change their meaning: thresholds in callers too" if option == "metric" else ""


def _of_storing(new: IndexSpec, item: Field, option: str, was: object, will: object) -> Change:
    kind: Kind = "nothing"
    note = "for what is stored from now on"
    if option == "from" and "key" in (was, will):
        kind, note = "rewrite", "stored values have another origin"
    elif option == "default_from":
        was, will = ("key" if was else None), ("key" if will else None)
    return _change(new, item, kind, option, (was, will), note=note)


def _of_vector(new: IndexSpec, before: VectorField, after: VectorField) -> Iterator[Change]:
    if before.dims != after.dims:
        note = "stored vectors have another length"
        yield _change(new, after, "re_embed", "dims", (before.dims, after.dims), note=note)
    if before.datatype != after.datatype:
        # JSON documents hold arrays of numbers, whatever the index makes of them.
        kind: Kind = "rebuild" if new.index.storage == "json" else "rewrite"
        note = "" if kind == "rebuild" else "stored vectors have another form"
        yield _change(new, after, kind, "datatype", (before.datatype, after.datatype), note=note)
    was, will = before.algorithm, after.algorithm
    if type(was) is not type(will):
        yield _change(new, after, "rebuild", "algorithm", (algorithm_name(was), algorithm_name(will)))
        return
    for item in dataclasses.fields(will):
        one, other = getattr(was, item.name), getattr(will, item.name)
        if one != other:
            queried = isinstance(will, Hnsw) and item.name == "ef_runtime"
            note = "helpers send it with each query" if queried else ""
            yield _change(new, after, "nothing" if queried else "rebuild", item.name, (one, other), note=note)
