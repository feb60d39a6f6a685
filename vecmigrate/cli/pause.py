"""`pause` and `resume`: hold back whoever is at work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vecmigrate.cli.app import App, Command, format_option, pass_app

if TYPE_CHECKING:
    from vecmigrate.commands.results import PauseResult


@click.command(cls=Command)
@format_option()
@pass_app
def pause(app: App) -> None:
    """Let a running upgrade or downgrade wait, within a second.

    It keeps its lease and goes on after `vecmigrate resume`. One that is started meanwhile waits too, as soon
    as it would move items.
    """
    from vecmigrate import commands

    with app.session() as session:
        result = commands.pause(session)
    app.emit(result, lambda: _paused(result))


@click.command(cls=Command)
@format_option()
@pass_app
def resume(app: App) -> None:
    """End a pause: what waits goes on within a second."""
    from vecmigrate import commands

    with app.session() as session:
        result = commands.resume(session)
    app.emit(result, lambda: _resumed(result))


def _paused(result: PauseResult) -> str:
    text = f"{result.pause}; `vecmigrate resume` goes on"
    return text if result.changed else f"already {text}"


def _resumed(result: PauseResult) -> str:
    return f"resumed (was {result.pause})" if result.changed else "nothing was paused"
