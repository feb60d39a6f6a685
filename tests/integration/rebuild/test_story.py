"""Indexes change in production: readers, who know the right answers, and writers notice nothing."""

from __future__ import annotations

import time

import pytest

from tests import live
from tests.live import ALIAS, CREATE, Traffic, settled
from vecmigrate import commands
from vecmigrate.commands.database import open_session
from vecmigrate.search.ddl import ft_create
from vecmigrate.search.reply import parse_info
from vecmigrate.spec.build import spec_from_mapping

DOCUMENTS = 2400

CHANGES = {
    "M from 16 to 32": "op.rebuild_index('item', embedding={'m': 32, 'ef_construction': 120})",
    "another metric": "op.rebuild_index('item', embedding={'metric': 'l2'})",
    "a field more": "op.rebuild_index('item', fields={'size': {'type': 'numeric', 'from': 'argument'}})",
    "a field less": "op.rebuild_index('item', drop_fields=['label'])",
    "FLAT instead of HNSW": "op.rebuild_index('item', embedding={'algorithm': 'flat'})",
    "a field added in place": "op.alter_index('item', add={'size': {'type': 'numeric', 'from': 'argument'}})",
}


FLAT = {**live.SPEC["fields"], "embedding": {"type": "vector", "dims": live.DIMS, "algorithm": "flat"}}


def run(config, url, command, *args, **kwargs):
    with open_session(config, redis_url=url) as session:
        return getattr(commands, command)(session, *args, **kwargs)


@pytest.fixture
def module(tmp_path):
    return live.helpers(tmp_path)


@pytest.fixture
def vectors(client):
    return live.fill(client, DOCUMENTS)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_no_wrong_answer_while_an_index_changes(client, emptied_url, tmp_path, module, vectors, change):
    config = live.write_project(tmp_path, CREATE, change)
    run(config, emptied_url, "upgrade", "0001")
    # A FLAT index refuses EF_RUNTIME: helpers that do not send it are deployed before.
    deployed = live.helpers(tmp_path, fields=FLAT) if "flat" in change else module
    with Traffic(emptied_url, deployed, vectors) as traffic:
        outcome = run(config, emptied_url, "upgrade")
        time.sleep(0.3)
    traffic.check()
    assert settled(client, deployed, traffic) == []
    if "rebuild" in change:
        assert live.live(client) == f"{ALIAS}@0002"
        assert set(live.kept(client)) == {f"{ALIAS}@0001"}
        assert "recall@10 of embedding" in outcome.revisions[0].steps[0].values["outcome"]
    attributes = {
        item["attribute"] for item in parse_info(client.execute_command("FT.INFO", ALIAS))["attributes"]
    }
    assert ("size" in attributes) == ("size" in change)
    assert ("label" in attributes) == ("drop_fields" not in change)


def test_from_flat_to_hnsw(client, emptied_url, tmp_path, module, vectors):
    change = "op.rebuild_index('item', embedding={'algorithm': 'hnsw', 'm': 16})"
    create = CREATE.replace(repr(live.SPEC["fields"]), repr(FLAT))
    config = live.write_project(tmp_path, create, change)
    run(config, emptied_url, "upgrade", "0001")
    assert parse_info(client.execute_command("FT.INFO", ALIAS))["attributes"][-1]["algorithm"] == "FLAT"
    with Traffic(emptied_url, live.helpers(tmp_path, fields=FLAT), vectors) as traffic:
        run(config, emptied_url, "upgrade")
    traffic.check()
    assert settled(client, module, traffic) == []
    assert parse_info(client.execute_command("FT.INFO", ALIAS))["attributes"][-1]["algorithm"] == "HNSW"


def test_an_adopted_plain_index_becomes_an_alias_without_a_gap(
    client, emptied_url, tmp_path, module, vectors
):
    config = live.write_project(tmp_path, CREATE, CHANGES["M from 16 to 32"])
    with live.plain_index(client, *ft_create(spec_from_mapping(live.SPEC))[2:]):
        run(config, emptied_url, "upgrade", "0001")
        assert live.names(client) == {ALIAS}
        with Traffic(emptied_url, module, vectors) as traffic:
            run(config, emptied_url, "upgrade")
            time.sleep(0.3)
        traffic.check()
        assert settled(client, module, traffic) == []
    assert live.names(client) == {f"{ALIAS}@0002"}
    assert live.kept(client) == {}
    # And back: nothing was kept, so it is built anew, behind the alias now.
    with Traffic(emptied_url, module, vectors) as traffic:
        run(config, emptied_url, "downgrade", "0001")
    traffic.check()
    assert live.live(client) == f"{ALIAS}@0001"
    assert live.names(client) == {f"{ALIAS}@0001"}


def test_rolled_back_upgraded_again_and_completed(client, emptied_url, tmp_path, module, vectors):
    config = live.write_project(tmp_path, CREATE, CHANGES["M from 16 to 32"])
    run(config, emptied_url, "upgrade")
    with Traffic(emptied_url, module, vectors) as traffic:
        result = run(config, emptied_url, "rollback")
        assert (result.live, result.before) == (f"{ALIAS}@0001", f"{ALIAS}@0002")
        assert live.live(client) == f"{ALIAS}@0001"
        assert result.seconds < 0.5
        status = run(config, emptied_url, "status")
        assert [(item.what, item.kind, item.there) for item in status.kept] == [
            (f"{ALIAS}@0002", "rolled back", True)
        ]
        assert status.kept[0].memory > DOCUMENTS * live.DIMS * 4
        assert (status.pending, status.held) == ((), ("0002",))
        # A pod that restarts runs what it runs at every start.
        assert run(config, emptied_url, "upgrade").held == ("0002",)
        assert live.live(client) == f"{ALIAS}@0001"
        time.sleep(0.3)
        # Nothing is built again: it was kept up to date meanwhile.
        built = client.execute_command("FT.INFO", f"{ALIAS}@0002")
        run(config, emptied_url, "upgrade", release=True)
        assert (
            parse_info(built)["max_doc_id"]
            <= parse_info(client.execute_command("FT.INFO", ALIAS))["max_doc_id"]
        )
        assert live.live(client) == f"{ALIAS}@0002"
        assert set(live.kept(client)) == {f"{ALIAS}@0001"}
        time.sleep(0.2)
        dropped = run(config, emptied_url, "complete", "item").dropped
    assert [item.what for item in dropped] == [f"{ALIAS}@0001"]
    traffic.check()
    assert settled(client, module, traffic) == []
    assert live.names(client) == {f"{ALIAS}@0002"}
    assert run(config, emptied_url, "status").kept == ()


def test_a_downgrade_uses_what_is_kept_and_rebuilds_what_is_not(
    client, emptied_url, tmp_path, module, vectors
):
    config = live.write_project(tmp_path, CREATE, CHANGES["M from 16 to 32"])
    for completes in (False, True):
        run(config, emptied_url, "upgrade")
        if completes:
            run(config, emptied_url, "complete")
        with Traffic(emptied_url, module, vectors) as traffic:
            outcome = run(config, emptied_url, "downgrade", "0001")
            time.sleep(0.2)
        traffic.check()
        assert settled(client, module, traffic) == []
        told = outcome.revisions[0].steps[0].values["outcome"]
        assert ("was kept and is live again" in told) is not completes
        assert live.names(client) == {f"{ALIAS}@0001"}
        assert live.kept(client) == {}
        for key in [*traffic.written]:
            client.delete(live.PREFIX + key)


def test_a_renamed_index_answers_to_both_names_until_it_is_completed(
    client, emptied_url, tmp_path, module, vectors
):
    rename = "op.rename_index('item', to='thing', index_name='idx:thing')"
    config = live.write_project(tmp_path, CREATE, rename, "op.rebuild_index('thing', embedding={'m': 32})")
    run(config, emptied_url, "upgrade", "0001")
    with Traffic(emptied_url, module, vectors) as traffic:
        run(config, emptied_url, "upgrade", "0002")
        assert live.live(client, "idx:thing") == live.live(client) == f"{ALIAS}@0001"
        run(config, emptied_url, "downgrade", "0001")
        assert live.live(client) == f"{ALIAS}@0001"
        run(config, emptied_url, "upgrade", "0002")
        run(config, emptied_url, "upgrade")
        # Those who still ask for the old name get the rebuilt index too.
        assert live.live(client, "idx:thing") == live.live(client) == "idx:thing@0003"
    traffic.check()
    assert settled(client, module, traffic) == []
    dropped = run(config, emptied_url, "complete", "thing").dropped
    assert {item.what for item in dropped} == {ALIAS, f"{ALIAS}@0001"}
    assert live.names(client) == {"idx:thing@0003"}
