"""Start one server, and end it when the process that asked for it is gone.

Run as a script, by path, in an interpreter that imports nothing but the standard library:

    python -I -S _embedded_watcher.py PARENT_PID DIRECTORY_TO_REMOVE LOCK_FD COMMAND…

The parent holds the other end of our standard input and never writes to it: end of file means that the
parent has closed it (a regular stop) or is dead, however it died. A forked child of the parent can keep
that end open by accident, so the parent's process id is looked at once a second too. This works on Linux
and macOS, whichever thread started us, which PR_SET_PDEATHSIG alone does not: it follows the parent's
*thread*. Against our own death the server gets exactly that signal, where there is one; we have only one
thread.

The first line on standard output is the server's process id, or `error: …` where it cannot be executed.
What the server prints goes to our standard error.
"""

from __future__ import annotations

import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
from types import FrameType

PR_SET_PDEATHSIG = 1
SECONDS_TO_END = 10.0
PARENT_CHECK_SECONDS = 1.0


def main(arguments: list[str]) -> int:
    """Run the server until it or the parent ends; return 0 when it was asked to end, else 1."""
    parent_pid, directory_to_remove, lock_fd, *command = arguments
    asked_to_end = False

    def on_signal(number: int, _frame: FrameType | None) -> None:
        nonlocal asked_to_end
        asked_to_end = asked_to_end or number != signal.SIGCHLD

    # A signal makes `wake_read` readable, so one select waits for the parent, the server and a signal alike.
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_read, False)
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, on_signal)

    server = None
    try:
        server = _start(command, [int(lock_fd)] if lock_fd else [])
        _tell(str(server.pid))
        while server.poll() is None and not asked_to_end and os.getppid() == int(parent_pid):
            ready, _, _ = select.select([sys.stdin.fileno(), wake_read], [], [], PARENT_CHECK_SECONDS)
            if wake_read in ready:
                os.read(wake_read, 512)
            if sys.stdin.fileno() in ready:
                break
        return 0 if server.poll() is None else 1
    except OSError as error:
        _tell(f"error: {error}")
        return 1
    finally:
        if server is not None:
            _end(server)
        if directory_to_remove:
            shutil.rmtree(directory_to_remove, ignore_errors=True)


def _start(command: list[str], inherited: list[int]) -> subprocess.Popen[bytes]:
    watcher_pid = os.getpid()
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None

    def end_with_watcher() -> None:
        if prctl is not None:
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != watcher_pid:  # we died before the signal was set
            os._exit(1)

    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr.fileno(),
        pass_fds=inherited,
        preexec_fn=end_with_watcher,  # noqa: PLW1509  safe: this process has one thread
    )


def _end(server: subprocess.Popen[bytes]) -> None:
    if server.poll() is None:
        server.terminate()
        try:
            server.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _tell(line: str) -> None:
    try:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        pass  # the parent is gone already; the loop notices


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
