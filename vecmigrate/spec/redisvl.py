"""From a schema of RedisVL to the spec that describes the same index.

What a schema leaves out means what RedisVL 0.28 makes of it, which is not always the server's default: its
SVS-VAMANA graphs are larger, and in JSON documents it splits tags at commas.

Two things look alike there and are not. FT.CREATE gets the `prefix` as it is; `load` takes separators off its
end, adds one, and writes under that. So an index with the prefix `docs` also takes in the keys of `docs2:`,
and one with `docs::` has none of the documents, which lie under `docs:`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from vecmigrate.spec import defaults
from vecmigrate.spec.build import VERSION, default_separator
from vecmigrate.spec.implied import default_path
from vecmigrate.spec.problems import Findings, KeyPath, nearest
from vecmigrate.spec.write import Proposal, field_name, key_name, say_key, say_primary, spec_name

PREFIX: Final = "rvl"
KEY_SEPARATOR: Final = ":"
STORAGE: Final = "hash"
# RedisVL's defaults of SVS-VAMANA, where they are not the server's.
_SVS: Final = {"graph_max_degree": 40, "construction_window_size": 250, "search_window_size": 20}

_INDEX_KEYS: Final = ("name", "prefix", "key_separator", "storage_type", "stopwords")
_FIELD_KEYS: Final = ("name", "type", "path", "attrs")
_COMMON: Final = {"sortable": "sortable", "index_missing": "index_missing", "no_index": "noindex"}
_TEXT: Final = {
    **_COMMON,
    "weight": "weight",
    "no_stem": "nostem",
    "withsuffixtrie": "with_suffix_trie",
    "phonetic_matcher": "phonetic",
    "index_empty": "index_empty",
    "unf": "unf",
}
_TAG: Final = {
    **_COMMON,
    "separator": "separator",
    "case_sensitive": "case_sensitive",
    "withsuffixtrie": "with_suffix_trie",
    "index_empty": "index_empty",
}
_VECTOR: Final = {
    "dims": "dims",
    "algorithm": "algorithm",
    "datatype": "datatype",
    "distance_metric": "metric",
    "index_missing": "index_missing",
}
# The attributes that RedisVL heeds, and what a spec calls them.
_ATTRIBUTES: Final[dict[str, dict[str, str]]] = {
    "text": _TEXT,
    "tag": _TAG,
    "numeric": {**_COMMON, "unf": "unf"},
    "geo": _COMMON,
    "flat": {**_VECTOR, **{key: key for key in ("initial_cap", "block_size")}},
    "hnsw": {
        **_VECTOR,
        **{key: key for key in ("initial_cap", "m", "ef_construction", "ef_runtime", "epsilon")},
    },
    "svs_vamana": {
        **_VECTOR,
        **{
            key: key
            for key in (*_SVS, "initial_cap", "epsilon", "compression", "reduce", "training_threshold")
        },
    },
}
_TYPES: Final = ("text", "tag", "numeric", "geo", "vector")
_FLAGS: Final = frozenset(
    {
        "sortable",
        "index_missing",
        "noindex",
        "nostem",
        "with_suffix_trie",
        "index_empty",
        "unf",
        "case_sensitive",
    }
)
_WORDS: Final = frozenset({"algorithm", "datatype", "metric"})


def documents_prefix(prefix: str, separator: str) -> str:
    """What RedisVL writes before the id of a document; "" where it writes the bare id."""
    # Like RedisVL, every character of the separator is taken off, in any order.
    stem = prefix.rstrip(separator) if separator else prefix
    return f"{stem}{separator}" if stem else ""


def propose(
    schema: Any,
    findings: Findings,
    *,
    name: str | None = None,
    key: str | None = None,
    index_prefix: bool = False,
) -> Proposal | None:
    """The spec of the index that RedisVL makes of a schema; None where `findings` says what is wrong.

    Args:
        schema: The plain value of the schema's file.
        findings: Takes the problems, at their places in the schema.
        name: The name of the spec; made from the name of the index where not given.
        key: The parameter that completes the prefix; `<name>_id` where not given and free. Where it is the
            name of a field, that field is the key.
        index_prefix: Say the prefix that FT.CREATE gets, not the one that documents are written under.

    The mapping still has to be judged by `spec_from_mapping`.
    """
    notes: list[str] = []
    if not isinstance(schema, Mapping):
        findings.add("wrong-type", (), "the schema is no mapping", "a mapping with `index` and `fields`")
        return None
    _unknown(schema, ("version", "index", "fields"), (), notes)
    index = schema.get("index")
    if not isinstance(index, Mapping) or not isinstance(index.get("name"), str):
        findings.add("missing-key", ("index",), "the schema names no index", "`index: {name: …}`")
        return None
    _unknown(index, _INDEX_KEYS, ("index",), notes)
    storage = str(index.get("storage_type", STORAGE)).lower()
    prefix = _prefix(index, findings, notes, index_prefix=index_prefix)
    name = name or spec_name(index["name"])
    fields: dict[str, dict[str, Any]] = {}
    for path, given in _fields(schema.get("fields"), findings):
        field = _field(path, given, storage, findings, notes)
        if field is None:
            continue
        chosen = field_name(given["name"], name, fields)
        if chosen != given["name"]:
            notes.append(
                f"the field {given['name']!r} cannot be called that in Python: it is called {chosen!r} "
                "there, and `attribute` says what the index goes on calling it"
            )
        where = given.get("path") if storage == "json" else given["name"]
        where = where or (f"$.{given['name']}" if storage == "json" else given["name"])
        place = {} if chosen == given["name"] else {"attribute": given["name"]}
        if where != default_path(given["name"], storage):
            place["path"] = where
        fields[chosen] = {"type": field.pop("type"), **place, **field}
    if findings.failed or prefix is None:
        return None
    say_key(key, fields)
    say_primary(fields)
    stopwords = index.get("stopwords")
    mapping = {
        "version": VERSION,
        "name": name,
        "index": {
            "name": index["name"],
            "prefix": prefix[0] if len(prefix) == 1 else prefix,
            **_store_prefix(index, prefix[0]),
            **({"storage": storage} if storage != defaults.STORAGE else {}),
            **({"stopwords": stopwords} if stopwords is not None else {}),
        },
        "key": key or key_name(name, fields),
        "fields": fields,
    }
    return Proposal(mapping, tuple(notes))


def _prefix(
    index: Mapping[str, Any], findings: Findings, notes: list[str], *, index_prefix: bool
) -> list[str] | None:
    given = index.get("prefix", PREFIX)
    separator = index.get("key_separator", KEY_SEPARATOR)
    raw = [given] if isinstance(given, str) else given
    if not isinstance(raw, list) or not all(isinstance(item, str) for item in raw):
        findings.add("wrong-type", ("index", "prefix"), "`prefix` is no text", "a text or a list of texts")
        return None
    if not isinstance(separator, str):
        findings.add("wrong-type", ("index", "key_separator"), "`key_separator` is no text", "a text")
        return None
    written = documents_prefix(raw[0], separator) if raw else ""
    if not written:
        findings.add(
            "empty-value",
            ("index", "prefix"),
            "RedisVL writes these documents without any prefix",
            "a prefix that is more than separators",
            "a spec needs one; copy the documents under a prefix first",
        )
        return None
    if index_prefix or written == raw[0]:
        if written != raw[0]:
            notes.append(
                f"RedisVL writes documents under {written!r}, which begins otherwise than the prefix of its "
                f"index, {raw[0]!r}: helpers that are generated from this spec write elsewhere"
                if not written.startswith(raw[0])
                else f"RedisVL writes documents under {written!r}, as `store_prefix` says, and its index has "
                f"the prefix {raw[0]!r}"
            )
        return raw
    if not written.startswith(raw[0]):
        notes.append(
            f"RedisVL's index takes in the prefix {raw[0]!r}, and its documents are written under "
            f"{written!r}: that index has none of them. The spec says where they are"
        )
    else:
        notes.append(
            f"RedisVL's index has the prefix {raw[0]!r}, and its documents are written under {written!r}, as "
            "the spec says. So that index cannot be adopted as the spec's: give the spec another index.name, "
            "and its index is built beside RedisVL's, over the same documents. (--index-prefix says the "
            "prefix of RedisVL's index instead.)"
        )
    return [written, *(item for item in raw[1:] if item != written)]


def _store_prefix(index: Mapping[str, Any], prefix: str) -> dict[str, str]:
    """What RedisVL writes under, where that is longer than the prefix that the spec has."""
    given = index.get("prefix", PREFIX)
    first = given if isinstance(given, str) else given[0]
    written = documents_prefix(first, index.get("key_separator", KEY_SEPARATOR))
    return {"store_prefix": written} if written != prefix and written.startswith(prefix) else {}


def _fields(given: Any, findings: Findings) -> Iterator[tuple[KeyPath, Mapping[str, Any]]]:
    """The fields of a schema, which may be a list or a mapping, and where they are."""
    if isinstance(given, Mapping):
        entries: list[tuple[KeyPath, Any]] = [(("fields", key), item) for key, item in given.items()]
    elif isinstance(given, list):
        entries = [(("fields", number), item) for number, item in enumerate(given)]
    else:
        findings.add("missing-key", ("fields",), "the schema has no fields", "a list of fields")
        return
    names: set[str] = set()
    for path, item in entries:
        if not isinstance(item, Mapping) or not isinstance(item.get("name"), str):
            findings.add("missing-key", path, "the field has no name", "`name` and `type`")
        elif item.get("type") not in _TYPES:
            kind = item.get("type")
            findings.add(
                "bad-value", (*path, "type"), f"`type` is {kind!r}", f"one of {', '.join(_TYPES)}",
                nearest(str(kind), _TYPES),
            )  # fmt: skip  # a call like the others
        elif item["name"] in names:
            findings.add("duplicate-value", (*path, "name"), f"the field {item['name']!r} is there twice")
        else:
            names.add(item["name"])
            yield path, item


def _field(
    path: KeyPath, given: Mapping[str, Any], storage: str, findings: Findings, notes: list[str]
) -> dict[str, Any] | None:
    name, kind = given["name"], given["type"]
    _unknown(given, _FIELD_KEYS, path, notes)
    attrs = given.get("attrs") or {}
    if not isinstance(attrs, Mapping):
        findings.add("wrong-type", (*path, "attrs"), f"`attrs` of {name!r} is no mapping", "a mapping")
        return None
    if storage != "json" and given.get("path"):
        notes.append(f"field {name!r}: `path` is for JSON documents; RedisVL ignores it here")
    group = kind
    if kind == "vector":
        group = str(attrs.get("algorithm", "")).lower().replace("-", "_")
        if group not in _ATTRIBUTES or group in _TYPES:
            findings.add(
                "bad-value", (*path, "attrs"), f"`algorithm` of {name!r} is {attrs.get('algorithm')!r}",
                "one of flat, hnsw, svs-vamana",
            )  # fmt: skip  # a call like the others
            return None
    known = _ATTRIBUTES[group]
    _unknown(attrs, known, (*path, "attrs"), notes)
    found = {known[key]: _value(known[key], value) for key, value in attrs.items() if key in known}
    # RedisVL lets null stand for its default, and off is a spec's default everywhere.
    field = {key: value for key, value in found.items() if value is not None and value is not False}
    finish: Callable[..., dict[str, Any]] = _vector if kind == "vector" else _plain
    return finish(name, {"type": kind, **field}, storage, notes)


def _plain(name: str, field: dict[str, Any], storage: str, notes: list[str]) -> dict[str, Any]:
    if field["type"] == "tag":
        field.setdefault("separator", defaults.TAG_SEPARATOR)
        if field["separator"] == default_separator(storage):
            del field["separator"]
    if field.get("unf") and (field["type"] == "numeric" or not field.get("sortable")):
        del field["unf"]  # RedisVL or the server ignores it
    if field.get("noindex") and not field.get("sortable"):
        notes.append(
            f"field {name!r}: RedisVL cannot make an index with `no_index` and without `sortable`; the spec "
            "stores the value and leaves it out of the index"
        )
        return {"type": field["type"], "index": False}
    return field


def _vector(name: str, field: dict[str, Any], storage: str, notes: list[str]) -> dict[str, Any]:
    ordered = {"type": "vector", "dims": field.pop("dims", None), **field}
    if ordered["dims"] is None:
        del ordered["dims"]  # `spec_from_mapping` says that it is missing
    if ordered["algorithm"] == "svs_vamana":
        ordered |= {key: value for key, value in _SVS.items() if key not in ordered}
        if ordered.pop("initial_cap", None) is not None:
            notes.append(f"field {name!r}: `initial_cap` means nothing to SVS-VAMANA and is left out")
    return ordered


def _value(key: str, value: Any) -> Any:
    """A value as a spec has it; RedisVL also takes numbers and booleans that are written as texts."""
    if not isinstance(value, str):
        return value
    if key in _WORDS:
        return value.lower().replace("-", "_")
    if key in _FLAGS:
        return {"true": True, "false": False}.get(value.lower(), value)
    if key in {"separator", "phonetic", "compression"}:
        return value
    for number in (int, float):
        try:
            return number(value)
        except ValueError:
            continue
    return value


def _unknown(given: Mapping[str, Any], known: Any, path: KeyPath, notes: list[str]) -> None:
    for key in given:
        if key not in known:
            place = ".".join(map(str, (*path, key)))
            notes.append(f"`{place}` is nothing that RedisVL 0.28 heeds, and is left out")
