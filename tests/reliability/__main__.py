"""Run the fault suite: one row a fault, and exit code 1 where anything ended wrong.

python -m tests.reliability                                   a few runs of each fault
python -m tests.reliability network runner_kills.rebuild      of a family, of one fault
python -m tests.reliability runner_kills.rebuild --seed 17 --count 1      one run once more
python -m tests.reliability --full --budget 7200 --markdown   what docs/reliability.md shows
"""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

import tests.reliability
from tests.reliability.faults import FAULTS, EndedWrongError, Fault, MissedError, NothingToTryError, chosen
from tests.reliability.report import Row, rewrite, table
from tests.reliability.world import World

# Runs in which the command was over before the fault came are made up for, but not without end.
_TRIES = 3
_BUDGET, _FULL_BUDGET = 1_800.0, 4 * 3_600.0
DOCUMENT = Path(__file__).parents[2] / "docs" / "reliability.md"


def main(arguments: list[str] | None = None) -> int:
    """Run what is asked for; 0 where everything ended right, 1 where not, 2 for a wrong name."""
    for module in pkgutil.iter_modules(tests.reliability.__path__):
        if module.name not in ("__main__", "preload"):
            importlib.import_module(f"tests.reliability.{module.name}")
    asked = _parser().parse_args(arguments)
    try:
        faults = chosen(asked.names)
    except KeyError as error:
        families = sorted({name.partition(".")[0] for name in FAULTS})
        print(f"there is no fault {error} (a family such as {', '.join(families)}; --list)", file=sys.stderr)
        return 2
    if asked.list:
        print("\n".join(f"{item.name:<36} {item.fault}" for item in faults))
        return 0
    rows = run(faults, asked)
    print(table(rows))
    for row in rows:
        for seed, text in row.wrong:
            print(f"\n{row.fault.name} --seed {seed} --count 1\n  {text}")
    if asked.markdown:
        rewrite(DOCUMENT, rows, _server())
    return 0 if all(row.ok for row in rows) else 1


def run(faults: list[Fault], asked: argparse.Namespace) -> list[Row]:
    """Make the runs, one of each fault in turn, so that none goes short when time is up."""
    rows = [Row(item) for item in faults]
    wanted = [asked.count or (item.full if asked.full else item.runs) for item in faults]
    end = time.monotonic() + (asked.budget or (_FULL_BUDGET if asked.full else _BUDGET))
    for number in range(_TRIES * max(wanted, default=0)):
        for row, count in zip(rows, wanted, strict=True):
            open_ = row.runs < count and number < _TRIES * count and not row.skipped
            if open_ and time.monotonic() < end:
                _one(row, asked.seed + number)
    return rows


def _one(row: Row, seed: int) -> None:
    item = row.fault
    began = time.monotonic()
    try:
        with (
            tempfile.TemporaryDirectory(prefix="vecmigrate-", ignore_cleanup_errors=True) as name,
            World(seed, Path(name), kept=item.kept, lease_seconds=item.lease_seconds) as world,
        ):
            item.scenario(world)
    except MissedError:
        row.missed += 1
        told = "over before the fault came; not counted"
    except NothingToTryError as reason:
        row.skipped = told = f"{reason}"
    except EndedWrongError as wrong:
        told = " ".join(str(wrong).split())
        row.wrong.append((seed, told))
        told = f"WRONG: {told}"
    except Exception:
        # A scenario that breaks has shown nothing, and nothing shown is no right end.
        told = f"the scenario broke:\n{traceback.format_exc()}"
        row.wrong.append((seed, told))
    else:
        row.right += 1
        told = "right"
    seconds = time.monotonic() - began
    print(f"{item.name} {seed}: {told} ({seconds:.1f} s)", file=sys.stderr, flush=True)


def _server() -> str:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name, World(0, Path(name)) as world:
        status = json.loads(world.must("status", "--format", "json").out)
        return str(status["server"])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tests.reliability",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="a family or a fault; all by default")
    parser.add_argument("--count", type=int, default=0, metavar="N", help="runs of each fault")
    parser.add_argument("--full", action="store_true", help="as many runs as the published table has")
    parser.add_argument(
        "--seed", type=int, default=1, metavar="N", help="of the first run; each next has one more"
    )
    parser.add_argument(
        "--budget",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help=f"no run begins after that (default: {_BUDGET:.0f}, with --full {_FULL_BUDGET:.0f})",
    )
    parser.add_argument("--markdown", action="store_true", help="write the table into docs/reliability.md")
    parser.add_argument("--list", action="store_true", help="say which faults there are, and run nothing")
    return parser


if __name__ == "__main__":
    sys.exit(main())
