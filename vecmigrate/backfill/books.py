"""Where a backfill keeps its accounts: the names of the ledger's keys and the identity of the lease."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import redis


@dataclass(slots=True)
class Fence:
    """The number of the newest fenced write of this run that the server confirmed.

    Every fenced write counts up `seq` in the lease. A server that knows of fewer writes than were confirmed
    came back from an older state, and what this run did is lost.
    """

    seq: int = 0

    def confirmed(self, seq: int) -> None:
        """Take note that the server confirmed write number `seq`."""
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
