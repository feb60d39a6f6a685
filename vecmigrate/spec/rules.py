"""Rules within one spec that a schema cannot say: options that need or exclude each other, paths, names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from vecmigrate.spec import defaults
from vecmigrate.spec.clashes import check_names
from vecmigrate.spec.implied import attribute_of, path_of, vector_names
from vecmigrate.spec.paths import PathUse, json_keys, written_names
from vecmigrate.spec.problems import Findings, KeyPath

MAX_TEXT_FIELDS: Final = 128

# Options of the index, which a field that is not indexed cannot have.
_INDEX_OPTIONS: Final = (
    "attribute",
    "weight",
    "nostem",
    "phonetic",
    "with_suffix_trie",
    "separator",
    "case_sensitive",
    "coord_system",
    "index_empty",
    "index_missing",
    "sortable",
    "unf",
    "noindex",
)
# What says how a value is stored, and so has no place in a field that is only indexed.
_STORE_OPTIONS: Final = ("from", "default", "default_from")

_BACKSLASH_BEFORE_SIGN: Final = re.compile(r"\\[\x00-/:-@\[-`{-\x7f]")
# What queries call the distance, as `vecmigrate.helpers.queries` has it, which takes numpy to import.
DISTANCE: Final = "__distance"

_Fields = Mapping[str, Mapping[str, Any]]


def prune(mapping: Mapping[str, Any], findings: Findings) -> dict[str, Any]:
    """`mapping` without the values that an error was noted for, and without fields of no known type."""

    def copy(value: Any, path: KeyPath) -> Any:
        if isinstance(value, dict):
            return {
                key: copy(item, (*path, key))
                for key, item in value.items()
                if not findings.is_bad((*path, key))
            }
        if isinstance(value, list):
            return [copy(item, (*path, n)) for n, item in enumerate(value) if not findings.is_bad((*path, n))]
        return value

    pruned: dict[str, Any] = copy(mapping, ())
    for section in ("index", "fields", "helpers"):
        pruned.setdefault(section, {})
    pruned["fields"] = {name: field for name, field in pruned["fields"].items() if "type" in field}
    return pruned


def check_rules(mapping: Mapping[str, Any], findings: Findings, *, names: bool = True) -> None:
    """Note what is wrong with a spec, of which `mapping` has the parts that fit the schema (see `prune`).

    `names`: also what would have one name in generated code.
    """
    fields: _Fields = mapping["fields"]
    if not any(field["type"] == "vector" for field in fields.values()) and findings.is_clean(("fields",)):
        findings.add(
            "missing-vector", ("fields",), "the spec has no vector field", "at least one field of type vector"
        )
    for name, field in fields.items():
        _check_options(("fields", name), field, findings)
    _check_primary(fields, findings, names=names)
    _check_metadata(fields, findings)
    _check_text_count(fields, findings)
    _check_attributes(fields, findings)
    _check_renames(mapping, findings)
    _check_prefixes(mapping["index"].get("prefix"), findings)
    _check_store_prefix(mapping["index"], findings)
    _check_aliases(mapping["index"], findings)
    if findings.is_clean(("index", "storage")):
        storage = mapping["index"].get("storage", defaults.STORAGE)
        _check_index_paths(mapping["index"], storage, findings)
        _check_paths(fields, storage, findings)
        _check_duplicates(fields, storage, findings)
    if names:
        check_names(mapping, findings)


def _check_options(path: KeyPath, field: Mapping[str, Any], findings: Findings) -> None:
    name = path[-1]
    if field.get("unf") and not field.get("sortable") and findings.is_clean((*path, "sortable")):
        findings.add(
            "needs-sortable",
            (*path, "unf"),
            f"`unf` of the field `{name}` has no effect",
            "`sortable: true` beside it",
        )
    if field.get("noindex") and field.get("index_missing"):
        findings.add(
            "conflicting-keys",
            (*path, "index_missing"),
            f"the field `{name}` has both `noindex` and `index_missing`",
            "one of them",
            "RediSearch refuses the pair",
        )
    if field.get("noindex") and not field.get("sortable") and findings.is_clean((*path, "sortable")):
        findings.add(
            "useless-field",
            (*path, "noindex"),
            f"the field `{name}` can be neither searched nor sorted by",
            "`sortable: true` beside `noindex`",
            "`index: false` stores it without indexing",
        )
    if field.get("index") is False and field["type"] != "json":
        for option in _INDEX_OPTIONS:
            if option in field:
                message = f"`{option}` is given, and the field `{name}` is not indexed"
                findings.add("not-indexed", (*path, option), message, "no options of the index", at_key=True)
    if "default" in field and "default_from" in field:
        message = f"the field `{name}` has both `default` and `default_from`"
        findings.add("conflicting-keys", (*path, "default_from"), message, "one of them", at_key=True)
    if field.get("from") == "key":
        for option in ("default", "default_from"):
            if option in field:
                message = f"the field `{name}` is the key, which is never missing, and has `{option}`"
                findings.add("conflicting-keys", (*path, option), message, "no default", at_key=True)
    if field["type"] == "geo" and "default" in field:
        _check_point(path, field["default"], findings)
    if field.get("algorithm") == "svs_vamana":
        _check_compression(path, field, findings)


def _check_point(path: KeyPath, text: str, findings: Findings) -> None:
    longitude, latitude = (float(part) for part in text.split(","))
    if abs(longitude) > defaults.LONGITUDE_MAX or abs(latitude) > defaults.LATITUDE_MAX:
        expected = (
            f"a longitude within ±{defaults.LONGITUDE_MAX} and a latitude within ±{defaults.LATITUDE_MAX}"
        )
        findings.add(
            "bad-default", (*path, "default"), f"`default` {text} is not a point on the map", expected
        )


def _check_compression(path: KeyPath, field: Mapping[str, Any], findings: Findings) -> None:
    if not findings.is_clean((*path, "compression")):
        return
    compression = field.get("compression")
    if "training_threshold" in field and compression is None:
        findings.add(
            "needs-compression",
            (*path, "training_threshold"),
            "`training_threshold` is given without `compression`",
            "`compression` beside it",
            at_key=True,
        )
    if "reduce" not in field:
        return
    if compression is None or not compression.startswith("LeanVec"):
        found = "no compression" if compression is None else f"`{compression}`"
        message = f"`reduce` is given, and the field `{path[-1]}` has {found}"
        findings.add("needs-compression", (*path, "reduce"), message, "a LeanVec compression", at_key=True)
    elif "dims" in field and field["reduce"] >= field["dims"]:
        findings.add(
            "out-of-range", (*path, "reduce"), f"`reduce` is {field['reduce']}", f"1 to {field['dims'] - 1}"
        )


def _check_primary(fields: _Fields, findings: Findings, *, names: bool) -> None:
    """Which of several vectors the helpers are about is said by the spec, not by the order of its fields."""
    vectors = vector_names(fields)
    primary = [name for name in vectors if fields[name].get("primary")]
    for name in primary[1:]:
        message = f"the vector `{name}` is primary, and so is `{primary[0]}`"
        findings.add("several-primary", ("fields", name, "primary"), message, "one primary vector")
    if names and len(vectors) > 1 and not primary:
        listed = " and ".join(f"`{name}`" for name in vectors)
        findings.add(
            "missing-primary",
            ("fields", vectors[0]),
            f"the spec has {len(vectors)} vectors, {listed}, and does not say which one is primary",
            "`primary: true` in one of them",
            f"the plain helpers search `{vectors[0]}` now, as it stands first: say `primary: true` there",
            at_key=True,
        )


def _check_metadata(fields: _Fields, findings: Findings) -> None:
    holders = [
        n for n, field in fields.items() if field["type"] == "json" and field.get("from") == "metadata"
    ]
    for name in holders[1:]:
        message = f"the field `{name}` holds the whole metadata, and so does `{holders[0]}`"
        findings.add(
            "several-metadata",
            ("fields", name, "from"),
            message,
            "at most one such field",
            "use `from: argument`",
        )


def _check_attributes(fields: _Fields, findings: Findings) -> None:
    """Attributes are apart from each other, and from the words that queries have for themselves."""
    owners: dict[str, str] = {}
    for name, field in fields.items():
        attribute = attribute_of(name, field)
        said = "attribute" in field
        path: KeyPath = ("fields", name, "attribute") if said else ("fields", name)
        why = _unsayable(attribute)
        if why is not None:
            message = f"no query can use the attribute `{attribute}`: {why}"
            findings.add("reserved-word", path, message, "another attribute", at_key=not said)
        if field["type"] != "json" and field.get("index", True):
            other = owners.setdefault(attribute, name)
            if other != name:
                message = f"the fields `{other}` and `{name}` have one attribute, `{attribute}`"
                findings.add(
                    "duplicate-field", path, message, "an attribute of its own for each", at_key=not said
                )


def _unsayable(attribute: str) -> str | None:
    """Why no query could name that attribute; None where it can."""
    if attribute == DISTANCE:
        return "searches give the distance that name"
    if attribute.upper() == "AS":
        return "RETURN reads it as its word AS"
    # Names in queries are unescaped twice: `a\.b` is looked for as `a.b`, however it is escaped.
    if _BACKSLASH_BEFORE_SIGN.search(attribute):
        return "the server drops a backslash that stands before a sign"
    return None


def _check_renames(mapping: Mapping[str, Any], findings: Findings) -> None:
    if "name" in mapping and mapping.get("renamed_from") == mapping["name"]:
        message = f"`renamed_from` is the name that the spec has now, `{mapping['name']}`"
        findings.add("bad-rename", ("renamed_from",), message, "the name that it had before")
    fields: _Fields = mapping["fields"]
    claimed: dict[str, str] = {}
    for name, field in fields.items():
        before = field.get("renamed_from")
        if before is None:
            continue
        path: KeyPath = ("fields", name, "renamed_from")
        if before in fields:
            message = f"the field `{name}` was called `{before}`, and there is a field of that name"
            findings.add("bad-rename", path, message, "a name that no field has any more")
        elif before in claimed:
            message = f"the field `{name}` was called `{before}`, and so was `{claimed[before]}`"
            findings.add("bad-rename", path, message, "one field for each earlier name")
        claimed.setdefault(before, name)


def _check_text_count(fields: _Fields, findings: Findings) -> None:
    count = sum(field["type"] == "text" and field.get("index", True) for field in fields.values())
    if count > MAX_TEXT_FIELDS:
        findings.add(
            "too-many-fields", ("fields",), f"the spec has {count} text fields", f"at most {MAX_TEXT_FIELDS}"
        )


def _check_prefixes(prefix: str | list[str] | None, findings: Findings) -> None:
    prefixes = prefix if isinstance(prefix, list) else []
    for number, longer in enumerate(prefixes):
        shorter = next((other for other in prefixes if other != longer and longer.startswith(other)), None)
        if shorter is not None:
            message = f"the prefix `{longer}` adds nothing: `{shorter}` matches its keys too"
            findings.add(
                "prefix-redundant", ("index", "prefix", number), message, "prefixes that do not overlap"
            )


def _check_store_prefix(index: Mapping[str, Any], findings: Findings) -> None:
    given = index.get("prefix")
    if given is None or not findings.is_clean(("index", "store_prefix")):
        return
    prefixes = [given] if isinstance(given, str) else given
    stored = index.get("store_prefix")
    if stored is None:
        if given == "":
            findings.add(
                "missing-key",
                ("index", "prefix"),
                "the index takes in every key, and nothing says what the keys of documents begin with",
                '`store_prefix` beside it, such as `store_prefix: "docs:"`',
                "helpers take every key for a document that begins with it, so keys that begin with nothing "
                "in common cannot have helpers: copy these documents under a prefix",
            )
    elif not any(stored.startswith(prefix) for prefix in prefixes):
        listed = ", ".join(f"`{prefix}`" for prefix in prefixes)
        message = f"what is stored under `{stored}` would not be in the index, whose prefix is {listed}"
        findings.add("bad-value", ("index", "store_prefix"), message, "a text that begins with a prefix")


def _check_aliases(index: Mapping[str, Any], findings: Findings) -> None:
    for number, alias in enumerate(index.get("aliases") or ()):
        if alias == index.get("name"):
            message = f"the alias `{alias}` is what `index.name` says already"
            findings.add("duplicate-index", ("index", "aliases", number), message, "further names only")


def _check_index_paths(index: Mapping[str, Any], storage: str, findings: Findings) -> None:
    # The server takes any text here and then silently finds nothing.
    for option in ("language_field", "score_field"):
        path = index.get(option)
        if storage == "json" and path is not None and not path.startswith("$"):
            findings.add(
                "bad-path",
                ("index", option),
                f"`{option}` is `{path}`",
                "a JSON path that begins with $",
                f"write $.{path.lstrip('.')}",
            )


def _check_paths(fields: _Fields, storage: str, findings: Findings) -> None:
    uses = []
    for name, field in fields.items():
        path = path_of(name, field, storage)
        if storage == "json" and not path.startswith("$"):
            findings.add(
                "bad-path",
                ("fields", name, "path"),
                f"`path` is `{path}`",
                "a JSON path that begins with $",
                f"write $.{path.lstrip('.')}",
            )
            continue
        uses.append(PathUse(name, path, field["type"] == "json"))
    written = written_names(storage, uses)
    primary = next(iter(vector_names(fields)), None)
    for use in uses:
        if use.name not in written:
            _check_unwritten(use, fields[use.name], storage, findings, needed=use.name == primary)
    if storage == "json":
        _check_overlaps([use for use in uses if use.name in written], findings)


def _check_unwritten(
    use: PathUse, field: Mapping[str, Any], storage: str, findings: Findings, *, needed: bool
) -> None:
    base: KeyPath = ("fields", use.name)
    why = "another field writes its path" if storage == "hash" else "its path is not its own and plain"
    if needed:
        message = f"the primary vector field `{use.name}` cannot be written: {why}"
        findings.add(
            "not-stored",
            (*base, "path"),
            message,
            "a path such as $.embedding",
            "say `primary: true` of another vector",
        )
    elif use.is_json or field.get("index") is False:
        message = f"the field `{use.name}` is neither indexed nor written: {why}"
        findings.add("not-stored", (*base, "path"), message, "a path of its own")
    for option in _STORE_OPTIONS:
        if option in field:
            message = f"`{option}` is given, and the field `{use.name}` is only indexed: {why}"
            findings.add("not-stored", (*base, option), message, "no such key", at_key=True)


def _check_overlaps(uses: list[PathUse], findings: Findings) -> None:
    owners = {json_keys(use.path) or (): use for use in uses}
    for keys, use in owners.items():
        around = (owners.get(keys[:depth]) for depth in range(1, len(keys)))
        outer = next((other for other in around if other is not None and not other.is_json), None)
        if outer is not None:
            message = f"the field `{use.name}` lies inside the field `{outer.name}` ({outer.path})"
            findings.add("path-overlap", ("fields", use.name, "path"), message, "a path of its own")


def _check_duplicates(fields: _Fields, storage: str, findings: Findings) -> None:
    seen: dict[str, str] = {}
    for name, field in fields.items():
        if field.get("index") is False or field["type"] == "json":
            continue
        path = path_of(name, field, storage)
        apart = {"path", "attribute", "renamed_from", *_STORE_OPTIONS}
        options = {key: value for key, value in field.items() if key not in apart}
        same = repr((path, sorted(options.items(), key=lambda item: item[0])))
        if same in seen:
            message = f"the field `{name}` indexes `{path}` just as `{seen[same]}` does"
            findings.add(
                "duplicate-field", ("fields", name), message, "another type or other options", at_key=True
            )
        seen.setdefault(same, name)
