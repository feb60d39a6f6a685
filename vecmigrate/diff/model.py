"""A change as a value: what is different, where the spec says so, and what it takes to carry it out."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Final, Literal, TypeAlias

from vecmigrate.spec.model import Location

Kind: TypeAlias = Literal["nothing", "in_place", "create", "rebuild", "drop", "rewrite", "re_embed"]

# From the least to the most that a change asks for.
KINDS: Final[tuple[Kind, ...]] = (
    "nothing",
    "in_place",
    "create",
    "rebuild",
    "drop",
    "rewrite",
    "re_embed",
)
WORDS: Final[dict[Kind, str]] = {
    "nothing": "nothing to do",
    "in_place": "in place",
    "create": "create",
    "rebuild": "rebuild",
    "drop": "drop",
    "rewrite": "rewrite",
    "re_embed": "re-embed",
}

ChangeKey: TypeAlias = tuple[str, str | None, str]


@dataclass(frozen=True, slots=True)
class Change:
    """One option that one spec has otherwise than another.

    `index` is the name of the spec (the new one, where it was renamed), `field` the field or None for the
    index as a whole. `option` is spelt as in a spec: `m` of a field, `index.stopwords`, `helpers.knn`;
    `field` stands for a field that is new or gone, `index` for an index that is, `name` for a rename. `old`
    and `new` are plain values, None where there is none. `location` is where the new spec says it (of what is
    gone, the old one), `note` what follows from it, in words.
    """

    kind: Kind
    index: str
    field: str | None
    option: str
    old: object
    new: object
    location: Location | None = dataclass_field(default=None, compare=False)
    note: str = dataclass_field(default="", compare=False)

    @property
    def key(self) -> ChangeKey:
        """What tells it from the other changes of the same specs: index, field, option."""
        return self.index, self.field, self.option

    @property
    def subject(self) -> str:
        """What it is about: `skill`, or `skill.embedding` for a field."""
        return self.index if self.field is None else f"{self.index}.{self.field}"

    def describe(self) -> str:
        """One line: what is different, in parentheses what that takes, and what follows."""
        note = f": {self.note}" if self.note else ""
        return f"{self.subject}: {self._what()} ({WORDS[self.kind]}{note})"

    def _what(self) -> str:
        if self.option in ("field", "index"):
            thing = "field" if self.option == "field" else "index"
            value = f" {self.old if self.new is None else self.new}"
            return f"{thing}{value} is gone" if self.new is None else f"new {thing}{value}"
        if self.option == "name":
            return f"renamed from {self.old}"
        return f"{self.option} {shown(self.old)} → {shown(self.new)}"


@dataclass(frozen=True, slots=True)
class AmbiguousRename:
    """Something disappeared and something like it appeared: one thing renamed, or two things?

    `index` is the spec whose fields they are, or None where they are specs themselves.
    """

    index: str | None
    old: str
    new: str
    location: Location | None = dataclass_field(default=None, compare=False)

    @property
    def subject(self) -> str:
        """The new thing, as `--new` takes it: `skill.headline`, or `skill` for a spec."""
        return self.new if self.index is None else f"{self.index}.{self.new}"

    def readings(self) -> tuple[str, str]:
        """Both readings, and how to say each."""
        thing = "spec" if self.index is None else "field"
        return (
            f"{thing} {self.old} is called {self.new} now: say `renamed_from: {self.old}` in {self.subject}",
            f"{thing} {self.old} is dropped and {self.new} is a new one: give --new {self.subject}",
        )


@dataclass(frozen=True, slots=True)
class Diff:
    """Every change from some specs to others, in the order of the new ones, and what is left open."""

    changes: tuple[Change, ...]
    ambiguous: tuple[AmbiguousRename, ...] = ()

    @property
    def pending(self) -> tuple[Change, ...]:
        """The changes that a migration has to carry out: all that are more than nothing."""
        return tuple(change for change in self.changes if change.kind != "nothing")

    def of(self, index: str) -> tuple[Change, ...]:
        """The changes of one spec."""
        return tuple(change for change in self.changes if change.index == index)


def worst(changes: Iterable[Change]) -> Kind:
    """The kind that asks for the most; "nothing" where there are no changes."""
    return max((change.kind for change in changes), key=KINDS.index, default="nothing")


def shown(value: object) -> str:
    """A value as a spec would give it."""
    if value is None:
        return "(absent)"
    return (
        value if isinstance(value, str) and value.isprintable() and value else json.dumps(value, default=list)
    )
