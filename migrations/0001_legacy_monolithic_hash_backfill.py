"""Move tools and skills out of their legacy monolithic hashes.

Creates the four indexes, and writes one hash for each tool and each skill from the legacy hashes (field →
JSON vector, and field → JSON metadata). The legacy hashes stay: applications fall back to them until the
indexes are published, which happens when every item is there. A source that does not exist is an empty one.

Revision ID: 0001
Revises:
Create Date: 2026-11-23
"""

from __future__ import annotations

from vecmigrate.operations import Recorder

revision = "0001"
down_revision = None

EMBEDDING = {
    "type": "vector",
    "dims": 384,
    "datatype": "float32",
    "metric": "cosine",
    "algorithm": "hnsw",
    "m": 16,
    "ef_construction": 200,
    "ef_runtime": 200,
}


def upgrade(op: Recorder) -> None:
    op.create_index(
        "tool",
        index={"name": "idx:tool_emb", "prefix": "tool_emb:"},
        key="tool_name",
        fields={
            "name": {"type": "tag", "from": "key"},
            "meta_json": {"type": "json"},
            "embedding": EMBEDDING,
        },
        publish=False,
    )
    op.create_index(
        "skill",
        index={"name": "idx:skill_emb", "prefix": "skill_emb:"},
        key="skill_id",
        fields={
            "skill_id": {"type": "tag", "from": "key"},
            "name": {"type": "text", "default_from": "key"},
            "description": {"type": "text", "default": ""},
            "meta_json": {"type": "json"},
            "embedding": EMBEDDING,
        },
        publish=False,
    )
    for name in ("dangerous_cmd", "benign_tech"):
        op.create_index(
            name,
            index={"name": f"idx:{name}_emb", "prefix": f"{name}_emb:"},
            key="category_id",
            fields={
                "category_id": {"type": "tag", "from": "key"},
                "meta_json": {"type": "json"},
                "embedding": EMBEDDING,
            },
        )
    op.backfill_legacy_hash(
        "tool",
        embeddings_key=op.variable("tool_embeddings_key", default="tool_embeddings"),
        metadata_key=op.variable("tool_metadata_key", default="tool_metadata"),
    )
    op.backfill_legacy_hash(
        "skill",
        embeddings_key=op.variable("skill_embeddings_key", default="skill_embeddings"),
        metadata_key=op.variable("skill_metadata_key", default="skill_metadata"),
    )
    op.publish_index("tool")
    op.publish_index("skill")


def downgrade(op: Recorder) -> None:
    op.revert(upgrade)
