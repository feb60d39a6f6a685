"""What a server has: its indexes, where aliases lead, and a few of the documents."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import redis

from vecmigrate.diff.drift import Live
from vecmigrate.runtime.search_server import index_info
from vecmigrate.search import reply
from vecmigrate.spec.model import IndexSpec

_SCAN_COUNT = 500
# A prefix that few keys have is not worth a walk over a large keyspace.
_MOST_SCANS = 2_000


def all_indexes(client: redis.Redis) -> list[str]:
    """The names of all indexes, in order; aliases are not among them."""
    return sorted(reply.text(name) for name in client.execute_command("FT._LIST"))


def look_at(client: redis.Redis, aliases: Iterable[str]) -> Live:
    """FT.INFO of every index, and the index behind each of `aliases`."""
    found = {name: index_info(client, name) for name in all_indexes(client)}
    behind = {}
    for alias in aliases:
        info = index_info(client, alias)
        behind[alias] = None if info is None else reply.index_name(info)
    return Live({name: info for name, info in found.items() if info is not None}, behind)


def document_keys(client: redis.Redis, info: reply.Info, count: int) -> list[str]:
    """Up to `count` keys of documents with a vector in the index that `info` is FT.INFO of."""
    vector = next((item for item in info.get("attributes", ()) if item.get("type") == "VECTOR"), None)
    if vector is None or not count:
        return []
    from vecmigrate.helpers.queries import query_name  # these take numpy to import
    from vecmigrate.helpers.vectors import encode_vector

    dims, datatype, metric = (vector[name] for name in ("dim", "data_type", "distance_metric"))
    attribute = query_name(vector["attribute"])
    blob = encode_vector([1] * int(dims), int(dims), datatype.lower(), metric.lower())
    try:
        answer = client.execute_command(
            "FT.SEARCH", reply.index_name(info), f"*=>[KNN {count} @{attribute} $vector]",
            "PARAMS", 2, "vector", blob, "NOCONTENT", "LIMIT", 0, count, "DIALECT", 2,
        )  # fmt: skip  # a command
    except redis.ResponseError:
        # Some attributes can be in no query, which is said of the spec; a sample is not worth an error.
        return []
    return [hit.id for hit in reply.parse_search(answer, with_content=False).hits]


def sample_documents(client: redis.Redis, spec: IndexSpec, count: int) -> dict[str, dict[str, Any]]:
    """Up to `count` documents of `spec`: key → field → value, as `search.documents.observe` takes them.

    They are the first that SCAN comes upon, or fewer where it comes upon few.
    """
    found: dict[str, dict[str, Any]] = {}
    for key in islice(_keys(client, spec), count):
        name = reply.text(key)
        if spec.index.storage == "json":
            value = json.loads(client.execute_command("JSON.GET", key) or "null")
            if isinstance(value, dict):
                found[name] = value
        else:
            stored: Any = client.hgetall(key)
            if stored:
                found[name] = {reply.text(field): value for field, value in stored.items()}
    return found


def _keys(client: redis.Redis, spec: IndexSpec) -> Iterator[bytes]:
    kind = "ReJSON-RL" if spec.index.storage == "json" else "hash"
    for prefix in spec.index.prefixes if spec.index.store_prefix is None else (spec.prefix,):
        pattern = "".join("\\" + letter if letter in "*?[]\\^" else letter for letter in prefix) + "*"
        cursor: Any = 0
        for _ in range(_MOST_SCANS):
            cursor, keys = client.execute_command(
                "SCAN", cursor, "MATCH", pattern, "COUNT", _SCAN_COUNT, "TYPE", kind
            )
            yield from keys
            if not int(cursor):
                break
