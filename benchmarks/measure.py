"""How things are measured here: in turns, after a warm-up, and judged by medians.

Contenders take turns (A B C, A B C, …), so that whatever else the machine does in a minute falls on all of
them. A ratio is the median over the rounds of the ratio within each round, which noise moves less than it
moves the two medians.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, TypeAlias

Relation: TypeAlias = Literal["at least", "at most"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement: seconds on the clock for `count` items, and processor seconds where they were taken.

    `client` is this process or the one that was started, `server` is Redis.
    """

    seconds: float
    count: int = 1
    client: float | None = None
    server: float | None = None


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to do it. `run` measures one or several rows, by name; `before` is not measured.

    What takes long has warmed up after its first moments, and need not take part in the warm-up.
    """

    run: Callable[[], Mapping[str, Sample]]
    before: Callable[[], object] = lambda: None
    warm_up: bool = True


@dataclass(frozen=True, slots=True)
class Aim:
    """What a ratio should be: `row` divided by `against`, in the unit of the comparison."""

    row: str
    against: str
    relation: Relation
    factor: float


@dataclass(frozen=True, slots=True)
class Unit:
    """What a comparison counts in: items a second, or else time for each item in units of `scale` seconds."""

    name: str
    per_second: bool = False
    scale: float = 1.0

    def of(self, sample: Sample) -> float:
        """`sample` in this unit."""
        return (
            sample.count / sample.seconds if self.per_second else sample.seconds / sample.count / self.scale
        )


RATE = Unit("items/s", per_second=True)
MICROSECONDS = Unit("µs", scale=1e-6)
MILLISECONDS = Unit("ms", scale=1e-3)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table: the median, all samples, and ratios to the rows that others are compared with.

    `client_us` and `server_us` are processor microseconds an item.
    """

    name: str
    median: float
    samples: list[float]
    ratios: dict[str, float] = field(default_factory=dict)
    client_us: float | None = None
    server_us: float | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """An aim and what became of it."""

    row: str
    against: str
    relation: Relation
    factor: float
    found: float
    reached: bool

    def __str__(self) -> str:
        outcome = "reached" if self.reached else "missed"
        return f"{self.row} {self.relation} {self.factor:g} × {self.against}: {self.found:.2f}, {outcome}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One table: rows that were measured in turns on one server."""

    benchmark: str
    title: str
    unit: str
    rows: list[Row]
    verdicts: list[Verdict] = field(default_factory=list)
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """For the JSON file."""
        return asdict(self)


def take_turns(contenders: Sequence[Contender], *, rounds: int, warm_up: int = 1) -> dict[str, list[Sample]]:
    """Run all contenders `warm_up` + `rounds` times in turns; the samples of the last `rounds`, by row."""
    found: dict[str, list[Sample]] = {}
    for turn in range(warm_up + rounds):
        for contender in contenders:
            if turn < warm_up and not contender.warm_up:
                continue
            contender.before()
            gc.collect()
            for name, sample in contender.run().items():
                samples = found.setdefault(name, [])
                if turn >= warm_up:
                    samples.append(sample)
    return found


def compare(
    benchmark: str,
    title: str,
    samples: Mapping[str, Sequence[Sample]],
    unit: Unit,
    *,
    against: Sequence[str],
    aims: Sequence[Aim] = (),
    note: str = "",
) -> Comparison:
    """The table of `samples` by row, each row compared with those named in `against`."""
    values = {name: [unit.of(sample) for sample in taken] for name, taken in samples.items()}
    rows = [
        replace(
            row,
            client_us=_processor_us([(sample.client, sample.count) for sample in samples[row.name]]),
            server_us=_processor_us([(sample.server, sample.count) for sample in samples[row.name]]),
        )
        for row in _rows(values, against)
    ]
    return Comparison(benchmark, title, unit.name, rows, [_judge(aim, values) for aim in aims], note)


def compare_values(
    benchmark: str,
    title: str,
    values: Mapping[str, list[float]],
    unit: str,
    *,
    against: Sequence[str],
    aims: Sequence[Aim] = (),
    note: str = "",
) -> Comparison:
    """As `compare`, of plain numbers."""
    return Comparison(
        benchmark, title, unit, _rows(values, against), [_judge(aim, values) for aim in aims], note
    )


def _rows(values: Mapping[str, list[float]], against: Sequence[str]) -> list[Row]:
    return [
        Row(
            name,
            statistics.median(numbers),
            numbers,
            {other: _ratio(numbers, values[other]) for other in against if other != name},
        )
        for name, numbers in values.items()
    ]


def _judge(aim: Aim, values: Mapping[str, list[float]]) -> Verdict:
    found = _ratio(values[aim.row], values[aim.against])
    reached = found >= aim.factor if aim.relation == "at least" else found <= aim.factor
    return Verdict(aim.row, aim.against, aim.relation, aim.factor, found, reached)


def _ratio(values: Sequence[float], others: Sequence[float]) -> float:
    return statistics.median(value / other for value, other in zip(values, others, strict=True))


def _processor_us(taken: Sequence[tuple[float | None, int]]) -> float | None:
    known = [seconds / count * 1e6 for seconds, count in taken if seconds is not None]
    return statistics.median(known) if known else None


@dataclass(frozen=True, slots=True)
class Reading:
    """The clock and the processor time of this process and of the server, in seconds."""

    clock: float
    client: float
    server: float | None

    def until(self, later: Reading, count: int) -> Sample:
        """What happened between this reading and a later one, to `count` items."""
        server = None if later.server is None or self.server is None else later.server - self.server
        return Sample(later.clock - self.clock, count, later.client - self.client, server)


class Stopwatch:
    """Takes readings; `server_cpu` tells the server's processor time."""

    def __init__(self, server_cpu: Callable[[], float] | None = None) -> None:
        self._server_cpu = server_cpu

    def before(self) -> Reading:
        """A reading as work begins: the clock comes last, so that reading is not measured."""
        server = self._server_cpu() if self._server_cpu else None
        return Reading(client=time.process_time(), clock=time.perf_counter(), server=server)

    def after(self) -> Reading:
        """A reading as work ends: the clock comes first."""
        clock, client = time.perf_counter(), time.process_time()
        return Reading(clock, client, self._server_cpu() if self._server_cpu else None)

    @contextmanager
    def measure(self, count: int) -> Iterator[list[Sample]]:
        """Measure the block; the list holds the sample afterwards."""
        taken: list[Sample] = []
        before = self.before()
        yield taken
        taken.append(before.until(self.after(), count))
