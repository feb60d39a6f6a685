"""The report of `review` as Markdown, for a comment in a pull request."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Final

from vecmigrate.cli.review import commands_of, summary
from vecmigrate.diff.model import WORDS
from vecmigrate.errors import printable

if TYPE_CHECKING:
    from vecmigrate.diff.findings import Finding
    from vecmigrate.diff.review import IndexReport, PendingStep, Report

# By this a workflow finds the comment that it wrote before.
MARK: Final = "<!-- vecmigrate review -->"
# GitHub takes comments of up to 65,536 characters; the rest is left for what a workflow adds.
_LONGEST: Final = 60_000
_ACTIVE: Final = re.compile(r"([\\`*_{}\[\]<>#|~@!&])")
# A backslash keeps Markdown from them, but GitHub looks for names and numbers in what Markdown made.
_MENTION: Final = re.compile(r"(\\[@#])(?=\w)")
_APART: Final = "&#8203;"


def render(report: Report) -> str:
    """The whole report. Where it would be longer than a comment may be, the commands are left out."""
    text = "\n".join(_report(report, commands=True))
    if len(text) > _LONGEST:
        text = "\n".join(_report(report, commands=False))
    if len(text) > _LONGEST:
        text = text[:_LONGEST].rsplit("\n", 1)[0] + "\n\nThe rest is too long for a comment."
    return text


def _report(report: Report, *, commands: bool) -> Iterator[str]:
    yield MARK
    yield f"## Vector indexes: {summary(report)}"
    yield ""
    yield f"Compared with {code(report.base)}."
    yield from (f"\n> {plain(note)}" for note in report.notes)
    if report.indexes:
        yield ""
        yield "| index | type | cost |"
        yield "| --- | --- | --- |"
        yield from (_row(item) for item in report.indexes)
    if report.unchanged:
        yield ""
        yield f"Unchanged: {', '.join(map(code, report.unchanged))}."
    if report.open:
        yield from _findings(report.open)
    for item in report.indexes:
        yield from _index(item, commands=commands)
    if report.withdrawn or report.exported:
        yield from ("", "### Generated code", "")
    if report.withdrawn:
        yield f"- gone: {', '.join(map(code, report.withdrawn))}"
    if report.exported:
        yield f"- new: {', '.join(map(code, report.exported))}"
    if report.steps and commands:
        yield from ("", "### Besides")
        yield from _commands(report.steps)
    if report.allowed:
        yield from ("", f"<details><summary>Allowed by comments: {len(report.allowed)}</summary>", "")
        for found in report.allowed:
            reason = plain(found.allowed or "")
            yield f"- {code(found.code)} {code(found.place)}: {plain(found.message)}. Reason: {reason}"
        yield from ("", "</details>")


def _row(item: IndexReport) -> str:
    return f"| {code(item.name)} | **{WORDS[item.kind]}** | {plain(item.cost.describe())} |"


def _findings(found: tuple[Finding, ...]) -> Iterator[str]:
    yield from (
        "",
        "### Findings",
        "",
        "| | code | where | what | what to do |",
        "| --- | --- | --- | --- | --- |",
    )
    for item in found:
        place = code(item.place) if item.place else ""
        yield f"| {item.level} | {code(item.code)} | {place} | {plain(item.message)} | {plain(item.fix)} |"


def _index(item: IndexReport, *, commands: bool) -> Iterator[str]:
    alias = f" ({code(item.alias)})" if item.alias else ""
    yield from ("", f"### {code(item.name)}{alias}: {WORDS[item.kind]}")
    if item.changes:
        yield ""
        yield from (f"- {plain(change.describe())}" for change in item.changes)
    if item.deployment.stages:
        yield from ("", "In this order:", "")
        yield from (
            f"{number}. **{stage.name}**: {plain(stage.action)}"
            for number, stage in enumerate(item.deployment.stages, 1)
        )
    if item.deployment.back:
        yield from ("", f"To go back: {'; then '.join(map(plain, item.deployment.back))}.")
    if item.steps and commands:
        yield from _commands(item.steps)


def _commands(steps: tuple[PendingStep, ...]) -> Iterator[str]:
    yield from ("", "<details><summary>Redis commands</summary>", "")
    for revision, group in groupby(steps, lambda step: step.revision):
        lines = [printable(f"# {revision}")]
        for step in group:
            lines += [printable(f"# {step.title}"), *commands_of(step)]
        text = "\n".join(lines)
        fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", text)), 3)
        yield from (f"{fence}text", text, fence)
    yield from ("", "</details>")


def code(text: str) -> str:
    """`text` as code, also in a table."""
    line = printable(" ".join(text.split())).replace("|", "\\|")
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def plain(text: str) -> str:
    """`text` as it reads, also in a table: no mark-up of its own, no mention of anybody; code stays code."""
    parts = re.split(r"(`[^`]+`)", printable(" ".join(text.split())))
    return "".join(
        code(part[1:-1])
        if part.startswith("`") and part.endswith("`") and len(part) > 2
        else _MENTION.sub(rf"\1{_APART}", _ACTIVE.sub(r"\\\1", part))
        for part in parts
    )
