"""Fill a Redis as a deployment from before vecmigrate leaves it: monolithic hashes, and some damage."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain

import numpy as np
from classifiers.legacy_hash import SKILLS, TOOLS, LegacyHash
from data.corpus import DIMS, Corpus, Embeddings, Vector
from redis.asyncio import Redis

# Of these two the vectors are sound and only the metadata is not.
TOOL_WITH_CUT_METADATA = "image_upscale"
SKILL_WITHOUT_METADATA = "gift_ideas"


@dataclass(frozen=True, slots=True)
class Damage:
    """Entries whose vectors cannot be used: name → what is wrong with them."""

    tools: Mapping[str, str]
    skills: Mapping[str, str]


async def fill(redis: Redis, corpus: Corpus, embeddings: Embeddings) -> Damage:
    """Write tools and skills with their metadata as JSON, and a few damaged entries among them."""
    damaged_tools = {
        "fax_send": ("cut off in the middle", "[0.0312, -0.0718, 0.01"),
        "pager_notify": ("made by a smaller model", _json(embeddings.tools["monitor_page_on_call"][:256])),
        "ticker_watch": ("holds NaN", _json(np.full(DIMS, np.nan, dtype=np.float32))),
        "untitled": ("all zeros", _json(np.zeros(DIMS, dtype=np.float32))),
    }
    damaged_skills = {"draft": ("no vector at all", "null")}

    tools = {name: _json(vector) for name, vector in embeddings.tools.items()}
    skills = {name: _json(vector) for name, vector in embeddings.skills.items()}
    tools |= {name: text for name, (_, text) in damaged_tools.items()}
    skills |= {name: text for name, (_, text) in damaged_skills.items()}

    tool_metadata = {tool.name: json.dumps(tool.metadata) for tool in corpus.tools}
    skill_metadata = {skill.skill_id: json.dumps(skill.metadata) for skill in corpus.skills}
    tool_metadata[TOOL_WITH_CUT_METADATA] = tool_metadata[TOOL_WITH_CUT_METADATA][:40]
    del skill_metadata[SKILL_WITHOUT_METADATA]

    await _write(redis, TOOLS, tools, tool_metadata)
    await _write(redis, SKILLS, skills, skill_metadata)
    return Damage(
        tools={name: what for name, (what, _) in damaged_tools.items()},
        skills={name: what for name, (what, _) in damaged_skills.items()},
    )


async def _write(
    redis: Redis, legacy: LegacyHash, embeddings: Mapping[str, str], metadata: Mapping[str, str]
) -> None:
    for key, entries in ((legacy.embeddings_key, embeddings), (legacy.metadata_key, metadata)):
        await redis.execute_command("HSET", key, *chain.from_iterable(entries.items()))


def _json(vector: Vector) -> str:
    # NaN comes out as the bare word NaN: no JSON, and just what Python services have always written.
    return json.dumps([float(number) for number in vector])
