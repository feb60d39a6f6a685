"""What a backfill asks of its server: room for what it writes, and whether keys were evicted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vecmigrate.errors import MemoryLimitError
from vecmigrate.search import memory as index_memory
from vecmigrate.spec.model import IndexSpec

if TYPE_CHECKING:
    import redis

    from vecmigrate.backfill.engine import Backfill
    from vecmigrate.operations.base import ServerMemory

SAMPLE = 50
# Bytes of a key with a hash of several fields, and of an entry in the accounts, beside names and values.
# Measured on Redis 8.2; the allocator rounds up.
_DOCUMENT = 200
_FIELD = 40
_MARK = 90


def document_bytes(spec: IndexSpec, name: float, metadata: float) -> int:
    """Bytes that one document takes, its entries in the accounts and in the index included.

    Args:
        spec: The index.
        name: How long the names of items are, on average.
        metadata: How long the texts of their metadata are.
    """
    fields = sum(len(item.path) + _FIELD for item in spec.written_fields)
    stored = spec.vector.blob_size + metadata + 2 * name + len(spec.prefix) + fields
    return int(_DOCUMENT + stored + _MARK + name)


def check_fit(server: ServerMemory, backfill: Backfill, left: int, lengths: tuple[float, float]) -> None:
    """Raise MemoryLimitError where `left` documents more do not fit under the server's `maxmemory`.

    `lengths` are those of a name and of a text of metadata, on average.
    """
    if server.maximum is None or left <= 0:
        return
    spec = backfill.spec
    needed = left * document_bytes(spec, *lengths) + index_memory.of_new_documents(spec, left)
    if server.used + needed > server.maximum:
        mb = 1024 * 1024
        raise MemoryLimitError(
            f"{left:,} documents take some {needed / mb:,.0f} MB, which does not fit: Redis uses "
            f"{server.used / mb:,.0f} MB (expected at most {server.maximum / mb:,.0f} MB together, by "
            "maxmemory)",
            hint="raise maxmemory or free memory, and run upgrade again",
        )


def evictions(client: redis.Redis) -> tuple[int, str]:
    """How many keys the server has evicted since it was started, and its run_id."""
    info: Any = client.info()
    return int(info.get("evicted_keys", 0)), str(info["run_id"])


def typical_lengths(backfill: Backfill) -> tuple[float, float]:
    """How long a name and a text of metadata are, on average of a few items."""
    client: Any = backfill.client
    names = client.execute_command("HRANDFIELD", backfill.embeddings_key, SAMPLE) or []
    if not names:
        return 0.0, 0.0
    with client.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.hstrlen(backfill.metadata_key, name)
        lengths = pipe.execute()
    return sum(map(len, names)) / len(names), sum(lengths) / len(names)
