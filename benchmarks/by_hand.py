"""The way of the hand-written module that the backfill replaces; imports only what such a module would."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import redis.asyncio

from benchmarks.keys import EMBEDDINGS_KEY, METADATA_KEY, PREFIX


async def move_by_hand(url: str) -> int:
    """Both hashes at once, then item by item: decode, and wait for one HSET. Returns how many."""
    async with redis.asyncio.Redis.from_url(url) as client:
        vectors: dict[Any, Any] = await client.hgetall(EMBEDDINGS_KEY)
        metadata: dict[Any, Any] = await client.hgetall(METADATA_KEY)
        written = 0
        for field, text in vectors.items():
            name = field.decode()
            vector = np.array(json.loads(text), dtype=np.float32)
            about = metadata.get(field)
            fields: dict[Any, Any] = {
                "name": name,
                "meta_json": json.dumps(json.loads(about) if about else {"name": name}),
                "embedding": vector.tobytes(),
            }
            await client.hset(PREFIX + name, mapping=fields)
            written += 1
        return written
