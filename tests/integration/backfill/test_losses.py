"""A source that goes away stops a backfill; documents stay. Servers that evict are refused."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial

import pytest
import redis

from tests import legacy
from tests.integration.backfill.test_writers import BeforeVerifying, once
from tests.legacy import BACKFILL, KEYS, REVISION, Item, all_expected, documents, fill, make_items
from vecmigrate.backfill import verify as verifying
from vecmigrate.backfill.engine import Backfill
from vecmigrate.commands.migrate import upgrade
from vecmigrate.errors import MemoryLimitError, OperationError, TooManyDeletesError

STEP = BACKFILL["tool"]
ITEMS = make_items("tool", 300, seed=50, damaged=False)
NAMES = list(ITEMS)
WANTED = all_expected("tool", ITEMS)

VANISHING: dict[str, Callable[[redis.Redis], object]] = {
    "deleted": lambda client: client.delete("tool_embeddings"),
    "expired": lambda client: client.pexpire("tool_embeddings", 1),
    "renamed": lambda client: client.rename("tool_embeddings", "elsewhere"),
    "most fields": lambda client: client.hdel("tool_embeddings", *NAMES[:200]),
    "just over the limit": lambda client: client.hdel("tool_embeddings", *NAMES[:31]),
    "unreadable": lambda client: client.hset("tool_embeddings", mapping=dict.fromkeys(NAMES, b"gone")),
    "metadata": lambda client: client.delete("tool_metadata"),
    "most metadata": lambda client: client.hdel("tool_metadata", *NAMES[:200]),
}


@pytest.fixture
def project(tmp_path):
    return legacy.write_project(tmp_path / "project")


def go_up(project, url, **options):
    with legacy.session(project, url) as session:
        return upgrade(session, **options)


def again(project, url, client):
    """Running again does not forget what was there; the way out that the message names mends it."""
    client.delete("tool_embeddings", "tool_metadata")
    with pytest.raises(TooManyDeletesError):
        go_up(project, url)
    assert legacy.status(client) == "partial"
    fill(client, "tool", ITEMS)
    go_up(project, url)
    assert documents(client, "tool") == WANTED
    assert legacy.status(client) == "applied"


@pytest.mark.parametrize("way", VANISHING)
def test_between_copying_and_verifying(client, emptied_url, project, way):
    fill(client, "tool", ITEMS)
    with pytest.raises(TooManyDeletesError, match="--max-deletes") as told:
        go_up(project, emptied_url, progress=BeforeVerifying(partial(VANISHING[way], client)))
    assert told.value.exit_code == 6
    assert " of 300 " in told.value.message
    assert documents(client, "tool") == WANTED
    again(project, emptied_url, client)


@pytest.mark.parametrize("way", sorted(set(VANISHING) - {"just over the limit", "unreadable"}))
def test_while_it_is_being_copied(client, emptied_url, project, monkeypatch, way):
    fill(client, "tool", ITEMS)
    act = partial(VANISHING[way], client)
    monkeypatch.setattr(Backfill, "convert", once(act, Backfill.convert))
    with pytest.raises(TooManyDeletesError, match="--max-deletes"):
        go_up(project, emptied_url)
    assert legacy.status(client) == "partial"
    again(project, emptied_url, client)


def test_before_the_first_batch(client, emptied_url, project, monkeypatch):
    fill(client, "tool", ITEMS)
    act = partial(VANISHING["deleted"], client)
    monkeypatch.setattr(Backfill, "copy", once(act, Backfill.copy, after=False))
    with pytest.raises(TooManyDeletesError, match="300 of 300 items are gone from 'tool_embeddings'"):
        go_up(project, emptied_url)
    again(project, emptied_url, client)


@pytest.mark.parametrize("way", ["deleted", "most fields"])
def test_while_what_is_gone_is_being_removed(client, emptied_url, project, monkeypatch, way):
    # Ten went before; only these are removed, whatever happens then.
    fill(client, "tool", ITEMS)
    act = partial(VANISHING[way], client)
    monkeypatch.setattr(verifying, "_prune", once(act, verifying._prune, after=False))
    gone = NAMES[-10:]
    go_up(project, emptied_url, progress=BeforeVerifying(lambda: client.hdel("tool_embeddings", *gone)))
    assert set(documents(client, "tool")) == set(NAMES) - set(gone)


@pytest.mark.parametrize(
    ("gone", "limit", "passes"),
    [(30, None, True), (31, None, False), (5, "5", True), (6, "5", False), (0, "0", True), (1, "0%", False),
     (300, "100%", True), (300, "300", True)],
)  # fmt: skip  # reads best in rows
def test_the_limit(client, emptied_url, project, gone, limit, passes):
    fill(client, "tool", ITEMS)

    def act():
        if gone:
            client.hdel("tool_embeddings", *NAMES[:gone])

    run = partial(go_up, project, emptied_url, progress=BeforeVerifying(act), max_deletes=limit)
    if passes:
        run()
        assert set(documents(client, "tool")) == set(NAMES[gone:])
        assert legacy.step_values(client, STEP)["verified_removed"] == str(gone)
        return
    with pytest.raises(TooManyDeletesError, match=limit or "10%"):
        run()
    assert documents(client, "tool") == WANTED


def test_what_services_deleted_on_both_sides_is_no_removal(client, emptied_url, project):
    fill(client, "tool", ITEMS)

    def act():
        client.hdel("tool_embeddings", *NAMES[:100])
        client.delete(*(b"tool_emb:" + name for name in NAMES[:100]))

    go_up(project, emptied_url, progress=BeforeVerifying(act))
    assert set(documents(client, "tool")) == set(NAMES[100:])


def test_the_command_line_says_how_to_go_on(client, emptied_url, project):
    big = make_items("tool", 4000, seed=51, damaged=False)
    fill(client, "tool", big)
    with legacy.Run(project, emptied_url, "upgrade", "--max-rate", "8000") as run:
        legacy.wait_until(lambda: legacy.step_values(client, STEP).get("cursor") == "done", "it is copied")
        client.delete("tool_embeddings")
        assert run.wait() == 6
    last = run.output.strip().splitlines()[-1]
    assert "4,000 of 4,000 items are gone from 'tool_embeddings'" in last
    assert "--max-deletes 100%" in last
    assert len(documents(client, "tool")) == 4000
    legacy.upgrade(project, emptied_url, "--max-deletes", "100%")
    assert documents(client, "tool") == {}


# Eviction


def evicting(own_server, policy, room):
    server = own_server()
    client = redis.Redis.from_url(server.url)
    fill(client, "tool", ITEMS)
    client.config_set("maxmemory-policy", policy)
    client.config_set("maxmemory", client.info("memory")["used_memory"] + room)
    return server, client


POLICIES = ["allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru", "volatile-ttl", "volatile-random"]


@pytest.mark.parametrize("policy", POLICIES)
def test_a_server_that_may_evict_is_refused_before_anything_is_written(own_server, project, policy):
    server, client = evicting(own_server, policy, 100_000_000)
    with contextlib.closing(client):
        with pytest.raises(OperationError, match=f"may evict keys .maxmemory-policy {policy}") as told:
            go_up(project, server.url)
        assert "--allow-eviction" in told.value.hint
        assert client.hlen(KEYS.revisions) == 0
        assert legacy.index_names(client) == []
        # The two ways out that it names.
        go_up(project, server.url, allow_eviction=True)
        assert documents(client, "tool") == WANTED


def test_the_other_way_out(own_server, project):
    server, client = evicting(own_server, "allkeys-lru", 100_000_000)
    with contextlib.closing(client):
        client.config_set("maxmemory-policy", "noeviction")
        go_up(project, server.url)
        assert documents(client, "tool") == WANTED


@pytest.mark.parametrize("policy", POLICIES)
def test_a_policy_without_a_limit_evicts_nothing(own_server, project, policy):
    server, client = evicting(own_server, policy, 0)
    with contextlib.closing(client):
        client.config_set("maxmemory", 0)
        go_up(project, server.url)
        assert documents(client, "tool") == WANTED


def test_what_does_not_fit_is_not_begun(own_server, project):
    items = make_items("tool", 6000, seed=53, damaged=False)
    server, client = evicting(own_server, "noeviction", 3_000_000)
    with contextlib.closing(client):
        fill(client, "tool", items)
        client.config_set("maxmemory", client.info("memory")["used_memory"] + 2_000_000)
        with pytest.raises(MemoryLimitError, match="documents take some .* does not fit"):
            go_up(project, server.url)
        assert documents(client, "tool") == {}
        # What it suggests.
        client.config_set("maxmemory", client.info("memory")["used_memory"] + 100_000_000)
        go_up(project, server.url)
        # The first of them have the names of those that were there before.
        assert set(documents(client, "tool")) == set(items)


def test_the_estimate_is_near_what_it_takes(own_server, tmp_path):
    dims, count = 256, 4000
    items = make_items("tool", count, seed=52, dims=dims, damaged=False)
    project = legacy.write_project(tmp_path / "project", dims=dims, algorithm="hnsw")
    server = own_server()
    with contextlib.closing(redis.Redis.from_url(server.url)) as client:
        fill(client, "tool", items)
        before = client.info("memory")["used_memory"]
        client.config_set("maxmemory", before + 1_000_000)
        with pytest.raises(MemoryLimitError) as told:
            go_up(project, server.url)
        estimate = float(told.value.message.partition("take some ")[2].partition(" MB")[0].replace(",", ""))
        client.config_set("maxmemory", 0)
        go_up(project, server.url)
        taken = (client.info("memory")["used_memory"] - before) / 1024 / 1024
        assert 0.7 * taken < estimate < 1.3 * taken


def test_evicted_is_never_called_deleted_by_a_service(own_server, tmp_path):
    # What expires first goes first: not the lease.
    project = legacy.write_project(tmp_path / "project", lease_seconds=3000)
    server, client = evicting(own_server, "volatile-ttl", 100_000_000)
    told = []

    class Evict(BeforeVerifying):
        def message(self, text):
            told.append(text)

    def evict():
        for number in range(20):
            client.set(f"victim:{number}", "x" * 200_000, ex=100)
        client.delete(*(b"tool_emb:" + name for name in NAMES[:20]))
        client.config_set("maxmemory", client.info("memory")["used_memory"] - 1_000_000)
        client.get("any command")
        client.set("another", "x")
        client.config_set("maxmemory", client.info("memory")["used_memory"] + 100_000_000)
        assert client.info("stats")["evicted_keys"] > 0

    with contextlib.closing(client):
        go_up(project, server.url, allow_eviction=True, progress=Evict(evict))
        values = legacy.step_values(client, STEP)
    numbers = {name: int(text) for name, text in values.items() if name.startswith("verified_")}
    assert (numbers["verified_deleted"], numbers["verified_evicted_or_deleted"]) == (0, 20)
    assert sum(numbers.values()) == len(ITEMS)
    assert any("evicted" in text and "nobody can tell" in text for text in told)


# Keys of another type, and what cannot be text


@pytest.mark.parametrize("kind", ["string", "list", "set", "zset", "stream", "json"])
@pytest.mark.parametrize("ledger", [True, False])
def test_a_key_of_another_type_in_the_way_is_named(client, emptied_url, project, caplog, kind, ledger):
    fill(client, "tool", ITEMS)
    name = NAMES[3]
    key = b"tool_emb:" + name
    put_other(client, key, kind)
    before = client.dump(key)
    rest = {other: fields for other, fields in WANTED.items() if other != name}
    if ledger:
        go_up(project, emptied_url)
        (entry,) = [fields for _, fields in client.xrange(KEYS.rejects(REVISION))]
        assert entry[b"field"] == name
        reason = entry[b"reason"].decode()
        values = legacy.step_values(client, STEP)
        assert (values["done"], values["rejected"], values["verified_rejected"]) == ("299", "1", "1")
    else:
        with legacy.session(project, emptied_url) as session:
            spec = session.history().state(REVISION).get("tool").spec
            with Backfill(client, spec, "tool_embeddings", "tool_metadata", books=None) as backfill:
                *_, counts = backfill.copy()
        assert (counts.written, counts.rejected) == (299, 1)
        reason = caplog.text
    assert f"the key {key.decode()} is taken: its type is" in reason
    assert client.dump(key) == before
    client.delete(key)
    assert documents(client, "tool") == rest


def put_other(client, key, kind):
    {
        "string": lambda: client.set(key, "x"),
        "list": lambda: client.rpush(key, "x"),
        "set": lambda: client.sadd(key, "x"),
        "zset": lambda: client.zadd(key, {"x": 1}),
        "stream": lambda: client.xadd(key, {"x": 1}),
        "json": lambda: client.execute_command("JSON.SET", key, "$", "{}"),
    }[kind]()


def test_a_key_that_changes_its_type_meanwhile(client, emptied_url, project):
    fill(client, "tool", ITEMS)
    changed, gone, broken = NAMES[:3]

    def act():
        for name in (changed, gone, broken):
            client.delete(b"tool_emb:" + name)
            client.set(b"tool_emb:" + name, "theirs")
        client.hdel("tool_embeddings", gone)
        legacy.put(client, "tool", broken, Item(b"[", None, None))
        late = b"late"
        client.rpush(b"tool_emb:late", "theirs")
        legacy.put(client, "tool", late, ITEMS[changed])

    go_up(project, emptied_url, progress=BeforeVerifying(act))
    for name in (changed, gone, broken):
        assert client.get(b"tool_emb:" + name) == b"theirs"
    (entry,) = [fields for _, fields in client.xrange(KEYS.rejects(REVISION))]
    assert entry[b"reason"] == b"the key tool_emb:late is taken: its type is list (expected hash, or no key)"
    from vecmigrate.commands.migrate import downgrade

    with legacy.session(project, emptied_url) as session:
        downgrade(session, "base")
    left = set(client.scan_iter("tool_emb:*"))
    assert left == {b"tool_emb:late", *(b"tool_emb:" + name for name in (changed, gone, broken))}


def test_mended_it_is_written(client, emptied_url, project):
    fill(client, "tool", ITEMS)
    client.set(b"tool_emb:" + NAMES[0], "x")
    free = partial(client.delete, b"tool_emb:" + NAMES[0])
    go_up(project, emptied_url, progress=BeforeVerifying(free))
    assert documents(client, "tool") == WANTED
    assert client.xlen(KEYS.rejects(REVISION)) == 0


def test_a_source_that_becomes_something_else_is_named(client, emptied_url, project):
    fill(client, "tool", ITEMS)

    def act():
        client.delete("tool_embeddings")
        client.set("tool_embeddings", "x")

    with pytest.raises(Exception, match="'tool_embeddings' is a string, no hash"):
        go_up(project, emptied_url, progress=BeforeVerifying(act))
    assert documents(client, "tool") == WANTED
