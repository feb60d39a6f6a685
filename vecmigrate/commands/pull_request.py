"""`review`: specs, migrations and generated code as they are, against what a git revision had."""

from __future__ import annotations

import ast
import contextlib
import re
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from vecmigrate.commands.git import Repository, open_repository
from vecmigrate.config import Config, load_config
from vecmigrate.diff.changes import Change, diff_state
from vecmigrate.diff.review import Report
from vecmigrate.diff.review import review as compare
from vecmigrate.diff.sides import Migration, Side, Step
from vecmigrate.errors import (
    CodegenError,
    ConfigError,
    Problem,
    RevisionError,
    ScriptError,
    VecmigrateError,
)
from vecmigrate.files import read_file
from vecmigrate.operations.recorder import Recorded, Variables
from vecmigrate.operations.state import State
from vecmigrate.revisions.autogenerate import verdict
from vecmigrate.revisions.scripts import Script, display_path, load_scripts
from vecmigrate.runtime.history import History
from vecmigrate.search.reply import Info, num_docs
from vecmigrate.spec.load import Loaded, check_specs, spec_files
from vecmigrate.spec.model import IndexSpec, Location

if TYPE_CHECKING:
    from vecmigrate.commands.database import Session

_PLACED: Final = re.compile(r"(?P<file>[^:\n]+):(?P<line>[0-9]+): (?P<message>.*)", re.DOTALL)
_SHORT: Final = 12


@dataclass(frozen=True, slots=True)
class ReviewResult:
    """Of review: the report, and the full id of the commit that was compared with."""

    report: Report
    commit: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON shows it."""
        return {"commit": self.commit, **self.report.to_dict()}


def review(
    config: Config,
    base: str | None = None,
    *,
    variables: Mapping[str, str] | None = None,
    session: Session | None = None,
) -> ReviewResult:
    """Compare the working tree with a git revision.

    Nothing is written but a temporary folder. The scripts of the working tree are executed to record what
    they do, as by `upgrade --dry-run`; those of the base are only read.

    Args:
        config: Where specs, scripts and generated code are.
        base: A branch, tag or commit; what counts is where HEAD parted from it. None takes origin's main
            branch, or the main branch here.
        variables: Values of migration variables.
        session: A server to ask for the number of documents, memory and rate; only FT.INFO is sent.

    Raises:
        ConfigError: There is no git, no work tree, or no such revision.
    """
    repository = open_repository(config.root)
    named = repository.commit(base)
    commit = repository.merge_base(named)
    notes = []
    if commit is None:
        commit = named
        notes.append("HEAD and the base have no common commit here, so the base is taken as it is")
    with tempfile.TemporaryDirectory(prefix="vecmigrate-review-") as folder:
        before, more = _base_side(config, repository, commit, Path(folder))
    now, others = _side_now(config, variables, {item.revision for item in before.migrations})
    live = _live(session, before.specs, now.specs) if session is not None else {}
    now = replace(now, documents={name: num_docs(info) for name, info in live.items()})
    label = commit[:_SHORT] if base is None or base == commit else f"{base} ({commit[:_SHORT]})"
    report = compare(before, now, base_name=label, live=live, notes=(*notes, *more, *others))
    return ReviewResult(report, commit)


def _base_side(config: Config, repository: Repository, commit: str, folder: Path) -> tuple[Side, list[str]]:
    """The base, as far as files tell: nothing of it is executed."""
    notes: list[str] = []
    old = _base_config(config, repository, commit, folder, notes)
    wanted = [old.specs, old.migrations]
    wanted += [old.output / "__init__.py"] if old.output is not None else []
    repository.copy(commit, [_below(path, folder) for path in wanted], folder)
    loaded = check_specs([old.specs]) if old.specs.exists() else Loaded((), ())
    if loaded.errors:
        notes.append(f"of the base, {len(loaded.errors)} problems in specs: what they say is not compared")
    scripts: tuple[Script, ...] = ()
    if old.migrations.is_dir():
        try:
            scripts = load_scripts(old.migrations)
        except ScriptError as error:
            notes.append(f"the migrations of the base cannot be read: {error.message}")
    home = str(repository.root)
    return (
        Side(
            specs=tuple(_moved(spec, str(folder), home) for spec in loaded.specs),
            migrations=tuple(_migration(script) for script in scripts),
            public=_exported(old.output / "__init__.py") if old.output is not None else frozenset(),
        ),
        notes,
    )


def _base_config(
    config: Config, repository: Repository, commit: str, folder: Path, notes: list[str]
) -> Config:
    """The configuration as the base had it, with its paths below `folder`."""
    root = repository.root.resolve()
    if config.file is not None and config.file.resolve().is_relative_to(root):
        file = config.file.resolve().relative_to(root)
        repository.copy(commit, [file], folder)
        if (folder / file).is_file():
            with contextlib.suppress(ConfigError):
                return load_config(folder / file)
    moved = {}
    for name in ("specs", "migrations", "output"):
        path = getattr(config, name)
        if path is None:
            continue
        if not path.resolve().is_relative_to(root):
            raise ConfigError(f"{path} is not in the git work tree {root} (so the base cannot have it)")
        moved[name] = folder / path.resolve().relative_to(root)
    return replace(config, root=folder, **moved)


def _below(path: Path, folder: Path) -> Path:
    """`path` relative to `folder`; a base whose configuration points outside is refused."""
    found = path.resolve()
    if not found.is_relative_to(folder.resolve()):
        raise ConfigError(f"the configuration of the base points out of its work tree ({path.name})")
    return found.relative_to(folder.resolve())


def _moved(spec: IndexSpec, folder: str, home: str) -> IndexSpec:
    """The spec with its places where they would be in the working tree."""

    def move(place: Location | None) -> Location | None:
        if place is None:
            return None
        return replace(place, file=display_path(Path(home + place.file.removeprefix(folder))))

    return replace(
        spec,
        location=move(spec.location),
        fields=tuple(replace(item, location=move(item.location)) for item in spec.fields),
        places={path: place for path, found in spec.places.items() if (place := move(found)) is not None},
    )


def _side_now(
    config: Config, variables: Mapping[str, str] | None, known: Collection[str]
) -> tuple[Side, list[str]]:
    notes: list[str] = []
    folder = Path(display_path(config.specs))
    loaded = check_specs([folder]) if folder.exists() else Loaded((), ())
    side = Side(
        specs=loaded.specs,
        problems=loaded.problems,
        state={},
        config=display_path(config.file) if config.file is not None else "",
    )
    files = [*spec_files([folder])] if folder.exists() else []
    wrong = sorted({problem.file for problem in loaded.errors})
    notes += [f"{name} has errors, so what it changes is not known" for name in wrong]
    if config.migrations.is_dir():
        files += [
            path for path in sorted(config.migrations.glob("*.py")) if not path.name.startswith(("_", "."))
        ]
        side = _with_migrations(side, config, variables, known)
    else:
        notes.append(f"there is no folder {display_path(config.migrations)}: nothing is migrated")
    if side.state is not None and not loaded.errors:
        side = _with_advice(side, side.state)
    if config.output is not None and loaded.specs and not loaded.errors:
        side = _with_code(side, Path(display_path(config.output)), notes)
    files += [config.file] if config.file is not None else []
    return replace(side, texts={display_path(path): _text(path) for path in files}), notes


def _with_migrations(
    side: Side, config: Config, variables: Mapping[str, str] | None, known: Collection[str]
) -> Side:
    given = Variables(given=dict(variables or {}), configured=config.variables)
    try:
        history = History(config.migrations, given)
    except RevisionError as error:
        return replace(side, state=None, broken=_problem(error))
    order = [history.scripts[name] for name in history.graph.topological()]
    side = replace(side, heads=history.graph.heads())
    try:
        migrations = tuple(_recorded(history, script, script.revision in known) for script in order)
        heads = history.graph.heads()
        state = history.state_of(heads) if heads else State()
        before = [name for name in history.scripts if name in known]
        start = history.state_of(before) if before else State()
    except VecmigrateError as error:
        listed = tuple(_migration(script) for script in order)
        return replace(side, state=None, migrations=listed, broken=_problem(error))
    return replace(side, migrations=migrations, state=_specs_of(state), start=_specs_of(start))


def _with_advice(side: Side, state: Mapping[str, IndexSpec]) -> Side:
    """What autogenerate would say of the changes that no migration makes."""
    made = verdict(state, side.specs)
    after = ", after `vecmigrate merge -m …`" if len(side.heads) > 1 else ""
    return replace(side, refused=made.instead, advice=made.advice + after)


def _recorded(history: History, script: Script, settled: bool) -> Migration:
    """A migration with what it does; `settled` ones are not asked whether they can be taken back."""
    plan = history.upgrade(script.revision)
    steps = tuple(_step(item, script.revision) for item in plan.recorded)
    found = replace(_migration(script), steps=steps)
    if settled or not plan.recorded:
        return found
    try:
        back = history.downgrade(script.revision).recorded
    except VecmigrateError as error:
        cause = error.__cause__ if isinstance(error.__cause__, VecmigrateError) else error
        line = script.downgrade_line or script.upgrade_line
        return replace(
            found, irreversible=cause.message, location=Location(display_path(script.path), line, 1)
        )
    before = plan.recorded[0].state
    after = _after(back, script.revision) if back else history.state(script.revision)
    left = diff_state(_specs_of(after), [item.spec for item in before]).pending
    nothing = None if back or left else "its downgrade does nothing"
    return replace(found, irreversible=nothing, not_undone=_of_no_file(left))


def _after(recorded: tuple[Recorded, ...], revision: str) -> State:
    return recorded[-1].operation.apply(recorded[-1].state, revision)


def _of_no_file(changes: tuple[Change, ...]) -> tuple[Change, ...]:
    return tuple(replace(change, location=None) for change in changes)


def _step(item: Recorded, revision: str) -> Step:
    operation = item.operation
    before = {index.spec.name for index in item.state}
    after = {index.spec.name for index in operation.apply(item.state, revision)}
    about = ({operation.target} & (before | after)) | (before ^ after)
    commands = tuple(operation.describe(item.state, revision))
    return Step(operation.title, operation.kind, tuple(sorted(about)), commands)


def _migration(script: Script) -> Migration:
    place = Location(display_path(script.path), script.upgrade_line, 1)
    return Migration(script.revision, script.message, place, script.checksum)


def _specs_of(state: State) -> dict[str, IndexSpec]:
    return {item.spec.name: item.spec for item in state}


def _with_code(side: Side, output: Path, notes: list[str]) -> Side:
    # Imported here: a project without generated code needs no templates.
    from vecmigrate.codegen.generate import check_package, generate_package

    try:
        files = generate_package(side.specs, package=output.name)
        stale = check_package(output, files)
    except CodegenError as error:
        notes.append(f"generated code is not compared: {error.message}")
        return side
    public = _names(files["__init__.py"])
    return replace(side, public=public, stale=stale, package=str(output))


def _exported(path: Path) -> frozenset[str]:
    return _names(_text(path)) if path.is_file() else frozenset()


def _names(text: str) -> frozenset[str]:
    """`__all__` of a module; empty where there is none."""
    with contextlib.suppress(SyntaxError, ValueError, TypeError):
        for node in ast.parse(text).body:
            target = node.targets[0] if isinstance(node, ast.Assign) else None
            if isinstance(node, ast.AnnAssign):
                target = node.target
            value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
            if isinstance(target, ast.Name) and target.id == "__all__" and value is not None:
                return frozenset(map(str, ast.literal_eval(value)))
    return frozenset()


def _text(path: Path) -> str:
    try:
        return read_file(path).decode("utf-8-sig", "replace")
    except OSError:
        # Why it cannot be read is told where it is needed; comments it has none.
        return ""


def _problem(error: VecmigrateError) -> Problem:
    found = _PLACED.fullmatch(error.message)
    if found is None:
        return Problem("", 0, 0, "migrations-broken", error.message, hint=error.hint)
    return Problem(
        found["file"], int(found["line"]), 1, "migrations-broken", found["message"], hint=error.hint
    )


def _live(session: Session, *sides: tuple[IndexSpec, ...]) -> dict[str, Info]:
    """FT.INFO of each index that is there, by the name of its spec."""
    from redis import ResponseError

    from vecmigrate.search.reply import parse_info

    found: dict[str, Info] = {}
    for spec in (spec for specs in sides for spec in specs):
        # An error says that there is no such index; whatever else is wrong comes out elsewhere.
        with contextlib.suppress(ResponseError):
            found[spec.name] = parse_info(session.client.execute_command("FT.INFO", spec.index.name))
    return found
