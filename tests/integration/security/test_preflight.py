"""Asking for rights: by each of the three ways, the same answer, and nothing is changed."""

from __future__ import annotations

import contextlib

import pytest
import redis

from tests.project import content
from vecmigrate.runtime import rights
from vecmigrate.runtime.preflight import missing_rights
from vecmigrate.spec.build import spec_from_mapping

pytestmark = pytest.mark.embedded

SPEC = spec_from_mapping(
    {
        "version": 1,
        "name": "cat",
        "index": {"name": "idx:cat", "prefix": "cat:"},
        "key": "cat_id",
        "fields": {"embedding": {"type": "vector", "dims": 2}},
    }
)
NEEDS = rights.unique(
    [*rights.for_ledger("default"), *rights.for_index(SPEC), *rights.for_names(["idx:cat@a1"])]
)
# What takes the ways away, one after another: scripts, then transactions.
WAYS = {"script": (), "transaction": ("+evalsha",), "trial": ("+evalsha", "+multi")}


@pytest.fixture
def asked(own_server):
    """What is missing under given rules; everything that the server holds stays as it was."""
    server = own_server()
    with contextlib.closing(redis.Redis.from_url(server.url)) as admin:
        admin.execute_command("FT.CREATE", "idx:cat@a1", "PREFIX", 1, "cat:", "SCHEMA", "f", "TEXT")
        admin.execute_command("FT.ALIASADD", "idx:cat", "idx:cat@a1")
        admin.hset("cat:1", mapping={"f": "v"})
        admin.hset("vecmigrate:owners", "idx:cat@a1", "default")
        admin.hset("vecmigrate:{default}:meta", "format", 2)

        def ask(rules):
            admin.acl_deluser("u")
            admin.execute_command("ACL", "SETUSER", "u", "on", ">pw", "resetkeys", *rules)
            before = content(admin), admin.execute_command("FT.INFO", "idx:cat")
            with redis.Redis(port=server.port, username="u", password="pw") as client:
                found = missing_rights(client, NEEDS)
                assert client.ping()  # its connections are as before
            after = content(admin), admin.execute_command("FT.INFO", "idx:cat")
            assert after[0] == before[0]
            assert str(after[1]).replace(" ", "")[:200] == str(before[1]).replace(" ", "")[:200]
            return found

        yield ask


@pytest.mark.parametrize("way", WAYS)
def test_each_way_sees_each_right(asked, way):
    everything = [*rights.acl_rules(NEEDS), "+multi", "+discard"]
    rules = [rule for rule in everything if rule not in WAYS[way]]
    # `multi` is not among the needs here, so nobody misses it.
    lacking = [right for right in WAYS[way] if right != "+multi"]
    assert asked(rules) == lacking
    for missing in rules:
        # A counter cannot be tried without counting; the last is a key of another pattern as well.
        if missing in (
            "-@all",
            "+discard",
            "+multi",
            "+ping",
            "~idx:cat@a1",
            *(["+incr"] if way != "script" else []),
        ):
            continue
        found = asked([rule for rule in rules if rule != missing])
        if missing == "+script|load" and way == "script":
            # Not known to the server: asked by a transaction then.
            assert "+script|load" in found
        else:
            assert sorted(found) == sorted([*lacking, missing]), (way, missing)


def test_a_user_who_may_do_everything(asked):
    assert asked(["~*", "+@all"]) == []


def test_a_user_who_may_do_nothing_but_ask(asked):
    found = asked(["-@all", "+evalsha", "+script|load", "+ping"])
    assert {"+hset", "+ft.create", "+ft.dropindex", "+xadd", "+info"} <= set(found)


def test_several_at_once(asked):
    gone = ["+hset", "+ft.create", "~vecmigrate:owners", "~cat:*", "+xadd"]
    found = asked([rule for rule in rights.acl_rules(NEEDS) if rule not in gone])
    assert sorted(found) == sorted(gone)


def test_commands_and_every_key_at_once(asked):
    keys = [rule for rule in rights.acl_rules(NEEDS) if rule.startswith(("~", "%"))]
    found = asked(
        [rule for rule in rights.acl_rules(NEEDS) if rule not in (*keys, "+hset")] + ["+multi", "+discard"]
    )
    assert "+hset" in found
    assert {"~vecmigrate:{default}:*", "~vecmigrate:owners", "~cat:*"} <= set(found)


def test_selectors_count(asked):
    everything = rights.acl_rules(NEEDS)
    commands = " ".join(rule for rule in everything if rule.startswith("+"))
    keys = [rule for rule in everything if rule.startswith("~")]
    assert asked(["-@all", "+ping", *(f"({commands} {key})" for key in keys)]) == [], (
        "one selector for each pattern"
    )
