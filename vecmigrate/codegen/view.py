"""What templates need of a spec: names that cannot clash, and expressions ready to print.

A template decides what generated code looks like; here is decided what it says about each field.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vecmigrate.codegen.layout import call, prose, quote, words_tuple
from vecmigrate.spec.build import spec_to_mapping
from vecmigrate.spec.model import (
    Datatype,
    Field,
    GeoField,
    GeoShapeField,
    Helpers,
    Hnsw,
    IndexSpec,
    JsonField,
    NumericField,
    TagField,
    VectorField,
)
from vecmigrate.spec.naming import class_names, function_names
from vecmigrate.spec.paths import PathUse, json_keys, written_names

# Names that generated functions use beside the names of fields.
_TAKEN_IN_SEARCH: Final = frozenset({"redis", "knn_k", "ef_runtime", "min_score", "limit"})
# How each datatype is stored, in numpy's words, and what callers get it back as. numpy has no bfloat16.
_STORED_AS: Final[dict[Datatype, str]] = {
    "float32": "<f4",
    "float64": "<f8",
    "float16": "<f2",
    "bfloat16": "<u2",
    "int8": "i1",
    "uint8": "u1",
}
_READ_AS: Final[dict[Datatype, str]] = {
    "float32": "np.float32",
    "float64": "np.float64",
    "float16": "np.float32",
    "bfloat16": "np.float32",
    "int8": "np.int8",
    "uint8": "np.uint8",
}
_WHOLE: Final = frozenset({"int8", "uint8"})
_ADDED_UP_AS_SINGLE: Final = frozenset({"float16", "bfloat16"})


def fresh(name: str, taken: Collection[str]) -> str:
    """`name`, followed by as many underscores as it takes not to be among `taken`."""
    while name in taken:
        name += "_"
    return name


def module_names(specs: Sequence[IndexSpec]) -> dict[str, str]:
    """The name of each spec's module, from the name of the spec: `tool` → `_tool`."""
    taken = {"_core", "_aio"}
    names: dict[str, str] = {}
    for spec in specs:
        names[spec.name] = fresh(f"_{spec.name}", taken)
        taken.add(names[spec.name])
    return names


def listed(names: Sequence[str]) -> str:
    """Names as a sentence has them: `a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def spec_hash(spec: IndexSpec) -> str:
    """SHA-256 of the canonical mapping, in hexadecimal: comments and layout of a spec do not matter."""
    mapping = json.dumps(spec_to_mapping(spec), sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(mapping.encode()).hexdigest()


def spec_source(spec: IndexSpec) -> str:
    """Where the spec stands, for headers: the name of the file and of its folder, `specs/tool.yaml`."""
    if spec.location is None:
        return f"the spec {spec.name}"
    return prose("/".join(Path(spec.location.file).absolute().parts[-2:]))


def blob_expression(field: VectorField, core: str, dims: str) -> str:
    """The call that makes the blob of a parameter `vec`; `core` stands before the shared functions."""
    datatype, is_cosine = field.datatype, field.metric == "cosine"
    arguments = ["vec", dims]
    if datatype in _WHOLE:
        function = "whole_to_blob"
        arguments.append(quote(_STORED_AS[datatype]))
    else:
        function = "bfloat16_to_blob" if datatype == "bfloat16" else "floats_to_blob"
        if datatype != "bfloat16":
            arguments.append(quote(_STORED_AS[datatype]))
        needed = "SINGLE_LENGTHS" if datatype in _ADDED_UP_AS_SINGLE else "DOUBLE_LENGTHS"
        arguments.append(f"{core}{needed if is_cosine else 'ANY_LENGTH'}")
    arguments.append(f"cosine={is_cosine}")
    return call(f"{core}{function}", arguments, indent=4, before="return ")


@dataclass(frozen=True, slots=True)
class VectorView:
    """One vector field: how it is stored and read, and how it is searched."""

    name: str
    parameter: str
    dims: int
    datatype: Datatype
    metric: str
    ef_runtime: int | None
    is_first: bool
    is_written: bool
    keys: tuple[str, ...]
    path: str
    to_blob: str
    definition: str
    size: int

    @property
    def suffix(self) -> str:
        """What tells the searches over this field from those over the first."""
        return "" if self.is_first else f"_by_{self.name}"

    @property
    def refuses(self) -> str:
        """What makes a vector unfit, for docstrings."""
        zero = " or, since the metric is cosine, is zero" if self.metric == "cosine" else ""
        return f"has another shape, holds NaN or infinity{zero}"

    @property
    def score_range(self) -> str:
        return "more than 0 and at most 1" if self.metric == "l2" else "at most 1"

    def print_read(self, is_json: bool, from_end: int) -> str:
        """The entry of a result that holds the vector, the `from_end`th last value of a hash."""
        before = f"{quote(self.name)}: "
        if is_json:
            value = f"_core.json_value(document, {words_tuple(self.keys)})"
            arguments = [value, str(self.dims), _READ_AS[self.datatype]]
            return call("_core.numbers_to_vector", arguments, indent=8, before=before, after=",")
        return call(*self.from_blob(f"reply[-{from_end}]"), indent=8, before=before, after=",")

    def from_blob(self, blob: str) -> tuple[str, tuple[str, ...]]:
        """The function, and its arguments, that makes an array of `blob`."""
        if self.datatype == "bfloat16":
            return "_core.bfloat16_to_vector", (blob, str(self.size))
        stored, read = quote(_STORED_AS[self.datatype]), _READ_AS[self.datatype]
        return "_core.blob_to_vector", (blob, str(self.size), stored, read)

    @property
    def as_list(self) -> tuple[str, tuple[str, ...]]:
        """The function, and its arguments, that makes the list of numbers of a JSON document."""
        blob = f"{self.to_blob}({self.parameter})"
        if self.datatype == "bfloat16":
            return "_core.bfloat16_to_list", (blob,)
        return "_core.blob_to_list", (blob, quote(_STORED_AS[self.datatype]))

    @property
    def array(self) -> str:
        """The type that callers get."""
        return f"npt.NDArray[{_READ_AS[self.datatype]}] | None"

    @property
    def score(self) -> str:
        """The expression that makes a score of `distance`."""
        return "1 / (1 + distance)" if self.metric == "l2" else "1 - distance"

    @property
    def meaning(self) -> str:
        """What a score means, for docstrings."""
        return {
            "cosine": "cosine similarity, 1 - distance: 1 for the same direction, 0 for a right angle",
            "ip": "the inner product, 1 - distance",
            "l2": "1 / (1 + distance), where distance is the squared Euclidean distance: 1 for equal vectors",
        }[self.metric]

    def knn_text(self, filters: str, distance: str) -> str:
        """The query for the nearest neighbours, as an f-string that begins with the local `filters`."""
        ef_runtime = "" if self.ef_runtime is None else " EF_RUNTIME $ef_runtime"
        return f'f"{{{filters}.query}}=>[KNN $knn_k @{self.name} $query_vec{ef_runtime} AS {distance}]"'

    def range_text(self, distance: str) -> str:
        """The part of a query that asks for all within a radius, with `distance` as name of the distance."""
        return f"@{self.name}:[VECTOR_RANGE $radius $query_vec]=>{{$YIELD_DISTANCE_AS: {distance}}}"


@dataclass(frozen=True, slots=True)
class ValueView:
    """One field that is no vector: where its value comes from, how it is stored, how it is read.

    `stored` is the function and its arguments that make the stored value, or one expression; `found` the
    function, its arguments and what follows, that read it from `fields`, the texts of a document.
    """

    field: Field
    name: str
    path: str
    keys: tuple[str, ...]
    is_written: bool
    is_metadata: bool
    parameter: str | None
    parameter_type: str
    stored: tuple[str, tuple[str, ...]] | str
    found: tuple[str, tuple[str, ...], str]
    found_type: str
    filter_parameter: str | None
    filter_type: str

    def print_found(self, indent: int) -> str:
        """The entry of a result that holds the value."""
        function, arguments, after = self.found
        before = f"{quote(self.name)}: "
        entry = call(function, arguments, indent=indent, before=before, after=f"{after},")
        if after and "\n" in entry:
            arguments = (f"{function}({', '.join(arguments)})", "default=key")
            return call("_core.first_text", arguments, indent=indent, before=before, after=",")
        return entry

    @property
    def is_sparse(self) -> bool:
        """Whether a document may lack the field."""
        item = self.field
        return (
            item.source != "key"
            and not self.is_metadata
            and item.default is None
            and not item.default_from_key
        )

    @property
    def returned(self) -> tuple[str, ...]:
        """The words of RETURN that ask for the field under its name."""
        if isinstance(self.field, JsonField) or not self.field.indexed:
            return (self.path,) if self.path == self.name else (self.path, "AS", self.name)
        return (self.name,)

    @property
    def about(self) -> str:
        """What callers should know about the parameter of a store helper."""
        item = self.field
        what = {
            TagField: "one label or several",
            NumericField: "a finite number",
            GeoField: "a point: `longitude,latitude` in degrees, or a pair",
            GeoShapeField: "a shape in well-known text",
            JsonField: "anything that JSON knows",
        }.get(type(item), "a text")
        if item.default_from_key:
            return f"{what}; the key where it is None or blank"
        if item.default is not None:
            return f"{what}; {prose(repr(item.default))} where it is None"
        return f"{what}; not stored where it is None"


@dataclass(frozen=True, slots=True)
class SpecView:
    """One spec as the templates see it."""

    spec: IndexSpec
    module: str
    source: str
    hash: str
    vectors: tuple[VectorView, ...]
    values: tuple[ValueView, ...]
    shares_vector: bool
    distance: str

    @property
    def helpers(self) -> Helpers:
        return self.spec.helpers

    @property
    def functions(self) -> tuple[str, ...]:
        """The names of all generated functions, in the order of their roles."""
        return tuple(function_names(self.helpers, [vector.name for vector in self.vectors]).values())

    @property
    def classes(self) -> tuple[str, ...]:
        return class_names(self.spec.name)

    @property
    def constant(self) -> str:
        """What the names of the package's constants about this spec begin with: `TOOL_EMB`."""
        return f"{self.spec.name.upper()}_EMB"

    @property
    def is_json(self) -> bool:
        return self.spec.index.storage == "json"

    @property
    def takes_metadata(self) -> bool:
        return any(value.field.source == "metadata" for value in self.values)

    @property
    def has_metadata(self) -> bool:
        return any(value.is_metadata for value in self.values)

    @property
    def shown(self) -> tuple[ValueView, ...]:
        """What results show under its own name."""
        return tuple(value for value in self.values if not value.is_metadata)

    @property
    def written_vectors(self) -> tuple[VectorView, ...]:
        return tuple(vector for vector in self.vectors if vector.is_written)

    @property
    def arguments(self) -> tuple[ValueView, ...]:
        """The fields that are parameters of the store helper."""
        return tuple(value for value in self.values if value.parameter is not None and value.is_written)

    @property
    def filters(self) -> tuple[ValueView, ...]:
        return tuple(value for value in self.values if value.filter_parameter is not None)

    @property
    def is_sparse(self) -> bool:
        """Whether storing must also remove what an earlier version of the document had."""
        return not self.is_json and any(value.is_sparse and value.is_written for value in self.values)

    @property
    def names_key(self) -> bool:
        """Whether results show the key under the name of the key parameter."""
        return not any(value.field.source == "key" for value in self.values)

    @property
    def shared_definition(self) -> str:
        """The body of the package's `embedding_to_blob`, which stands in the shared module."""
        return blob_expression(self.spec.vector, "", "VECTOR_DIM")

    @property
    def written_values(self) -> tuple[ValueView, ...]:
        return tuple(value for value in self.values if value.is_written)

    @property
    def returned(self) -> tuple[str, ...]:
        """The words of RETURN, without the distance."""
        return tuple(word for value in self.values for word in value.returned)

    @property
    def scorings(self) -> tuple[VectorView, ...]:
        """The first vector field of each metric: results are parsed once for each."""
        first: dict[str, VectorView] = {}
        for vector in self.vectors:
            first.setdefault(vector.metric, vector)
        return tuple(first.values())

    @property
    def scores(self) -> str:
        return "; ".join(
            vector.meaning if len(self.scorings) == 1 else f"for {vector.name} {vector.meaning}"
            for vector in self.vectors[: None if len(self.scorings) > 1 else 1]
        )

    @property
    def store_function(self) -> str:
        return "store_commands" if self.is_sparse else "store_command"

    @property
    def pattern(self) -> str:
        """The pattern of SCAN that finds the documents under the first prefix."""
        return re.sub(r"([*?\[\]\\^])", r"\\\1", self.spec.prefix) + "*"

    def local(self, name: str) -> str:
        """A name for a local variable that no parameter has."""
        helpers = self.helpers
        taken = {self.spec.key, helpers.vector_parameter, helpers.metadata_parameter, helpers.query_parameter}
        taken |= {value.parameter or "" for value in self.values}
        taken |= {value.filter_parameter or "" for value in self.values}
        taken |= {vector.parameter for vector in self.vectors}
        return fresh(name, taken)

    @property
    def keys_parameter(self) -> str:
        """What several keys are called: `tool_names`."""
        return fresh(f"{self.spec.key}s", {"redis", "batch_size"})

    @property
    def queries_parameter(self) -> str:
        """What several query vectors are called: `query_embeddings`."""
        taken = {"redis", "knn_k", "ef_runtime"} | {value.filter_parameter or "" for value in self.values}
        return fresh(f"{self.helpers.query_parameter}s", taken)

    @property
    def about_metadata(self) -> str:
        """What becomes of the metadata mapping, for docstrings."""
        parts = []
        names = [value.name for value in self.written_values if self._is_from_metadata(value)]
        if names:
            parts.append(f"Its {listed(names)} {'are' if len(names) > 1 else 'is'} stored under that name")
        if self.spec.metadata_field is not None:
            parts.append(f"the whole mapping is stored as JSON in {self.spec.metadata_field.name}")
        text = ", and ".join(parts)
        return f"{text[:1].upper()}{text[1:]}."

    def _is_from_metadata(self, value: ValueView) -> bool:
        return value.field.source == "metadata" and not value.is_metadata

    @property
    def title(self) -> str:
        return self.spec.name.replace("_", " ")

    @property
    def mapping_json(self) -> str:
        return json.dumps(spec_to_mapping(self.spec), indent=4)


def view_of(spec: IndexSpec, *, module: str, shares_vector: bool, distance: str) -> SpecView:
    """Everything the templates need of one spec; `distance` is what queries call the distance."""
    fields = spec.fields
    uses = [PathUse(item.name, item.path, isinstance(item, JsonField)) for item in fields]
    written = written_names(spec.index.storage, uses)
    helpers = spec.helpers
    reserved = {"redis", "_core", module, spec.key, helpers.vector_parameter, helpers.metadata_parameter}
    vectors = tuple(
        _vector_view(spec, item, item.name in written, reserved, shares_vector) for item in spec.vectors
    )
    values = tuple(
        _value_view(spec, item, item.name in written, reserved)
        for item in fields
        if not isinstance(item, VectorField)
    )
    return SpecView(
        spec=spec,
        module=module,
        source=spec_source(spec),
        hash=spec_hash(spec),
        vectors=vectors,
        values=values,
        shares_vector=shares_vector,
        distance=distance,
    )


def _vector_view(
    spec: IndexSpec, field: VectorField, is_written: bool, reserved: set[str], shares_vector: bool
) -> VectorView:
    is_first = field.name == spec.vector.name
    if is_first:
        to_blob = "_core.embedding_to_blob" if shares_vector else "embedding_to_blob"
    else:
        to_blob = f"{field.name}_to_blob" if field.name != "embedding" else "embedding_to_blob_"
    return VectorView(
        name=field.name,
        parameter=spec.helpers.vector_parameter if is_first else fresh(field.name, reserved),
        dims=field.dims,
        datatype=field.datatype,
        metric=field.metric,
        ef_runtime=field.algorithm.ef_runtime if isinstance(field.algorithm, Hnsw) else None,
        is_first=is_first,
        is_written=is_written,
        keys=json_keys(field.path) or (),
        path=field.path,
        to_blob=to_blob,
        definition=blob_expression(field, "_core.", "VECTOR_DIM" if is_first else str(field.dims)),
        size=field.blob_size,
    )


def _value_view(spec: IndexSpec, field: Field, is_written: bool, reserved: set[str]) -> ValueView:
    is_metadata = isinstance(field, JsonField) and field.source == "metadata"
    parameter = fresh(field.name, reserved) if field.source == "argument" else None
    can_filter = isinstance(field, TagField | NumericField) and field.indexed and not field.noindex
    is_tag = isinstance(field, TagField)
    taken = _TAKEN_IN_SEARCH | {"_core", spec.helpers.query_parameter}
    found, found_type = _found(spec, field)
    return ValueView(
        field=field,
        name=field.name,
        path=field.path,
        keys=json_keys(field.path) or (),
        is_written=is_written,
        is_metadata=is_metadata,
        parameter=parameter,
        parameter_type=_parameter_type(field),
        stored=_stored(spec, field, parameter),
        found=found,
        found_type=found_type,
        filter_parameter=fresh(field.name, taken) if can_filter else None,
        filter_type="TagFilter" if is_tag else "NumericFilter",
    )


def _parameter_type(field: Field) -> str:
    match field:
        case TagField():
            return "str | Sequence[str] | None"
        case NumericField():
            return "float | None"
        case GeoField():
            return "str | tuple[float, float] | None"
        case JsonField():
            return "Any"
        case _:
            return "str | None"


def _stored(spec: IndexSpec, field: Field, parameter: str | None) -> tuple[str, tuple[str, ...]] | str:
    """How a store helper makes the stored value, from its parameters."""
    is_json = spec.index.storage == "json"
    if isinstance(field, JsonField) and field.source == "metadata":
        metadata = spec.helpers.metadata_parameter
        if is_json:
            return "dict", (metadata,)
        return "_core.encode_json", (quote(field.name), metadata)
    if field.source == "key":
        return spec.key
    value = parameter or f"{spec.helpers.metadata_parameter}.get({quote(field.name)})"
    if field.default_from_key:
        value = f"_core.given({value}, {spec.key})"
    if isinstance(field, JsonField):
        return value if is_json else ("_core.encode_json", (quote(field.name), value))
    arguments = [quote(field.name), value]
    match field:
        case TagField():
            function = "json_tags" if is_json else "encode_tags"
            if not is_json:
                arguments.append(quote(field.separator))
        case NumericField():
            function = "json_number" if is_json else "encode_number"
        case GeoField():
            function = "encode_point"
        case GeoShapeField():
            function = "encode_shape"
        case _:
            function = "encode_text"
    if field.default is not None:
        default = field.default
        arguments.append(quote(default) if isinstance(default, str) else repr(default))
    return f"_core.{function}", tuple(arguments)


def _found(spec: IndexSpec, field: Field) -> tuple[tuple[str, tuple[str, ...], str], str]:
    """How the field is read from `fields`, `metadata` and `key`, and the type of what comes out."""
    name = quote(field.name)
    default = "" if field.default is None else quote(str(field.default))
    text = f"fields.get({name}, {default})" if default else f"fields.get({name})"
    if isinstance(field, JsonField):
        return ("_core.parse_json", (f"fields.get({name})",), ""), "Any"
    if isinstance(field, NumericField):
        return ("_core.as_number", (text,), ""), "float | None"
    if field.source == "key" or field.default_from_key:
        default = "key"
    if field.source == "metadata" and spec.metadata_field is not None and default:
        texts = (f"fields.get({name})", f"metadata.get({name})", f"default={default}")
        return ("_core.first_text", texts, ""), "str"
    if default == "key":
        return ("fields.get", (name,), " or key"), "str"
    return ("fields.get", (name, default), "") if default else ("fields.get", (name,), ""), (
        "str" if default else "str | None"
    )
