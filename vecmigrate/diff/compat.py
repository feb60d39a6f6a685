"""Whose helpers work with whose index, while two releases run side by side.

A change is deployed in two moves, the index and the helpers, and taken back in two. In between, the helpers
of one release meet the index of the other. So of each change is said why the old helpers fail with the new
index, which decides whether the index may go first, and why the new helpers fail with the old index, which
decides whether the helpers may. What counts as failing: an error, an empty or wrong answer, a result without
a value that is stored, and a document that the other release does not find.

What generated helpers send: `KNN … EF_RUNTIME` where the algorithm is HNSW; filters and conditions on indexed
fields, by their attribute; RETURN with the path of a field, which any index answers.
Callers may send queries of their own: an ability of the index that is taken away counts as missed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from vecmigrate.diff.fields import fits, is_indexed
from vecmigrate.diff.model import Change
from vecmigrate.spec.build import field_type
from vecmigrate.spec.change import renamed_fields
from vecmigrate.spec.model import Field, IndexSpec, JsonField, Storage, VectorField

# What an index must say so that queries can ask for something, which no query can without it.
_ABILITIES: Final[dict[str, tuple[bool, str]]] = {
    "index_missing": (True, "`ismissing` fails"),
    "index_empty": (True, "empty values are not found"),
    "index.no_offsets": (False, "exact phrases and SLOP fail"),
    "index.no_highlight": (False, "HIGHLIGHT fails"),
    "index.no_fields": (False, "texts are not found by their field"),
}
_ALGORITHMS: Final = {"flat": "FLAT", "hnsw": "HNSW", "svs_vamana": "SVS-VAMANA"}
# Changes of what is stored: neither release finds, or can read, what the other one writes.
_STORED: Final = {
    "dims": "vectors have another length",
    "datatype": "vectors have another form",
    "separator": "lists are stored in another form",
    "coord_system": "shapes are stored in other coordinates",
    "from": "values have another origin",
}


@dataclass(frozen=True, slots=True)
class Effect:
    """Why the helpers of one release fail with the index of the other; None where they work.

    `old_fails` is about the old helpers and the new index, `new_fails` about the new helpers and the old one.
    """

    old_fails: str | None = None
    new_fails: str | None = None


_NONE: Final = Effect()


def effect(change: Change, old: IndexSpec, new: IndexSpec, *, apart: bool = False) -> Effect:
    """What a change from `old` to `new` means to helpers of the other release.

    With `apart` each release asks an index of its own: only what they store meets, in both indexes.
    """
    if change.kind == "nothing":
        return _NONE
    if apart and change.kind == "rebuild" and change.option not in ("index.name", "type", "path"):
        return _NONE
    if change.option in _ABILITIES:
        able, what = _ABILITIES[change.option]
        return Effect(new_fails=what) if bool(change.new) is able else Effect(old_fails=what)
    if change.field is None:
        return _of_index(change, old, new)
    former = renamed_fields(old, new).get(change.field, change.field)
    before = next((item for item in old.fields if item.name == former), None)
    after = next((item for item in new.fields if item.name == change.field), None)
    if before is None or after is None:
        return Effect(
            old_fails=_missed(old, before) if before is not None else None,
            new_fails=_missed(new, after) if after is not None else None,
        )
    return _of_field(change, (old, before), (new, after))


def _of_index(change: Change, old: IndexSpec, new: IndexSpec) -> Effect:
    if change.option == "index.name":
        return Effect(new_fails=f"they ask for {new.index.name}, which is not there yet")
    if change.option == "index.aliases":
        gone = [name for name in old.index.aliases or () if name not in new.index.names]
        more = [name for name in new.index.aliases or () if name not in old.index.names]
        return Effect(
            old_fails=f"{', '.join(gone)} leads nowhere" if gone else None,
            new_fails=f"{', '.join(more)} is not there yet" if more else None,
        )
    if change.option == "index.storage":
        return _both("documents are stored in another form")
    if change.option in ("index.prefix", "index.store_prefix") and old.prefix != new.prefix:
        return _both("documents are stored under another prefix")
    return _NONE


def _of_field(change: Change, one: tuple[IndexSpec, Field], other: tuple[IndexSpec, Field]) -> Effect:
    (old, before), (new, after) = one, other
    match change.option:
        case "algorithm":
            # Only helpers of HNSW send it, and no other algorithm takes it.
            if change.old == "hnsw":
                refusing = _ALGORITHMS.get(str(change.new), str(change.new))
                return Effect(old_fails=f"they send EF_RUNTIME, which {refusing} refuses")
            if change.new == "hnsw":
                refusing = _ALGORITHMS.get(str(change.old), str(change.old))
                return Effect(new_fails=f"they send EF_RUNTIME, which {refusing} refuses")
        case "metric":
            return _both("scores mean something else")
        case "type":
            return _of_type((old, before), (new, after))
        case "name" | "attribute":
            return Effect(_missed(old, before), _missed(new, after))
        case "path" if _writes(old, before) or _writes(new, after):
            return _both("values are stored elsewhere")
        case "index":
            if change.new is False:
                return Effect(old_fails=_missed(old, before))
            return Effect(new_fails=_missed(new, after))
        case "noindex":
            if change.new:
                return Effect(old_fails=_unfiltered(before))
            return Effect(new_fails=_unfiltered(after))
        case option if option in _STORED:
            # An index that reads in another way what something else stores is no matter of helpers.
            read_only = change.kind == "rebuild" and option != "datatype"
            return _NONE if read_only else _both(_STORED[option])
    return _NONE


def _of_type(one: tuple[IndexSpec, Field], other: tuple[IndexSpec, Field]) -> Effect:
    (old, before), (new, after) = one, other
    if isinstance(before, VectorField) or isinstance(after, VectorField):
        return _both("values are stored in another form")
    was, will, storage = field_type(before), field_type(after), new.index.storage
    unfit = "values that they store do not fit the index, which leaves such documents out"
    old_fits = not _writes(old, before) or not is_indexed(after) or _indexable(was, will, storage)
    new_fits = not _writes(new, after) or not is_indexed(before) or _indexable(will, was, storage)
    return Effect(
        old_fails=_unfiltered(before) if old_fits else unfit,
        new_fails=_unfiltered(after) if new_fits else unfit,
    )


def _indexable(stored: str, wanted: str, storage: Storage) -> bool:
    """Whether documents with values of one type get into an index that takes them for another type."""
    # Points and shapes are texts, though nothing to find words in.
    as_text = stored in ("geo", "geoshape") and wanted in ("text", "tag")
    return as_text or fits(stored, wanted, storage)


def _missed(spec: IndexSpec, item: Field) -> str | None:
    """Why helpers of `spec` fail with an index that does not know that field under its attribute."""
    if not is_indexed(item):
        return None
    if isinstance(item, VectorField):
        return "they search it"
    others = {other.attribute for other in spec.fields if is_indexed(other) and other.name != item.name}
    # Of a path that is also another attribute's name, RETURN would give that attribute.
    by_name = item.path in others and spec.index.storage == "hash"
    return _unfiltered(item) or ("results lack it" if by_name else None)


def _unfiltered(item: Field) -> str | None:
    """Why helpers fail with an index that cannot filter by that field as they do."""
    filters = not isinstance(item, VectorField | JsonField) and is_indexed(item) and not item.noindex
    return "filters by it find nothing" if filters else None


def _writes(spec: IndexSpec, item: Field) -> bool:
    return any(other.name == item.name for other in spec.written_fields)


def _both(why: str) -> Effect:
    return Effect(why, why)
