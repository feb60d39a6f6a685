"""Each stage of a rebuild killed and resumed, refused, failed: nothing is lost, the alias always leads on."""

from __future__ import annotations

import contextlib
import json
import threading
from functools import partial

import numpy as np
import pytest
import redis

from tests import live
from tests.legacy import Run, wait_until
from tests.live import ALIAS, CREATE, KEYS, PREFIX, Traffic, settled
from vecmigrate.search.reply import parse_info
from vecmigrate.testing.servers import wait_for

REBUILD = "op.rebuild_index('item', embedding={'m': 24})"
OLD, NEW = f"{ALIAS}@0001", f"{ALIAS}@0002"
# What 0001 creates, as a service would make it at its start.
PLAIN = [
    *("PREFIX", "1", PREFIX, "SCHEMA", "item_id", "TAG", "colour", "TAG", "label", "TEXT"),
    *("embedding", "VECTOR", "HNSW", "8", "TYPE", "FLOAT32", "DIM", str(live.DIMS)),
    *("DISTANCE_METRIC", "COSINE", "M", "16"),
]


def vecmigrate(config, url, *words, expect=0, first=None):
    with Run(config, url, *words, first=first) as run:
        assert run.wait() == expect, run.output
        return run.output


@pytest.fixture
def vectors(client):
    return live.fill(client, 1200)


@pytest.fixture
def project(client, emptied_url, tmp_path, vectors):
    """A project with an index that is built, and a rebuild that is pending."""
    config = live.write_project(tmp_path / "project", CREATE, REBUILD, lease_seconds=2)
    vecmigrate(config, emptied_url, "upgrade", "0001")
    return config


def rewrite(config, body):
    """Another rebuild in the place of the one that is pending."""
    live.write_project(config.root, CREATE, body, lease_seconds=2)


def stage(client):
    stored = client.hget(KEYS.steps("0002"), "u0:stage")
    return None if stored is None else stored.decode()


def untouched(client):
    """Whether all is as it was before the rebuild."""
    return live.live(client) == OLD and live.names(client) == {OLD} and live.kept(client) == {}


@pytest.mark.crash
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("at", ["guard", "build", "verify", "cut over", "keep"])
def test_killed_at_a_stage_and_resumed_there(client, emptied_url, project, tmp_path, vectors, at, moment):
    module = live.helpers(tmp_path)
    with Traffic(emptied_url, module, vectors, readers=1) as traffic:
        vecmigrate(project, emptied_url, "upgrade", expect=-9, first=partial(live.die_at_stage, at, moment))
        assert (stage(client) == at) == (moment == "after")
        output = vecmigrate(project, emptied_url, "upgrade", "--wait", "10")
        assert ("going on at the stage" in output) == (
            (at, moment)
            not in {
                ("guard", "before"),
                ("guard", "after"),
                ("build", "before"),
                ("build", "after"),
            }
        )
    assert not traffic.errors, traffic.errors
    assert not traffic.wrong, traffic.wrong
    assert settled(client, module, traffic) == []
    assert live.live(client) == NEW
    assert live.names(client) == {OLD, NEW}
    assert set(live.kept(client)) == {OLD}
    assert json.loads(client.hget(KEYS.revisions, "0002"))["status"] == "applied"


@pytest.mark.crash
@pytest.mark.parametrize("command", ["FT.CREATE", "FT.ALIASUPDATE"])
def test_killed_when_the_server_had_done_it_and_nothing_was_noted(client, emptied_url, project, command):
    vecmigrate(project, emptied_url, "upgrade", expect=-9, first=partial(live.die_after, command))
    vecmigrate(project, emptied_url, "upgrade", "--wait", "10")
    assert live.live(client) == NEW
    assert set(live.kept(client)) == {OLD}


@pytest.mark.crash
def test_killed_right_after_a_plain_index_gave_way(client, emptied_url, tmp_path, vectors):
    config = live.write_project(tmp_path / "project", CREATE, REBUILD, lease_seconds=2)
    with live.plain_index(client, *PLAIN):
        assert "adopted" in vecmigrate(config, emptied_url, "upgrade", "0001")
        vecmigrate(config, emptied_url, "upgrade", expect=-9, first=partial(live.die_after, "FT.DROPINDEX"))
    assert live.names(client) == {NEW}
    assert live.live(client) == NEW
    vecmigrate(config, emptied_url, "upgrade", "--wait", "10")
    assert live.names(client) == {NEW}
    assert live.live(client) == NEW
    assert live.kept(client) == {}


def test_ours_dropped_and_a_plain_index_in_its_place(client, emptied_url, project):
    client.execute_command("FT.DROPINDEX", OLD)
    with live.plain_index(client, *PLAIN):
        output = vecmigrate(project, emptied_url, "upgrade", expect=6)
    assert f"a plain index {ALIAS!r} hides the alias of that name" in output
    assert live.live(client) == ALIAS
    # What the error suggests.
    assert "`vecmigrate heal`" in output
    vecmigrate(project, emptied_url, "heal")
    healed = live.live(client)
    assert client.hkeys("vecmigrate:owners") == [healed.encode()]
    assert live.names(client) == {healed}
    vecmigrate(project, emptied_url, "upgrade")
    assert live.live(client) == NEW
    assert live.names(client) == {healed, NEW}


@pytest.mark.crash
@pytest.mark.parametrize("command", ["FT.ALIASUPDATE", "FT.DROPINDEX"])
def test_a_downgrade_killed_half_way(client, emptied_url, project, command):
    vecmigrate(project, emptied_url, "upgrade")
    vecmigrate(project, emptied_url, "downgrade", "-1", expect=-9, first=partial(live.die_after, command))
    vecmigrate(project, emptied_url, "downgrade", "-1", "--wait", "10")
    assert untouched(client)


def test_poor_recall_leaves_the_alias_and_removes_the_new_index(
    client, emptied_url, project, tmp_path, vectors
):
    rewrite(project, "op.rebuild_index('item', embedding={'m': 2, 'ef_construction': 1, 'ef_runtime': 1})")
    with Traffic(emptied_url, live.helpers(tmp_path), vectors, readers=1) as traffic:
        output = vecmigrate(project, emptied_url, "upgrade", expect=1)
    traffic.check()
    assert "recall@10 of field 'embedding' is 0." in output
    assert "(at least 0.95" in output
    assert "the old index has" in output
    assert untouched(client)
    # Accepted by somebody who says so; then the figures count for nothing.
    vecmigrate(project, emptied_url, "upgrade", "--verify", "counts")
    assert live.live(client) == NEW


def test_a_floor_of_ones_own(client, emptied_url, project):
    rewrite(project, "op.rebuild_index('item', embedding={'m': 3, 'ef_construction': 6, 'ef_runtime': 12})")
    output = vecmigrate(project, emptied_url, "upgrade", "--min-recall", "1", expect=1)
    assert "(at least 1.000; the old index has" in output
    assert untouched(client)
    vecmigrate(project, emptied_url, "upgrade", "--min-recall", "0.05")
    assert live.live(client) == NEW
    figures = client.hget(KEYS.steps("0002"), "u0:recall:embedding")
    assert 0.05 < float(figures) < 1


def test_a_document_that_only_the_new_index_cannot_take(client, emptied_url, project):
    rewrite(project, "op.rebuild_index('item', fields={'size': {'type': 'numeric', 'from': 'argument'}})")
    client.hset(f"{PREFIX}steady-77", "size", "large")
    output = vecmigrate(project, emptied_url, "upgrade", expect=1)
    assert f"1 documents are missing from {NEW}: {PREFIX}steady-77" in output
    assert untouched(client)
    client.hset(f"{PREFIX}steady-77", "size", 77)
    vecmigrate(project, emptied_url, "upgrade")
    assert live.live(client) == NEW


def test_what_no_index_can_take_is_named_and_does_not_stand_in_the_way(client, emptied_url, project):
    client.hset(f"{PREFIX}short", mapping={"item_id": "short", "embedding": b"12345"})
    output = vecmigrate(project, emptied_url, "upgrade")
    assert f"{PREFIX}short (field 'embedding': Could not add vector with blob size 5" in output
    assert live.live(client) == NEW


def test_no_room_for_a_second_index(client, emptied_url, project):
    output = vecmigrate(project, emptied_url, "upgrade", "--max-memory", "2mb", expect=1)
    assert "a second index would take some" in output
    assert "by --max-memory" in output
    assert untouched(client)
    client.config_set("maxmemory", client.info("memory")["used_memory"] + 300_000)
    try:
        output = vecmigrate(project, emptied_url, "upgrade", expect=1)
    finally:
        client.config_set("maxmemory", 0)
    assert "by maxmemory" in output
    assert untouched(client)
    vecmigrate(project, emptied_url, "upgrade", "--max-memory", "4gb")
    assert live.live(client) == NEW


def test_indexes_that_only_look_like_ours_are_nobodys_business(client, emptied_url, project):
    words = ["PREFIX", "1", "other:", "SCHEMA", "x", "TAG"]
    theirs = {f"{ALIAS}@lost", NEW, f"{NEW}.2"}
    for name in theirs:
        client.execute_command("FT.CREATE", name, *words)
    vecmigrate(project, emptied_url, "upgrade")
    # The next name that is free.
    assert live.live(client) == f"{NEW}.3"
    vecmigrate(project, emptied_url, "rollback")
    assert live.live(client) == OLD
    vecmigrate(project, emptied_url, "upgrade", "--release")
    assert live.live(client) == f"{NEW}.3"
    vecmigrate(project, emptied_url, "complete")
    assert live.names(client) == {f"{NEW}.3", *theirs}
    vecmigrate(project, emptied_url, "downgrade", "base")
    assert live.names(client) == theirs
    assert client.hlen("vecmigrate:owners") == 0


def test_documents_are_deleted_only_where_it_is_said_twice(client, emptied_url, project):
    rewrite(project, "op.drop_index('item', documents=True)")
    output = vecmigrate(project, emptied_url, "upgrade", expect=2)
    assert "--yes" in output
    assert untouched(client)
    assert client.exists(f"{PREFIX}steady-1")
    vecmigrate(project, emptied_url, "upgrade", "--yes")
    assert live.names(client) == set()
    wait_until(lambda: not client.exists(f"{PREFIX}steady-1"), "documents are gone")


def test_what_cannot_be_rolled_back(client, emptied_url, project):
    assert "no index is kept" in vecmigrate(project, emptied_url, "rollback", expect=1)
    assert "nothing was kept" in vecmigrate(project, emptied_url, "complete")
    vecmigrate(project, emptied_url, "upgrade")
    assert "nothing is kept for index 'itm'" in vecmigrate(project, emptied_url, "rollback", "itm", expect=1)
    client.execute_command("FT.DROPINDEX", OLD)
    assert "is gone" in vecmigrate(project, emptied_url, "rollback", expect=1)
    assert live.live(client) == NEW
    assert "GONE" in vecmigrate(project, emptied_url, "status")


def test_rebuilds_one_after_another_keep_each_others_way_back(client, emptied_url, project):
    live.write_project(project.root, CREATE, REBUILD, "op.rebuild_index('item', drop_fields=['label'])")
    vecmigrate(project, emptied_url, "upgrade")
    assert set(live.kept(client)) == {OLD, NEW}
    vecmigrate(project, emptied_url, "downgrade", "base", "--wait", "5")
    assert live.names(client) == set()
    assert live.kept(client) == {}


def test_a_revision_can_complete_and_roll_back_itself(client, emptied_url, project):
    live.write_project(project.root, CREATE, REBUILD, "op.complete('item')", "op.rollback('item')")
    vecmigrate(project, emptied_url, "upgrade", "0003")
    assert live.names(client) == {NEW}
    vecmigrate(project, emptied_url, "upgrade", "0004")
    assert live.names(client) == {OLD}
    assert live.live(client) == OLD
    vecmigrate(project, emptied_url, "downgrade", "0003")
    assert live.names(client) == {NEW}


def test_json_documents_with_two_vectors(client, emptied_url, tmp_path):
    vectors = np.random.default_rng(3).normal(size=(300, 6))
    for number, vector in enumerate(vectors):
        client.json().set(f"doc:{number}", "$", {"n": number, "first": [*vector], "second": [*-vector[:4]]})
    fields = {
        "n": {"type": "numeric"},
        "first": {"type": "vector", "dims": 6, "datatype": "float64", "metric": "l2", "ef_runtime": 300},
        "second": {"type": "vector", "dims": 4, "metric": "ip", "ef_runtime": 300},
    }
    index = {"name": "idx:doc", "prefix": "doc:", "storage": "json"}
    create = f"op.create_index('doc', index={index!r}, key='doc_id', fields={fields!r})"
    change = "op.rebuild_index('doc', first={'m': 8}, second={'algorithm': 'flat'})"
    config = live.write_project(tmp_path / "project", create, change)
    output = vecmigrate(config, emptied_url, "upgrade")
    assert live.live(client, "idx:doc") == "idx:doc@0002"
    assert "recall@10 of first 1.000 (old index 1.000)" in output
    assert "recall@10 of second 1.000 (old index" in output


@pytest.mark.embedded
def test_a_server_that_is_restarted_meanwhile_is_waited_for(own_server, tmp_path):
    server = own_server(tmp_path / "data")
    port = server.port
    with contextlib.closing(redis.Redis.from_url(server.url)) as client:
        vectors = live.fill(client, 3000)
        config = live.write_project(
            tmp_path / "project",
            CREATE,
            "op.rebuild_index('item', embedding={'m': 32, 'ef_construction': 1500})",
            lease_seconds=60,
        )
        vecmigrate(config, server.url, "upgrade", "0001")
        with Run(config, server.url, "upgrade") as run:
            wait_until(lambda: NEW in live.names(client), "it is being built")
            assert parse_info(client.execute_command("FT.INFO", NEW))["indexing"]
            client.execute_command("WAITAOF", 1, 0, 5000)
            server.stop()
            again = own_server(tmp_path / "data", port=port)
            wait_for(again.url)
            assert run.wait(120) == 0, run.output
    with contextlib.closing(redis.Redis.from_url(again.url)) as client:
        assert live.live(client) == NEW
        info = parse_info(client.execute_command("FT.INFO", NEW))
        assert (info["num_docs"], info["indexing"]) == (len(vectors), 0)


def test_two_runners_at_once(client, emptied_url, project):
    codes = []

    def work():
        with Run(project, emptied_url, "upgrade", "--wait", "30") as run:
            codes.append(run.wait())

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [0, 0]
    assert live.live(client) == NEW
    assert live.names(client) == {OLD, NEW}


def test_a_vector_read_from_another_field_must_be_there_everywhere(client, emptied_url, project, vectors):
    change = {"path": "embedding_v2", "dims": 8}
    rewrite(project, f"op.rebuild_index('item', embedding={change!r})")
    with client.pipeline(transaction=False) as pipe:
        for number, vector in enumerate(vectors):
            if number != 7:
                pipe.hset(f"{PREFIX}steady-{number}", "embedding_v2", vector[:8].tobytes())
        pipe.execute()
    output = vecmigrate(project, emptied_url, "upgrade", expect=1)
    assert f"1 documents have a vector for field 'embedding' in the old index and none in {NEW}" in output
    assert f"{PREFIX}steady-7" in output
    assert untouched(client)
    client.hset(f"{PREFIX}steady-7", "embedding_v2", vectors[7][:8].tobytes())
    vecmigrate(project, emptied_url, "upgrade")
    assert live.live(client) == NEW


def test_rolled_back_under_later_revisions_and_upgraded_again(client, emptied_url, project):
    live.write_project(
        project.root,
        CREATE,
        REBUILD,
        "op.rebuild_index('item', drop_fields=['label'])",
        "op.execute('SET', 'done', 1, undo=('DEL', 'done'))",
    )
    vecmigrate(project, emptied_url, "upgrade")
    assert live.live(client) == f"{ALIAS}@0003"
    vecmigrate(project, emptied_url, "rollback")
    assert live.live(client) == NEW
    vecmigrate(project, emptied_url, "rollback", "item")
    assert live.live(client) == OLD
    assert "no index is kept" in vecmigrate(project, emptied_url, "rollback", expect=1)
    output = vecmigrate(project, emptied_url, "upgrade")
    assert "0002 stays rolled back" in output
    assert "0003 stays rolled back" in output
    assert live.live(client) == OLD
    # What the warning says: either of the two.
    vecmigrate(project, emptied_url, "upgrade", "--release")
    assert live.live(client) == f"{ALIAS}@0003"
    # 0003 builds it anew right after, so 0002 was not led to once more.
    assert set(live.kept(client)) == {OLD}
    assert client.get("done") == b"1"
    vecmigrate(project, emptied_url, "rollback")
    assert live.live(client) == OLD
    live.write_project(
        project.root,
        CREATE,
        REBUILD,
        "op.rebuild_index('item', drop_fields=['label'])",
        "op.execute('SET', 'done', 1, undo=('DEL', 'done'))",
        "op.execute('SET', 'newer', 1, undo=('DEL', 'newer'))",
    )
    assert "stays rolled back" not in vecmigrate(project, emptied_url, "upgrade")
    assert live.live(client) == f"{ALIAS}@0003"
    assert client.get("newer") == b"1"


def test_rolled_back_and_then_taken_back(client, emptied_url, project):
    vecmigrate(project, emptied_url, "upgrade")
    vecmigrate(project, emptied_url, "rollback")
    vecmigrate(project, emptied_url, "downgrade", "0001")
    assert untouched(client)
    vecmigrate(project, emptied_url, "upgrade")
    vecmigrate(project, emptied_url, "rollback")
    vecmigrate(project, emptied_url, "complete")
    assert untouched(client)
    vecmigrate(project, emptied_url, "upgrade")
    assert untouched(client)
    # What was dropped is built again.
    vecmigrate(project, emptied_url, "upgrade", "--release")
    assert live.live(client) == NEW


def test_renamed_since_an_index_is_rolled_back_under_both_names(client, emptied_url, project):
    live.write_project(project.root, CREATE, REBUILD, "op.rename_index('item', index_name='idx:thing')")
    vecmigrate(project, emptied_url, "upgrade")
    assert live.live(client) == live.live(client, "idx:thing") == NEW
    vecmigrate(project, emptied_url, "rollback")
    assert live.live(client) == live.live(client, "idx:thing") == OLD
    vecmigrate(project, emptied_url, "upgrade")
    assert live.live(client) == live.live(client, "idx:thing") == OLD
    vecmigrate(project, emptied_url, "upgrade", "--release")
    assert live.live(client) == live.live(client, "idx:thing") == NEW
    vecmigrate(project, emptied_url, "downgrade", "0001")
    # Whoever was deployed already goes on finding it under the newer name, until it is completed.
    assert live.live(client) == live.live(client, "idx:thing") == OLD
    vecmigrate(project, emptied_url, "complete")
    assert untouched(client)


def test_an_alias_that_somebody_moved_is_not_moved_again(client, emptied_url, project):
    client.execute_command("FT.CREATE", "foreign", "PREFIX", "1", "x:", "SCHEMA", "x", "TAG")
    vecmigrate(project, emptied_url, "upgrade")
    client.execute_command("FT.ALIASUPDATE", ALIAS, "foreign")
    told = f"alias {ALIAS!r} leads to index 'foreign', which is not ours by record (expected {OLD!r})"
    assert told in vecmigrate(project, emptied_url, "rollback", expect=1)
    vecmigrate(project, emptied_url, "downgrade", "0001", expect=6)
    assert live.live(client) == "foreign"
    assert live.names(client) == {OLD, NEW, "foreign"}
