"""How generated code stores, reads and searches one vector field: expressions ready to print."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from vecmigrate.codegen.layout import quote, words_tuple
from vecmigrate.spec.model import Datatype, Hnsw, IndexSpec, VectorField
from vecmigrate.spec.paths import json_keys

# What callers get a stored vector back as. numpy has no bfloat16.
_READ_AS: Final[dict[Datatype, str]] = {
    "float32": "np.float32",
    "float64": "np.float64",
    "float16": "np.float32",
    "bfloat16": "np.float32",
    "int8": "np.int8",
    "uint8": "np.uint8",
}


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

    @property
    def stored(self) -> tuple[str, tuple[str, ...]]:
        """The function, and its arguments, that makes what is stored, from the entry of an item."""
        function = "INDEX.to_list" if self.keys else "INDEX.to_blob"
        return function, (quote(self.name), f"item[{quote(self.parameter)}]")

    @property
    def declaration(self) -> tuple[str, tuple[str, ...]]:
        """The call, and its arguments, that says how the field is stored."""
        path = words_tuple(self.keys) if self.keys else quote(self.path)
        words = (str(self.dims), quote(self.datatype), quote(self.metric))
        return "_core.VectorField", (*words, path) if self.is_written else words

    @property
    def array(self) -> str:
        """The type that callers get."""
        return f"npt.NDArray[{_READ_AS[self.datatype]}] | None"

    @property
    def meaning(self) -> str:
        """What a score means, for docstrings."""
        return {
            "cosine": "cosine similarity, 1 - distance: 1 for the same direction, 0 for a right angle",
            "ip": "the inner product, 1 - distance",
            "l2": "1 / (1 + distance), where distance is the squared Euclidean distance: 1 for equal vectors",
        }[self.metric]


def vector_view(spec: IndexSpec, field: VectorField, is_written: bool, parameter: str) -> VectorView:
    """Everything the templates need of one vector field.

    Args:
        spec: The spec that has the field.
        field: The field.
        is_written: Whether the store helper writes it.
        parameter: What its parameter in the store helper is called.
    """
    return VectorView(
        name=field.name,
        parameter=parameter,
        dims=field.dims,
        datatype=field.datatype,
        metric=field.metric,
        ef_runtime=field.algorithm.ef_runtime if isinstance(field.algorithm, Hnsw) else None,
        is_first=field.name == spec.vector.name,
        is_written=is_written,
        keys=(json_keys(field.path) or ()) if spec.index.storage == "json" else (),
        path=field.path,
    )
