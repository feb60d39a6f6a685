"""Branches, merges and dependencies on a real server, variables from everywhere, and altered histories."""

from __future__ import annotations

import json

import pytest

from tests.project import content

LOG = "op.execute('RPUSH', 'order', '{}', undo=['LREM', 'order', '0', '{}'])"


def log(name: str) -> str:
    return LOG.format(name, name)


def forget_line(client, revision: str) -> None:
    """Let the record of a revision be one of format 1, which did not say what it stands on."""
    key = "vecmigrate:{default}:revisions"
    record = json.loads(client.hget(key, revision))
    del record["down_revision"]
    client.hset(key, revision, json.dumps(record))


class TestBranches:
    @pytest.fixture
    def branches(self, project):
        """a1 ── b1 and a1 ── c1."""
        project.script("a1", log("a1"))
        project.script("b1", log("b1"), down="a1")
        project.script("c1", log("c1"), down="a1")
        return project

    def test_two_heads_are_no_head(self, branches, client):
        ran = branches("upgrade")
        assert (ran.code, ran.out) == (1, "")
        assert "b1" in ran.last
        assert "c1" in ran.last
        assert "heads" in ran.last
        assert client.dbsize() == 0
        ran = branches("upgrade", "heads")
        assert ran.code == 0
        assert ran.out.endswith("current: b1, c1\n")
        assert client.lrange("order", 0, -1) == [b"a1", b"b1", b"c1"]
        assert branches("current").out == "b1 (head), Do b1\nc1 (head), Do c1\n"
        assert branches("heads").out == "b1 (head)\nc1 (head)\n"

    def test_a_merge_joins_them(self, branches, client):
        branches("upgrade", "heads")
        assert branches("merge", "-m", "join", "--rev-id", "d1").code == 0
        assert branches("upgrade").out.endswith("current: d1\n")
        ran = branches("downgrade", "-1")
        assert ran.code == 0, ran.err
        assert ran.out.endswith("current: b1, c1\n")

    def test_base_takes_back_both(self, branches, client):
        branches("upgrade", "heads")
        assert branches("downgrade", "base").out.endswith("current: base\n")
        assert not client.exists("order")

    def test_one_branch_alone(self, branches, client):
        assert branches("upgrade", "c1").out.endswith("current: c1\n")
        assert client.lrange("order", 0, -1) == [b"a1", b"c1"]
        status = branches("status", "--format", "json").json
        assert (status["pending"], status["heads"]) == (["b1"], ["b1", "c1"])


def test_a_dependency_is_applied_first(project, client):
    project.script("a1", log("a1"))
    project.script("b1", log("b1"))
    project.script("c1", log("c1"), down="a1", depends="b1")
    assert project("upgrade", "c1").code == 0
    order = client.lrange("order", 0, -1)
    assert order.index(b"b1") < order.index(b"c1")
    assert len(order) == 3


def test_nothing_is_taken_back_where_the_way_ends_further_down(project, client):
    project.script("a1", "op.execute('SET', 'k', '1')")
    project.script("b1", log("b1"), down="a1")
    project("upgrade")
    before = content(client)
    for words in (["downgrade", "base"], ["downgrade", "base", "--dry-run"]):
        ran = project(*words)
        assert ran.code == 1
        assert "execute SET has no way back" in ran.last
        assert content(client) == before


def test_a_downgrade_that_fails_goes_on_and_so_does_an_upgrade(project, client):
    top = """
    def undo(client, progress, cursor):
        if client.exists("stop"):
            raise RuntimeError("stopped")
        client.rpush("undone", 1)


    def do(client, progress, cursor):
        client.rpush("done", 1)
    """
    project.script("a1", f"op.run(do, undo=undo)\n{log('x')}", top=top)
    project("upgrade")
    client.set("stop", 1)
    ran = project("downgrade", "base")
    assert ran.code == 6
    assert "step 1 (run undo): RuntimeError: stopped" in ran.last
    (partial,) = project("status", "--format", "json").json["partial"]
    assert (partial["status"], partial["step"]) == ("reverting", 1)
    assert partial["error"].startswith("RuntimeError: stopped (at migrations/a1.py:")
    client.delete("stop")
    ran = project("downgrade", "base")
    assert ran.code == 0
    assert "execute LREM  done before" in ran.out
    assert client.llen("undone") == 1
    project("upgrade")
    client.set("stop", 1)
    assert project("downgrade", "base").code == 6
    ran = project("upgrade")
    assert ran.code == 0, ran.err
    assert "done before" not in ran.out
    assert client.llen("done") == 3
    assert client.lrange("order", 0, -1) == [b"x"]


class TestVariables:
    @pytest.fixture
    def asking(self, project):
        project.script("a1", "op.execute('SET', 'k', op.variable('value', default='default'))")
        project.script("b1", "op.execute('SET', 'n', op.variable('needed', default='x'))", down="a1")
        return project

    def test_each_source_in_its_turn(self, asking, client, monkeypatch):
        def stored():
            asking("stamp", "base")
            assert asking("upgrade", "a1").code == 0
            return client.get("k")

        assert stored() == b"default"
        asking.configure('[variables]\nvalue = "configured"\n')
        assert stored() == b"configured"
        monkeypatch.setenv("VECMIGRATE_VAR_VALUE", "environment")
        assert stored() == b"environment"
        asking("stamp", "base")
        assert asking("-x", "value=given", "upgrade", "a1").code == 0
        assert client.get("k") == b"given"

    def test_one_without_a_value_is_told_before_anything_happens(self, project, client):
        project.script("a1", "op.execute('SET', 'k', '1')")
        project.script("b1", "op.execute('SET', 'n', op.variable('needed'))", down="a1")
        ran = project("upgrade")
        assert ran.code == 1
        assert "variable 'needed' has no value" in ran.last
        assert "b1.py:" in ran.last
        assert client.dbsize() == 0
        assert project("-x", "needed=7", "upgrade").code == 0
        assert client.get("n") == b"7"

    def test_a_misspelt_one_is_a_usage_error(self, asking, client):
        for words in (["upgrade"], ["downgrade", "base"], ["upgrade", "--dry-run"]):
            ran = asking("-x", "valeu=1", *words)
            assert ran.code == 2
            assert "valeu (did you mean value?)" in ran.last
        assert client.dbsize() == 0

    def test_one_that_is_no_pair_too(self, asking):
        assert asking("-x", "value", "upgrade").code == 2


class TestAlteredHistories:
    @pytest.fixture
    def applied(self, project):
        project.script("a1", log("a1"))
        project.script("b1", log("b1"), down="a1")
        assert project("upgrade").code == 0
        return project

    @pytest.mark.parametrize("words", [["upgrade"], ["downgrade", "-1"], ["upgrade", "--dry-run"]])
    def test_a_changed_script(self, applied, client, words):
        applied.script("a1", log("changed"))
        before = content(client)
        ran = applied(*words)
        assert (ran.code, ran.out) == (5, "")
        assert "a1.py was changed after it was applied (sha256:" in ran.last
        assert "now)" in ran.last
        assert content(client) == before
        (first, second) = applied("status", "--format", "json").json["revisions"]
        assert (first["changed"], second["changed"]) == (True, False)
        assert "CHANGED SINCE" in applied("status").out

    def test_a_change_accepted(self, applied, client):
        applied.script("a1", log("changed"))
        ran = applied("upgrade", "--accept-changed", "--format", "json")
        assert (ran.code, ran.json["accepted"], ran.json["revisions"]) == (0, ["a1"], [])
        assert applied("upgrade").out == "nothing to upgrade\ncurrent: b1\n"
        assert client.lrange("order", 0, -1) == [b"a1", b"b1"]

    def test_accepting_is_no_way_round_a_script_that_is_gone(self, applied, client):
        applied.script("a1", log("changed"))
        applied.script("b1", log("b1"), down="a1").unlink()
        forget_line(client, "b1")
        before = content(client)
        ran = applied("upgrade", "--accept-changed")
        assert ran.code == 5
        assert "revision b1" in ran.last
        assert content(client) == before

    def test_accepting_leaves_what_is_ahead(self, applied, client):
        applied.script("a1", log("changed"))
        applied.script("b1", log("b1"), down="a1").unlink()
        assert applied("upgrade").code == 5
        stored = client.hget("vecmigrate:{default}:revisions", "b1")
        ran = applied("upgrade", "--accept-changed")
        assert ran.code == 0
        assert ran.out == "accepted the changed script of a1\nnothing to upgrade\ncurrent: a1\n"
        assert "the ledger is ahead: no script here has b1" in ran.last
        assert client.hget("vecmigrate:{default}:revisions", "b1") == stored

    def test_a_change_of_comments_counts_and_of_line_ends_does_not(self, applied):
        path = applied.folder / "migrations" / "a1.py"
        text = path.read_bytes()
        path.write_bytes(text.replace(b"\n", b"\r\n"))
        assert applied("upgrade").code == 0
        path.write_bytes(text + b"# a remark\n")
        assert applied("upgrade").code == 5

    def test_a_script_that_a_newer_release_has(self, applied, client):
        applied.script("b1", log("b1"), down="a1").unlink()
        before = content(client)
        ran = applied("upgrade")
        assert (ran.code, ran.out) == (0, "nothing to upgrade\ncurrent: a1\n")
        assert ran.last.startswith("warning: the ledger is ahead: no script here has b1;")
        assert applied("current").out == "b1 (ahead: no script here), Do b1\n"
        for words in (["downgrade", "base"], ["stamp", "a1"]):
            ran = applied(*words)
            assert ran.code == 5, words
            assert "the ledger is ahead: no script here has b1 " in ran.last
        assert applied("status", "--format", "json").json["revisions"][-1]["missing"]
        # `stamp` took the lease, and with it a number; nothing else was written.
        after = content(client)
        unlike = {name for name in before | after if before.get(name) != after.get(name)}
        assert unlike <= {"writes", b"vecmigrate:{default}:fence"}
        assert client.lrange("order", 0, -1) == [b"a1", b"b1"]

    def test_a_script_that_is_gone(self, applied, client):
        applied.script("b1", log("b1"), down="a1").unlink()
        forget_line(client, "b1")
        before = content(client)
        for words in (["upgrade"], ["downgrade", "base"], ["stamp", "a1"]):
            ran = applied(*words)
            assert ran.code == 5, words
            assert "the ledger has revision b1 (Do b1)" in ran.last
            assert "namespace" in ran.last
            assert "--purge" not in ran.last
            assert "--accept-changed" not in ran.last
        # `stamp` took the lease, and with it a number; nothing else was written.
        unlike = {"writes", b"vecmigrate:{default}:fence"}
        after = content(client)
        assert {name for name in before | after if before.get(name) != after.get(name)} <= unlike
        status = applied("status", "--format", "json").json
        assert status["revisions"][-1] | {"seconds": 0, "finished_at": "", "by": ""} == {
            "revision": "b1",
            "message": "Do b1",
            "status": "applied",
            "finished_at": "",
            "seconds": 0,
            "by": "",
            "changed": False,
            "missing": True,
        }
        assert "SCRIPT MISSING  b1" in applied("status").out
        assert applied("stamp", "a1", "--purge").code == 0
        assert applied("upgrade").out == "nothing to upgrade\ncurrent: a1\n"


def test_two_namespaces_side_by_side(project, client):
    project.script("a1", log("a1"))
    project.script("b1", log("b1"), down="a1")
    assert project("--namespace", "one", "upgrade").code == 0
    assert project("--namespace", "two", "upgrade", "a1").code == 0
    assert client.lrange("order", 0, -1) == [b"a1", b"b1", b"a1"]
    assert project("--namespace", "one", "current").out.startswith("b1")
    assert project("--namespace", "two", "current").out.startswith("a1")
    client.hset("vecmigrate:{one}:lease", mapping={"id": "1:x", "token": "1", "who": "somebody"})
    assert project("--namespace", "one", "downgrade", "base").code == 4
    assert project("--namespace", "two", "downgrade", "base").code == 0
    assert not [key for key in client.keys("vecmigrate:{two}:*") if b"steps" in key]
    assert client.exists("vecmigrate:{one}:steps:a1")
    project.configure('namespace = "two"\n')
    assert project("status", "--format", "json").json["namespace"] == "two"
    assert project("--namespace", "a:b", "status").code == 2
