"""The command line: parsing and rendering over vecmigrate.commands.

The commands are in modules that are imported when they are needed, and those import what does the work only
when they run: `vecmigrate --help` stays quick.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import click

from vecmigrate import __version__
from vecmigrate.cli.app import App
from vecmigrate.cli.errors import EXIT_INTERRUPTED, lines, report
from vecmigrate.cli.interrupt import handled, leave
from vecmigrate.errors import EXIT_DONE
from vecmigrate.interruption import give_back_all

_COMPLETION = "_VECMIGRATE_COMPLETE"  # set by the shell functions that click makes

_COMMANDS = {
    "init": "scripts",
    "list-templates": "scripts",
    "validate": "specs",
    "show-ddl": "specs",
    "generate": "specs",
    "check": "check",
    "review": "review",
    "revision": "scripts",
    "merge": "scripts",
    "edit": "scripts",
    "upgrade": "database",
    "downgrade": "database",
    "rollback": "kept",
    "complete": "kept",
    "heal": "heal",
    "abandon": "heal",
    "pause": "pause",
    "resume": "pause",
    "stamp": "database",
    "ensure-version": "ledger",
    "current": "database",
    "status": "database",
    "drift": "adopt",
    "introspect": "adopt",
    "import-redisvl": "adopt",
    "rejects": "database",
    "unlock": "database",
    "history": "scripts",
    "heads": "scripts",
    "branches": "scripts",
    "show": "scripts",
    "dev": "dev",
}


class _Group(click.Group):
    """A group whose commands are imported on first use; `--help` lists them as a project meets them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = import_module(f"vecmigrate.cli.{_COMMANDS[cmd_name]}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            close = difflib.get_close_matches(args[0], _COMMANDS, n=1)
            if not close:
                raise
            raise click.UsageError(f"{error.message} Did you mean {close[0]!r}?", ctx) from None


def _variables(_ctx: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for value in values:
        name, equals, content = value.partition("=")
        if not equals or not name:
            # Not repeated: a value may be a secret.
            raise click.BadParameter("one of them has no name (expected name=value)")
        found[name] = content
    return found


@click.command(
    cls=_Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=True,
)
@click.option(
    "-c",
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    help="Configuration file. Default: VECMIGRATE_CONFIG, or vecmigrate.toml or pyproject.toml, looked for "
    "from here upwards.",
)
@click.option(
    "--redis",
    metavar="URL",
    help="redis://, rediss://, unix://, redis+sentinel:// or embedded:[DIR]. Default: VECMIGRATE_REDIS_URL, "
    "REDIS_URL, the configuration.",
)
@click.option("--namespace", help="Which ledger in that Redis. Default: the configuration's.")
@click.option(
    "-x",
    "variables",
    metavar="NAME=VALUE",
    multiple=True,
    callback=_variables,
    help="Value of a migration variable. May be repeated.",
)
@click.option("-v", "--verbose", count=True, help="Tell more on stderr; twice for everything.")
@click.option("-q", "--quiet", is_flag=True, help="No progress and no notes on stderr; errors only.")
@click.option("--debug", is_flag=True, help="Print the traceback of an error.")
@click.version_option(__version__, prog_name="vecmigrate", message="%(prog)s %(version)s")
@click.pass_context
def group(
    ctx: click.Context,
    *,
    config_file: Path | None,
    redis: str | None,
    namespace: str | None,
    variables: dict[str, str],
    verbose: int,
    quiet: bool,
    debug: bool,
) -> None:
    """Versioned migrations, specs and typed helpers for vector indexes in Redis.

    These options come before the command; `vecmigrate COMMAND --help` tells about each command.
    """
    app = ctx.ensure_object(App)
    app.config_file = config_file
    app.redis_url = redis
    app.namespace = namespace
    app.variables = variables
    app.verbosity = verbose
    app.quiet = quiet
    app.debug = debug
    if os.environ.get("NO_COLOR"):
        ctx.color = False
    app.set_up_logging()


def run(arguments: Sequence[str], *, last: bool = False) -> int:
    """Run one command line and return its exit code; errors are reported on stderr.

    With `last` the process is about to end.
    """
    app = App()
    with handled(lambda error: "\n".join(lines(app, error)[0]), last=last):
        return _run(app, arguments)


def _run(app: App, arguments: Sequence[str]) -> int:
    # Known before parsing, so that a usage error can be reported in the wanted format too.
    words = app.words = list(arguments)
    if "--format=json" in words or ("--format", "json") in pairwise(words):
        app.format = "json"
    app.debug = "--debug" in words
    try:
        if instruction := os.environ.get(_COMPLETION):
            from click.shell_completion import shell_complete

            return shell_complete(group, {"obj": app}, "vecmigrate", _COMPLETION, instruction)
        with group.make_context("vecmigrate", words, obj=app) as context:
            group.invoke(context)
    except click.exceptions.Exit as end:
        return end.exit_code
    except BrokenPipeError:
        return app.end_output()
    except BaseException as error:
        # Whatever ends a command, the exit code says that it did not do what it was asked for.
        if isinstance(error, KeyboardInterrupt):
            give_back_all()
        return report(app, error)
    return EXIT_DONE


def main() -> None:
    """Entry point of the console script."""
    try:
        code = run(sys.argv[1:], last=True)
    except KeyboardInterrupt as error:  # it came while something else was being reported
        code = getattr(error, "exit_code", EXIT_INTERRUPTED)
    leave(code)
