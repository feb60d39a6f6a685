"""Whole flows under users who have the rights that docs/security.md lists, and not one more."""

from __future__ import annotations

import contextlib
import json

import numpy as np
import pytest
import redis

from tests.project import content
from vecmigrate.runtime import rights
from vecmigrate.runtime.connect import connect
from vecmigrate.runtime.keys import LedgerKeys
from vecmigrate.runtime.lease import Lease
from vecmigrate.spec.build import spec_from_mapping

pytestmark = pytest.mark.embedded

CAT = {
    "version": 1,
    "name": "cat",
    "index": {"name": "idx:cat", "prefix": "cat:"},
    "key": "cat_id",
    "fields": {
        "meta": {"type": "json"},
        "embedding": {"type": "vector", "dims": 2, "metric": "cosine", "algorithm": "flat"},
    },
}
SPEC = spec_from_mapping(CAT)
NAMESPACE = "default"
BACKFILL = (
    "create(op, publish=False)\n"
    "op.backfill_legacy_hash('cat', embeddings_key='cats', metadata_key='meta')\n"
    "op.publish_index('cat')"
)
REBUILD = "op.rebuild_index('cat', embedding={'algorithm': 'hnsw', 'm': 16})"
# Asked for where it is allowed, and done without where not: docs/security.md says what is lost.
OPTIONAL = (b"client|", b"ft.config", b"ft.aliaslist", b"config|get")


class Acl:
    """A server, a project, and a user `u` whose rights a test sets."""

    def __init__(self, server, project):
        self.server = server
        self.project = project
        self.admin = redis.Redis.from_url(server.url)

    def user(self, rules):
        self.admin.acl_deluser("u")
        self.admin.execute_command("ACL", "SETUSER", "u", "on", ">pw", "resetkeys", *rules)
        self.admin.execute_command("ACL", "LOG", "RESET")

    def __call__(self, *words):
        url = f"redis://u:pw@127.0.0.1:{self.server.port}/0"
        return self.project("--redis", url, *words)

    def must(self, *words):
        ran = self(*words)
        denied = self.denied()
        assert ran.code == 0, (ran.err, denied)
        assert not denied, words
        return ran

    def denied(self):
        """What was refused since the rights were set."""
        return [
            (entry[b"object"], entry[b"context"])
            for entry in map(_pairs, self.admin.execute_command("ACL", "LOG"))
            if not entry[b"object"].lower().startswith(OPTIONAL)
        ]

    def fill(self):
        numbers = np.random.default_rng(1).standard_normal((20, 2))
        for n, row in enumerate(numbers):
            self.admin.hset("cats", f"c{n}", json.dumps(row.tolist()))
            self.admin.hset("meta", f"c{n}", json.dumps({"n": n}))
        self.admin.hset("cats", "bad", "[1")


def _pairs(entry):
    return entry if isinstance(entry, dict) else dict(zip(entry[::2], entry[1::2], strict=True))


@pytest.fixture
def acl(own_server, project):
    project.script("a1", BACKFILL)
    made = Acl(own_server(), project)
    with contextlib.closing(made.admin):
        made.fill()
        yield made


def upgrade_needs(project):
    """What upgrading and downgrading everything in the project needs."""
    from vecmigrate.config import default_config
    from vecmigrate.operations.recorder import Variables
    from vecmigrate.runtime.history import History

    history = History(default_config(project.folder).migrations, Variables({}, {}))
    names = history.graph.topological()
    plans = [plan for name in names for plan in (history.upgrade(name), history.downgrade(name))]
    return rights.for_plans(NAMESPACE, plans)


def test_whole_flows(acl):
    project = acl.project
    project.script("b1", REBUILD, down="a1")
    acl.user(rights.acl_rules([*upgrade_needs(project), *rights.for_hand(NAMESPACE)]))
    acl.must("pause")
    acl.must("resume")
    acl.must("upgrade")
    acl.must("status")
    acl.must("drift")
    acl.must("rejects")
    acl.must("rollback", "cat", "--accept-broken-readers")
    acl.must("status")
    acl.must("upgrade", "--release", "--format", "json")
    acl.must("stamp", "head")
    # What others do to our alias is mended under the same rights.
    acl.admin.execute_command("FT.ALIASDEL", "idx:cat")
    acl.must("heal")
    acl.admin.execute_command("FT.CREATE", "idx:cat", "PREFIX", 1, "cat:", "SCHEMA", "other", "TEXT")
    acl.must("heal", "--drop-different")
    acl.must("complete")
    acl.must("ensure-version")
    acl.must("downgrade", "base")
    acl.must("upgrade", "head")
    acl.must("unlock")
    acl.must("stamp", "base", "--purge")


@pytest.mark.parametrize(
    "body",
    [
        "op.alter_index('cat', add={'age': {'type': 'numeric'}})",
        "op.rename_index('cat', index_name='idx:kitty')",
        "op.set_aliases('cat', ['idx:live'])",
        "op.drop_index('cat')",
        "op.rollback('cat')\nop.complete('cat')",
    ],
)
def test_every_operation(acl, body):
    project = acl.project
    project.script("b1", REBUILD, down="a1")
    project.script("c1", body, down="b1")
    acl.user(rights.acl_rules(upgrade_needs(project)))
    acl.must("upgrade", "--yes")
    acl.must("drift")
    acl.must("downgrade", "b1")
    acl.must("downgrade", "base")


@pytest.mark.parametrize("storage", ["hash", "json"])
def test_a_document_that_a_scan_missed_is_written_anew(acl, storage):
    """The script for it keeps a field's expiry, for which it needs a right that nothing else uses."""
    mapping = {**CAT, "index": {**CAT["index"], "storage": storage}}
    needs = [*rights.for_ledger(NAMESPACE), *rights.for_index(spec_from_mapping(mapping))]
    acl.user(rights.acl_rules(needs))
    if storage == "hash":
        acl.admin.hset("cat:1", mapping={"embedding": b"12345678"})
        acl.admin.execute_command("HPEXPIRE", "cat:1", 60_000, "FIELDS", 1, "embedding")
    else:
        acl.admin.execute_command("JSON.SET", "cat:1", "$", "{}")
    client = connect(f"redis://u:pw@127.0.0.1:{acl.server.port}/0")
    with contextlib.closing(client), Lease(client, LedgerKeys(NAMESPACE), seconds=5) as lease:
        assert lease.touch([b"cat:1"], storage, ["embedding"]) == [1]
    if storage == "hash":
        assert acl.admin.execute_command("HPTTL", "cat:1", "FIELDS", 1, "embedding")[0] > 0
    assert not acl.denied()


def test_reading(acl):
    project = acl.project
    project.script("b1", REBUILD, down="a1")
    assert acl.project("--redis", acl.server.url, "upgrade").code == 0
    acl.user(rights.acl_rules(rights.for_reading(NAMESPACE, [SPEC])))
    before = content(acl.admin)
    for words in (["status"], ["current"], ["rejects"], ["drift"], ["history", "-i"], ["show", "current"]):
        acl.must(*words)
    # Nothing is pending, so nothing is asked for.
    acl.must("upgrade")
    assert content(acl.admin) == before


def test_a_user_who_reads_and_wants_to_change_is_told_everything(acl):
    acl.user(rights.acl_rules(rights.for_reading(NAMESPACE, [SPEC])))
    before = content(acl.admin)
    for words in (["upgrade"], ["stamp", "head"]):
        ran = acl(*words)
        assert (ran.code, ran.out) == (1, "")
        assert ran.err.count("\n") == 1
        for right in ("+evalsha", "+hset", "+xadd", "+hdel"):
            assert f" {right} " in ran.err
        assert content(acl.admin) == before


def test_each_right_missing_once(acl):
    """The preflight names it, and nothing else; nothing was written."""
    project = acl.project
    project.script("b1", REBUILD, down="a1")
    rules = rights.acl_rules(upgrade_needs(project))
    before = content(acl.admin)
    asked = 0
    for missing in rules:
        if missing in ("-@all", "+info"):
            continue
        acl.user([rule for rule in rules if rule != missing])
        ran = acl("upgrade")
        assert (ran.code, ran.out) == (1, ""), missing
        assert ran.err.count("\n") == 1
        assert f": {missing} (nothing was written)" in ran.err, (missing, ran.err)
        assert content(acl.admin) == before, missing
        asked += 1
    print(f"{asked} rights taken away, one at a time")
    assert asked > 40
    acl.user(rules)
    acl.must("upgrade")


def test_without_info_there_is_no_telling_what_the_server_is(acl):
    rules = rights.acl_rules(upgrade_needs(acl.project))
    acl.user([rule for rule in rules if rule != "+info"])
    ran = acl("upgrade")
    assert ran.code == 1
    assert "'info'" in ran.err
    assert ran.err.count("\n") == 1
