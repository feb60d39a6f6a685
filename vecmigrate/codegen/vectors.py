"""How generated code stores, reads and searches one vector field: expressions ready to print."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from vecmigrate.codegen.layout import call, quote, words_tuple
from vecmigrate.codegen.names import fresh
from vecmigrate.spec.model import Datatype, Hnsw, IndexSpec, VectorField
from vecmigrate.spec.paths import json_keys

# What callers get the numbers of each datatype as: `READ_AS` of `vecmigrate.helpers.vectors`, which takes
# numpy to import.
_READ_AS: Final[dict[Datatype, str]] = {
    "float32": "np.float32",
    "float64": "np.float64",
    "float16": "np.float32",
    "bfloat16": "np.float32",
    "int8": "np.int8",
    "uint8": "np.uint8",
}


def blob_expression(field: VectorField, core: str, dims: str) -> str:
    """The call that makes the blob of a parameter `vec`; `core` stands before the shared function."""
    return call(
        f"{core}encode_vector",
        ["vec", dims, quote(field.datatype), quote(field.metric)],
        indent=4,
        before="return ",
    )


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
        """The range of `min_score`, for docstrings."""
        return "more than 0 and at most 1" if self.metric == "l2" else "at most 1"

    def print_read(self, is_json: bool, from_end: int) -> str:
        """The entry of a result that holds the vector, the `from_end`th last value of a hash."""
        function = "_core.decode_numbers" if is_json else "_core.decode_vector"
        value = f"_core.json_value(document, {words_tuple(self.keys)})" if is_json else f"reply[-{from_end}]"
        arguments = (value, str(self.dims), quote(self.datatype))
        return call(function, arguments, indent=8, before=f"{quote(self.name)}: ", after=",")

    @property
    def as_list(self) -> tuple[str, tuple[str, ...]]:
        """The function, and its arguments, that makes the list of numbers of a JSON document."""
        blob = f"{self.to_blob}({self.parameter})"
        return "_core.blob_to_list", (blob, str(self.dims), quote(self.datatype))

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
