"""Parameters, arguments and entries of generated functions, as templates print them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from vecmigrate.codegen.layout import WIDTH, call, quote, words_tuple
from vecmigrate.codegen.values import ValueView
from vecmigrate.codegen.vectors import VectorView
from vecmigrate.codegen.view import SpecView
from vecmigrate.spec.model import Field, VectorField


def store_parameters(view: SpecView) -> list[str]:
    """The parameters of a store helper, after the client."""
    first = [f"{vector.parameter}: Vector" for vector in view.written_vectors if vector.is_first]
    metadata = [f"{view.helpers.metadata_parameter}: Mapping[str, Any]"] if view.takes_metadata else []
    others = [f"{vector.parameter}: Vector" for vector in view.written_vectors if not vector.is_first]
    others += [f"{value.parameter}: {value.parameter_type} = None" for value in view.arguments]
    return [f"{view.spec.key}: str", *first, *metadata, *(["*", *others] if others else [])]


def store_arguments(view: SpecView, form: str = "{name}") -> list[str]:
    """The arguments that hand these parameters on; `form` says how each is written from its name."""
    helpers = view.helpers
    names = [view.spec.key, *(vector.parameter for vector in view.written_vectors if vector.is_first)]
    names += [helpers.metadata_parameter] if view.takes_metadata else []
    keywords = [vector.parameter for vector in view.written_vectors if not vector.is_first]
    optional = [value.parameter for value in view.arguments if value.parameter is not None]
    needed = [form.format(name=name, key=quote(name)) for name in names]
    needed += [f"{name}={form.format(name=name, key=quote(name))}" for name in keywords]
    get = form.replace("[{key}]", ".get({key})")
    return needed + [f"{name}={get.format(name=name, key=quote(name))}" for name in optional]


def item_call(view: SpecView) -> str:
    """How the arguments of a store helper are taken out of an item."""
    arguments = store_arguments(view, "item[{key}]")
    if view.is_sparse:
        return call("store_commands", arguments, indent=4, before="return ")
    one_line = call("store_command", arguments, indent=4, before="return [", after="]")
    if "\n" not in one_line:
        return one_line
    return call("store_command", arguments, indent=4, before="command = ") + "\n    return [command]"


def stored_entries(view: SpecView, field: Field) -> list[str]:
    """The lines that say how a field is stored: an entry of a mapping, or of a list of paths and values."""
    if isinstance(field, VectorField):
        vector = next(item for item in view.vectors if item.name == field.name)
        if not vector.is_written:
            return []
        value: tuple[str, tuple[str, ...]] | str = (vector.to_blob, (vector.parameter,))
        if view.is_json:
            value = vector.as_list
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


def get_words(view: SpecView) -> str:
    """The tuple of words that asks for a whole hash."""
    paths = [value.path for value in view.written_values] + [item.path for item in view.written_vectors]
    words = [quote("HMGET"), f"KEY_PREFIX + {view.spec.key}", *map(quote, paths)]
    return call("", words, indent=4, before="return ")


def _search_parameters(view: SpecView, first: str, own: Sequence[str]) -> list[str]:
    filters = [f"{value.filter_parameter}: {value.filter_type} | None = None" for value in view.filters]
    return [first, "*", *own, *filters]


def _knn_own(vector: VectorView) -> list[str]:
    return ["knn_k: int"] + ([] if vector.ef_runtime is None else [f"ef_runtime: int = {vector.ef_runtime}"])


def knn_parameters(vector: VectorView, view: SpecView) -> list[str]:
    """The parameters of a search for the nearest neighbours, after the client."""
    return _search_parameters(view, f"{view.helpers.query_parameter}: Vector", _knn_own(vector))


def knn_many_parameters(vector: VectorView, view: SpecView) -> list[str]:
    """The parameters of several such searches at once."""
    queries = f"{view.queries_parameter}: Sequence[Vector] | npt.NDArray[Any]"
    return _search_parameters(view, queries, _knn_own(vector))


def range_parameters(vector: VectorView, view: SpecView) -> list[str]:
    """The parameters of a search for all that score enough."""
    own = ["min_score: float", "limit: int = 100"]
    return _search_parameters(view, f"{view.helpers.query_parameter}: Vector", own)


def knn_arguments(vector: VectorView, view: SpecView, query: str | None = None) -> list[str]:
    """The arguments that hand the parameters of `knn_parameters` on, with `query` as the vector."""
    own = ["knn_k"] + ([] if vector.ef_runtime is None else ["ef_runtime"])
    return _search_arguments(view, query, own)


def range_arguments(vector: VectorView, view: SpecView) -> list[str]:
    """The arguments that hand the parameters of `range_parameters` on."""
    return _search_arguments(view, None, ["min_score", "limit"])


def _search_arguments(view: SpecView, query: str | None, own: Iterable[str]) -> list[str]:
    names = [*own, *(value.filter_parameter for value in view.filters)]
    return [query or view.helpers.query_parameter, *(f"{name}={name}" for name in names)]


def filter_call(value: ValueView, filters: str) -> str:
    """The statement that adds a condition to the local `filters`."""
    kind = "tag" if value.filter_type == "TagFilter" else "number"
    said = "" if value.said == value.name else f", {quote(value.said)}"
    return f"{filters}.{kind}({quote(value.name)}, {value.filter_parameter}{said})"


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


def parse_name(vector: VectorView, view: SpecView) -> str:
    """The function that reads the results of a search over this field."""
    is_usual = vector.metric == view.vectors[0].metric
    return "parse_hits" if is_usual else f"parse_{vector.metric}_hits"


# What templates call by name.
FILTERS: Final = (
    *(store_parameters, store_arguments, item_call, stored_entries, get_words),
    *(knn_parameters, knn_many_parameters, range_parameters, knn_arguments, range_arguments),
    *(filter_call, about_filter, parse_name),
)
