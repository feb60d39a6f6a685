"""A server beyond its maxmemory: what frees memory works, and what needs more says what helps."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import redis

from tests.project import content

pytestmark = pytest.mark.embedded

READING = [
    ["status"],
    ["current"],
    ["drift"],
    ["rejects"],
    ["history", "-i"],
    ["show", "current"],
    ["unlock"],
    ["introspect", "idx:cat", "-o", "-"],
    ["upgrade", "--dry-run"],
]
REBUILD = "op.rebuild_index('cat', embedding={'algorithm': 'hnsw', 'm': 16})"
REBUILD_AGAIN = "op.rebuild_index('cat', embedding={'m': 24})"


@pytest.fixture
def full(own_server, project):
    """A server with three revisions of an index that keeps what it replaced, beyond its maxmemory."""
    server = own_server()
    project.script("a1", "create(op)")
    project.script("b1", REBUILD, down="a1")
    project.script("c1", REBUILD_AGAIN, down="b1")
    with contextlib.closing(redis.Redis.from_url(server.url)) as client:
        for n, row in enumerate(np.random.default_rng(1).standard_normal((50, 2)).astype(np.float32)):
            client.hset(f"cat:{n}", mapping={"embedding": row.tobytes(), "meta": "{}"})

        def run(*words):
            return project("--redis", server.url, *words)

        ran = run("upgrade")
        assert ran.code == 0, ran.err
        client.config_set("maxmemory", 1_000_000)
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            client.set("more", 1)
        yield run, client


@pytest.mark.parametrize(
    "words",
    [
        ["complete"],
        ["complete", "cat"],
        ["rollback", "cat"],
        ["downgrade", "b1"],
        ["stamp", "head"],
        ["heal"],
        ["ensure-version"],
    ],
)
def test_what_needs_no_memory_works(full, words):
    run, _ = full
    ran = run(*words)
    assert ran.code == 0, ran.err


def test_an_alias_is_mended(full):
    run, client = full
    client.execute_command("FT.ALIASDEL", "idx:cat")
    assert run("heal").code == 0
    assert client.execute_command("FT.SEARCH", "idx:cat", "*", "LIMIT", 0, 0)


def test_documents_that_a_backfill_wrote_are_taken_back(own_server, project):
    server = own_server()
    project.script(
        "a1",
        "create(op, publish=False)\n"
        "op.backfill_legacy_hash('cat', embeddings_key='cats', metadata_key='meta')\n"
        "op.publish_index('cat')",
    )
    with contextlib.closing(redis.Redis.from_url(server.url)) as client:
        client.hset("cats", mapping={f"c{n}": "[1, 0.5]" for n in range(50)})
        assert project("--redis", server.url, "upgrade").code == 0
        client.config_set("maxmemory", 1_000_000)
        ran = project("--redis", server.url, "downgrade", "base")
        assert ran.code == 0, ran.err
        assert client.keys("cat:*") == []


@pytest.mark.parametrize("words", READING)
def test_reading_works_and_writes_nothing(full, words):
    run, client = full
    before = content(client)
    ran = run(*words)
    assert ran.code == 0, ran.err
    assert content(client) == before


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("op.execute('SET', 'k', '1')", "maxmemory"),
        ("op.rebuild_index('cat', embedding={'m': 32})", "maxmemory"),
        ("create(op, 'dog')", "maxmemory"),
        ("op.alter_index('cat', add={'age': {'type': 'numeric'}})", "maxmemory"),
        ("op.run(fill)", "maxmemory"),
    ],
)
def test_what_needs_memory_says_what_helps(full, project, body, said):
    run, client = full
    top = "def fill(client, progress, cursor):\n    client.set('k', 1)\n"
    project.script("d1", body, down="c1", top=top, downgrade=None)
    ran = run("upgrade")
    assert ran.code in (1, 6), ran.out
    assert said in ran.last
    assert "vecmigrate complete" in ran.last
    assert "not foreseen" not in ran.err
    # What it names helps here.
    assert run("complete").code == 0
    client.config_set("maxmemory", 0)
    ran = run("upgrade")
    assert ran.code == 0, ran.err
