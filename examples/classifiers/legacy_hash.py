"""The layout from before the indexes: one hash of JSON vectors, one of JSON metadata.

Every answer reads both hashes whole and compares with every vector, which is why there is an index now. It
stays as the way out while the index is missing or empty.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from redis.asyncio import Redis

from classifiers.match import Match


@dataclass(frozen=True, slots=True)
class LegacyHash:
    """The keys of the two hashes: item → JSON array of numbers, item → JSON object."""

    embeddings_key: str
    metadata_key: str


TOOLS = LegacyHash("tool_embeddings", "tool_metadata")
SKILLS = LegacyHash("skill_embeddings", "skill_metadata")


async def legacy_names(redis: Redis, legacy: LegacyHash) -> list[str]:
    """The names of all items, sorted."""
    names = await redis.execute_command("HKEYS", legacy.embeddings_key)
    return sorted(_text(name) for name in names)


async def legacy_search(
    redis: Redis, legacy: LegacyHash, query: npt.NDArray[np.float32], *, top_k: int
) -> list[Match]:
    """Compare `query`, shape (dims,), with every stored vector; the `top_k` most similar items, best first.

    Items whose vector does not parse, has another size, holds NaN or infinity or is zero are left out.
    """
    names: list[str] = []
    vectors: list[npt.NDArray[np.float32]] = []
    for name, text in (await redis.hgetall(legacy.embeddings_key)).items():
        vector = _vector(text, query.size)
        if vector is not None:
            names.append(_text(name))
            vectors.append(vector)
    if not names:
        return []
    matrix = np.stack(vectors)
    scores = matrix @ query / (np.linalg.norm(matrix, axis=1) * np.linalg.norm(query))
    best = np.argsort(-scores, kind="stable")[:top_k]
    stored = {_text(name): text for name, text in (await redis.hgetall(legacy.metadata_key)).items()}
    return [Match(names[place], float(scores[place]), _metadata(stored.get(names[place]))) for place in best]


def _vector(text: bytes | str, dims: int) -> npt.NDArray[np.float32] | None:
    try:
        vector = np.asarray(json.loads(text), dtype=np.float32)
    except (ValueError, TypeError, OverflowError):
        return None
    usable = vector.shape == (dims,) and bool(np.isfinite(vector).all()) and bool(vector.any())
    return vector if usable else None


def _metadata(text: bytes | str | None) -> dict[str, Any]:
    try:
        metadata = json.loads(text or "{}")
    except ValueError:
        return {}
    return metadata if isinstance(metadata, dict) else {}


def _text(value: bytes | str) -> str:
    # bytes, or str where the client decodes responses
    return value.decode() if isinstance(value, bytes) else value
