"""What changes in a spec, in the form in which migrations say it, and the spec afterwards.

    op.rebuild_index("skill", embedding={"m": 32}, drop_fields=["description"], index={"stopwords": []})

The keywords are, in the order in which they are applied:

    rename_fields={old: new}     another name, and another attribute where none is given; the stored value
                                 stays where it is
    drop_fields=[name]           fields that are no more
    fields={name: {…}}           fields that are new, or new as a whole: as a spec gives them
    <field>={option: value}      options of one field; None takes an option back to its default
    change_fields={name: {…}}    the same for fields whose names are taken by other keywords
    index={option: value}        options of the index, likewise; `name` is for op.rename_index, unless
                                 the index itself is called so before or after it (`alias: false`)
    key="…"                      the parameter that completes the prefix
    field_order=[name, …]        needed only where the order decides, as for several fields of one path

A new `algorithm` starts from its own defaults. `change_spec` applies such keywords, `changes_between` finds
the fewest that lead from one spec to another.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from vecmigrate.errors import Problem, SpecError
from vecmigrate.spec import defaults
from vecmigrate.spec.build import ALGORITHM_CLASSES, spec_from_mapping, spec_to_mapping
from vecmigrate.spec.implied import path_of
from vecmigrate.spec.model import Field, IndexOptions, IndexSpec, JsonField, VectorField
from vecmigrate.spec.paths import PathUse, written_names
from vecmigrate.spec.problems import nearest

# Keywords that are no fields: those above, and what operations on indexes have for themselves.
KEYWORDS: Final = ("rename_fields", "drop_fields", "fields", "change_fields", "index", "key", "field_order")
TAKEN: Final = frozenset(
    {*KEYWORDS, "self", "name", "description", "helpers", "publish", "verify", "to", "add"}
)

_STORING: Final = ("from", "default", "default_from")
_ALGORITHM_OPTIONS: Final = frozenset(
    item.name for cls in ALGORITHM_CLASSES.values() for item in dataclasses.fields(cls)
)

_Fields = dict[str, dict[str, Any]]


def same_index(one: IndexSpec, other: IndexSpec) -> bool:
    """Whether both describe the same index and the same documents.

    Descriptions, helpers, and the order of fields where it decides nothing are left out.
    """
    return _essence(one) == _essence(other)


def same_aliases(one: IndexOptions, other: IndexOptions) -> bool:
    """Whether both name the same aliases beside `name`, in whatever order, or both do not know them."""
    if one.aliases is None or other.aliases is None:
        return one.aliases == other.aliases
    return set(one.aliases) == set(other.aliases)


def change_spec(spec: IndexSpec, changes: Mapping[str, Any]) -> IndexSpec:
    """`spec` with `changes`; its helpers are those of a spec that says nothing about them.

    Raises:
        SpecError: A keyword names no field, or what comes out is no spec.
    """
    names = {item.name for item in spec.fields}
    problems = list(_unknown(names, changes, own_name=not spec.index.alias))
    if problems:
        raise SpecError(problems)
    mapping = _explicit(spec)
    fields: _Fields = mapping["fields"]
    said = {(name, key) for name, body in _field_changes(changes).items() for key in body}
    for old, new in changes.get("rename_fields", {}).items():
        body = {**fields[old], "path": path_of(old, fields[old], spec.index.storage)}
        fields = {
            new if name == old else name: body if name == old else item for name, item in fields.items()
        }
    for name in changes.get("drop_fields", ()):
        del fields[name]
    for name, body in changes.get("fields", {}).items():
        fields[name] = dict(body) if isinstance(body, Mapping) else body
        said |= {(name, key) for key in _STORING}
    for name, options in _field_changes(changes).items():
        fields[name] = _with_options(fields[name], options)
    mapping["index"] = _merged(mapping["index"], changes.get("index", {}))
    if spec.index.ask_aliases and "aliases" not in changes.get("index", {}):
        # None, which takes an option away elsewhere, is what this one says: still to be answered.
        mapping["index"]["aliases"] = None
    mapping["key"] = changes.get("key", spec.key)
    order = [name for name in changes.get("field_order", ()) if name in fields]
    fields = {name: fields[name] for name in (*order, *fields)}
    _forget_where_unwritten(fields, str(mapping["index"].get("storage", defaults.STORAGE)), said)
    return dataclasses.replace(
        spec_from_mapping({**mapping, "fields": fields}, names=False), description=spec.description
    )


def renamed_fields(old: IndexSpec, new: IndexSpec) -> dict[str, str]:
    """New name → old name of the fields that have another name in `new`, where the rename is still to come.

    They are those that `new` declares as renamed, and those whose attribute is that of a field that is gone.
    """
    before = {item.name for item in old.fields}
    gone = before - {item.name for item in new.fields}
    renamed = {
        item.name: item.renamed_from
        for item in new.fields
        if item.renamed_from in gone and item.name not in before
    }
    # What the index calls the same is the same field, whatever Python calls it.
    known = {
        item.attribute: item.name
        for item in old.fields
        if item.name in gone.difference(renamed.values()) and _is_indexed(item)
    }
    for item in new.fields:
        if item.name not in before and item.name not in renamed and _is_indexed(item):
            former = known.pop(item.attribute, None)
            if former is not None:
                renamed[item.name] = former
    return {item.name: renamed[item.name] for item in new.fields if item.name in renamed}


def _is_indexed(item: Field) -> bool:
    return item.indexed and not isinstance(item, JsonField)


def changes_between(old: IndexSpec, new: IndexSpec) -> dict[str, Any]:
    """The fewest keywords with which `change_spec` leads from `old` to `new`, as far as `same_index` sees.

    The names of spec and alias are left as they are: renaming is an operation of its own. Where the index
    itself has the name (`alias: false`), a new name is a new index, and so a change like others.
    """
    index = new.index
    if old.index.alias and new.index.alias:
        index = dataclasses.replace(index, name=old.index.name)
    if same_aliases(old.index, new.index):
        index = dataclasses.replace(index, aliases=old.index.aliases)
    target = dataclasses.replace(new, name=old.name, index=index)
    # Options that are implied are left out where they are then implied in the result too.
    for explicit in (False, True):
        changes = _difference(old, target, explicit=explicit)
        if _leads_to(old, changes, target):
            return changes
    return {**changes, "field_order": [item.name for item in new.fields]}


def _leads_to(old: IndexSpec, changes: Mapping[str, Any], target: IndexSpec) -> bool:
    try:
        return same_index(change_spec(old, changes), target)
    except SpecError:  # in the order of the old spec the fields get into each other's way
        return False


def _difference(old: IndexSpec, new: IndexSpec, *, explicit: bool) -> dict[str, Any]:
    before, after = _explicit(old), _explicit(new)
    for body in (*before["fields"].values(), *after["fields"].values()):
        # Which vector the helpers search is nothing that a migration does.
        body.pop("primary", None)
    plain = after if explicit else spec_to_mapping(new)
    renamed = renamed_fields(old, new)
    fields: _Fields = before["fields"]
    for name, former in renamed.items():
        body = fields.pop(former)
        unplaced = {key: value for key, value in body.items() if key != "path"}
        path = path_of(former, body, old.index.storage)
        implied = path == path_of(name, unplaced, new.index.storage)
        fields[name] = unplaced if implied else {"path": path, **unplaced}
    added: _Fields = {}
    changed: _Fields = {}
    for name, body in after["fields"].items():
        if name not in fields or fields[name]["type"] != body["type"]:
            added[name] = {
                key: value for key, value in plain["fields"][name].items() if key != "renamed_from"
            }
        else:
            changed[name] = _options_between(fields[name], body)
    dropped = [name for name in fields if name not in after["fields"]]
    found: dict[str, Any] = {name: body for name, body in changed.items() if body and name not in TAKEN}
    taken = {name: body for name, body in changed.items() if body and name in TAKEN}
    for keyword, value in (
        ("change_fields", taken),
        ("fields", added),
        ("drop_fields", dropped),
        ("rename_fields", {former: name for name, former in renamed.items()}),
        ("index", _options_between(before["index"], after["index"])),
    ):
        if value:
            found[keyword] = value
    if old.key != new.key:
        found["key"] = new.key
    return found


def _options_between(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    base = before
    if before.get("algorithm") != after.get("algorithm"):
        base = {key: value for key, value in before.items() if key not in _ALGORITHM_OPTIONS}
    changed = {key: value for key, value in after.items() if key not in base or base[key] != value}
    return changed | {key: None for key in base if key not in after}


def _with_options(body: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    if "algorithm" in changes and changes["algorithm"] != body.get("algorithm"):
        kept = {key: value for key, value in body.items() if key not in _ALGORITHM_OPTIONS}
        return _merged(kept, changes)
    return _merged(body, changes)


def _merged(body: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in {**body, **changes}.items() if value is not None}


def _field_changes(changes: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    found = {name: body for name, body in changes.items() if name not in KEYWORDS}
    return {**found, **changes.get("change_fields", {})}


def _unknown(names: Iterable[str], changes: Mapping[str, Any], *, own_name: bool) -> Iterator[Problem]:
    """A problem for each keyword of the wrong type, and for each field that is not there to be changed."""
    misshapen = dict(_misshapen(changes))
    yield from misshapen.values()
    sound = {keyword: value for keyword, value in changes.items() if keyword not in misshapen}
    known = set(names)
    renamed, dropped = sound.get("rename_fields", {}), sound.get("drop_fields", ())
    yield from (_no_field(old, "rename_fields", known) for old in renamed if old not in known)
    known = (known - set(renamed)) | set(renamed.values())
    yield from (_no_field(name, "drop_fields", known) for name in dropped if name not in known)
    known = (known - set(dropped)) | set(sound.get("fields", {}))
    for name, body in _field_changes(sound).items():
        if name not in known:
            yield _no_field(name, name, known)
        elif not isinstance(body, Mapping):
            yield Problem(name, 0, 0, "wrong-type", f"`{name}` is {body!r}", "a mapping of options to values")
    index = sound.get("index", {})
    if "name" in index and not own_name and index.get("alias") is not False:
        message = "an index is not renamed along with other changes"
        yield Problem("index.name", 0, 0, "unknown-key", message, "op.rename_index before or after it")


def _misshapen(changes: Mapping[str, Any]) -> Iterator[tuple[str, Problem]]:
    for keyword in set(KEYWORDS) & changes.keys() - {"key"}:
        named = keyword in ("drop_fields", "field_order")
        if not isinstance(changes[keyword], list | tuple if named else Mapping):
            expected = "a list of names" if named else "a mapping"
            problem = Problem(keyword, 0, 0, "wrong-type", f"`{keyword}` is {changes[keyword]!r}", expected)
            yield keyword, problem


def _no_field(name: str, path: str, known: Iterable[str]) -> Problem:
    listed = ", ".join(sorted(known))
    hint = nearest(name, {*known, *KEYWORDS})
    return Problem(path, 0, 0, "unknown-key", f"there is no field `{name}`", f"one of {listed}", hint)


def _explicit(spec: IndexSpec) -> dict[str, Any]:
    """The mapping of `spec` in which each field says where its value comes from, whatever the others say."""
    mapping = spec_to_mapping(spec)
    written = {item.name for item in spec.written_fields}
    for key in ("description", "helpers", "renamed_from"):
        mapping.pop(key, None)
    for item in spec.fields:
        body = mapping["fields"][item.name]
        body.pop("renamed_from", None)
        if item.name in written and not isinstance(item, VectorField):
            body["from"] = item.source
    return mapping


def _forget_where_unwritten(fields: _Fields, storage: str, said: set[tuple[str, str]]) -> None:
    """Drop what `fields` say about storing where a field is now only indexed, unless a migration says it."""
    uses: Sequence[PathUse] = [
        PathUse(name, str(path_of(name, body, storage)), body.get("type") == "json")
        for name, body in fields.items()
        if isinstance(body, dict)
    ]
    written = written_names(storage, uses)
    for use in uses:
        if use.name in written:
            continue
        for key in _STORING:
            if (use.name, key) not in said:
                fields[use.name].pop(key, None)


def _essence(spec: IndexSpec) -> object:
    written = {item.name for item in spec.written_fields}
    fields = {
        item.name: item if item.name in written else dataclasses.replace(item, source="argument")
        for item in spec.fields
    }
    index = spec.index
    if index.aliases is not None:
        index = dataclasses.replace(index, aliases=tuple(sorted(index.aliases)))
    return spec.name, spec.key, index, fields
