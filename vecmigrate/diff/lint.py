"""What each rule finds in two sides; `rules.py` says in words what the rules are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from typing import Final, TypeAlias

from vecmigrate.diff.changes import diff_state, needs_new_name, new_name_wanted
from vecmigrate.diff.findings import Finding
from vecmigrate.diff.model import Change, Kind
from vecmigrate.diff.rules import ALLOWABLE, FEW_NUMBERS, MANY_NUMBERS, RULES
from vecmigrate.diff.sides import Case, Side, Step
from vecmigrate.diff.suppress import apply_suppressions, suppressions_of
from vecmigrate.errors import Problem
from vecmigrate.spec.change import renamed_fields
from vecmigrate.spec.model import Flat, Hnsw, IndexSpec, JsonField, Location, VectorField

# Lower means fewer links, or links chosen from fewer candidates.
_GRAPH: Final = frozenset({"m", "ef_construction", "graph_max_degree", "construction_window_size"})
# Commands that remove keys; of FT.DROPINDEX only the form with DD does.
_DELETING: Final = frozenset({"DEL", "UNLINK", "FLUSHDB", "FLUSHALL", "GETDEL", "FT.DROP"})
# Operations whose commands write documents, or may.
_WRITING: Final = frozenset({"run", "execute"})

_Check: TypeAlias = Callable[[Case], Iterator[Finding]]


def lint(case: Case) -> tuple[Finding, ...]:
    """Everything that is found, rule by rule; what comments allow is marked as such."""
    found = [_of_spec(problem) for problem in case.now.problems]
    for check in _CHECKS:
        found += check(case)
    settled = {
        item.location.file
        for item in case.now.migrations
        if (old := case.base.migration(item.revision)) is not None and old.checksum == item.checksum
    }
    comments = suppressions_of(case.now.texts)
    return apply_suppressions(found, comments, known=ALLOWABLE, settled=settled)


def _finding(
    code: str,
    message: str,
    location: Location | None,
    *,
    index: str | None = None,
    also: tuple[str, ...] = (),
    fix: str | None = None,
) -> Finding:
    rule = RULES[code]
    return Finding(code, rule.level, message, fix or _as_clause(rule.fix), location, index, also)


def _as_clause(text: str) -> str:
    """A sentence as it goes on behind a semicolon."""
    return text[0].lower() + text[1:].removesuffix(".")


def _of_spec(problem: Problem) -> Finding:
    expected = f" (expected {problem.expected})" if problem.expected else ""
    place = Location(problem.file, problem.line, problem.column)
    fix = problem.hint or "see docs/specs.md"
    return Finding(problem.code, problem.severity, problem.message + expected, fix, place)


def _of_change(case: Case, change: Change, code: str, message: str, *, fix: str | None = None) -> Finding:
    carriers = case.carriers(change)
    also = tuple(item.location.file for item in carriers)
    location = change.location
    # What is gone stands in no file any more, except in the script that removes it.
    if change.option == "index" and change.new is None:
        location = carriers[0].location if carriers else _config(case.now)
    elif change.option == "field" and change.new is None:
        spec = case.now.spec(change.index)
        location = spec.place("fields") if spec is not None else location
    return _finding(code, message, location, index=change.index, also=also, fix=fix)


def _config(side: Side) -> Location | None:
    return Location(side.config, 0, 0) if side.config else None


def _helpers(spec: IndexSpec) -> str:
    return f"{spec.helpers.knn} and {spec.helpers.range}"


def _index_dropped(case: Case) -> Iterator[Finding]:
    gone = {change.index for change in case.diff.changes if change.kind == "drop"}
    for change in case.diff.changes:
        if change.kind == "drop":
            yield _of_change(
                case, change, "index-dropped", f"index {change.index} is dropped ({change.note})"
            )
    for item in case.pending:
        for step in item.steps:
            message = _drops(step, gone)
            if message is not None:
                name = next(iter(step.indexes), None)
                yield _finding("index-dropped", message, item.location, index=name)


def _drops(step: Step, gone: AbstractSet[str]) -> str | None:
    """What a step drops that the specs keep, or that no state knows of."""
    if step.kind == "drop_index" and gone.isdisjoint(step.indexes):
        return f"{step.title} drops an index that specs have: until it is built again nothing is found"
    by_hand = step.kind == "execute" and any(words[0].upper() == "FT.DROPINDEX" for words in step.commands)
    return f"{step.title} drops an index by hand, which no state knows of" if by_hand else None


def _data_deleted(case: Case) -> Iterator[Finding]:
    for item in case.pending:
        for step in item.steps:
            for words in step.commands:
                if _deletes(words):
                    message = f"{step.title} deletes data: {' '.join(words[:6])}"
                    yield _finding(
                        "data-deleted", message, item.location, index=next(iter(step.indexes), None)
                    )


def _deletes(words: tuple[str, ...]) -> bool:
    name = words[0].upper()
    return name in _DELETING or (name == "FT.DROPINDEX" and "DD" in (word.upper() for word in words[2:]))


def _fields(case: Case) -> Iterator[Finding]:
    for change in case.diff.changes:
        old = case.before(change.index)
        if old is None or change.field is None:
            continue
        if change.option == "field" and change.new is None:
            item = old.field(change.field)
            users = f"{old.helpers.knn}_by_{item.name}" if isinstance(item, VectorField) else _helpers(old)
            users = old.helpers.get if isinstance(item, JsonField) else users
            message = f"field {change.subject} is gone, and helpers in use return it ({users})"
            yield _of_change(case, change, "field-dropped", message)
        elif change.option == "sortable" and change.old and not change.new:
            message = f"field {change.subject} is no longer sortable, and {_helpers(old)} return it"
            yield _of_change(case, change, "sortable-removed", message)
        elif (change.option == "noindex" and change.new) or (
            change.option == "index" and change.new is False
        ):
            yield _of_change(
                case, change, "field-unsearchable", f"field {change.subject} can no longer be searched"
            )


def _fields_changed_in_place(case: Case) -> Iterator[Finding]:
    """Fields that are something else over the values that are stored."""
    for change in case.diff.changes:
        if change.field is None or case.before(change.index) is None:
            continue
        subject, note = change.subject, f": {change.note}" if change.note else ""
        if change.option == "type" and change.kind != "re_embed":
            message = f"field {subject} becomes {change.new}, and {change.old} is stored{note}"
            yield _of_change(case, change, "field-retyped", message)
        elif change.option == "name":
            message = f"field {change.index}.{change.old} is called {change.new} now{note}"
            yield _of_change(case, change, "field-renamed", message)
        elif change.option == "path":
            message = f"field {subject} is read from {change.new!r}, and no longer from {change.old!r}{note}"
            yield _of_change(case, change, "field-moved", message)


def _order_decides(case: Case) -> Iterator[Finding]:
    """What the order of fields decides without a word: which vector is searched, which field is stored."""
    for spec in case.now.specs:
        old = case.before(spec.name)
        if old is None:
            continue
        also = tuple(item.location.file for item in case.pending if item.touches(spec.name))
        former = renamed_fields(old, spec)
        first = spec.vector
        if former.get(first.name, first.name) != old.vector.name:
            message = (
                f"{spec.helpers.knn} and {spec.helpers.range} search {first.name} now, and searched "
                f"{old.vector.name}; {spec.helpers.store} takes {first.name} as its primary vector"
            )
            if first.dims == old.vector.dims:
                message += "; both have the same size, so no error tells"
            place = spec.place("fields", first.name)
            yield _finding("search-moved", message, place, index=spec.name, also=also)
        writers = {item.path: item.name for item in old.written_fields}
        for item in spec.written_fields:
            before = writers.get(item.path)
            still = before in {former.get(other.name, other.name) for other in spec.fields}
            if before is not None and still and former.get(item.name, item.name) != before:
                message = (
                    f"{spec.helpers.store} stores {item.name} under {item.path!r} now, and stored {before}"
                )
                place = spec.place("fields", item.name)
                yield _finding("store-moved", message, place, index=spec.name, also=also)


def _helper_removed(case: Case) -> Iterator[Finding]:
    if not case.now.public:
        return
    gone = case.base.public - case.now.public
    for spec in case.now.specs:
        old = case.before(spec.name)
        if old is None:
            continue
        ours = sorted(name for name in gone if _belongs(name, old))
        if ours:
            changed = [change.location for change in case.diff.of(spec.name) if "helpers" in change.option]
            place = changed[0] if changed else spec.place("helpers")
            yield _finding(
                "helper-removed",
                f"generated code of {spec.name} no longer has {', '.join(ours)}",
                place,
                index=spec.name,
            )


def _belongs(name: str, spec: IndexSpec) -> bool:
    names = spec.helpers
    searches = (names.knn, names.knn_many, names.range)
    classes = (names.hit_class, names.item_class, names.document_class, names.fields_class)
    others = (names.store, names.store_many, names.get, names.delete, names.delete_many, names.scan)
    finding = (names.count, names.list, names.walk, names.delete_where)
    known = {*searches, *classes, *others, *finding, names.iterate, names.migrate_legacy}
    return name in known or name.startswith(tuple(f"{search}_by_" for search in searches))


def _prefix_widened(case: Case) -> Iterator[Finding]:
    for change in case.diff.changes:
        if change.option != "index.prefix":
            continue
        before, after = _texts(change.old), _texts(change.new)
        for wide in after:
            if any(old.startswith(wide) and old != wide for old in before):
                taken = _keys_under(case, wide, but=before)
                also = f", among them {', '.join(taken)}" if taken else ""
                message = f"prefix {wide!r} takes in more keys than {', '.join(map(repr, before))}{also}"
                yield _of_change(case, change, "prefix-widened", message)


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list | tuple) else (str(value),)


def _keys_under(case: Case, prefix: str, *, but: tuple[str, ...]) -> list[str]:
    """Prefixes of other specs and keys named in migrations that begin with `prefix`."""
    keys = {key for spec in case.now.specs for key in spec.index.prefixes}
    for item in case.now.migrations:
        for step in item.steps:
            if step.kind.startswith("backfill"):
                keys |= {words[1] for words in step.commands if len(words) > 1}
    return sorted(key for key in keys if key.startswith(prefix) and key != prefix and not key.startswith(but))


def _undeclared_rename(case: Case) -> Iterator[Finding]:
    for item in case.diff.ambiguous:
        first, _ = item.readings()
        thing = "spec" if item.index is None else f"{item.index}: field"
        message = f"{thing} {item.old} is gone and {item.new} is new, and they are alike"
        fix = f"if {first}; if they are two things, allow this with the reason"
        yield _finding("undeclared-rename", message, item.location, index=item.index or item.new, fix=fix)


def _alias_renamed(case: Case) -> Iterator[Finding]:
    for change in case.diff.changes:
        if change.option == "index.name":
            message = f"{change.index} is queried as {change.new} and no longer as {change.old}"
            yield _of_change(case, change, "alias-renamed", message)
        elif change.option == "index.aliases" and change.kind != "nothing":
            spec = case.now.spec(change.index)
            names = spec.index.names if spec is not None else ()
            gone = [name for name in _texts(change.old or ()) if name not in names]
            if gone:
                message = f"{change.index} is no longer queried as {', '.join(gone)}"
                yield _of_change(case, change, "alias-renamed", message)


def _name_taken(case: Case) -> Iterator[Finding]:
    for spec in case.now.specs:
        old, changes = case.before(spec.name), case.diff.of(spec.name)
        if old is not None and needs_new_name(old, spec, changes):
            taken = {name for other in case.now.specs for name in other.index.names} | set(old.index.names)
            wanted, fix = new_name_wanted(old, spec, changes, taken)
            yield _finding("name-taken", wanted, spec.place("index", "name"), index=spec.name, fix=fix)


def _not_written(kind: Kind, code: str) -> _Check:
    def check(case: Case) -> Iterator[Finding]:
        for change in case.diff.changes:
            if change.kind == kind and not _somebody_writes(case, change):
                message = f"{change.describe()}, and no new migration writes documents"
                yield _of_change(case, change, code, message)

    return check


def _somebody_writes(case: Case, change: Change) -> bool:
    for item in case.pending:
        for step in item.steps:
            ours = not step.indexes or change.index in step.indexes
            if ours and (step.kind in _WRITING or step.kind.startswith(("backfill", "rewrite", "re_embed"))):
                return True
    return False


def _metric_changed(case: Case) -> Iterator[Finding]:
    for change in case.diff.changes:
        if change.option == "metric":
            message = f"metric of {change.subject} changes from {change.old} to {change.new}: {change.note}"
            yield _of_change(case, change, "metric-changed", message)


def _graph_weakened(case: Case) -> Iterator[Finding]:
    for change in case.diff.changes:
        lowered = isinstance(change.old, int) and isinstance(change.new, int) and change.new < change.old
        if change.field is not None and change.option in _GRAPH and lowered:
            message = f"{change.option} of {change.subject} is lowered from {change.old} to {change.new}"
            yield _of_change(case, change, "graph-weakened", message)


def _algorithm_fits(case: Case) -> Iterator[Finding]:
    for spec in case.now.specs:
        for item in spec.vectors:
            if not item.indexed:
                continue
            counted = case.now.documents.get(spec.name)
            said = item.algorithm.initial_cap if isinstance(item.algorithm, Flat | Hnsw) else None
            count = counted if counted is not None else said
            # An index that is still empty tells nothing.
            if not count:
                continue
            place = spec.place("fields", item.name, "algorithm")
            source = "has" if counted is not None else "expects"
            message = f"{spec.name}.{item.name} {source} {count:,} vectors of {item.dims} numbers"
            if isinstance(item.algorithm, Hnsw) and count * item.dims <= FEW_NUMBERS:
                yield _finding("hnsw-small", f"{message}, in HNSW", place, index=spec.name)
            elif isinstance(item.algorithm, Flat) and count * item.dims >= MANY_NUMBERS:
                yield _finding("flat-large", f"{message}, in FLAT", place, index=spec.name)


def _errors_hidden(case: Case) -> Iterator[Finding]:
    for change in case.diff.changes:
        spec = case.now.spec(change.index)
        if change.kind == "create" and spec is not None and spec.helpers.on_error == "empty":
            message = f"helpers of the new index {spec.name} answer an error with an empty result"
            place = spec.place("helpers", "on_error")
            also = tuple(item.location.file for item in case.carriers(change))
            yield _finding("errors-hidden", message, place, index=spec.name, also=also)


def _history_altered(case: Case) -> Iterator[Finding]:
    for old in case.base.migrations:
        now = case.now.migration(old.revision)
        if now is not None and now.checksum != old.checksum:
            message = f"revision {old.revision} is on the base and was changed"
            yield _finding("migration-edited", message, now.location)
        elif now is None and case.now.broken is None:
            message = f"revision {old.revision} ({old.message}) is on the base and gone here"
            yield _finding("migration-removed", message, _config(case.now))


def _migrations_broken(case: Case) -> Iterator[Finding]:
    wrong = case.now.broken
    if wrong is not None:
        place = Location(wrong.file, wrong.line, wrong.column) if wrong.file else _config(case.now)
        yield _finding("migrations-broken", wrong.message, place, fix=wrong.hint)


def _several_heads(case: Case) -> Iterator[Finding]:
    if len(case.now.heads) > 1:
        found = [item for item in case.now.migrations if item.revision in case.now.heads]
        new = [item for item in found if item in case.pending] or found
        message = f"{len(case.now.heads)} revisions are heads: {', '.join(case.now.heads)}"
        yield _finding("several-heads", message, new[-1].location if new else _config(case.now))


def _state_differs(case: Case) -> Iterator[Finding]:
    if case.now.state is None or any(problem.severity == "error" for problem in case.now.problems):
        return
    left = diff_state(case.now.state, case.now.specs).pending
    for name in dict.fromkeys(change.index for change in left):
        ours = [change for change in left if change.index == name]
        what = "; ".join(change.describe() for change in ours)
        # What only the migrations have stands in no file of a spec.
        place = ours[0].location or _config(case.now)
        also = tuple(item.location.file for item in case.pending if item.touches(name))
        refused = dict.fromkeys(
            case.now.refused[change.key] for change in ours if change.key in case.now.refused
        )
        fix = "; ".join(refused) or case.now.advice
        message = f"no migration carries this out: {what}"
        yield _finding("state-differs", message, place, index=name, also=also, fix=fix)


def _generated_stale(case: Case) -> Iterator[Finding]:
    if case.now.stale:
        files = [line[4:] for line in case.now.stale.splitlines() if line.startswith("+++ ")]
        files += [line[4:] for line in case.now.stale.splitlines() if line.startswith("--- ")]
        first = next((name for name in files if name != "/dev/null"), case.now.package)
        place = Location(first, 0, 0)
        yield _finding("generated-stale", f"the code in {case.now.package} is not what the specs say", place)


def _ways_back(case: Case) -> Iterator[Finding]:
    for item in case.pending:
        if item.irreversible is not None:
            message = f"revision {item.revision} has no way back: {item.irreversible}"
            yield _finding("irreversible-downgrade", message, item.location)
        elif item.not_undone:
            what = "; ".join(change.describe() for change in item.not_undone)
            message = f"the downgrade of {item.revision} leaves this different: {what}"
            yield _finding("downgrade-differs", message, item.location)


_CHECKS: Final[tuple[_Check, ...]] = (
    _index_dropped,
    _data_deleted,
    _fields,
    _fields_changed_in_place,
    _order_decides,
    _helper_removed,
    _prefix_widened,
    _undeclared_rename,
    _alias_renamed,
    _name_taken,
    _not_written("re_embed", "not-re-embedded"),
    _not_written("rewrite", "not-rewritten"),
    _metric_changed,
    _graph_weakened,
    _algorithm_fits,
    _errors_hidden,
    _history_altered,
    _migrations_broken,
    _several_heads,
    _state_differs,
    _generated_stale,
    _ways_back,
)
