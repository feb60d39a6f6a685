"""The revision graph: what stands on what, and the way from one state to another.

A revision stands on the ones it revises (`down_revision`) and on the ones it `depends_on`. The first kind
draws the branches: heads, bases and relative steps follow it. Order and reach follow both: a revision is
applied after everything it stands on, and reverted before.

Nothing here reads files or knows of Redis: `applied` is whatever the ledger says.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Protocol

from vecmigrate.errors import RevisionError
from vecmigrate.revisions.identifiers import (
    backward,
    check_name,
    forward,
    listed,
    named,
    nearest,
    parse,
    walk,
)


class Node(Protocol):
    """What a revision has to tell about itself."""

    @property
    def revision(self) -> str: ...  # noqa: D102 - the class says it
    @property
    def down_revision(self) -> tuple[str, ...]: ...  # noqa: D102 - the class says it
    @property
    def branch_labels(self) -> tuple[str, ...]: ...  # noqa: D102 - the class says it
    @property
    def depends_on(self) -> tuple[str, ...]: ...  # noqa: D102 - the class says it


class RevisionGraph:
    """All revisions and how they stand on one another; not to be changed, made by `from_nodes`.

    `label_owners` says for each branch label which revision it was given to.
    """

    def __init__(
        self,
        parents: Mapping[str, tuple[str, ...]],
        dependencies: Mapping[str, tuple[str, ...]],
        labels: Mapping[str, str],
    ) -> None:
        """Take checked relations: `from_nodes` is the way in."""
        self._parents = dict(parents)
        self.label_owners = dict(labels)
        self._below = {
            revision: tuple(dict.fromkeys((*self._parents[revision], *dependencies[revision])))
            for revision in self._parents
        }
        self._children = _reverse(self._parents)
        self._above = _reverse(self._below)
        self._order = self._sorted()
        self._position = {revision: index for index, revision in enumerate(self._order)}

    @classmethod
    def from_nodes(cls, nodes: Iterable[Node]) -> RevisionGraph:
        """Build the graph.

        Raises:
            RevisionError: Two revisions share an id, a name is not allowed, a label is given twice, a
                revision stands on itself or on one that does not exist, or revisions stand on one another
                in a circle.
        """
        parents: dict[str, tuple[str, ...]] = {}
        wanted: dict[str, tuple[str, ...]] = {}
        labels: dict[str, str] = {}
        for node in nodes:
            check_name("revision id", node.revision)
            if node.revision in parents:
                raise RevisionError(
                    f"revision {node.revision!r} exists twice", hint="give one of the two scripts a new id"
                )
            parents[node.revision] = tuple(dict.fromkeys(node.down_revision))
            wanted[node.revision] = node.depends_on
            for label in node.branch_labels:
                check_name("branch label", label)
                if label in labels:
                    raise RevisionError(
                        f"branch label {label!r} is on {labels[label]!r} and on {node.revision!r} "
                        "(expected on one revision: those above it carry it too)"
                    )
                labels[label] = node.revision
        for label, revision in labels.items():
            if label in parents:
                raise RevisionError(
                    f"branch label {label!r} of {revision!r} is also a revision id", hint="rename the label"
                )
        for revision, above in parents.items():
            for parent in above:
                if parent == revision:
                    raise RevisionError(f"revision {revision!r} revises itself")
                if parent not in parents:
                    raise RevisionError(
                        f"revision {revision!r} revises {parent!r}, which no script defines",
                        hint=nearest(parent, parents)
                        or "restore the missing script, or correct down_revision",
                    )
        dependencies = {
            revision: tuple(_dependency(revision, item, parents, labels) for item in items)
            for revision, items in wanted.items()
        }
        return cls(parents, dependencies, labels)

    def __contains__(self, revision: object) -> bool:
        """Whether a script defines `revision`."""
        return revision in self._parents

    def topological(self) -> tuple[str, ...]:
        """Every revision, each after all that it stands on; the same for the same set of scripts."""
        return self._order

    def heads(self) -> tuple[str, ...]:
        """The revisions that no other revises."""
        return tuple(revision for revision in self._order if not self._children[revision])

    def bases(self) -> tuple[str, ...]:
        """The revisions that revise no other."""
        return tuple(revision for revision in self._order if not self._parents[revision])

    def branch_points(self) -> tuple[str, ...]:
        """The revisions that several others revise."""
        return tuple(revision for revision in self._order if len(self._children[revision]) > 1)

    def parents(self, revision: str) -> tuple[str, ...]:
        """The revisions that `revision` revises; raises RevisionError where it is unknown."""
        self._check_known(revision)
        return self._parents[revision]

    def children(self, revision: str) -> tuple[str, ...]:
        """The revisions that revise `revision`; raises RevisionError where it is unknown."""
        self._check_known(revision)
        return self._children[revision]

    def ancestors(self, *revisions: str) -> frozenset[str]:
        """Everything the given revisions stand on, without themselves."""
        return self._reach(revisions, self._below)

    def descendants(self, *revisions: str) -> frozenset[str]:
        """Everything that stands on one of the given revisions, without themselves."""
        return self._reach(revisions, self._above)

    def labels(self, revision: str) -> tuple[str, ...]:
        """The labels of the branches that `revision` belongs to."""
        self._check_known(revision)
        return tuple(label for label in sorted(self.label_owners) if revision in self.branch(label))

    def current(self, applied: Collection[str]) -> tuple[str, ...]:
        """The applied revisions that no other applied one stands on."""
        covered = self.ancestors(*applied)
        return self.ordered(revision for revision in applied if revision not in covered)

    def resolve(self, identifier: str, applied: Collection[str] = ()) -> tuple[str, ...]:
        """The revisions that an identifier names; an empty tuple is the base, before every revision.

        Raises:
            RevisionError: It names nothing, or more than one where one is meant.
        """
        parsed = parse(identifier)
        if parsed.steps and parsed.relative:
            if parsed.steps > 0:
                return (forward(self, parsed, applied),)
            left = set(applied) - set(backward(self, parsed, applied))
            return self.current(left & self.branch(parsed.label) if parsed.label else left)
        start = named(self, parsed, applied)
        return walk(self, parsed, start) if parsed.steps else start

    def upgrade_path(self, applied: Collection[str], target: str) -> list[str]:
        """What has to be applied to reach `target`, in order; empty where it is reached already.

        Raises:
            RevisionError: As `resolve`; or an applied revision is unknown.
        """
        self._check_known(*applied)
        parsed = parse(target)
        if parsed.steps < 0 and parsed.relative:
            raise RevisionError(f"{target!r} leads down (expected a step up, as +1)", hint="use `downgrade`")
        wanted = self.resolve(target, applied)
        needed = self.ancestors(*wanted) | set(wanted)
        return list(self.ordered(needed - set(applied)))

    def downgrade_path(self, applied: Collection[str], target: str) -> list[str]:
        """What has to be reverted so that `target` is on top, in order: only what stands on it.

        Other branches stay as they are. `base` reverts everything, `label@base` that branch, `-1` the
        revision that is on top.

        Raises:
            RevisionError: As `resolve`; the target is not applied; or an applied revision is unknown.
        """
        self._check_known(*applied)
        parsed = parse(target)
        if parsed.relative and parsed.steps:
            if parsed.steps > 0:
                raise RevisionError(
                    f"{target!r} leads up (expected a step down, as -1)", hint="use `upgrade`"
                )
            return backward(self, parsed, applied)
        if parsed.label and parsed.name == "base" and not parsed.steps:
            branch = self.branch(parsed.label)
            doomed = branch | self.descendants(*branch)
        else:
            wanted = self.resolve(target, applied)
            for revision in wanted:
                if revision not in applied:
                    raise RevisionError(
                        f"{revision!r} is not applied, so nothing can be downgraded to it",
                        hint="see `vecmigrate current`",
                    )
            doomed = self.descendants(*wanted) if wanted else frozenset(self._order)
        return list(reversed(self.ordered(doomed & set(applied))))

    def history(self, span: str | None = None, applied: Collection[str] = ()) -> list[str]:
        """The revisions of a span `from:to`, newest first; either side may be left out, None is all.

        Both ends belong to the span.

        Raises:
            RevisionError: As `resolve`; or the span has no colon.
        """
        if span is None:
            return list(reversed(self._order))
        first, colon, last = span.partition(":")
        if not colon:
            raise RevisionError(f"{span!r} is not a span of revisions (expected from:to, from: or :to)")
        lower = self.resolve(first, applied) if first else ()
        upper = self.resolve(last, applied) if last else self.heads()
        reached = self.ancestors(*upper) | set(upper)
        if lower:
            reached &= self.descendants(*lower) | set(lower)
        return list(reversed(self.ordered(reached)))

    def branch(self, label: str | None) -> frozenset[str]:
        """The members of a branch: all revisions where `label` is None.

        Those are the labelled revision, all that revise it, and those below it down to where the branch
        starts. In place of a label a revision's id names the branch from there on.

        Raises:
            RevisionError: There is no such label.
        """
        if label is None:
            return frozenset(self._order)
        if label not in self.label_owners:
            if label in self._parents:
                return self._reach((label,), self._children) | {label}
            raise RevisionError(
                f"no branch label {label!r}",
                hint=nearest(label, self.label_owners) or "see `vecmigrate branches`",
            )
        start = self.label_owners[label]
        members = {start, *self._reach((start,), self._children)}
        below = self._parents[start]
        while len(below) == 1 and len(self._children[below[0]]) == 1 and len(self._parents[below[0]]) < 2:
            members.add(below[0])
            below = self._parents[below[0]]
        return frozenset(members)

    # Relations

    def _sorted(self) -> tuple[str, ...]:
        """Depth first from the tops, so that a branch stays together; iterative, as histories are long."""
        order: list[str] = []
        state: dict[str, bool] = {}  # False: being visited, True: done
        tops = sorted(revision for revision in self._parents if not self._above[revision])
        for top in (*tops, *sorted(self._parents)):
            if top in state:
                continue
            state[top] = False
            stack = [(top, iter(sorted(self._below[top])))]
            while stack:
                revision, rest = stack[-1]
                below = next(rest, None)
                if below is None:
                    state[revision] = True
                    order.append(revision)
                    stack.pop()
                elif below not in state:
                    state[below] = False
                    stack.append((below, iter(sorted(self._below[below]))))
                elif not state[below]:
                    path = [item for item, _ in stack]
                    circle = [*path[path.index(below) :], below]
                    raise RevisionError(
                        f"revisions stand on one another in a circle: {' -> '.join(circle)}",
                        hint="correct down_revision or depends_on in one of them",
                    )
        return tuple(order)

    def _reach(self, starts: Iterable[str], edges: Mapping[str, tuple[str, ...]]) -> frozenset[str]:
        starts = tuple(starts)
        self._check_known(*starts)
        reached: set[str] = set()
        waiting = list(starts)
        while waiting:
            for revision in edges[waiting.pop()]:
                if revision not in reached:
                    reached.add(revision)
                    waiting.append(revision)
        return frozenset(reached)

    def ordered(self, revisions: Iterable[str]) -> tuple[str, ...]:
        """The given revisions, each after all that it stands on."""
        return tuple(sorted(set(revisions), key=self._position.__getitem__))

    def _check_known(self, *revisions: str) -> None:
        for revision in revisions:
            if revision not in self._parents:
                raise RevisionError(
                    f"no script defines revision {revision!r}",
                    hint=nearest(revision, self._parents) or "restore the script that did",
                )


def _dependency(revision: str, wanted: str, parents: Mapping[str, object], labels: Mapping[str, str]) -> str:
    """The id behind an entry of depends_on, which may be an id, a label or a unique prefix."""
    matches = [wanted] if wanted in parents else [labels[wanted]] if wanted in labels else []
    matches = matches or sorted(item for item in parents if wanted and item.startswith(wanted))
    if len(matches) != 1:
        found = f"could be {listed(matches)}" if matches else "no script defines"
        raise RevisionError(
            f"revision {revision!r} depends on {wanted!r}, which {found}",
            hint=nearest(wanted, (*parents, *labels)) or "correct depends_on",
        )
    if matches[0] == revision:
        raise RevisionError(f"revision {revision!r} depends on itself")
    return matches[0]


def _reverse(edges: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {revision: [] for revision in edges}
    for revision in sorted(edges):
        for other in edges[revision]:
            found[other].append(revision)
    return {revision: tuple(others) for revision, others in found.items()}
