"""What a store helper writes for one item, on hash storage: the reference for every writer of documents.

Where a value comes from:

    from: key         the item's key
    from: metadata    the entry of the field's name in the metadata mapping; for the json field that holds the
                      metadata, the whole mapping
    from: argument    the argument of the field's name
    default_from: key steps in for None and for "", `default` for None only. What is None then is not written.

How it is written (a document that the server cannot read is left out of the index without an error, so what
the server would not read is refused here):

    text       text as UTF-8, bytes as they are; numbers as below; True and False as `true` and `false`
    tag        the same. A list, tuple or set is joined with the separator (a set in sorted order), and none
               of its values may contain the separator. A single text is written as it is: where it contains
               the separator, the server reads several tags.
    numeric    whole numbers in full, others as Python's shortest exact text; True and False as 1 and 0; a
               text that reads as a finite number is that number
    geo        a (longitude, latitude) pair, or a text `longitude,latitude`, within the range that Redis takes
    geoshape   well-known text, as it is
    json       compact JSON in UTF-8, characters unescaped, keys as text; NaN and infinity are refused
    vector     the blob
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any, Final

from vecmigrate.search.ddl import number_word
from vecmigrate.spec.model import (
    Field,
    GeoField,
    GeoShapeField,
    IndexSpec,
    JsonField,
    NumericField,
    TagField,
    VectorField,
)

# What GEOADD takes, in degrees: the poles are outside of the projection that geohashes are cut from.
_LONGITUDE_MAX: Final = 180.0
_LATITUDE_MAX: Final = 85.05112878


def encode_document(
    spec: IndexSpec,
    key: str,
    vectors: Mapping[str, bytes],
    metadata: Mapping[str, Any] | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> dict[str, bytes]:
    """The hash fields of one item, in the order of the spec.

    Args:
        spec: An index on hash storage.
        key: The item's key, without the prefix.
        vectors: For each vector field its blob, as `encode_vector` makes it.
        metadata: The metadata mapping; None is the same as an empty one.
        arguments: Values of the fields that are arguments of the store helper.

    Raises:
        ValueError: A vector is missing or has the wrong number of bytes, or a value cannot be written as its
            field's type. The message names the field.
        TypeError: A value of a json field, or of the metadata, is nothing that JSON knows.
    """
    metadata, arguments = metadata or {}, arguments or {}
    written: dict[str, bytes] = {}
    for item in spec.written_fields:
        if isinstance(item, VectorField):
            written[item.path] = _vector(item, vectors)
            continue
        value = field_value(item, key, metadata, arguments)
        if value is not None:
            written[item.path] = encode_value(item, value)
    return written


def field_value(item: Field, key: str, metadata: Mapping[str, Any], arguments: Mapping[str, Any]) -> object:
    """The value of `item`, which is no vector, before it is encoded; None where there is none."""
    value: object
    if item.source == "key":
        value = key
    elif item.source == "argument":
        value = arguments.get(item.name)
    elif isinstance(item, JsonField):
        value = metadata
    else:
        value = metadata.get(item.name)
    if item.default_from_key and (value is None or (isinstance(value, str) and not value)):
        return key
    return item.default if value is None else value


def _vector(item: VectorField, vectors: Mapping[str, bytes]) -> bytes:
    blob = vectors.get(item.name)
    if blob is None:
        raise ValueError(f"field {item.name!r}: no vector is given (expected {item.dims} numbers)")
    if len(blob) != item.blob_size:
        raise ValueError(f"field {item.name!r}: the blob has {len(blob)} bytes (expected {item.blob_size})")
    return blob


def encode_value(item: Field, value: object) -> bytes:
    """`value`, which is not None, as the bytes of the hash field; raises as `encode_document` does."""
    try:
        match item:
            case JsonField():
                return encode_json(value)
            case TagField() if isinstance(value, list | tuple | set | frozenset):
                return _join(value, item.separator)
            case NumericField():
                return _number(value).encode()
            case GeoField():
                return _point(value)
            case GeoShapeField() if not isinstance(value, str | bytes):
                raise ValueError(f"the value is {type(value).__name__} (expected well-known text)")
            case _:
                return _text(value)
    except ValueError as error:
        raise ValueError(f"field {item.name!r}: {error}") from error


def encode_json(value: object) -> bytes:
    """`value` as compact JSON in UTF-8.

    Raises:
        ValueError: It holds NaN, infinity or half a surrogate pair.
        TypeError: It holds something that JSON does not know.
    """
    plain = dict(value) if isinstance(value, Mapping) else value
    return json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _text(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, Real):
        return _number(value).encode()
    raise ValueError(f"the value is {type(value).__name__} (expected text)")


def _join(values: list[Any] | tuple[Any, ...] | set[Any] | frozenset[Any], separator: str) -> bytes:
    tags = [_text(value) for value in values]
    mark = separator.encode()
    for tag in tags:
        if mark in tag:
            raise ValueError(
                f"the tag {tag.decode(errors='replace')!r} contains the separator {separator!r}"
                " (expected a separator that no tag contains)"
            )
    return mark.join(sorted(tags) if isinstance(values, set | frozenset) else tags)


def _number(value: object) -> str:
    if not isinstance(value, Real | str | bytes):
        raise ValueError(f"the value is {type(value).__name__} (expected a number)")
    try:
        number = float(value)
    except ValueError:
        raise ValueError("the value is a text that reads as no number (expected a number)") from None
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"the value is {number} as a double (expected a finite number)")
    return str(int(value)) if isinstance(value, Integral) else number_word(number)


def _point(value: object) -> bytes:
    parts: Any = value
    if isinstance(value, bytes):
        parts = value.decode(errors="replace")
    if isinstance(parts, str):
        parts = parts.split(",")
    if not isinstance(parts, list | tuple) or len(parts) != 2:
        raise ValueError("the value is no point (expected longitude,latitude)")
    longitude, latitude = _number(parts[0]), _number(parts[1])
    if abs(float(longitude)) > _LONGITUDE_MAX or abs(float(latitude)) > _LATITUDE_MAX:
        raise ValueError(
            f"the point {longitude},{latitude} is out of range"
            f" (expected longitude within ±{_LONGITUDE_MAX:g} and latitude within ±{_LATITUDE_MAX})"
        )
    return f"{longitude},{latitude}".encode()
