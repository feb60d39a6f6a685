"""From FT.INFO of an index that exists to the spec that describes it, for adopting running systems.

FT.INFO does not tell everything. What it leaves out is listed, never guessed: the spec then says the
server's default, and `differences(spec, info)` is empty for what can be seen.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from vecmigrate.search.ddl import indexed_fields, number_word
from vecmigrate.search.reply import Info, index_name
from vecmigrate.spec import defaults
from vecmigrate.spec.build import VERSION, default_separator
from vecmigrate.spec.check import load_schema
from vecmigrate.spec.implied import default_path
from vecmigrate.spec.model import Flat, Hnsw, IndexSpec, SvsVamana, TextField, VectorField
from vecmigrate.spec.write import Proposal, field_name, key_name, say_key, say_primary, spec_name

_FLAGS: Final = {
    "NOSTEM": "nostem",
    "CASESENSITIVE": "case_sensitive",
    "WITHSUFFIXTRIE": "with_suffix_trie",
    "INDEXEMPTY": "index_empty",
    "INDEXMISSING": "index_missing",
    "SORTABLE": "sortable",
    "NOINDEX": "noindex",
}
# What keys have before what is their own: a word where the prefix is empty, then separators of one kind.
_START: Final = re.compile(r"(?:[^\W_][^:/|#~._-]*)?([:/|#~._-])\1*")
_NO_COMPRESSION: Final = ("", "NONE", "NO_COMPRESSION")


def propose(
    info: Info,
    *,
    index: str,
    name: str | None = None,
    key: str | None = None,
    aliases: Collection[str] | None = None,
    keys: Sequence[str] = (),
) -> Proposal:
    """The spec of an index that exists.

    Args:
        info: FT.INFO of it, as `reply.parse_info` gives it.
        index: What applications query: the name of the index, or of an alias of it.
        name: The name of the spec; made from `index` where not given.
        key: The parameter that completes the prefix; `<name>_id` where not given and free. Where it is the
            name of a field, that field is the key.
        aliases: Every other name that leads to the index; None where that is not known.
        keys: Of some documents: they show what documents have before the key.

    Returns:
        The mapping, which still has to be judged by `spec_from_mapping`: an index that has no vector field,
        for one, has no spec.
    """
    # Behind an alias of ours stands `<name>@<revision>`.
    alias = index.partition("@")[0] or index
    name = name or spec_name(alias)
    definition: Mapping[str, Any] = info.get("index_definition", {})
    storage = str(definition.get("key_type", "HASH")).lower()
    fields: dict[str, dict[str, Any]] = {}
    notes: list[str] = []
    unseen: list[str] = []
    for attribute in info.get("attributes", ()):
        given = str(attribute["attribute"])
        chosen = field_name(given, name, fields)
        if chosen != given:
            notes.append(
                f"the attribute {given!r} cannot be the name of a field in Python: the field is called "
                f"{chosen!r} there, and `attribute` says what the index goes on calling it"
            )
        fields[chosen] = _field(attribute, chosen, storage)
        if str(attribute.get("compression", "")).upper() == "GLOBALSQ8":
            unseen.append(
                f"field {chosen!r}: COMPRESSION (the server fell back to GlobalSQ8; the spec says none)"
            )
    physical = index_name(info)
    if physical not in (alias, index) and physical.rpartition("@")[0] != alias:
        notes.append(
            f"the index behind {alias!r} is itself called {physical!r}: whoever asks for that name finds "
            "nothing after the first rebuild"
        )
    prefixes = [str(prefix) for prefix in definition.get("prefixes", ())] or [""]
    if prefixes == [""]:
        notes.append(
            "the index has no prefix: it takes in every key, also those of the ledger where it is over "
            "hashes, and counts them as documents"
        )
    store_prefix, told = _store_prefix(prefixes, keys)
    notes += told
    say_key(key, fields)
    say_primary(fields)
    mapping: dict[str, Any] = {
        "version": VERSION,
        "name": name,
        "index": {
            "name": alias,
            "prefix": prefixes[0] if len(prefixes) == 1 else prefixes,
            **({} if store_prefix is None else {"store_prefix": store_prefix}),
            **({"storage": storage} if storage != defaults.STORAGE else {}),
            "aliases": None if aliases is None else sorted(set(aliases) - {alias}),
            **_index(definition, info),
        },
        "key": key or key_name(name, fields),
        "fields": fields,
    }
    return Proposal(mapping, tuple(notes), tuple(unseen))


def _store_prefix(prefixes: Sequence[str], keys: Sequence[str]) -> tuple[str | None, list[str]]:
    """What helpers shall store under, where that is not the first prefix, and what to say about it."""
    first = prefixes[0]
    if first and not first[-1].isalnum():
        return None, []
    under = [key for key in keys if key.startswith(first)]
    if not under:
        if not first:
            return None, ["no document was seen, so nothing shows what their keys begin with"]
        return None, [f"the prefix {first!r} ends without a separator, and no document shows how keys go on"]
    starts = Counter(found[0] for key in under if (found := _START.match(key, len(first))))
    if first:
        starts = Counter({start: count for start, count in starts.items() if not start[0].isalnum()})
    start, count = starts.most_common(1)[0] if starts else ("", 0)
    if 2 * count <= len(under):
        seen = ", ".join(map(repr, under[:3]))
        what = f"the prefix {first!r} ends without a separator" if first else "the index has no prefix"
        return None, [f"{what}, and the keys of documents go on in no common way: {seen}"]
    stored = f"{first}{start}"
    if not first:
        stored = _common_start(stored, [key for key in under if key.startswith(stored)])
        count = sum(key.startswith(stored) for key in under)
    told = f"{count} of {len(under)} documents looked at lie under {stored!r}, so helpers store there"
    told += f" (`store_prefix`); the index has {'the prefix ' + repr(first) if first else 'no prefix'}"
    others = [key for key in under if not key.startswith(stored)]
    if others:
        told += f", and takes in others, such as {others[0]!r}, that helpers do not read or delete"
    return stored, [told]


def _common_start(start: str, keys: Sequence[str]) -> str:
    """`start` with the parts that follow it in all of several keys."""
    while len(keys) > 1:
        following = {found[0] if (found := _START.match(key, len(start))) else "" for key in keys}
        if len(following) > 1 or "" in following:
            break
        start += following.pop()
    return start


def unseen(spec: IndexSpec) -> tuple[str, ...]:
    """What FT.INFO never tells of an index such as `spec` describes, and what the spec says of it."""
    texts = [
        f"TEMPORARY (the spec says {_said(spec.index.temporary)})",
        f"SKIPINITIALSCAN (the spec says {'yes' if spec.index.skip_initial_scan else 'no'})",
    ]
    for item in indexed_fields(spec):
        texts += [
            f"field {item.name!r}: {option} (the spec says {_said(value)})"
            for option, value in _hidden_options(item)
        ]
    return tuple(texts)


def _hidden_options(item: object) -> Iterator[tuple[str, str | float | None]]:
    match item:
        case TextField():
            yield "PHONETIC", item.phonetic
        case VectorField(algorithm=Flat() as flat):
            yield "BLOCK_SIZE", flat.block_size
            yield "INITIAL_CAP", flat.initial_cap
        case VectorField(algorithm=Hnsw() as hnsw):
            yield "EF_RUNTIME", hnsw.ef_runtime
            yield "EPSILON", hnsw.epsilon
            yield "INITIAL_CAP", hnsw.initial_cap
        case VectorField(algorithm=SvsVamana() as svs):
            yield "SEARCH_WINDOW_SIZE", svs.search_window_size
            yield "EPSILON", svs.epsilon


def _said(value: str | float | None) -> str:
    return "none" if value is None else value if isinstance(value, str) else number_word(value)


def _index(definition: Mapping[str, Any], info: Info) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for shown, key in (
        ("filter", "filter"),
        ("default_language", "language"),
        ("language_field", "language_field"),
        ("score_field", "score_field"),
        ("payload_field", "payload_field"),
    ):
        if definition.get(shown):
            options[key] = str(definition[shown])
    score = float(definition.get("default_score", 0))  # what the server does not print is 0
    if score != defaults.SCORE:
        options["score"] = score
    if "language" in options:
        options["language"] = options["language"].lower()
    flags = set(info.get("index_options", ()))
    if "NOOFFSETS" in flags:
        flags.discard("NOHL")  # follows from it
    for word, key in (
        ("MAXTEXTFIELDS", "max_text_fields"),
        ("NOOFFSETS", "no_offsets"),
        ("NOHL", "no_highlight"),
        ("NOFIELDS", "no_fields"),
        ("NOFREQS", "no_freqs"),
    ):
        if word in flags:
            options[key] = True
    if info.get("stopwords_list") is not None:
        options["stopwords"] = [str(word) for word in info["stopwords_list"]]
    return options


def _field(attribute: Mapping[str, Any], name: str, storage: str) -> dict[str, Any]:
    kind = str(attribute["type"]).lower()
    field: dict[str, Any] = {"type": kind}
    given = str(attribute["attribute"])
    if given != name:
        field["attribute"] = given
    path = str(attribute.get("identifier", given))
    if path != default_path(given, storage):
        field["path"] = path
    flags = set(attribute.get("flags", ()))
    if kind == "vector":
        return field | _vector(attribute) | ({"index_missing": True} if "INDEXMISSING" in flags else {})
    if kind == "text" and attribute.get("WEIGHT", defaults.TEXT_WEIGHT) != defaults.TEXT_WEIGHT:
        field["weight"] = attribute["WEIGHT"]
    if kind == "tag":
        separator = str(attribute.get("SEPARATOR", default_separator(storage)))
        if len(separator) > 1:  # RediSearch 2.10.5 prints a line feed as a backslash and an n
            separator = separator.encode().decode("unicode_escape")
        if separator != default_separator(storage):
            field["separator"] = separator
    if kind == "geoshape" and str(attribute.get("coord_system", "")).lower() == "flat":
        field["coord_system"] = "flat"
    for word, key in _FLAGS.items():
        if word in flags:
            field[key] = True
    # Where there is nothing to keep in lower case the server adds UNF by itself.
    folds = kind == "text" or (kind == "tag" and "CASESENSITIVE" not in flags)
    if "UNF" in flags and storage == "hash" and folds:
        field["unf"] = True
    return field


def _vector(attribute: Mapping[str, Any]) -> dict[str, Any]:
    algorithm = str(attribute["algorithm"]).lower().replace("-", "_")
    field: dict[str, Any] = {
        "dims": int(attribute["dim"]),
        "datatype": str(attribute["data_type"]).lower(),
        "metric": str(attribute["distance_metric"]).lower(),
        "algorithm": algorithm,
    }
    if algorithm == "hnsw":
        field["m"] = int(attribute["M"])
        field["ef_construction"] = int(attribute["ef_construction"])
        # Not shown. It is written out all the same, because it is the first thing that people look for.
        field["ef_runtime"] = defaults.EF_RUNTIME
    elif algorithm == "svs_vamana":
        field |= _svs(attribute)
    return field


def _svs(attribute: Mapping[str, Any]) -> dict[str, Any]:
    field = {
        key: int(attribute[key])
        for key, default in (
            ("graph_max_degree", defaults.GRAPH_MAX_DEGREE),
            ("construction_window_size", defaults.CONSTRUCTION_WINDOW_SIZE),
        )
        if key in attribute and int(attribute[key]) != default
    }
    compression = _compression(str(attribute.get("compression", "")))
    if compression is None:
        return field
    found: dict[str, Any] = {**field, "compression": compression}
    if "training_threshold" in attribute:
        found["training_threshold"] = int(attribute["training_threshold"])
    reduced = int(attribute.get("reduced_dim", 0))
    if compression.startswith("LeanVec") and 0 < reduced < int(attribute["dim"]):
        found["reduce"] = reduced
    return found


def _compression(shown: str) -> str | None:
    """The spec's word for a compression, or None where there is none or it is none of the spec's."""
    if shown.upper() in _NO_COMPRESSION:
        return None
    known = load_schema()["$defs"]["vector_svs_vamana"]["properties"]["compression"]["enum"]
    return next((word for word in known if word.upper() == shown.upper()), None)
