"""How errors look: one line on stderr and the exit code of the class, or a JSON object."""

from __future__ import annotations

import errno
import os
import traceback
from dataclasses import asdict
from typing import Any

import click

from vecmigrate.cli.app import App, as_json
from vecmigrate.errors import (
    EXIT_FAULT,
    EXIT_USAGE,
    AutogenerateError,
    SpecError,
    VecmigrateError,
    printable,
    printable_lines,
)

# What is wrong with a name of a file that somebody gave.
_ABOUT_NAMES = frozenset(
    {errno.ENAMETOOLONG, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.ENOENT, errno.EACCES}
)
_LONGEST_NAME = 100

EXIT_INTERRUPTED = 128 + 2  # what a shell reports for a program that SIGINT ended


def report(app: App, error: BaseException) -> int:
    """Tell the user about `error`, and return the exit code."""
    if app.debug and not isinstance(error, click.ClickException):
        # With the texts of others in it, such as redis-py's, which quote what a URL said.
        trace = app.conceal("".join(traceback.format_exception(error)).rstrip())
        click.echo(printable_lines(trace), err=True)
    said, code = lines(app, error)
    for line in said:
        click.echo(line, err=True)
    return code


def lines(app: App, error: BaseException) -> tuple[list[str], int]:
    """What to print about `error`, and the exit code."""
    told = _describe(app, error)
    code = int(told["exit_code"])
    if app.json:
        return [as_json({"error": told})], code
    said = [printable(problem["text"]) for problem in told.get("problems", ())]
    hint = f"; {told['hint']}" if told["hint"] else ""
    label = "vecmigrate: error: "
    if isinstance(error, KeyboardInterrupt):
        label = "\nvecmigrate: "  # a terminal has just shown ^C
    return [*said, label + printable(_one_line(f"{told['message']}{hint}"))], code


def _describe(app: App, error: BaseException) -> dict[str, Any]:
    if isinstance(error, SpecError):
        problems = [{**asdict(problem), "text": _one_line(str(problem))} for problem in error.problems]
        count = sum(problem.severity == "error" for problem in error.problems)
        message = f"{count} error{'s' * (count != 1)} in the specs"
        return {**_told(error, message, None, error.exit_code), "problems": problems}
    if isinstance(error, AutogenerateError):
        problems = [{**asdict(problem), "text": _one_line(str(problem))} for problem in error.problems]
        return {**_told(error, error.message, None, error.exit_code), "problems": problems}
    if isinstance(error, VecmigrateError):
        return _told(error, error.message, error.hint, error.exit_code)
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        hint = f"see `{context.command_path} --help`" if context else None
        # It repeats words, and one in the wrong place may be a URL.
        text = app.conceal(error.format_message().rstrip("."))
        return _told(error, text, hint, error.exit_code or EXIT_USAGE)
    if isinstance(error, KeyboardInterrupt):
        return _told(
            error,
            str(error) or "interrupted",
            app.when_interrupted,
            getattr(error, "exit_code", EXIT_INTERRUPTED),
        )
    if isinstance(error, OSError) and error.filename is not None and error.errno in _ABOUT_NAMES:
        name = str(error.filename)
        shown = name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…"
        return _told(error, app.conceal(f"{shown}: {os.strerror(error.errno)}"), None, EXIT_USAGE)
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    hint = (
        None if app.debug else "this was not foreseen: run it again with --debug to see where it comes from"
    )
    return _told(error, app.conceal(text), hint, EXIT_FAULT)


def _told(error: BaseException, message: str, hint: str | None, exit_code: int) -> dict[str, Any]:
    return {"type": type(error).__name__, "message": message, "hint": hint, "exit_code": exit_code}


def _one_line(text: str) -> str:
    return " ".join(text.split())
