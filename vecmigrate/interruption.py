"""Being asked to end: what Ctrl-C, SIGTERM and SIGHUP raise, and what has to be given back then.

The command line sets the signal handlers (`vecmigrate.cli.interrupt`); this module is what the rest needs to
know of it, and imports nothing. A program that uses vecmigrate as a library and sets no handlers meets
Python's own KeyboardInterrupt, and all of this does nothing.

Only the main thread is ever interrupted, so only what happens there is counted.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


class Interrupted(KeyboardInterrupt):
    """A signal asked this process to end; `number` is the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    @property
    def exit_code(self) -> int:
        """What a shell reports for a program that this signal ended."""
        return 128 + self.number

    def __str__(self) -> str:
        return f"interrupted by {signal.Signals(self.number).name}"


class _State:
    """What is going on in the main thread, and who holds something that must be given back."""

    def __init__(self) -> None:
        self.asked: int | None = None
        self.raised = False
        self.shields = 0
        self.user_code = 0
        self.held: dict[int, Callable[[], None]] = {}


_state = _State()


def forget() -> None:
    """Begin anew: nobody asked for anything."""
    _state.asked, _state.raised, _state.shields, _state.user_code = None, False, 0, 0


def asked() -> int | None:
    """The signal that asked this process to end, if one did."""
    return _state.asked


def ask(number: int) -> None:
    """Note that signal `number` came; called by its handler, in the main thread.

    Raises:
        Interrupted: At the first signal, except under a shield; at later ones in user code only, which may
            have swallowed the first. Our own cleaning up is not disturbed by a second signal.
    """
    first = _state.asked is None
    if first:
        _state.asked = number
    if not _state.shields and (first or _state.user_code):
        _raise()


def check() -> None:
    """Raise Interrupted where a signal asked this process to end."""
    if _state.asked is not None and threading.current_thread() is threading.main_thread():
        _raise()


def _raise() -> None:
    assert _state.asked is not None  # noqa: S101 - the callers know
    _state.raised = True
    raise Interrupted(_state.asked)


@contextmanager
def shielded() -> Iterator[None]:
    """Let no signal interrupt the block; one that comes meanwhile is raised at its end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _state.shields += 1
    try:
        yield
    finally:
        _state.shields -= 1
    if _state.asked is not None and not _state.raised:
        _raise()


def enter_user_code() -> None:
    """Code that is not ours begins to run."""
    if threading.current_thread() is threading.main_thread():
        _state.user_code += 1


def leave_user_code() -> None:
    """Code that is not ours has ended."""
    if threading.current_thread() is threading.main_thread():
        _state.user_code = max(0, _state.user_code - 1)


def in_user_code() -> bool:
    """Whether the main thread runs code that is not ours, which may swallow what a signal raises."""
    return _state.user_code > 0 and not _state.shields


def hold(holder: object, give_back: Callable[[], None]) -> None:
    """Remember that `holder` has something which `give_back` returns, quickly and from any thread."""
    _state.held[id(holder)] = give_back


def let_go(holder: object) -> None:
    """Forget what `hold` remembered."""
    _state.held.pop(id(holder), None)


def give_back_all() -> None:
    """Return everything that is still held, whatever else went wrong."""
    while _state.held:
        _, give_back = _state.held.popitem()
        with suppress(Exception):
            give_back()
