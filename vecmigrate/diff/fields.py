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
    NumericField,
    Storage,
    TagField,
    TextField,
    VectorField,
)

# An index that was made without MAXTEXTFIELDS takes no more text fields than this by FT.ALTER.
ALTER_TEXT_FIELDS: Final = 32

# Values of these types are stored alike, so that each of them can be indexed as another.
_TEXTS: Final = frozenset({"text", "tag"})
# What a stored value means: by another separator it is another list, in other coordinates another place.
MEANINGS: Final = {
    "separator": "helpers store a list as one value that the separator splits, so stored lists become one "
    "label each, and labels that contain the new separator become several",
    "coord_system": "stored shapes were given in other coordinates",
}
_WHOLE_NUMBERS: Final = frozenset({"int8", "uint8"})

_STORED: Final = {"source": "from", "default": "default", "default_from_key": "default_from"}
_APART: Final = frozenset(
    {
        *_STORED,
        "name",
        "path",
        "attribute",
        "indexed",
        "algorithm",
        "dims",
        "datatype",
        "renamed_from",
        "location",
    }
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
    stored = _stored_at(old, item.path)
    return stored is not None and _readable_as(old, stored, item) and not _means_other(stored, item)


def _stored_at(old: IndexSpec, path: str) -> Field | None:
    """The field whose values documents stored under `old` have at that path."""
    return next((other for other in old.written_fields if other.path == path), None)


def _means_other(stored: Field, item: Field) -> bool:
    """Whether values of one field mean something else to another of that type."""
    same_type = field_type(stored) == field_type(item)
    return same_type and any(
        getattr(stored, option) != getattr(item, option) for option in MEANINGS if hasattr(item, option)
    )


def _readable_as(spec: IndexSpec, stored: Field, item: Field) -> bool:
    """Whether every value of the field `stored` can be indexed as `item`."""
    if isinstance(stored, VectorField) and isinstance(item, VectorField):
        return stored.dims == item.dims and not _recast(spec, stored, item)
    return fits(field_type(stored), field_type(item), spec.index.storage)


def fits(stored: str, wanted: str, storage: Storage) -> bool:
    """Whether every value that helpers store for a field of one type can be indexed as another type.

    A document with a value that cannot be leaves the index as a whole.
    """
    if stored == wanted or {stored, wanted} <= _TEXTS:
        return True
    # A JSON document keeps a number as a number, a hash everything as text.
    return stored == "numeric" and wanted in _TEXTS and storage == "hash"


def _recast(spec: IndexSpec, stored: VectorField, item: VectorField) -> bool:
    """Whether vectors of another datatype have to be written anew."""
    if stored.datatype == item.datatype:
        return False
    # JSON documents hold arrays of numbers, of which an index takes what it wants, but no fractions for
    # whole numbers.
    return spec.index.storage == "hash" or item.datatype in _WHOLE_NUMBERS


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
    there = _stored_at(old, item.path)
    if isinstance(item, VectorField):
        stored = _has_values(old, item) or not _written(new, item)
        kind = "rebuild" if stored else "re_embed"
        note = "over stored vectors" if stored else "no document has such a vector yet"
    elif not is_indexed(item):
        kind, note = "nothing", "stored beside the rest from now on"
    elif there is not None and not _readable_as(old, there, item):
        kind = "rewrite"
        note = f"values of {there.name} ({field_type(there)}) are stored there, and a document whose value "
        note += "does not fit leaves the index"
    elif _has_values(old, item) or not _written(new, item):
        kind, note = _alterable(old, new, item), "over stored values"
    elif there is not None:
        kind, note = "rewrite", f"values of {there.name} are stored there, and mean something else"
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
    note = meaning_as(before, after)
    if isinstance(after, VectorField):
        kind, note = "re_embed", "no document has such a vector yet"
    elif moved or not _readable_as(old, before, after) or not (is_indexed(before) or is_indexed(after)):
        kind = "rewrite"
        note = "stored values have another form, and a document whose value does not fit leaves the index"
    elif not is_indexed(before):
        kind, note = _alterable(old, new, after), "over stored values"
    return _change(new, after, kind, "type", (field_type(before), field_type(after)), note=note)


def meaning_as(before: Field, after: Field) -> str:
    """What becomes of stored values of one type that are indexed as another, which they all fit."""
    match before, after:
        case TextField(), TagField():
            if not after.separator:
                return "each stored text becomes one label"
            return f"stored texts become labels, split at {after.separator!r}"
        case TagField(), TextField():
            return "stored labels become words, which filters by label no longer find"
        case NumericField(), TagField():
            return "stored numbers become labels as they are written; filters by range no longer find them"
        case NumericField(), TextField():
            return "stored numbers become words; filters by range no longer find them"
    return "stored values mean something else"


def _named(old: IndexSpec, new: IndexSpec, before: Field, after: Field) -> Iterator[Change]:
    """The changes of the name, and of where the value lies."""
    if before.name != after.name:
        yield _name_change(new, before, after)
    if _says_attribute(before, after) and before.attribute != after.attribute:
        values = (before.attribute, after.attribute)
        yield _change(new, after, "rebuild", "attribute", values, note="queries use the new attribute")
    # With another storage every document is written anew, and that is said of the index.
    if before.path == after.path or old.index.storage != new.index.storage:
        return
    if _has_values(old, after) or not _written(new, after):
        kind: Kind = "rebuild" if is_indexed(after) else "nothing"
        yield _change(new, after, kind, "path", (before.path, after.path), note="over stored values")
        return
    note = "stored values have to be moved"
    if before.name != after.name or before.attribute != after.attribute:
        note += f"; with `path: {before.path}` they can stay"
    yield _change(new, after, "rewrite", "path", (before.path, after.path), note=note)


def _says_attribute(before: Field, after: Field) -> bool:
    """Whether the index knows both, and one of them has an attribute that is not its name."""
    apart = before.attribute != before.name or after.attribute != after.name
    return apart and is_indexed(before) and is_indexed(after)


def _name_change(new: IndexSpec, before: Field, after: Field) -> Change:
    """The change of the name alone; where the attribute is the name, the index has to be another one."""
    kind: Kind = "rebuild" if is_indexed(before) or is_indexed(after) else "nothing"
    note = "queries and results use the new name"
    if _says_attribute(before, after):
        kind, note = "nothing", "parameters and results use the new name; the index does not know it"
    return _change(new, after, kind, "name", (before.name, after.name), note=note)


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
                yield _of_option(old, new, (before, after), item.name, (was, will))
    if isinstance(before, VectorField) and isinstance(after, VectorField):
        yield from _of_vector(new, before, after)


def _separators(old: IndexSpec, new: IndexSpec) -> tuple[str, str]:
    return default_separator(old.index.storage), default_separator(new.index.storage)


def _of_option(
    old: IndexSpec, new: IndexSpec, fields: tuple[Field, Field], option: str, values: tuple[object, object]
) -> Change:
    before, after = fields
    if option == "metric":
        note = "scores change their meaning: thresholds in callers too"
        if values[1] == "cosine":
            note += "; a stored vector of zeros would come first in every answer, with nan as its score"
        return _change(new, after, "rebuild", option, values, note=note)
    # Where something else is stored, and this field only indexes it, the index alone decides.
    if option in MEANINGS and _written(old, before) and _written(new, after):
        return _change(new, after, "rewrite", option, values, note=MEANINGS[option])
    return _change(new, after, "rebuild", option, values)


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
        kind: Kind = "rewrite" if _recast(new, before, after) else "rebuild"
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
