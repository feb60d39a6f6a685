"""Ctrl-C, SIGTERM and SIGHUP: end in order, give back what is held, within seconds, whatever is going on.

The first signal raises Interrupted in the main thread, wherever that is: asleep, waiting for a server, in a
function of a migration. Later signals do not disturb the cleaning up. A function that swallows the exception
gets it again; where all of that does not help, because a function swallows it every time or the server does
not answer, a thread gives back what is held and ends the process.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from vecmigrate import interruption

# All of it has to fit into the five seconds after which many supervisors lose patience.
AGAIN_SECONDS = 1.0
END_SECONDS = 3.0
_TICK_SECONDS = 0.25
_AFTERWARDS_SECONDS = 1.0
_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


@contextmanager
def handled(tell: Callable[[interruption.Interrupted], str], *, last: bool = False) -> Iterator[None]:
    """Let signals end the block in order; `tell` says the line for a process that has to be ended by force.

    A signal that is ignored, as SIGHUP is under nohup, stays so. Where this is not the main thread, no
    handlers can be set, and nothing is done. With `last` the process ends with this block, so a signal that
    comes after one that ended it is ignored from then on.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    interruption.forget()
    patience = _Patience(tell)

    def on_signal(number: int, _frame: FrameType | None) -> None:
        patience.wake(number)
        interruption.ask(number)

    before = {}
    for number in _SIGNALS:
        if signal.getsignal(number) not in (signal.SIG_IGN, None):
            before[number] = signal.signal(number, on_signal)
    # Python runs `on_signal` between two steps of the main thread. A signal that comes just before a system
    # call does not end that call, so `on_signal` would wait for it; this file is written to at once.
    wakeup = signal.set_wakeup_fd(patience.written_to, warn_on_full_buffer=False)
    patience.start()
    try:
        yield
    finally:
        ended = interruption.asked() is not None
        if ended:
            interruption.give_back_all()
        found = signal.set_wakeup_fd(wakeup)
        if found not in (patience.written_to, -1):
            signal.set_wakeup_fd(found)  # somebody else set it since
        patience.stop()
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if last and ended else handler)
        if not last:
            interruption.forget()


def leave(code: int) -> None:
    """End this process with `code`, and soon, also where threads of a migration are still at work."""
    if interruption.asked() is not None:
        timer = threading.Timer(_AFTERWARDS_SECONDS, os._exit, [code])
        timer.daemon = True
        timer.start()
    sys.exit(code)


class _Patience(threading.Thread):
    """Waits for a signal, reminds the main thread of it, and ends the process in the end."""

    def __init__(self, tell: Callable[[interruption.Interrupted], str]) -> None:
        super().__init__(name="vecmigrate-patience", daemon=True)
        # Numbers of signals, a byte each; a pipe, because a signal may come while its handler writes one.
        self._read, self.written_to = os.pipe()
        os.set_blocking(self.written_to, False)
        self._stopped = threading.Event()
        self._tell = tell

    def wake(self, number: int) -> None:
        """Signal `number` came."""
        with suppress(BlockingIOError):  # full: it is awake
            os.write(self.written_to, bytes([number]))

    def stop(self) -> None:
        """It is not needed any more."""
        self._stopped.set()
        self.wake(0)
        self.join()
        os.close(self._read)
        os.close(self.written_to)

    def run(self) -> None:
        """Wait, remind, end."""
        number = 0
        while number not in _SIGNALS:
            number = os.read(self._read, 1)[0]
            if self._stopped.is_set():
                return
        began = reminded = time.monotonic()
        while (now := time.monotonic()) - began < END_SECONDS:
            if self._stopped.wait(_TICK_SECONDS):
                return
            unheard = interruption.asked() is None
            if unheard or (now - reminded >= AGAIN_SECONDS and interruption.in_user_code()):
                reminded = now
                main = threading.main_thread().ident
                if main is not None:
                    signal.pthread_kill(main, number)
        if not self._stopped.is_set():
            self._end(number)

    def _end(self, number: int) -> None:
        error = interruption.Interrupted(interruption.asked() or number)
        # Each of the two may hang; together they may not.
        threads = [
            threading.Thread(target=interruption.give_back_all, daemon=True),
            threading.Thread(target=self._say, args=[error], daemon=True),
        ]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + _AFTERWARDS_SECONDS
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        os._exit(error.exit_code)

    def _say(self, error: interruption.Interrupted) -> None:
        with suppress(Exception):
            text = f"{self._tell(error)}\n".encode(errors="backslashreplace")
            # Whoever reads stderr may have stopped reading.
            if select.select([], [2], [], _TICK_SECONDS)[1]:
                os.write(2, text)
