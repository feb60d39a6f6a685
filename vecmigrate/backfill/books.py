"""Where a backfill keeps its accounts: the names of the ledger's keys and the identity of the lease."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import redis


@dataclass(slots=True)
class Fence:
    """The highest number of a fenced write that the server acknowledged.

    Every fenced write adds one to the number in the lease. A lower one than this means that the server lost
    writes.
    """

    seq: int = 0

    def saw(self, seq: int) -> None:
        """Take note of an acknowledged write; answers may come in any order."""
        self.seq = max(self.seq, seq)


@dataclass(frozen=True, slots=True)
class Books:
    """The accounts of one step.

    `prefix` is put before the names of this step's fields in the hash `steps`. The hash `items` says of each
    item what became of it; its marks are those of write_batch.lua.
    """

    lease: str
    identity: str
    steps: str
    items: str
    rejects: str
    prefix: str
    step: int
    fence: Fence = field(default_factory=Fence)

    def read(self, client: redis.Redis, *names: str) -> list[str | None]:
        """Stored values of this step."""
        stored: Any = client.hmget(self.steps, [self.prefix + name for name in names])
        return [None if value is None else value.decode() for value in stored]

    def count_items(self, client: redis.Redis) -> int:
        """How many items the backfill has dealt with."""
        return int(client.hlen(self.items))
