"""`validate`, `show-ddl` and `generate`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vecmigrate.cli.app import App, Command, format_option, pass_app
from vecmigrate.errors import EXIT_FINDINGS, Problem, StaleCodeError, printable
from vecmigrate.spec.model import Location

if TYPE_CHECKING:
    from vecmigrate.commands.specs import GenerateResult, ValidateResult


@click.command(cls=Command)
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@format_option("text", "json", "github")
@pass_app
def validate(app: App, paths: tuple[Path, ...]) -> None:
    """Check specs and list every problem in them.

    PATHS are files and folders; without any, the configured folder. Exits with 3 where there are errors.
    """
    from vecmigrate import commands

    result = commands.validate(app.config, paths)
    if app.format == "github":
        app.annotate(map(annotation, result.problems))
    else:
        app.emit(result, lambda: _findings(result))
    if not result.ok:
        click.get_current_context().exit(EXIT_FINDINGS)


@click.command(cls=Command)
@click.argument("name", required=False)
@click.option(
    "--server-version",
    metavar="VERSION",
    help="Also check that such a server can do it: 8.2, or before Redis 8 with RediSearch, as in 7.4/2.10.5.",
)
@format_option()
@pass_app
def show_ddl(app: App, name: str | None, *, server_version: str | None) -> None:
    """Print the FT.CREATE commands of the specs.

    NAME is that of a spec or of its index; without it, all are printed. They are as one would type them into
    redis-cli.
    """
    from vecmigrate import commands

    result = commands.show_ddl(app.config, name, server_version=server_version)
    app.emit(result, lambda: [item.command for item in result.items])


@click.command(cls=Command)
@click.option(
    "--check", is_flag=True, help="Write nothing; exit with 3 and print a diff where code is stale."
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder of the package.")
@format_option()
@pass_app
def generate(app: App, *, check: bool, output: Path | None) -> None:
    """Write the package of typed helpers from the specs."""
    from vecmigrate import commands

    try:
        result = commands.generate(app.config, check=check, output=output)
    except StaleCodeError as error:
        if not app.json:
            app.out(error.diff.rstrip("\n"))
        raise
    app.emit(result, lambda: _generated(result))


def _findings(result: ValidateResult) -> list[str]:
    files = len(result.files)
    summary = f"{files} spec file{'s' * (files != 1)}: {counted(result.problems)}"
    return [*map(str, result.problems), summary]


def counted(problems: Sequence[Problem]) -> str:
    """How many errors and warnings there are: "1 error, 2 warnings", or "no problems"."""
    errors = sum(problem.severity == "error" for problem in problems)
    counts = [
        f"{count} {word}{'s' * (count != 1)}"
        for count, word in ((errors, "error"), (len(problems) - errors, "warning"))
        if count
    ]
    return ", ".join(counts) or "no problems"


def _generated(result: GenerateResult) -> list[str]:
    if not result.written:
        return [f"{result.directory} is up to date ({len(result.files)} files)"]
    return [f"wrote {result.directory / name}" for name in result.written]


def annotation(problem: Problem) -> str:
    """A workflow command of GitHub Actions, which shows the problem beside the line."""
    kind = "error" if problem.severity == "error" else "warning"
    expected = f" ({problem.expected})" if problem.expected else ""
    hint = f"; {problem.hint}" if problem.hint else ""
    place = Location(problem.file, problem.line, problem.column)
    return workflow_command(kind, problem.code, place, problem.message + expected + hint)


def workflow_command(kind: str, code: str, place: Location | None, message: str) -> str:
    """A line that GitHub Actions shows beside the line of a file; `kind` is error, warning or notice."""
    parts = {"file": place.file} if place is not None else {}
    parts["title"] = f"vecmigrate {code}"
    if place is not None and place.line:
        parts |= {"line": str(place.line), "col": str(max(place.column, 1))}
    shown = ",".join(f"{name}={_escaped(value, ':,')}" for name, value in parts.items())
    return f"::{kind} {shown}::{_escaped(message)}"


def _escaped(text: str, more: str = "") -> str:
    for character in f"%\r\n{more}":  # the percent sign first, as the others bring it in
        text = text.replace(character, f"%{ord(character):02X}")
    return printable(text)
