"""Writing generated files: whole, only over our own, and nothing left behind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vecmigrate.codegen import write
from vecmigrate.codegen.write import HEADER, check_package, write_package
from vecmigrate.errors import CodegenError

ONE = f"{HEADER} from one\nx = 1\n"
TWO = f"{HEADER} from two\ny = 'é'\n"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "package"


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_files_are_written_and_the_folder_is_made(package: Path):
    assert write_package(package, {"b.py": TWO, "a.py": ONE}) == ("a.py", "b.py")
    assert (package / "a.py").read_bytes() == ONE.encode()
    assert (package / "b.py").read_bytes() == TWO.encode()
    assert names(package) == ["a.py", "b.py"]


def test_what_is_right_already_is_not_touched(package: Path):
    write_package(package, {"a.py": ONE, "b.py": TWO})
    os.utime(package / "a.py", ns=(1, 1))
    changed = TWO + "z = 3\n"
    assert write_package(package, {"a.py": ONE, "b.py": changed}) == ("b.py",)
    assert (package / "a.py").stat().st_mtime_ns == 1
    assert (package / "b.py").read_text() == changed


def test_generated_files_that_the_specs_no_longer_give_are_removed(package: Path):
    write_package(package, {"a.py": ONE, "b.py": TWO})
    (package / "own.py").write_text("mine = True\n")
    (package / "notes.txt").write_text(f"{HEADER}: not a Python file\n")
    assert write_package(package, {"a.py": ONE}) == ("b.py",)
    assert names(package) == ["a.py", "notes.txt", "own.py"]


@pytest.mark.parametrize("content", ["mine = True\n", "", " " + ONE])
def test_a_file_that_was_not_generated_is_refused_before_anything_is_written(package: Path, content: str):
    package.mkdir(parents=True)
    (package / "b.py").write_text(content)
    with pytest.raises(CodegenError, match=r"b\.py was not generated") as raised:
        write_package(package, {"a.py": ONE, "b.py": TWO})
    assert str(package / "b.py") in str(raised.value)
    assert names(package) == ["b.py"]
    assert (package / "b.py").read_text() == content


def test_a_link_and_a_folder_in_the_way_are_refused(package: Path, tmp_path: Path):
    package.mkdir(parents=True)
    target = tmp_path / "elsewhere.py"
    target.write_text(ONE)
    (package / "a.py").symlink_to(target)
    with pytest.raises(CodegenError, match="not generated"):
        write_package(package, {"a.py": TWO})
    (package / "b.py").mkdir()
    with pytest.raises(CodegenError, match="not generated"):
        write_package(package, {"b.py": TWO})
    assert target.read_text() == ONE


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CodegenError, match="cannot write to .*file/package"):
        write_package(tmp_path / "file" / "package", {"a.py": ONE})


def test_a_write_that_fails_leaves_the_old_file_and_no_other(package: Path, monkeypatch: pytest.MonkeyPatch):
    write_package(package, {"a.py": ONE})

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(write.os, "fsync", full)
    with pytest.raises(CodegenError, match="No space left"):
        write_package(package, {"a.py": TWO})
    assert (package / "a.py").read_text() == ONE
    assert names(package) == ["a.py"]


def test_permissions_are_those_of_source_files(package: Path):
    old = os.umask(0o022)
    try:
        write_package(package, {"a.py": ONE})
        assert (package / "a.py").stat().st_mode & 0o777 == 0o644
        (package / "a.py").chmod(0o600)
        write_package(package, {"a.py": TWO})
        assert (package / "a.py").stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(old)


def test_nothing_differs_after_writing(package: Path):
    write_package(package, {"a.py": ONE, "b.py": TWO})
    assert check_package(package, {"b.py": TWO, "a.py": ONE}) == ""


def test_the_diff_shows_changed_missing_and_extra_files(package: Path):
    write_package(package, {"a.py": ONE, "gone.py": TWO})
    diff = check_package(package, {"a.py": ONE + "z = 3\n", "new.py": TWO})
    path = package.as_posix()
    assert diff == (
        f"--- {path}/a.py\n+++ {path}/a.py\n@@ -1,2 +1,3 @@\n {HEADER} from one\n x = 1\n+z = 3\n"
        f"--- {path}/gone.py\n+++ /dev/null\n@@ -1,2 +0,0 @@\n-{HEADER} from two\n-y = 'é'\n"
        f"--- /dev/null\n+++ {path}/new.py\n@@ -0,0 +1,2 @@\n+{HEADER} from two\n+y = 'é'\n"
    )
    assert names(package) == ["a.py", "gone.py"]


def test_files_of_others_are_no_difference_and_a_file_in_the_way_is(package: Path):
    write_package(package, {"a.py": ONE})
    (package / "own.py").write_text("mine = True\n")
    assert check_package(package, {"a.py": ONE}) == ""
    diff = check_package(package, {"a.py": ONE, "own.py": TWO})
    assert "-mine = True\n" in diff


def test_other_line_endings_are_a_difference(package: Path):
    write_package(package, {"a.py": ONE})
    (package / "a.py").write_bytes(ONE.replace("\n", "\r\n").encode())
    assert check_package(package, {"a.py": ONE}) != ""
    assert write_package(package, {"a.py": ONE}) == ("a.py",)


def test_a_missing_last_newline_is_shown_as_git_shows_it(package: Path):
    package.mkdir(parents=True)
    (package / "a.py").write_text(ONE.rstrip("\n"))
    assert "-x = 1\n\\ No newline at end of file\n+x = 1\n" in check_package(package, {"a.py": ONE})
