"""What FT.INFO says of an index, held against a spec.

This is for finding drift and for adopting indexes that exist. FT.INFO does not show everything:
`differences` is about what it shows, `invisible` lists what it does not. What an older server does not print
is taken for invisible too.

Shown, on RediSearch 2.10.5 and in Redis 8: key type, prefixes, filter, language, score and payload settings,
NOOFFSETS, NOHL, NOFIELDS, NOFREQS, MAXTEXTFIELDS, stopwords, and of each field all but PHONETIC and the
parameters of vectors that `invisible` names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from vecmigrate.search.ddl import indexed_fields, number_word
from vecmigrate.search.reply import Info
from vecmigrate.spec import defaults
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

# An index with more text fields than this is "wide" even if nobody said MAXTEXTFIELDS.
_WIDE_FROM: Final = 32
_NO_COMPRESSION: Final = ("", "NONE", "NO_COMPRESSION")
# What the server falls back to, on a processor that lacks the instructions for LVQ and LeanVec.
_FALLBACK_COMPRESSION: Final = "GlobalSQ8"
_FIELD_FLAGS: Final = {
    "sortable": "SORTABLE",
    "unf": "UNF",
    "noindex": "NOINDEX",
    "nostem": "NOSTEM",
    "case_sensitive": "CASESENSITIVE",
    "with_suffix_trie": "WITHSUFFIXTRIE",
    "index_empty": "INDEXEMPTY",
    "index_missing": "INDEXMISSING",
}


# What an answer depends on, of a field.
_READ_BY: Final = ("identifier", "type", "data_type", "dim", "distance_metric", "SEPARATOR", "coord_system")
_FLAGS_READ_BY: Final = frozenset({"SORTABLE", "INDEXEMPTY", "INDEXMISSING", "CASESENSITIVE", "NOSTEM"})
_LIMITING: Final = frozenset({"NOINDEX", "CASESENSITIVE", "NOSTEM"})


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that an index has otherwise than a spec says.

    `field` is the attribute it is about, or None for the index as a whole; `option` the word of FT.CREATE.
    `wanted` is the spec's value, `found` the index's; None means that it is absent.
    """

    field: str | None
    option: str
    wanted: object
    found: object

    def __str__(self) -> str:
        where = f"field {self.field!r}: " if self.field is not None else ""
        return f"{where}{self.option} is {said(self.found)} (expected {said(self.wanted)})"


def differences(spec: IndexSpec, info: Info) -> tuple[Difference, ...]:
    """Every difference that can be seen between `spec` and an index.

    Args:
        spec: What the index should be. Its name is not compared.
        info: FT.INFO of the index, as `reply.parse_info` gives it.

    Returns:
        The differences, those of the index first, then those of fields in the order of the spec, then fields
        that the spec does not have. Empty for an index that was made by `ddl.ft_create(spec)`.
    """
    return (*_index_differences(spec, info), *_schema_differences(spec, info))


def missed(ours: Info, plain: Info, *, called: str = "ours") -> tuple[str, ...]:
    """What readers of the index `plain` would miss if `ours` answered instead, as far as FT.INFO shows it.

    How a graph is built, and what `ours` has more of, is no matter to them. `called`: what messages call it.
    """
    texts = []
    mine, theirs = ours.get("index_definition", {}), plain.get("index_definition", {})
    for option in ("key_type", "prefixes", "filter", "default_language", "language_field"):
        found, wanted = mine.get(option), theirs.get(option)
        if option == "prefixes":
            found, wanted = sorted(set(found or ())), sorted(set(wanted or ()))
        if found != wanted:
            texts.append(f"{option} {said(wanted)}, {called} {said(found)}")
    fields = {str(item["attribute"]): item for item in ours.get("attributes", ())}
    for item in plain.get("attributes", ()):
        name = str(item["attribute"])
        has = fields.get(name)
        if has is None:
            texts.append(f"field {name!r}, which {called} lacks")
            continue
        texts += [
            f"field {name!r}: {option} {said(item.get(option))}, {called} {said(has.get(option))}"
            for option in _READ_BY
            if item.get(option) != has.get(option)
        ]
        flags, ours_flags = set(item.get("flags", ())), set(has.get("flags", ()))
        texts += [f"field {name!r}: {flag}" for flag in sorted(_FLAGS_READ_BY & (flags - ours_flags))]
        texts += [f"field {name!r}: no {flag}" for flag in sorted(_LIMITING & (ours_flags - flags))]
    return tuple(texts)


def invisible(spec: IndexSpec) -> tuple[str, ...]:
    """What `spec` says that FT.INFO does not show, as texts such as "field 'embedding': EF_RUNTIME 200".

    Defaults are left out, but for EF_RUNTIME.
    """
    texts = []
    if spec.index.temporary is not None:
        texts.append(_option_text("TEMPORARY", spec.index.temporary))
    if spec.index.skip_initial_scan:
        texts.append("SKIPINITIALSCAN")
    for item in indexed_fields(spec):
        texts += [
            f"field {item.name!r}: {_option_text(option, value)}"
            for option, value, default in _invisible_options(item)
            if value is not None and value != default
        ]
    return tuple(texts)


def said(value: object) -> str:
    """A value of an option, for a message."""
    match value:
        case None:
            return "absent"
        case True:
            return "on"
        case False:
            return "off"
        case list():
            return "(" + ", ".join(repr(item) for item in value) + ")"
        case str():
            return repr(value)
        case _:
            return str(value)


def _invisible_options(item: Field) -> Iterator[tuple[str, str | float | None, str | float | None]]:
    """Option, value and default of what FT.INFO does not show of a field."""
    if isinstance(item, TextField):
        yield "PHONETIC", item.phonetic, None
    if not isinstance(item, VectorField):
        return
    match item.algorithm:
        case Flat() as flat:
            yield "INITIAL_CAP", flat.initial_cap, None
            yield "BLOCK_SIZE", flat.block_size, defaults.BLOCK_SIZE
        case Hnsw() as hnsw:
            yield "INITIAL_CAP", hnsw.initial_cap, None
            yield "EF_RUNTIME", hnsw.ef_runtime, None
            yield "EPSILON", hnsw.epsilon, defaults.EPSILON
        case SvsVamana() as svs:
            yield "SEARCH_WINDOW_SIZE", svs.search_window_size, defaults.SEARCH_WINDOW_SIZE
            yield "EPSILON", svs.epsilon, defaults.SVS_EPSILON


def _index_differences(spec: IndexSpec, info: Info) -> Iterator[Difference]:
    index, found = spec.index, info.get("index_definition", {})
    for option, wanted, has in _definition(index, found):
        if wanted != has:
            yield Difference(None, option, wanted, has)
    flags = set(info.get("index_options", ()))
    wide = sum(isinstance(item, TextField) for item in indexed_fields(spec)) > _WIDE_FROM
    for option, said in (
        ("NOOFFSETS", index.no_offsets),
        ("NOHL", index.no_highlight or index.no_offsets),  # without offsets there is nothing to highlight by
        ("NOFIELDS", index.no_fields),
        ("NOFREQS", index.no_freqs),
        ("MAXTEXTFIELDS", index.max_text_fields or wide),
    ):
        if said != (option in flags):
            yield Difference(None, option, said, option in flags)
    stopwords, has_stopwords = _words(index.stopwords), _words(info.get("stopwords_list"))
    if stopwords != has_stopwords:
        yield Difference(None, "STOPWORDS", stopwords, has_stopwords)


def _definition(index: IndexOptions, found: Mapping[str, Any]) -> Iterator[tuple[str, object, object]]:
    """Option, wanted and found value of what stands under "index_definition"."""
    yield "ON", index.storage.upper(), found.get("key_type")
    yield "PREFIX", sorted(set(index.prefixes)), sorted(set(found.get("prefixes", ())))
    yield "FILTER", index.filter, found.get("filter")
    # The server does not print its defaults: English, and a score of 0.
    yield "LANGUAGE", _language(index.language), _language(found.get("default_language"))
    yield "LANGUAGE_FIELD", index.language_field, found.get("language_field")
    yield "SCORE", index.score, float(found.get("default_score", 0))
    yield "SCORE_FIELD", index.score_field, found.get("score_field")
    yield "PAYLOAD_FIELD", index.payload_field, found.get("payload_field")


def _schema_differences(spec: IndexSpec, info: Info) -> Iterator[Difference]:
    found = {str(attribute["attribute"]): attribute for attribute in info.get("attributes", ())}
    for item in indexed_fields(spec):
        attribute = found.pop(item.attribute, None)
        if attribute is None:
            yield Difference(item.attribute, "field", _type(item), None)
            continue
        yield from _field_differences(item, attribute, spec.index.storage)
    for name, attribute in found.items():
        yield Difference(name, "field", None, attribute.get("type"))


def _field_differences(item: Field, found: Mapping[str, Any], storage: Storage) -> Iterator[Difference]:
    if item.path != found.get("identifier"):
        yield Difference(item.attribute, "path", item.path, found.get("identifier"))
    if _type(item) != found.get("type"):
        yield Difference(item.attribute, "type", _type(item), found.get("type"))
        return
    for option, key, wanted in _values(item):
        if key in found and wanted is not None and wanted != found[key]:
            yield Difference(item.attribute, option, wanted, found[key])
    if isinstance(item, TagField) and not _same_separator(item.separator, found.get("SEPARATOR")):
        yield Difference(item.attribute, "SEPARATOR", item.separator, found.get("SEPARATOR"))
    if isinstance(item, VectorField) and isinstance(item.algorithm, SvsVamana):
        yield from _compression(item.attribute, item.algorithm.compression, found.get("compression"))
    flags = set(found.get("flags", ()))
    for attribute, option in _FIELD_FLAGS.items():
        if option == "UNF" and not _has_normal_form(item, storage):
            continue
        wanted_flag = bool(getattr(item, attribute, False))
        if wanted_flag != (option in flags):
            yield Difference(item.attribute, option, wanted_flag, option in flags)


def _has_normal_form(item: Field, storage: Storage) -> bool:
    """Whether SORTABLE could keep the field in lower case; where not, the server adds UNF by itself."""
    if storage == "json":
        return False
    return isinstance(item, TextField) or (isinstance(item, TagField) and not item.case_sensitive)


def _values(item: Field) -> Iterator[tuple[str, str, object]]:
    """Option, name in FT.INFO and wanted value of what a field says; None for what the server chooses."""
    match item:
        case TextField():
            yield "WEIGHT", "WEIGHT", item.weight
        case GeoShapeField():
            yield "coordinate system", "coord_system", item.coord_system.upper()
        case VectorField():
            yield "algorithm", "algorithm", _algorithm(item)
            yield "TYPE", "data_type", item.datatype.upper()
            yield "DIM", "dim", item.dims
            yield "DISTANCE_METRIC", "distance_metric", item.metric.upper()
            match item.algorithm:
                case Hnsw(m=m, ef_construction=ef_construction):
                    yield "M", "M", m
                    yield "EF_CONSTRUCTION", "ef_construction", ef_construction
                case SvsVamana() as svs:
                    yield "GRAPH_MAX_DEGREE", "graph_max_degree", svs.graph_max_degree
                    yield "CONSTRUCTION_WINDOW_SIZE", "construction_window_size", svs.construction_window_size
                    yield "TRAINING_THRESHOLD", "training_threshold", svs.training_threshold
                    yield "REDUCE", "reduced_dim", svs.reduce


def _compression(name: str, wanted: str | None, shown: str | None) -> Iterator[Difference]:
    if shown is None or (wanted is not None and shown == _FALLBACK_COMPRESSION):
        return
    found = None if shown.upper() in _NO_COMPRESSION else shown
    if (wanted or "").upper() != (found or "").upper():
        yield Difference(name, "COMPRESSION", wanted, found)


def _same_separator(wanted: str, found: object) -> bool:
    # RediSearch 2.10.5 prints a line feed as a backslash and an n.
    return found in (wanted, wanted.encode("unicode_escape").decode())


def _type(item: Field) -> str:
    names: dict[type, str] = {
        TextField: "TEXT",
        TagField: "TAG",
        NumericField: "NUMERIC",
        GeoField: "GEO",
        GeoShapeField: "GEOSHAPE",
        JsonField: "JSON",
        VectorField: "VECTOR",
    }
    return names[type(item)]


def _algorithm(item: VectorField) -> str:
    names: dict[type, str] = {Flat: "FLAT", Hnsw: "HNSW", SvsVamana: "SVS-VAMANA"}
    return names[type(item.algorithm)]


def _language(name: object) -> str:
    return str(name).lower() if name else "english"


def _words(words: Any) -> list[str] | None:
    """Stopwords as the server keeps them: in lower case and each once. None is the server's own list."""
    return None if words is None else sorted({word.lower() for word in words})


def _option_text(option: str, value: str | float) -> str:
    return f"{option} {value if isinstance(value, str) else number_word(value)}"
