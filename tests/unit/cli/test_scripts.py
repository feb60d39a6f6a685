"""init, revision, merge, history, heads, branches and show."""

from __future__ import annotations

import pytest

from vecmigrate.config import load_config
from vecmigrate.revisions.scripts import load_scripts


@pytest.fixture
def history(vecmigrate, project):
    """a1 ── b1 (side) ── c1, and d1 on a1."""
    assert vecmigrate("init").code == 0
    for words in (
        ["-m", "first", "--rev-id", "a1"],
        ["-m", "second", "--rev-id", "b1", "--branch-label", "side"],
        ["-m", "third", "--rev-id", "c1"],
        ["-m", "other", "--rev-id", "d1", "--head", "a1", "--splice", "--depends-on", "b1"],
    ):
        done = vecmigrate("revision", *words)
        assert done.code == 0, done.err
    return project


class TestInit:
    def test_a_new_project_works_as_it_is(self, vecmigrate, project):
        done = vecmigrate("init")
        assert done.code == 0
        assert done.out.splitlines() == [
            "wrote vecmigrate.toml",
            "wrote specs/document.yaml",
            "wrote migrations/README",
        ]
        assert load_config().output == project / "vector_indexes"
        assert vecmigrate("validate").code == 0
        assert vecmigrate("revision", "-m", "first").code == 0
        assert vecmigrate("generate").code == 0
        assert vecmigrate("generate", "--check").code == 0

    def test_beside_a_pyproject_the_table_is_shown(self, vecmigrate, project):
        (project / "pyproject.toml").write_text("[project]\nname = 'x'\n")
        done = vecmigrate("init")
        assert "add this to pyproject.toml:\n\n[tool.vecmigrate]\n" in done.out
        assert not (project / "vecmigrate.toml").exists()
        table = done.out[done.out.index("[tool.vecmigrate]") :]
        (project / "pyproject.toml").write_text(f"[project]\nname = 'x'\n\n{table}")
        assert load_config().output == project / "vector_indexes"

    @pytest.mark.parametrize("taken", ["vecmigrate.toml", "specs/x.yaml", "migrations/0001.py"])
    def test_nothing_is_overwritten_or_half_done(self, vecmigrate, project, taken):
        path = project / taken
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
        done = vecmigrate("init")
        assert done.code == 1
        assert "exists already" in done.err
        assert [item for item in project.rglob("*") if item.is_file()] == [path]
        assert path.read_text() == "mine"

    def test_another_folder_and_json(self, vecmigrate, project):
        created = vecmigrate("init", "sub", "--format", "json").json["created"]
        assert created == ["sub/vecmigrate.toml", "sub/specs/document.yaml", "sub/migrations/README"]


class TestRevision:
    def test_the_script_stands_on_the_head(self, vecmigrate, history):
        scripts = {script.revision: script for script in load_scripts(history / "migrations")}
        assert scripts["b1"].down_revision == ("a1",)
        assert scripts["b1"].branch_labels == ("side",)
        assert scripts["d1"].depends_on == ("b1",)
        assert scripts["a1"].path.name == "a1_first.py"
        assert scripts["a1"].message == "first"

    def test_ids_are_made_and_the_file_is_named(self, vecmigrate, project):
        vecmigrate("init")
        done = vecmigrate("revision", "-m", "Add tools!", "--format", "json").json
        assert len(done["revision"]) == 12
        assert done["path"] == str(project / "migrations" / f"{done['revision']}_add_tools.py")

    @pytest.mark.parametrize(
        ("words", "code", "expected"),
        [
            (["-m", "x"], 1, "there are 2 heads: c1, d1"),
            (["-m", "x", "--head", "b1"], 1, "'b1' is no head: c1 revises it; use --splice"),
            (["-m", "x", "--head", "c1", "--rev-id", "a1"], 1, "revision 'a1' exists twice"),
            (["-m", "x", "--head", "c1", "--rev-id", "x@y"], 1, "'x@y' is not allowed"),
            (["-m", "x", "--head", "c1", "--branch-label", "side"], 1, "branch label 'side' is on"),
            (["-m", "x", "--head", "c1", "--depends-on", "zz"], 1, "no revision 'zz'"),
            (["-m", " \n", "--head", "c1"], 2, "the message is empty"),
        ],
    )
    def test_what_would_break_the_graph_is_refused(self, vecmigrate, history, words, code, expected):
        before = sorted(history.rglob("*"))
        done = vecmigrate("revision", *words)
        assert done.code == code
        assert expected in done.err
        assert sorted(history.rglob("*")) == before

    def test_base_starts_a_branch_of_its_own(self, vecmigrate, history):
        done = vecmigrate("revision", "-m", "x", "--head", "base", "--format", "json")
        assert done.json["down_revision"] == []

    def test_without_a_folder_the_way_is_shown(self, vecmigrate, project):
        done = vecmigrate("revision", "-m", "x")
        assert done.code == 1
        assert "no migrations folder at migrations" in done.err
        assert "vecmigrate init" in done.err


class TestMerge:
    def test_all_heads_are_joined(self, vecmigrate, history):
        done = vecmigrate("merge", "-m", "join", "--rev-id", "e1", "--format", "json")
        assert done.json["down_revision"] == ["c1", "d1"]
        assert vecmigrate("heads").out == "e1 (side) (head) (merge point)\n"
        assert vecmigrate("history", "-r", "e1:e1").out == "c1, d1 -> e1 (side) (head) (merge point), join\n"
        assert "nothing to merge: e1" in vecmigrate("merge", "-m", "again").err

    def test_a_revision_and_its_own_base_cannot_be_joined(self, vecmigrate, history):
        assert "'c1' stands on 'a1' already" in vecmigrate("merge", "a1", "c1", "-m", "x").err


class TestLists:
    def test_history(self, vecmigrate, history):
        assert vecmigrate("history").out.splitlines() == [
            "a1 -> d1 (head), other",
            "b1 -> c1 (side) (head), third",
            "a1 -> b1 (side), second",
            "<base> -> a1 (branch point), first",
        ]

    def test_history_of_a_span(self, vecmigrate, history):
        out = vecmigrate("history", "-r", "b1:c1", "--format", "json").json["revisions"]
        assert [item["revision"] for item in out] == ["c1", "b1"]
        assert out[1]["branch_labels"] == ["side"]
        assert out[0]["is_head"]
        assert not out[1]["is_head"]

    def test_heads_and_branches(self, vecmigrate, history):
        assert vecmigrate("heads").out == "c1 (side) (head)\nd1 (head)\n"
        assert vecmigrate("branches").out == "a1 (branch point)\n    -> b1\n    -> d1\n"
        assert len(vecmigrate("heads", "--format", "json").json["revisions"]) == 2

    def test_show_has_all_there_is_to_know(self, vecmigrate, history):
        done = vecmigrate("show", "d1")
        assert done.out.startswith(
            "Rev: d1 (head)\nParent: a1\nDepends on: b1\nPath: migrations/d1_other.py\nChecksum: sha256:"
        )
        assert "\n\n    other\n\n    Revision ID: d1\n" in done.out
        assert vecmigrate("heads", "-v").out.count("Rev: ") == 2

    @pytest.mark.parametrize(
        ("word", "expected"), [("head", "2 heads"), ("base", "before all"), ("z", "no rev")]
    )
    def test_show_of_what_is_no_revision(self, vecmigrate, history, word, expected):
        done = vecmigrate("show", word)
        assert done.code == 1
        assert expected in done.err

    @pytest.mark.parametrize("words", [["show", "-1"], ["history", "-r", "-1:current"], ["history", "-i"]])
    def test_what_depends_on_the_server_asks_for_one(self, vecmigrate, history, words):
        done = vecmigrate(*words)
        assert done.code == 2
        assert "no Redis is named" in done.err

    def test_an_empty_project_has_empty_lists(self, vecmigrate, project):
        vecmigrate("init")
        for command in ("history", "heads", "branches"):
            assert vecmigrate(command).out == ""
            assert vecmigrate(command, "--format", "json").json == {"revisions": []}


class TestTemplates:
    def test_each_listed_template_lays_out_a_project_that_works(self, vecmigrate, project, monkeypatch):
        listed = vecmigrate("list-templates").out.splitlines()
        names = [line.partition(" - ")[0] for line in listed]
        assert names == [
            item["name"] for item in vecmigrate("list-templates", "--format", "json").json["templates"]
        ]
        assert names[0] == "generic"
        for name in names:
            folder = project / name
            folder.mkdir()
            monkeypatch.chdir(folder)
            assert vecmigrate("init", "--template", name).code == 0
            assert vecmigrate("revision", "-m", "first").code == 0
            if name != "empty":
                assert vecmigrate("validate").code == 0
                assert vecmigrate("generate").code == 0
        assert not (project / "empty" / "specs").exists()
        assert "storage: json" in (project / "json" / "specs" / "document.yaml").read_text()

    def test_an_unknown_template(self, vecmigrate, project):
        done = vecmigrate("init", "-t", "jsn")
        assert done.code == 2
        assert "no template 'jsn' (one of: generic, json, empty); did you mean 'json'?" in done.err
        assert list(project.iterdir()) == []


class TestEdit:
    def test_the_named_script_is_opened_and_read_again(self, vecmigrate, history, monkeypatch):
        monkeypatch.delenv("VISUAL", raising=False)
        monkeypatch.setenv("EDITOR", 'sed -i -e \'s/^"""second/"""changed/\'')
        done = vecmigrate("edit", "b1")
        assert (done.code, done.out) == (0, "edited migrations/b1_second.py\n")
        listed = vecmigrate("history").out
        assert ", changed\n" in listed
        assert ", second" not in listed

    def test_all_heads_one_after_the_other(self, vecmigrate, history, monkeypatch, tmp_path_factory):
        log = tmp_path_factory.mktemp("editor") / "log"
        editor = log.with_name("editor.sh")
        editor.write_text(f'#!/bin/sh\necho "$1" >> {log}\n')
        editor.chmod(0o755)
        monkeypatch.setenv("VISUAL", str(editor))
        assert vecmigrate("edit", "heads").code == 0
        assert [line.rpartition("/")[2] for line in log.read_text().splitlines()] == [
            "c1_third.py",
            "d1_other.py",
        ]

    def test_a_slip_shows_at_once(self, vecmigrate, history, monkeypatch):
        monkeypatch.setenv("VISUAL", "sed -i -e '$a def ('")
        done = vecmigrate("edit", "d1")
        assert done.code == 1
        assert "d1_other.py" in done.err

    def test_nothing_is_opened_where_nothing_is_named(self, vecmigrate, history, monkeypatch):
        monkeypatch.setenv("VISUAL", "false")
        assert "no revision 'zz'" in vecmigrate("edit", "zz").err
        done = vecmigrate("edit", "a1")
        assert done.code == 1
        assert "Editing failed" in done.err
