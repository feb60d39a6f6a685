"""How an operation tells what it is doing, without knowing who listens."""

from __future__ import annotations

from typing import Protocol


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
