"""Run the benchmarks: tables on standard output, everything in a JSON file."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from importlib import import_module, metadata
from pathlib import Path

from rich.console import Console

from benchmarks.measure import Comparison
from benchmarks.report import Circumstances, show, write_json, write_markdown
from benchmarks.server import Server, running_server

# Each is a module here whose `run(server, quick=…)` gives comparisons; in the order in which they are run.
BENCHMARKS = ("backfill", "atomic", "memory", "knn", "store", "rebuild", "startup")
PACKAGES = ("redis", "hiredis", "numpy", "orjson", "pysimdjson", "redisvl", "alembic")
OUTPUT = Path(__file__).parent / "results.json"


def main(arguments: list[str] | None = None) -> int:
    """Run what was asked for; 0 also where an aim was missed, since aims are no tests."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few items and one round: shows that it runs")
    parser.add_argument(
        "--only", action="append", choices=BENCHMARKS, metavar="NAME", help=", ".join(BENCHMARKS)
    )
    parser.add_argument("--markdown", type=Path, help="put the tables into this file, too")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="the JSON file (default: %(default)s)")
    options = parser.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 150)
    began = time.monotonic()
    comparisons: list[Comparison] = []
    with running_server() as server:
        circumstances = _circumstances(server, quick=options.quick)
        console.print(str(circumstances), highlight=False, soft_wrap=True)
        console.print()
        for name in options.only or BENCHMARKS:
            for comparison in import_module(f"benchmarks.{name}").run(server, quick=options.quick):
                show(console, comparison)
                comparisons.append(comparison)
    seconds = round(time.monotonic() - began, 1)
    circumstances = replace(circumstances, seconds=seconds)
    write_json(options.output, circumstances, comparisons)
    if options.markdown:
        write_markdown(options.markdown, circumstances, comparisons)
    if options.quick:
        console.print("a quick run shows that everything runs; its numbers say little")
    missed = sum(not verdict.reached for comparison in comparisons for verdict in comparison.verdicts)
    aims = sum(len(comparison.verdicts) for comparison in comparisons)
    console.print(
        f"{aims - missed} of {aims} aims reached; {seconds:.0f} s; written to {options.output}",
        highlight=False,
    )
    return 0


def _circumstances(server: Server, *, quick: bool) -> Circumstances:
    versions = {"Python": platform.python_version(), "server": server.versions()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return Circumstances(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        machine=f"{platform.system()} {platform.machine()}",
        versions=versions,
        load=round(os.getloadavg()[0], 2),
        quick=quick,
    )


if __name__ == "__main__":
    sys.exit(main())
