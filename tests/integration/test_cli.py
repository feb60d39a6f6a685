"""The commands that need a server, as a user types them: text, JSON, exit codes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis

import vecmigrate as package
from vecmigrate.cli import run

FIRST = '''\
"""Create the index of cats"""

from __future__ import annotations

from vecmigrate.operations import Recorder

revision = "a1"
down_revision = None

FIELDS = {"embedding": {"type": "vector", "dims": 2, "metric": "cosine"}, "meta": {"type": "json"}}


def upgrade(op: Recorder) -> None:
    op.create_index("cat", index={"name": "idx:cat", "prefix": "cat:"}, key="cat_id", fields=FIELDS)


def downgrade(op: Recorder) -> None:
    op.revert(upgrade)
'''

SECOND = '''\
"""Fill the index of cats"""

from __future__ import annotations

from vecmigrate.operations import Recorder

revision = "b1"
down_revision = "a1"


def upgrade(op: Recorder) -> None:
    source = op.variable("source", default="cats")
    op.backfill_legacy_hash("cat", embeddings_key=source, metadata_key="cats_meta")


def downgrade(op: Recorder) -> None:
    op.revert(upgrade)
'''

SLOW = '''\
"""Take a while"""

from __future__ import annotations

import time

revision = "c1"
down_revision = "b1"


def wait(client, progress, cursor):
    client.set("waiting", 1)
    time.sleep(30)


def upgrade(op):
    op.run(wait)
'''


@pytest.fixture
def project(tmp_path, monkeypatch, client, redis_url):
    """Two migrations, three cats of which one is damaged, and a server."""
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "a1_create.py").write_text(FIRST)
    (folder / "b1_fill.py").write_text(SECOND)
    (tmp_path / "vecmigrate.toml").write_text('namespace = "cats"\n')
    client.hset("cats", mapping={"tom": "[1, 0]", "kit": "[0, 1]", "bad": "[1"})
    monkeypatch.delenv("VECMIGRATE_REDIS_URL", raising=False)
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def cli(project, capsys):
    def call(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run(words)
        out, err = capsys.readouterr()
        return code, out, err

    return call


def test_upgrade_tells_what_it_did_and_the_next_has_nothing_to_do(cli, client):
    code, out, err = cli("upgrade")
    assert code == 0, err
    told = r"applied a1 in .+: Create the index of cats\n  create_index cat  .+, created, 0 documents\n"
    assert re.match(told, out)
    assert out.endswith("current: b1\n")
    assert "1 set aside" in out
    assert "upgrade b1: Fill the index of cats" in err
    assert client.exists("cat:tom", "cat:kit") == 2
    assert cli("upgrade") == (0, "nothing to upgrade\ncurrent: b1\n", "")


def test_quiet_says_nothing_on_stderr(cli):
    code, out, err = cli("-q", "upgrade")
    assert (code, err) == (0, "")
    assert "applied b1" in out


def test_json_results_on_stdout_and_events_on_stderr(cli):
    code, out, err = cli("upgrade", "--format", "json")
    assert code == 0
    result = json.loads(out)
    assert (result["direction"], result["current"]) == ("upgrade", ["b1"])
    assert [item["revision"] for item in result["revisions"]] == ["a1", "b1"]
    events = [json.loads(line) for line in err.splitlines()]
    assert {event["event"] for event in events} == {"start", "progress", "message", "finish"}


def test_a_dry_run_prints_commands_and_touches_nothing(cli, client):
    before = sorted(client.keys())
    code, out, _ = cli("upgrade", "--dry-run")
    assert code == 0
    assert out.startswith(
        "# upgrade a1: Create the index of cats\n# step 0: create_index cat\nFT.CREATE idx:cat@a1 "
    )
    assert "HSCAN cats <cursor>" in out
    assert sorted(client.keys()) == before
    planned = json.loads(cli("upgrade", "--dry-run", "--format", "json")[1])
    assert planned["dry_run"] is True
    assert planned["planned"][0]["steps"][0]["commands"][0][0] == "FT.CREATE"


def test_steps_up_and_down(cli):
    assert cli("upgrade", "+1")[1].endswith("current: a1\n")
    assert cli("upgrade", "head")[1].endswith("current: b1\n")
    assert cli("history", "-r", "-1:current")[1].splitlines()[0].startswith("a1 -> b1 (head) (current)")
    assert cli("show", "current-1")[1].startswith("Rev: a1\n")
    code, out, _ = cli("downgrade", "-1")
    assert code == 0
    assert out.startswith("took back b1 in ")
    assert out.endswith("current: a1\n")
    assert cli("downgrade", "base")[1].endswith("current: base\n")
    assert cli("downgrade", "base")[1] == "nothing to downgrade\ncurrent: base\n"
    assert "goes below the base" in cli("downgrade", "-1")[2]


def test_current(cli):
    assert cli("current") == (0, "", "no revision is applied\n")
    cli("upgrade", "a1")
    assert cli("current")[1] == "a1, Create the index of cats\n"
    cli("upgrade")
    assert cli("current")[1] == "b1 (head), Fill the index of cats\n"
    assert json.loads(cli("current", "--format", "json")[1]) == {
        "revisions": [
            {"revision": "b1", "is_head": True, "message": "Fill the index of cats", "ahead": False}
        ]
    }


def test_variables_come_before_the_command(cli, client):
    client.hset("others", "leo", "[1, 1]")
    assert cli("-x", "source=others", "upgrade")[0] == 0
    assert client.keys("cat:*") == [b"cat:leo"]
    code, _, err = cli("-x", "sorce=others", "upgrade")
    assert code != 0
    assert "no migration asks for sorce" in err


def test_rejects_and_their_limit(cli):
    assert cli("rejects") == (0, "", "nothing was set aside\n")
    code, _, err = cli("upgrade", "--max-rejects", "0")
    assert code == 6
    assert "1 of 3 items" in err.splitlines()[-1]
    assert cli("status")[1].count("b1 is partial at step 0 (backfill_legacy_hash cat)") == 1
    assert cli("upgrade", "--max-rejects", "50%")[0] == 0
    _, out, _ = cli("rejects", "b1")
    (line,) = out.splitlines()
    assert line.split("\t")[:4] == ["b1", "0", "cats", "bad"]
    (item,) = json.loads(cli("rejects", "--format", "json")[1])["items"]
    assert item["field"] == "bad"


def test_status(cli, redis_url):
    code, out, _ = cli("status")
    assert code == 0
    rows = dict(line.split(None, 1) for line in out.splitlines() if line and not line.startswith("last"))
    assert rows["namespace"] == "cats"
    assert rows["current"] == "base"
    assert rows["lease"] == "free"
    assert "pending     a1, b1" in out
    cli("upgrade")
    status = json.loads(cli("status", "--format", "json")[1])
    assert (status["current"], status["pending"], status["partial"]) == (["b1"], [], [])
    assert status["lease"] is None
    assert [item["status"] for item in status["revisions"]] == ["applied", "applied"]


def test_namespaces_are_apart(cli):
    cli("upgrade")
    assert cli("--namespace", "other", "current")[2] == "no revision is applied\n"


def test_stamp_writes_the_ledger_alone(cli, client):
    assert cli("stamp", "head")[1] == "stamped a1\nstamped b1\ncurrent: b1\n"
    assert client.execute_command("FT._LIST") == []
    assert cli("stamp", "a1")[1] == "removed b1\ncurrent: a1\n"
    result = json.loads(cli("stamp", "base", "--purge", "--format", "json")[1])
    assert result == {"current": [], "added": [], "removed": ["a1"]}


def test_a_changed_script_is_exit_5_until_it_is_accepted(cli, project):
    cli("upgrade", "a1")
    path = project / "migrations" / "a1_create.py"
    path.write_text(path.read_text() + "# a remark\n")
    code, out, err = cli("upgrade")
    assert (code, out) == (5, "")
    assert err.count("sha256:") == 2
    code, out, _ = cli("upgrade", "--accept-changed", "--dry-run")
    assert code == 0
    assert out.startswith("# would accept the changed script of a1\n# upgrade b1:")
    code, out, _ = cli("upgrade", "--accept-changed")
    assert code == 0
    assert out.startswith("accepted the changed script of a1\n")


class TestAnotherRunner:
    @pytest.fixture
    def other(self, project, client):
        """A runner in a process of its own, in the middle of a step."""
        (project / "migrations" / "c1_slow.py").write_text(SLOW)
        process = subprocess.Popen(
            [sys.executable, "-c", "from vecmigrate.cli import main; main()", "upgrade"],
            env={**os.environ, "PYTHONPATH": str(Path(package.__file__).parent.parent)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 20
        while not client.exists("waiting"):
            assert time.monotonic() < deadline
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        yield process
        process.kill()
        process.communicate()

    def test_a_second_upgrade_is_exit_4_and_names_the_first(self, cli, other):
        code, _, err = cli("upgrade")
        assert code == 4
        assert f"process {other.pid}" in err
        assert cli("upgrade", "--wait", "0.2")[0] == 4
        assert f"process {other.pid}, upgrade" in cli("status")[1]

    def test_unlock_wants_to_be_sure(self, cli, other):
        code, _, err = cli("unlock")
        assert code == 4
        assert "add --force" in err
        code, out, _ = cli("unlock", "--force")
        assert code == 0
        assert f"(process {other.pid}, upgrade)" in out
        assert cli("unlock")[1] == "nobody held the lease\n"

    @pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    def test_a_signal_ends_it_in_order(self, cli, other, number, code):
        other.send_signal(number)
        _, err = other.communicate(timeout=20)
        assert other.returncode == code
        assert "the ledger knows how far it got" in err.splitlines()[-1]
        assert "Traceback" not in err
        status = json.loads(cli("status", "--format", "json")[1])
        assert status["lease"] is None
        assert [item["revision"] for item in status["partial"]] == ["c1"]


class TestServersThatCannotBeUsed:
    def test_no_server(self, cli):
        code, out, err = cli("--redis", "redis://:secret@127.0.0.1:1/0", "status")
        assert (code, out) == (1, "")
        assert err.count("\n") == 1
        assert "127.0.0.1:1" in err
        assert "secret" not in err

    def test_no_url(self, cli, monkeypatch):
        monkeypatch.delenv("REDIS_URL")
        code, _, err = cli("status")
        assert code == 2
        assert "give --redis URL" in err

    def test_what_is_named_first_wins(self, cli, monkeypatch, redis_url):
        monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")
        assert cli("--redis", redis_url, "status")[0] == 0
        assert cli("status")[0] == 1
        monkeypatch.setenv("VECMIGRATE_REDIS_URL", redis_url)
        assert cli("status")[0] == 0

    def test_no_url_at_all(self, cli):
        code, _, err = cli("--redis", "http://x", "status")
        assert code == 2
        assert "no Redis URL" in err


def test_dev_prints_a_url_that_works_and_ends_on_a_signal(own_server, tmp_path):
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from vecmigrate.cli import main; main()",
            "dev",
            "--data",
            str(tmp_path / "d"),
        ],
        env={**os.environ, "PYTHONPATH": str(Path(package.__file__).parent.parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    with redis.Redis.from_url(url) as client:
        assert client.ping()
        assert client.execute_command("FT._LIST") == []
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "Ctrl-C ends it" in err
