"""op.execute: sent once, as it was written, and never where it would do harm."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import vecmigrate as package
from tests.project import content, everything
from vecmigrate.runtime.keys import LedgerKeys

KEYS = LedgerKeys("default")
KILLED = """
import os, signal
from vecmigrate.runtime.ledger import Step

put = Step.put

def put_and_die(self, values, *commands):
    put(self, values, *commands)
    if "stage" in values:
        os.kill(os.getpid(), signal.SIGKILL)

Step.put = put_and_die
from vecmigrate.cli import main
main()
"""


def killed_after_sending(*words: str) -> None:
    """Run a command line that is killed between sending a command of op.execute and the step's end."""
    environment = {**os.environ, "PYTHONPATH": str(Path(package.__file__).parent.parent)}
    ran = subprocess.run(
        [sys.executable, "-c", KILLED, *words], env=environment, capture_output=True, check=False
    )
    assert ran.returncode == -signal.SIGKILL, ran.stderr


def test_a_runner_that_was_killed_does_not_send_it_twice(project, client):
    project.script("a1", "op.execute('INCR', 'n', undo=('INCRBY', 'n', 10))")
    killed_after_sending("upgrade")
    assert client.get("n") == b"1"
    assert project("status", "--format", "json").json["partial"][0]["values"]["stage"] == "executed"
    ran = project("upgrade")
    assert ran.code == 0, ran.err
    assert client.get("n") == b"1"
    killed_after_sending("downgrade", "base")
    assert client.get("n") == b"11"
    # Sent the other way again: the upgrade is to be done anew.
    assert project("upgrade").code == 0
    assert client.get("n") == b"12"
    assert project("downgrade", "base").code == 0
    assert client.get("n") == b"22"
    assert project("upgrade").code == 0
    assert client.get("n") == b"23"


def test_a_changed_command_is_another_step(project, client):
    project.script("a1", "op.execute('INCR', 'n')")
    killed_after_sending("upgrade")
    project.script("a1", "op.execute('INCRBY', 'n', 5)")
    assert project("upgrade").code == 0
    assert client.get("n") == b"6"


def test_bytes_and_floats_arrive_as_they_are(project, client):
    project.script(
        "a1",
        "op.execute('HSET', 'h', 'v', b'\\x00\\xff\\r\\n', 'f', 0.1, 'i', 7, undo=('HDEL', 'h', b'v'))\n"
        "op.execute(b'SET', b'\\xfe', b'')",
        downgrade="op.execute('DEL', b'\\xfe')",
    )
    ran = project("upgrade")
    assert ran.code == 0, ran.err
    assert client.hgetall("h") == {b"v": b"\x00\xff\r\n", b"f": b"0.1", b"i": b"7"}
    assert client.get(b"\xfe") == b""
    assert project("downgrade", "base").code == 0
    assert not client.exists(b"\xfe")


@pytest.mark.parametrize(
    "words", ["'FLUSHALL'", "'multi'", "'BLPOP', 'k', 0", "'SET k 1'", "'SET', 'k', True"]
)
def test_what_is_refused_names_the_line_and_touches_nothing(project, client, words):
    for body in (f"op.execute({words})", f"op.execute('PING', undo=({words},))"):
        path = project.script("a1", body)
        before = content(client)
        for command in (["upgrade"], ["upgrade", "--dry-run"]):
            ran = project(*command)
            assert (ran.code, ran.out) == (1, "")
            line = path.read_text().splitlines().index(f"    {body}") + 1
            assert ran.err.startswith(f"vecmigrate: error: migrations/a1.py:{line}: ")
            assert ran.err.count("\n") == 1
        assert content(client) == before


@pytest.mark.parametrize(
    "words",
    [
        "'HSET', 'user', 'password', 'hunter2'",
        "'NOSUCH', 'password', 'hunter2'",
        "'CONFIG', 'SET', 'no-such-setting', 'password=hunter2'",
        "'FT.SEARCH', 'none', 'password=hunter2'",
        "'INCRBY', 'password', 'hunter2'",
    ],
)
def test_secrets_stay_out_of_everything_that_is_said_and_kept(project, client, words):
    project.script("a1", f"op.execute({words})", downgrade=None)
    said = ""
    for command in (
        ["upgrade", "--dry-run"],
        ["upgrade", "--dry-run", "--format", "json"],
        ["upgrade"],
        ["--debug", "upgrade"],
        ["-vv", "upgrade", "--format", "json"],
        ["status"],
        ["status", "--format", "json"],
    ):
        ran = project(*command)
        said += ran.out + ran.err
    assert "hunter2" not in said
    assert "***" in said
    assert "hunter2" not in everything(client, "vecmigrate:*")


def test_what_an_unknown_command_was_given_is_not_repeated(project, client):
    project.script("a1", "op.execute('NOSUCH', 'a', 'b')\nop.run(work)", top=(
        "def work(client, progress, cursor):\n    client.execute_command('NOSUCH', 'first', 'second')"
    ))  # fmt: skip
    assert project("upgrade").code == 6
    project.script("a1", "op.run(work)", top=(
        "def work(client, progress, cursor):\n    client.execute_command('NOSUCH', 'first', 'second')"
    ))  # fmt: skip
    ran = project("upgrade")
    assert ran.code == 6
    assert "unknown command 'NOSUCH'" in ran.last
    assert "first" not in ran.err + everything(client, "vecmigrate:*")


def test_thousands_of_words(project, client):
    project.script("a1", "op.execute('RPUSH', 'list', *range(6998))")
    ran = project("upgrade")
    assert ran.code == 0, ran.err
    assert client.llen("list") == 6998


def test_a_script_may_carry_several_commands(project, client):
    lua = 'redis.call("SET", KEYS[1], 1) return redis.call("INCR", KEYS[1])'
    project.script("a1", f"op.execute('EVAL', '{lua}', 1, 'k')")
    ran = project("upgrade")
    assert ran.code == 0, ran.err
    assert client.get("k") == b"2"
