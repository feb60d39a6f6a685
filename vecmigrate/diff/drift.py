"""What a server has, held against what it should have by the migrations that it went through.

Only what FT.INFO and the aliases show is judged; what they do not show is listed as such and never assumed.
Indexes of others over our documents are no drift, but they cost every write and confuse readers, so they
are named.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from vecmigrate.search.introspect import differences, invisible, said
from vecmigrate.search.reply import Info, scan_problem
from vecmigrate.spec.model import IndexSpec

# missing-index   there is no index at all
# missing-alias   the index is there, and applications do not find it
# other-alias     applications query another index
# early-alias     applications find an index that is not published yet
# shadowed        a plain index has the alias's name and hides the index behind it
# incomplete      the server gave its scan up, so documents are missing from every answer
# difference      a field or an option is otherwise
Code: TypeAlias = Literal[
    "missing-index", "missing-alias", "other-alias", "early-alias", "shadowed", "incomplete", "difference"
]
# foreign          made by somebody else
# other_namespace  owned by another namespace, as the registry of the server says
# older            one of ours that no alias leads to any more
# building         one of ours that a revision is at work on
Relation: TypeAlias = Literal["foreign", "other_namespace", "older", "building"]


@dataclass(frozen=True, slots=True)
class Expected:
    """An index as the migrations say it is.

    `physical` is its name behind the alias; `others` are names that it may have instead, because the ledger
    says so or because a plain index was adopted.
    """

    spec: IndexSpec
    physical: str
    others: frozenset[str] = frozenset()
    published: bool = True

    @property
    def names(self) -> frozenset[str]:
        """Every name that the index may have."""
        return self.others | {self.physical}


@dataclass(frozen=True, slots=True)
class Live:
    """What a server has: FT.INFO of every index by its name, and the index behind each alias asked for."""

    indexes: Mapping[str, Info]
    aliases: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Drift:
    """One thing that is otherwise than it should be.

    `index` is the spec's name and `place` that of the index or alias on the server. For a `difference`,
    `field` is None for the index as a whole and `option` the word of FT.CREATE.
    """

    code: Code
    index: str
    place: str
    wanted: object
    found: object
    field: str | None = None
    option: str | None = None

    def __str__(self) -> str:
        return f"{self.index}: {self._what()}"

    def _what(self) -> str:
        match self.code:
            case "missing-index":
                return f"there is no index {self.wanted!r}"
            case "missing-alias":
                return f"the alias {self.place!r} leads nowhere (expected to {self.wanted!r})"
            case "other-alias":
                return f"the alias {self.place!r} leads to {self.found!r} (expected to {self.wanted!r})"
            case "early-alias":
                return f"the alias {self.place!r} leads to {self.found!r} (not published yet: to nothing)"
            case "shadowed":
                return (
                    f"a plain index {self.place!r} hides the alias of that name and {self.wanted!r} behind it"
                )
            case "incomplete":
                return f"index {self.place!r} is incomplete: {self.found}"
            case "difference":
                where = f"field {self.field!r}: " if self.field is not None else ""
                return (
                    f"{self.place}: {where}{self.option} is {said(self.found)} (expected {said(self.wanted)})"
                )


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An index that no alias of ours leads to, over documents of the index `index`."""

    name: str
    relation: Relation
    index: str
    prefix: str
    owner: str | None = None

    def __str__(self) -> str:
        told = {
            "foreign": "is not ours",
            "other_namespace": f"belongs to namespace {self.owner!r}",
            "older": "is an index of ours that is no longer in use",
            "building": "is being built",
        }[self.relation]
        takes = f"the prefix {self.prefix!r}" if self.prefix else "every key"
        return f"{self.name!r} {told} and takes in {takes}, and so documents of {self.index}"


def drift(expected: Sequence[Expected], live: Live) -> tuple[Drift, ...]:
    """Everything that is otherwise than it should be, index by index in the given order."""
    return tuple(item for wanted in expected for item in _of_index(wanted, live))


def unseen(expected: Sequence[Expected]) -> tuple[str, ...]:
    """What the migrations say and no server reveals, as `skill: field 'embedding': EF_RUNTIME 200`.

    One line is about aliases: a server does not list those that lead to an index.
    """
    texts = [f"{item.spec.name}: {text}" for item in expected for text in invisible(item.spec)]
    if expected:
        texts.append("other aliases that lead to these indexes")
    return tuple(texts)


def neighbours(
    expected: Sequence[Expected],
    live: Live,
    *,
    kept: Collection[str] = (),
    building: Collection[str] = (),
    owners: Mapping[str, str] | None = None,
    namespace: str = "",
) -> tuple[Neighbour, ...]:
    """Every other index over our documents, by name.

    Args:
        expected: Our indexes.
        live: What the server has.
        kept: Indexes that were replaced and stay, as the ledger says, until their replacement is complete.
        building: Indexes that a revision is at work on, or left half-built.
        owners: Which namespace owns which index, by the registry of the server.
        namespace: Ours.
    """
    ours = {name for item in expected for name in item.names} | set(kept)
    found = []
    for name in sorted(live.indexes):
        meeting = None if name in ours else _meeting(live.indexes[name], expected)
        if meeting is None:
            continue
        item, prefix = meeting
        owner = (owners or {}).get(name)
        relation: Relation = "foreign"
        if name in building:
            relation = "building"
        elif owner is not None:
            relation = "older" if owner == namespace else "other_namespace"
        found.append(Neighbour(name, relation, item.spec.name, prefix, owner if owner != namespace else None))
    return tuple(found)


def _of_index(wanted: Expected, live: Live) -> Iterator[Drift]:
    alias = wanted.spec.index.name
    target = live.aliases.get(alias)
    there = next((name for name in sorted(wanted.names) if name in live.indexes), None)
    if wanted.physical in live.indexes:
        there = wanted.physical
    name = wanted.spec.name
    judged = there
    if target is None:
        if there is None:
            yield Drift("missing-index", name, alias, wanted.physical, None)
        elif wanted.published:
            yield Drift("missing-alias", name, alias, there, None)
    elif target == alias:
        # A plain index of that name was adopted, or somebody made one over our alias.
        judged = alias
        if wanted.physical in live.indexes and wanted.physical != alias:
            yield Drift("shadowed", name, alias, wanted.physical, alias)
    elif not wanted.published:
        if there is None:
            yield Drift("missing-index", name, alias, wanted.physical, None)
        elif target in wanted.names:
            yield Drift("early-alias", name, alias, None, target)
    elif target not in wanted.names:
        judged = target
        yield Drift("other-alias", name, alias, wanted.physical, target)
        if there is None:
            yield Drift("missing-index", name, alias, wanted.physical, None)
    else:
        judged = target
    if wanted.published:
        yield from _further_names(wanted, live, there)
    if judged is not None and judged in live.indexes:
        problem = scan_problem(live.indexes[judged])
        if problem is not None:
            yield Drift("incomplete", name, judged, None, problem)
        for item in differences(wanted.spec, live.indexes[judged]):
            yield Drift("difference", name, judged, item.wanted, item.found, item.field, item.option)


def _further_names(wanted: Expected, live: Live, there: str | None) -> Iterator[Drift]:
    """The aliases that the migrations name beside `index.name`, as far as the server was asked for them."""
    for alias in wanted.spec.index.aliases or ():
        target = live.aliases.get(alias)
        if target is None and there is not None and alias in live.aliases:
            yield Drift("missing-alias", wanted.spec.name, alias, there, None)
        elif target is not None and target not in wanted.names:
            yield Drift("other-alias", wanted.spec.name, alias, there or wanted.physical, target)


def _meeting(info: Info, expected: Sequence[Expected]) -> tuple[Expected, str] | None:
    """The first of our indexes whose documents an index takes in too, and the prefix that does it."""
    definition = info.get("index_definition", {})
    prefixes = [str(prefix) for prefix in definition.get("prefixes", ())] or [""]
    for item in expected:
        if item.spec.index.storage != str(definition.get("key_type", "HASH")).lower():
            continue
        for prefix in prefixes:
            if any(prefix.startswith(own) or own.startswith(prefix) for own in item.spec.index.prefixes):
                return item, prefix
    return None
