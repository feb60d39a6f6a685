"""`revision --autogenerate` and `check`: the specs against what the migrations make. No server is needed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from vecmigrate.commands.scripts import ScriptResult, revision
from vecmigrate.commands.specs import generate, load_configured, validate
from vecmigrate.config import Config
from vecmigrate.diff.changes import Change, diff_state
from vecmigrate.errors import (
    CodegenError,
    ConfigError,
    Problem,
    RevisionError,
    ScriptError,
    StaleCodeError,
    VecmigrateError,
)
from vecmigrate.operations.recorder import Variables
from vecmigrate.revisions.autogenerate import Draft, draft, verdict
from vecmigrate.revisions.scripts import display_path
from vecmigrate.runtime.carry_over import indexes_of
from vecmigrate.runtime.history import History
from vecmigrate.runtime.look import look
from vecmigrate.spec.model import IndexSpec

if TYPE_CHECKING:
    from vecmigrate.commands.database import Session


@dataclass(frozen=True, slots=True)
class AutogenerateResult:
    """What was found to change, and the script that does it; None where there is nothing to do."""

    script: ScriptResult | None
    changes: tuple[Change, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON shows it."""
        return {
            "script": None if self.script is None else self.script.to_dict(),
            "changes": [asdict(change) for change in self.changes],
        }


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What `check` found; `checked` names what was looked at."""

    checked: tuple[str, ...]
    problems: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        """Whether there is no error; warnings do not count."""
        return all(problem.severity != "error" for problem in self.problems)

    def to_dict(self) -> dict[str, Any]:
        """As JSON shows it."""
        return {
            "ok": self.ok,
            "checked": list(self.checked),
            "problems": [asdict(problem) for problem in self.problems],
        }


def autogenerate(
    config: Config,
    message: str,
    *,
    rev_id: str | None = None,
    head: str = "head",
    splice: bool = False,
    branch_label: str | None = None,
    depends_on: Sequence[str] = (),
    known_new: Collection[str] = (),
    variables: Mapping[str, str] | None = None,
) -> AutogenerateResult:
    """Write the migration script that leads from what the migrations make to what the specs say.

    Args:
        config: Where specs and scripts are.
        message: What the revision does, in one line.
        rev_id, head, splice, branch_label, depends_on: As for `revision`.
        known_new: What is new and no renamed thing, `skill` or `skill.headline`.
        variables: Values of migration variables.

    Raises:
        SpecError: The specs have problems.
        AutogenerateError: Something has to be decided first; nothing was written.
        RevisionError: There are several heads, or `head` names no revision.
    """
    specs = load_configured(config)
    history = _history(config, variables)
    heads = history.graph.heads()
    if head == "head" and len(heads) > 1:
        raise RevisionError(
            f"there are {len(heads)} heads: {', '.join(heads)} (one, whose state the specs are held against)",
            hint="run `vecmigrate merge -m …` first, or name one by --head",
        )
    parents = [*history.graph.resolve(head)]
    for name in depends_on:
        parents += history.graph.resolve(name)
    made = draft(_state(history, parents), specs, known_new=known_new)
    if not made.calls:
        return AutogenerateResult(None, made.diff.changes)
    written = revision(
        config,
        message,
        rev_id=rev_id,
        head=head,
        splice=splice,
        branch_label=branch_label,
        depends_on=depends_on,
        details=made.details,
        statements=made.body(),
    )
    _prove(config, written, made, specs, variables)
    return AutogenerateResult(written, made.diff.changes)


def check(
    config: Config, session: Session | None = None, *, variables: Mapping[str, str] | None = None
) -> CheckResult:
    """Look at everything that a pull request can get wrong, and list what is.

    The specs are valid; the migrations have one head; the state there is what the specs say; the generated
    code is what the specs give. With a session: applied scripts are what was applied, and the
    indexes and aliases that the ledger knows are there.
    """
    checked = ["specs"]
    problems = list(validate(config).problems)
    sound = all(problem.severity != "error" for problem in problems)
    history, found = _read_history(config, variables)
    checked.append("migrations")
    problems += found
    if history is not None:
        problems += _heads(config, history)
        if sound:
            checked.append("state")
            problems += _against_state(history, load_configured(config))
    if sound and config.output is not None:
        checked.append("generated code")
        problems += _generated(config)
    if session is not None and history is not None:
        checked.append("applied scripts")
        problems += _applied(session, history)
    return CheckResult(tuple(checked), tuple(problems))


def _prove(
    config: Config,
    written: ScriptResult,
    made: Draft,
    specs: Sequence[IndexSpec],
    variables: Mapping[str, str] | None,
) -> None:
    """Run what was written, as upgrade would, and take it away again where it leads elsewhere."""
    script = written.script
    try:
        history = _history(config, variables)
        left = diff_state(_state(history, [script.revision]), specs).pending
        history.downgrade(script.revision)
    except VecmigrateError:
        script.path.unlink()
        raise
    if left:
        script.path.unlink()
        raise RevisionError(
            f"the script that was written would not lead to the specs: {left[0].describe()}",
            hint="nothing was written; write this revision by hand",
        )


def _history(config: Config, variables: Mapping[str, str] | None) -> History:
    return History(config.migrations, Variables(given=dict(variables or {}), configured=config.variables))


def _state(history: History, revisions: Sequence[str]) -> dict[str, IndexSpec]:
    if not revisions:
        return {}
    return {item.spec.name: item.spec for item in history.state_of(revisions)}


def _read_history(
    config: Config, variables: Mapping[str, str] | None
) -> tuple[History | None, list[Problem]]:
    try:
        history = _history(config, variables)
        for name in history.scripts:
            history.state(name)
    except RevisionError as error:
        place = display_path(config.migrations)
        code = "broken-script" if isinstance(error, ScriptError) else "broken-history"
        return None, [Problem(place, 0, 0, code, error.message, None, error.hint)]
    return history, []


def _heads(config: Config, history: History) -> Iterator[Problem]:
    heads = history.graph.heads()
    if len(heads) > 1:
        files = ", ".join(f"{name} ({history.scripts[name].path.name})" for name in heads)
        yield Problem(
            display_path(config.migrations),
            0,
            0,
            "several-heads",
            f"there are {len(heads)} heads: {files}",
            "one",
            "run `vecmigrate merge -m …`, or let one revise the other",
        )


def _against_state(history: History, specs: Sequence[IndexSpec]) -> Iterator[Problem]:
    heads = history.graph.heads()
    try:
        state = _state(history, heads)
    except RevisionError as error:
        script = history.scripts[heads[0]]
        yield Problem(
            display_path(script.path), script.line, 1, "broken-history", error.message, None, error.hint
        )
        return
    made = verdict(state, specs)
    yield from made.ambiguous
    yield from made.names.values()
    several = len(heads) > 1
    for change in made.diff.pending:
        place = change.location
        yield Problem(
            change.subject if place is None else place.file,
            0 if place is None else place.line,
            0 if place is None else place.column,
            "pending-change",
            f"no migration makes this change: {change.describe()}",
            None,
            made.hint(change) + (", after `vecmigrate merge -m …`" if several else ""),
        )


def _generated(config: Config) -> Iterator[Problem]:
    try:
        generate(config, check=True)
    except (StaleCodeError, CodegenError, ConfigError) as error:
        place = display_path(config.output) if config.output is not None else "output"
        yield Problem(place, 0, 0, "stale-code", error.message, None, error.hint)


def _applied(session: Session, history: History) -> Iterator[Problem]:
    records = session.ledger.revisions()
    folder = display_path(session.config.migrations)
    for name, record in records.items():
        if name not in history.scripts:
            message = f"revision {name} ({record.message or record.status}) is applied and has no script"
            yield Problem(folder, 0, 0, "script-missing", message, "a script for each applied revision")
    for name in history.changed(records):
        script = history.scripts[name]
        yield Problem(
            display_path(script.path),
            script.line,
            1,
            "script-changed",
            f"revision {name} was changed after it was applied",
            records[name].checksum,
            "undo the change and write a new revision",
        )
    for fault in look(session.client, indexes_of(session.ledger, history)):
        code = fault.kind.replace("_", "-")
        yield Problem(fault.place, 0, 0, code, str(fault), None, "`vecmigrate heal` mends it")
