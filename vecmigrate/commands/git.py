"""What a git revision holds, read without touching the working tree, the index or the network."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vecmigrate.errors import ConfigError

# What a pull request is usually compared with, where nobody says.
_USUAL: Final = ("origin/HEAD", "origin/main", "origin/master", "main", "master")
_REGULAR: Final = frozenset({"100644", "100755"})
_QUIET: Final = {
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "LC_ALL": "C",
}
_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Repository:
    """A git work tree; `root` is its top folder."""

    root: Path

    def commit(self, ref: str | None) -> str:
        """The id of the commit that `ref` names; None names the first that exists of the usual ones.

        Raises:
            ConfigError: It names none.
        """
        for name in (ref,) if ref is not None else _USUAL:
            found = _git(
                self.root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"
            )
            if found.returncode == 0:
                return found.stdout.decode().strip()
        wanted = f"{ref!r} names no commit here" if ref is not None else "nothing says what to compare with"
        raise ConfigError(
            f"{wanted} (a branch, a tag or a commit of this repository)",
            hint="fetch it first (in CI: fetch-depth: 0), or give --base REF",
        )

    def merge_base(self, commit: str) -> str | None:
        """The commit where HEAD and `commit` parted; None where they have nothing in common, or no HEAD."""
        found = _git(self.root, "merge-base", commit, "HEAD")
        return found.stdout.decode().strip() if found.returncode == 0 else None

    def copy(self, commit: str, paths: Iterable[Path], target: Path) -> None:
        """Write the regular files of `commit` at and under `paths` (relative to `root`) below `target`.

        What `commit` does not have is passed over, and so are links and submodules.
        """
        wanted = [path.as_posix() for path in paths]
        if not wanted:
            return
        listed = self._read("ls-tree", "-r", "-z", "--full-tree", commit, "--", *wanted)
        for entry in filter(None, listed.split(b"\0")):
            about, _, name = entry.partition(b"\t")
            mode, _, _ = about.decode().split(" ", 2)
            path = target / os.fsdecode(name)
            if mode in _REGULAR and path.resolve().is_relative_to(target.resolve()):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(self._read("show", f"{commit}:{os.fsdecode(name)}"))

    def _read(self, *words: str) -> bytes:
        done = _git(self.root, *words)
        if done.returncode != 0:
            reason = " ".join(done.stderr.decode("utf-8", "replace").split()) or f"exit {done.returncode}"
            raise ConfigError(f"git {words[0]} failed ({reason})")
        return done.stdout


def open_repository(folder: Path) -> Repository:
    """The work tree that `folder` lies in; raises ConfigError where there is none, or no git."""
    found = _git(folder, "rev-parse", "--show-toplevel")
    if found.returncode != 0:
        reason = " ".join(found.stderr.decode("utf-8", "replace").split())
        raise ConfigError(
            f"{folder} is in no git work tree ({reason})", hint="a review compares with a git revision"
        )
    return Repository(Path(os.fsdecode(found.stdout.rstrip(b"\n"))))


def _git(folder: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    program = shutil.which("git")
    if program is None:
        raise ConfigError("there is no git on the PATH (a review reads the base from git)")
    # Set by hooks, and about another repository perhaps than the one that the folder is in.
    environment = {
        name: value for name, value in os.environ.items() if name not in ("GIT_DIR", "GIT_WORK_TREE")
    }
    command = [program, "--no-pager", "--literal-pathspecs", "-C", str(folder), *words]
    try:
        return subprocess.run(
            command,
            env=environment | _QUIET,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ConfigError(f"git {words[0]} did not end within {_SECONDS} s") from error
