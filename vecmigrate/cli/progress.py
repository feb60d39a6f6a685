"""Drawing progress on stderr: a bar on a terminal, plain lines elsewhere, JSON lines, or nothing."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

from vecmigrate.cli.app import as_json
from vecmigrate.errors import printable, printable_lines

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from vecmigrate.operations.progress import Progress

LINE_SECONDS = 2.0
JSON_SECONDS = 1.0
BAR_SECONDS = 0.1
PERCENT = "%"
WINDOW_SECONDS = 20.0

_BAR_WIDTH = 16
_STATE_WIDTH = 50  # what the longest usual state takes, with the spaces between the columns


@contextmanager
def progress_for(*, json_lines: bool, quiet: bool, stream: TextIO | None = None) -> Iterator[Progress]:
    """The right way to draw for `stream` (default stderr); what is drawn is ended with the block."""
    from vecmigrate.operations.progress import Silent

    output = stream or sys.stderr
    if quiet:
        yield Silent()
    elif json_lines:
        yield JsonLines(output)
    elif output.isatty():
        with _bar(output) as bar:
            yield bar
    else:
        yield PlainLines(output)


@dataclass
class Pace:
    """How far one piece of work is, and how fast it has gone in the last `WINDOW_SECONDS`.

    What was done before the first report does not count: after a resume that is not 0.
    """

    label: str
    total: int | None
    clock: Callable[[], float] = time.monotonic
    unit: str = "items"
    done: int = 0
    _reports: deque[tuple[float, int]] = field(default_factory=deque)
    _told: float | None = None

    def advance(self, done: int) -> None:
        """Take note that `done` items are done."""
        now = self.clock()
        self.done = done
        # Reports may come thousands of times a second; a few of them tell the rate.
        if not self._reports or now - self._reports[-1][0] >= WINDOW_SECONDS / 50:
            self._reports.append((now, done))
        while len(self._reports) > 1 and now - self._reports[1][0] > WINDOW_SECONDS:
            self._reports.popleft()

    def due(self, seconds: float) -> bool:
        """Whether it is time to tell: at the first report, and then `seconds` after the last time."""
        now = self.clock()
        if self._told is not None and now - self._told < seconds:
            return False
        self._told = now
        return True

    @property
    def rate(self) -> float | None:
        """Items a second; None until that can be known."""
        if not self._reports:
            return None
        began, before = self._reports[0]
        seconds = self.clock() - began
        items = self.done - before
        return items / seconds if seconds > 0 and items > 0 else None

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the end at this rate; None where it cannot be known."""
        rate = self.rate
        return max(self.total - self.done, 0) / rate if rate and self.total is not None else None


class PlainLines:
    """A line when work begins, at most one every two seconds while it goes on, and one at its end."""

    def __init__(self, output: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._output = output
        self._clock = clock
        self._pace = Pace("", None, clock)

    def start(self, label: str, total: int | None, unit: str = "items") -> None:
        """Print what begins."""
        self._pace = Pace(label, total, self._clock, unit)
        self._pace.due(LINE_SECONDS)
        self._print(label if total is None or unit == PERCENT else f"{label}: {total:,} {unit}")

    def advance(self, done: int, **counts: int) -> None:
        """Print how far it is, if it is time to."""
        self._pace.advance(done)
        if self._pace.due(LINE_SECONDS):
            self._print(f"{self._pace.label}: {', '.join(_state(self._pace, counts))}")

    def message(self, text: str) -> None:
        """Print it."""
        self._print(text)

    def finish(self, summary: str) -> None:
        """Print how it ended."""
        self._print(f"{self._pace.label}: {summary}" if self._pace.label else summary)

    def _print(self, text: str) -> None:
        print(printable_lines(text), file=self._output, flush=True)


class JsonLines:
    """One JSON object a line: events `start`, `progress` (at most one a second), `message` and `finish`."""

    def __init__(self, output: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._output = output
        self._clock = clock
        self._pace = Pace("", None, clock)
        self._counts: dict[str, int] = {}

    def start(self, label: str, total: int | None, unit: str = "items") -> None:
        """Tell what begins."""
        self._pace = Pace(label, total, self._clock, unit)
        self._counts = {}
        self._write("start", label=label, total=total, unit=unit)

    def advance(self, done: int, **counts: int) -> None:
        """Tell how far it is, if it is time to."""
        self._pace.advance(done)
        self._counts = counts
        if self._pace.due(JSON_SECONDS):
            rate, left = self._pace.rate, self._pace.seconds_left
            self._write(
                "progress",
                label=self._pace.label,
                done=done,
                total=self._pace.total,
                counts=counts,
                rate=None if rate is None else round(rate, 1),
                seconds_left=None if left is None else round(left, 1),
            )

    def message(self, text: str) -> None:
        """Tell it."""
        self._write("message", text=text)

    def finish(self, summary: str) -> None:
        """Tell how it ended."""
        self._write(
            "finish", label=self._pace.label, done=self._pace.done, counts=self._counts, summary=summary
        )

    def _write(self, event: str, **values: Any) -> None:
        line = {"event": event, "at": datetime.now(UTC).isoformat(timespec="milliseconds"), **values}
        print(as_json(line), file=self._output, flush=True)


class Bar:
    """A bar with rate and time left, drawn by rich; what is finished stays above it as a line."""

    def __init__(self, bars: RichProgress) -> None:
        self._bars = bars
        self._task: TaskID | None = None
        self._pace = Pace("", None)

    def start(self, label: str, total: int | None, unit: str = "items") -> None:
        """Show a new bar."""
        self._remove()
        self._pace = Pace(label, total, unit=unit)
        room = max(self._bars.console.width - _BAR_WIDTH - _STATE_WIDTH, 12)
        shown = label if len(label) <= room else f"{label[: room - 1]}…"
        self._task = self._bars.add_task(printable(shown), total=total, state="")

    def advance(self, done: int, **counts: int) -> None:
        """Move the bar."""
        self._pace.advance(done)
        if self._task is not None and self._pace.due(BAR_SECONDS):
            # There is little room: what most items came to goes without saying.
            usual = max(counts, key=counts.__getitem__, default="")
            rest = {name: value for name, value in counts.items() if name != usual}
            state = ", ".join(_state(self._pace, rest))
            self._bars.update(self._task, completed=done, state=state, refresh=True)

    def message(self, text: str) -> None:
        """Print it above the bar."""
        self._bars.console.print(printable_lines(text), markup=False, highlight=False)

    def finish(self, summary: str) -> None:
        """Replace the bar with how it ended."""
        self._remove()
        self.message(f"{self._pace.label}: {summary}" if self._pace.label else summary)

    def _remove(self) -> None:
        if self._task is not None:
            self._bars.remove_task(self._task)
            self._task = None


@contextmanager
def _bar(output: TextIO) -> Iterator[Bar]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=_BAR_WIDTH),
        TextColumn("{task.fields[state]}", markup=False),
    )
    with Progress(*columns, console=Console(file=output), transient=True) as bars:
        yield Bar(bars)


def _state(pace: Pace, counts: dict[str, int]) -> list[str]:
    """The parts of a line: how much, how fast, how long still, and what else is counted."""
    parts = [f"{pace.done:,}"]
    if pace.unit == PERCENT:
        parts = [f"{pace.done}%"]
    elif pace.total:
        parts = [f"{min(pace.done / pace.total, 1):.0%} of {pace.total:,}"]
    if pace.rate is not None and pace.unit != PERCENT:
        parts.append(f"{pace.rate:,.0f}/s")
    if pace.seconds_left is not None:
        parts.append(f"{duration(pace.seconds_left)} left")
    return parts + [f"{value:,} {name.replace('_', ' ')}" for name, value in counts.items() if value]


def duration(seconds: float) -> str:
    """Seconds as one reads them: 40 ms, 1.4 s, 12 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
