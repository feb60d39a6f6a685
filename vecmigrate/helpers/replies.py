"""Replies, as bytes or str, of RESP2 (flat lists) or RESP3 (maps), and stored documents."""

from __future__ import annotations

import math
from collections.abc import (
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from typing import Any, Final

from vecmigrate.helpers.common import logger
from vecmigrate.helpers.queries import DISTANCE
from vecmigrate.helpers.values import COMPACT, JSON, as_str

# From here on whole numbers exist that no float holds.
EXACT: Final = 2.0**53


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


def json_fields(document: Any, paths: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The values of a JSON document, each as it is stored; None where there is none."""
    return {name: json_value(document, path) for name, path in paths.items()}


def as_texts(pairs: Iterable[tuple[Any, Any]]) -> dict[str, str]:
    """Names and values of a document as text, without those that are None."""
    # This is most of what reading a reply takes, so what nearly all replies are made of is tried first.
    found = [(name, text) for name, text in pairs if text is not None]
    try:
        return {name.decode(): text.decode() for name, text in found}
    except (AttributeError, UnicodeDecodeError):
        return {as_str(name): as_str(text) for name, text in found}


def search_results(
    reply: Any,
    paths: Mapping[str, str] | None = None,
) -> Iterator[tuple[str, float, dict[str, str]]]:
    """For each result of FT.SEARCH the document's id, its distance, and the texts of its fields by name.

    A document whose distance is not a number is left out: it holds a vector without a direction, written by
    something that did not check, and has no place in the order.

    Args:
        reply: The reply.
        paths: Name → hash field of the values to read, where the search returned whole documents; None
            where it returned values by name.
    """
    wanted = None if paths is None else {**paths, DISTANCE: DISTANCE}
    for document_id, pairs in documents(reply):
        fields = as_texts(pairs) if wanted is None else texts_at(pairs, wanted)
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


def json_results(
    reply: Any,
    several: Sequence[str] = (),
) -> Iterator[tuple[str, float, dict[str, Any]]]:
    """As `search_results`, for JSON documents and DIALECT 3: each value as it is stored, None where absent.

    A path that picks out any number of values gives a list of them; `several` are the names of such fields.
    """
    for document_id, distance, texts in search_results(reply):
        fields: dict[str, Any] = dict.fromkeys(several, ())
        for name, text in texts.items():
            values = parse_json(text)
            if isinstance(values, list) and values:
                fields[name] = values if name in several else values[0]
        yield document_id, distance, fields


def texts_at(
    pairs: Iterable[tuple[Any, Any]],
    paths: Mapping[str, str],
) -> dict[str, str]:
    """The texts of these hash fields of a whole document, under their names; others are not read."""
    stored = dict(pairs)
    found = {}
    for name, path in paths.items():
        value = stored.get(path.encode())
        value = stored.get(path) if value is None else value
        if value is not None:
            found[name] = as_str(value)
    return found


def documents(reply: Any) -> Iterator[tuple[str, Iterable[tuple[Any, Any]]]]:
    """For each result of FT.SEARCH the id, and names and values of what it returned."""
    if isinstance(reply, dict):
        for result in value_of(reply, "results") or ():
            fields = value_of(result, "extra_attributes") or {}
            yield as_str(value_of(result, "id")), fields.items()
    else:
        for place in range(1, len(reply), 2):
            fields = reply[place + 1] or ()
            yield (
                as_str(reply[place]),
                zip(fields[::2], fields[1::2], strict=True),
            )


def value_of(reply: Mapping[Any, Any], name: str) -> Any:
    """The value under `name` in a map of RESP3; None where there is none."""
    found = reply.get(name.encode())
    return reply.get(name) if found is None else found


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


def as_number(stored: Any) -> float | None:
    """The number that is stored, or that a stored text reads as; None where there is none.

    It is a float, and a whole number that no float holds exactly is an int.
    """
    if isinstance(stored, bool):
        return None
    try:
        number = math.nan if stored is None else float(stored)
    except (ValueError, TypeError):
        return None
    except OverflowError:
        return int(stored)
    if abs(number) >= EXACT and not isinstance(stored, float):
        try:
            return int(stored)
        except ValueError:
            pass
    return number if math.isfinite(number) else None


def as_numbers_of(stored: Iterable[Any]) -> list[float]:
    """The numbers among several values of a JSON document."""
    numbers = (as_number(value) for value in stored)
    return [number for number in numbers if number is not None]


def as_json_text(stored: Any) -> str | None:
    """A value of a JSON document as text: a text is itself, all else is JSON, None where there is none."""
    if stored is None or isinstance(stored, str):
        return stored
    return COMPACT.encode(stored)


def as_json_tags(stored: Any) -> str | list[str] | None:
    """One label of a JSON document, or a list of several; None where there is none."""
    return as_json_texts(stored) if isinstance(stored, list) else as_json_text(stored)


def as_json_texts(stored: Iterable[Any]) -> list[str]:
    """Several values of a JSON document as texts, without those that are null."""
    texts = (as_json_text(value) for value in stored)
    return [text for text in texts if text is not None]


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
    return as_metadata(parse_json(text))


def as_metadata(stored: Any) -> dict[str, Any]:
    """The mapping that is stored; empty where there is none."""
    return stored if isinstance(stored, dict) else {}
