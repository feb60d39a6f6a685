"""Replies of RediSearch as plain values, the same whatever the protocol and the client's settings.

RESP2 gives flat lists of names and values, RESP3 maps; names and texts are bytes, or str where the client
decodes. What comes out has str names, str texts and real numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

Info = dict[str, Any]

# In a flat list of RESP2 these words of FT.INFO's "attributes" stand alone; every other name has a value.
FLAGS: Final = frozenset(
    {"SORTABLE", "UNF", "NOSTEM", "NOINDEX", "CASESENSITIVE", "WITHSUFFIXTRIE", "INDEXEMPTY", "INDEXMISSING"}
)
_LISTS: Final = frozenset({"index_options", "stopwords_list"})
_NUMBERS_OF_FIELDS: Final = frozenset({"WEIGHT"})
_TEXTS: Final = frozenset({"index_name"})


@dataclass(frozen=True, slots=True)
class SearchHit:
    """One document of an FT.SEARCH reply. Values are as the client gave them: bytes, or str if it decodes."""

    id: str
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SearchReply:
    """`total` counts all that match, `hits` are those asked for; `warnings` come with RESP3 only."""

    total: int
    hits: tuple[SearchHit, ...]
    warnings: tuple[str, ...] = ()


def text(value: object) -> str:
    """A reply's text as str; bytes that are no UTF-8 survive as lone surrogates."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


def parse_info(reply: object) -> Info:
    """FT.INFO as one dictionary, equal under RESP2 and RESP3.

    Every field under `attributes` is a dictionary whose `flags` is the list of its lone words. Numbers are
    int or float, not text.

    Raises:
        ValueError: The reply is no map and no list of pairs.
    """
    info: Info = {}
    for name, value in _pairs(reply):
        if name == "attributes":
            info[name] = [_attribute(item) for item in value]
        elif name == "index_definition":
            info[name] = _definition(value)
        elif name == "field statistics":
            info[name] = [_statistics(item) for item in value]
        elif name in _LISTS:
            info[name] = [text(item) for item in value]
        elif name in _TEXTS:
            info[name] = text(value)
        else:
            info[name] = _statistics(value) if isinstance(value, Mapping | list | tuple) else _scalar(value)
    return info


def index_name(info: Info) -> str:
    """The name of the index itself, also where FT.INFO was asked for an alias."""
    return str(info["index_name"])


def num_docs(info: Info) -> int:
    """How many documents the index holds.

    Raises:
        ValueError: The reply holds no such number.
    """
    try:
        return int(info["num_docs"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError("FT.INFO holds no num_docs") from error


def is_indexing(info: Info) -> bool:
    """Whether the background scan is running somewhere: until it is over, answers are from a part.

    Redis 8 adds `indexing` up over shards, so it may be more than 1.
    """
    return float(info.get("indexing", 0)) != 0


def percent_indexed(info: Info) -> float:
    """How much of the background scan is done, from 0 to 1."""
    return float(info.get("percent_indexed", 1.0))


def indexing_failures(info: Info) -> int:
    """How many documents the index could not read; they are missing from every answer."""
    return int(info.get("hash_indexing_failures", 0))


def scan_problem(info: Info) -> str | None:
    """Why the background scan ended before it saw every document, or None where nothing tells that.

    RediSearch 8 gives a scan up when memory gets short; FT.INFO then says `indexing` 0 and `percent_indexed`
    1 as it does of a complete one, and only this status is different. Older servers have no such status.
    """
    errors = info.get("Index Errors", {})
    status = errors.get("background indexing status")
    if status is None or text(status).upper() in ("OK", "N/A", ""):
        return None
    last = errors.get("last indexing error")
    told = f" ({last})" if last not in (None, "N/A") else ""
    return f"the scan of the documents was broken off: {text(status)}{told}"


def field_errors(info: Info) -> dict[str, tuple[str, str]]:
    """Attribute → the last indexing error of that field and the key it was about, where there was one."""
    found = {}
    for item in info.get("field statistics", ()):
        error = last_indexing_error(item)
        if error is not None:
            found[str(item["attribute"])] = error
    return found


def last_indexing_error(info: Info) -> tuple[str, str] | None:
    """The last indexing error and the key it was about, or None."""
    errors = info.get("Index Errors", {})
    if not errors.get("indexing failures"):
        return None
    return str(errors.get("last indexing error")), str(errors.get("last indexing error key"))


def parse_search(reply: object, *, with_content: bool = True) -> SearchReply:
    """FT.SEARCH as plain values.

    Args:
        reply: What `execute_command` returned.
        with_content: False where the command said NOCONTENT or RETURN 0. RESP2 does not show it.

    Raises:
        ValueError: The reply is no answer of FT.SEARCH.
    """
    if isinstance(reply, Mapping):
        found = _plain_names(reply)
        hits = tuple(_map_hit(_plain_names(item)) for item in found.get("results", ()))
        warnings = tuple(text(item) for item in found.get("warning") or ())
        return SearchReply(int(found.get("total_results", len(hits))), hits, warnings)
    if not isinstance(reply, list | tuple) or not reply or not isinstance(reply[0], int):
        raise ValueError(
            f"FT.SEARCH answered {type(reply).__name__} (expected a map, or a list with a count)"
        )
    total, *rest = reply
    if not with_content:
        return SearchReply(total, tuple(SearchHit(text(item)) for item in rest))
    if len(rest) % 2:
        raise ValueError("FT.SEARCH answered an odd list (expected pairs of document and fields)")
    return SearchReply(total, tuple(_list_hit(*rest[at : at + 2]) for at in range(0, len(rest), 2)))


def _map_hit(item: Mapping[str, Any]) -> SearchHit:
    return SearchHit(text(item["id"]), _plain_names(item.get("extra_attributes") or {}))


def _list_hit(document: object, fields: object) -> SearchHit:
    # A document that expired while the query ran has no list of fields.
    return SearchHit(text(document), dict(_pairs(fields)) if fields is not None else {})


def _pairs(value: object) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        yield from ((text(name), item) for name, item in value.items())
    elif isinstance(value, list | tuple) and len(value) % 2 == 0:
        yield from ((text(value[at]), value[at + 1]) for at in range(0, len(value), 2))
    else:
        raise ValueError(f"the reply holds {type(value).__name__} (expected a map or a list of pairs)")


def _plain_names(value: Mapping[Any, Any]) -> dict[str, Any]:
    return {text(name): item for name, item in value.items()}


def _attribute(value: object) -> dict[str, Any]:
    if isinstance(value, Mapping):
        named: list[tuple[str, Any]] = list(_pairs(value))
        flags = next((item for name, item in named if name == "flags"), ())
        named = [pair for pair in named if pair[0] != "flags"]
    elif isinstance(value, list | tuple):
        named, flags = _split_flags(value)
    else:
        raise ValueError(f"a field of the reply is {type(value).__name__} (expected a map or a list)")
    attribute = {
        name: _scalar(item) if name in _NUMBERS_OF_FIELDS or not isinstance(item, bytes | str) else text(item)
        for name, item in named
    }
    return attribute | {"flags": [text(flag) for flag in flags]}


def _split_flags(words: Sequence[Any]) -> tuple[list[tuple[str, Any]], list[Any]]:
    named: list[tuple[str, Any]] = []
    flags: list[Any] = []
    rest = iter(words)
    for word in rest:
        name = text(word)
        if name in FLAGS:
            flags.append(name)
        else:
            named.append((name, next(rest)))
    return named, flags


def _definition(value: object) -> dict[str, Any]:
    definition: dict[str, Any] = {}
    for name, item in _pairs(value):
        if name == "prefixes":
            definition[name] = [text(prefix) for prefix in item]
        else:
            definition[name] = _scalar(item) if name == "default_score" else text(item)
    return definition


def _statistics(value: object) -> dict[str, Any]:
    return {
        name: (
            _statistics(item)
            if isinstance(item, Mapping | list | tuple)
            else text(item)
            if name in ("identifier", "attribute") or name.startswith("last ")
            else _scalar(item)
        )
        for name, item in _pairs(value)
    }


def _scalar(value: object) -> object:
    """A number as a number, also where RESP2 sends it as text; any other text as str."""
    if not isinstance(value, bytes | str):
        return value
    plain = text(value)
    try:
        return float(plain)
    except ValueError:
        return plain
