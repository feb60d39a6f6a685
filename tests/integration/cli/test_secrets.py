"""A password is never printed and never written, whatever goes right or wrong."""

from __future__ import annotations

import contextlib
import itertools

import pytest
import redis

from tests.project import everything

SECRET = "s3cret-Passw0rd"
COMMANDS = [
    ["status"],
    ["status", "--format", "json"],
    ["upgrade", "--dry-run"],
    ["upgrade"],
    ["upgrade", "--format", "json"],
    ["current", "-v"],
    ["current", "--format", "json"],
    ["history", "-i", "-v"],
    ["show", "current"],
    ["rejects"],
    ["rejects", "--format", "json"],
    ["unlock"],
    ["downgrade", "-1"],
    ["stamp", "head", "--format", "json"],
    ["downgrade", "base"],
]


@pytest.fixture(params=["requirepass", "user"])
def guarded(request, own_server, project):
    """A server that wants a password; its URL with {} for it, and a client that has it."""
    server = own_server()
    user = "" if request.param == "requirepass" else "bob"
    with redis.Redis.from_url(server.url) as client:
        if user:
            client.execute_command("ACL", "SETUSER", user, "on", f">{SECRET}", "~*", "&*", "+@all")
            client.execute_command("ACL", "SETUSER", "default", "resetpass", "off")
        else:
            client.config_set("requirepass", SECRET)
    form = f"redis://{user}:{{}}@127.0.0.1:{server.port}/0"
    with contextlib.closing(redis.Redis.from_url(form.format(SECRET))) as client:
        yield form, client


@pytest.fixture
def filled(project, guarded):
    """Migrations with a backfill that sets aside, and a step that fails once."""
    _, client = guarded
    client.hset("cats", mapping={"tom": "[1, 0]", "bad": "[1"})
    top = """
    def once(client, progress, cursor):
        if not client.set("tried", 1, nx=True):
            return
        raise RuntimeError(f"failed on {client.connection_pool.connection_kwargs['host']}")
    """
    project.script("a1", "create(op)")
    project.script(
        "b1",
        "op.backfill_legacy_hash('cat', embeddings_key='cats', metadata_key='m')\nop.run(once, undo=once)",
        down="a1",
        top=top,
    )
    return project


@pytest.mark.parametrize("place", ["option", "environment", "configuration"])
def test_no_output_and_no_entry_of_the_ledger_holds_it(filled, guarded, monkeypatch, place):
    form, client = guarded
    url = form.format(SECRET)
    before: list[str] = []
    if place == "option":
        before = ["--redis", url]
    elif place == "environment":
        monkeypatch.setenv("VECMIGRATE_REDIS_URL", url)
    else:
        monkeypatch.delenv("REDIS_URL")
        filled.configure(f'redis = "{url}"\n')
    codes = []
    for options, words in itertools.product([["-vv", "--debug"], ["-q"], []], COMMANDS):
        ran = filled(*before, *options, *words)
        codes.append(ran.code)
        assert SECRET not in ran.out, words
        assert SECRET not in ran.err, words
        assert ran.code in (0, 6), (words, ran.err)
    assert codes.count(6) >= 1  # the step that fails once did
    assert SECRET not in everything(client)
    assert "cats" in everything(client, "vecmigrate:*") or client.exists("vecmigrate:{default}:log")


@pytest.mark.parametrize("words", [["status"], ["upgrade"], ["current", "--format", "json"]])
def test_a_wrong_password_is_told_in_one_line_without_it(filled, guarded, words):
    form, client = guarded
    ran = filled("--redis", form.format("wr0ng-Password"), *words)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.count("\n") == 1
    assert "wr0ng" not in ran.err
    assert "refuses us" in ran.err
    assert "put user and password into the URL" in ran.err
    assert client.exists("vecmigrate:{default}:fence") == 0


@pytest.mark.parametrize("protocol", [2, 3])
def test_no_password_is_told_in_one_line(filled, guarded, protocol):
    form, _ = guarded
    ran = filled("--redis", f"redis://{form.rpartition('@')[2]}?protocol={protocol}", "upgrade")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.count("\n") == 1
    assert "wants a password" in ran.err
    assert "Traceback" not in ran.err


def test_a_password_where_none_is_wanted_is_told_too(project, own_server):
    ran = project("--redis", f"redis://:{SECRET}@127.0.0.1:{own_server().port}?protocol=2", "status")
    assert (ran.code, ran.out) == (1, "")
    assert "knows no password" in ran.err
    assert SECRET not in ran.err


@pytest.mark.parametrize("password", ["s3cret/Passw0rd", "s3cret#Passw0rd", "s3cret?Passw0rd"])
def test_a_password_that_breaks_the_url_is_not_shown_for_it(project, password):
    for options in ([], ["--debug"], ["-vv"]):
        ran = project("--redis", f"redis://:{password}@127.0.0.1:6379/0", *options, "status")
        assert ran.code == 2
        assert "percent-encoded" in ran.last
        assert "Passw0rd" not in ran.out + ran.err
        assert "s3cret" not in ran.out + ran.err


def test_a_user_who_may_not_do_all_that_is_needed(filled, own_server):
    server = own_server()
    with redis.Redis.from_url(server.url) as client:
        client.execute_command("ACL", "SETUSER", "eve", "on", f">{SECRET}", "~*", "+@read", "+info", "+hello")
    ran = filled("--redis", f"redis://eve:{SECRET}@127.0.0.1:{server.port}/0", "upgrade")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.count("\n") == 1
    assert "does not allow this user all that is needed" in ran.err
    assert SECRET not in ran.err
