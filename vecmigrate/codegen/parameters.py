"""Parameters, arguments and entries of generated functions, as templates print them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from vecmigrate.codegen.conditions import condition_fields
from vecmigrate.codegen.layout import WIDTH, call, quote, words_tuple
from vecmigrate.codegen.values import ValueView
from vecmigrate.codegen.vectors import VectorView
from vecmigrate.codegen.view import SpecView
from vecmigrate.spec.model import Field, TagField, VectorField

# What stands between braces on one line.
_SHORT: Final = 60


def store_parameters(view: SpecView) -> list[str]:
    """The parameters of a store helper, after the client."""
    first = [f"{vector.parameter}: Vector" for vector in view.written_vectors if vector.is_first]
    metadata = [f"{view.metadata}: Mapping[str, Any]"] if view.takes_metadata else []
    others = [f"{vector.parameter}: Vector" for vector in view.written_vectors if not vector.is_first]
    others += [f"{value.parameter}: {value.parameter_type} = None" for value in view.arguments]
    return [f"{view.key}: str", *first, *metadata, *(["*", *others] if others else [])]


def item_of_arguments(view: SpecView, before: str) -> str:
    """The item that the parameters of a store helper make, behind the text `before`."""
    names = [view.key, *(vector.parameter for vector in view.written_vectors if vector.is_first)]
    names += [view.metadata] if view.takes_metadata else []
    names += [vector.parameter for vector in view.written_vectors if not vector.is_first]
    names += [value.parameter for value in view.arguments if value.parameter is not None]
    return before + mapping_of({name: name for name in names}, indent=4, width=WIDTH - 4 - len(before))


def mapping_of(items: Mapping[str, str], *, indent: int, width: int = _SHORT) -> str:
    """A mapping of text to expressions, on one line where that is short."""
    entries = [f"{quote(name)}: {value}" for name, value in items.items()]
    one_line = f"{{{', '.join(entries)}}}"
    if len(one_line) <= width and "\n" not in one_line:
        return one_line
    inner = " " * (indent + 4)
    return "{\n" + "".join(f"{inner}{entry},\n" for entry in entries) + " " * indent + "}"


def stored_entries(view: SpecView, field: Field) -> list[str]:
    """The lines that say how a field is stored: an entry of a mapping, or of a list of paths and values."""
    if isinstance(field, VectorField):
        vector = next(item for item in view.vectors if item.name == field.name)
        if not vector.is_written:
            return []
        value: tuple[str, tuple[str, ...]] | str = vector.stored
        keys = vector.keys
    else:
        view_of_value = next(item for item in view.values if item.name == field.name)
        if not view_of_value.is_written:
            return []
        value, keys = view_of_value.stored, view_of_value.keys
    if view.is_json:
        inner = value if isinstance(value, str) else call(*value, indent=16)
        one_line = f"({words_tuple(keys)}, {inner}),"
        if "\n" not in inner and len(one_line) + 12 <= WIDTH:
            return [one_line]
        return ["(", f"    {words_tuple(keys)},", f"    {inner},", "),"]
    before = f"{quote(field.path)}: "
    return [
        f"{before}{value}," if isinstance(value, str) else call(*value, indent=12, before=before, after=",")
    ]


def _search_parameters(view: SpecView, first: str, own: Sequence[str]) -> list[str]:
    filters = [f"{value.filter_parameter}: {value.filter_type} | None = None" for value in view.filters]
    timeout = "timeout_ms: int | None = None"
    return [first, "*", *own, timeout, *filters, "where: Where | None = None"]


def _knn_own(vector: VectorView) -> list[str]:
    return ["knn_k: int"] + ([] if vector.ef_runtime is None else [f"ef_runtime: int = {vector.ef_runtime}"])


def knn_parameters(vector: VectorView, view: SpecView) -> list[str]:
    """The parameters of a search for the nearest neighbours, after the client."""
    return _search_parameters(view, f"{view.query}: Vector", _knn_own(vector))


def knn_many_parameters(vector: VectorView, view: SpecView) -> list[str]:
    """The parameters of several such searches at once."""
    queries = f"{view.queries}: Vectors"
    return _search_parameters(view, queries, _knn_own(vector))


def range_parameters(vector: VectorView, view: SpecView) -> list[str]:
    """The parameters of a search for all that score enough."""
    own = ["min_score: float", "limit: int = 100"]
    return _search_parameters(view, f"{view.query}: Vector", own)


def knn_arguments(vector: VectorView, view: SpecView, query: str) -> list[str]:
    """The arguments of `Index.knn`, with `query` as the vector."""
    conditions = _conditions(view)
    ef_runtime = [] if vector.ef_runtime is None else ["ef_runtime"]
    return [quote(vector.name), query, "knn_k", "timeout_ms", *ef_runtime, *conditions, "where=where"]


def range_arguments(vector: VectorView, view: SpecView) -> list[str]:
    """The arguments of `Index.range`."""
    own = ["min_score", "limit", "timeout_ms", *_conditions(view), "where=where"]
    return [quote(vector.name), view.query, *own]


def _conditions(view: SpecView) -> list[str]:
    filters = {value.name: value.filter_parameter or "" for value in view.filters}
    return [f"conditions={mapping_of(filters, indent=8)}"] if filters else []


def about_filter(value: ValueView) -> str:
    """What callers should know about a filter, as an item of a docstring."""
    if value.filter_type == "TagFilter":
        return (
            f"{value.filter_parameter}: Only documents with this label in {value.name}, or with one of these."
        )
    return (
        f"{value.filter_parameter}: Only documents whose {value.name} is from the first number to the second,"
        " both included; None leaves a side open."
    )


def index_options(view: SpecView) -> list[str]:
    """The arguments of the call that declares the index."""
    options = [f"name={view.index_constant}", f"prefixes={_prefixes(view)}"]
    if view.is_json:
        options.append('storage="json"')
    if view.helpers.on_error == "empty":
        options.append('on_error="empty"')
    options.append(f"timeout_ms={view.helpers.timeout_ms}")
    if view.written_values:
        paths = {
            value.name: words_tuple(value.keys) if view.is_json else quote(value.path)
            for value in view.written_values
        }
        options.append(f"values={mapping_of(paths, indent=4)}")
    vectors = [
        call(*vector.declaration, indent=8, before=f"{quote(vector.name)}: ", after=",")
        for vector in view.vectors
    ]
    options.append("vectors={\n" + "".join(f"        {entry}\n" for entry in vectors) + "    }")
    if view.returned:
        returned = {name: quote(path) for name, path in view.returned.items()}
        options.append(f"returned={mapping_of(returned, indent=4)}")
    if view.returns_documents:
        options.append("returns_documents=True")
    if view.several:
        options.append(words_tuple(view.several, 4, "several="))
    attributes = {
        item.name: quote(item.attribute)
        for item in view.spec.fields
        if item.attribute != item.name and (item.name in view.searched)
    }
    if attributes:
        options.append(f"attributes={mapping_of(attributes, indent=4)}")
    if view.filters:
        kinds = {
            value.name: _labels(value.field) if isinstance(value.field, TagField) else "None"
            for value in view.filters
        }
        options.append(f"filters={mapping_of(kinds, indent=4)}")
    return options


def _labels(field: TagField) -> str:
    """The call that says how the labels of a field are kept."""
    return f"_core.Labels({quote(field.separator)}{', index_empty=True' if field.index_empty else ''})"


def _prefixes(view: SpecView) -> str:
    first, index = view.spec.prefix, view.spec.index
    others = [quote(prefix) for prefix in index.prefixes if prefix != first]
    if index.store_prefix is not None:
        # The prefix of the index that it lies in says less than it, and keys may begin with that.
        others = [quote(prefix) for prefix in index.prefixes if not first.startswith(prefix)]
    return call("", [view.prefix_constant, *others], indent=4) if others else f"({view.prefix_constant},)"


def list_parameters(view: SpecView) -> list[str]:
    """The parameters of a list, after the client."""
    order = ["sort_by: Field | None = None", "descending: bool = False"]
    return ["*", "where: Where | None = None", *order, "offset: int = 0", "limit: int = 100"]


# What templates call by name.
FILTERS: Final = (
    *(store_parameters, item_of_arguments, stored_entries, index_options, about_filter),
    *(knn_parameters, knn_many_parameters, range_parameters, knn_arguments, range_arguments),
    *(list_parameters, condition_fields),
)
