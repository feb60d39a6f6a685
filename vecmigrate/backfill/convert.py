"""From what a legacy hash holds to the documents to be written: pure, a batch at a time.

This is the hot path of a backfill: columns and tuples, and one formatting operation where a loop would read
better.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha1
from typing import Any, NamedTuple

import orjson

from vecmigrate.backfill.decode import decode_texts
from vecmigrate.helpers.values import LABEL_BYTES_MAX, document_key, encode_json, utf8
from vecmigrate.helpers.vectors import encode_vectors
from vecmigrate.search.document import encode_value, field_value
from vecmigrate.spec.model import Field, IndexSpec, JsonField, TagField, TextField, VectorField

DIGEST_BYTES = 12
# Vectors that are decoded at once. The matrices of more do not stay in the processor's cache: 400 at once
# take a third longer.
AT_ONCE = 64
_SIZED = b"%d:%b"

# What a field's value is made of.
BLOB, NAME, METADATA, OTHER = range(4)


@dataclass(slots=True)
class Items:
    """Items as they were read: n names, the texts of their vectors and metadata, and when each expires.

    Times are in milliseconds since 1970, 0 for never.
    """

    names: list[bytes]
    vectors: list[bytes]
    metadata: list[bytes | None]
    expires_at: list[int]


class Document(NamedTuple):
    """One document to be written.

    `values` are in the order of `Converter.paths`, None for a field that is not written. By `digest` the
    document is known again. `remark` says what was not as it should be, although the item could be
    converted. `vector` and `metadata` are the texts it came from.
    """

    name: bytes
    digest: bytes
    values: tuple[bytes | None, ...]
    blob: bytes
    remark: str
    expires_at: int
    vector: bytes
    metadata: bytes | None


class Decoded(NamedTuple):
    """n blobs, and for each None or the reason why it is none."""

    blobs: list[bytes]
    reasons: list[str | None]


class Aside(NamedTuple):
    """One item that cannot be converted, and why."""

    name: bytes
    reason: str


class Converter:
    """Converts items for one spec: to the documents that its generated store helper would write.

    The text of the metadata is kept as it is, to the byte, where it is JSON in UTF-8.
    """

    def __init__(self, spec: IndexSpec) -> None:
        self._fields = spec.written_fields
        self._vector = spec.vector
        self.paths = tuple(item.path for item in self._fields)
        self._key_field = next((item.name for item in spec.fields if item.source == "key"), spec.key)
        self._kinds = [_kind(item) for item in self._fields]
        # A key of that length is no label.
        self._kinds_of_long_keys = [OTHER if kind == NAME else kind for kind in self._kinds]
        holder = spec.metadata_field
        self._metadata_field = holder.name if holder is not None else None
        self._order = sorted(range(len(self.paths)), key=lambda place: self.paths[place])
        starts = [_digest_start(self.paths[place]).replace(b"%", b"%%") for place in self._order]
        self._digested = b"".join(start + _SIZED for start in starts)

    def decode(self, vectors: Sequence[bytes]) -> Decoded:
        """The blobs of n JSON texts, and for each None or why it cannot be stored. Needs no metadata yet."""
        decoded = Decoded([], [])
        for start in range(0, len(vectors), AT_ONCE):
            matrix, reasons = decode_texts(vectors[start : start + AT_ONCE], self._vector.dims)
            blobs, faults = encode_vectors(matrix, self._vector.datatype, self._vector.metric)
            decoded.blobs.extend(blobs)
            decoded.reasons.extend(reason or fault for reason, fault in zip(reasons, faults, strict=True))
        return decoded

    def convert(self, items: Items, decoded: Decoded) -> tuple[list[Document], list[Aside]]:
        """The documents of `items`, and what cannot be converted with its reason, each in order."""
        documents: list[Document] = []
        aside: list[Aside] = []
        rows = zip(
            items.names,
            decoded.blobs,
            decoded.reasons,
            items.vectors,
            items.metadata,
            items.expires_at,
            strict=True,
        )
        for name, blob, reason, vector, metadata, expires_at in rows:
            if reason is not None:
                aside.append(Aside(name, reason))
                continue
            try:
                values, remark = self._values(name, blob, metadata)
            except (ValueError, TypeError, RecursionError) as error:
                aside.append(Aside(name, str(error)))
                continue
            documents.append(
                Document(name, self._digest(values), values, blob, remark, expires_at, vector, metadata)
            )
        return documents, aside

    def _values(self, name: bytes, blob: bytes, text: bytes | None) -> tuple[tuple[bytes | None, ...], str]:
        key = name.decode() if name.isascii() else _decoded(name)
        if not name or b"\0" in name:
            document_key("", key)  # raises, with the words of the store helper
        metadata, stored = read_metadata(text, self._metadata_field)
        remark = ""
        if metadata is None or stored is None:
            metadata = {self._key_field: key}
            if text is not None:
                remark = f"the metadata is no JSON object; stored with {metadata} instead"
            stored = encode_json("", metadata)
        # Indexed by kind; what is none of the three is worked out field by field.
        ready = (blob, name, stored)
        kinds = self._kinds if len(name) <= LABEL_BYTES_MAX else self._kinds_of_long_keys
        values: list[bytes | None] = [
            ready[kind] if kind != OTHER else _worked_out(item, key, metadata)
            for kind, item in zip(kinds, self._fields, strict=True)
        ]
        return tuple(values), remark

    def _digest(self, values: tuple[bytes | None, ...]) -> bytes:
        if None in values:
            present = {
                path: value for path, value in zip(self.paths, values, strict=True) if value is not None
            }
            return digest(present)
        flat: list[Any] = []
        for place in self._order:
            value: Any = values[place]
            flat += (len(value), value)
        return sha1(self._digested % tuple(flat), usedforsecurity=False).digest()[:DIGEST_BYTES]


def read_metadata(text: bytes | None, field: str | None = None) -> tuple[dict[str, Any] | None, bytes | None]:
    """The metadata mapping in `text`, and the text that is stored: the same where it is JSON in UTF-8.

    Readers take what is stored for UTF-8. So JSON in another encoding that is JSON by its standard (UTF-16,
    UTF-32, UTF-8 with a mark at its beginning) is stored as UTF-8. What cannot be read gives None twice.

    Args:
        text: The metadata of one item.
        field: The field that is to hold the text, if one is.

    Raises:
        ValueError: It is to be held, and holds half a surrogate pair, which no text in UTF-8 can say.
    """
    if text is None:
        return None, None
    try:
        value = orjson.loads(text)
    except ValueError:
        try:
            letters = text.decode(json.detect_encoding(text))
            # Python also writes NaN and Infinity, which are no JSON to anybody else.
            value = json.loads(letters)
        except (ValueError, RecursionError):
            return None, None
        if not isinstance(value, dict):
            return None, None
        if field is not None:
            utf8(json.dumps(value, ensure_ascii=False), "JSON", field)
        return value, letters.encode()
    return (value, text) if isinstance(value, dict) else (None, None)


def digest(fields: Mapping[str, bytes]) -> bytes:
    """Twelve bytes by which a stored document is known again: SHA-1 over its fields, sorted by name.

    It guards against mistaking a changed document for ours, not against malice.
    """
    parts = [_digest_start(name) + _SIZED % (len(fields[name]), fields[name]) for name in sorted(fields)]
    return sha1(b"".join(parts), usedforsecurity=False).digest()[:DIGEST_BYTES]


def _kind(item: Field) -> int:
    if isinstance(item, VectorField):
        return BLOB
    if item.source == "key" and isinstance(item, TextField | TagField):
        return NAME
    return METADATA if item.source == "metadata" and isinstance(item, JsonField) else OTHER


def _worked_out(item: Field, key: str, metadata: Mapping[str, Any]) -> bytes | None:
    # Legacy items have metadata and nothing else, so that is where arguments come from too.
    value = field_value(item, key, metadata, metadata)
    return None if value is None else encode_value(item, value)


def _digest_start(path: str) -> bytes:
    name = path.encode(errors="surrogateescape")
    return b"%d:%b" % (len(name), name)


def _decoded(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise ValueError("the name of the field is not UTF-8") from None
