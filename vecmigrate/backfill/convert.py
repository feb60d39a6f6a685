"""From what a legacy hash holds to the documents to be written: pure, a batch at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import orjson

from vecmigrate.backfill.decode import decode_texts
from vecmigrate.search.document import encode_document
from vecmigrate.search.vector import encode_vectors
from vecmigrate.spec.model import IndexSpec

DIGEST_BYTES = 12


@dataclass(frozen=True, slots=True)
class Source:
    """One item as it was read: its name, the texts of its vector and metadata, and when it expires.

    `expires_at` is in milliseconds since 1970; 0 means never.
    """

    name: bytes
    vector: bytes
    metadata: bytes | None
    expires_at: int = 0


@dataclass(frozen=True, slots=True)
class Document:
    """One document to be written, with the digest by which it is known again.

    `remark` says what was not as it should be, although the item could be converted; "" where all was well.
    """

    source: Source
    fields: dict[str, bytes]
    blob: bytes
    digest: bytes
    remark: str


@dataclass(frozen=True, slots=True)
class Aside:
    """One item that cannot be converted, and why."""

    source: Source
    reason: str


class Converter:
    """Converts items for one spec: exactly the documents that its generated store helper would write."""

    def __init__(self, spec: IndexSpec) -> None:
        self._spec = spec
        self._vector = spec.vector
        self._key_field = next((item.name for item in spec.fields if item.source == "key"), spec.key)
        self._arguments = [
            item.name for item in spec.fields if item.source == "argument" and item.name != spec.vector.name
        ]

    def convert(self, items: Sequence[Source]) -> tuple[list[Document], list[Aside]]:
        """The documents of `items`, and what cannot be converted with its reason, each in order."""
        matrix, reasons = decode_texts([item.vector for item in items], self._vector.dims)
        blobs, faults = encode_vectors(matrix, self._vector.datatype, self._vector.metric)
        documents: list[Document] = []
        aside: list[Aside] = []
        for item, blob, reason, fault in zip(items, blobs, reasons, faults, strict=True):
            if reason is None and fault is None:
                try:
                    documents.append(self._document(item, blob))
                    continue
                except ValueError as error:
                    reason = str(error)
            aside.append(Aside(item, reason or fault or ""))
        return documents, aside

    def _document(self, item: Source, blob: bytes) -> Document:
        try:
            name = item.name.decode()
        except UnicodeDecodeError:
            raise ValueError("the name of the field is not UTF-8") from None
        if not name:
            raise ValueError("the name of the field is empty")
        metadata = parse_metadata(item.metadata)
        remark = ""
        if metadata is None:
            metadata = {self._key_field: name}
            if item.metadata is not None:
                remark = f"the metadata is no JSON object; stored with {metadata} instead"
        arguments = {field: metadata[field] for field in self._arguments if field in metadata}
        fields = encode_document(self._spec, name, {self._vector.name: blob}, metadata, arguments)
        return Document(item, fields, blob, digest(fields), remark)


def parse_metadata(text: bytes | None) -> dict[str, Any] | None:
    """The metadata mapping in `text`, or None where there is none that can be read."""
    if text is None:
        return None
    try:
        value = orjson.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def digest(fields: dict[str, bytes]) -> bytes:
    """Twelve bytes by which a stored document is known again: BLAKE2b over its fields, sorted by name."""
    state = blake2b(digest_size=DIGEST_BYTES)
    for name in sorted(fields):
        value = fields[name]
        state.update(b"%d:%b%d:" % (len(name), name.encode(), len(value)))
        state.update(value)
    return state.digest()
