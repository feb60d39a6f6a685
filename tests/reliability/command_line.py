"""`vecmigrate …` in processes of their own, forked from one that has imported everything.

The suite starts thousands of them, and a start of Python takes half a second of a core.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.reliability.faults import EndedWrongError
from vecmigrate.cli import main

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.reliability.preload"])
_FAULTS_OF_THE_TOOL = ("Traceback (most recent call last)", "was not foreseen", "unexpected error")
LONGEST_RUN = 120.0


@dataclass(frozen=True)
class Ended:
    """How one command line ended: its exit code, negative for a signal, and what it printed."""

    words: tuple[str, ...]
    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """Command, exit code and last line, for a report."""
        text = (self.err.strip() or self.out.strip()).splitlines()
        return f"`{' '.join(self.words)}` exits with {self.code}: {text[-1] if text else 'nothing'}"


class CommandLine:
    """A running command line; making the object starts it, and it is over when the `with` block ends."""

    def __init__(self, folder: Path, url: str, *words: str, namespace: str | None = None) -> None:
        self.words = words
        runs = folder / "runs"
        runs.mkdir(exist_ok=True)
        self._output = runs / f"{len(list(runs.iterdir()))}"
        self._output.touch()
        named = ("--namespace", namespace) if namespace else ()
        everything = ["--config", str(folder / "vecmigrate.toml"), "--redis", url, *named, *words]
        self._process = _FORKS.Process(target=_be, args=(everything, str(folder), str(self._output)))
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    def __enter__(self) -> CommandLine:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._process.join()

    def kill(self) -> None:
        """SIGKILL; nothing where it has ended."""
        if self._process.exitcode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def stop(self) -> None:
        """SIGSTOP."""
        os.kill(self.pid, signal.SIGSTOP)

    def wake(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    @property
    def stopped(self) -> bool:
        """Whether SIGSTOP has reached it."""
        with suppress(psutil.Error):
            return bool(psutil.Process(self.pid).status() == psutil.STATUS_STOPPED)
        return False

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.is_alive()

    def end(self, seconds: float = LONGEST_RUN) -> Ended:
        """Wait for its end.

        Raises:
            EndedWrongError: It does not end, or it ends by what no command may show: a traceback.
        """
        self._process.join(seconds)
        if self._process.exitcode is None:
            self.kill()
            self._process.join()
            raise EndedWrongError(f"`{' '.join(self.words)}` did not end within {seconds:.0f} s")
        err = Path(f"{self._output}.err")
        ended = Ended(
            self.words,
            self._process.exitcode,
            self._output.read_text(errors="replace"),
            err.read_text(errors="replace") if err.exists() else "",
        )
        if any(text in ended.err for text in _FAULTS_OF_THE_TOOL):
            raise EndedWrongError(ended.said)
        return ended


def _be(words: list[str], folder: str, output: str) -> None:
    """In the new process: the entry point of the console script."""
    for number, name in ((1, output), (2, f"{output}.err")):
        target = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(target, number)
        os.close(target)
    os.chdir(folder)
    for name in [name for name in os.environ if name.startswith(("REDIS_URL", "VECMIGRATE_"))]:
        del os.environ[name]
    os.environ.update(NO_COLOR="1", COLUMNS="250")
    sys.argv = ["vecmigrate", *words]
    main()
