"""Records of the ledger as JSON: what a release does not know is ignored, and kept when it writes them again.

Releases of different ages read and write one ledger while a deploy goes on. A newer one may add fields to a
record; an older one must neither fail over them nor lose them.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any, TypeVar

import orjson

T = TypeVar("T")

UNKNOWN = "unknown"


def load_record(kind: type[T], text: bytes) -> T:
    """The record of the class `kind`, which has a field `unknown` for what it has no other field for.

    Raises:
        ValueError: It is no JSON object, or lacks a field that has no default.
    """
    stored = orjson.loads(text)
    if not isinstance(stored, dict):
        raise ValueError(f"a record of the ledger is {type(stored).__name__} (expected a JSON object)")
    known = {item.name for item in fields(kind)} - {UNKNOWN}  # type: ignore[arg-type]  # a dataclass, by contract
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in stored.items()
        if name in known
    }
    rest = {name: value for name, value in stored.items() if name not in known}
    try:
        return kind(**values, **{UNKNOWN: rest})
    except TypeError as error:
        raise ValueError(f"a record of the ledger is incomplete ({error})") from error


def dump_record(record: Any) -> bytes:
    """The JSON of `record`, with the fields that were unknown when it was read."""
    values = {item.name: getattr(record, item.name) for item in fields(record) if item.name != UNKNOWN}
    return orjson.dumps({**record.unknown, **values})
