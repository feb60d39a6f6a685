"""Prints what the pods counted."""

from __future__ import annotations

from collections import Counter
from importlib.metadata import PackageNotFoundError, version

import pytest

from tests.coexist.clients import COUNTS

PACKAGES = ("redis", "redisvl", "langchain-redis", "llama-index-vector-stores-redis", "redis-om")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A line for each client, below one with the versions that it was."""
    if not COUNTS:
        return
    terminalreporter.section("pods that asked without pause")
    terminalreporter.line(", ".join(filter(None, map(_version, PACKAGES))))
    totals: dict[str, Counter[str]] = {}
    for client, right, wrong, failed in COUNTS:
        counter = totals.setdefault(client, Counter())
        counter.update(right=right, wrong=len(wrong), failed=len(failed))
    for client, counts in totals.items():
        terminalreporter.line(
            f"{client:32}right {counts['right']:6,}   wrong {counts['wrong']:,}   failed {counts['failed']:,}"
        )


def _version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return ""
