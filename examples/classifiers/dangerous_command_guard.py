"""Should somebody look at a shell command before it runs? A first opinion, from what it resembles.

A command that resembles a dangerous category is flagged, unless it resembles a benign look-alike even more:
`rm -rf node_modules` is close to `rm -rf /`, and closer to other clean-ups.

Match is not meaning. Judged as if they were new (`data/guard_thresholds.py`), a quarter of the example
commands of the dangerous categories pass with the thresholds below, and half of the look-alikes are flagged;
`redis-cli FLUSHALL` differs from host to host by one word. Use it beside permissions, never instead of them.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from redis.asyncio import Redis

from classifiers.match import Match
from classifiers.redis_vector_index import (
    BENIGN_TECH_EMB_INDEX,
    DANGEROUS_CMD_EMB_INDEX,
    knn_search_benign_tech,
    knn_search_dangerous_cmds,
    redisearch_index_doc_count,
)

# All three are cosine similarities. `data/guard_thresholds.py` shows what other values would do; these lean
# towards asking once too often.

# From here on a command resembles a dangerous category. Most everyday commands (ls, pytest, cp) stay below.
FLAG_FROM = 0.40

# Only a look-alike at least this near can clear a command ...
CLEAR_FROM = 0.55

# ... and only if it is nearer than the dangerous category by this much: where both are equally near, as in
# `git push --force origin master`, the dangerous one counts.
CLEAR_MARGIN = 0.05

Vector: TypeAlias = npt.NDArray[np.float32]


class Verdict(StrEnum):
    """What the guard thinks of a command."""

    DANGEROUS = "dangerous"
    CLEARED = "cleared"  # resembles a dangerous category, and a benign one more
    UNSUSPICIOUS = "unsuspicious"  # resembles no dangerous category
    UNCHECKED = "unchecked"  # the dangerous index is missing or empty, so nobody knows


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, and the nearest category of each kind; None where the index gave nothing."""

    verdict: Verdict
    dangerous: Match | None = None
    benign: Match | None = None

    def needs_approval(self, *, fail_open: bool = True) -> bool:
        """Whether a person should see the command first.

        With `fail_open` an unchecked command passes, as a guard that is out of order should not stop the
        work; without, it needs approval too.
        """
        return self.verdict is Verdict.DANGEROUS or (self.verdict is Verdict.UNCHECKED and not fail_open)


def decide(dangerous: Match | None, benign: Match | None) -> Judgement:
    """Weigh the nearest dangerous category against the nearest benign one."""
    if dangerous is None:
        return Judgement(Verdict.UNCHECKED, None, benign)
    if dangerous.score < FLAG_FROM:
        return Judgement(Verdict.UNSUSPICIOUS, dangerous, benign)
    clear_from = max(CLEAR_FROM, dangerous.score + CLEAR_MARGIN)
    cleared = benign is not None and benign.score >= clear_from
    return Judgement(Verdict.CLEARED if cleared else Verdict.DANGEROUS, dangerous, benign)


async def judge_command(redis: Redis, command: Vector) -> Judgement:
    """Judge the command whose embedding is `command`, shape (384,).

    With no dangerous index the verdict is UNCHECKED. With no benign index nothing can be cleared, so the
    guard gets stricter, not laxer.

    Raises:
        ValueError: `command` has another size, is zero or holds NaN or infinity.
    """
    dangerous, benign = await asyncio.gather(
        _nearest_dangerous(redis, command), _nearest_benign(redis, command)
    )
    return decide(dangerous, benign)


async def _nearest_dangerous(redis: Redis, command: Vector) -> Match | None:
    if await redisearch_index_doc_count(redis, DANGEROUS_CMD_EMB_INDEX) <= 0:
        return None
    for hit in await knn_search_dangerous_cmds(redis, command, knn_k=1):
        return Match(hit["category_id"], hit["score"], hit["metadata"])
    return None


async def _nearest_benign(redis: Redis, command: Vector) -> Match | None:
    if await redisearch_index_doc_count(redis, BENIGN_TECH_EMB_INDEX) <= 0:
        return None
    for hit in await knn_search_benign_tech(redis, command, knn_k=1):
        return Match(hit["category_id"], hit["score"], hit["metadata"])
    return None
