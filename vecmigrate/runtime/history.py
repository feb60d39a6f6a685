"""The scripts on disk and what is recorded of them: state at a revision, and whether history was altered."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from vecmigrate.errors import (
    ConfigError,
    HistoryAlteredError,
    IrreversibleError,
    ScriptError,
    VecmigrateError,
)
from vecmigrate.operations.recorder import Recorded, Recorder, Variables
from vecmigrate.operations.state import State
from vecmigrate.revisions.graph import RevisionGraph
from vecmigrate.revisions.scripts import (
    Script,
    call_script,
    display_path,
    load_module,
    load_scripts,
)
from vecmigrate.runtime.ledger import RevisionRecord


@dataclass(frozen=True, slots=True)
class Plan:
    """What one revision does in one direction."""

    script: Script
    recorded: tuple[Recorded, ...]


class History:
    """Every script, the graph they form, and what each records. Needs no server."""

    def __init__(self, directory: Path, variables: Variables) -> None:
        self.scripts = {script.revision: script for script in load_scripts(directory)}
        self.graph = RevisionGraph.from_nodes(self.scripts.values())
        self.variables = variables
        self._upgrades: dict[str, tuple[Recorded, ...]] = {}
        self._states: dict[str, State] = {}

    def upgrade(self, revision: str) -> Plan:
        """What upgrading to `revision` from its parents records."""
        self._record(revision)
        return Plan(self.scripts[revision], self._upgrades[revision])

    def downgrade(self, revision: str) -> Plan:
        """What taking `revision` back records."""
        self._record(revision)
        script = self.scripts[revision]
        if script.downgrade_line is None:
            raise IrreversibleError(
                f"{display_path(script.path)} has no function `downgrade` (one that takes its upgrade back)",
                hint="write one; `op.revert(upgrade)` suits most",
            )
        recorder = Recorder(
            revision, self._states[revision], base=self._before(revision), variables=self.variables
        )
        self._call(script, "downgrade", recorder)
        return Plan(script, tuple(recorder.recorded))

    def state(self, revision: str) -> State:
        """The state after `revision`: the fold over it and all its ancestors."""
        self._record(revision)
        return self._states[revision]

    def state_of(self, revisions: Collection[str]) -> State:
        """The state where `revisions`, and all that they stand on, are applied; raises as `state` does."""
        tops = self.graph.current(revisions)
        for name in tops:
            self._record(name)
        if len(tops) == 1:
            return self._states[tops[0]]
        return self._fold(
            self.graph.ordered({*tops, *self.graph.ancestors(*tops)}), f"the branches {' and '.join(tops)}"
        )

    def check_unaltered(self, applied: Mapping[str, RevisionRecord]) -> None:
        """Raise HistoryAlteredError where an applied script was changed or is gone."""
        for revision, record in applied.items():
            script = self.scripts.get(revision)
            if script is None:
                raise HistoryAlteredError(
                    f"the ledger has revision {revision} ({record.message or record.status}), "
                    "and no script has it (a script for each applied revision)",
                    hint="bring the script back, or `vecmigrate stamp` where this database belongs",
                )
            if record.status == "applied" and record.checksum != script.checksum:
                raise HistoryAlteredError(
                    f"{script.path.name} was changed after it was applied "
                    f"({record.checksum} then, {script.checksum} now)",
                    hint="undo the change and write a new revision, or --accept-changed",
                )

    def changed(self, applied: Mapping[str, RevisionRecord]) -> list[str]:
        """The applied revisions whose script has another checksum now."""
        return [
            revision
            for revision, record in applied.items()
            if record.status == "applied"
            and revision in self.scripts
            and record.checksum != self.scripts[revision].checksum
        ]

    def check_variables(self) -> None:
        """Raise ConfigError where `-x` names a variable that no migration asks for."""
        for revision in self.scripts:
            self._record(revision)
        unknown = self.variables.unknown()
        if unknown:
            known = ", ".join(sorted(self.variables.asked)) or "none"
            raise ConfigError(
                f"no migration asks for {', '.join(unknown)} (one of: {known})", hint="mend the -x option"
            )

    def _record(self, revision: str) -> None:
        """Record `revision` and what it stands on, as far as that was not done yet."""
        if revision in self._states:
            return
        for name in self.graph.ordered({revision, *self.graph.ancestors(revision)}):
            if name not in self._states:
                recorder = Recorder(name, self._before(name), variables=self.variables)
                self._call(self.scripts[name], "upgrade", recorder)
                self._upgrades[name] = tuple(recorder.recorded)
                self._states[name] = recorder.state

    def _before(self, revision: str) -> State:
        """The state that `revision`, whose ancestors are recorded, starts from."""
        script = self.scripts[revision]
        if len(script.down_revision) == 1 and not script.depends_on:
            return self._states[script.down_revision[0]]
        # Where branches meet, what one of them did must not be lost for the other not having done it.
        where = f"{display_path(script.path)}:{script.line}: the branches that meet in {revision}"
        return self._fold(self.graph.ordered(self.graph.ancestors(revision)), where)

    def _fold(self, revisions: Iterable[str], what: str) -> State:
        """The state after all of `revisions`, which are recorded and in order."""
        state = State()
        for name in revisions:
            for item in self._upgrades[name]:
                try:
                    state = item.operation.apply(state, name)
                except VecmigrateError as error:
                    raise ScriptError(
                        f"{what} do not fit together: in {name}, {error.message}", hint=error.hint
                    ) from error
        return state

    def _call(self, script: Script, function: str, recorder: Recorder) -> None:
        call_script(script, load_module(script), function, recorder)
