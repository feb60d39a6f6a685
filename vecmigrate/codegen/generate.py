"""From specs to the text of a Python package: pure, and the same for the same specs.

The files of a package:

    __init__.py        what applications import: the asyncio helpers, the types, a few constants
    _<spec>.py         one spec: its types, what is stored and read, its helpers for asyncio
    sync/__init__.py   the same helpers for blocking clients
    sync/_<spec>.py    those of one spec
    _core.py           `vecmigrate.helpers`, as it stands: what all of them share

A spec has a say in the files that bear its name only, but for its public names, which are listed in both
`__init__.py`. So a change of a spec is a change of its own files, and branches that change different specs
can be merged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from vecmigrate import __version__
from vecmigrate.codegen import parameters
from vecmigrate.codegen.layout import (
    assign,
    call,
    compact_json,
    docstring,
    export_order,
    from_import,
    natural,
    prose,
    quote,
    signature,
)
from vecmigrate.codegen.shared import shared_source
from vecmigrate.codegen.tidy import without_unused_imports
from vecmigrate.codegen.view import SpecView, view_of
from vecmigrate.codegen.write import HEADER, check_package, write_package
from vecmigrate.errors import CodegenError
from vecmigrate.spec.model import IndexSpec

if TYPE_CHECKING:
    from jinja2 import Environment

# What the shared module gives to applications.
_SHARED_TYPES: Final = ("SearchTimeout", "SearchWarning", "StoreFailure", "StoreReport", "Vector", "Where")
# What the modules of specs may take from it, beside the type of the client.
_TYPES: Final = (
    *("Command", "Field", "Geo", "GeoShape", "Items", "Numeric", "NumericFilter", "StoreReport"),
    *("Tag", "TagFilter", "Text", "Vector", "Vectors", "Where"),
)
_COUNT: Final = "redisearch_index_doc_count"
_DO_NOT_EDIT: Final = "# Do not edit: change the spec and run `vecmigrate generate`."


def generate_package(specs: Sequence[IndexSpec], *, package: str) -> dict[str, str]:
    """The package of helpers for `specs`: path in the package → text.

    Args:
        specs: At least one; their order does not matter.
        package: The package's name, for messages only: its modules import each other relatively.

    Raises:
        CodegenError: There is no spec, or names of two specs clash.
    """
    if not specs:
        raise CodegenError(f"there are no specs to generate {package} from", hint="add one to specs/")
    views = [view_of(spec) for spec in sorted(specs, key=lambda spec: spec.name)]
    environment = _environment()

    def render(template: str, **values: Any) -> str:
        return environment.get_template(template).render(values)

    blocking = {
        ".._core": (f"{_COUNT}_blocking as {_COUNT}", "StoreReport"),
        **{f"..{view.module}": (*view.classes, *_blob(view)) for view in views},
        **{f".{view.module}": _functions(view) for view in views},
    }
    asynchronous = {
        ".": ("sync",),
        "._core": (_COUNT, *_SHARED_TYPES),
        **{
            f".{view.module}": (*view.constants, *view.classes, *_blob(view), *_functions(view))
            for view in views
        },
    }
    texts = {}
    for name, shown in (("__init__.py", asynchronous), ("sync/__init__.py", blocking)):
        texts[name] = render(
            "package.py.j2",
            header=_header(),
            is_async=shown is asynchronous,
            imports=_imports(shown),
            exports=_exports(shown),
        )
    texts["_core.py"] = render("core.py.j2", header=_header(), shared=shared_source())
    for view in views:
        values = {"view": view, "header": _header(view)}
        imports = _imports({"._core": ("AsyncRedis", *_TYPES)})
        texts[f"{view.module}.py"] = render("index.py.j2", is_async=True, imports=imports, **values)
        from_module = ["INDEX", "SPEC", *view.classes, "encode_item", "read_document", "read_hit"]
        imports = _imports(
            {"..": ["_core"], ".._core": ("BlockingRedis", *_TYPES), f"..{view.module}": from_module}
        )
        texts[f"sync/{view.module}.py"] = render("twin.py.j2", is_async=False, imports=imports, **values)
    return {name: without_unused_imports(text) for name, text in texts.items()}


def _header(view: SpecView | None = None) -> str:
    """The first lines of a file: what it comes from, and that it is not to be edited."""
    if view is None:
        return f"{HEADER} {__version__}.\n{_DO_NOT_EDIT}"
    return f"{HEADER} {__version__} from {view.source}, sha256:\n# {view.hash}\n{_DO_NOT_EDIT}"


def _blob(view: SpecView) -> tuple[str, ...]:
    """The function that makes blobs, which needs no client and has no twin."""
    return (view.roles["to_blob"],) if "to_blob" in view.roles else ()


def _functions(view: SpecView) -> tuple[str, ...]:
    """The functions that take a client."""
    return tuple(name for role, name in view.roles.items() if role != "to_blob")


def _exports(imports: Mapping[str, Iterable[str]]) -> list[str]:
    """Everything that a package shows, in the order of `__all__`; no name twice."""
    names = [name.rpartition(" ")[2] for found in imports.values() for name in found]
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise CodegenError(
            f"the package would have {', '.join(twice)} twice (expected names of its own for each spec)",
            hint="give other names under `helpers`",
        )
    return sorted(names, key=export_order)


def _imports(imports: Mapping[str, Iterable[str]]) -> str:
    """Import statements in the order of the modules; several names stand on a line each."""
    return "\n".join(
        from_import(module, names) for module, names in sorted(imports.items(), key=_by_module) if names
    )


def _by_module(item: tuple[str, object]) -> tuple[int, list[str | int]]:
    """The outer modules first, as ruff has them; numbers in names by their size."""
    module = item[0].lstrip(".")
    return len(module) - len(item[0]), natural(module)


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
    own = (compact_json, docstring, prose, quote)
    filters: tuple[Callable[..., Any], ...] = (*own, *parameters.FILTERS)
    environment.filters.update({item.__name__.lstrip("_"): item for item in filters})
    return environment


__all__ = ["check_package", "generate_package", "write_package"]
