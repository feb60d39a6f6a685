"""heal makes indexes and aliases again as the ledger says, and is done when nothing is left to do."""

from __future__ import annotations

import pytest

from tests import owned
from tests.owned import CREATE, KEYS, at, count, fill, kept, must, names, plain, rebuild, records, tidy
from tests.project import content

BACK = ("rollback", "--accept-broken-readers")

FAIL = "def fail(client, progress, cursor):\n    if not client.exists('go'):\n        raise ValueError\n"


@pytest.fixture
def several(project, client):
    """Indexes that were altered, renamed, rebuilt and adopted, all applied."""
    fill(client)
    fill(client, prefix="dog:")
    fill(client, prefix="cow:")
    plain(client, "idx:cow", "SCHEMA", *owned.SAME[1:], prefix="cow:")
    project.script("a1", "create(op)\ncreate(op, 'dog')\ncreate(op, 'cow')")
    project.script("b2", "op.alter_index('cat', add={'colour': {'type': 'tag'}})", down="a1")
    project.script("c3", "op.rename_index('dog', to='hound', index_name='idx:hound')", down="b2")
    project.script("d4", rebuild(name="hound"), down="c3")
    must(project, "upgrade")
    for prefix in ("cat:", "dog:", "cow:"):
        client.hset(f"{prefix}0", "colour", "red")
    return project


def emptied(client):
    """What FLUSHDB of another database does: all indexes are gone, no document is."""
    client.execute_command("SELECT", 5)
    client.execute_command("FLUSHDB")
    client.execute_command("SELECT", 0)


class TestAfterFlushdb:
    def test_upgrade_refuses_and_names_what_mends_it(self, several, client):
        emptied(client)
        assert names(client) == set()
        ran = several("upgrade")
        assert ran.code == 1
        assert "FLUSHDB of any database drops all indexes" in ran.last
        assert "`vecmigrate heal`" in ran.last
        must(several, "heal")
        assert at(client, "idx:hound") == at(client, "idx:dog")
        for name in ("idx:cat", "idx:hound", "idx:dog", "idx:cow"):
            assert count(client, name) == 4, name
        assert several("heal").out.strip() == "nothing to mend"
        must(several, "upgrade")
        tidy(several, client)

    @pytest.mark.parametrize("revision", ["c3", "d4", "b2"])
    def test_downgrade_looks_as_well(self, several, client, revision):
        """Whether there is something to take back or not, other indexes than those it touches are gone."""
        if revision != "d4":
            client.execute_command("FT.DROPINDEX", "idx:cow")
        else:
            emptied(client)
        ran = several("downgrade", revision)
        assert ran.code == 1
        assert "`vecmigrate heal`" in ran.last
        must(several, "heal")
        ran = must(several, "downgrade", revision)
        assert count(client, "idx:cow") == 4
        tidy(several, client)

    @pytest.mark.parametrize("revision", ["d4", "c3"])
    def test_downgrade_mends_an_alias_and_names_one_that_leads_elsewhere(self, several, client, revision):
        client.execute_command("FT.ALIASDEL", "idx:cat")
        assert "mended" in must(several, "downgrade", revision).out
        assert at(client, "idx:cat") is not None
        plain(client, "theirs", prefix="theirs:")
        client.execute_command("FT.ALIASUPDATE", "idx:cat", "theirs")
        ran = several("downgrade", revision)
        assert ran.code == 0
        assert "warning" in ran.err
        assert "'theirs'" in ran.err

    def test_an_altered_field_is_there_again(self, several, client):
        emptied(client)
        must(several, "heal")
        reply = client.execute_command("FT.SEARCH", "idx:cat", "@colour:{red}", "DIALECT", 2)
        assert (reply[b"total_results"] if isinstance(reply, dict) else reply[0]) == 1

    def test_by_name(self, several, client):
        emptied(client)
        ran = several("heal", "hound")
        assert ran.code == 0, ran.err
        assert at(client, "idx:hound") is not None
        assert at(client, "idx:cat") is None
        ran = several("upgrade")
        assert ran.code == 1
        assert "hound" not in ran.last
        must(several, "heal")
        tidy(several, client)

    def test_an_unknown_name(self, several, client):
        ran = several("heal", "nope")
        assert ran.code == 1
        assert "cat, cow, hound" in ran.last

    def test_what_was_kept_is_forgotten_and_downgrade_builds_it(self, several, client):
        before = [item["what"] for item in kept(client).values() if item["kind"] == "replaced"]
        assert before
        emptied(client)
        must(several, "heal")
        assert [item for item in kept(client).values() if item["kind"] == "replaced"] == []
        ran = several(*BACK)
        assert ran.code == 1
        assert "`vecmigrate downgrade` builds the old one anew" in ran.last
        must(several, "downgrade", "c3", "--verify", "counts")
        tidy(several, client)
        must(several, "downgrade", "base", "--verify", "counts")

    def test_downgrade_without_healing_first(self, several, client):
        emptied(client)
        ran = several("downgrade", "c3", "--verify", "counts")
        assert ran.code == 1
        assert "idx:cow" in ran.last
        assert owned.status(client, "d4") is None
        must(several, "heal")
        tidy(several, client)
        emptied(client)
        must(several, "downgrade", "base", "--verify", "counts")
        assert names(client) == set()
        assert owned.owners(client) == {}


class TestEachFault:
    def test_nothing_to_do_writes_next_to_nothing(self, several, client):
        before = content(client)
        assert several("heal").out.strip() == "nothing to mend"
        after = content(client)
        for key in ("writes", KEYS.fence.encode()):
            before.pop(key), after.pop(key)
        assert after == before

    def test_an_alias_that_leads_nowhere(self, several, client):
        client.execute_command("FT.ALIASDEL", "idx:dog")
        ran = must(several, "heal", "--format", "json")
        assert [(item["fault"], item["place"]) for item in ran.json["mended"]] == [
            ("missing_alias", "idx:dog")
        ]
        tidy(several, client)

    def test_an_alias_that_was_moved_to_another_index_of_ours(self, several, client):
        client.execute_command("FT.ALIASUPDATE", "idx:cat", records(client)["hound"]["physical"])
        must(several, "heal")
        tidy(several, client)

    def test_in_half_an_upgrade(self, project, client):
        project.script("a1", CREATE)
        project.script("b2", rebuild() + "\nop.run(fail)", down="a1",
                       top=FAIL)  # fmt: skip
        fill(client)
        assert project("upgrade").code == 6
        emptied(client)
        must(project, "heal")
        assert at(client, "idx:cat") == "idx:cat@b2"
        client.set("go", 1)
        must(project, "upgrade")
        tidy(project, client)

    def test_in_half_an_upgrade_nothing_is_published_early(self, project, client):
        project.script("a1", "create(op, publish=False)\nop.run(fail)\nop.publish_index('cat')",
                       top=FAIL)  # fmt: skip
        fill(client)
        assert project("upgrade").code == 6
        emptied(client)
        must(project, "heal")
        assert at(client, "idx:cat") is None
        client.set("go", 1)
        must(project, "upgrade")
        assert at(client, "idx:cat") == "idx:cat@a1"
        tidy(project, client)

    def test_an_index_is_not_led_to_in_the_middle_of_its_scan(self, project, client, monkeypatch):
        project.script("a1", CREATE)
        fill(client, 3000)
        must(project, "upgrade")
        for words in ("heal", "upgrade"):
            for number in range(20):
                emptied(client)
                client.delete(KEYS.builds)
                with owned.killed_at(monkeypatch, number):
                    project("heal")
                if names(client):
                    break
            assert at(client, "idx:cat") is None
            must(project, words)
            assert count(client) == 3000
        tidy(project, client)

    def test_a_withdrawn_script_is_named(self, several, client):
        emptied(client)
        for name in ("a1", "b2", "c3", "d4"):
            (several.folder / "migrations" / f"{name}.py").unlink()
        assert several("heal").code in (1, 5)
        assert names(client) == set()


def test_a_registry_that_was_deleted_is_made_again_from_the_ledger(project, client):
    fill(client)
    project.script("a1", CREATE)
    project.script("b2", rebuild(), down="a1")
    must(project, "upgrade")
    client.delete("vecmigrate:owners")
    must(project, "heal")
    assert client.hgetall("vecmigrate:owners") == {b"idx:cat@a1": b"default", b"idx:cat@b2": b"default"}
    must(project, "complete")
    assert names(client) == {"idx:cat@b2"}
    tidy(project, client)
