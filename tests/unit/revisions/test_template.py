from __future__ import annotations

import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecmigrate.errors import RevisionError
from vecmigrate.revisions.scripts import read_script
from vecmigrate.revisions.template import file_name, new_revision_id, render_script, write_new

WHEN = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)


def test_the_text_of_a_new_script():
    text = render_script(revision="b2", down_revision=["a1"], message="Add tools", created=WHEN)
    assert text.startswith(
        '"""Add tools\n\nRevision ID: b2\nRevises: a1\nCreate Date: 2026-03-01 12:30:00+00:00\n"""\n'
    )
    assert 'revision = "b2"\ndown_revision = "a1"\nbranch_labels = None\ndepends_on = None\n' in text
    assert "def upgrade(op: Recorder) -> None:" in text
    assert "    op.revert(upgrade)" in text


def test_a_new_script_is_as_ruff_formats_it(tmp_path):
    path = tmp_path / "b2_x.py"
    path.write_text(
        render_script(
            revision="b2",
            down_revision=["a1", "a2"],
            message="Join",
            branch_labels=["side"],
            depends_on=["c1"],
            created=WHEN,
        )
    )
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--isolated", "--check", "--diff", path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=60).filter(str.strip))
def test_any_message_gives_a_readable_script(tmp_path_factory, message):
    path = tmp_path_factory.mktemp("s") / "x.py"
    text = render_script(revision="r1", down_revision=[], message=message, depends_on=['q"uote'])
    path.write_text(text, encoding="utf-8", newline="\n")
    script = read_script(path)
    assert script.message.split() == message.split()
    assert script.depends_on == ('q"uote',)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Create the index", "r1_create_the_index.py"),
        ("Größe: 2 × HNSW!", "r1_groe_2_hnsw.py"),
        ("../../etc/passwd", "r1_etc_passwd.py"),
        ("日本", "r1.py"),
        ("", "r1.py"),
        ("word " * 20, "r1_word_word_word_word_word_word_word_word.py"),
        ("x" * 90, f"r1_{'x' * 40}.py"),
    ],
)
def test_file_names(message, expected):
    assert file_name("r1", message) == expected


def test_ids_are_twelve_hex_digits_and_new():
    ids = {new_revision_id() for _ in range(200)}
    assert len(ids) == 200
    assert all(len(item) == 12 and int(item, 16) >= 0 for item in ids)


def test_nothing_is_overwritten_and_nothing_left_behind(tmp_path):
    path = tmp_path / "new" / "a.py"
    write_new(path, "one\n")
    with pytest.raises(RevisionError, match="exists already"):
        write_new(path, "two\n")
    assert path.read_text() == "one\n"
    assert [item.name for item in path.parent.iterdir()] == ["a.py"]


def test_a_new_file_can_be_read_by_others_as_the_umask_allows(tmp_path):
    path, plain = tmp_path / "a.py", tmp_path / "b.py"
    write_new(path, "")
    plain.touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RevisionError, match=r"file.*x\.py"):
        write_new(Path(tmp_path / "file" / "x.py"), "")
