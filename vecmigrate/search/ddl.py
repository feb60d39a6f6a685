"""From a spec to the exact words of FT.CREATE, and the other commands that shape indexes and aliases.

What is RediSearch's default is left out, so that a command shows what was decided. Always said are ON, TYPE,
DIM and DISTANCE_METRIC, and for HNSW the three numbers that people tune (M, EF_CONSTRUCTION, EF_RUNTIME).

The order of the words follows the server's parser: options of the field's type first, then INDEXEMPTY and
INDEXMISSING, then SORTABLE [UNF], then NOINDEX. RediSearch 2.10.5 takes INDEXMISSING after SORTABLE for the
name of another field.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final, TypeAlias

from vecmigrate.spec import defaults
from vecmigrate.spec.build import default_separator
from vecmigrate.spec.model import (
    Field,
    Flat,
    GeoField,
    GeoShapeField,
    Hnsw,
    IndexOptions,
    IndexSpec,
    JsonField,
    NumericField,
    Storage,
    SvsVamana,
    TagField,
    TextField,
    VectorField,
)

Command: TypeAlias = tuple[str, ...]

# After a field the parser takes each of these words for an option of that field, even where it was meant as
# the name of the next one: `name TEXT weight NUMERIC` is read as WEIGHT "NUMERIC".
_COMMON_OPTIONS: Final = frozenset({"SORTABLE", "UNF", "NOINDEX", "INDEXMISSING"})
_OPTIONS_AFTER: Final[dict[type, frozenset[str]]] = {
    TextField: _COMMON_OPTIONS | {"WEIGHT", "NOSTEM", "PHONETIC", "WITHSUFFIXTRIE", "INDEXEMPTY"},
    TagField: _COMMON_OPTIONS | {"SEPARATOR", "CASESENSITIVE", "WITHSUFFIXTRIE", "INDEXEMPTY"},
    NumericField: _COMMON_OPTIONS,
    GeoField: _COMMON_OPTIONS,
    GeoShapeField: _COMMON_OPTIONS | {"FLAT", "SPHERICAL"},
    VectorField: frozenset({"INDEXMISSING"}),
}
_OPTION_WORDS: Final = frozenset().union(*_OPTIONS_AFTER.values())

_PLAIN_WORD: Final = re.compile(r"[^\s\"'\\]+")
_ESCAPES: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\a": "\\a", "\b": "\\b"}


def ft_create(spec: IndexSpec, name: str | None = None) -> Command:
    """The words of FT.CREATE for `spec`, under the index name `name` (default: the spec's own)."""
    words = ["FT.CREATE", name or spec.index.name, *_options(spec.index), "SCHEMA"]
    for item in _parseable_order(indexed_fields(spec)):
        words += _field(item, spec.index.storage)
    return tuple(words)


def indexed_fields(spec: IndexSpec) -> tuple[Field, ...]:
    """The fields of `spec` that its index knows, in the order of the spec."""
    return tuple(item for item in spec.fields if item.indexed and not isinstance(item, JsonField))


def ft_alias_add(alias: str, index: str) -> Command:
    """FT.ALIASADD: `alias` shall stand for `index`; the server refuses where the alias exists."""
    return ("FT.ALIASADD", alias, index)


def ft_alias_update(alias: str, index: str) -> Command:
    """FT.ALIASUPDATE: `alias` shall stand for `index` from now on, whatever it stood for before."""
    return ("FT.ALIASUPDATE", alias, index)


def ft_alias_del(alias: str) -> Command:
    """FT.ALIASDEL: `alias` shall stand for nothing."""
    return ("FT.ALIASDEL", alias)


def ft_alter_add(index: str, item: Field, storage: Storage) -> Command:
    """FT.ALTER: `index` shall know the field `item` too."""
    return ("FT.ALTER", index, "SCHEMA", "ADD", *_field(item, storage))


def ft_drop_index(index: str, *, delete_documents: bool = False) -> Command:
    """FT.DROPINDEX: drop `index`, and with `delete_documents` every document in it.

    Given an alias, the server drops the index behind it: resolve first, and pass physical names only.
    """
    return ("FT.DROPINDEX", index, "DD") if delete_documents else ("FT.DROPINDEX", index)


def format_command(words: Sequence[str | bytes]) -> str:
    """`words` as one line for the prompt of redis-cli, quoted where its parser needs it."""
    return " ".join(_quote(word) for word in words)


def number_word(value: float) -> str:
    """A number as a word that the server reads back to the same double: 1.0 → "1", 0.01 → "0.01"."""
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))


def _options(index: IndexOptions) -> list[str]:
    words = ["ON", index.storage.upper(), "PREFIX", str(len(index.prefixes)), *index.prefixes]
    words += _pair("FILTER", index.filter)
    words += _pair("LANGUAGE", index.language)
    words += _pair("LANGUAGE_FIELD", index.language_field)
    words += _pair("SCORE", index.score, unless=defaults.SCORE)
    words += _pair("SCORE_FIELD", index.score_field)
    words += _pair("PAYLOAD_FIELD", index.payload_field)
    words += _flag("MAXTEXTFIELDS", index.max_text_fields)
    words += _pair("TEMPORARY", index.temporary)
    words += _flag("NOOFFSETS", index.no_offsets)
    words += _flag("NOHL", index.no_highlight)
    words += _flag("NOFIELDS", index.no_fields)
    words += _flag("NOFREQS", index.no_freqs)
    if index.stopwords is not None:
        words += ["STOPWORDS", str(len(index.stopwords)), *index.stopwords]
    return words + _flag("SKIPINITIALSCAN", index.skip_initial_scan)


def _field(item: Field, storage: Storage) -> list[str]:
    words = [item.path] if item.path == item.attribute else [item.path, "AS", item.attribute]
    match item:
        case TextField():
            words += ["TEXT", *_flag("NOSTEM", item.nostem)]
            words += _pair("WEIGHT", item.weight, unless=defaults.TEXT_WEIGHT)
            words += _pair("PHONETIC", item.phonetic)
            words += _flag("WITHSUFFIXTRIE", item.with_suffix_trie)
            words += _flag("INDEXEMPTY", item.index_empty)
        case TagField():
            words += ["TAG", *_pair("SEPARATOR", item.separator, unless=default_separator(storage))]
            words += _flag("CASESENSITIVE", item.case_sensitive)
            words += _flag("WITHSUFFIXTRIE", item.with_suffix_trie)
            words += _flag("INDEXEMPTY", item.index_empty)
        case NumericField():
            words += ["NUMERIC"]
        case GeoField():
            words += ["GEO"]
        case GeoShapeField():
            words += ["GEOSHAPE", *_flag("FLAT", item.coord_system == "flat")]
        case VectorField():
            algorithm, arguments = _vector(item)
            words += ["VECTOR", algorithm, str(len(arguments)), *arguments]
        case JsonField():
            raise TypeError(f"the json field {item.name!r} is stored only and has no place in a schema")
    words += _flag("INDEXMISSING", item.index_missing)
    if isinstance(item, TextField | TagField | NumericField | GeoField) and item.sortable:
        words += ["SORTABLE", *_flag("UNF", isinstance(item, TextField | TagField) and item.unf)]
    return words + _flag("NOINDEX", not isinstance(item, VectorField) and item.noindex)


def _vector(item: VectorField) -> tuple[str, list[str]]:
    words = ["TYPE", item.datatype.upper(), "DIM", str(item.dims), "DISTANCE_METRIC", item.metric.upper()]
    match item.algorithm:
        case Flat(block_size=block_size, initial_cap=initial_cap):
            words += _pair("INITIAL_CAP", initial_cap)
            words += _pair("BLOCK_SIZE", block_size, unless=defaults.BLOCK_SIZE)
            return "FLAT", words
        case Hnsw() as hnsw:
            words += _pair("INITIAL_CAP", hnsw.initial_cap)
            words += ["M", str(hnsw.m), "EF_CONSTRUCTION", str(hnsw.ef_construction)]
            words += ["EF_RUNTIME", str(hnsw.ef_runtime)]
            words += _pair("EPSILON", hnsw.epsilon, unless=defaults.EPSILON)
            return "HNSW", words
        case SvsVamana() as svs:
            words += _pair("COMPRESSION", svs.compression)
            words += _pair(
                "CONSTRUCTION_WINDOW_SIZE",
                svs.construction_window_size,
                unless=defaults.CONSTRUCTION_WINDOW_SIZE,
            )
            words += _pair("GRAPH_MAX_DEGREE", svs.graph_max_degree, unless=defaults.GRAPH_MAX_DEGREE)
            words += _pair("SEARCH_WINDOW_SIZE", svs.search_window_size, unless=defaults.SEARCH_WINDOW_SIZE)
            words += _pair("EPSILON", svs.epsilon, unless=defaults.SVS_EPSILON)
            words += _pair("TRAINING_THRESHOLD", svs.training_threshold)
            words += _pair("REDUCE", svs.reduce)
            return "SVS-VAMANA", words


def _pair(word: str, value: str | float | None, *, unless: str | float | None = None) -> list[str]:
    if value is None or value == unless:
        return []
    return [word, value if isinstance(value, str) else number_word(value)]


def _flag(word: str, said: bool) -> list[str]:
    return [word] if said else []


def _parseable_order(fields: Sequence[Field]) -> Iterable[Field]:
    """`fields` in the order of the spec, or in one where no name is read as an option of the field before it.

    The first place is always safe, and after a vector field nearly every name is.
    """
    if not any(_swallows(before, item) for before, item in pairwise(fields)):
        return fields
    waiting = sorted(fields, key=lambda item: item.path.upper() not in _OPTION_WORDS)
    ordered = [waiting.pop(0)]
    while waiting:
        safe = (item for item in waiting if not _swallows(ordered[-1], item))
        ordered.append(next(safe, waiting[0]))
        waiting.remove(ordered[-1])
    return ordered


def _swallows(before: Field, item: Field) -> bool:
    return item.path.upper() in _OPTIONS_AFTER.get(type(before), frozenset())


def _quote(word: str | bytes) -> str:
    text = (word.encode("utf-8", "surrogateescape") if isinstance(word, str) else word).decode(
        "utf-8", "surrogateescape"
    )
    if text.isprintable() and _PLAIN_WORD.fullmatch(text) and "##[" not in text:
        return text
    # `##[` would be a command to the runner of GitHub Actions, where the line is printed in a job.
    return '"' + "".join(_escape(character) for character in text).replace("##[", "#\\x23[") + '"'


def _escape(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))
