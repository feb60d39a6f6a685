"""Which fields a store helper writes, and which are only indexed.

A hash field that several fields of a spec name is written by the first of them. In JSON documents a field
is written where its path is plain (`$.a.b`, `$["a.b"]`), is not another field's, and does not lie inside a
json field; all other paths pick out values that something else wrote.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

# A key after a point, or in brackets and quotes, with no quote and no backslash in it.
_KEY: Final = r"""\.(?:[A-Za-z_][A-Za-z0-9_-]*)|\["[^"'\\]+"\]|\['[^"'\\]+'\]"""
_PLAIN: Final = re.compile(rf"\$(?:{_KEY})*")
_KEYS: Final = re.compile(_KEY)


class PathUse(NamedTuple):
    """A field, as far as this module needs to know it."""

    name: str
    path: str
    is_json: bool


def json_keys(path: str) -> tuple[str, ...] | None:
    """The keys of a plain JSON path, outermost first: ("a", "b") for `$.a.b` and `$["a"].b`, () for `$`.

    None for a path with anything else in it: wildcards, filters, positions.
    """
    if not _PLAIN.fullmatch(path):
        return None
    return tuple(key[1:] if key[0] == "." else key[2:-2] for key in _KEYS.findall(path))


def written_names(storage: str, fields: Iterable[PathUse]) -> frozenset[str]:
    """The names of the fields that a store helper writes; the others only index what is there."""
    fields = tuple(fields)
    if storage == "hash":
        first: dict[str, str] = {}
        for item in fields:
            first.setdefault(item.path, item.name)
        return frozenset(first.values())
    holders = {keys for item in fields if item.is_json and (keys := json_keys(item.path))}
    taken: dict[tuple[str, ...], str] = {}
    for item in fields:
        keys = json_keys(item.path)
        if keys and not any(keys[:depth] in holders for depth in range(1, len(keys))):
            taken.setdefault(keys, item.name)
    return frozenset(taken.values())
