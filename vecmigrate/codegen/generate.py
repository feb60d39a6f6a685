"""From specs to the text of a Python package: pure, and the same for the same specs.

The files of a package:

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

from vecmigrate.codegen import parameters
from vecmigrate.codegen.layout import WIDTH, assign, call, docstring, prose, quote, signature, words_tuple
from vecmigrate.codegen.names import module_names
from vecmigrate.codegen.shared import shared_source
from vecmigrate.codegen.tidy import used_of, without_unused, without_unused_imports
from vecmigrate.codegen.view import SpecView, view_of
from vecmigrate.codegen.write import HEADER, check_package, write_package
from vecmigrate.errors import CodegenError
from vecmigrate.spec.model import IndexSpec

if TYPE_CHECKING:
    from jinja2 import Environment

# As `vecmigrate.helpers.queries` has it, which takes numpy to import. No field can have this name.
DISTANCE: Final = "__distance"


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
    views = [
        view_of(spec, module=names[spec.name], shares_vector=len(formats) == 1, distance=DISTANCE)
        for spec in ordered
    ]
    shared: dict[str, Any] = {
        "views": views,
        "header": _header(views),
        "modules": ", ".join(sorted(["_core", *names.values()])),
        "blobs": _blobs(views),
        "constants": _constants(views),
        "exports": _exports(views),
        "distance": DISTANCE,
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
    texts["_core.py"] = without_unused(render("core.py.j2", shared=shared_source()), used)
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


def _environment() -> Environment:
    # Imported here, since it takes time and most commands do not generate anything.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(  # noqa: S701 - the templates make Python, in which nothing is escaped as in HTML
        loader=PackageLoader("vecmigrate.codegen", "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals.update(assign=assign, call=call, signature=signature)
    own = (docstring, prose, quote, words_tuple, _client_imports)
    filters: tuple[Callable[..., Any], ...] = (*own, *parameters.FILTERS)
    environment.filters.update({item.__name__.lstrip("_"): item for item in filters})
    return environment


__all__ = ["check_package", "generate_package", "write_package"]
