"""What the database commands print and come to: half-done revisions, locks, stamps, dry runs, exit codes."""

from __future__ import annotations

import json
import re
import threading
import time

import pytest

from tests.project import content
from vecmigrate.runtime.keys import LedgerKeys
from vecmigrate.runtime.lease import Lease

STAGES = """
def stages(client, progress, cursor):
    for stage in range(cursor.value or 0, 4):
        if stage == 2 and client.exists("stop"):
            raise ValueError("stage 2\\nis blocked")
        cursor.save(stage + 1)
"""
KEYS = LedgerKeys("default")


@pytest.fixture
def two(project):
    project.script("a1", "create(op)", message="Create the index of cats")
    project.script("b1", "op.execute('SET', 'k', '1', undo=['DEL', 'k'])", down="a1")
    return project


@pytest.fixture
def half(two, client):
    """b1 applied, c1 stopped in the middle of its second step."""
    two.script("c1", "op.execute('INCR', 'n')\nop.run(stages)", down="b1", top=STAGES, downgrade=None)
    client.set("stop", 1)
    assert two("upgrade").code == 6
    return two


class TestDryRuns:
    def test_a_fresh_upgrade(self, two, client):
        before = content(client)
        ran = two("upgrade", "--dry-run")
        assert ran.code == 0
        assert ran.out == (
            "# upgrade a1: Create the index of cats\n"
            "# step 0: create_index cat\n"
            "FT.CREATE idx:cat@a1 ON HASH PREFIX 1 cat: SCHEMA embedding VECTOR FLAT 6 TYPE FLOAT32 DIM 2 "
            "DISTANCE_METRIC COSINE\n"
            "FT.ALIASADD idx:cat idx:cat@a1\n"
            "# upgrade b1: Do b1\n"
            "# step 0: execute SET\n"
            "SET k 1\n"
        )
        assert ran.err == ""
        assert content(client) == before

    def test_a_downgrade(self, two, client):
        two("upgrade")
        before = content(client)
        ran = two("downgrade", "base", "--dry-run")
        assert ran.out == (
            "# downgrade b1: Do b1\n# step 0: execute DEL\nDEL k\n"
            "# downgrade a1: Create the index of cats\n# step 0: drop_index cat\nFT.DROPINDEX idx:cat@a1\n"
        )
        planned = two("downgrade", "-1", "--dry-run", "--format", "json").json
        assert planned["planned"] == [
            {
                "revision": "b1",
                "message": "Do b1",
                "steps": [{"operation": "execute DEL", "commands": [["DEL", "k"]]}],
            }
        ]
        assert (planned["direction"], planned["dry_run"], planned["revisions"]) == ("downgrade", True, [])
        assert content(client) == before

    def test_what_it_prints_is_what_an_upgrade_does(self, two, client):
        commands = [line for line in two("upgrade", "--dry-run").out.splitlines() if line[0] != "#"]
        for command in commands:
            client.execute_command(*command.split())
        typed = client.execute_command("FT.INFO", "idx:cat")
        client.flushall()
        assert client.execute_command("FT._LIST") == []
        two("upgrade")
        assert client.get("k") == b"1"
        done = client.execute_command("FT.INFO", "idx:cat")
        if not isinstance(done, dict):
            done, typed = (dict(zip(info[::2], info[1::2], strict=True)) for info in (done, typed))
        for name in (b"index_name", b"index_definition", b"attributes"):
            assert done[name] == typed[name]

    def test_nothing_to_do(self, two, client):
        assert two("downgrade", "base", "--dry-run").out == "# nothing to downgrade\n"
        two("upgrade")
        assert two("upgrade", "--dry-run").out == "# nothing to upgrade\n"

    def test_a_half_done_revision_and_one_that_another_runner_works_on(self, half, client):
        before = content(client)
        ran = half("upgrade", "--dry-run")
        assert ran.code == 0
        assert "# step 1: run stages\n# calls stages(client, progress, cursor)\n" in ran.out
        assert content(client) == before
        with Lease(client, KEYS, seconds=30):
            assert half("upgrade", "--dry-run").code == 0


class TestHalfDone:
    def test_the_error_is_told_and_kept(self, half):
        ran = half("upgrade")
        assert (ran.code, ran.out) == (6, "")
        assert ran.last == (
            "vecmigrate: error: revision c1, step 1 (run stages): ValueError: stage 2 is blocked "
            "(at migrations/c1.py:24); mend the cause and run it again: it goes on at this step"
        )
        assert "Traceback" not in ran.err
        error = half("upgrade", "--format", "json").error
        assert (error["type"], error["exit_code"]) == ("PartialError", 6)

    def test_status_says_where_and_why(self, half):
        out = half("status").out
        assert re.search(
            r"^half-done +c1 is partial at step 1 \(run stages\), cursor 2, "
            r"error: ValueError: stage 2 is blocked \(at migrations/c1\.py:24\)$",
            out,
            re.M,
        )
        assert re.search(
            r"^last error +c1: ValueError: stage 2 is blocked \(at migrations/c1\.py:24\)$", out, re.M
        )
        assert re.search(r"^current +b1$", out, re.M)
        assert re.search(r"^pending +c1$", out, re.M)
        assert re.search(r"^lease +free$", out, re.M)
        assert re.search(r"^partial +c1, Do c1 ", out, re.M)
        status = half("status", "--format", "json").json
        (partial,) = status["partial"]
        assert partial["values"].pop("at")
        assert partial == {
            "revision": "c1",
            "status": "partial",
            "step": 1,
            "operation": "run stages",
            "cursor": "2",
            "values": {"status": "running", "cursor": "2"},
            "error": "ValueError: stage 2 is blocked (at migrations/c1.py:24)",
        }
        assert status["last_error"]["event"] == "failed"
        assert [item["status"] for item in status["revisions"]] == ["applied", "applied", "partial"]

    def test_the_next_upgrade_goes_on(self, half, client):
        client.delete("stop")
        ran = half("upgrade", "--format", "json")
        assert ran.code == 0
        (outcome,) = ran.json["revisions"]
        assert [step["resumed"] for step in outcome["steps"]] == [True, False]
        assert outcome["steps"][1]["values"]["cursor"] == "4"
        assert client.get("n") == b"1"
        status = half("status", "--format", "json").json
        assert (status["partial"], status["pending"], status["current"]) == ([], [], ["c1"])
        assert status["last_error"] is None

    def test_current_is_what_is_applied(self, half):
        assert half("current").out == "b1, Do b1\n"

    def test_a_script_mended_since_starts_its_changed_step_anew(self, half, client):
        half.script("c1", "op.execute('INCR', 'n')\nop.execute('SET', 'm', '1')", down="b1")
        assert half("upgrade").code == 0
        assert (client.get("n"), client.get("m")) == (b"1", b"1")


class TestLocks:
    def test_everything_that_writes_is_refused_at_once_and_names_the_holder(self, two, client):
        two("upgrade", "a1")
        with Lease(client, KEYS, seconds=30, command="upgrade of another pod"):
            for words in (["upgrade"], ["downgrade", "base"], ["stamp", "head"]):
                began = time.monotonic()
                ran = two(*words)
                assert time.monotonic() - began < 2
                assert (ran.code, ran.out) == (4, "")
                assert "another runner is at work: " in ran.last
                assert "upgrade of another pod" in ran.last
                assert "unlock --force" in ran.last
            assert two("upgrade", "--format", "json").error["exit_code"] == 4
            out = two("status").out
            assert re.search(r"^lease +\S+ on \S+ \(process \d+, upgrade of another pod, since ", out, re.M)
            lease = two("status", "--format", "json").json["lease"]
            assert (lease["command"], lease["token"]) == ("upgrade of another pod", 2)
            assert 0 < lease["seconds_left"] <= 30
            for words in (["current"], ["rejects"], ["history", "-i"]):
                assert two(*words).code == 0
        assert two("status", "--format", "json").json["lease"] is None

    def test_wait_waits_until_the_other_is_done(self, two, client):
        lease = Lease(client, KEYS, seconds=30)
        lease.__enter__()
        timer = threading.Timer(0.5, lease.__exit__, (None, None, None))
        timer.start()
        ran = two("upgrade", "--wait", "20")
        timer.join()
        assert ran.code == 0, ran.err
        assert two("upgrade", "--wait", "-1").code == 2

    def test_unlock(self, two, client):
        assert two("unlock").out == "nobody held the lease\n"
        assert two("unlock", "--force", "--format", "json").json == {"holder": None, "removed": False}
        with Lease(client, KEYS, seconds=30) as lease:
            ran = two("unlock")
            assert (ran.code, ran.out) == (4, "")
            assert "add --force" in ran.last
            lease.guarded(("SET", "still", "mine"))
            ran = two("unlock", "--force", "--format", "json")
            assert (ran.code, ran.json["removed"]) == (0, True)
            assert ran.json["holder"]["command"] == "upgrade"
        assert two("status", "--format", "json").json["lease"] is None
        entries = client.xrange(KEYS.log)
        assert [fields[b"event"] for _, fields in entries] == [b"unlock"]
        assert b"upgrade" in entries[0][1][b"holder"]


class TestStamp:
    def test_it_runs_nothing(self, two, client):
        assert two("stamp", "b1").out == "stamped a1\nstamped b1\ncurrent: b1\n"
        assert client.execute_command("FT._LIST") == []
        assert not client.exists("k")
        # The index that the ledger speaks of now is not there.
        assert "`vecmigrate heal`" in two("upgrade").last
        assert two("heal").code == 0
        assert two("upgrade").out == "nothing to upgrade\ncurrent: b1\n"

    def test_downwards_and_as_json(self, two):
        two("stamp", "head")
        result = two("stamp", "a1", "--format", "json").json
        assert result == {"current": ["a1"], "added": [], "removed": ["b1"]}

    def test_a_half_done_revision_is_taken_as_done_or_as_not_begun(self, half, client):
        assert half("stamp", "c1").out == "stamped c1\ncurrent: c1\n"
        assert half("status", "--format", "json").json["partial"] == []
        half("stamp", "b1")
        assert not client.exists(KEYS.steps("c1"))

    def test_purge_forgets_what_was_there(self, two, client):
        two("upgrade")
        result = two("stamp", "a1", "--purge", "--format", "json").json
        assert result == {"current": ["a1"], "added": ["a1"], "removed": ["b1"]}
        assert client.get("k") == b"1"

    def test_a_downgrade_after_a_stamp_takes_no_index_of_others(self, two, client):
        client.execute_command(*"FT.CREATE idx:cat PREFIX 1 cat: SCHEMA t TEXT".split())
        two("stamp", "head")
        assert two("downgrade", "base").code == 0
        assert client.execute_command("FT._LIST") == [b"idx:cat"]


class TestExitCodesAndStreams:
    def test_each_code(self, two, client, monkeypatch):
        assert two("upgrade", "a1").code == 0
        assert two("upgrade", "zz").code == 1
        assert two("upgrade", "--no-such-option").code == 2
        (two.folder / "specs").mkdir()
        (two.folder / "specs" / "x.yaml").write_text("version: 1\nname: X\n")
        assert two("validate").code == 3
        with Lease(client, KEYS, seconds=30):
            assert two("upgrade").code == 4
        two.script("a1", "pass")
        assert two("upgrade").code == 5
        two("stamp", "base", "--purge")
        two.script("a1", "op.run(lambda client, progress, cursor: 1 / 0)")
        assert two("upgrade").code == 6

    @pytest.mark.parametrize(
        "words", [["upgrade"], ["status"], ["current"], ["rejects"], ["stamp", "base"], ["unlock"]]
    )
    def test_json_on_stdout_is_one_value_and_stderr_is_lines_of_json(self, two, words):
        two("upgrade")
        if words == ["upgrade"]:
            two("downgrade", "base")
        ran = two(*words, "--format", "json")
        assert ran.code == 0
        assert isinstance(json.loads(ran.out), dict)
        for line in ran.err.splitlines():
            json.loads(line)

    def test_quiet_leaves_the_result_and_the_error(self, two):
        ran = two("-q", "upgrade", "a1")
        assert (ran.code, ran.err) == (0, "")
        assert ran.out.startswith("applied a1 in ")
        assert two("-q", "current").err == ""
        ran = two("-q", "upgrade", "zz")
        assert ran.err.count("\n") == 1

    def test_there_is_no_colour_in_pipes(self, two, monkeypatch):
        for value in ("", "1"):
            monkeypatch.setenv("NO_COLOR", value)
            for words in (["upgrade"], ["status"], ["history", "-i"], ["downgrade", "base"]):
                ran = two(*words)
                assert "\x1b" not in ran.out + ran.err

    def test_history_and_show_with_the_server(self, two):
        two("upgrade", "a1")
        assert (
            two("history", "-i").out
            == "a1 -> b1 (head), Do b1\n<base> -> a1 (current), Create the index of cats\n"
        )
        assert two("show", "current").out.startswith("Rev: a1 (current)\nParent: <base>\n")
        assert two("heads").out == "b1 (head)\n"
        items = two("history", "-i", "--format", "json").json
        assert "a1" in json.dumps(items)

    def test_upgrade_tells_each_step(self, two):
        ran = two("upgrade")
        lines = ran.out.splitlines()
        assert re.fullmatch(r"applied a1 in .+: Create the index of cats", lines[0])
        assert re.fullmatch(r"  create_index cat  [\d.]+ m?s, created", lines[1])
        assert re.fullmatch(r"applied b1 in .+: Do b1", lines[2])
        assert re.fullmatch(r"  execute SET  [\d.]+ m?s", lines[3])
        assert lines[4:] == ["current: b1"]
        assert ran.err.splitlines() == [
            "upgrade a1: Create the index of cats",
            "checking the documents of idx:cat@a1",
            "checking the documents of idx:cat@a1: 0 documents, 0 missing",
            "upgrade b1: Do b1",
        ]
