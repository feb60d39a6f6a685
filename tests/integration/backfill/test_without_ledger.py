"""`migrate_legacy_hash`, blocking and asynchronous: the engine without a ledger, over any client."""

from __future__ import annotations

import contextlib
import logging

import pytest
import redis
import redis.asyncio

from tests import legacy
from tests.legacy import Item, all_expected, documents, fill, make_items
from vecmigrate.backfill import migrate_legacy_hash, migrate_legacy_hash_async
from vecmigrate.backfill.engine import Backfill
from vecmigrate.errors import OperationError

SPEC = {
    "version": 1,
    "name": "tool",
    "index": {"name": "idx:tool_emb", "prefix": "tool_emb:"},
    "key": "tool_name",
    "fields": {
        "name": {"type": "tag", "from": "key"},
        "meta_json": {"type": "json"},
        "embedding": {"type": "vector", "dims": legacy.DIMS, "metric": "cosine", "algorithm": "flat"},
    },
}
KEYS = {"embeddings_key": "tool_embeddings", "metadata_key": "tool_metadata"}
TOOLS = make_items("tool", 700, seed=40)
WANTED = all_expected("tool", TOOLS)


@pytest.fixture
def raw(emptied_url):
    """A plain client, for looking."""
    with contextlib.closing(redis.Redis.from_url(emptied_url)) as client:
        fill(client, "tool", TOOLS)
        yield client


def test_blocking(any_client, raw):
    assert migrate_legacy_hash(any_client, SPEC, **KEYS) == len(WANTED)
    assert documents(raw, "tool") == WANTED
    assert migrate_legacy_hash(any_client, SPEC, **KEYS) == 0
    # It leaves no trace beside the documents.
    assert set(raw.scan_iter()) - {b"tool_emb:" + name for name in WANTED} == {
        b"tool_embeddings",
        b"tool_metadata",
    }
    assert any_client.ping()


async def test_asynchronous(any_async_client, raw):
    assert await migrate_legacy_hash_async(any_async_client, SPEC, **KEYS) == len(WANTED)
    assert documents(raw, "tool") == WANTED
    assert await migrate_legacy_hash_async(any_async_client, SPEC, **KEYS) == 0
    assert await any_async_client.ping()


def test_what_exists_stays_and_what_cannot_be_converted_is_logged(client, raw, caplog):
    name = next(iter(WANTED))
    other = {"name": b"other"}
    client.hset(b"tool_emb:" + name, mapping=other)
    with caplog.at_level(logging.INFO, logger="vecmigrate"):
        assert migrate_legacy_hash(client, SPEC, **KEYS) == len(WANTED) - 1
    assert documents(raw, "tool") == {**WANTED, name: other}
    for damaged in set(TOOLS) - set(WANTED):
        assert f"{damaged.decode()} was set aside" in caplog.text
    assert f"{len(WANTED) - 1} written, 1 existed already" in caplog.text


def test_no_source_is_nothing_to_do(client):
    assert migrate_legacy_hash(client, SPEC, embeddings_key="absent", metadata_key="absent too") == 0
    assert client.dbsize() == 0


def test_a_source_that_is_no_hash(client):
    client.set("tool_embeddings", "x")
    with pytest.raises(OperationError, match="no hash"):
        migrate_legacy_hash(client, SPEC, **KEYS)


def test_documents_expire_as_their_items_would(client, raw):
    raw.expire("tool_embeddings", 3600)
    at = raw.pexpiretime("tool_embeddings")
    migrate_legacy_hash(client, SPEC, **KEYS)
    assert {raw.pexpiretime(b"tool_emb:" + name) for name in WANTED} == {at}


async def both_ways(**settings):
    """Move everything with a blocking client, and again with an asynchronous one."""
    with (
        contextlib.closing(redis.Redis(**settings)) as client,
        contextlib.closing(redis.Redis(**settings | {"decode_responses": False})) as looking,
    ):
        client.flushdb()
        fill(client, "tool", TOOLS)
        assert migrate_legacy_hash(client, SPEC, **KEYS) == len(WANTED)
        assert documents(looking, "tool") == WANTED
        client.flushdb()
        fill(client, "tool", TOOLS)
        async with redis.asyncio.Redis(**settings) as asynchronous:
            assert await migrate_legacy_hash_async(asynchronous, SPEC, **KEYS) == len(WANTED)
        assert documents(looking, "tool") == WANTED


async def test_over_a_unix_socket_with_a_password(own_server, tmp_path_factory):
    path = tmp_path_factory.mktemp("s") / "redis.sock"
    server = own_server(unix_socket=path)
    with contextlib.closing(redis.Redis.from_url(server.url)) as admin:
        admin.execute_command("CONFIG", "SET", "requirepass", "s3cret")
    for protocol in (2, 3):
        await both_ways(
            unix_socket_path=str(path), password="s3cret", protocol=protocol, decode_responses=True
        )


async def test_with_a_user_a_password_and_another_database(own_server):
    server = own_server()
    with contextlib.closing(redis.Redis.from_url(server.url)) as admin:
        admin.execute_command("CONFIG", "SET", "requirepass", "s3cret/äöü")
        admin.execute_command("AUTH", "s3cret/äöü")
        admin.acl_setuser("mover", enabled=True, passwords=["+s3cret/äöü"], keys=["*"], commands=["+@all"])
    settings = {
        "host": "127.0.0.1",
        "port": server.port,
        "db": 3,
        "password": "s3cret/äöü",
        "client_name": "mover",
        "health_check_interval": 1,
        "socket_timeout": 10,
    }
    for user in (None, "mover"):
        for protocol in (2, 3):
            await both_ways(**settings, username=user, protocol=protocol)
    wrong = redis.Redis(**settings | {"password": "wrong"})
    with contextlib.closing(wrong), pytest.raises(redis.AuthenticationError):
        migrate_legacy_hash(wrong, SPEC, **KEYS)


def test_a_hash_that_a_scan_returns_as_a_whole(own_server):
    # A server may be set to keep large hashes in one piece; HSCAN then takes no notice of COUNT.
    items = make_items("tool", 9000, seed=41)
    wanted = all_expected("tool", items)
    with contextlib.closing(redis.Redis.from_url(own_server().url)) as client:
        client.config_set("hash-max-listpack-entries", 20_000, "hash-max-listpack-value", 10_000)
        fill(client, "tool", items)
        assert client.object("ENCODING", "tool_embeddings") == b"listpack"
        assert migrate_legacy_hash(client, SPEC, **KEYS) == len(wanted)
        assert documents(client, "tool") == wanted


def test_scripts_that_are_flushed_meanwhile_are_loaded_again(client, raw, monkeypatch):
    original, calls = Backfill.convert, 0

    def flush(self, *args):
        nonlocal calls
        calls += 1
        original(self, *args)
        if calls in (1, 3):
            raw.script_flush()

    monkeypatch.setattr(Backfill, "convert", flush)
    assert migrate_legacy_hash(client, SPEC, **KEYS) == len(WANTED)
    assert documents(raw, "tool") == WANTED


def test_sparse_fields_are_written_where_there_is_a_value(client):
    spec = {
        **SPEC,
        "fields": {**SPEC["fields"], "n": {"type": "numeric"}, "label": {"type": "text"}},
    }
    numbers = [1.0, *[2.0] * 7]
    text = legacy.vector_text(numbers)
    fill(
        client,
        "tool",
        {
            b"both": Item(text, numbers, b'{"n": 1.5, "label": "x"}'),
            b"one": Item(text, numbers, b'{"label": "y"}'),
            b"none": Item(text, numbers, b"{}"),
        },
    )
    assert migrate_legacy_hash(client, spec, **KEYS) == 3
    found = documents(client, "tool")
    assert {name: sorted(fields) for name, fields in found.items()} == {
        b"both": ["embedding", "label", "meta_json", "n", "name"],
        b"one": ["embedding", "label", "meta_json", "name"],
        b"none": ["embedding", "meta_json", "name"],
    }
    assert (found[b"both"]["n"], found[b"one"]["label"]) == (b"1.5", b"y")
