"""`ensure-version`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vecmigrate.cli.app import App, Command, format_option, pass_app

if TYPE_CHECKING:
    from vecmigrate.commands.ledger import EnsureVersionResult


@click.command(cls=Command)
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="SECONDS",
    help="Wait so long for another runner to finish. Default: exit with 4 at once.",
)
@format_option()
@pass_app
def ensure_version(app: App, *, wait: float) -> None:
    """Make the ledger if there is none; run nothing.

    Also shows that the server can be worked with and that its ledger can be written.
    """
    from vecmigrate import commands

    with app.session(wait=wait) as session:
        result = commands.ensure_version(session, wait=wait)
    app.emit(result, lambda: _ensured(result))


def _ensured(result: EnsureVersionResult) -> str:
    made = "made the ledger" if result.created else "there is a ledger already:"
    return f"{made} {result.namespace} in {result.redis}"
