"""Commands about migration scripts: none of them needs a server."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vecmigrate.commands.layouts import DEFAULT_TEMPLATE, find_template, settings
from vecmigrate.config import CONFIG_FILE, PYPROJECT, Config
from vecmigrate.errors import ConfigError, RevisionError
from vecmigrate.revisions import template
from vecmigrate.revisions.graph import RevisionGraph
from vecmigrate.revisions.scripts import Script, load_scripts
from vecmigrate.revisions.template import write_new


@dataclass(frozen=True, slots=True)
class RevisionItem:
    """One revision as lists show it; `branches` are the labels that reach it, its own and those below."""

    script: Script
    is_head: bool
    is_base: bool
    is_branch_point: bool
    is_merge_point: bool
    is_current: bool = False
    children: tuple[str, ...] = ()
    branches: tuple[str, ...] = ()

    @property
    def revision(self) -> str:
        """Its id."""
        return self.script.revision

    def to_dict(self) -> dict[str, Any]:
        """As JSON shows it."""
        script = self.script
        return {
            "revision": script.revision,
            "down_revision": list(script.down_revision),
            "depends_on": list(script.depends_on),
            "branch_labels": list(script.branch_labels),
            "branches": list(self.branches),
            "message": script.message,
            "doc": script.doc,
            "path": str(script.path),
            "checksum": script.checksum,
            "is_head": self.is_head,
            "is_base": self.is_base,
            "is_branch_point": self.is_branch_point,
            "is_merge_point": self.is_merge_point,
            "is_current": self.is_current,
            "children": list(self.children),
        }


@dataclass(frozen=True, slots=True)
class RevisionsResult:
    """Some revisions, in the order of the command that lists them."""

    items: tuple[RevisionItem, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON shows it."""
        return {"revisions": [item.to_dict() for item in self.items]}


@dataclass(frozen=True, slots=True)
class InitResult:
    """What `init` made; `settings` is what the user still has to add to `settings_file`, if anything."""

    created: tuple[Path, ...]
    settings: str | None = None
    settings_file: Path | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON shows it."""
        return {
            "created": [str(path) for path in self.created],
            "settings": self.settings,
            "settings_file": str(self.settings_file) if self.settings_file else None,
        }


@dataclass(frozen=True, slots=True)
class ScriptResult:
    """A migration script that was written."""

    script: Script

    def to_dict(self) -> dict[str, Any]:
        """As JSON shows it."""
        return {
            "path": str(self.script.path),
            "revision": self.script.revision,
            "down_revision": list(self.script.down_revision),
            "branch_labels": list(self.script.branch_labels),
            "depends_on": list(self.script.depends_on),
            "message": self.script.message,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """A revision that has no file yet, for the graph to judge."""

    revision: str
    down_revision: tuple[str, ...]
    branch_labels: tuple[str, ...]
    depends_on: tuple[str, ...]


def init(directory: Path, *, template: str = DEFAULT_TEMPLATE) -> InitResult:
    """Lay out a project: the configuration, a folder of specs, a folder of migrations.

    A pyproject.toml is left alone: the table to add to it is in the result. Nothing is overwritten, and
    nothing is written where something is in the way.

    Raises:
        ConfigError: There is no such template.
        RevisionError: One of the files exists already, or a folder cannot be written to.
    """
    files = {directory / name: text for name, text in find_template(template).files.items()}
    pyproject = directory / PYPROJECT
    if not pyproject.exists():
        files = {directory / CONFIG_FILE: settings(directory.absolute().name), **files}
    taken = [path for path in (*files, directory / CONFIG_FILE) if path.exists()]
    taken += [path.parent for path in files if path.parent != directory and _has_entries(path.parent)]
    if taken:
        raise RevisionError(
            f"{taken[0]} exists already (expected a folder without a vecmigrate project)",
            hint="nothing was written; choose another folder",
        )
    for path, text in files.items():
        write_new(path, text)
    if pyproject.exists() and "[tool.vecmigrate" not in pyproject.read_text("utf-8", "replace"):
        return InitResult(
            tuple(files), f"[tool.vecmigrate]\n{settings(directory.absolute().name)}", pyproject
        )
    return InitResult(tuple(files))


def revision(
    config: Config,
    message: str,
    *,
    rev_id: str | None = None,
    head: str = "head",
    splice: bool = False,
    branch_label: str | None = None,
    depends_on: Sequence[str] = (),
    details: str = "",
    statements: str = "",
) -> ScriptResult:
    """Write a new migration script that revises `head`.

    Args:
        config: Where the scripts are.
        message: What the revision does, in one line.
        rev_id: Its id; 12 random hex digits where none is given.
        head: The revision to stand on; "base" starts a branch of its own.
        splice: Allow `head` to be a revision that others revise already.
        branch_label: A name for the branch that starts here.
        depends_on: Revisions of other branches that have to be applied before.
        details: More lines for the docstring.
        statements: What `upgrade` does, indented; nothing where it is to be written by hand.

    Raises:
        RevisionError: `head` names no revision or several, is no head, or a name is taken or not allowed.
    """
    graph = RevisionGraph.from_nodes(load_scripts(config.migrations))
    parents = graph.resolve(head)
    for parent in parents:
        if parent not in graph.heads() and not splice:
            raise RevisionError(
                f"{parent!r} is no head: {', '.join(graph.children(parent))} revises it",
                hint="use --splice to start a branch there",
            )
    dependencies = tuple(found for name in depends_on for found in graph.resolve(name))
    labels = (branch_label,) if branch_label else ()
    return _write(
        config,
        message,
        rev_id=rev_id,
        parents=parents,
        labels=labels,
        depends_on=dependencies,
        details=details,
        statements=statements,
    )


def merge(
    config: Config,
    message: str,
    *,
    revisions: Sequence[str] = ("heads",),
    rev_id: str | None = None,
    branch_label: str | None = None,
) -> ScriptResult:
    """Write a migration script that joins several revisions, by default all heads.

    Raises:
        RevisionError: There are fewer than two, or one of them stands on another.
    """
    graph = RevisionGraph.from_nodes(load_scripts(config.migrations))
    parents = tuple(dict.fromkeys(found for name in revisions for found in graph.resolve(name)))
    if len(parents) < 2:
        raise RevisionError(
            f"nothing to merge: {', '.join(parents) or 'no revision'} (expected two revisions or more)",
            hint="see `vecmigrate heads`",
        )
    for parent in parents:
        inside = graph.ancestors(parent) & set(parents)
        if inside:
            raise RevisionError(
                f"{parent!r} stands on {sorted(inside)[0]!r} already, so they cannot be merged"
            )
    labels = (branch_label,) if branch_label else ()
    return _write(config, message, rev_id=rev_id, parents=parents, labels=labels)


def history(config: Config, span: str | None = None, *, applied: Collection[str] = ()) -> RevisionsResult:
    """The revisions of a span `from:to` (None: all), newest first.

    `applied` is where a database is, for `current` and steps: what those stand on counts as applied too.

    Raises:
        RevisionError: The scripts or the span are wrong.
    """
    scripts = load_scripts(config.migrations)
    graph = RevisionGraph.from_nodes(scripts)
    reached = {*applied, *graph.ancestors(*applied)}
    return _items(scripts, graph, graph.history(span, reached), reached)


def heads(config: Config) -> RevisionsResult:
    """The revisions that no other revises; raises RevisionError where the scripts are wrong."""
    scripts = load_scripts(config.migrations)
    graph = RevisionGraph.from_nodes(scripts)
    return _items(scripts, graph, graph.heads())


def branches(config: Config) -> RevisionsResult:
    """The revisions where branches start; raises RevisionError where the scripts are wrong."""
    scripts = load_scripts(config.migrations)
    graph = RevisionGraph.from_nodes(scripts)
    return _items(scripts, graph, graph.branch_points())


def show(config: Config, identifier: str, *, applied: Collection[str] = ()) -> RevisionsResult:
    """The revisions that `identifier` names; `applied` as for `history`.

    Raises:
        RevisionError: It names none, or several where one is meant.
    """
    scripts = load_scripts(config.migrations)
    graph = RevisionGraph.from_nodes(scripts)
    reached = {*applied, *graph.ancestors(*applied)}
    found = graph.resolve(identifier, reached)
    if not found:
        raise RevisionError(f"{identifier!r} names no revision: it is the base, before all of them")
    return _items(scripts, graph, found, reached)


def edit(
    config: Config, identifier: str, *, editor: Callable[[Path], object], applied: Collection[str] = ()
) -> RevisionsResult:
    """Let `editor` change the scripts that `identifier` names, one after the other, and read them again.

    Raises:
        RevisionError: As for `show`; or what was written is no script.
    """
    for item in show(config, identifier, applied=applied).items:
        editor(item.script.path)
    return show(config, identifier, applied=applied)


def _write(
    config: Config,
    message: str,
    *,
    rev_id: str | None,
    parents: tuple[str, ...],
    labels: tuple[str, ...],
    depends_on: tuple[str, ...] = (),
    details: str = "",
    statements: str = "",
) -> ScriptResult:
    scripts = load_scripts(config.migrations)
    message = " ".join("".join(c if c.isprintable() else " " for c in message).split())
    if not message:
        raise ConfigError("the message is empty (expected what the revision does, in one line)")
    candidate = _Candidate(
        revision=rev_id or template.new_revision_id([script.revision for script in scripts]),
        down_revision=parents,
        branch_labels=labels,
        depends_on=depends_on,
    )
    RevisionGraph.from_nodes((*scripts, candidate))
    path = config.migrations / template.file_name(candidate.revision, message)
    text = template.render_script(
        revision=candidate.revision,
        down_revision=parents,
        message=message,
        branch_labels=labels,
        depends_on=depends_on,
        details=details,
        statements=statements,
    )
    write_new(path, text)
    written = {script.path: script for script in load_scripts(config.migrations)}
    return ScriptResult(written[path])


def _items(
    scripts: Sequence[Script],
    graph: RevisionGraph,
    revisions: Sequence[str],
    applied: Collection[str] = (),
) -> RevisionsResult:
    by_id = {script.revision: script for script in scripts}
    heads, bases = graph.heads(), graph.bases()
    current = graph.current(applied)
    return RevisionsResult(
        tuple(
            RevisionItem(
                script=by_id[item],
                is_head=item in heads,
                is_base=item in bases,
                is_branch_point=len(graph.children(item)) > 1,
                is_merge_point=len(graph.parents(item)) > 1,
                is_current=item in current,
                children=graph.children(item),
                branches=graph.labels(item),
            )
            for item in revisions
        )
    )


def _has_entries(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())
