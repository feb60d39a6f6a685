"""What a review compares: everything a project says at one moment, without the files it says it in."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from vecmigrate.diff.changes import diff_specs, diff_state, renamed_index
from vecmigrate.diff.model import Change, ChangeKey, Diff
from vecmigrate.errors import Problem
from vecmigrate.spec.model import IndexSpec, Location


@dataclass(frozen=True, slots=True)
class Step:
    """One operation of a migration; `indexes` are the specs that it is about, none for `run`."""

    title: str
    kind: str
    indexes: tuple[str, ...]
    commands: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Migration:
    """One migration script. `steps` and what the downgrade is like are known only where it was recorded.

    `irreversible` says why there is no way back, `not_undone` what differs from the state before after the
    upgrade and the downgrade.
    """

    revision: str
    message: str
    location: Location
    checksum: str
    steps: tuple[Step, ...] = ()
    irreversible: str | None = None
    not_undone: tuple[Change, ...] = ()

    def touches(self, name: str) -> bool:
        """Whether one of its steps is about the spec `name`."""
        return any(name in step.indexes for step in self.steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A project at one moment.

    Attributes:
        specs: Those without errors.
        migrations: In the order in which they are applied.
        heads: The revisions that no other revises.
        state: Spec name → spec after all migrations; None where they were not recorded.
        start: The same before those migrations that the base does not have.
        refused: Key of a change that autogenerate refuses → what it says to do instead.
        advice: What to do about other changes that no migration makes.
        problems: What is wrong with the specs.
        broken: Why the migrations cannot be read or recorded.
        public: Names that the generated package exports, by the specs.
        stale: Unified diff from the generated package on disk to what the specs give.
        package: Folder of the generated package, where there is one.
        texts: File → text of specs, migrations and configuration, in which comments may stand.
        config: The configuration's file, for what belongs to no other file.
        documents: Spec name → documents in its index, where a server was asked.
    """

    specs: tuple[IndexSpec, ...] = ()
    migrations: tuple[Migration, ...] = ()
    heads: tuple[str, ...] = ()
    state: Mapping[str, IndexSpec] | None = None
    start: Mapping[str, IndexSpec] | None = None
    refused: Mapping[ChangeKey, str] = field(default_factory=dict)
    advice: str | None = None
    problems: tuple[Problem, ...] = ()
    broken: Problem | None = None
    public: frozenset[str] = frozenset()
    stale: str = ""
    package: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)
    config: str = ""
    documents: Mapping[str, int] = field(default_factory=dict)

    def spec(self, name: str) -> IndexSpec | None:
        """The spec called `name`, or None."""
        return next((spec for spec in self.specs if spec.name == name), None)

    def migration(self, revision: str) -> Migration | None:
        """The script of `revision`, or None."""
        return next((item for item in self.migrations if item.revision == revision), None)


@dataclass(frozen=True, slots=True)
class Case:
    """Two sides and what lies between them; `pending` are the migrations that the base does not have."""

    base: Side
    now: Side
    diff: Diff
    pending: tuple[Migration, ...]

    def before(self, name: str) -> IndexSpec | None:
        """The spec of the base that is called `name` now, whatever it was called then; None for a new one."""
        known = {spec.name: spec for spec in self.base.specs}
        spec = self.now.spec(name)
        old = renamed_index(known, self.now.specs, spec) if spec is not None else None
        return known.get(old or name)

    def carriers(self, change: Change) -> tuple[Migration, ...]:
        """The pending migrations that carry out a change of that index, by either name."""
        old = self.before(change.index)
        names = {change.index} | ({old.name} if old is not None else set())
        return tuple(item for item in self.pending if any(item.touches(name) for name in names))


def compare(base: Side, now: Side) -> Case:
    """Put two sides beside each other."""
    # What the files with errors say is not known: nothing is gone because of them.
    unknown = {problem.file for problem in now.problems if problem.severity == "error"}
    known = {
        spec.name: spec
        for spec in base.specs
        if now.spec(spec.name) is not None or spec.location is None or spec.location.file not in unknown
    }
    # What comes and goes, and what is in doubt; the rest is told in full, helpers and descriptions too.
    outline = diff_state(known, now.specs)
    changes: list[Change] = []
    for spec in now.specs:
        old = known.get(renamed_index(known, now.specs, spec) or spec.name)
        if old is None:
            changes += outline.of(spec.name)
        else:
            changes += diff_specs(old, spec)
    changes += [change for change in outline.changes if change.kind == "drop" and change.option == "index"]
    applied = {item.revision for item in base.migrations}
    pending = tuple(item for item in now.migrations if item.revision not in applied)
    changes += _late(now, pending, {change.index for change in changes if change.kind != "nothing"})
    return Case(base, now, Diff(tuple(changes), outline.ambiguous), pending)


def _late(now: Side, pending: Sequence[Migration], told: Collection[str]) -> Iterator[Change]:
    """What the new migrations do for specs that the base says already."""
    if now.start is not None:
        for change in diff_state(now.start, now.specs).pending:
            if change.index not in told and any(item.touches(change.index) for item in pending):
                yield change
