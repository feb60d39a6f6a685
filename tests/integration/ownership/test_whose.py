"""Whose an index is stands in the ledger and in the registry of the server, and nobody goes by its name."""

from __future__ import annotations

import pytest

from tests import owned
from tests.owned import (
    CREATE,
    DIFFERENT,
    at,
    count,
    fill,
    must,
    names,
    owners,
    plain,
    rebuild,
    records,
    tidy,
)
from vecmigrate.runtime.keys import LedgerKeys

OTHER = ("--namespace", "other")


@pytest.fixture
def made(project, client):
    """An index of the namespace `default`, applied."""
    project.script("a1", CREATE)
    fill(client)
    must(project, "upgrade")
    return project


class TestTwoNamespaces:
    def test_the_same_scripts_leave_each_others_index_alone(self, made, client):
        ran = made(*OTHER, "upgrade")
        assert ran.code == 6
        assert "belongs to namespace 'default'" in ran.last
        assert "`namespace`" in ran.last
        must(made, *OTHER, "downgrade", "base")
        assert names(client) == {"idx:cat@a1"}
        assert at(client, "idx:cat") == "idx:cat@a1"
        tidy(made, client)

    @pytest.mark.parametrize("words", ["heal", "complete", "status", "stamp --purge base", "upgrade"])
    def test_no_command_of_the_other_touches_it_after_its_failed_upgrade(self, made, client, words):
        made(*OTHER, "upgrade")
        made(*OTHER, *words.split())
        assert at(client, "idx:cat") == "idx:cat@a1"
        assert owners(client) == {"idx:cat@a1": "default"}
        tidy(made, client)

    def test_another_definition_under_the_same_name_is_not_told_to_drop_it(self, made, client):
        made.script("a1", "op.create_index('cat', index={'name': 'idx:cat', 'prefix': 'x:'}, key='x', "
                    "fields={'embedding': VECTOR, 'colour': {'type': 'tag'}})")  # fmt: skip
        ran = made(*OTHER, "upgrade")
        assert ran.code == 6
        assert "belongs to namespace 'default'" in ran.last
        assert "FT.DROPINDEX" not in ran.last
        must(made, *OTHER, "downgrade", "base")
        assert names(client) == {"idx:cat@a1"}

    def test_equal_revision_ids_over_indexes_of_their_own(self, made, client):
        fill(client, prefix="dog:")
        made.script("a1", "create(op, 'dog')")
        must(made, *OTHER, "upgrade")
        assert owners(client) == {"idx:cat@a1": "default", "idx:dog@a1": "other"}
        must(made, *OTHER, "downgrade", "base")
        assert names(client) == {"idx:cat@a1"}

    def test_the_ledger_of_another_service_is_answered_with_a_namespace(self, made, client):
        made.script("a1", "create(op, 'dog')", message="Another service")
        ran = made("upgrade")
        assert ran.code == 5
        assert "`namespace`" in ran.last
        assert "--purge" not in ran.last
        assert "--accept-changed" not in ran.last
        must(made, *OTHER, "upgrade")
        assert set(names(client)) == {"idx:cat@a1", "idx:dog@a1"}

    def test_stamp_does_not_take_an_index_of_the_other(self, made, client):
        ran = made(*OTHER, "stamp", "head")
        assert ran.code == 1
        assert "nothing was stamped" in ran.last
        assert not client.exists(LedgerKeys("other").revisions)
        assert owners(client) == {"idx:cat@a1": "default"}

    def test_what_the_other_released_can_be_adopted(self, made, client):
        client.execute_command("FT.DROPINDEX", "idx:cat@a1")
        must(made, "downgrade", "base")
        plain(client, "idx:cat")
        must(made, "upgrade")
        must(made, "downgrade", "base")
        must(made, *OTHER, "upgrade")
        assert owners(client) == {"idx:cat": "other"}


class TestNames:
    def test_a_hand_made_index_with_our_next_name_is_left_alone(self, made, client):
        plain(client, "idx:cat@b2", *DIFFERENT)
        made.script("b2", rebuild(), down="a1")
        must(made, "upgrade")
        assert at(client, "idx:cat") == "idx:cat@b2.2"
        must(made, "complete")
        must(made, "downgrade", "base")
        assert names(client) == {"idx:cat@b2"}

    def test_a_hand_made_index_like_ours_is_called_foreign(self, made, client):
        plain(client, "prod@v2")
        found = made("drift", "--format", "json").json["neighbours"]
        assert [(item["name"], item["relation"]) for item in found] == [("prod@v2", "foreign")]
        must(made, "downgrade", "base")
        assert names(client) == {"prod@v2"}

    def test_an_alias_has_our_next_name(self, made, client):
        plain(client, "mine")
        client.execute_command("FT.ALIASADD", "idx:cat@b2", "mine")
        made.script("b2", rebuild(), down="a1")
        must(made, "upgrade")
        assert at(client, "idx:cat") == "idx:cat@b2.2"
        assert at(client, "idx:cat@b2") == "mine"
        must(made, "downgrade", "base")
        assert names(client) == {"mine"}

    def test_the_first_index_finds_its_name_taken(self, project, client):
        plain(client, "idx:cat@a1", *DIFFERENT)
        project.script("a1", CREATE)
        fill(client)
        must(project, "upgrade")
        assert at(client, "idx:cat") == "idx:cat@a1.2"
        must(project, "downgrade", "base")
        assert names(client) == {"idx:cat@a1"}

    def test_an_index_made_by_hand_while_ours_was_noted_only(self, project, client, monkeypatch):
        project.script("a1", CREATE)
        for number in range(50):
            owned.wipe(client)
            with owned.killed_at(monkeypatch, number):
                if project("upgrade").code == 0:
                    break
            if client.exists(owned.KEYS.builds) and not names(client):
                plain(client, "idx:cat@a1", *DIFFERENT)
                project.script("a1", CREATE + "\nop.alter_index('cat', add={'f': {'type': 'tag'}})")
                must(project, "upgrade")
                assert at(client, "idx:cat") == "idx:cat@a1.2"
                must(project, "downgrade", "base")
                assert names(client) == {"idx:cat@a1"}
                return
        pytest.fail("it was never noted before it was created")

    def test_a_note_of_a_withdrawn_step_whose_name_somebody_took(self, made, client):
        build = '{"physical": "idx:cat@x", "name": "cat", "revision": "x", "direction": "u", "step": 0}'
        client.hset(owned.KEYS.builds, "idx:cat@x", build)
        plain(client, "idx:cat@x", *DIFFERENT)
        made.script("b2", rebuild(), down="a1")
        must(made, "upgrade")
        must(made, "downgrade", "base")
        assert names(client) == {"idx:cat@x"}
        assert not client.exists(owned.KEYS.builds)


class TestRecordedNames:
    def test_drop_downgrade_and_rebuild(self, made, client):
        made.script("b2", "op.drop_index('cat')", down="a1")
        must(made, "upgrade")
        must(made, "downgrade", "a1")
        tidy(made, client)
        (made.folder / "migrations" / "b2.py").unlink()
        made.script("c3", rebuild(), down="a1")
        must(made, "upgrade", "--verify", "counts")
        tidy(made, client)
        must(made, "rollback", "--accept-broken-readers")
        must(made, "downgrade", "base")
        assert names(client) == set()

    def test_squash_stamp_and_rebuild(self, made, client):
        made.script("b2", rebuild(), down="a1")
        must(made, "upgrade")
        must(made, "complete")
        for name in ("a1", "b2"):
            (made.folder / "migrations" / f"{name}.py").unlink()
        made.script("s1", "create(op, fields={'meta': {'type': 'json'}, "
                    "'embedding': {**VECTOR, 'metric': 'l2'}})")  # fmt: skip
        must(made, "stamp", "--purge", "head")
        tidy(made, client)
        made.script("s2", rebuild("ip"), down="s1")
        must(made, "upgrade", "--verify", "counts")
        assert at(client, "idx:cat") == "idx:cat@s2"
        must(made, "rollback", "--accept-broken-readers")
        assert at(client, "idx:cat") == "idx:cat@b2"
        must(made, "upgrade", "--release", "--verify", "counts")
        must(made, "downgrade", "s1", "--verify", "counts")
        tidy(made, client)
        must(made, "downgrade", "base")
        assert (names(client), owners(client)) == (set(), {})

    def test_stamp_over_an_index_that_was_made_by_hand(self, project, client):
        fill(client)
        plain(client, "idx:cat")
        project.script("a1", CREATE)
        must(project, "stamp", "head")
        assert records(client)["cat"]["physical"] == "idx:cat"
        tidy(project, client)
        project.script("b2", rebuild(aliases=[]), down="a1")
        must(project, "upgrade", "--verify", "counts")
        assert at(client, "idx:cat") == "idx:cat@b2"
        tidy(project, client)

    def test_stamp_over_an_empty_server_is_found_out_and_healed(self, project, client):
        fill(client)
        project.script("a1", CREATE)
        must(project, "stamp", "head")
        ran = project("upgrade")
        assert ran.code == 1
        assert "`vecmigrate heal`" in ran.last
        must(project, "heal")
        must(project, "upgrade")
        assert count(client) == 4
        tidy(project, client)

    def test_stamped_back_over_a_rename(self, made, client):
        made.script("b2", "op.rename_index('cat', to='feline')", down="a1")
        must(made, "upgrade")
        must(made, "stamp", "a1")
        tidy(made, client)
        assert set(records(client)) == {"cat"}
        must(made, "upgrade")
        tidy(made, client)
        assert set(records(client)) == {"feline"}


class TestAdoption:
    def test_it_takes_ownership_and_its_way_back_gives_it_up(self, project, client):
        fill(client)
        plain(client, "idx:cat")
        project.script("a1", CREATE)
        must(project, "upgrade")
        assert owners(client) == {"idx:cat": "default"}
        tidy(project, client)
        must(project, "downgrade", "base")
        assert names(client) == {"idx:cat"}
        assert owners(client) == {}

    def test_drop_index_drops_it(self, project, client):
        plain(client, "idx:cat")
        project.script("a1", CREATE)
        project.script("b2", "op.drop_index('cat')", down="a1")
        must(project, "upgrade")
        assert names(client) == set()

    def test_one_behind_an_alias_of_somebody_elses(self, project, client):
        fill(client)
        plain(client, "prod@v2")
        client.execute_command("FT.ALIASADD", "idx:cat", "prod@v2")
        project.script("a1", CREATE)
        must(project, "upgrade")
        assert records(client)["cat"]["physical"] == "prod@v2"
        tidy(project, client)
        must(project, "downgrade", "base")
        assert at(client, "idx:cat") == "prod@v2"

    def test_another_definition_is_refused_and_its_way_out(self, project, client):
        fill(client)
        plain(client, "idx:cat", *DIFFERENT)
        project.script("a1", CREATE)
        ran = project("upgrade")
        assert ran.code == 6
        assert "FT.DROPINDEX idx:cat (documents stay)" in ran.last
        assert client.execute_command("FT.DROPINDEX", "idx:cat") in (b"OK", "OK")
        must(project, "upgrade")
        tidy(project, client)


class TestAliasesHoldAnIndex:
    def test_nothing_is_dropped_while_an_alias_of_ours_leads_there(self, made, client):
        made.script("b2", rebuild(), down="a1")
        must(made, "upgrade")
        fill(client, prefix="dog:")
        made.script("c3", "create(op, 'dog')", down="b2")
        must(made, "upgrade")
        client.execute_command("FT.ALIASUPDATE", "idx:dog", "idx:cat@a1")
        ran = made("complete", "cat")
        assert ran.code == 1
        assert "alias 'idx:dog' leads to index 'idx:cat@a1', so it is not dropped" in ran.last
        assert "FT.ALIASDEL idx:dog" in ran.last
        assert at(client, "idx:dog") == "idx:cat@a1"
        client.execute_command("FT.ALIASDEL", "idx:dog")
        must(made, "complete", "cat")
        must(made, "heal")
        tidy(made, client)

    def test_an_old_name_that_another_spec_wants(self, made, client):
        made.script("b2", "op.rename_index('cat', index_name='idx:feline')", down="a1")
        must(made, "upgrade")
        made.script("c3", "op.create_index('dog', index={'name': 'idx:cat', 'prefix': 'dog:'}, key='dog_id', "
                    "fields={'embedding': VECTOR})", down="b2")  # fmt: skip
        ran = made("upgrade")
        assert ran.code == 6
        assert "alias 'idx:cat' leads to the index of 'cat'" in ran.last
        assert at(client, "idx:cat") == "idx:cat@a1"
        assert "`vecmigrate complete cat`" in ran.last
        must(made, "complete", "cat")
        must(made, "upgrade")
        assert at(client, "idx:cat") == "idx:cat@c3"
        assert at(client, "idx:feline") == "idx:cat@a1"
        tidy(made, client)


class TestDatabase:
    @pytest.mark.parametrize("words", ["upgrade", "heal", "stamp head", "ensure-version", "status", "drift"])
    def test_another_than_0_is_refused_before_anything_is_written(
        self, project, client, redis_url, monkeypatch, words
    ):
        project.script("a1", CREATE)
        address = redis_url.rstrip("/").removesuffix("/0")
        monkeypatch.setenv("REDIS_URL", f"{address}/1")
        before = client.info("persistence")["rdb_changes_since_last_save"]
        ran = project(*words.split())
        assert ran.code in (1, 2)
        assert "database" in ran.last
        assert client.info("persistence")["rdb_changes_since_last_save"] == before
