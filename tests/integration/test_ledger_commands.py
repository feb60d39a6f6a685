"""ensure-version, and what `current` says of heads."""

from __future__ import annotations

import json

import pytest
import redis

from vecmigrate import __version__
from vecmigrate.cli import run

SCRIPT = '''\
"""{message}

Why it is so.
"""

revision = "{revision}"
down_revision = {down}


def upgrade(op):
    op.execute("SET", "{revision}", "1", undo=("DEL", "{revision}"))


def downgrade(op):
    op.revert(upgrade)
'''


@pytest.fixture
def cli(tmp_path, monkeypatch, capsys, emptied_url: str):
    """a1 ── b1 and c1 on a1."""
    (tmp_path / "migrations").mkdir()
    for revision, down, message in (("a1", None, "first"), ("b1", "a1", "left"), ("c1", "a1", "right")):
        text = SCRIPT.format(revision=revision, down=repr(down), message=message)
        (tmp_path / "migrations" / f"{revision}.py").write_text(text)
    (tmp_path / "vecmigrate.toml").write_text('namespace = "here"\n')
    monkeypatch.delenv("VECMIGRATE_REDIS_URL", raising=False)
    monkeypatch.setenv("REDIS_URL", emptied_url)
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run(words)
        out, err = capsys.readouterr()
        return code, out, err

    return call


def test_ensure_version_makes_the_ledger_once_and_runs_nothing(cli, client: redis.Redis):
    code, out, err = cli("ensure-version")
    assert (code, err) == (0, "")
    assert out.startswith("made the ledger here in redis://")
    names = [b"vecmigrate:{here}:fence", b"vecmigrate:{here}:log", b"vecmigrate:{here}:meta"]
    assert sorted(client.keys()) == names
    assert client.hgetall("vecmigrate:{here}:meta") == {
        b"format": b"2",
        b"written_by": __version__.encode(),
    }
    [(_, entry)] = client.xrange("vecmigrate:{here}:log")
    assert entry[b"event"] == b"ledger made"
    code, out, _ = cli("ensure-version", "--format", "json")
    assert (code, json.loads(out)["created"]) == (0, False)
    assert client.xlen("vecmigrate:{here}:log") == 1
    assert cli("current") == (0, "", "no revision is applied\n")
    assert cli("-q", "upgrade", "heads")[0] == 0


def test_ensure_version_waits_for_whoever_is_at_work(cli, client: redis.Redis):
    client.hset("vecmigrate:{here}:lease", mapping={"id": "1:x", "token": 1, "who": "me", "host": "there",
                "pid": 1, "since": "", "command": "upgrade", "machine": ""})  # fmt: skip
    client.pexpire("vecmigrate:{here}:lease", 60_000)
    code, _, err = cli("ensure-version")
    assert code == 4
    assert "another runner is at work" in err


def test_check_heads_wants_all_of_them(cli):
    assert cli("current", "--check-heads")[0] == 3
    cli("-q", "upgrade", "b1")
    code, out, err = cli("current", "--check-heads")
    assert (code, out, err) == (3, "b1 (head), left\n", "not on all heads: c1 is not applied\n")
    cli("-q", "upgrade", "heads")
    code, out, _ = cli("current", "--check-heads")
    assert (code, out) == (0, "b1 (head), left\nc1 (head), right\n")


def test_current_verbose_shows_everything_about_each(cli):
    cli("-q", "upgrade", "b1")
    code, out, err = cli("current", "-v")
    assert code == 0
    assert "namespace here" in err
    lines = out.splitlines()
    assert lines[0] == "Rev: b1 (head) (current)"
    assert "Parent: a1" in lines
    assert "Path: migrations/b1.py" in lines
    assert "    Why it is so." in lines


def test_history_marks_what_is_current_and_takes_a_span(cli):
    cli("-q", "upgrade", "b1")
    code, out, _ = cli("history", "-r", "a1:b1", "-i")
    assert (code, out) == (
        0,
        "a1 -> b1 (head) (current), left\n<base> -> a1 (branch point), first\n",
    )
    code, out, _ = cli("history", "-r", ":current", "-i", "-v")
    assert code == 0
    assert out.startswith("Rev: b1 (head) (current)\nParent: a1\n")
    assert [line for line in out.splitlines() if line.startswith("Rev: ")] == [
        "Rev: b1 (head) (current)",
        "Rev: a1 (branch point)",
    ]
