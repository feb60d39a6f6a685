"""Releases overlap: an older one on a newer ledger, and revisions whose script was withdrawn."""

from __future__ import annotations

import pytest

from tests import owned
from tests.owned import CREATE, at, count, fill, kept, must, names, owners, rebuild, status, tidy

BACK = ("rollback", "--accept-broken-readers")


@pytest.fixture
def made(project, client):
    """An index, applied."""
    project.script("a1", CREATE)
    fill(client)
    must(project, "upgrade")
    return project


def withdraw(project, *revisions):
    for name in revisions:
        (project.folder / "migrations" / f"{name}.py").unlink()


class TestOlderRelease:
    @pytest.fixture
    def older(self, made):
        """What runs here lacks the two revisions that the ledger has."""
        made.script("b2", rebuild(), down="a1")
        made.script("c3", "create(op, 'dog')", down="b2")
        must(made, "upgrade")
        withdraw(made, "b2", "c3")
        return made

    @pytest.mark.parametrize("words", ["upgrade", "upgrade --dry-run", "upgrade a1", "heal", "complete"])
    def test_it_goes_on_with_a_warning(self, older, client, words):
        ran = must(older, *words.split())
        if words.startswith("upgrade"):
            assert "the ledger is ahead" in ran.out + ran.err
            assert "c3" in ran.out + ran.err
        assert at(client, "idx:cat") == "idx:cat@b2"
        assert at(client, "idx:dog") == "idx:dog@c3"

    def test_status_and_current_say_so(self, older, client):
        must(older, "status")
        ran = must(older, "current")
        assert "ahead" in ran.out
        (one,) = older("current", "--format", "json").json["revisions"]
        assert (one["revision"], one["ahead"]) == ("c3", True)

    @pytest.mark.parametrize("words", ["downgrade base", "downgrade a1", "stamp a1", "stamp base", "drift"])
    def test_what_needs_the_scripts_is_refused(self, older, client, words):
        ran = older(*words.split())
        assert ran.code == 5
        assert "the ledger is ahead" in ran.last
        assert status(client, "b2") == status(client, "c3") == "applied"
        assert at(client, "idx:cat") == "idx:cat@b2"

    def test_the_rebuild_of_the_newer_one_can_be_rolled_back(self, older, client):
        must(older, *BACK)
        assert at(client, "idx:cat") == "idx:cat@a1"
        must(older, "upgrade")
        assert at(client, "idx:cat") == "idx:cat@a1"
        older.script("b2", rebuild(), down="a1")
        older.script("c3", "create(op, 'dog')", down="b2")
        must(older, "upgrade")
        assert at(client, "idx:cat") == "idx:cat@a1"
        must(older, "upgrade", "--release")
        assert at(client, "idx:cat") == "idx:cat@b2"
        tidy(older, client)

    def test_a_hidden_alias_of_the_newer_one_is_mended(self, older, client):
        owned.plain(client, "idx:dog", prefix="dog:")
        must(older, "upgrade")
        assert at(client, "idx:dog") == "idx:dog@c3"

    def test_an_index_of_the_newer_one_that_is_gone_is_for_that_one(self, older, client):
        client.execute_command("FT.DROPINDEX", "idx:dog@c3")
        ran = older("heal")
        assert ran.code == 1
        assert "from the release that applied them" in ran.last
        older.script("b2", rebuild(), down="a1")
        older.script("c3", "create(op, 'dog')", down="b2")
        must(older, "heal")
        tidy(older, client)

    def test_something_else_pending_is_refused(self, older, client):
        older.script("x9", "create(op, 'cow')", down="a1")
        ran = older("upgrade")
        assert ran.code == 5
        assert "upgrade from a release that has all of these scripts" in ran.last
        assert "idx:cow" not in str(names(client))

    def test_abandon_is_refused_for_what_is_applied(self, older, client):
        for name in ("b2", "c3"):
            ran = older("abandon", name)
            assert ran.code == 1
            assert "is applied, and not half-done" in ran.last
            assert status(client, name) == "applied"


class TestWithdrawn:
    @pytest.fixture
    def stopped(self, made, client):
        """A revision that rebuilt an index and stopped at the next step; its script is gone."""
        made.script(
            "b2",
            rebuild() + "\nop.run(fail)",
            down="a1",
            top="def fail(client, progress, cursor):\n    raise ValueError\n",
        )
        assert made("upgrade").code == 6
        withdraw(made, "b2")
        assert at(client, "idx:cat") == "idx:cat@b2"
        return made

    def test_an_older_pod_starts_with_a_warning(self, stopped, client):
        ran = must(stopped, "upgrade")
        assert "b2" in ran.out + ran.err
        assert "b2" in stopped("status").out

    def test_with_something_pending_it_names_abandon_which_mends_it(self, stopped, client):
        stopped.script("c3", "create(op, 'dog')", down="a1")
        ran = stopped("upgrade")
        assert ran.code == 5
        assert "`vecmigrate abandon b2`" in ran.last
        must(stopped, "abandon", "b2")
        assert at(client, "idx:cat") == "idx:cat@a1"
        assert names(client) == {"idx:cat@a1"}
        must(stopped, "upgrade")
        tidy(stopped, client)

    def test_or_its_script_is_brought_back(self, stopped, client):
        stopped.script("b2", rebuild(), down="a1")
        must(stopped, "upgrade")
        tidy(stopped, client)

    def test_abandon_is_refused_while_the_script_is_there(self, stopped, client):
        stopped.script("b2", rebuild(), down="a1")
        ran = stopped("abandon", "b2")
        assert ran.code == 1
        assert "`vecmigrate downgrade`" in ran.last
        must(stopped, "downgrade", "a1")
        tidy(stopped, client)
        assert at(client, "idx:cat") == "idx:cat@a1"

    def test_a_revision_that_nobody_knows(self, made):
        ran = made("abandon", "nope")
        assert ran.code == 1
        assert "`vecmigrate status`" in ran.last

    def test_one_that_was_rolled_back(self, made, client):
        made.script("b2", rebuild(), down="a1")
        must(made, "upgrade")
        must(made, *BACK)
        withdraw(made, "b2")
        must(made, "upgrade")
        must(made, "abandon", "b2")
        assert names(client) == {"idx:cat@a1"}
        assert kept(client) == {}
        assert owners(client) == {"idx:cat@a1": "default"}
        tidy(made, client)

    def test_a_downgrade_that_stopped(self, made, client, monkeypatch):
        for number in range(40):
            owned.wipe(client)
            fill(client)
            made.script("b2", rebuild(), down="a1")
            must(made, "upgrade", "--verify", "counts")
            with owned.killed_at(monkeypatch, number):
                if made("downgrade", "a1").code == 0:
                    return
            withdraw(made, "b2")
            if status(client, "b2") == "applied":
                continue
            must(made, "abandon", "b2")
            assert at(client, "idx:cat") == "idx:cat@a1", number
            assert count(client) == 4
            tidy(made, client, note=number)
        pytest.fail("it never came to an end")
