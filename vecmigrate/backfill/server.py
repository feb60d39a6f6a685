"""What a backfill asks of its server: room for what it writes, and whether keys were evicted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vecmigrate.errors import MemoryLimitError
from vecmigrate.search import memory as index_memory
from vecmigrate.spec.model import IndexSpec

if TYPE_CHECKING:
    from vecmigrate.backfill.engine import Backfill
    from vecmigrate.operations.base import Context

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


def check_fit(context: Context, backfill: Backfill) -> None:
    """Raise MemoryLimitError where what is still to be written does not fit under `maxmemory`."""
    server = context.search.memory()
    if server.maximum is None or context.options.allow_eviction:
        return
    books = backfill.books
    there = 0 if books is None else books.count_items(backfill.client)
    left = max(0, backfill.total() - there)
    if not left:
        return
    name, metadata = _sample(backfill)
    spec = backfill.spec
    needed = left * document_bytes(spec, name, metadata) + index_memory.of_new_documents(spec, left)
    if server.used + needed > server.maximum:
        mb = 1024 * 1024
        raise MemoryLimitError(
            f"{left:,} documents take some {needed / mb:,.0f} MB, which does not fit: Redis uses "
            f"{server.used / mb:,.0f} MB (expected at most {server.maximum / mb:,.0f} MB together, by "
            "maxmemory)",
            hint="raise maxmemory or free memory, and run upgrade again",
        )


def remember_evictions(context: Context) -> None:
    """Store how many keys the server has evicted, unless this step knows that of the same process."""
    evicted, run_id = _evictions(context)
    if context.step.get("evicted_by") != run_id:
        # Another process counts from 0 again.
        before = 0 if context.step.get("evicted_by") else evicted
        context.step.put({"evicted": before, "evicted_by": run_id})


def evicted_since(context: Context) -> int:
    """How many keys the server has evicted since the step was begun, or since the server was started."""
    evicted, run_id = _evictions(context)
    known = context.step.get("evicted_by") == run_id
    return evicted - int(context.step.get("evicted") or 0) if known else evicted


def _evictions(context: Context) -> tuple[int, str]:
    info: Any = context.client.info()
    return int(info.get("evicted_keys", 0)), str(info["run_id"])


def _sample(backfill: Backfill) -> tuple[float, float]:
    """How long names and metadata are, on average of a few items."""
    client: Any = backfill.client
    names = client.execute_command("HRANDFIELD", backfill.embeddings_key, SAMPLE) or []
    if not names:
        return 0.0, 0.0
    with client.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.hstrlen(backfill.metadata_key, name)
        lengths = pipe.execute()
    return sum(map(len, names)) / len(names), sum(lengths) / len(names)
