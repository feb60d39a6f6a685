"""An index made by hand, its documents, and the fenced commands that a check is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import redis

from tests.legacy import wait_until
from vecmigrate.runtime.lease import fenced_script
from vecmigrate.search import ddl, reply
from vecmigrate.spec.build import spec_from_mapping
from vecmigrate.spec.model import IndexSpec
from vecmigrate.verify.keyspace import Built
from vecmigrate.verify.scratch import Scratch

NAME = "idx:doc@0001"
SCRATCH = "idx:doc@scratch"
LEASE = "vecmigrate:{default}:lease"
VECTOR = np.ones(4, np.float32).tobytes()


def make_spec(fields: dict[str, Any] | None = None, **index: Any) -> IndexSpec:
    """A spec with a vector of four numbers and the given fields."""
    return spec_from_mapping(
        {
            "name": "doc",
            "index": {"name": "idx:doc", "prefix": "doc:", **index},
            "key": "doc_id",
            "fields": {**(fields or {}), "embedding": {"type": "vector", "dims": 4, "algorithm": "flat"}},
        }
    )


@dataclass
class Server:
    """The server, and every touch that it was asked for."""

    client: redis.Redis

    def __post_init__(self) -> None:
        self.touched: list[bytes] = []
        self.storage = "hash"
        self.paths: list[str] = []
        self._script = self.client.register_script(fenced_script("touch.lua"))

    def index(self, spec: IndexSpec, name: str = NAME) -> Built:
        """Create the index and wait until it is scanned."""
        self.client.execute_command(*ddl.ft_create(spec, name))
        self.settle(name)
        self.storage = spec.index.storage
        self.paths = [item.path for item in ddl.indexed_fields(spec)]
        return Built(name, spec)

    def settle(self, name: str = NAME) -> None:
        """Wait until the index is scanned."""
        wait_until(lambda: not reply.is_indexing(self.info(name)), "it is scanned")

    def info(self, name: str = NAME) -> reply.Info:
        """FT.INFO."""
        return reply.parse_info(self.client.execute_command("FT.INFO", name))

    def fill(self, count: int, prefix: str = "doc:", **fields: Callable[[int], Any]) -> None:
        """Documents with a vector and what `fields` make of their numbers."""
        with self.client.pipeline(transaction=False) as pipe:
            for n in range(count):
                values = {name: make(n) for name, make in fields.items()}
                pipe.hset(f"{prefix}{n}", mapping={"embedding": VECTOR, **values})
            pipe.execute()

    def touch(self, keys: Any) -> list[int]:
        """Touch documents as a runner that holds the lease does."""
        self.client.hset(LEASE, "id", "1:me")
        self.touched += keys
        reply: Any = self._script(keys=[LEASE, *keys], args=["1:me", 0, self.storage, *self.paths])
        return list(reply[1])

    def scratch(self) -> Scratch:
        """An index that a check may make."""

        def drop() -> None:
            if SCRATCH.encode() in self.client.execute_command("FT._LIST"):
                self.client.execute_command("FT.DROPINDEX", SCRATCH)

        return Scratch(SCRATCH, lambda words: self.client.execute_command(*words), drop)

    def another(self) -> redis.Redis:
        """Another client of the same server."""
        options = self.client.connection_pool.connection_kwargs
        return redis.Redis(host=options["host"], port=options["port"])

    def names(self) -> list[str]:
        """All indexes."""
        return sorted(reply.text(name) for name in self.client.execute_command("FT._LIST"))


def nothing(seen: int) -> None:
    """Listens to nothing."""
