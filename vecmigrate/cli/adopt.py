"""`drift`, `introspect` and `import-redisvl`: what is there already."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vecmigrate.cli.app import App, Command, format_option, pass_app
from vecmigrate.errors import EXIT_FINDINGS

if TYPE_CHECKING:
    from vecmigrate.commands.adopt import SpecFileResult
    from vecmigrate.commands.compare import DriftResult

_name = click.option("--name", help="The spec's name. Default: made from that of the index.")
_key = click.option(
    "--key",
    help="The parameter that completes the prefix, or the field that is it. Default: the name and _id.",
)
_output = click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="The file to write, - for stdout. Default: a file of the spec's name among the specs.",
)


@click.command(cls=Command)
@format_option()
@pass_app
def drift(app: App) -> None:
    """Compare the server with what the migrations made of it.

    Every index and alias is held against the state at the revision that the ledger says. What the server
    does not show is listed and not judged. Exits with 3 where something differs; changes nothing.
    """
    from vecmigrate import commands

    with app.session() as session:
        result = commands.drift(session)
    app.emit(result, lambda: _drift(result))
    if not result.ok:
        click.get_current_context().exit(EXIT_FINDINGS)


@click.command(cls=Command)
@click.argument("index")
@_name
@_key
@_output
@click.option(
    "--sample",
    type=click.IntRange(min=0),
    default=100,
    show_default=True,
    help="How many documents to look at for what the index does not know.",
)
@click.option(
    "--alias",
    "aliases",
    multiple=True,
    metavar="NAME",
    help="Another name that leads to the index; give all of them, FT.INFO lists none.",
)
@click.option("--no-aliases", is_flag=True, help="No other name leads to the index.")
@format_option()
@pass_app
def introspect(
    app: App,
    index: str,
    *,
    name: str | None,
    key: str | None,
    output: Path | None,
    sample: int,
    aliases: tuple[str, ...],
    no_aliases: bool,
) -> None:
    """Write a spec of the live INDEX, which may be an alias.

    What could not be seen is listed, also in the file. No file is overwritten.
    """
    from vecmigrate import commands

    if aliases and no_aliases:
        raise click.UsageError(f"--no-aliases and --alias {aliases[0]} exclude each other")
    with app.session() as session:
        result = commands.introspect(
            session,
            index,
            name=name,
            key=key,
            output=output,
            sample=sample,
            aliases=aliases if aliases or no_aliases else None,
        )
    _told(app, result)


@click.command(cls=Command)
@click.argument("schema", type=click.Path(path_type=Path))
@_name
@_key
@_output
@click.option(
    "--index-prefix",
    is_flag=True,
    help="Say the prefix that RedisVL gives its index, not the one that its documents are under.",
)
@format_option()
@pass_app
def import_redisvl(
    app: App, schema: Path, *, name: str | None, key: str | None, output: Path | None, index_prefix: bool
) -> None:
    """Write a spec from the RedisVL schema in the YAML file SCHEMA.

    No server is needed, and no file is overwritten.
    """
    from vecmigrate import commands

    result = commands.import_redisvl(
        app.config, schema, name=name, key=key, output=output, index_prefix=index_prefix
    )
    _told(app, result)


def _told(app: App, result: SpecFileResult) -> None:
    if result.path is None and not app.json:
        app.out(result.text.rstrip("\n"))
    else:
        app.emit(result, lambda: _spec_file(result))
    if not result.ok:
        click.get_current_context().exit(EXIT_FINDINGS)


def _spec_file(result: SpecFileResult) -> str:
    from vecmigrate.revisions.scripts import display_path

    lines = [f"wrote {display_path(result.path)}" if result.path else ""]
    lines += _section("to look at", result.notes)
    lines += _section("the index has otherwise", result.differences)
    lines += _section("cannot be seen, so make sure of it", result.unseen)
    lines += _section("beside the other specs", result.problems)
    return "\n".join(lines)


def _drift(result: DriftResult) -> str:
    lines = [*map(str, result.drift)]
    if result.half_done:
        lines.append(f"half-done, so that differences may be their work: {', '.join(result.half_done)}")
    lines += _section("other indexes over these documents", result.neighbours)
    lines += _section("cannot be seen", result.unseen)
    count = len(result.indexes)
    indexes = f"{count} index{'es' * (count != 1)} at {', '.join(result.current) or 'base'}"
    differing = len({item.index for item in result.drift})
    verdict = (
        f"{len(result.drift)} difference{'s' * (len(result.drift) != 1)} in {differing} of {indexes}"
        if result.drift
        else f"no drift in {indexes}"
    )
    return "\n".join([*lines, verdict])


def _section(title: str, items: tuple[object, ...]) -> list[str]:
    return [f"{title}:", *(f"  {item}" for item in items)] if items else []
