"""`heal` and `abandon`: what became otherwise than the ledger says, and what was begun and withdrawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vecmigrate.cli.app import App, Command, format_option, pass_app
from vecmigrate.cli.database import wait_option
from vecmigrate.cli.progress import progress_for
from vecmigrate.errors import EXIT_FINDINGS

if TYPE_CHECKING:
    from vecmigrate.commands.healing import HealResult
    from vecmigrate.commands.stamping import AbandonResult


@click.command(cls=Command)
@click.argument("name", required=False)
@click.option(
    "--drop-different",
    is_flag=True,
    help="Also drop an index that hides an alias and has another definition. Documents stay.",
)
@wait_option
@format_option()
@pass_app
def heal(app: App, name: str | None, *, drop_different: bool, wait: float) -> None:
    """Make indexes and aliases again as the ledger says.

    Builds indexes that are gone, drops plain indexes that hide our aliases (as RedisVL and LangChain create
    them at start), and lets every alias lead where it should. NAME is the name of a spec; without it, all are
    looked at. Exits with 3 where something is left that somebody has to decide.
    """
    from vecmigrate import commands

    with (
        app.session(wait=wait) as session,
        progress_for(json_lines=app.json, quiet=app.quiet) as progress,
    ):
        result = commands.heal(session, name, drop_different=drop_different, wait=wait, progress=progress)
    app.emit(result, lambda: _healed(result))
    if not result.ok:
        click.get_current_context().exit(EXIT_FINDINGS)


@click.command(cls=Command)
@click.argument("revision")
@wait_option
@format_option()
@pass_app
def abandon(app: App, revision: str, *, wait: float) -> None:
    """Clean up after a REVISION that stopped half-way and whose script is gone.

    What it was building is dropped, and an index that it replaced is live again. Documents stay.
    """
    from vecmigrate import commands

    with app.session(wait=wait) as session:
        result = commands.abandon(session, revision, wait=wait)
    app.emit(result, lambda: _abandoned(result))


def _healed(result: HealResult) -> str:
    lines = [f"mended {item}" for item in result.mended]
    lines += [f"left alone: {fault}" for fault in result.left]
    return "\n".join(lines or ["nothing to mend"])


def _abandoned(result: AbandonResult) -> str:
    lines = [f"abandoned {result.revision}"]
    lines += [f"  {name} is live again" for name in result.restored]
    lines += [f"  dropped {name}" for name in result.dropped]
    return "\n".join([*lines, *(f"  {note}" for note in result.notes)])
