"""Commands that an error suggests are run in that very situation: they mend it, or harm nothing."""

from __future__ import annotations

import re

import pytest

from tests import owned
from tests.owned import CREATE, DIFFERENT, KEYS, at, fill, must, names, plain, rebuild, tidy

QUICK = ("--verify", "counts")


@pytest.fixture
def made(project, client):
    """An index and a rebuild of it, applied."""
    project.script("a1", CREATE)
    project.script("b2", rebuild(), down="a1")
    fill(client)
    must(project, "upgrade")
    return project


def commands(text):
    """What stands between backticks, as words of a command line."""
    return [found.split() for found in re.findall(r"`vecmigrate ([^`]+)`", text)]


def gone(client):
    client.execute_command("FT.DROPINDEX", "idx:cat@b2")


def hidden(client):
    plain(client, "idx:cat", *DIFFERENT)


def kept_gone(client):
    client.execute_command("FT.DROPINDEX", "idx:cat@a1")


def nothing(client):
    pass


# The situation, the command that fails in it, and the commands that the error has to name.
CASES = [
    (gone, "upgrade", ["heal"]),
    (hidden, "upgrade", ["heal --drop-different"]),
    (hidden, "rollback cat --accept-broken-readers", ["heal --drop-different"]),
    (hidden, "downgrade a1", ["heal --drop-different"]),
]


@pytest.mark.parametrize(("situation", "words", "ways"), CASES)
def test_the_way_out_works(made, client, situation, words, ways):
    situation(client)
    ran = made(*words.split())
    assert ran.code != 0
    named = commands(ran.last)
    assert named == [way.split() for way in ways], ran.last
    for way in named:
        must(made, *way)
    must(made, *words.split()) if words != "rollback" else None
    must(made, "heal")
    tidy(made, client)


@pytest.mark.parametrize(
    "change",
    [
        "op.alter_index('cat', add={'colour': {'type': 'tag'}})",
        "op.set_aliases('cat', ['idx:tom'])",
    ],
)
def test_a_step_over_an_index_that_is_gone(made, client, change):
    made.script("c3", change, down="b2")
    gone(client)
    ran = made("upgrade")
    assert ran.code == 6
    assert commands(ran.last) == [["heal"]]
    must(made, "heal")
    must(made, "upgrade")
    tidy(made, client)


@pytest.mark.parametrize(
    "change", [rebuild("ip"), "op.rename_index('cat', index_name='idx:f')", "op.complete('cat')"]
)
def test_a_step_that_can_do_without(made, client, change):
    made.script("c3", change, down="b2")
    gone(client)
    made("upgrade", *QUICK)
    must(made, "heal")
    must(made, "upgrade", *QUICK)
    tidy(made, client)


def test_a_lease_that_is_held(made, client):
    client.hset(
        KEYS.lease, mapping={"id": "9:somebody", "token": 9, "who": "x", "host": "elsewhere", "pid": 1}
    )
    client.pexpire(KEYS.lease, 60_000)
    ran = made("heal")
    assert ran.code == 4
    assert "unlock --force" in ran.last
    must(made, "unlock", "--force")
    must(made, "heal")
    tidy(made, client)


def test_a_script_that_was_changed(made, client):
    made.script("b2", rebuild("ip"), down="a1")
    ran = made("upgrade")
    assert ran.code == 5
    assert "--accept-changed" in ran.last
    must(made, "upgrade", "--accept-changed")
    assert at(client, "idx:cat") == "idx:cat@b2"


def test_a_revision_from_nowhere(made, client):
    made.script("z1", "create(op, 'dog')")
    made.script("m1", "pass", down=("b2", "z1"))
    must(made, "upgrade")
    for name in ("z1", "m1"):
        (made.folder / "migrations" / f"{name}.py").unlink()
    ran = made("upgrade")
    assert ran.code == 5
    assert "`namespace`" in ran.last
    # "otherwise bring the script back"
    made.script("z1", "create(op, 'dog')")
    made.script("m1", "pass", down=("b2", "z1"))
    must(made, "upgrade")
    tidy(made, client)


def test_downgrade_over_a_ledger_that_is_ahead(made, client):
    made.script("c3", "op.run(f)", down="b2", top="def f(client, progress, cursor):\n    raise ValueError\n")
    assert made("upgrade").code == 6
    (made.folder / "migrations" / "c3.py").unlink()
    ran = made("downgrade", "a1")
    assert ran.code == 5
    assert "`vecmigrate abandon`" in ran.last
    must(made, "abandon", "c3")
    must(made, "downgrade", "a1", *QUICK)
    tidy(made, client)


def test_an_alias_that_holds_a_kept_index(made, client):
    client.execute_command("FT.ALIASUPDATE", "idx:cat", "idx:cat@a1")
    ran = made("complete")
    assert ran.code == 1
    assert "FT.ALIASUPDATE idx:cat" in ran.last
    client.execute_command("FT.ALIASUPDATE", "idx:cat", "idx:cat@b2")
    must(made, "complete")
    tidy(made, client)


def test_an_alias_that_leads_to_somebody_elses_index(made, client):
    plain(client, "mine")
    client.execute_command("FT.ALIASUPDATE", "idx:cat", "mine")
    made.script("c3", rebuild("ip"), down="b2")
    ran = made("upgrade", *QUICK)
    assert ran.code == 6
    assert "FT.ALIASDEL idx:cat" in ran.last
    assert at(client, "idx:cat") == "mine"
    client.execute_command("FT.ALIASDEL", "idx:cat")
    must(made, "upgrade", *QUICK)
    assert at(client, "idx:cat") == "idx:cat@c3"
    assert "mine" in names(client)
    assert owned.count(client) == 4
