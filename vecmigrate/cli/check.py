"""`check`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vecmigrate.cli.app import App, Command, format_option, pass_app
from vecmigrate.cli.specs import annotation, counted
from vecmigrate.errors import EXIT_FINDINGS

if TYPE_CHECKING:
    from vecmigrate.commands.agreement import CheckResult


@click.command(cls=Command)
@click.option(
    "--server",
    is_flag=True,
    help="Ask the configured server too: are applied scripts as they were? A --redis URL implies it.",
)
@format_option("text", "json", "github")
@pass_app
def check(app: App, *, server: bool) -> None:
    """Check that specs, migrations and generated code belong together.

    The specs are valid, the migrations have one head and make what the specs say, generated code is fresh.
    No server is needed. Exits with 3 where there are errors.
    """
    from vecmigrate import commands

    if server or app.redis_url is not None:
        with app.session() as session:
            result = commands.check(app.config, session, variables=app.variables)
    else:
        result = commands.check(app.config, variables=app.variables)
    if app.format == "github":
        app.annotate(map(annotation, result.problems))
    else:
        app.emit(result, lambda: _told(result))
    if not result.ok:
        click.get_current_context().exit(EXIT_FINDINGS)


def _told(result: CheckResult) -> list[str]:
    return [*map(str, result.problems), f"checked {', '.join(result.checked)}: {counted(result.problems)}"]
