"""One spec as the templates see it.

A template decides what generated code looks like; here, and in `vectors` and `values`, is decided what it
says about each field.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vecmigrate.codegen.names import (
    BODY_NAMES,
    SEARCH_PARAMETERS,
    constant_of,
    free,
    listed,
    module_name,
    spec_hash,
    spec_source,
)
from vecmigrate.codegen.values import ValueView, is_several, value_view
from vecmigrate.codegen.vectors import VectorView, vector_view
from vecmigrate.spec.build import spec_to_mapping
from vecmigrate.spec.model import Helpers, IndexSpec, JsonField, VectorField
from vecmigrate.spec.naming import function_names
from vecmigrate.spec.paths import PathUse, written_names
from vecmigrate.spec.plurals import plural_of


@dataclass(frozen=True, slots=True)
class SpecView:
    """One spec as the templates see it.

    `key`, `metadata` and `query` are what the parameters of that meaning are called.
    """

    spec: IndexSpec
    vectors: tuple[VectorView, ...]
    values: tuple[ValueView, ...]
    key: str
    metadata: str
    query: str

    @property
    def module(self) -> str:
        """The name of the spec's module."""
        return module_name(self.spec)

    @property
    def source(self) -> str:
        """Where the spec stands."""
        return spec_source(self.spec)

    @property
    def hash(self) -> str:
        """What the header says of the spec's content."""
        return spec_hash(self.spec)

    @property
    def helpers(self) -> Helpers:
        """The names of the generated functions and of some parameters."""
        return self.spec.helpers

    @property
    def roles(self) -> dict[str, str]:
        """The generated functions in their order: role → name."""
        roles = function_names(self.helpers, [vector.name for vector in self.vectors])
        return roles | ({"to_blob": self.helpers.to_blob} if "to_blob" in self.helpers.generate else {})

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the generated classes."""
        helpers = self.helpers
        wanted = {
            helpers.hit_class: self.finds,
            helpers.document_class: self.reads,
            helpers.item_class: self.stores,
            helpers.fields_class: self.asks,
        }
        return tuple(name for name, is_wanted in wanted.items() if is_wanted)

    @property
    def finds(self) -> bool:
        """Whether there is a search."""
        return not self.roles.keys().isdisjoint({"knn", "knn_many", "range"})

    @property
    def reads(self) -> bool:
        """Whether there is a function that reads documents."""
        return not self.roles.keys().isdisjoint({"get", "list", "walk"})

    @property
    def asks(self) -> bool:
        """Whether there is a function that takes a condition."""
        return self.finds or not self.roles.keys().isdisjoint({"count", "list", "walk", "delete_where"})

    @property
    def stores(self) -> bool:
        """Whether there is a function that stores."""
        return not self.roles.keys().isdisjoint({"store", "store_many"})

    @property
    def index_constant(self) -> str:
        """The constant that says what is queried."""
        return f"{constant_of(self.spec)}_INDEX"

    @property
    def prefix_constant(self) -> str:
        """The constant that says what keys begin with."""
        return f"{constant_of(self.spec)}_PREFIX"

    @property
    def dims_constant(self) -> str:
        """The constant that says how many numbers the first vector has."""
        return self.helpers.dims_constant or f"{constant_of(self.spec)}_VECTOR_DIM"

    @property
    def constants(self) -> tuple[str, ...]:
        """The public constants of the module."""
        return (self.index_constant, self.prefix_constant, self.dims_constant)

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
    def searched(self) -> frozenset[str]:
        """The fields that the texts of queries name."""
        return frozenset([*(item.name for item in self.filters), *(item.name for item in self.vectors)])

    @property
    def names_key(self) -> bool:
        """Whether results show the key under the name of the key parameter."""
        return not any(value.field.source == "key" for value in self.values)

    @property
    def written_values(self) -> tuple[ValueView, ...]:
        """The other fields that the store helper writes."""
        return tuple(value for value in self.values if value.is_written)

    @property
    def returned(self) -> dict[str, str]:
        """What searches return: field → its path, or its attribute where RETURN mistakes the path."""
        if self.returns_documents:
            return {value.name: value.path for value in self.values}
        return {value.name: value.returned(self._attributes) for value in self.values}

    @property
    def returns_documents(self) -> bool:
        """Whether searches return whole hashes, since RETURN would alter a value."""
        return not self.is_json and any(value.is_altered(self._attributes) for value in self.values)

    @property
    def _attributes(self) -> frozenset[str]:
        return frozenset(item.attribute for item in self.spec.fields if item.indexed)

    @property
    def several(self) -> tuple[str, ...]:
        """The fields whose path may pick out several values of a JSON document."""
        return tuple(value.name for value in self.values if self.is_json and is_several(value.path))

    @property
    def scores(self) -> str:
        """What scores mean, for docstrings."""
        if len({vector.metric for vector in self.vectors}) == 1:
            return self.vectors[0].meaning
        return "; ".join(f"for {vector.name} {vector.meaning}" for vector in self.vectors)

    def local(self, name: str) -> str:
        """A name for a local variable that no parameter of a search has."""
        filters = {value.filter_parameter or "" for value in self.values}
        return free(name, {self.query, self.queries, *SEARCH_PARAMETERS, *filters})

    def local_in_store(self, name: str) -> str:
        """A name for a local variable that no parameter of the store helper has."""
        vectors = (vector.parameter for vector in self.vectors)
        values = (value.parameter or "" for value in self.values)
        return free(name, {self.key, self.metadata, *vectors, *values})

    @property
    def keys(self) -> str:
        """What a parameter for several keys is called: `tool_names`."""
        return free(plural_of(self.key), BODY_NAMES | SEARCH_PARAMETERS)

    @property
    def queries(self) -> str:
        """What a parameter for several query vectors is called: `query_embeddings`."""
        filters = {value.filter_parameter or "" for value in self.values}
        return free(plural_of(self.query), BODY_NAMES | SEARCH_PARAMETERS | filters)

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
    def mapping(self) -> dict[str, Any]:
        """The canonical mapping of the spec."""
        return spec_to_mapping(self.spec)


def view_of(spec: IndexSpec) -> SpecView:
    """Everything the templates need of one spec."""
    helpers = spec.helpers
    uses = [PathUse(item.name, item.path, isinstance(item, JsonField)) for item in spec.fields]
    written = written_names(spec.index.storage, uses)
    key = free(spec.key, BODY_NAMES | {"ttl"})
    metadata = free(helpers.metadata_parameter, BODY_NAMES | {"ttl"})
    query = free(helpers.query_parameter, BODY_NAMES | SEARCH_PARAMETERS)
    first = free(helpers.vector_parameter, BODY_NAMES | {"ttl"})
    in_store = BODY_NAMES | {key, first, metadata, "ttl"}
    in_search = BODY_NAMES | SEARCH_PARAMETERS | {query}
    return SpecView(
        spec=spec,
        vectors=tuple(
            vector_view(
                spec,
                item,
                item.name in written,
                first if item.name == spec.vector.name else free(item.name, in_store),
            )
            for item in spec.vectors
        ),
        values=tuple(
            value_view(
                spec, item, item.name in written, free(item.name, in_store), free(item.name, in_search)
            )
            for item in spec.fields
            if not isinstance(item, VectorField)
        ),
        key=key,
        metadata=metadata,
        query=query,
    )
