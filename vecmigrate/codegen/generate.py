"""From specs to the text of a Python package: pure, and the same for the same specs.

__init__.py   what applications import: the asyncio helpers, the types, a few constants
sync.py       the same helpers for blocking clients
_aio.py       the asyncio helpers themselves; one template makes it and `sync.py`
_<spec>.py    for each spec what is pure: the words of its commands, the shape of its replies
_core.py      what all of them share
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from vecmigrate.codegen.layout import WIDTH, assign, call, docstring, prose, quote, signature, words_tuple
from vecmigrate.codegen.tidy import used_of, without_unused, without_unused_imports
from vecmigrate.codegen.view import SpecView, ValueView, VectorView, fresh, module_names, view_of
from vecmigrate.codegen.write import HEADER, check_package, write_package
from vecmigrate.errors import CodegenError
from vecmigrate.spec.model import Field, IndexSpec, VectorField

if TYPE_CHECKING:
    from jinja2 import Environment

_DISTANCE: Final = "vector_distance"


def generate_package(specs: Sequence[IndexSpec], *, package: str) -> dict[str, str]:
    """The package of helpers for `specs`: file name → text, in the order in which a reader may want them.

    Args:
        specs: At least one; their order does not matter.
        package: The package's name, for messages only: its modules import each other relatively.

    Raises:
        CodegenError: There is no spec, or names of two specs clash.
    """
    if not specs:
        raise CodegenError(f"there are no specs to generate {package} from", hint="add one to specs/")
    ordered = sorted(specs, key=lambda spec: spec.name)
    formats = {(spec.vector.dims, spec.vector.datatype, spec.vector.metric) for spec in ordered}
    names = module_names(ordered)
    distance = fresh(_DISTANCE, {item.name for spec in ordered for item in spec.fields})
    views = [
        view_of(spec, module=names[spec.name], shares_vector=len(formats) == 1, distance=distance)
        for spec in ordered
    ]
    shared: dict[str, Any] = {
        "views": views,
        "header": _header(views),
        "modules": ", ".join(sorted(["_core", *names.values()])),
        "blobs": _blobs(views),
        "constants": _constants(views),
        "exports": _exports(views),
        "distance": distance,
    }
    environment = _environment()

    def render(template: str, **values: Any) -> str:
        return environment.get_template(template).render(shared | values)

    functions = ["redisearch_index_doc_count"]
    for view in views:
        functions += view.functions
    core = ["StoreFailure", "StoreReport", "Vector"] + [
        name for name in _blobs(views) if name == "embedding_to_blob"
    ]
    imports = "\n".join(_sorted_imports([_from("._aio", functions), _from("._core", core)], views))
    texts = {
        "__init__.py": render("package.py.j2", imports=imports),
        "sync.py": render("client.py.j2", is_async=False),
        "_aio.py": render("client.py.j2", is_async=True),
    }
    for view in views:
        texts[f"{view.module}.py"] = render("index.py.j2", view=view, header=_header([view]))
    used = used_of("_core", texts.values())
    texts["_core.py"] = without_unused(render("core.py.j2"), used)
    return {name: without_unused_imports(text) for name, text in texts.items()}


def _header(views: Sequence[SpecView]) -> str:
    """The first lines of a file: what it comes from, and that it is not to be edited."""
    if len(views) == 1:
        source, digest = views[0].source, views[0].hash
    else:
        source = f"{len(views)} specs"
        digest = hashlib.sha256("\n".join(view.hash for view in views).encode()).hexdigest()
    return (
        f"{HEADER} from {source}, sha256:\n"
        f"# {digest}\n"
        "# Do not edit: change the spec and run `vecmigrate generate`."
    )


def _blobs(views: Sequence[SpecView]) -> dict[str, str]:
    """The functions that make blobs of vectors: their name in the package → what they are."""
    if views[0].shares_vector:
        return {"embedding_to_blob": "_core.embedding_to_blob"}
    return {f"{view.spec.name}_embedding_to_blob": f"{view.module}.embedding_to_blob" for view in views}


def _constants(views: Sequence[SpecView]) -> dict[str, str]:
    """The constants of the package: their name → what they are."""
    constants = {"VECTOR_DIM": "_core.VECTOR_DIM"} if views[0].shares_vector else {}
    for view in views:
        constants[f"{view.constant}_INDEX"] = f"{view.module}.INDEX"
        constants[f"{view.constant}_PREFIX"] = f"{view.module}.KEY_PREFIX"
        if not view.shares_vector:
            constants[f"{view.constant}_VECTOR_DIM"] = f"{view.module}.VECTOR_DIM"
    return constants


def _exports(views: Sequence[SpecView]) -> list[str]:
    """Everything that the package shows, in the order of `__all__`; no name twice."""
    names = ["redisearch_index_doc_count", "sync", "StoreFailure", "StoreReport", "Vector"]
    names += [*_blobs(views), *_constants(views)]
    for view in views:
        names += [*view.functions, *view.classes]
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise CodegenError(
            f"the package would have {', '.join(twice)} twice (expected names of its own for each spec)",
            hint="give other names under `helpers`",
        )
    return sorted(names, key=_export_order)


def _export_order(name: str) -> tuple[int, str]:
    """Constants, then classes, then functions: how ruff sorts imports and `__all__`."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


def _from(module: str, names: Iterable[str]) -> str:
    line = f"from {module} import {', '.join(ordered := sorted(names, key=_export_order))}"
    return line if len(line) <= WIDTH else call("", ordered, indent=0, before=f"from {module} import ")


def _sorted_imports(imports: Iterable[str], views: Sequence[SpecView]) -> list[str]:
    """These imports and those of the types of each spec, in the order of the modules."""
    types = (_from(f".{view.module}", view.classes) for view in views)
    return sorted([*imports, *types], key=lambda line: line.split()[1])


def _client_imports(views: Sequence[SpecView], redis: str) -> list[str]:
    core = [redis, "Command", "NumericFilter", "StoreReport", "TagFilter", "Vector"]
    blobs = ["embedding_to_blob"] if views[0].shares_vector and redis == "BlockingRedis" else []
    return _sorted_imports([_from("._core", [*core, *blobs])], views)


# What the templates use to print parameters and arguments.


def _store_parameters(view: SpecView) -> list[str]:
    """The parameters of a store helper, after the client."""
    first = [f"{vector.parameter}: Vector" for vector in view.written_vectors if vector.is_first]
    metadata = [f"{view.helpers.metadata_parameter}: Mapping[str, Any]"] if view.takes_metadata else []
    others = [f"{vector.parameter}: Vector" for vector in view.written_vectors if not vector.is_first]
    others += [f"{value.parameter}: {value.parameter_type} = None" for value in view.arguments]
    return [f"{view.spec.key}: str", *first, *metadata, *(["*", *others] if others else [])]


def _store_arguments(view: SpecView, form: str = "{name}") -> list[str]:
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


def _item_call(view: SpecView) -> str:
    """How the arguments of a store helper are taken out of an item."""
    arguments = _store_arguments(view, "item[{key}]")
    if view.is_sparse:
        return call("store_commands", arguments, indent=4, before="return ")
    made = call("store_command", arguments, indent=4, before="return [", after="]")
    return (
        made
        if "\n" not in made
        else call("store_command", arguments, indent=4, before="command = ") + ("\n    return [command]")
    )


def _stored_entries(view: SpecView, field: Field) -> list[str]:
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


def _get_words(view: SpecView) -> str:
    """The tuple of words that asks for a whole hash."""
    paths = [value.path for value in view.written_values] + [item.path for item in view.written_vectors]
    words = [quote("HMGET"), f"KEY_PREFIX + {view.spec.key}", *map(quote, paths)]
    return call("", words, indent=4, before="return ")


def _search_parameters(vector: VectorView, view: SpecView, first: str, own: Sequence[str]) -> list[str]:
    filters = [f"{value.filter_parameter}: {value.filter_type} | None = None" for value in view.filters]
    return [first, "*", *own, *filters]


def _knn_own(vector: VectorView) -> list[str]:
    return ["knn_k: int"] + ([] if vector.ef_runtime is None else [f"ef_runtime: int = {vector.ef_runtime}"])


def _knn_parameters(vector: VectorView, view: SpecView) -> list[str]:
    return _search_parameters(vector, view, f"{view.helpers.query_parameter}: Vector", _knn_own(vector))


def _knn_many_parameters(vector: VectorView, view: SpecView) -> list[str]:
    queries = f"{view.queries_parameter}: Sequence[Vector] | npt.NDArray[Any]"
    return _search_parameters(vector, view, queries, _knn_own(vector))


def _range_parameters(vector: VectorView, view: SpecView) -> list[str]:
    own = ["min_score: float", "limit: int = 100"]
    return _search_parameters(vector, view, f"{view.helpers.query_parameter}: Vector", own)


def _knn_arguments(vector: VectorView, view: SpecView, query: str | None = None) -> list[str]:
    own = ["knn_k"] + ([] if vector.ef_runtime is None else ["ef_runtime"])
    return _search_arguments(view, query, own)


def _range_arguments(vector: VectorView, view: SpecView) -> list[str]:
    return _search_arguments(view, None, ["min_score", "limit"])


def _search_arguments(view: SpecView, query: str | None, own: Iterable[str]) -> list[str]:
    names = [*own, *(value.filter_parameter for value in view.filters)]
    return [query or view.helpers.query_parameter, *(f"{name}={name}" for name in names)]


def _filter_call(value: ValueView, filters: str) -> str:
    kind = "tag" if value.filter_type == "TagFilter" else "number"
    return f"{filters}.{kind}({quote(value.name)}, {value.filter_parameter})"


def _about_filter(value: ValueView) -> str:
    if value.filter_type == "TagFilter":
        return (
            f"{value.filter_parameter}: Only documents with this label in {value.name}, or with one of these."
        )
    return f"{value.filter_parameter}: Only documents whose {value.name} is from the first number to the second, both included; None leaves a side open."


def _parse_name(vector: VectorView, view: SpecView) -> str:
    is_usual = vector.metric == view.vectors[0].metric
    return "parse_hits" if is_usual else f"parse_{vector.metric}_hits"


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415 - slow to import, and only needed here

    environment = Environment(  # noqa: S701 - the templates make Python, in which nothing is escaped as in HTML
        loader=PackageLoader("vecmigrate.codegen", "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals.update(assign=assign, call=call, signature=signature)
    filters: tuple[Callable[..., Any], ...] = (
        *(docstring, prose, quote, words_tuple),
        *(_store_parameters, _store_arguments, _item_call, _stored_entries, _get_words),
        *(_knn_parameters, _knn_many_parameters, _range_parameters, _knn_arguments, _range_arguments),
        *(_filter_call, _about_filter, _parse_name, _client_imports),
    )
    environment.filters.update({item.__name__.lstrip("_"): item for item in filters})
    return environment


__all__ = ["check_package", "generate_package", "write_package"]
