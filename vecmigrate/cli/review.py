"""`review`, and its report as text and for GitHub Actions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from vecmigrate.cli.app import App, Command, format_option, pass_app
from vecmigrate.cli.specs import workflow_command
from vecmigrate.errors import EXIT_FINDINGS, printable

if TYPE_CHECKING:
    from vecmigrate.diff.findings import Level
    from vecmigrate.diff.review import IndexReport, PendingStep, Report

_LEVELS = ("error", "warning", "info")


@click.command(cls=Command)
@click.option(
    "--base",
    metavar="REF",
    help="Branch, tag or commit to compare with; what counts is where HEAD parted from it. Default: the main "
    "branch of origin, or of this repository.",
)
@click.option(
    "--fail-on",
    type=click.Choice((*_LEVELS, "never")),
    default="error",
    show_default=True,
    help="Exit with 3 where something at least as bad is found.",
)
@click.option(
    "--server",
    is_flag=True,
    help="Ask the configured server for documents, memory and rate. A --redis URL implies it.",
)
@format_option("text", "markdown", "github", "json")
@pass_app
def review(app: App, *, base: str | None, fail_on: str, server: bool) -> None:
    """Tell what a change means, compared with a git revision.

    For each index: what changes, of which type it is and what it costs, the Redis commands, in which order to
    deploy. And what is wrong or needs a decision, each with a code that docs/review.md explains.
    """
    from vecmigrate import commands

    if server or app.redis_url is not None:
        with app.session() as session:
            result = commands.review(app.config, base, variables=app.variables, session=session)
    else:
        result = commands.review(app.config, base, variables=app.variables)
    report = result.report
    if app.format == "github":
        app.annotate(_annotations(report))
    elif app.format == "markdown":
        from vecmigrate.cli.markdown import render

        app.out(render(report))
    else:
        app.emit(result, lambda: _told(report))
    if fail_on != "never" and report.fails(_level(fail_on)):
        click.get_current_context().exit(EXIT_FINDINGS)


def _level(name: str) -> Level:
    levels: dict[str, Level] = {"error": "error", "warning": "warning", "info": "info"}
    return levels[name]


def summary(report: Report) -> str:
    """How much was found: "2 errors, 1 warning"."""
    counts = report.counts()
    words = [
        f"{count} {level}{'s' * (count > 1 and level != 'info')}" for level, count in counts.items() if count
    ]
    return ", ".join(words) or "no findings"


def commands_of(step: PendingStep) -> list[str]:
    """The commands of a step as one types them into redis-cli; what is no single command as a comment."""
    from vecmigrate.search.ddl import format_command

    return [
        printable(words[0] if words[0].startswith("#") else format_command(words)) for words in step.commands
    ]


def _annotations(report: Report) -> Iterator[str]:
    kinds = {"error": "error", "warning": "warning", "info": "notice"}
    for item in report.open:
        yield workflow_command(kinds[item.level], item.code, item.location, f"{item.message}; {item.fix}")


def _told(report: Report) -> Iterator[str]:
    yield f"compared with {report.base}"
    yield from (f"note: {note}" for note in report.notes)
    for item in report.indexes:
        yield ""
        yield from _index(item)
    if report.steps:
        yield ""
        yield "besides"
        yield from _steps(report.steps)
    yield ""
    if report.withdrawn:
        yield f"generated code no longer has: {', '.join(report.withdrawn)}"
    if report.exported:
        yield f"new in generated code: {', '.join(report.exported)}"
    if report.unchanged:
        yield f"unchanged: {', '.join(report.unchanged)}"
    yield from map(str, report.open)
    yield from (f"{item.place}: allowed {item.code}: {item.allowed}" for item in report.allowed)
    yield summary(report)


def _index(item: IndexReport) -> Iterator[str]:
    from vecmigrate.diff.model import WORDS

    yield (
        f"{item.name} ({item.alias}): {WORDS[item.kind]}"
        if item.alias
        else f"{item.name}: {WORDS[item.kind]}"
    )
    yield from (f"  {change.describe()}" for change in item.changes)
    yield f"  cost: {item.cost.describe()}"
    yield from _steps(item.steps)
    for number, stage in enumerate(item.deployment.stages, 1):
        yield f"  {number}. {stage.name}: {stage.action}"
    if item.deployment.back:
        yield f"  to go back: {'; then '.join(item.deployment.back)}"


def _steps(steps: tuple[PendingStep, ...]) -> Iterator[str]:
    for step in steps:
        yield f"  {step.revision}: {step.title}"
        yield from (f"    {line}" for line in commands_of(step))
