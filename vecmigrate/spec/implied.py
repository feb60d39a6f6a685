"""What a spec means where it says nothing and the answer depends on the rest of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vecmigrate.spec.model import ValueSource


def default_path(name: str, storage: str) -> str:
    """Where a field lies that gives no `path`: its name, or `$.name` in JSON documents."""
    return f"$.{name}" if storage == "json" else name


def metadata_holder(fields: Mapping[str, Mapping[str, Any]]) -> str | None:
    """The json field that holds the whole metadata: the one that says so, or the first if it says nothing."""
    jsons = {name: field.get("from") for name, field in fields.items() if field.get("type") == "json"}
    for name, source in jsons.items():
        if source == "metadata":
            return name
    first = next(iter(jsons), None)
    return first if first is not None and jsons[first] is None else None


def default_source(name: str, kind: str, holder: str | None) -> ValueSource:
    """The `from` of a field that gives none, where `holder` is the field of the whole metadata, if any."""
    if kind == "json":
        return "metadata" if name == holder else "argument"
    return "metadata" if holder is not None and kind != "vector" else "argument"


def vector_names(fields: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The names of the vector fields: the primary one first, then in their order."""
    found = [name for name, field in fields.items() if field.get("type") == "vector"]
    return sorted(found, key=lambda name: not fields[name].get("primary"))


def primary_vector(fields: Mapping[str, Mapping[str, Any]]) -> str:
    """The vector field that the plain helpers are about; the first where none is primary.

    Raises:
        IndexError: There is no vector field.
    """
    return vector_names(fields)[0]
