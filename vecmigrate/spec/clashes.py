"""Names that a spec brings into generated code, and what they clash with."""

from __future__ import annotations

import builtins
import keyword
from collections.abc import Mapping
from typing import Any, TypeAlias

from vecmigrate.spec.implied import default_source, metadata_holder, vector_names
from vecmigrate.spec.naming import (
    DEFAULT_METADATA,
    DEFAULT_QUERY,
    HIT_KEYS,
    PACKAGE_NAMES,
    SEARCH_PARAMETERS,
    SHADOWING,
    STORE_PARAMETERS,
    function_names,
    resolve_helpers,
)
from vecmigrate.spec.problems import Findings, KeyPath

_Fields: TypeAlias = Mapping[str, Mapping[str, Any]]


def check_names(mapping: Mapping[str, Any], findings: Findings) -> None:
    """Note every name of a spec that generated code cannot use; `mapping` as in `rules.check_rules`."""
    fields: _Fields = mapping["fields"]
    helpers = mapping["helpers"]
    store, knn = helpers.get("store", {}), helpers.get("knn", {})
    parameters: dict[KeyPath, str] = {("fields", name): name for name in fields}
    given: tuple[tuple[KeyPath, str | None], ...] = (
        (("key",), mapping.get("key")),
        (("helpers", "store", "vector"), store.get("vector")),
        (("helpers", "store", "metadata"), store.get("metadata")),
        (("helpers", "knn", "query"), knn.get("query")),
    )
    parameters.update((path, name) for path, name in given if name is not None)
    for path, name in parameters.items():
        _check_word(path, name, SHADOWING, "generated code needs it for itself", findings)
    if "name" in mapping:
        _check_word(("name",), mapping["name"], frozenset(), "", findings)
    _check_functions(mapping, findings)
    _check_results(mapping, findings)
    _check_store_parameters(mapping, findings)
    _check_search_parameters(mapping, findings)


def _check_word(path: KeyPath, name: str, taken: frozenset[str], why: str, findings: Findings) -> None:
    reason = (
        "is a Python keyword"
        if keyword.iskeyword(name)
        else f"cannot be used: {why}"
        if name in taken
        else None
    )
    if reason is not None:
        is_field = len(path) > 1 and path[0] == "fields"
        hint = f"call it `{name}_`" + (f" and say `attribute: {name}`" if is_field else "")
        findings.add("reserved-word", path, f"`{name}` {reason}", "another name", hint, at_key=is_field)


def _check_functions(mapping: Mapping[str, Any], findings: Findings) -> None:
    taken = frozenset(dir(builtins)) | PACKAGE_NAMES
    owners: dict[str, str] = {}
    for role, (name, path) in functions(mapping, findings).items():
        # That is the name which services know if all their vectors have one form.
        forbidden = taken - {"embedding_to_blob"} if role == "to_blob" else taken
        _check_word(path, name, forbidden, "it is a builtin, or the package has it already", findings)
        if name in owners:
            message = f"`{name}` would be the name of two functions: `{owners[name]}` and `{role}`"
            findings.add(
                "name-collision", path, message, "a name of its own for each", "give one under `helpers`"
            )
        owners.setdefault(name, role)


def functions(mapping: Mapping[str, Any], findings: Findings) -> dict[str, tuple[str, KeyPath]]:
    """Role → the name of the generated function and where the spec says it; empty where that is not known."""
    vectors = vector_names(mapping["fields"])
    if not vectors or "name" not in mapping or "key" not in mapping or not findings.is_clean(("helpers",)):
        return {}
    helpers = resolve_helpers(mapping["name"], mapping["key"], vectors[0], mapping["helpers"])
    found: dict[str, tuple[str, KeyPath]] = {}
    for role, name in function_names(helpers, vectors).items():
        _, _, vector = role.partition(":")
        given = "name" in mapping["helpers"].get(role, {})
        path: KeyPath = ("helpers", role, "name") if given else ("fields", vector) if vector else ("name",)
        found[role] = (name, path)
    if "to_blob" in helpers.generate:
        given = "name" in mapping["helpers"].get("to_blob", {})
        found["to_blob"] = (helpers.to_blob, ("helpers", "to_blob", "name") if given else ("name",))
    return found


def _check_results(mapping: Mapping[str, Any], findings: Findings) -> None:
    """The keys of a search result: the fields, then `score`, then `metadata` where there is one."""
    fields: _Fields = mapping["fields"]
    holder = metadata_holder(fields)
    key = mapping.get("key")
    shows_key = not any(field.get("from") == "key" for field in fields.values())
    if shows_key and key in HIT_KEYS and (key != "metadata" or holder is not None):
        message = f"the key `{key}` would have the name that results use for the {HIT_KEYS[key]}"
        hint = f"call it `{mapping.get('name', 'own')}_{key}`, or show it as a field with `from: key`"
        findings.add("name-collision", ("key",), message, "another name", hint)
    for name, field in fields.items():
        if field["type"] == "vector":
            # A document that `get` returns has the vectors beside the key and the metadata.
            what = (
                "key" if shows_key and name == key else "metadata" if name == "metadata" and holder else None
            )
            if what is not None:
                message = f"the vector field `{name}` would have the name that documents use for the {what}"
                hint = f"call it `{name}_vector` and say `path: {name}`"
                findings.add("name-collision", ("fields", name), message, "another name", hint, at_key=True)
            continue
        if name == holder:
            continue
        if name in HIT_KEYS and (name != "metadata" or holder is not None):
            message = f"the field `{name}` would have the name that results use for the {HIT_KEYS[name]}"
            hint = f"call it `{mapping.get('name', 'own')}_{name}` and say `attribute: {name}`"
            findings.add("name-collision", ("fields", name), message, "another name", hint, at_key=True)
        if shows_key and name == key:
            message = f"the field `{name}` would have the name that results use for the key"
            findings.add(
                "name-collision", ("fields", name), message, "another name", "or say `from: key`", at_key=True
            )


def _check_store_parameters(mapping: Mapping[str, Any], findings: Findings) -> None:
    fields: _Fields = mapping["fields"]
    store = mapping["helpers"].get("store", {})
    holder = metadata_holder(fields)
    vectors = vector_names(fields)
    taken = dict.fromkeys(STORE_PARAMETERS, "the client")
    wanted: list[tuple[str, str, KeyPath]] = []
    if "key" in mapping:
        wanted.append((mapping["key"], "the key", ("key",)))
    if vectors:
        given = store.get("vector")
        path: KeyPath = ("helpers", "store", "vector") if given else ("fields", vectors[0])
        wanted.append((given or vectors[0], f"the vector `{vectors[0]}`", path))
    sources = {
        name: field.get("from", default_source(name, field["type"], holder)) for name, field in fields.items()
    }
    if "metadata" in sources.values():
        given = store.get("metadata")
        path = ("helpers", "store", "metadata") if given else ("helpers",)
        wanted.append((given or DEFAULT_METADATA, "the metadata", path))
    wanted += [
        (name, f"the field `{name}`", ("fields", name))
        for name, source in sources.items()
        if source == "argument" and name not in vectors[:1]
    ]
    for name, what, path in wanted:
        if name in taken:
            message = f"the store helper would have two parameters `{name}`: {taken[name]} and {what}"
            hint = "name one of them under `helpers: {store: …}`"
            findings.add("name-collision", path, message, "different names", hint, at_key=path[0] == "fields")
        taken.setdefault(name, what)


def _check_search_parameters(mapping: Mapping[str, Any], findings: Findings) -> None:
    """Filters on tag and numeric fields may be parameters of the searches, under the names of the fields."""
    query = mapping["helpers"].get("knn", {}).get("query")
    name = query or DEFAULT_QUERY
    if query in SEARCH_PARAMETERS:
        message = f"the searches would have two parameters `{query}`"
        findings.add("name-collision", ("helpers", "knn", "query"), message, "another name")
    for field_name, field in mapping["fields"].items():
        if field["type"] in {"tag", "numeric"} and field_name in {*SEARCH_PARAMETERS[:3], name}:
            message = f"the field `{field_name}` has the name of a parameter of the searches"
            findings.add("name-collision", ("fields", field_name), message, "another name", at_key=True)
