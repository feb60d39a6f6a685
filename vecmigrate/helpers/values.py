"""Values on their way into a document or a query.

One value has one form: a field's function here makes what is stored, and `tag_parameter` and
`number_parameter` make what finds it. What the server would cut, lose or refuse is a ValueError.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, Final

import numpy as np

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


# Where labels are split at a separator, a label is cut after this many bytes.
LABEL_BYTES_MAX: Final = 4096


# How many arrays and objects of a JSON document may lie in each other, and the whole numbers it keeps exact.
JSON_DEPTH_MAX: Final = 127


JSON_WHOLE: Final = (-(2**63), 2**64 - 1)


# A text that may hold a whole number outside of that range.
MANY_DIGITS: Final = re.compile(rb"\d{19}")


# A point or polygon in well-known text as the server reads it: capitals, and no blank before them.
SHAPE: Final = re.compile(
    rb"POINT[ \t\r\n]*\(([^()]*)\)[ \t\r\n]*"
    rb"|POLYGON[ \t\r\n]*\([ \t\r\n]*(\([^()]*\)(?:[ \t\r\n]*,[ \t\r\n]*\([^()]*\))*)[ \t\r\n]*\)[ \t\r\n]*",
)


RING: Final = re.compile(rb"\(([^()]*)\)")


COORDINATE: Final = re.compile(rb"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


def given(value: Any, otherwise: Any) -> Any:
    """`value`, or `otherwise` where it is None or blank."""
    return otherwise if value is None or value == "" else value


def utf8(text: str, what: str, field: str | None = None) -> bytes:
    """A text as bytes, whatever encoding the client has; `what` and `field` are for messages.

    Raises:
        ValueError: It holds half a surrogate pair, as a JSON text that was cut short gives.
    """
    try:
        # As `str` has it: a member of an enumeration, for one, has an encoding and a text of its own.
        return str.encode(text)
    except UnicodeEncodeError:
        where = "" if field is None else f"field {field!r}: "
        raise ValueError(
            f"{where}the {what} holds half a surrogate pair (expected whole characters)",
        ) from None


def document_key(prefix: str, key: str) -> bytes:
    """The name of the document with this key.

    Raises:
        TypeError: The key is no text.
        ValueError: The key is empty, or holds NUL or half a surrogate pair: searches would lose the document.
    """
    if not isinstance(key, str):
        raise TypeError(f"the key is {type(key).__name__} (expected text)")
    name = utf8(key, "key")
    if not name or b"\0" in name:
        raise ValueError(
            f"the key {'holds NUL' if name else 'is empty'} (expected some text without NUL)",
        )
    return prefix.encode() + name


def document_command(name: str, prefix: str, key: str, *words: str) -> Command:
    """A command about one document, which may have been written by others."""
    if not isinstance(key, str):
        raise TypeError(f"the key is {type(key).__name__} (expected text)")
    return (
        name,
        prefix.encode() + utf8(key, "key"),
        *(word.encode() for word in words),
    )


def encode_text(
    field: str,
    value: Any,
    default: str | None = None,
) -> bytes | None:
    """A text as it is stored, in UTF-8; None where there is none."""
    value = default if value is None else value
    if value is None:
        return None
    if isinstance(value, str):
        text = utf8(value, "text", field)
    elif isinstance(value, bytes):
        text = bytes(value)
    elif isinstance(value, bool | np.bool_):
        text = b"true" if value else b"false"
    elif isinstance(value, Real):
        text = encode_number(field, value) or b""
    else:
        raise ValueError(
            f"field {field!r}: the value is {type(value).__name__} (expected text)",
        )
    if b"\0" in text:
        raise ValueError(
            f"field {field!r}: the text holds NUL (expected none, since the index cuts texts there)",
        )
    return text


def encode_tags(
    field: str,
    value: Any,
    separator: str,
    default: str | None = None,
    *,
    index_empty: bool = False,
) -> bytes | None:
    """The labels of a hash: one, or several joined by `separator` (a set in sorted order); None for none.

    A text is stored as it is: where it contains the separator, it is several labels.
    """
    if isinstance(value, list | tuple | set | frozenset):
        labels = label_list(field, value, separator, index_empty=index_empty)
        return separator.encode().join(labels)
    text = encode_text(field, value, default)
    if text is not None and len(text) > LABEL_BYTES_MAX:
        for label in text.split(separator.encode()):
            check_label(field, label.strip())
    return text


def json_tags(
    field: str,
    value: Any,
    separator: str,
    default: str | None = None,
    *,
    index_empty: bool = False,
) -> str | list[str] | None:
    """The labels of a JSON document: one, or a list of several; None where there is none.

    Without a separator (`""`) a label may hold anything; with one, all is as in a hash.
    """
    if isinstance(value, list | tuple | set | frozenset):
        labels = label_list(field, value, separator, index_empty=index_empty)
        return [json_text(field, label) for label in labels]
    text = encode_text(field, value, default)
    if separator:
        text = encode_tags(field, text, separator)
    return None if text is None else json_text(field, text)


def label_list(
    field: str,
    value: Iterable[Any],
    separator: str,
    *,
    index_empty: bool,
) -> list[bytes]:
    """Several labels as bytes, in their order; those of a set are sorted."""
    labels = []
    for one in value:
        label = encode_text(field, one)
        if label is None:
            raise ValueError(f"field {field!r}: the value is NoneType (expected text)")
        if separator and separator.encode() in label:
            raise ValueError(
                f"field {field!r}: the tag {as_str(label)!r} contains the separator {separator!r}"
                " (expected a separator that no tag contains)",
            )
        kept = label.strip() if separator else label
        if not kept and not index_empty:
            raise ValueError(
                f"field {field!r}: a tag is empty (expected some text, since the index keeps no empty tags)",
            )
        if separator:
            check_label(field, kept)
        labels.append(label)
    return sorted(labels) if isinstance(value, set | frozenset) else labels


def check_label(field: str, label: bytes) -> None:
    """Raise ValueError if the server would cut a label."""
    if len(label) > LABEL_BYTES_MAX:
        raise ValueError(
            f"field {field!r}: a tag has {len(label)} bytes (expected at most {LABEL_BYTES_MAX}, where the"
            " index cuts it)",
        )


def tag_parameter(
    field: str,
    label: Any,
    separator: str,
    *,
    index_empty: bool = False,
) -> bytes:
    """A label as a parameter of a query, `@field:{$parameter}`, which finds what was stored as this label.

    Args:
        field: The field's name, for messages.
        label: A text; bytes stand for themselves.
        separator: At which the field's labels are split; empty where they are not (JSON without SEPARATOR).
        index_empty: The field is INDEXEMPTY.

    Raises:
        ValueError: No document can hold this label: it is no text, is empty or too long, or holds NUL or the
            separator.
    """
    if not isinstance(label, str | bytes):
        raise ValueError(
            f"the filter {field} has the label {label!r} (expected some text)",
        )
    text = encode_text(field, label) or b""
    if separator:
        # The server strips the labels of documents, in ASCII alone as `bytes.strip`, not those of queries.
        text = text.strip()
        check_label(field, text)
        if separator.encode() in text:
            raise ValueError(
                f"the filter {field} has the label {as_str(text)!r}, which contains the separator"
                f" {separator!r} (expected one label; a list stands for any of several)",
            )
    if not text and not index_empty:
        raise ValueError(
            f"the filter {field} has the label {label!r} (expected some text)",
        )
    # A backslash before punctuation would escape it, in a parameter too.
    return text.replace(b"\\", b"\\\\")


def number_parameter(field: str, value: Any) -> float:
    """A bound of numbers as a parameter of a query: a double, which may be infinite.

    Raises:
        ValueError: It is no number, NaN, or too large for a double. The message names the field.
    """
    return real_number(f"a bound of the filter {field}", value)


def real_number(what: str, value: Any) -> float:
    """`value` as a double, infinity included; raises ValueError where it is none."""
    if not isinstance(value, Real | np.bool_):
        raise ValueError(f"{what} is {type(value).__name__} (expected a number)")
    try:
        number = float(value)
    except OverflowError:
        raise ValueError(f"{what} is too large for a double (expected less)") from None
    if math.isnan(number):
        raise ValueError(f"{what} is nan (expected a number)")
    return number


def json_text(field: str, text: bytes) -> str:
    """A stored text for a JSON document, which holds UTF-8 only."""
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise ValueError(
            f"field {field!r}: the bytes are not UTF-8 (expected text, since the document is JSON)",
        ) from None


def json_string(field: str, text: bytes | None) -> str | None:
    """What a field's function made of a value, for a JSON document; None where there is none."""
    return None if text is None else json_text(field, text)


def json_number(
    field: str,
    value: Any,
    default: float | None = None,
) -> int | float | None:
    """A number for a JSON document; None where there is none."""
    text = encode_number(field, value, default)
    number: int | float | None = None if text is None else json.loads(text)
    return number


def encode_number(field: str, value: Any, default: float | None = None) -> bytes | None:
    """A number as text that reads back as the same double; None where there is none."""
    value = default if value is None else value
    if value is None:
        return None
    if not isinstance(value, Real | str | bytes | np.bool_):
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
        return str(int(value)).encode()
    is_short = number.is_integer() and abs(number) < 1e15
    return (str(int(number)) if is_short else repr(number)).encode()


def encode_point(field: str, value: Any, default: str | None = None) -> bytes | None:
    """A point as `longitude,latitude` in degrees, from such a text or a pair; None where there is none."""
    value = default if value is None else value
    if value is None:
        return None
    text = value.decode(errors="replace") if isinstance(value, bytes) else value
    parts = str.split(text, ",") if isinstance(text, str) else text
    is_pair = isinstance(parts, list | tuple) and len(parts) == 2
    if not is_pair or any(part is None for part in parts):
        raise ValueError(
            f"field {field!r}: the value is no point (expected longitude,latitude)",
        )
    longitude, latitude = (encode_number(field, part) or b"" for part in parts)
    if abs(float(longitude)) > LONGITUDE_MAX or abs(float(latitude)) > LATITUDE_MAX:
        raise ValueError(
            f"field {field!r}: the point {as_str(longitude)},{as_str(latitude)} is out of range (expected"
            f" longitude within ±{LONGITUDE_MAX:g} and latitude within ±{LATITUDE_MAX})",
        )
    return longitude + b"," + latitude


def encode_shape(
    field: str,
    value: Any,
    default: str | None = None,
) -> bytes | None:
    """A point or polygon in well-known text, as it is; None where there is none."""
    value = default if value is None else value
    if value is None:
        return None
    if not isinstance(value, str | bytes):
        raise ValueError(
            f"field {field!r}: the value is {type(value).__name__} (expected well-known text)",
        )
    text = encode_text(field, value) or b""
    found = SHAPE.fullmatch(text)
    point, rings = found.groups() if found else (None, None)
    if point is not None:
        is_shape = len(shape_points(point)) == 1
    else:
        lines = [shape_points(ring) for ring in RING.findall(rings or b"")]
        is_shape = bool(lines) and all(len(set(line)) > 2 for line in lines)
    if not is_shape:
        raise ValueError(
            f"field {field!r}: the value is no shape that the index can read"
            " (expected well-known text, `POINT(x y)` or `POLYGON((x y, x y, x y, x y))`)",
        )
    return text


def shape_points(text: bytes) -> list[tuple[float, float]]:
    """The points of `x y, x y`; none where it is anything else."""
    points = []
    for pair in text.split(b","):
        words = pair.split()
        if len(words) != 2 or not all(map(COORDINATE.fullmatch, words)):
            return []
        x, y = map(float, words)
        if math.isinf(x) or math.isinf(y):
            return []
        points.append((x, y))
    return points


def encode_json(field: str, value: Any) -> bytes | None:
    """A value as compact JSON in UTF-8; None where there is none.

    Raises:
        ValueError: It holds NaN, infinity or half a surrogate pair, or itself.
        TypeError: It holds something that JSON does not know.
    """
    if value is None:
        return None
    plain = dict(value) if isinstance(value, Mapping) else value
    try:
        text = COMPACT.encode(plain)
    except ValueError as error:
        raise ValueError(f"field {field!r}: {error}") from error
    except RecursionError:
        raise ValueError(
            f"field {field!r}: arrays and objects lie too deep in each other (expected less deep JSON)",
        ) from None
    return utf8(text, "JSON", field)


def check_metadata(metadata: Any) -> None:
    """Raise TypeError unless `metadata` is a mapping."""
    if not isinstance(metadata, Mapping):
        raise TypeError(
            f"the metadata is {type(metadata).__name__} (expected a mapping)",
        )


def hash_commands(key: bytes, fields: Mapping[str, bytes | None]) -> list[Command]:
    """The commands that make the hash `key` hold `fields`: an absent one (None) is removed if it is there."""
    absent = [name.encode() for name, value in fields.items() if value is None]
    commands = [hset_command(key, fields)]
    if absent:
        commands.insert(0, ("HDEL", key, *absent))
    return commands


def hset_command(key: bytes, fields: Mapping[str, bytes | None]) -> Command:
    """HSET of all fields that are not None."""
    words: list[str | bytes] = ["HSET", key]
    for name, value in fields.items():
        if value is not None:
            words += (name.encode(), value)
    return tuple(words)


def json_set_command(
    key: bytes,
    values: Sequence[tuple[tuple[str, ...], Any]],
) -> Command:
    """JSON.SET of a document with each value that is not None at its path of keys.

    Raises:
        ValueError: A value cannot be kept as JSON, or not by the server.
    """
    document: dict[str, Any] = {}
    for path, value in values:
        if value is not None:
            parent = document
            for name in path[:-1]:
                parent = parent.setdefault(name, {})
            parent[path[-1]] = value
    try:
        text = utf8(COMPACT.encode(document), "document")
    except RecursionError:
        text = b""
        check_json(document, JSON_DEPTH_MAX)
    # Both are rare, and can be ruled out fast.
    is_deep = text.count(b"[") + text.count(b"{") > JSON_DEPTH_MAX
    if is_deep or MANY_DIGITS.search(text) is not None:
        check_json(document, JSON_DEPTH_MAX)
    return ("JSON.SET", key, "$", text)


def check_json(value: Any, depth: int) -> None:
    """Raise ValueError for what the server's JSON refuses, or keeps with fewer digits."""
    if isinstance(value, Mapping | list | tuple):
        if depth == 0:
            raise ValueError(
                "the document cannot be stored: its arrays and objects lie too deep in each other"
                f" (expected at most {JSON_DEPTH_MAX} levels)",
            )
        for inner in value.values() if isinstance(value, Mapping) else value:
            check_json(inner, depth - 1)
    elif isinstance(value, int) and not JSON_WHOLE[0] <= value <= JSON_WHOLE[1]:
        raise ValueError(
            "the document cannot be stored: a whole number is out of the range of 64 bits"
            " (expected a smaller one, or a text)",
        )


def as_str(value: Any) -> str:
    """A text of a reply; bytes that are no UTF-8 are replaced."""
    return str(value, "utf-8", "replace") if isinstance(value, bytes) else str(value)
