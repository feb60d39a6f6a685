"""One spec as the templates see it.

A template decides what generated code looks like; here, and in `vectors` and `values`, is decided what it
says about each field.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from vecmigrate.codegen.names import MODULE_NAMES, SEARCH_PARAMETERS, fresh, listed, spec_hash, spec_source
from vecmigrate.codegen.values import ValueView, value_view
from vecmigrate.codegen.vectors import VectorView, blob_expression, vector_view
from vecmigrate.spec.build import spec_to_mapping
from vecmigrate.spec.model import Helpers, IndexSpec, JsonField, VectorField
from vecmigrate.spec.naming import class_names, function_names
from vecmigrate.spec.paths import PathUse, written_names


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
        """The names of the generated functions and of some parameters."""
        return self.spec.helpers

    @property
    def functions(self) -> tuple[str, ...]:
        """The names of all generated functions, in the order of their roles."""
        return tuple(function_names(self.helpers, [vector.name for vector in self.vectors]).values())

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the generated classes."""
        return class_names(self.spec.name)

    @property
    def constant(self) -> str:
        """What the names of the package's constants about this spec begin with: `TOOL_EMB`."""
        return f"{self.spec.name.upper()}_EMB"

    @property
    def is_json(self) -> bool:
        """Whether documents are JSON rather than hashes."""
        return self.spec.index.storage == "json"

    @property
    def takes_metadata(self) -> bool:
        """Whether the store helper takes a metadata mapping."""
        return any(value.field.source == "metadata" for value in self.values)

    @property
    def has_metadata(self) -> bool:
        """Whether documents hold the metadata as a whole."""
        return any(value.is_metadata for value in self.values)

    @property
    def shown(self) -> tuple[ValueView, ...]:
        """What results show under its own name."""
        return tuple(value for value in self.values if not value.is_metadata)

    @property
    def written_vectors(self) -> tuple[VectorView, ...]:
        """The vector fields that the store helper writes."""
        return tuple(vector for vector in self.vectors if vector.is_written)

    @property
    def arguments(self) -> tuple[ValueView, ...]:
        """The fields that are parameters of the store helper."""
        return tuple(value for value in self.values if value.parameter is not None and value.is_written)

    @property
    def filters(self) -> tuple[ValueView, ...]:
        """The fields that searches can filter by."""
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
        """The other fields that the store helper writes."""
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
        """What scores mean, for docstrings."""
        return "; ".join(
            vector.meaning if len(self.scorings) == 1 else f"for {vector.name} {vector.meaning}"
            for vector in self.vectors[: None if len(self.scorings) > 1 else 1]
        )

    @property
    def store_function(self) -> str:
        """The pure function that makes the commands of the store helper."""
        return "store_commands" if self.is_sparse else "store_command"

    @property
    def pattern(self) -> str:
        """The pattern of SCAN that finds the documents under the first prefix."""
        return re.sub(r"([*?\[\]\\^])", r"\\\1", self.spec.prefix) + "*"

    def local(self, name: str) -> str:
        """A name for a local variable that no parameter has."""
        helpers = self.helpers
        taken = {self.spec.key, helpers.vector_parameter, helpers.metadata_parameter}
        taken |= {helpers.query_parameter, self.queries_parameter}
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
        filters = {value.filter_parameter or "" for value in self.values}
        taken = MODULE_NAMES | SEARCH_PARAMETERS | filters | {self.module}
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
        """The spec's name as words."""
        return self.spec.name.replace("_", " ")

    @property
    def mapping_json(self) -> str:
        """The canonical mapping of the spec."""
        return json.dumps(spec_to_mapping(self.spec), indent=4)


def view_of(spec: IndexSpec, *, module: str, shares_vector: bool, distance: str) -> SpecView:
    """Everything the templates need of one spec; `distance` is what queries call the distance."""
    fields = spec.fields
    uses = [PathUse(item.name, item.path, isinstance(item, JsonField)) for item in fields]
    written = written_names(spec.index.storage, uses)
    helpers = spec.helpers
    blobs = {f"{vector.name}_to_blob" for vector in spec.vectors} | {"embedding_to_blob"}
    taken = MODULE_NAMES | blobs | {module}
    reserved = taken | {spec.key, helpers.vector_parameter, helpers.metadata_parameter}
    vectors = tuple(
        vector_view(spec, item, item.name in written, reserved, shares_vector) for item in spec.vectors
    )
    values = tuple(
        value_view(spec, item, item.name in written, reserved, taken)
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
