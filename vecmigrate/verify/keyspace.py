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
_MOST_SCANNED = 8
# Batches that are read in one round trip; the server looks at 2,000 keys in about a millisecond.
_SCANNED = 4
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
        cursor, count = 0, _SCANNED * batch
        held: dict[bytes, None] = {}
        while True:
            answer: Any = client.scan(cursor, match=pattern, count=count, _type=type_name(spec))
            cursor, found = answer
            held.update(dict.fromkeys(found))
            # Where few of the keys are documents, a round trip each would take long.
            count = min(2 * count, _MOST_SCANNED * batch) if len(found) < batch // 4 else _SCANNED * batch
            if len(held) >= batch:
                keys = list(held)
                yield from (keys[start : start + batch] for start in range(0, len(keys), batch))
                held = {}
            if not cursor:
                break
        if held:
            yield list(held)


def absent_of(client: redis.Redis, index: str, batches: Sequence[Sequence[bytes]]) -> list[bytes]:
    """Those of the keys in `batches` that `index` does not hold; nearly always one round trip for all."""
    askable = [[key for key in keys if is_askable(key)] for keys in batches]
    askable = [keys for keys in askable if keys]
    with client.pipeline(transaction=False) as pipe:
        for keys in askable:
            pipe.execute_command(*_question(index, keys), "LIMIT", 0, 0)
        answers = pipe.execute() if askable else []
    found: list[bytes] = []
    for keys, answer in zip(askable, answers, strict=True):
        if reply.parse_search(answer, with_content=False).total != len(set(keys)):
            found += absent(client, index, keys)
    return found


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


@dataclass(slots=True)
class Observer:
    """Asks the server for documents and for what the index `new` and the index `old` hold of them.

    Documents come, go and are renamed all the time. What an index lacks at the very moment when the document
    is there is missing; what two questions one after the other say of it proves nothing. So all is asked in
    one transaction. Where searches may not run in one (RediSearch 8 with WORKERS, several shards), a document
    counts as there if it is so before and after the search, and `exact` is false: then ask several times.
    """

    client: redis.Redis
    spec: IndexSpec
    new: str
    old: str | None
    exact: bool = True

    def look(self, keys: Sequence[bytes]) -> Look:
        """What is there, and where, of `keys`."""
        if self.exact:
            answers = self._ask(keys, transaction=True)
            errors = [answer for answer in answers if isinstance(answer, Exception)]
            if not errors:
                return self._read(keys, answers)
            self.exact = False
        answers = self._ask(keys, transaction=False)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return self._read(keys, answers)

    def _ask(self, keys: Sequence[bytes], *, transaction: bool) -> list[Any]:
        names = (self.new, self.old) if self.old is not None else (self.new,)
        with self.client.pipeline(transaction=transaction) as pipe:
            for key in keys:
                pipe.execute_command("TYPE", key)
            for name in names:
                pipe.execute_command(*_question(name, keys), "LIMIT", 0, len(keys))
            for key in () if transaction else keys:
                pipe.execute_command("TYPE", key)
            answers: list[Any] = pipe.execute(raise_on_error=False)
        return answers

    def _read(self, keys: Sequence[bytes], answers: list[Any]) -> Look:
        indexes = 1 if self.old is None else 2
        first, rest = answers[: len(keys)], answers[len(keys) + indexes :]
        there = [
            key
            for at, key in enumerate(keys)
            if all(reply.text(types[at]) == type_name(self.spec) for types in (first, rest) if types)
        ]
        held = [_keys(answer) for answer in answers[len(keys) : len(keys) + indexes]]
        return Look(frozenset(there), held[0], held[1] if self.old is not None else frozenset())


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
