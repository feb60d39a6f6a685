"""Options about how gently a step works, and what a backfill may take away."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

C = TypeVar("C", bound=Callable[..., Any])

_THROTTLE = (
    click.option(
        "--max-rate",
        type=click.FloatRange(min=0, min_open=True),
        metavar="N",
        help="Move at most so many items a second.",
    ),
    click.option(
        "--max-latency",
        type=click.FloatRange(min=0, min_open=True),
        metavar="MS",
        help="Slow down while Redis answers later than this, beside what the network takes.",
    ),
)
_BACKFILL = (
    click.option(
        "--max-deletes",
        metavar="N|P%",
        help="Stop a backfill whose source lost more than this, instead of removing documents. Default: 10%.",
    ),
    click.option(
        "--allow-eviction", is_flag=True, help="Go on although Redis may evict keys (maxmemory-policy)."
    ),
)


def throttle_options(command: C) -> C:
    """`--max-rate` and `--max-latency`."""
    return _with(command, _THROTTLE)


def backfill_options(command: C) -> C:
    """`--max-deletes` and `--allow-eviction`."""
    return _with(command, _BACKFILL)


def _with(command: C, options: tuple[Callable[[C], C], ...]) -> C:
    for option in reversed(options):
        command = option(command)
    return command
