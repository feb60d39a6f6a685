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


def show(console: Console, comparison: Comparison) -> None:
    """Print one comparison and what became of its aims."""
    others = list(dict.fromkeys(name for row in comparison.rows for name in row.ratios))
    processor = any(row.client_us is not None for row in comparison.rows)
    table = Table(title=comparison.title, caption=comparison.note or None, title_justify="left")
    table.add_column("")
    for heading in (comparison.unit, "low – high", *(f"÷ {_short(name)}" for name in others)):
        table.add_column(heading, justify="right")
    if processor:
        table.add_column("CPU µs, client", justify="right")
        table.add_column("server", justify="right")
    for row in comparison.rows:
        ratios = [f"{row.ratios[name]:.2f}" if name in row.ratios else "1" for name in others]
        used = [_plain(row.client_us), _plain(row.server_us)] if processor else []
        table.add_row(row.name, _number(row.median), _range(row), *ratios, *used)
    console.print(table)
    for verdict in comparison.verdicts:
        outcome = "[green]reached[/]" if verdict.reached else "[red]missed[/]"
        console.print(
            f"  aim: {verdict.row} {verdict.relation} {verdict.factor:g} × {verdict.against}: "
            f"{verdict.found:.2f}, {outcome}",
            highlight=False,
        )
    console.print()


def write_json(path: Path, circumstances: Circumstances, comparisons: Sequence[Comparison]) -> None:
    """Write everything to `path`, which holds either the old text or the new one at any moment."""
    document: dict[str, Any] = {
        "circumstances": asdict(circumstances),
        "comparisons": [comparison.to_dict() for comparison in comparisons],
    }
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as file:
        file.write(text)
    try:
        Path(file.name).chmod(0o644)
        Path(file.name).replace(path)
    except OSError:
        Path(file.name).unlink()
        raise


def _short(name: str) -> str:
    # "(a) by hand: …" is known from the row itself.
    return name[:3] if name.startswith("(") else " ".join(name.split()[:2]).rstrip(",")


def _range(row: Row) -> str:
    return f"{_number(min(row.samples))} – {_number(max(row.samples))}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}" if value < 100 else f"{value:.0f}"


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
