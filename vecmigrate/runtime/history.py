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

_OTHER_SERVICE = (
    "where another service shares this Redis, give each a `namespace` of its own in the configuration"
)


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

    def check_unaltered(
        self, records: Mapping[str, RevisionRecord], *, indexes: Collection[str] = ()
    ) -> tuple[str, ...]:
        """The recorded revisions that are ahead of the scripts here: a newer release recorded them.

        They have no script, and descend from one that is here. `indexes` are the names of the specs that the
        ledger has an index of, by which the ledger of another service is told.

        Raises:
            HistoryAlteredError: An applied script was changed, or a revision is recorded that does not belong
                to these scripts.
        """
        ahead = [revision for revision in records if revision not in self.scripts]
        for revision in ahead:
            if not self._descends(revision, records):
                record = records[revision]
                raise HistoryAlteredError(
                    f"the ledger has revision {revision} ({record.message or record.status}), which no "
                    "script here has and which does not descend from one (expected a script for it, or for "
                    "what it stands on)",
                    hint=_OTHER_SERVICE + "; otherwise bring the script back",
                )
        for revision in self.changed(records):
            script, record = self.scripts[revision], records[revision]
            sums = f"({record.checksum} then, {script.checksum} now)"
            if self._is_foreign(script, record, indexes):
                raise HistoryAlteredError(
                    f"{script.path.name} is not the script that was applied as {revision}, which the ledger "
                    f"calls {record.message!r} {sums}",
                    hint=_OTHER_SERVICE,
                )
            raise HistoryAlteredError(
                f"{script.path.name} was changed after it was applied {sums}",
                hint="undo the change and write a new revision, or --accept-changed",
            )
        return tuple(ahead)

    def _descends(self, revision: str, records: Mapping[str, RevisionRecord]) -> bool:
        """Whether the recorded line below `revision` comes to a script that is here."""
        seen: set[str] = set()
        waiting = [revision]
        while waiting:
            name = waiting.pop()
            if name in self.scripts:
                return True
            record = records.get(name)
            if name in seen or record is None:
                continue
            seen.add(name)
            waiting += record.down_revision or ()
        return False

    def _is_foreign(self, script: Script, record: RevisionRecord, indexes: Collection[str]) -> bool:
        """Whether the record of a revision is of another script of the same id, as another service has it."""
        if record.message != script.message:
            return True
        if record.down_revision is not None and record.down_revision != script.down_revision:
            return True
        try:
            ours = {item.spec.name for item in self.state(script.revision)}
        except VecmigrateError:
            return False
        return bool(ours) and bool(indexes) and not ours & set(indexes)

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
