"""What a sample of stored documents tells about a spec that FT.INFO cannot: what else they hold.

Nothing is concluded from it. A sample shows what is in some documents; whether that belongs into the spec
is for its owner to say.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from vecmigrate.search.ddl import indexed_fields
from vecmigrate.spec.model import IndexSpec, TagField, TextField, VectorField


def observe(spec: IndexSpec, documents: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """What is remarkable in some documents, as texts.

    Args:
        spec: What the index is.
        documents: Key → field → value; of hashes the stored bytes, of JSON documents the values at the top.
    """
    if not documents:
        return ()
    count = len(documents)
    known = {_top(item.path) for item in spec.fields}
    texts = [
        f"{len(found)} of {count} documents looked at also hold {name!r}{_nature(found)}, and no field of "
        "the spec is that"
        for name, found in _by_name(documents).items()
        if name not in known
    ]
    for item in indexed_fields(spec):
        is_text = isinstance(item, TagField | TextField)
        if is_text and item.source != "key" and _is_key(spec, item.path, documents):
            texts.append(
                f"field {item.name!r} is the key itself in all of {count} documents looked at: "
                f"`key: {item.name}` and `from: key` say so"
            )
        if isinstance(item, VectorField) and spec.index.storage == "hash":
            texts += _about_vectors(item, [document.get(item.path) for document in documents.values()])
    return tuple(texts)


def _about_vectors(item: VectorField, blobs: Sequence[bytes | None]) -> list[str]:
    """What is wrong with stored vectors, of which None are absent."""
    # Imported here, since it takes numpy.
    from vecmigrate.helpers.vectors import decode_vector, encode_vector

    held = [blob for blob in blobs if blob is not None]
    texts = []
    wrong = sum(len(blob) != item.blob_size for blob in held)
    if wrong:
        texts.append(
            f"field {item.name!r}: in {wrong} of {len(blobs)} documents looked at it is not "
            f"{item.blob_size} bytes long, and the index leaves those out"
        )
    reasons = []
    for blob in held:
        if len(blob) == item.blob_size:
            try:
                vector = decode_vector(blob, item.dims, item.datatype)
                encode_vector(vector, item.dims, item.datatype, item.metric)
            except ValueError as error:
                reasons.append(str(error))
    if reasons:
        texts.append(
            f"field {item.name!r}: in {len(reasons)} of {len(blobs)} documents looked at the vector is one "
            f"that store helpers refuse, since it spoils searches: {reasons[0]}"
        )
    return texts


def _by_name(documents: Mapping[str, Mapping[str, Any]]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for document in documents.values():
        for name, value in document.items():
            found.setdefault(name, []).append(value)
    return found


def _nature(values: Sequence[Any]) -> str:
    """What all of the values are, where that is plain to see."""
    if all(isinstance(value, bytes) and _is_json(value) for value in values):
        return " (JSON)"
    return ""


def _is_json(value: bytes) -> bool:
    if value[:1] not in (b"{", b"["):
        return False
    try:
        json.loads(value)
    except ValueError:
        return False
    return True


def _is_key(spec: IndexSpec, path: str, documents: Mapping[str, Mapping[str, Any]]) -> bool:
    if path.startswith("$") and path != f"$.{_top(path)}":
        return False
    for key, document in documents.items():
        value = document.get(_top(path))
        text = value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value
        if text is None or all(f"{prefix}{text}" != key for prefix in (spec.prefix, *spec.index.prefixes)):
            return False
    return True


def _top(path: str) -> str:
    """The name at the top of a JSON document that a plain path begins with; other paths as they are."""
    return path.removeprefix("$.").partition(".")[0] if path.startswith("$.") else path
