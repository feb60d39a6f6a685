"""What a spec means where it says nothing and the answer depends on the rest of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from vecmigrate.spec.model import ValueSource

_JSON_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


def default_path(attribute: str, storage: str) -> str:
    """Where a field lies that gives no `path`: where FT.CREATE would look that names the attribute alone.

    In hashes that is the field of this name. In JSON documents it is the key of this name at the top, and an
    attribute that is a JSON path itself, as an index without AS has them, is the path.
    """
    if storage != "json" or attribute.startswith("$"):
        return attribute
    return f"$.{attribute}" if _JSON_KEY.fullmatch(attribute) else f'$["{attribute}"]'


def path_of(name: str, field: Mapping[str, Any], storage: str) -> str:
    """Where the field called `name` lies, by its mapping."""
    path: str = field.get("path", default_path(attribute_of(name, field), storage))
    return path


def attribute_of(name: str, field: Mapping[str, Any]) -> str:
    """What the index calls the field called `name`, by its mapping."""
    attribute: str = field.get("attribute", name)
    return attribute


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
