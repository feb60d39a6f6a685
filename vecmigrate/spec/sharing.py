"""Two indexes over the same documents: what keeps two specs from having one prefix."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from vecmigrate.spec import defaults
from vecmigrate.spec.implied import path_of
from vecmigrate.spec.paths import PathUse, written_names

# Values of these types are stored alike.
_TEXTS: Final = frozenset({"text", "tag"})

_Mapping = Mapping[str, Any]


def storage_of(mapping: _Mapping) -> str:
    """What the documents of a spec are, by its mapping."""
    storage: str = mapping["index"].get("storage", defaults.STORAGE)
    return storage


def store_prefix(mapping: _Mapping) -> str | None:
    """What helpers store under, by the mapping of a spec; None where that is not sound."""
    given = mapping["index"].get("prefix", [])
    first = given if isinstance(given, str) else next(iter(given), None)
    found: str | None = mapping["index"].get("store_prefix", first)
    return found


def apart(one: _Mapping, other: _Mapping) -> str | None:
    """Why documents of one spec cannot be those of another too; None where they can.

    Both are mappings of which the sound parts are left (see `rules.prune`).
    """
    if storage_of(one) != storage_of(other):
        return "one has hashes and the other JSON documents, and a key holds only one of them"
    storage = storage_of(one)
    mine, theirs = _by_path(one, storage), _by_path(other, storage)
    for path in mine.keys() & theirs.keys():
        why = _unlike(mine[path], theirs[path], storage)
        if why is not None:
            return f"{why} under `{path}`, and what one stores there the other cannot read"
    if storage == "json" and store_prefix(one) == store_prefix(other):
        lost = sorted(set(_written(one)) ^ set(_written(other)))
        if lost:
            return (
                "helpers replace a JSON document as a whole, so that storing with one of them drops "
                f"`{lost[0]}`, which only the other stores"
            )
    return None


def _by_path(mapping: _Mapping, storage: str) -> dict[str, _Mapping]:
    found: dict[str, _Mapping] = {}
    for name, field in mapping["fields"].items():
        found.setdefault(path_of(name, field, storage), field)
    return found


def _written(mapping: _Mapping) -> Iterator[str]:
    paths = {name: path_of(name, field, "json") for name, field in mapping["fields"].items()}
    uses = (PathUse(name, path, mapping["fields"][name]["type"] == "json") for name, path in paths.items())
    return (paths[name] for name in written_names("json", uses))


def _unlike(mine: _Mapping, theirs: _Mapping, storage: str) -> str | None:
    kinds = (mine["type"], theirs["type"])
    if kinds[0] != kinds[1] and not set(kinds) <= _TEXTS:
        return f"one has a {kinds[0]} and the other a {kinds[1]} field"
    options: tuple[tuple[str, Any], ...] = ()
    if kinds == ("vector", "vector"):
        options = (("dims", None), ("datatype", defaults.DATATYPE))
    elif kinds == ("tag", "tag"):
        options = (("separator", None),)
    for option, default in options:
        values = mine.get(option, default), theirs.get(option, default)
        # A JSON document holds an array of numbers, whatever an index makes of them.
        if values[0] != values[1] and not (option == "datatype" and storage == "json"):
            return f"`{option}` is not the same in both"
    return None
