"""Replies, as bytes or str, of RESP2 (flat lists) or RESP3 (maps), and stored documents."""

from __future__ import annotations

import json
import math
from collections.abc import (
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from typing import Any

from vecmigrate.helpers.common import logger
from vecmigrate.helpers.queries import DISTANCE
from vecmigrate.helpers.values import JSON, as_str


def json_document(reply: Any) -> dict[str, Any] | None:
    """The document in a reply of JSON.GET; None where there is none, or none that is an object.

    A client whose `json()` was used once parses such replies by itself.
    """
    document = parse_json(as_str(reply)) if isinstance(reply, str | bytes) else reply
    return document if isinstance(document, dict) else None


def json_value(document: Any, path: Sequence[str]) -> Any:
    """The value at a path of keys in a JSON document; None where there is none."""
    for name in path:
        document = document.get(name) if isinstance(document, Mapping) else None
    return document


def json_texts(document: Any, paths: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The values of a JSON document as FT.SEARCH returns them: texts as they are, all else as JSON."""
    values = {name: json_value(document, path) for name, path in paths.items()}
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in values.items()
        if value is not None
    }


def as_texts(pairs: Iterable[tuple[Any, Any]]) -> dict[str, str]:
    """Names and values of a document as text, without those that are None."""
    # `as_str` written out, since this is most of what reading a reply takes.
    return {
        str(name, "utf-8") if isinstance(name, bytes) else name: (
            str(value, "utf-8", "replace") if isinstance(value, bytes) else str(value)
        )
        for name, value in pairs
        if value is not None
    }


def search_results(reply: Any) -> Iterator[tuple[str, float, dict[str, str]]]:
    """For each result of FT.SEARCH the document's id, its distance, and the fields that it returned.

    A document whose distance is not a number is left out: it holds a vector without a direction, written by
    something that did not check, and has no place in the order.
    """
    for document_id, fields in documents(reply):
        try:
            distance = float(fields.pop(DISTANCE, "nan"))
        except ValueError:
            distance = math.nan
        if math.isfinite(distance):
            yield document_id, distance, fields
        else:
            logger.debug(
                "Left out %s: its distance is not a finite number",
                document_id,
            )


def strip_prefix(document_id: str, prefixes: Sequence[str]) -> str:
    """The key in a document's id, which begins with one of `prefixes`."""
    for prefix in prefixes:
        if document_id.startswith(prefix):
            return document_id.removeprefix(prefix)
    return document_id


def documents(reply: Any) -> Iterator[tuple[str, dict[str, str]]]:
    """The id and the returned fields of each result of FT.SEARCH."""
    if isinstance(reply, dict):
        for result in value_of(reply, "results") or ():
            fields = value_of(result, "extra_attributes") or {}
            yield as_str(value_of(result, "id")), as_texts(fields.items())
    else:
        for place in range(1, len(reply), 2):
            fields = reply[place + 1] or ()
            pairs = zip(fields[::2], fields[1::2], strict=True)
            yield as_str(reply[place]), as_texts(pairs)


def value_of(reply: Mapping[Any, Any], name: str) -> Any:
    """The value under `name` in a map of RESP3; None where there is none."""
    found = reply.get(name)
    return reply.get(name.encode()) if found is None else found


def doc_count(reply: Any) -> int:
    """`num_docs` in a reply of FT.INFO; -1 where it has none that can be read."""
    if isinstance(reply, Mapping):
        found = value_of(reply, "num_docs")
    elif isinstance(reply, list | tuple):
        names = [as_str(name) for name in reply[::2]]
        found = reply[2 * names.index("num_docs") + 1] if "num_docs" in names else None
    else:
        return -1
    try:
        return int(float(as_str(found)))
    except (ValueError, OverflowError):
        return -1


def first_text(*values: Any, default: str) -> str:
    """The first value that is a text, and not blank; `default` where none is."""
    for value in values:
        if isinstance(value, str) and value:
            return value
    return default


def as_number(text: str | None) -> float | None:
    """The number that a stored text reads as; None where it reads as none."""
    try:
        number = math.nan if text is None else float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def parse_json(text: str | None) -> Any:
    """The value of a JSON text; None where there is no text or it cannot be parsed."""
    if text is None:
        return None
    text = text.strip()
    try:
        # A third of the time that `json.loads` takes, which matters for texts as short as these.
        value, end = JSON.raw_decode(text)
    except (ValueError, RecursionError):
        return None
    return value if end == len(text) else None


def parse_metadata(text: str | None) -> dict[str, Any]:
    """The mapping in a JSON text; empty where there is none."""
    metadata = parse_json(text)
    return metadata if isinstance(metadata, dict) else {}
