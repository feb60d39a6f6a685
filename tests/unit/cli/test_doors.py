"""Names and files that nobody should give: one line that says what is wrong, no fault and no waiting."""

from __future__ import annotations

import os

import pytest

from vecmigrate.revisions.scripts import load_scripts

LONG = "a" * 5_000
SCRIPT = '"""Do it."""\nrevision = {revision}\ndown_revision = None\n{top}\ndef upgrade(op): pass\n'


@pytest.fixture
def project(tmp_path, monkeypatch, vecmigrate):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VECMIGRATE_CONFIG", raising=False)
    assert vecmigrate("init").code == 0
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        ["validate", LONG],
        ["validate", "a" * 300],
        ["-c", LONG, "validate"],
        ["import-redisvl", LONG],
        ["generate", "--output", "a" * 300],
        ["show-ddl", LONG],
        ["--redis", f"embedded:{LONG}", "current"],
        ["validate", "vecmigrate.toml/below"],
    ],
)
def test_names_that_no_file_can_have(project, vecmigrate, words):
    ran = vecmigrate(*words)
    assert ran.code in (1, 2, 3)
    assert "not foreseen" not in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    "words", [["-c", "pipe", "validate"], ["validate", "pipe"], ["import-redisvl", "pipe"]]
)
def test_a_pipe_is_not_waited_for(project, vecmigrate, words):
    os.mkfifo(project / "pipe")
    ran = vecmigrate(*words)
    assert ran.code in (2, 3)
    assert "it is no regular file" in ran.out + ran.err


@pytest.mark.parametrize(
    "revision", ["feature/x", "../evil", "a\x00b", "a\x1bb", ".hidden", "r" * 65, "日" * 50]
)
def test_revision_ids_that_are_no_part_of_a_file_name(project, vecmigrate, revision):
    ran = vecmigrate("revision", "-m", "x", "--rev-id", revision)
    assert ran.code == 1
    assert "is not allowed (expected up to 64 letters, digits, '_' and '.'" in ran.err
    assert load_scripts(project / "migrations") == ()
    (project / "migrations" / "x.py").write_text(SCRIPT.format(revision=ascii(revision), top=""))
    ran = vecmigrate("history")
    assert ran.code == 1
    assert "migrations/x.py:2: revision id" in ran.err


@pytest.mark.parametrize("revision", ["0001", "2026.11_a", "été"])
def test_revision_ids_that_are_fine(project, vecmigrate, revision):
    assert vecmigrate("revision", "-m", "x", "--rev-id", revision).code == 0
    assert [script.revision for script in load_scripts(project / "migrations")] == [revision]


@pytest.mark.parametrize(
    "top", ["x = " + "-" * 100_000 + "1", "x = " + "[" * 300 + "]" * 300, "x = " + "9" * 5_000]
)
def test_scripts_that_python_does_not_parse(project, vecmigrate, top):
    (project / "migrations" / "x.py").write_text(SCRIPT.format(revision="'a1'", top=top))
    ran = vecmigrate("history")
    assert ran.code == 1
    assert "error: migrations/x.py:" in ran.err
    assert "not foreseen" not in ran.err
