"""`init`, `list-templates`, `revision`, `merge`, `edit`, `history`, `heads`, `branches` and `show`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vecmigrate.cli.app import App, Command, format_option, pass_app

if TYPE_CHECKING:
    from vecmigrate.commands.agreement import AutogenerateResult
    from vecmigrate.commands.scripts import InitResult, RevisionItem, RevisionsResult

_verbose = click.option("-v", "--verbose", is_flag=True, help="Show everything about each revision.")


@click.command(cls=Command)
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False), default=".")
@click.option(
    "-t", "--template", default="generic", show_default=True, help="What to lay out; see list-templates."
)
@format_option()
@pass_app
def init(app: App, directory: Path, *, template: str) -> None:
    """Lay out a project in DIRECTORY (default: here).

    Writes vecmigrate.toml (or says what to add to pyproject.toml), specs/ with an example, and migrations/.
    Nothing is overwritten.
    """
    from vecmigrate import commands

    result = commands.init(directory, template=template)
    app.emit(result, lambda: _laid_out(result))


@click.command(cls=Command)
@format_option()
@pass_app
def list_templates(app: App) -> None:
    """List what `init --template` can lay out."""
    from vecmigrate import commands

    result = commands.list_templates()
    app.emit(result, lambda: "\n".join(f"{item.name} - {item.description}" for item in result.templates))


@click.command(cls=Command)
@click.option("-m", "--message", required=True, help="What the revision does, in one line.")
@click.option(
    "--autogenerate", is_flag=True, help="Write what leads from the migrations so far to the specs."
)
@click.option(
    "--new",
    "known_new",
    metavar="NAME",
    multiple=True,
    help="With --autogenerate: this spec (skill) or field (skill.headline) is new and no renamed one. May be "
    "repeated.",
)
@click.option("--rev-id", help="Its id. Default: 12 random hex digits.")
@click.option("--head", default="head", show_default=True, help="Revision to stand on; `base` for none.")
@click.option("--splice", is_flag=True, help="Allow --head to be a revision that others revise already.")
@click.option("--branch-label", help="Name of the branch that starts here.")
@click.option("--depends-on", multiple=True, help="Revision that must be applied before. May be repeated.")
@format_option()
@pass_app
def revision(
    app: App,
    *,
    message: str,
    autogenerate: bool,
    known_new: tuple[str, ...],
    rev_id: str | None,
    head: str,
    splice: bool,
    branch_label: str | None,
    depends_on: tuple[str, ...],
) -> None:
    """Write a new migration script.

    With --autogenerate its operations are those that make of the indexes what the specs say. No server is
    needed: what there is follows from the migrations. Exits with 3, and writes nothing, where something has
    to be decided first.
    """
    from vecmigrate import commands

    if autogenerate:
        made = commands.autogenerate(
            app.config,
            message,
            rev_id=rev_id,
            head=head,
            splice=splice,
            branch_label=branch_label,
            depends_on=depends_on,
            known_new=known_new,
            variables=app.variables,
        )
        app.emit(made, lambda: _generated(made))
        return
    if known_new:
        raise click.UsageError("--new goes with --autogenerate")
    result = commands.revision(
        app.config,
        message,
        rev_id=rev_id,
        head=head,
        splice=splice,
        branch_label=branch_label,
        depends_on=depends_on,
    )
    app.emit(result, lambda: f"wrote {_shown(result.script.path)}")


@click.command(cls=Command)
@click.argument("revisions", nargs=-1)
@click.option("-m", "--message", required=True, help="What is joined, in one line.")
@click.option("--rev-id", help="Id of the new revision. Default: 12 random hex digits.")
@click.option("--branch-label", help="Name of the branch that starts here.")
@format_option()
@pass_app
def merge(
    app: App, revisions: tuple[str, ...], *, message: str, rev_id: str | None, branch_label: str | None
) -> None:
    """Write a script that joins REVISIONS (default: heads)."""
    from vecmigrate import commands

    result = commands.merge(
        app.config, message, revisions=revisions or ("heads",), rev_id=rev_id, branch_label=branch_label
    )
    app.emit(result, lambda: f"wrote {_shown(result.script.path)}")


@click.command(cls=Command)
@click.argument("revision")
@format_option()
@pass_app
def edit(app: App, revision: str) -> None:
    """Open the script of REVISION in an editor.

    It is the one that VISUAL or EDITOR name. Where REVISION names several, they are opened one after the
    other. Afterwards the scripts are read again, so that a slip shows at once.
    """
    from vecmigrate import commands
    from vecmigrate.revisions.identifiers import needs_applied

    applied = _applied(app) if needs_applied(revision) else ()
    result = commands.edit(
        app.config, revision, editor=lambda path: click.edit(filename=str(path)), applied=applied
    )
    app.emit(result, lambda: "\n".join(f"edited {_shown(item.script.path)}" for item in result.items))


@click.command(cls=Command)
@click.option(
    "-r", "--rev-range", metavar="FROM:TO", help="Only these revisions; either side may be left out."
)
@click.option("-i", "--indicate-current", is_flag=True, help="Ask the server, and mark what is current.")
@_verbose
@format_option()
@pass_app
def history(app: App, *, rev_range: str | None, indicate_current: bool, verbose: bool) -> None:
    """List the revisions, newest first."""
    from vecmigrate import commands
    from vecmigrate.revisions.identifiers import needs_applied

    ask = indicate_current or any(needs_applied(side) for side in (rev_range or "").split(":") if side)
    applied = _applied(app) if ask else ()
    result = commands.history(app.config, rev_range, applied=applied)
    app.emit(result, lambda: _listed(result, "detail" if verbose else "step"))


@click.command(cls=Command)
@_verbose
@format_option()
@pass_app
def heads(app: App, *, verbose: bool) -> None:
    """List the revisions that no other revises."""
    from vecmigrate import commands

    result = commands.heads(app.config)
    app.emit(result, lambda: _listed(result, "detail" if verbose else "line"))


@click.command(cls=Command)
@_verbose
@format_option()
@pass_app
def branches(app: App, *, verbose: bool) -> None:
    """List the revisions where branches start."""
    from vecmigrate import commands

    result = commands.branches(app.config)
    app.emit(result, lambda: _listed(result, "detail" if verbose else "branch"))


@click.command(cls=Command)
@click.argument("revision")
@format_option()
@pass_app
def show(app: App, revision: str) -> None:
    """Show what is known of a revision."""
    from vecmigrate import commands
    from vecmigrate.revisions.identifiers import needs_applied

    applied = _applied(app) if needs_applied(revision) else ()
    result = commands.show(app.config, revision, applied=applied)
    app.emit(result, lambda: _listed(result, "detail"))


def _applied(app: App) -> tuple[str, ...]:
    """The revisions that the database is at."""
    from vecmigrate import commands

    with app.session() as session:
        return tuple(item.revision for item in commands.current(session).revisions)


def _generated(result: AutogenerateResult) -> str:
    if result.script is None:
        return "nothing to do: the migrations make what the specs say"
    found = [f"  {change.describe()}" for change in result.changes]
    return "\n".join([f"wrote {_shown(result.script.script.path)}", *found])


def _laid_out(result: InitResult) -> str:
    lines = [f"wrote {_shown(path)}" for path in result.created]
    if result.settings:
        lines += [f"add this to {_shown(result.settings_file or Path())}:", "", result.settings.rstrip()]
    return "\n".join(lines)


def details(result: RevisionsResult) -> str:
    """Everything about each of some revisions."""
    return "\n\n".join(_detail(item) for item in result.items)


def _listed(result: RevisionsResult, style: str) -> str:
    if style == "detail":
        return details(result)
    return "\n".join(_line(item, style) for item in result.items)


def _line(item: RevisionItem, style: str) -> str:
    marks = "".join(f" ({mark})" for mark in _marks(item))
    line = f"{item.revision}{marks}"
    if style == "step":
        return f"{', '.join(item.script.down_revision) or '<base>'} -> {line}, {item.script.message}"
    if style == "branch":
        return "\n".join((line, *(f"    -> {child}" for child in item.children)))
    return line


def _marks(item: RevisionItem) -> list[str]:
    marks = list(item.branches)
    marks += ["head"] if item.is_head else []
    marks += ["current"] if item.is_current else []
    marks += ["branch point"] if item.is_branch_point else []
    marks += ["merge point"] if item.is_merge_point else []
    return marks


def _detail(item: RevisionItem) -> str:
    script = item.script
    rows = [
        ("Rev", _line(item, "line")),
        (
            "Parent" if len(script.down_revision) < 2 else "Merges",
            ", ".join(script.down_revision) or "<base>",
        ),
        ("Depends on", ", ".join(script.depends_on)),
        ("Branches into", ", ".join(item.children) if item.is_branch_point else ""),
        ("Path", _shown(script.path)),
        ("Checksum", script.checksum),
    ]
    head = [f"{name}: {value}" for name, value in rows if value]
    doc = [f"    {line}".rstrip() for line in script.doc.strip().splitlines()]
    return "\n".join([*head, "", *doc] if doc else head)


def _shown(path: Path) -> str:
    from vecmigrate.revisions.scripts import display_path

    return display_path(path)
