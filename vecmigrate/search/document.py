"""What a store helper writes for one item, on hash storage: the reference for every writer of documents.

Where a value comes from:

    from: key         the item's key
    from: metadata    the entry of the field's name in the metadata mapping; for the json field that holds the
                      metadata, the whole mapping
    from: argument    the argument of the field's name
    default_from: key steps in for None and for "", `default` for None only. What is None then is not written.

How it is written is decided in `vecmigrate.helpers.values`, which the store helpers use as well (a document
that the server cannot read is left out of the index without an error, so what the server would not read, or
would cut, is refused there):

    text       text as UTF-8, bytes as they are; numbers as below; True and False as `true` and `false`; NUL
               is refused
    tag        the same. A list, tuple or set is joined with the separator (a set in sorted order), and none
               of its values may be empty or contain the separator. A single text is written as it is: where
               it contains the separator, the server reads several tags. No tag may exceed 4,096 bytes.
    numeric    whole numbers in full, others as Python's shortest exact text; True and False as 1 and 0; a
               text that reads as a finite number is that number
    geo        a (longitude, latitude) pair, or a text `longitude,latitude`, within the range that Redis takes
    geoshape   well-known text that the index can read, as it is
    json       compact JSON in UTF-8, characters unescaped, keys as text; NaN and infinity are refused
    vector     the blob
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vecmigrate.helpers import values
from vecmigrate.spec.model import (
    Field,
    GeoField,
    GeoShapeField,
    IndexSpec,
    JsonField,
    NumericField,
    TagField,
    TextField,
    VectorField,
)


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
        vectors: For each vector field its blob, as `helpers.vectors.encode_vector` makes it.
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
    match item:
        case TextField():
            encoded = values.encode_text(item.name, value)
        case JsonField():
            encoded = values.encode_json(item.name, value)
        case TagField():
            encoded = values.encode_tags(item.name, value, item.separator, index_empty=item.index_empty)
        case NumericField():
            encoded = values.encode_number(item.name, value)
        case GeoField():
            encoded = values.encode_point(item.name, value)
        case GeoShapeField():
            encoded = values.encode_shape(item.name, value)
        case VectorField():
            encoded = None
    if encoded is None:
        raise ValueError(f"field {item.name!r}: there is no value (expected one)")
    return encoded
