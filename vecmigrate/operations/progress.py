"""How an operation tells what it is doing, without knowing who listens."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from vecmigrate.revisions.scripts import display_path
from vecmigrate.revisions.user_code import UserCodeFault, call_user_code, fault_of


class Progress(Protocol):
    """Told by the runner and the operations; the command line draws it.

    `start` opens a piece of work, `advance` reports on it as often as it likes, `finish` closes it.
    """

    def start(self, label: str, total: int | None, unit: str = "items") -> None:
        """A piece of work begins; `total` is how many items if that is known, and 100 where `unit` is "%"."""

    def advance(self, done: int, **counts: int) -> None:
        """`done` items so far, from 0 to `total`; `counts` break them down by outcome."""

    def message(self, text: str) -> None:
        """One line for the reader."""

    def finish(self, summary: str) -> None:
        """The piece of work that was started last is done."""


class Guarded:
    """Hands on to a listener that is not ours, whose faults become errors of this run.

    What the command line listens with may raise OSError, where its reader is gone.
    """

    def __init__(self, listener: Progress) -> None:
        self._listener = listener

    def start(self, label: str, total: int | None, unit: str = "items") -> None:
        """Hand it on."""
        self._call(self._listener.start, label, total, unit)

    def advance(self, done: int, **counts: int) -> None:
        """Hand it on."""
        self._call(partial(self._listener.advance, **counts), done)

    def message(self, text: str) -> None:
        """Hand it on."""
        self._call(self._listener.message, text)

    def finish(self, summary: str) -> None:
        """Hand it on."""
        self._call(self._listener.finish, summary)

    def _call(self, function: Callable[..., object], *arguments: object) -> None:
        try:
            call_user_code(function, *arguments)
        except UserCodeFault as fault:
            if isinstance(fault.error, OSError):
                raise fault.error from None
            raise fault_of(fault.error, function, display_path) from fault.error


class Silent:
    """Listens to nothing."""

    def start(self, label: str, total: int | None, unit: str = "items") -> None:
        """Ignore it."""

    def advance(self, done: int, **counts: int) -> None:
        """Ignore it."""

    def message(self, text: str) -> None:
        """Ignore it."""

    def finish(self, summary: str) -> None:
        """Ignore it."""
