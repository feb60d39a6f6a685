"""How generated code stores, reads and searches one vector field: expressions ready to print."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from vecmigrate.codegen.layout import call, quote, words_tuple
from vecmigrate.codegen.names import fresh
from vecmigrate.spec.model import Datatype, Hnsw, IndexSpec, VectorField
from vecmigrate.spec.paths import json_keys

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
    attribute: str
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
        """The range of `min_score`, for docstrings."""
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
        knn = quote(f"=>[KNN $knn_k @{self.said} $query_vec{ef_runtime} AS {distance}]")
        # Doubled braces are plain ones in an f-string.
        return f"f{knn[0]}{{{filters}.query}}{knn[1:].replace('{', '{{').replace('}', '}}')}"

    @property
    def said(self) -> str:
        """What queries call the field, behind their @."""
        from vecmigrate.helpers.queries import query_name  # takes numpy to import

        return query_name(self.attribute)

    def range_text(self, distance: str) -> str:
        """The part of a query that asks for all within a radius, with `distance` as name of the distance."""
        return f"@{self.said}:[VECTOR_RANGE $radius $query_vec]=>{{$YIELD_DISTANCE_AS: {distance}}}"


def vector_view(
    spec: IndexSpec, field: VectorField, is_written: bool, reserved: Collection[str], shares_vector: bool
) -> VectorView:
    """Everything the templates need of one vector field.

    Args:
        spec: The spec that has the field.
        field: The field.
        is_written: Whether the store helper writes it.
        reserved: Names that its parameter cannot have.
        shares_vector: Whether one `embedding_to_blob` serves the first vectors of all specs.
    """
    is_first = field.name == spec.vector.name
    if is_first:
        to_blob = "_core.embedding_to_blob" if shares_vector else "embedding_to_blob"
    else:
        to_blob = f"{field.name}_to_blob" if field.name != "embedding" else "embedding_to_blob_"
    return VectorView(
        name=field.name,
        attribute=field.attribute,
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
