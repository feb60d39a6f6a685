"""Which tools and which skills fit a request: nearest neighbours of its embedding.

Answers come from the RediSearch indexes through the generated helpers. While an index is missing or empty,
before the first migration or after an accident, they come from the legacy monolithic hash: slower, and the
same answers.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from redis.asyncio import Redis

from classifiers.legacy_hash import SKILLS, TOOLS, LegacyHash, legacy_names, legacy_search
from classifiers.match import Match
from classifiers.redis_vector_index import (
    SKILL_EMB_INDEX,
    TOOL_EMB_INDEX,
    knn_search_skills,
    knn_search_tools,
    redisearch_index_doc_count,
    scan_tool_names,
)

# Unrelated sentences have a similarity around 0 with all-MiniLM-L6-v2; good answers to short, loosely
# worded requests start a little above this.
MIN_SCORE = 0.2

# New tools are rare and SCAN walks the whole keyspace, so names are kept for this many seconds.
NAMES_KEPT = 60.0

Source: TypeAlias = Literal["index", "legacy hash"]
Vector: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Answer:
    """What fits a request, best first, and where the answer comes from.

    `always` are the names of the tools that are offered whatever the request is.
    """

    matches: tuple[Match, ...]
    source: Source
    always: tuple[str, ...] = ()

    @property
    def best(self) -> Match | None:
        """The best match, if anything fits."""
        return self.matches[0] if self.matches else None


class ToolClassifier:
    """Offers the tools that fit a request.

    Args:
        redis: Async client.
        always: Names or prefixes (`task_`, `calendar_list`) of tools that every answer offers; each stands
            for all existing tools whose name starts with it.
        legacy: The monolithic hash to fall back to.
    """

    def __init__(self, redis: Redis, *, always: Sequence[str] = (), legacy: LegacyHash = TOOLS) -> None:
        self._redis = redis
        self._always = tuple(always)
        self._legacy = legacy
        self._names: tuple[str, ...] = ()
        self._names_expire = 0.0

    async def classify(self, query: Vector, *, top_k: int = 5, min_score: float = MIN_SCORE) -> Answer:
        """The `top_k` tools nearest to `query`, shape (384,), of at least `min_score` cosine similarity.

        Raises:
            ValueError: `query` has another size, is zero or holds NaN or infinity, or `top_k` < 1.
            redis.RedisError: The index gives nothing, and the legacy hash cannot be read either.
        """
        matches: list[Match] = []
        if await redisearch_index_doc_count(self._redis, TOOL_EMB_INDEX) > 0:
            hits = await knn_search_tools(self._redis, query, knn_k=top_k)
            matches = [Match(hit["name"], hit["score"], hit["metadata"]) for hit in hits]
        source: Source = "index"
        if not matches:
            source = "legacy hash"
            matches = await legacy_search(self._redis, self._legacy, query, top_k=top_k)
        always = await self.expand(self._always)
        return Answer(_at_least(min_score, matches), source, always)

    async def expand(self, prefixes: Iterable[str]) -> tuple[str, ...]:
        """The names of all tools that start with one of `prefixes`, sorted."""
        wanted = tuple(prefixes)
        if not wanted:
            return ()
        return tuple(name for name in await self._tool_names() if name.startswith(wanted))

    async def _tool_names(self) -> tuple[str, ...]:
        if time.monotonic() >= self._names_expire:
            names = await scan_tool_names(self._redis) or await legacy_names(self._redis, self._legacy)
            self._names = tuple(names)
            self._names_expire = time.monotonic() + NAMES_KEPT
        return self._names


class SkillClassifier:
    """Offers the skills that fit a request.

    Args:
        redis: Async client.
        legacy: The monolithic hash to fall back to.
    """

    def __init__(self, redis: Redis, *, legacy: LegacyHash = SKILLS) -> None:
        self._redis = redis
        self._legacy = legacy

    async def classify(self, query: Vector, *, top_k: int = 3, min_score: float = MIN_SCORE) -> Answer:
        """The `top_k` skills nearest to `query`, shape (384,), of at least `min_score` cosine similarity.

        A match's name is the skill's id; its title is in the metadata.

        Raises:
            ValueError: `query` has another size, is zero or holds NaN or infinity, or `top_k` < 1.
            redis.RedisError: The index gives nothing, and the legacy hash cannot be read either.
        """
        if await redisearch_index_doc_count(self._redis, SKILL_EMB_INDEX) > 0:
            hits = await knn_search_skills(self._redis, query, knn_k=top_k)
            if hits:
                matches = [Match(hit["skill_id"], hit["score"], hit["metadata"]) for hit in hits]
                return Answer(_at_least(min_score, matches), "index")
        matches = await legacy_search(self._redis, self._legacy, query, top_k=top_k)
        return Answer(_at_least(min_score, matches), "legacy hash")


def _at_least(min_score: float, matches: Iterable[Match]) -> tuple[Match, ...]:
    return tuple(match for match in matches if match.score >= min_score)
