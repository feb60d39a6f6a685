"""The documents that an index is about, as the keyspace has them: walked in batches, asked for one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vecmigrate.search import reply
from vecmigrate.spec.model import IndexSpec

if TYPE_CHECKING:
    import redis

BATCH = 500
_QUERY_MILLISECONDS = 10_000
_GLOB = "*?[]\\^"


@dataclass(frozen=True, slots=True)
class Built:
    """An index to be looked at: its physical name, and the spec that it was built from."""

    name: str
    spec: IndexSpec


@dataclass(frozen=True, slots=True)
class Look:
    """Which of some documents are there, in the new index, and in the old one, all at one moment."""

    there: frozenset[bytes]
    new: frozenset[bytes]
    old: frozenset[bytes]


def keys_in_batches(client: redis.Redis, spec: IndexSpec, batch: int = BATCH) -> Iterator[list[bytes]]:
    """The keys of the documents that the index of `spec` is about; a key may come more than once."""
    for prefix in _apart(spec.index.prefixes):
        pattern = "".join("\\" + letter if letter in _GLOB else letter for letter in prefix) + "*"
        cursor = 0
        held: dict[bytes, None] = {}
        while True:
            answer: Any = client.scan(cursor, match=pattern, count=batch, _type=type_name(spec))
            cursor, found = answer
            held.update(dict.fromkeys(found))
            if len(held) >= batch:
                yield list(held)
                held = {}
            if not cursor:
                break
        if held:
            yield list(held)


def absent(client: redis.Redis, index: str, keys: Sequence[bytes]) -> list[bytes]:
    """Those of `keys` that `index` does not hold.

    A key with a NUL byte is never among them: RediSearch ends the keys that it is asked for at the first one.
    """
    askable = [key for key in keys if is_askable(key)]
    if not askable:
        return []
    words = _question(index, askable)
    answer = reply.parse_search(client.execute_command(*words, "LIMIT", 0, 0), with_content=False)
    if answer.total == len(set(askable)):
        return []
    held = _keys(client.execute_command(*words, "LIMIT", 0, len(askable)))
    return [key for key in askable if key not in held]


def look(client: redis.Redis, keys: Sequence[bytes], spec: IndexSpec, new: str, old: str | None) -> Look:
    """Ask the server for `keys`, the index `new` and the index `old` in one transaction.

    Documents come, go and are renamed all the time. What an index lacks at the very moment when the document
    is there is missing; what two questions one after the other say of it proves nothing.
    """
    with client.pipeline(transaction=True) as pipe:
        for key in keys:
            pipe.execute_command("TYPE", key)
        for index in (new, old) if old is not None else (new,):
            pipe.execute_command(*_question(index, keys), "LIMIT", 0, len(keys))
        answers: list[Any] = pipe.execute()
    types = zip(keys, answers[: len(keys)], strict=True)
    there = frozenset(key for key, found in types if reply.text(found) == type_name(spec))
    held = [_keys(answer) for answer in answers[len(keys) :]]
    return Look(there, held[0], held[1] if old is not None else frozenset())


def counts(client: redis.Redis, new: str, old: str | None) -> tuple[int, int | None]:
    """How many documents both indexes hold at one moment."""
    names = (new, old) if old is not None else (new,)
    with client.pipeline(transaction=True) as pipe:
        for name in names:
            pipe.execute_command("FT.INFO", name)
        found = [reply.num_docs(reply.parse_info(item)) for item in pipe.execute()]
    return found[0], found[1] if old is not None else None


def is_askable(key: bytes) -> bool:
    """Whether an index can be asked for `key`."""
    return b"\0" not in key


def _question(index: str, keys: Sequence[bytes]) -> list[str | bytes | int]:
    return ["FT.SEARCH", index, "*", "INKEYS", len(keys), *keys, "NOCONTENT", "TIMEOUT", _QUERY_MILLISECONDS]


def _keys(answer: Any) -> frozenset[bytes]:
    hits = reply.parse_search(answer, with_content=False).hits
    return frozenset(hit.id.encode("utf-8", "surrogateescape") for hit in hits)


def type_name(spec: IndexSpec) -> str:
    """What TYPE says of a document of `spec`."""
    return "ReJSON-RL" if spec.index.storage == "json" else "hash"


def _apart(prefixes: Sequence[str]) -> list[str]:
    """The prefixes that do not lie inside another one."""
    return [
        item
        for item in dict.fromkeys(prefixes)
        if not any(item != other and item.startswith(other) for other in prefixes)
    ]
