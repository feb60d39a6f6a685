"""From what the migrations say and what the specs say to the script that leads from one to the other.

The script says only what changes. What it cannot say without somebody's decision stops it: changes that need
documents or vectors written anew, and things that may have been renamed or replaced.
"""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from vecmigrate.diff.changes import (
    AmbiguousRename,
    Change,
    Diff,
    diff_state,
    needs_new_name,
    new_name_wanted,
    renamed_index,
    worst,
)
from vecmigrate.diff.fields import MEANINGS
from vecmigrate.diff.model import ChangeKey, shown
from vecmigrate.errors import AutogenerateError, Problem
from vecmigrate.revisions import source
from vecmigrate.spec.build import algorithm_name, spec_to_mapping
from vecmigrate.spec.change import change_spec, changes_between, same_aliases
from vecmigrate.spec.model import IndexSpec, Location

_Mapping = dict[str, Any]

_COMMAND: Final = "`vecmigrate revision --autogenerate -m …`"
# Documents or vectors that have to be written anew: no operation does that by itself.
_UNDONE: Final = ("rewrite", "re_embed")


@dataclass(frozen=True, slots=True)
class Call:
    """One operation of a script: `op.<name>(index, *values, **keywords)`."""

    name: str
    index: str
    keywords: Mapping[str, Any]
    values: tuple[Any, ...] = ()

    def render(self) -> str:
        """As a script writes it, indented."""
        return source.call(f"op.{self.name}", [self.index, *self.values], self.keywords)


@dataclass(frozen=True, slots=True)
class Draft:
    """What a script does, and says that it does. Empty `calls`: nothing is to be done."""

    calls: tuple[Call, ...]
    diff: Diff
    details: str

    def body(self) -> str:
        """The statements of `upgrade`, indented."""
        return "\n".join(item.render() for item in self.calls)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What autogenerate makes of some changes, without writing anything.

    `refused` are the changes that no operation carries out, each with a problem that says what to do by
    hand; `ambiguous` has a problem for each possible rename, `names` one for each spec that needs another
    `index.name`. Where there is any, no script is written at all.
    """

    diff: Diff
    refused: tuple[tuple[Change, Problem], ...]
    ambiguous: tuple[Problem, ...]
    names: Mapping[str, Problem]

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Everything that has to be decided first."""
        return (*self.ambiguous, *(problem for _, problem in self.refused), *self.names.values())

    def hint(self, change: Change) -> str:
        """How a pending change gets into a migration: what autogenerate says of it, or that it writes it."""
        return self.instead.get(change.key, self.advice)

    @property
    def instead(self) -> dict[ChangeKey, str]:
        """Key of each change that is refused → what to do instead."""
        renamed = {
            change.key: f"give the spec another index.name, then run {_COMMAND}"
            for change in self.diff.pending
            if change.index in self.names
        }
        return renamed | {change.key: problem.hint for change, problem in self.refused if problem.hint}

    @property
    def advice(self) -> str:
        """What to do about the changes that are not refused."""
        if not self.problems:
            return f"run {_COMMAND}"
        first = self.problems[0]
        return f"{_COMMAND} writes this once something else is decided: {first.message}"


def verdict(
    state: Mapping[str, IndexSpec], specs: Sequence[IndexSpec], *, known_new: Collection[str] = ()
) -> Verdict:
    """Whether autogenerate leads from the specs of a state to `specs`; arguments as for `draft`."""
    found = diff_state(state, specs, known_new=known_new)
    return Verdict(
        found,
        tuple(_undone(state, specs, found)),
        tuple(map(_ambiguity, found.ambiguous)),
        _names_wanted(state, specs, found),
    )


def draft(
    state: Mapping[str, IndexSpec], specs: Sequence[IndexSpec], *, known_new: Collection[str] = ()
) -> Draft:
    """The script that leads from the specs of a state, by name, to `specs`.

    Args:
        state: What the migrations so far make.
        specs: What there shall be.
        known_new: What is new and no renamed thing, `skill` or `skill.headline`.

    Raises:
        AutogenerateError: Something has to be decided first; it carries a problem for each such thing.
    """
    made = verdict(state, specs, known_new=known_new)
    found = made.diff
    if made.problems:
        raise AutogenerateError(made.problems)
    calls: list[Call] = []
    paragraphs: list[str] = []
    for step in _steps(state, specs, found):
        calls += step.calls
        paragraphs.append(step.words)
    if calls:
        paragraphs.append(_way_back(calls))
    return Draft(tuple(calls), found, "\n\n".join(paragraphs))


@dataclass(frozen=True, slots=True)
class _Step:
    """What is done about one index, and how the docstring tells it. Steps are carried out by `place`."""

    place: int
    calls: tuple[Call, ...]
    words: str


def _steps(state: Mapping[str, IndexSpec], specs: Sequence[IndexSpec], found: Diff) -> list[_Step]:
    steps: list[_Step] = []
    aliases = {name for spec in specs for name in spec.index.names}
    for change in found.pending:
        if change.kind == "drop":
            gone = state[change.index]
            # Dropped last, unless its alias is wanted again.
            place = 1 if not aliases.isdisjoint(gone.index.names) else 5
            words = _paragraph(f"Drops {gone.name}, the index behind {gone.index.name}; its documents stay.")
            steps.append(_Step(place, (Call("drop_index", gone.name, {}),), words))
    for spec in specs:
        changes = [change for change in found.of(spec.name) if change.kind != "drop"]
        old = state.get(renamed_index(state, specs, spec) or spec.name)
        if old is None:
            what = f"the index {'behind ' if spec.index.alias else ''}{spec.index.name}"
            words = _paragraph(f"Creates {spec.name}, {what}: {_summary(spec)}.")
            steps.append(_Step(3, (Call("create_index", spec.name, _creation(spec)),), words))
            continue
        passed_on = _passed_on(specs, old, spec)
        if passed_on:
            old = _without_aliases(old, passed_on)
            words = _paragraph(
                f"Takes {', '.join(passed_on)} away from {old.name} for another index: until it leads to "
                "that one, it leads nowhere."
            )
            call = Call("set_aliases", old.name, {}, (list(old.index.aliases or ()),))
            steps.append(_Step(0, (call,), words))
        if worst(changes) != "nothing":
            steps += _of_index(old, spec, changes)
    return sorted(steps, key=lambda step: step.place)


def _of_index(old: IndexSpec, spec: IndexSpec, changes: Sequence[Change]) -> Iterator[_Step]:
    renames = [
        change
        for change in changes
        if change.option in ("name", "index.name") and change.field is None and change.kind == "in_place"
    ]
    others = [change for change in changes if change not in renames]
    if renames:
        keywords = {"to": spec.name} if old.name != spec.name else {}
        if any(change.option == "index.name" for change in renames):
            keywords["index_name"] = spec.index.name
        words = f"Renames {old.name}: " + "; ".join(map(_phrase, renames)) + "."
        yield _Step(2, (Call("rename_index", old.name, keywords),), _paragraph(words))
    aliases = [change for change in others if change.option == "index.aliases" and change.kind == "in_place"]
    if worst(others) == "in_place" and aliases:
        others = [change for change in others if change not in aliases]
        # What became the name is no further name any more: the rename sees to it.
        left = _without_aliases(old, [spec.index.name]) if old.index.aliases is not None else old
        if not same_aliases(left.index, spec.index):
            words = _paragraph(f"Sets the names that lead to {spec.name} beside {spec.index.name}:")
            call = Call("set_aliases", spec.name, {}, (list(spec.index.aliases or ()),))
            yield _Step(4, (call,), f"{words}\n{_list(map(_phrase, aliases))}")
    kind = worst(others)
    if kind == "nothing":
        return
    if kind == "in_place":
        others = [change for change in others if change.kind == "in_place"]
        words = _paragraph(f"Adds to {spec.name} in place, by FT.ALTER, behind {spec.index.name}:")
        call = Call("alter_index", spec.name, {"add": _additions(old, spec, others)})
    else:
        words = _paragraph(
            f"Rebuilds {spec.name} over the same documents. {old.index.name} goes on answering from the old "
            + (
                "index until the new one is complete and verified:"
                if spec.index.alias
                else f"index; the new one is called {spec.index.name} itself, and both are there until "
                f"`vecmigrate complete {spec.name}`:"
            )
        )
        call = Call("rebuild_index", spec.name, changes_between(old, _keeping(old, spec)))
    yield _Step(4, (call,), f"{words}\n{_list(map(_phrase, others))}")


def _passed_on(specs: Sequence[IndexSpec], old: IndexSpec, spec: IndexSpec) -> list[str]:
    """Aliases that another spec takes over. They are given up first: no two indexes may have one."""
    wanted = {name for other in specs if other.name != spec.name for name in other.index.names}
    return [name for name in old.index.aliases or () if name in wanted]


def _keeping(old: IndexSpec, spec: IndexSpec) -> IndexSpec:
    """`spec` with the aliases of `old` where it does not know them: those stay as they are."""
    aliases = old.index.aliases if spec.index.aliases is None else spec.index.aliases
    return replace(spec, index=replace(spec.index, aliases=aliases))


def _without_aliases(spec: IndexSpec, names: Collection[str]) -> IndexSpec:
    rest = tuple(name for name in spec.index.aliases or () if name not in names)
    return replace(spec, index=replace(spec.index, aliases=rest))


def _creation(spec: IndexSpec) -> _Mapping:
    mapping = spec_to_mapping(spec)
    return {"index": mapping["index"], "key": mapping["key"], "fields": _undeclared(mapping["fields"])}


def _undeclared(fields: Mapping[str, _Mapping]) -> dict[str, _Mapping]:
    """The fields without what they say of earlier names, which is no part of an index."""
    return {
        name: {key: value for key, value in body.items() if key != "renamed_from"}
        for name, body in fields.items()
    }


def _additions(old: IndexSpec, spec: IndexSpec, changes: Sequence[Change]) -> dict[str, _Mapping]:
    names = [change.field for change in changes]
    fields = _undeclared(spec_to_mapping(spec)["fields"])
    added = {name: body for name, body in fields.items() if name in names}
    after = change_spec(old, {"fields": added})
    for name, body in added.items():
        # What a spec leaves out may be implied otherwise beside the fields that the index has now.
        if after.field(name).source != spec.field(name).source:
            body["from"] = spec.field(name).source
    return added


def _undone(
    state: Mapping[str, IndexSpec], specs: Sequence[IndexSpec], found: Diff
) -> Iterator[tuple[Change, Problem]]:
    """Each change that no operation carries out, with a problem that says what to do instead."""
    by_name = {spec.name: spec for spec in specs}
    for change in found.pending:
        if change.kind not in _UNDONE:
            continue
        spec = by_name[change.index]
        old = state[renamed_index(state, specs, spec) or spec.name]
        code = "re-embed" if change.kind == "re_embed" else "rewrite"
        hint = _by_hand(old, spec, change, found.of(spec.name))
        yield change, _problem(change.location, change.subject, code, change.describe(), hint)


def _names_wanted(
    state: Mapping[str, IndexSpec], specs: Sequence[IndexSpec], found: Diff
) -> dict[str, Problem]:
    """Spec name → the problem of one that needs a new index and has no free name, with what to write."""
    problems: dict[str, Problem] = {}
    taken = {name for other in (*state.values(), *specs) for name in other.index.names}
    for spec in specs:
        old = state.get(renamed_index(state, specs, spec) or spec.name)
        changes = found.of(spec.name)
        if old is not None and needs_new_name(old, spec, changes):
            message, hint = new_name_wanted(old, spec, changes, taken)
            place = spec.place("index", "name")
            problems[spec.name] = _problem(place, spec.name, "name-taken", message, hint)
    return problems


def _by_hand(old: IndexSpec, spec: IndexSpec, change: Change, changes: Sequence[Change]) -> str:
    """What to do about a change that needs documents or vectors written."""
    if change.option in ("index.prefix", "index.store_prefix", "index.storage"):
        return (
            "describe the new documents in a spec of another name and index.name, fill that index, move the "
            "applications over, and remove this spec in a later revision"
        )
    keywords = changes_between(old, _keeping(old, spec))
    where = ""
    if change.option in ("dims", "datatype") and change.field is not None:
        path = f"{spec.field(change.field).path}_new"
        keywords[change.field] = {**keywords.get(change.field, {}), "path": path}
        where = f" to another path, say {path}, which the spec then gives as `path`"
    rest = Call("rebuild_index", spec.name, keywords)
    pending = [item for item in changes if item.kind != "nothing"]
    if all(item.option == "field" and item.kind in ("in_place", "rewrite") for item in pending):
        rest = Call("alter_index", spec.name, {"add": _additions(old, spec, pending)})
    what = "vectors" if change.kind == "re_embed" or where else "values"
    line = source.one_line(f"op.{rest.name}", [rest.index], rest.keywords)
    hint = f"`vecmigrate revision -m …`, in it op.run(…) that writes the {what}{where}, and then {line}"
    if change.option in MEANINGS:
        return f"{hint}; where every stored value means the same either way, that last call alone will do"
    if change.option == "field" and change.kind == "rewrite":
        return f"leave that out, and the field is added without; or {hint}"
    return hint


def _ambiguity(item: AmbiguousRename) -> Problem:
    renamed, replaced = item.readings()
    thing = "spec" if item.index is None else "field"
    message = f"{thing} {item.old} is gone and {thing} {item.new} is new, and they are alike"
    hint = f"either {renamed}; or {replaced}"
    return _problem(item.location, item.subject, "ambiguous-rename", message, hint)


def _problem(place: Location | None, subject: str, code: str, message: str, hint: str) -> Problem:
    if place is None:
        return Problem(subject, 0, 0, code, message, None, hint)
    return Problem(place.file, place.line, place.column, code, message, None, hint)


def _summary(spec: IndexSpec) -> str:
    stored = "JSON documents" if spec.index.storage == "json" else "hashes"
    vectors = ", ".join(
        f"{item.name} ({item.dims} × {item.datatype}, {item.metric}, {algorithm_name(item.algorithm)})"
        for item in spec.vectors
    )
    return f"{stored} under {', '.join(spec.index.prefixes)}, with {vectors}"


def _phrase(change: Change) -> str:
    where = f"{change.field}: " if change.field is not None else ""
    note = f" ({change.note})" if change.note else ""
    if change.option == "field":
        if change.new is None:
            return f"field {change.field} ({change.old}) is dropped{note}"
        return f"field {change.field} ({change.new}) is new{note}"
    if change.option == "name":
        return f"{where}called {change.old} so far{note}"
    return f"{where}{change.option} from {shown(change.old)} to {shown(change.new)}{note}"


def _way_back(calls: Sequence[Call]) -> str:
    ways = {
        "rebuild_index": "goes back to the index that was replaced, and builds it anew where it is no "
        "longer kept",
        "alter_index": "forgets what was added, which the index keeps unused",
        "create_index": "drops what was created; documents stay",
        "drop_index": "creates what was dropped anew, over the documents that are there",
        "rename_index": "gives back the old names",
        "set_aliases": "sets the aliases of before; where they were not known, all stay",
    }
    used = dict.fromkeys(item.name for item in reversed(calls))
    return _paragraph(f"Downgrade {'; '.join(ways[name] for name in used)}.")


def _list(phrases: Iterable[str]) -> str:
    return "\n".join(
        textwrap.fill(
            text, source.WIDTH, initial_indent="  - ", subsequent_indent="    ", break_long_words=False
        )
        for text in phrases
    )


def _paragraph(text: str) -> str:
    return textwrap.fill(text, source.WIDTH, break_long_words=False, break_on_hyphens=False)
