"""Results as tables on a terminal and as a JSON file."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.measure import Comparison, Row


@dataclass(frozen=True, slots=True)
class Circumstances:
    """Where and when the numbers were taken."""

    at: str
    cores: int
    machine: str
    versions: dict[str, str]
    load: float
    quick: bool
    seconds: float = 0.0

    def __str__(self) -> str:
        packages = ", ".join(
            f"{name} {version}" for name, version in self.versions.items() if name != "server"
        )
        machine = f"{self.machine}, {self.cores} cores (load {self.load})"
        return f"{self.at}, {machine}; {self.versions['server']}; {packages}"


def show(console: Console, comparison: Comparison) -> None:
    """Print one comparison and what became of its aims."""
    headings, *lines = _cells(comparison)
    table = Table(title=comparison.title, caption=comparison.note or None, title_justify="left")
    table.add_column(headings[0])
    for heading in headings[1:]:
        table.add_column(heading, justify="right")
    for line in lines:
        table.add_row(*line)
    console.print(table)
    for verdict in comparison.verdicts:
        colour = "green" if verdict.reached else "red"
        console.print(f"  aim: {verdict}", style=colour, highlight=False)
    console.print()


def write_json(path: Path, circumstances: Circumstances, comparisons: Sequence[Comparison]) -> None:
    """Write everything to `path`, which holds either the old text or the new one at any moment."""
    document: dict[str, Any] = {
        "circumstances": asdict(circumstances),
        "comparisons": [comparison.to_dict() for comparison in comparisons],
    }
    _replace(path, json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def write_markdown(path: Path, circumstances: Circumstances, comparisons: Sequence[Comparison]) -> None:
    """Write the tables to `path`, as write_json does."""
    parts = [f"{circumstances}; {circumstances.seconds:.0f} s in all.\n"]
    for comparison in comparisons:
        headings, *lines = _cells(comparison)
        ruler = ["---", *["---:" for _ in headings[1:]]]
        table = ["| " + " | ".join(cells) + " |" for cells in (headings, ruler, *lines)]
        note = [f"{comparison.note[0].upper()}{comparison.note[1:]}.", ""] if comparison.note else []
        aims = [f"- aim: {verdict}" for verdict in comparison.verdicts]
        parts.append("\n".join([f"### {comparison.title}", "", *note, *table, "", *aims]).rstrip() + "\n")
    _replace(path, "\n".join(parts))


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as file:
        file.write(text)
    try:
        Path(file.name).chmod(0o644)
        Path(file.name).replace(path)
    except OSError:
        Path(file.name).unlink()
        raise


def _cells(comparison: Comparison) -> list[list[str]]:
    """The comparison as text: the headings, then the rows."""
    others = list(dict.fromkeys(name for row in comparison.rows for name in row.ratios))
    processor = any(row.client_us is not None for row in comparison.rows)
    headings = ["", comparison.unit, "low – high", *(f"÷ {_short(name)}" for name in others)]
    cells = [[*headings, *(["client CPU µs", "server CPU µs"] if processor else [])]]
    for row in comparison.rows:
        ratios = [f"{row.ratios[name]:.2f}" if name in row.ratios else "1" for name in others]
        used = [_plain(row.client_us), _plain(row.server_us)] if processor else []
        cells.append([row.name, _number(row.median), _range(row), *ratios, *used])
    return cells


def _short(name: str) -> str:
    # "(a) by hand: …" is known from the row itself.
    return name[:3] if name.startswith("(") else " ".join(name.split()[:2]).rstrip(",")


def _range(row: Row) -> str:
    return f"{_number(min(row.samples))} – {_number(max(row.samples))}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}" if value < 100 else f"{value:.0f}"


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
