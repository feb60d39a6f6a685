"""Killed before each of its writes, and then sent on or another way: it ends as if nothing had happened."""

from __future__ import annotations

import pytest

from tests import owned
from tests.owned import CREATE, at, fill, kept, kills, must, names, rebuild, status, tidy, wipe

FIRST = CREATE + "\ncreate(op, 'cat2')"
# A field that was added stays in the index, unused.
SAID = ("colour",)
QUICK = ("--verify", "counts")
# What the second revision does, over an index that the first one made.
SECOND = {
    "create": "create(op, 'dog')",
    "create unpublished": "create(op, 'dog', publish=False)\nop.publish_index('dog')",
    "rebuild": rebuild(),
    "two rebuilds": rebuild() + "\n" + rebuild(name="cat2"),
    "rename": "op.rename_index('cat', to='feline', index_name='idx:feline')",
    "rename the spec": "op.rename_index('cat', to='feline')",
    "rename the alias": "op.rename_index('cat', index_name='idx:feline')",
    "drop": "op.drop_index('cat')",
    "alter": "op.alter_index('cat', add={'colour': {'type': 'tag'}})",
    "aliases": "op.set_aliases('cat', ['idx:kitten', 'idx:tom'])",
    "rename and rebuild": "op.rename_index('cat', index_name='idx:feline')\n" + rebuild(),
    "rebuild and complete": rebuild() + "\nop.complete('cat')",
    "drop and create": "op.drop_index('cat')\ncreate(op)",
}


@pytest.fixture
def prepared(project, client):
    """Prepares the first revision, applied, and the second, pending."""

    def prepare(body: str, *, applied: bool = False) -> None:
        wipe(client)
        project.script("a1", FIRST)
        project.script("b2", body, down="a1")
        fill(client)
        fill(client, prefix="cat2:")
        must(project, "upgrade", *([] if applied else ["a1"]), *QUICK)

    return prepare


@pytest.mark.crash
@pytest.mark.parametrize("name", SECOND)
def test_an_upgrade_is_killed_and_run_again(project, client, monkeypatch, prepared, name):
    for number in kills(monkeypatch, lambda: prepared(SECOND[name]), lambda: project("upgrade", *QUICK)):
        must(project, "upgrade", *QUICK)
        tidy(project, client, note=number, said=SAID)
        must(project, "downgrade", "a1", *QUICK)
        tidy(project, client, note=number, said=SAID)
        assert at(client, "idx:cat"), number


@pytest.mark.crash
@pytest.mark.parametrize("name", SECOND)
def test_an_upgrade_is_killed_and_taken_back(project, client, monkeypatch, prepared, name):
    for number in kills(monkeypatch, lambda: prepared(SECOND[name]), lambda: project("upgrade", *QUICK)):
        must(project, "downgrade", "a1", *QUICK)
        tidy(project, client, note=number, said=SAID)
        assert owned.count(client) == 4, number
        assert set(owned.records(client)) == {"cat", "cat2"}, number
        must(project, "upgrade", *QUICK)
        tidy(project, client, note=number, said=SAID)


@pytest.mark.crash
@pytest.mark.parametrize("name", SECOND)
def test_a_downgrade_is_killed_and_run_again_or_turned_back(project, client, monkeypatch, prepared, name):
    for number in kills(
        monkeypatch,
        lambda: prepared(SECOND[name], applied=True),
        lambda: project("downgrade", "a1", *QUICK),
    ):
        if number % 2:
            must(project, "upgrade", *QUICK)
            tidy(project, client, note=number, said=SAID)
            assert status(client, "b2") == "applied"
        must(project, "downgrade", "a1", *QUICK)
        tidy(project, client, note=number, said=SAID)
        assert owned.count(client) == 4
        must(project, "downgrade", "base", *QUICK)
        assert names(client) == set(), number
        assert owned.owners(client) == {}, number


@pytest.mark.crash
@pytest.mark.parametrize("then", ["upgrade", "downgrade", "rollback"])
def test_a_rollback_is_killed_and_sent_on(project, client, monkeypatch, prepared, then):
    for number in kills(
        monkeypatch,
        lambda: prepared(SECOND["rebuild"], applied=True),
        lambda: project("rollback", "--accept-broken-readers"),
    ):
        assert at(client, "idx:cat") == "idx:cat@b2", number
        if then == "rollback":
            must(project, "rollback", "--accept-broken-readers")
            tidy(project, client, note=number, said=SAID)
            assert at(client, "idx:cat") == "idx:cat@a1"
            must(project, "upgrade", "--release", *QUICK)
        elif then == "upgrade":
            must(project, "upgrade", *QUICK)
        else:
            must(project, "downgrade", "a1", *QUICK)
        tidy(project, client, note=number, said=SAID)


@pytest.mark.crash
@pytest.mark.parametrize("then", ["upgrade", "downgrade", "complete", "abandon"])
def test_an_upgrade_of_a_held_revision_is_killed_and_sent_on(project, client, monkeypatch, prepared, then):
    def prepare() -> None:
        prepared(SECOND["rebuild"], applied=True)
        must(project, "rollback", "--accept-broken-readers")

    for number in kills(monkeypatch, prepare, lambda: project("upgrade", "--release", *QUICK)):
        if then == "upgrade":
            must(project, "upgrade", "--release", *QUICK)
            assert at(client, "idx:cat") == "idx:cat@b2"
        elif then == "downgrade":
            must(project, "downgrade", "a1", *QUICK)
            assert at(client, "idx:cat") == "idx:cat@a1"
        elif then == "complete":
            if kept(client):
                must(project, "complete")
            assert owned.count(client) == 4
            must(project, "upgrade", "--release", *QUICK)
        else:
            (project.folder / "migrations" / "b2.py").unlink()
            if status(client, "b2") != "applied":
                must(project, "abandon", "b2")
            assert at(client, "idx:cat") == "idx:cat@a1", number
        tidy(project, client, note=number, said=SAID)


@pytest.mark.crash
@pytest.mark.parametrize("name", SECOND)
def test_a_withdrawn_revision_that_was_killed_is_abandoned(project, client, monkeypatch, prepared, name):
    for number in kills(monkeypatch, lambda: prepared(SECOND[name]), lambda: project("upgrade", *QUICK)):
        (project.folder / "migrations" / "b2.py").unlink()
        if status(client, "b2") is not None:
            must(project, "abandon", "b2")
        assert status(client, "b2") is None
        if at(client, "idx:cat") is None:
            assert project("upgrade").code == 1
            must(project, "heal")
        # Where the index that was replaced went already, the new one has to stay.
        tidy(project, client, note=number, said=(*SAID, "DISTANCE_METRIC") if "complete" in name else SAID)
        assert owned.count(client) == 4, number
        assert set(owned.records(client)) == {"cat", "cat2"}, number
        # And the project goes on from there, another way.
        project.script("c3", rebuild("ip"), down="a1")
        must(project, "upgrade", *QUICK)
        must(project, "complete") if kept(client) else None
        tidy(project, client, note=number, said=SAID)
        assert owned.count(client) == 4, number
        (project.folder / "migrations" / "c3.py").unlink()


@pytest.mark.crash
@pytest.mark.parametrize("then", ["heal", "upgrade"])
def test_a_heal_is_killed_and_run_again(project, client, monkeypatch, prepared, then):
    def prepare() -> None:
        prepared(SECOND["two rebuilds"], applied=True)
        client.execute_command("FLUSHDB") if False else None
        for name in names(client):
            client.execute_command("FT.DROPINDEX", name)

    for number in kills(monkeypatch, prepare, lambda: project("heal")):
        if then == "upgrade":
            project("upgrade")
        must(project, "heal")
        tidy(project, client, note=number, said=SAID)
        assert owned.count(client) == owned.count(client, "idx:cat2") == 4, number
