"""Values on their way into a document."""

from __future__ import annotations

import json
import math
from collections.abc import (
    Iterable,
    Mapping,
    Sequence,
)
from numbers import Integral, Real
from typing import Any, Final

from vecmigrate.helpers.common import Command

JSON: Final = json.JSONDecoder()


COMPACT: Final = json.JSONEncoder(
    ensure_ascii=False,
    allow_nan=False,
    separators=(",", ":"),
)


# What Redis takes as a point, in degrees.
LONGITUDE_MAX: Final = 180.0


LATITUDE_MAX: Final = 85.05112878


def given(value: Any, otherwise: Any) -> Any:
    """`value`, or `otherwise` where it is None or blank."""
    return otherwise if value is None or value == "" else value


def encode_text(
    field: str,
    value: Any,
    default: str | None = None,
) -> str | bytes | None:
    """A text as it is stored; None where there is none."""
    value = default if value is None else value
    if value is None:
        return None
    if isinstance(value, str | bytes):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Real):
        return encode_number(field, value)
    raise ValueError(
        f"field {field!r}: the value is {type(value).__name__} (expected text)",
    )


def encode_tags(
    field: str,
    value: Any,
    separator: str,
    default: str | None = None,
) -> str | bytes | None:
    """One label, or several joined by `separator` (a set in sorted order); None where there is none."""
    if not isinstance(value, list | tuple | set | frozenset):
        return encode_text(field, value, default)
    labels = label_list(field, value)
    for label in labels:
        if separator in label:
            raise ValueError(
                f"field {field!r}: the tag {label!r} contains the separator {separator!r}"
                " (expected a separator that no tag contains)",
            )
    return separator.join(labels)


def label_list(field: str, value: Iterable[Any]) -> list[str]:
    """Several labels as text, in their order; those of a set are sorted."""
    labels = []
    for label in value:
        if label is None:
            raise ValueError(f"field {field!r}: the value is NoneType (expected text)")
        labels.append(as_str(encode_text(field, label)))
    return sorted(labels) if isinstance(value, set | frozenset) else labels


def json_tags(
    field: str,
    value: Any,
    default: str | None = None,
) -> str | list[str] | None:
    """One label, or a list of several, for a JSON document; None where there is none."""
    if isinstance(value, list | tuple | set | frozenset):
        return label_list(field, value)
    text = encode_text(field, value, default)
    return None if text is None else as_str(text)


def json_number(
    field: str,
    value: Any,
    default: float | None = None,
) -> int | float | None:
    """A number for a JSON document; None where there is none."""
    text = encode_number(field, value, default)
    number: int | float | None = None if text is None else json.loads(text)
    return number


def encode_number(field: str, value: Any, default: float | None = None) -> str | None:
    """A number as text that reads back as the same double; None where there is none."""
    value = default if value is None else value
    if value is None:
        return None
    if not isinstance(value, Real | str | bytes):
        raise ValueError(
            f"field {field!r}: the value is {type(value).__name__} (expected a number)",
        )
    try:
        number = float(value)
    except ValueError:
        raise ValueError(
            f"field {field!r}: the value is a text that reads as no number (expected a number)",
        ) from None
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(
            f"field {field!r}: the value is {number} as a double (expected a finite number)",
        )
    if isinstance(value, Integral):
        return str(int(value))
    is_short = number.is_integer() and abs(number) < 1e15
    return str(int(number)) if is_short else repr(number)


def encode_point(field: str, value: Any, default: str | None = None) -> str | None:
    """A point as `longitude,latitude` in degrees, from such a text or a pair; None where there is none."""
    value = default if value is None else value
    if value is None:
        return None
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or len(parts) != 2:
        raise ValueError(
            f"field {field!r}: the value is no point (expected longitude,latitude)",
        )
    longitude = encode_number(field, parts[0])
    latitude = encode_number(field, parts[1])
    if longitude is None or latitude is None:
        raise ValueError(
            f"field {field!r}: the value is no point (expected longitude,latitude)",
        )
    if abs(float(longitude)) > LONGITUDE_MAX or abs(float(latitude)) > LATITUDE_MAX:
        raise ValueError(
            f"field {field!r}: the point {longitude},{latitude} is out of range (expected longitude"
            f" within ±{LONGITUDE_MAX:g} and latitude within ±{LATITUDE_MAX})",
        )
    return f"{longitude},{latitude}"


def encode_shape(
    field: str,
    value: Any,
    default: str | None = None,
) -> str | bytes | None:
    """A shape in well-known text, as it is; None where there is none."""
    value = default if value is None else value
    if value is None:
        return None
    if not isinstance(value, str | bytes):
        raise ValueError(
            f"field {field!r}: the value is {type(value).__name__} (expected well-known text)",
        )
    return value


def encode_json(field: str, value: Any) -> str | None:
    """A value as compact JSON; None where there is none.

    Raises:
        ValueError: It holds NaN or infinity.
        TypeError: It holds something that JSON does not know.
    """
    if value is None:
        return None
    plain = dict(value) if isinstance(value, Mapping) else value
    try:
        return COMPACT.encode(plain)
    except ValueError as error:
        raise ValueError(f"field {field!r}: {error}") from error


def check_metadata(metadata: Any) -> None:
    """Raise TypeError unless `metadata` is a mapping."""
    if not isinstance(metadata, Mapping):
        raise TypeError(
            f"the metadata is {type(metadata).__name__} (expected a mapping)",
        )


def hash_commands(key: str, fields: Mapping[str, str | bytes | None]) -> list[Command]:
    """The commands that make the hash `key` hold `fields`: an absent one (None) is removed if it is there."""
    absent = [name for name, value in fields.items() if value is None]
    commands = [hset_command(key, fields)]
    if absent:
        commands.insert(0, ("HDEL", key, *absent))
    return commands


def hset_command(key: str, fields: Mapping[str, str | bytes | None]) -> Command:
    """HSET of all fields that are not None."""
    words: list[str | bytes] = ["HSET", key]
    for name, value in fields.items():
        if value is not None:
            words += (name, value)
    return tuple(words)


def json_set_command(
    key: str,
    values: Sequence[tuple[tuple[str, ...], Any]],
) -> Command:
    """JSON.SET of a document with each value that is not None at its path of keys."""
    document: dict[str, Any] = {}
    for path, value in values:
        if value is not None:
            parent = document
            for name in path[:-1]:
                parent = parent.setdefault(name, {})
            parent[path[-1]] = value
    return ("JSON.SET", key, "$", COMPACT.encode(document))


def as_str(value: Any) -> str:
    """A text of a reply; bytes that are no UTF-8 are replaced."""
    return str(value, "utf-8", "replace") if isinstance(value, bytes) else str(value)
