"""The table: one row a fault, printed, or written between two markers of docs/reliability.md."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tests.reliability.faults import Fault

BEGIN = "<!-- counts: written by `python -m tests.reliability --markdown` -->"
END = "<!-- end of counts -->"
_HEAD = ("fault", "promise", "runs", "ended right", "ended wrong")


@dataclass
class Row:
    """What became of one fault's runs. `wrong` has a seed and what was seen for each that ended wrong."""

    fault: Fault
    right: int = 0
    wrong: list[tuple[int, str]] = field(default_factory=list)
    missed: int = 0
    skipped: str = ""

    @property
    def runs(self) -> int:
        """How many runs were made."""
        return self.right + len(self.wrong)

    @property
    def ok(self) -> bool:
        """Whether nothing ended wrong, and a fault that was tried came about at all."""
        return not self.wrong and (self.right > 0 or not self.missed)

    @property
    def cells(self) -> tuple[str, ...]:
        """The row as the table has it."""
        wrong = (
            f"{len(self.wrong)} (seed {', '.join(str(seed) for seed, _ in self.wrong)})"
            if self.wrong
            else "0"
        )
        why = self.skipped or ("it never came about" if self.missed else "no time left")
        runs = f"{self.runs}" if self.runs else f"0 ({why})"
        return self.fault.fault, self.fault.promise, runs, f"{self.right}", wrong


def table(rows: list[Row]) -> str:
    """Every row, then the sums, as a Markdown table."""
    sums = (
        "**all**",
        "",
        f"{sum(row.runs for row in rows)}",
        f"{sum(row.right for row in rows)}",
        f"{sum(len(row.wrong) for row in rows)}",
    )
    lines = [_HEAD, ("---", "---", "---:", "---:", "---:"), *(row.cells for row in rows), sums]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def rewrite(document: Path, rows: list[Row], server: str) -> None:
    """Put the table between the two markers of `document`.

    Raises:
        ValueError: It does not have them.
    """
    text = document.read_text("utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(
            f"{document} has no place for the table (a line {BEGIN!r}, and further down {END!r})"
        )
    document.write_text(f"{before}{BEGIN}\n\nOn {server}.\n\n{table(rows)}\n\n{END}{after}", "utf-8")
