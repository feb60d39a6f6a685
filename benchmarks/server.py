"""The server that a run of the benchmarks starts, and what they ask of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import redis

from benchmarks.measure import Stopwatch
from vecmigrate.embedded import EmbeddedRedis
from vecmigrate.runtime.connect import inspect_server

T = TypeVar("T")

KEYS_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Server:
    """A private Redis with RediSearch, reached by TCP on the loopback interface."""

    url: str
    client: redis.Redis

    @property
    def stopwatch(self) -> Stopwatch:
        """A stopwatch that also reads this server's processor time."""
        return Stopwatch(self.cpu_seconds)

    def cpu_seconds(self) -> float:
        """Processor seconds that the server has used since its start, all threads together."""
        info: dict[str, Any] = self.client.info("cpu")
        return float(info["used_cpu_user"]) + float(info["used_cpu_sys"])

    def delete(self, keys: Iterable[str]) -> None:
        """Delete `keys` in this call, so that no freeing in the background falls into a measurement."""
        for some in in_batches(list(keys), KEYS_AT_ONCE):
            self.client.delete(*some)

    def put_fields(self, key: str, names: Sequence[str], texts: Sequence[bytes]) -> None:
        """Fill the hash `key`; `texts` are used over and over where there are fewer than names."""
        for start in range(0, len(names), KEYS_AT_ONCE):
            mapping: dict[Any, Any] = {
                name: texts[(start + place) % len(texts)]
                for place, name in enumerate(names[start : start + KEYS_AT_ONCE])
            }
            self.client.hset(key, mapping=mapping)

    def versions(self) -> str:
        """Redis and RediSearch, with their versions."""
        version = inspect_server(self.client).version
        search = ".".join(map(str, version.search)) if version.search else "none"
        return f"Redis {'.'.join(map(str, version.redis))}, RediSearch {search}"


@contextmanager
def running_server() -> Iterator[Server]:
    """Start a server for the length of the block; it keeps nothing on disk."""
    with EmbeddedRedis() as embedded, redis.Redis.from_url(embedded.url) as client:
        yield Server(embedded.url, client)


def in_batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """`items` in pieces of `size`, the last one shorter."""
    return (items[start : start + size] for start in range(0, len(items), size))
