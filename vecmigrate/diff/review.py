"""The report of a review: for each index what changes, what it takes, in which order; and the findings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from vecmigrate.diff.changes import diff_specs
from vecmigrate.diff.cost import Cost, cost
from vecmigrate.diff.findings import LEVELS, Finding, Level, at_least
from vecmigrate.diff.lint import lint
from vecmigrate.diff.model import WORDS, Change, Kind, worst
from vecmigrate.diff.order import Deployment, deployment, touches_names_only
from vecmigrate.diff.sides import Case, Side, Step, compare
from vecmigrate.search.reply import Info
from vecmigrate.spec.model import IndexSpec


@dataclass(frozen=True, slots=True)
class PendingStep:
    """One operation that the base does not have, and the revision that brings it."""

    revision: str
    title: str
    commands: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What a review says of one index. `alias` is what applications query."""

    name: str
    alias: str
    kind: Kind
    changes: tuple[Change, ...]
    cost: Cost
    steps: tuple[PendingStep, ...]
    deployment: Deployment


@dataclass(frozen=True, slots=True)
class MigrationReport:
    """One migration that the base does not have."""

    revision: str
    message: str
    file: str


@dataclass(frozen=True, slots=True)
class Report:
    """A whole review.

    `indexes` are those that change or that a new migration is about, `steps` the operations that are about no
    index, `notes` what the review could not look at. `base` is the commit that was compared with. `exported`
    and `withdrawn` are the names that the generated package has now and had not before, and the reverse.
    """

    base: str
    indexes: tuple[IndexReport, ...]
    migrations: tuple[MigrationReport, ...]
    steps: tuple[PendingStep, ...]
    findings: tuple[Finding, ...]
    unchanged: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    exported: tuple[str, ...] = ()
    withdrawn: tuple[str, ...] = ()

    @property
    def open(self) -> tuple[Finding, ...]:
        """The findings that no comment allows, the worst first."""
        found = [item for item in self.findings if item.allowed is None]
        return tuple(sorted(found, key=lambda item: -LEVELS.index(item.level)))

    @property
    def allowed(self) -> tuple[Finding, ...]:
        """The findings that comments allow."""
        return tuple(item for item in self.findings if item.allowed is not None)

    def fails(self, floor: Level) -> bool:
        """Whether something is found that is as bad as `floor`, and that no comment allows."""
        return any(at_least(item.level, floor) for item in self.open)

    def counts(self) -> dict[Level, int]:
        """How many findings of each level are open, the worst first."""
        return {level: sum(item.level == level for item in self.open) for level in reversed(LEVELS)}

    def to_dict(self) -> dict[str, Any]:
        """As JSON shows it."""
        return {
            "base": self.base,
            "indexes": [_index_dict(item) for item in self.indexes],
            "unchanged": list(self.unchanged),
            "migrations": [asdict(item) for item in self.migrations],
            "steps": [asdict(item) for item in self.steps],
            "findings": [asdict(item) for item in self.findings],
            "notes": list(self.notes),
            "generated": {"exported": list(self.exported), "withdrawn": list(self.withdrawn)},
        }


def review(
    base: Side,
    now: Side,
    *,
    base_name: str,
    live: Mapping[str, Info] | None = None,
    notes: tuple[str, ...] = (),
) -> Report:
    """Compare two sides.

    Args:
        base: What there was.
        now: What there is.
        base_name: What the base is called.
        live: Spec name → FT.INFO of its index, where a server was asked.
        notes: What could not be looked at.
    """
    case = compare(base, now)
    names = list(dict.fromkeys([*(spec.name for spec in now.specs), *_touched(case)]))
    reports = [_report(case, name, live or {}) for name in names]
    changed = tuple(item for item in reports if item is not None)
    shown = {item.name for item in changed}
    return Report(
        base=base_name,
        indexes=changed,
        migrations=tuple(
            MigrationReport(item.revision, item.message, item.location.file) for item in case.pending
        ),
        steps=tuple(
            PendingStep(item.revision, step.title, step.commands)
            for item in case.pending
            for step in item.steps
            if not shown.intersection(step.indexes)
        ),
        findings=lint(case),
        unchanged=tuple(spec.name for spec in now.specs if spec.name not in shown),
        notes=notes,
        exported=tuple(sorted(now.public - base.public)),
        # Where nothing could be generated, nothing can be said.
        withdrawn=tuple(sorted(base.public - now.public)) if now.public else (),
    )


def _touched(case: Case) -> list[str]:
    """Names that are no specs any more: dropped, or only in migrations. Former names are told as the new."""
    former = {old.name for spec in case.now.specs if (old := case.before(spec.name)) is not None}
    dropped = [change.index for change in case.diff.changes]
    steps = [name for item in case.pending for step in item.steps for name in step.indexes]
    return [name for name in (*dropped, *steps) if name not in former or case.now.spec(name) is not None]


def _report(case: Case, name: str, live: Mapping[str, Info]) -> IndexReport | None:
    changes = case.diff.of(name)
    old, new = case.before(name), case.now.spec(name)
    names = {name} | ({old.name} if old is not None else set())
    steps = tuple(
        PendingStep(item.revision, step.title, step.commands)
        for item in case.pending
        for step in item.steps
        if _is_about(step, names)
    )
    if not changes and not steps:
        return None
    spec = new or old
    kind = worst(changes)
    known = live.get(name) or (live.get(old.name) if old is not None else None)
    return IndexReport(
        name=name,
        alias=spec.index.name if spec is not None else "",
        kind=kind,
        changes=changes,
        cost=_cost(changes, spec, known),
        steps=steps,
        deployment=deployment(changes, _known_before(case, name), new),
    )


def _known_before(case: Case, name: str) -> IndexSpec | None:
    """What the changes of an index are told from: the base, or what the migrations made before."""
    old = case.before(name)
    if case.now.start is not None and old is not None and not diff_specs(old, case.now.spec(name) or old):
        return case.now.start.get(old.name, old)
    return old


def _cost(changes: tuple[Change, ...], spec: IndexSpec | None, live: Info | None) -> Cost:
    if spec is None:
        return Cost("not known: no spec has that name")
    return cost(worst(changes), spec, live, names_only=touches_names_only(changes))


def _is_about(step: Step, names: set[str]) -> bool:
    return not names.isdisjoint(step.indexes)


def _index_dict(item: IndexReport) -> dict[str, Any]:
    return {
        "name": item.name,
        "alias": item.alias,
        "type": WORDS[item.kind],
        "changes": [
            {
                **{key: value for key, value in asdict(change).items() if key not in ("index", "kind")},
                "type": WORDS[change.kind],
                "text": change.describe(),
            }
            for change in item.changes
        ],
        "cost": {**asdict(item.cost), "text": item.cost.describe()},
        "steps": [asdict(step) for step in item.steps],
        "order": [asdict(stage) for stage in item.deployment.stages],
        "back": list(item.deployment.back),
    }
