"""What a spec says, as frozen values: an index, its fields and the names of its generated helpers.

Nothing here reads files or speaks to a server. Values are complete: every default is filled in, so that
whoever reads a spec never asks what an absent key means. `spec.build` makes these from mappings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from vecmigrate.spec import defaults
from vecmigrate.spec.paths import PathUse, written_names

Storage: TypeAlias = Literal["hash", "json"]
Datatype: TypeAlias = Literal["float32", "float64", "float16", "bfloat16", "int8", "uint8"]
Metric: TypeAlias = Literal["cosine", "l2", "ip"]
CoordSystem: TypeAlias = Literal["spherical", "flat"]
OnError: TypeAlias = Literal["raise", "empty"]

# Where a store helper takes a field's value from: the item's key, the entry of that name in the metadata
# mapping, or a parameter of its own.
ValueSource: TypeAlias = Literal["key", "metadata", "argument"]

BYTES_PER_NUMBER: dict[Datatype, int] = {
    "float32": 4,
    "float64": 8,
    "float16": 2,
    "bfloat16": 2,
    "int8": 1,
    "uint8": 1,
}


@dataclass(frozen=True, slots=True)
class Location:
    """The file, line and column (from 1) that a value was read from."""

    file: str
    line: int = 0
    column: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Flat:
    """Exact search by comparing with every vector."""

    block_size: int = defaults.BLOCK_SIZE
    initial_cap: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hnsw:
    """Approximate search over a layered graph (Malkov and Yashunin, arXiv:1603.09320)."""

    m: int = defaults.M
    ef_construction: int = defaults.EF_CONSTRUCTION
    ef_runtime: int = defaults.EF_RUNTIME
    epsilon: float = defaults.EPSILON
    initial_cap: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SvsVamana:
    """Approximate search over a single-layer graph with optional compression (needs Redis 8.2)."""

    compression: str | None = None
    construction_window_size: int = defaults.CONSTRUCTION_WINDOW_SIZE
    graph_max_degree: int = defaults.GRAPH_MAX_DEGREE
    search_window_size: int = defaults.SEARCH_WINDOW_SIZE
    epsilon: float = defaults.SVS_EPSILON
    training_threshold: int | None = None
    reduce: int | None = None


Algorithm: TypeAlias = Flat | Hnsw | SvsVamana


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldBase:
    """What every field has.

    `name` is what Python calls the field: parameters, filters, the keys of results. `attribute` is what the
    index calls it, and so what queries say; where it is not given it is `name`. `path` is where the value
    lies in the document: the name of the hash field, or a JSON path. FT.CREATE says `path AS attribute`.
    `indexed` is false for values that are stored only.
    `location` is where the spec declares the field and `renamed_from` what it says the field was called
    before; they take no part in comparisons.
    """

    name: str
    path: str
    attribute: str = ""
    source: ValueSource = "argument"
    default: str | int | float | None = None
    default_from_key: bool = False
    indexed: bool = True
    renamed_from: str | None = field(default=None, compare=False)
    location: Location | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not self.attribute:
            object.__setattr__(self, "attribute", self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextField(FieldBase):
    """Full text, tokenised and stemmed."""

    weight: float = defaults.TEXT_WEIGHT
    nostem: bool = False
    phonetic: str | None = None
    with_suffix_trie: bool = False
    index_empty: bool = False
    index_missing: bool = False
    sortable: bool = False
    unf: bool = False
    noindex: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TagField(FieldBase):
    """One or more exact labels, split at `separator`; an empty separator splits nothing (JSON only)."""

    separator: str = defaults.TAG_SEPARATOR
    case_sensitive: bool = False
    with_suffix_trie: bool = False
    index_empty: bool = False
    index_missing: bool = False
    sortable: bool = False
    unf: bool = False
    noindex: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NumericField(FieldBase):
    """A double."""

    index_missing: bool = False
    sortable: bool = False
    noindex: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GeoField(FieldBase):
    """A point, stored as `longitude,latitude`."""

    index_missing: bool = False
    sortable: bool = False
    noindex: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GeoShapeField(FieldBase):
    """A point or polygon in well-known text."""

    coord_system: CoordSystem = defaults.COORD_SYSTEM
    index_missing: bool = False
    noindex: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonField(FieldBase):
    """A JSON text that is stored beside the vector and never indexed.

    With `source` "metadata" it holds the whole metadata mapping, and results carry it, parsed, as
    `metadata`.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorField(FieldBase):
    """An embedding of `dims` numbers; on hashes its little-endian bytes, in JSON documents an array."""

    dims: int
    datatype: Datatype = defaults.DATATYPE
    metric: Metric = defaults.METRIC
    algorithm: Algorithm = Hnsw()
    index_missing: bool = False
    # About helpers alone: the index and its documents are the same either way.
    primary: bool = field(default=False, compare=False)

    @property
    def blob_size(self) -> int:
        """Bytes of one stored vector."""
        return self.dims * BYTES_PER_NUMBER[self.datatype]


Field: TypeAlias = TextField | TagField | NumericField | GeoField | GeoShapeField | JsonField | VectorField


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexOptions:
    """Everything that FT.CREATE says before SCHEMA.

    `name` is what applications query: an alias, or with `alias` false the index itself. `store_prefix` is
    what documents lie under, where that is longer than the prefix of the index. `aliases` are further names
    that lead to it; None means that nobody knows them, an empty tuple that there are none. With `ask_aliases`
    (`aliases: null`) somebody has to say so before the index may be dropped, which takes them along.
    `stopwords` None means the server's own list, an empty tuple none at all. `temporary` is in seconds.
    """

    name: str
    prefixes: tuple[str, ...]
    store_prefix: str | None = None
    storage: Storage = defaults.STORAGE
    alias: bool = True
    aliases: tuple[str, ...] | None = None
    ask_aliases: bool = False
    filter: str | None = None
    language: str | None = None
    language_field: str | None = None
    score: float = defaults.SCORE
    score_field: str | None = None
    payload_field: str | None = None
    max_text_fields: bool = False
    temporary: int | None = None
    no_offsets: bool = False
    no_highlight: bool = False
    no_fields: bool = False
    no_freqs: bool = False
    stopwords: tuple[str, ...] | None = None
    skip_initial_scan: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that leads to the index, as far as the spec says them: `name`, then `aliases`."""
        return (self.name, *(self.aliases or ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Helpers:
    """The names of the generated functions and of their parameters, all resolved.

    `migrate_legacy` is None where the spec asks for no such function. `generate` has the roles that it wants.
    `constant` and `dims_constant`, what names of constants begin with and what the length of the first vector
    is called, are None where the spec leaves them to the generator.
    """

    on_error: OnError
    timeout_ms: int
    generate: tuple[str, ...]
    constant: str | None
    dims_constant: str | None
    to_blob: str
    store: str
    store_many: str
    get: str
    delete: str
    delete_many: str
    knn: str
    knn_many: str
    range: str
    scan: str
    iterate: str
    count: str
    list: str
    walk: str
    delete_where: str
    vector_parameter: str
    metadata_parameter: str
    query_parameter: str
    hit_class: str
    item_class: str
    document_class: str
    fields_class: str
    migrate_legacy: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexSpec:
    """One index: what it is called, what is stored, how it is searched, what its helpers are called.

    `places` says where the file has each value, by its path in the mapping, such as
    `("fields", "embedding", "m")`; with `location` and `renamed_from`, the name that the spec had before, it
    takes no part in comparisons.
    """

    name: str
    key: str
    index: IndexOptions
    fields: tuple[Field, ...]
    helpers: Helpers
    description: str = ""
    renamed_from: str | None = field(default=None, compare=False)
    location: Location | None = field(default=None, compare=False, repr=False)
    places: Mapping[tuple[str, ...], Location] = field(default_factory=dict, compare=False, repr=False)

    @property
    def vectors(self) -> tuple[VectorField, ...]:
        """The vector fields, the primary one first, then in the order of the spec; there is at least one."""
        found = [item for item in self.fields if isinstance(item, VectorField)]
        return tuple(sorted(found, key=lambda item: not item.primary))

    @property
    def vector(self) -> VectorField:
        """The primary vector field: the one that the plain helper names are about."""
        return self.vectors[0]

    @property
    def metadata_field(self) -> JsonField | None:
        """The field that holds the whole metadata mapping, where there is one."""
        for item in self.fields:
            if isinstance(item, JsonField) and item.source == "metadata":
                return item
        return None

    @property
    def written_fields(self) -> tuple[Field, ...]:
        """The fields that store helpers write, in the order of the spec; see `spec.paths` for the others.

        The primary vector field is always among them.
        """
        uses = (PathUse(item.name, item.path, isinstance(item, JsonField)) for item in self.fields)
        written = written_names(self.index.storage, uses)
        return tuple(item for item in self.fields if item.name in written)

    @property
    def prefix(self) -> str:
        """The prefix that helpers write under: `store_prefix`, or else the first one of the index."""
        return self.index.store_prefix or self.index.prefixes[0]

    def place(self, *path: str) -> Location | None:
        """Where the file has the value at `path`, or what it would be part of; None without a file."""
        for depth in range(len(path), 0, -1):
            if path[:depth] in self.places:
                return self.places[path[:depth]]
        return self.location

    def field(self, name: str) -> Field:
        """The field called `name`; raises KeyError where there is none."""
        for item in self.fields:
            if item.name == name:
                return item
        raise KeyError(name)
