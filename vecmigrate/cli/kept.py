"""`rollback` and `complete`: the index that a rebuild has replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vecmigrate.cli.app import App, Command, format_option, pass_app
from vecmigrate.cli.database import told_kept, wait_option
from vecmigrate.cli.progress import duration

if TYPE_CHECKING:
    from vecmigrate.commands.results import CompleteResult, RollbackResult


@click.command(cls=Command)
@click.argument("name", required=False)
@click.option(
    "--accept-broken-readers",
    is_flag=True,
    help="Go back although queries of the helpers that are in use would fail then.",
)
@wait_option
@format_option()
@pass_app
def rollback(app: App, name: str | None, *, accept_broken_readers: bool, wait: float) -> None:
    """Go back to the index that was live before.

    One alias update: it takes milliseconds. NAME is the name of a spec, needed only where several indexes
    were rebuilt. What is rolled back stays there, and `upgrade` leaves it so: `upgrade --release` verifies it
    and cuts over to it again.
    """
    from vecmigrate import commands

    with app.session(wait=wait) as session:
        result = commands.rollback(session, name, accept_broken_readers=accept_broken_readers, wait=wait)
    for text in result.warnings:
        app.note(f"warning: what readers find otherwise now: {text}")
    app.emit(result, lambda: _rolled_back(result))


@click.command(cls=Command)
@click.argument("name", required=False)
@wait_option
@format_option()
@pass_app
def complete(app: App, name: str | None, *, wait: float) -> None:
    """Drop the indexes that are kept for a rollback.

    Also the aliases that renamed indexes had before. NAME is the name of a spec; without it, everything that
    is kept goes. Documents stay.
    """
    from vecmigrate import commands

    with app.session(wait=wait) as session:
        result = commands.complete(session, name, wait=wait)
    app.emit(result, lambda: _completed(result))


def _rolled_back(result: RollbackResult) -> str:
    return "\n".join(
        (
            f"{result.alias} leads to {result.live} again, in {duration(result.seconds)}",
            f"{result.before} stays; `vecmigrate upgrade --release` cuts over to it again, "
            f"`vecmigrate complete {result.name}` drops it",
            f"revision {result.revision} is rolled back, and `vecmigrate upgrade` leaves it so",
        )
    )


def _completed(result: CompleteResult) -> str:
    if not result.dropped:
        return "nothing was kept"
    return "\n".join(f"dropped {told_kept(item)}" for item in result.dropped)
