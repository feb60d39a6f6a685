from __future__ import annotations

import sys
from pathlib import Path

import pytest

from vecmigrate.errors import ScriptError
from vecmigrate.revisions.scripts import load_module, load_scripts, read_script, script_error

PLAIN = '''\
"""Create the index

Second paragraph.
"""

revision = "a1"
down_revision = None


def upgrade(op):
    op.done()


def downgrade(op):
    pass
'''


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str, name: str = "a1_first.py") -> Path:
        path = tmp_path / name
        path.write_bytes(text.encode())
        return path

    return write


def problem(path: Path) -> str:
    with pytest.raises(ScriptError) as caught:
        read_script(path)
    return str(caught.value)


def test_what_a_script_says_of_itself(write):
    script = read_script(write(PLAIN))
    assert script.revision == "a1"
    assert script.down_revision == script.branch_labels == script.depends_on == ()
    assert script.message == "Create the index"
    assert script.doc == "Create the index\n\nSecond paragraph."
    assert (script.line, script.upgrade_line, script.downgrade_line) == (6, 10, 14)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("None", ()),
        ('"x"', ("x",)),
        ('("x", "y")', ("x", "y")),
        ('["x", "y", "x"]', ("x", "y")),
        ('{"y", "x"}', ("x", "y")),
        ("()", ()),
    ],
)
def test_one_name_or_several_become_a_tuple(write, written, expected):
    text = f'revision: str = "a1"\ndown_revision: object = {written}\ndepends_on = {written}\n'
    text += f"branch_labels = {written}\ndef upgrade(op): ...\n"
    script = read_script(write(text))
    assert script.down_revision == script.depends_on == script.branch_labels == expected


def test_nothing_is_executed(write, tmp_path):
    witness = tmp_path / "executed"
    path = write(f"import pathlib\npathlib.Path({str(witness)!r}).touch()\n" + PLAIN)
    load_scripts(tmp_path)
    assert not witness.exists()
    load_module(read_script(path))
    assert witness.exists()


def test_the_checksum_is_of_the_text_whatever_the_newlines(write):
    one = read_script(write(PLAIN)).checksum
    assert read_script(write(PLAIN.replace("\n", "\r\n"))).checksum == one
    assert read_script(write("\ufeff" + PLAIN)).checksum == one
    assert read_script(write(PLAIN.replace("done", "gone"))).checksum != one
    assert one.startswith("sha256:")
    assert len(one) == len("sha256:") + 64


def test_files_in_order_and_only_migrations(write, tmp_path):
    for name, revision in (("b.py", "r1"), ("a.py", "r2"), ("_env.py", "r3"), (".hidden.py", "r4")):
        write(PLAIN.replace('"a1"', f'"{revision}"'), name)
    write("not python", "README")
    (tmp_path / "folder.py").mkdir()
    assert [script.path.name for script in load_scripts(tmp_path)] == ["a.py", "b.py"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def upgrade(op): ...\n", "a1_first.py:1: no `revision`"),
        ("\nrevision = 'a' + 'b'\n", "a1_first.py:2: `revision` is not a literal"),
        ("revision = 12\n", "a1_first.py:1: `revision` is 12 (expected a string"),
        ("revision = ''\n", "a1_first.py:1: `revision` is '' (expected a string"),
        (
            "revision = 'a1'\n\ndown_revision = 5\ndef upgrade(op): ...\n",
            "a1_first.py:3: `down_revision` is 5 (expected None, a string or a tuple",
        ),
        (
            "revision = 'a1'\ndepends_on = ('x', 1)\ndef upgrade(op): ...\n",
            "a1_first.py:2: `depends_on` is ('x', 1) (expected None",
        ),
        ("revision = 'a1'\n", "a1_first.py:1: no function `upgrade`"),
        ("revision = 'a1'\nasync def upgrade(op): ...\n", "a1_first.py:2: `upgrade` cannot be called"),
        ("revision = 'a1'\ndef upgrade(): ...\n", "a1_first.py:2: `upgrade` cannot be called"),
        ("revision = 'a1'\ndef upgrade(op, *, x): ...\n", "a1_first.py:2: `upgrade` cannot be called"),
        (
            "revision = 'a1'\ndef upgrade(op): ...\ndef downgrade(a, b): ...\n",
            "a1_first.py:3: `downgrade` cannot be called",
        ),
        ("revision = 'a1'\ndef upgrade(op:\n", "a1_first.py:2: "),
        ("a\0b", "a1_first.py:1: "),
    ],
)
def test_what_is_wrong_comes_with_its_place(write, text, expected):
    assert expected in problem(write(text))


def test_bytes_that_are_no_text(tmp_path):
    path = tmp_path / "a1.py"
    path.write_bytes(b"# \xff\n")
    assert "a1.py:1: not UTF-8 (byte 2)" in problem(path)


def test_an_id_in_two_files_names_both(write, tmp_path):
    write(PLAIN, "x.py")
    write("\n" + PLAIN, "y.py")
    with pytest.raises(ScriptError, match=r"y\.py:7: revision 'a1' is already the id of x\.py:6"):
        load_scripts(tmp_path)


def test_a_missing_folder_says_what_to_do(tmp_path):
    with pytest.raises(ScriptError, match="no migrations folder at .*vecmigrate init"):
        load_scripts(tmp_path / "nowhere")


def test_messages_name_files_as_one_would_type_them(write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert problem(write("x = 1\n")).startswith("a1_first.py:1: ")


class TestLoadModule:
    def test_the_module_leaves_no_trace(self, write, tmp_path):
        before = list(sys.path)
        module = load_module(read_script(write(PLAIN)))
        assert callable(module.upgrade)
        assert module.__file__ == str(tmp_path / "a1_first.py")
        assert sys.path == before
        assert [path.name for path in tmp_path.iterdir()] == ["a1_first.py"]

    def test_dataclasses_with_postponed_annotations_work(self, write):
        text = "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        text += "@dataclass\nclass Box:\n    content: int\n" + PLAIN.replace('"""', "#", 1).replace(
            '"""', "#"
        )
        text = text.replace("Second paragraph.", "# more")
        assert load_module(read_script(write(text))).Box(3).content == 3

    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            ("import not_there_at_all", "a1_first.py:1: ModuleNotFoundError: No module named"),
            ("raise SystemExit(3)", "a1_first.py:1: SystemExit: 3"),
            ("1 / 0", "a1_first.py:1: ZeroDivisionError: division by zero"),
            ("(lambda: {}['gone'])()", "a1_first.py:1: KeyError: 'gone'"),
        ],
    )
    def test_an_exception_becomes_a_place(self, write, line, expected):
        script = read_script(write(f"{line}\n{PLAIN}"))
        with pytest.raises(ScriptError) as caught:
            load_module(script)
        assert expected in str(caught.value)
        assert "_vecmigrate_migration_a1" not in sys.modules

    def test_an_edit_since_it_was_read_is_noticed(self, write):
        path = write(PLAIN)
        script = read_script(path)
        path.write_text(PLAIN + "# more\n")
        with pytest.raises(ScriptError, match="changed while it was being read"):
            load_module(script)

    def test_an_exception_in_a_function_of_the_script_has_its_line(self, write):
        script = read_script(write(PLAIN))
        module = load_module(script)
        with pytest.raises(AttributeError) as caught:
            module.upgrade(object())
        error = script_error(script, caught.value)
        assert "a1_first.py:11: AttributeError: 'object' object has no attribute 'done'" in str(error)
