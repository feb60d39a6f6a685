"""Which RediSearch has what, and what a spec asks for that a server lacks.

The module's version decides, not that of Redis: Redis 8.2 with a RediSearch 2.10 loaded into it knows no
INT8. From Redis 8.0 on the module comes with the server and carries its number. Versions are those of the
release notes; that 2.10.5 has or refuses each was tried.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from vecmigrate.errors import ServerTooOldError
from vecmigrate.search.ddl import indexed_fields
from vecmigrate.spec.model import (
    Datatype,
    Field,
    GeoShapeField,
    IndexSpec,
    SvsVamana,
    TagField,
    TextField,
    VectorField,
)

Version: TypeAlias = tuple[int, int, int]

VECTORS: Final[Version] = (2, 4, 0)
SUFFIX_TRIE: Final[Version] = (2, 6, 0)
JSON_VECTORS: Final[Version] = (2, 6, 0)
GEOSHAPE: Final[Version] = (2, 8, 0)
EMPTY_AND_MISSING: Final[Version] = (2, 10, 0)
SVS_VAMANA: Final[Version] = (8, 2, 0)
DATATYPES: Final[dict[Datatype, Version]] = {
    "float32": VECTORS,
    "float64": (2, 6, 0),
    "float16": (2, 10, 0),
    "bfloat16": (2, 10, 0),
    "int8": (8, 0, 0),
    "uint8": (8, 0, 0),
}

# Integers under cosine beside anything to filter by corrupt the server's memory there (MOD-17243).
_CORRUPTING: Final = ((8, 0, 0), (8, 8, 99))

# The oldest Redis product that comes with each.
_COMES_WITH: Final[dict[Version, str]] = {
    (2, 4, 0): "Redis Stack 6.2",
    (2, 6, 0): "Redis Stack 6.2.6",
    (2, 8, 0): "Redis Stack 7.2",
    (2, 10, 0): "Redis Stack 7.4",
    (8, 0, 0): "Redis 8.0",
    (8, 2, 0): "Redis 8.2",
}


@dataclass(frozen=True, slots=True)
class ServerVersion:
    """What a server is: the version of Redis, and that of RediSearch where it is loaded."""

    redis: Version
    search: Version | None

    def __str__(self) -> str:
        search = f"RediSearch {version_text(self.search)}" if self.search else "no RediSearch"
        return f"{search} on Redis {version_text(self.redis)}"


@dataclass(frozen=True, slots=True)
class MissingFeature:
    """Something that a spec asks for and a server lacks, and the RediSearch that has it."""

    what: str
    needs: Version

    def __str__(self) -> str:
        return f"{self.what} needs RediSearch {_short(self.needs)} ({_COMES_WITH[self.needs]})"


def version_text(version: Version) -> str:
    """A version as it is written: (2, 10, 5) → "2.10.5"."""
    return ".".join(map(str, version))


def parse_module_version(number: int) -> Version:
    """The version that MODULE LIST gives as one number: 21005 → (2, 10, 5)."""
    return number // 10_000, number // 100 % 100, number % 100


def parse_redis_version(text: str) -> Version:
    """The `redis_version` of INFO: "8.2.3" → (8, 2, 3). What is no number counts as 0."""
    numbers = [int(part) if part.isdecimal() else 0 for part in text.split(".")]
    major, minor, patch, *_ = [*numbers, 0, 0, 0]
    return major, minor, patch


def missing_features(spec: IndexSpec, server: ServerVersion) -> list[MissingFeature]:
    """What `spec` asks for that `server` lacks, in the order of the spec; empty where it has it all."""
    has = server.search or (0, 0, 0)
    return [MissingFeature(what, needs) for what, needs in dict.fromkeys(_requirements(spec)) if needs > has]


def require(spec: IndexSpec, server: ServerVersion) -> None:
    """Do nothing where `server` has all that `spec` asks for.

    Raises:
        ServerTooOldError: It lacks something, or would corrupt its memory; the message says what, which
            version has it, and what the server is.
    """
    _refuse_corruption(spec, server)
    missing = missing_features(spec, server)
    if not missing:
        return
    newest = max(item.needs for item in missing)
    raise ServerTooOldError(
        f"the server has {server}, which cannot hold the index of spec {spec.name!r}"
        f" ({'; '.join(map(str, missing))})",
        hint=f"use a server with RediSearch {_short(newest)} or newer, such as {_COMES_WITH[newest]},"
        " or change the spec",
    )


def _refuse_corruption(spec: IndexSpec, server: ServerVersion) -> None:
    oldest, newest = _CORRUPTING
    if server.search is None or not oldest <= server.search <= newest:
        return
    indexed = indexed_fields(spec)
    others = [item.name for item in indexed if not isinstance(item, VectorField)]
    integers = [
        item.name
        for item in indexed
        if isinstance(item, VectorField)
        and item.datatype in ("int8", "uint8")
        and item.metric == "cosine"
        and not isinstance(item.algorithm, SvsVamana)
    ]
    if others and integers:
        raise ServerTooOldError(
            f"the server has {server}, which corrupts its memory (MOD-17243) with the index of spec "
            f"{spec.name!r}: integers under cosine in {', '.join(map(repr, integers))} beside fields to "
            f"filter by, {', '.join(map(repr, others))} (expected RediSearch newer than {_short(newest)})",
            hint="use datatype float16 or another metric, or set index: false for the other fields",
        )


def _requirements(spec: IndexSpec) -> Iterator[tuple[str, Version]]:
    if spec.index.storage == "json":
        yield "a vector index over JSON documents", JSON_VECTORS
    for item in indexed_fields(spec):
        for what, needs in _field_requirements(item):
            yield f"field {item.name!r}: {what}", needs


def _field_requirements(item: Field) -> Iterator[tuple[str, Version]]:
    if isinstance(item, VectorField):
        yield f"type {item.datatype}", DATATYPES[item.datatype]
        if isinstance(item.algorithm, SvsVamana):
            yield "algorithm svs_vamana", SVS_VAMANA
    if isinstance(item, GeoShapeField):
        yield "type geoshape", GEOSHAPE
    if isinstance(item, TextField | TagField) and item.with_suffix_trie:
        yield "with_suffix_trie", SUFFIX_TRIE
    if isinstance(item, TextField | TagField) and item.index_empty:
        yield "index_empty", EMPTY_AND_MISSING
    if getattr(item, "index_missing", False):
        yield "index_missing", EMPTY_AND_MISSING


def _short(version: Version) -> str:
    return f"{version[0]}.{version[1]}"
