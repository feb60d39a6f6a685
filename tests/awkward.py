"""Names that generated code uses itself, and specs that use them for everything that a spec names."""

from __future__ import annotations

import ast
import keyword
from collections.abc import Mapping
from functools import cache
from typing import Any

from tests.generated import a_spec
from vecmigrate.codegen.generate import generate_package
from vecmigrate.errors import SpecError
from vecmigrate.spec.build import spec_from_mapping
from vecmigrate.spec.model import IndexSpec

# Beside what stands in generated code: what vectors, modules and attributes are often called.
_OTHERS = (
    *("score", "metadata", "item", "items", "key", "fields", "vectors", "search", "searches", "vec", "limit"),
    *("embedding_to_blob", "VECTOR_DIM", "KEY_PREFIX", "pipelined", "each", "importlib", "logger", "redis"),
    *(
        "class",
        "from",
        "None",
        "list",
        "dict",
        "type",
        "set",
        "str",
        "id",
        "filter",
        "print",
        "property",
        "min",
    ),
    *("__init__", "__name__", "__all__", "sync", "core", "main", "match", "case", "type", "self", "cls"),
)
_DEFINITION = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@cache
def generated_names() -> tuple[str, ...]:
    """Every name in any scope of a rich package, and keywords and builtins of Python, sorted."""
    fields: dict[str, Any] = {
        f"{source}_{kind}": {"type": kind, "from": source}
        for kind in ("text", "tag", "numeric", "geo")
        for source in ("metadata", "argument")
    }
    fields |= {"meta_json": {"type": "json"}, "embedding": {"type": "vector", "dims": 2}}
    fields |= {"image": {"type": "vector", "dims": 3, "metric": "l2"}}
    helpers = {"migrate_legacy": {"name": "migrate_items"}}
    specs = [
        a_spec("item", helpers=helpers, **fields),
        a_spec("paper", storage="json", meta={"type": "json"}),
    ]
    names: set[str] = {*_OTHERS, *keyword.softkwlist}
    files = generate_package(specs, package="p")
    # What is within the shared module is out of reach of a spec's names, but for what it defines.
    names.update(node.name for node in ast.parse(files.pop("_core.py")).body if isinstance(node, _DEFINITION))
    for text in files.values():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Name):
                names.add(node.id)
            elif isinstance(node, ast.arg):
                names.add(node.arg)
            elif isinstance(node, ast.Attribute):
                names.add(node.attr)
            elif isinstance(node, _DEFINITION):
                names.add(node.name)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                names.update(part for alias in node.names for part in (alias.name, alias.asname or ""))
                names.add(getattr(node, "module", None) or "")
    return tuple(sorted(name for name in names if name.isidentifier()))


# The uses of a name that a spec may have once.
SINGLE = (
    "name",
    "key",
    "vector",
    "second",
    "vector_parameter",
    "metadata_parameter",
    "query_parameter",
    "get",
)


def mapping(number: int, names: Mapping[str, str]) -> dict[str, Any]:
    """A spec that uses these names, by their use, and names of its own for all else."""
    own = {use: f"{use}_{number}" for use in SINGLE} | names
    vector = {"type": "vector", "dims": 2, "algorithm": "flat"}
    return {
        "version": 1,
        "name": own["name"],
        "index": {"name": f"idx:{number}", "prefix": f"item_{number}:"},
        "key": own["key"],
        "fields": {
            "meta_json": {"type": "json"},
            "colour": {"type": "tag"},
            own["vector"]: vector,
            own["second"]: vector,
        },
        "helpers": {
            "constant": f"ITEM_{number}",
            "plural": f"items_{number}",
            **{role: {"name": f"{role}_{number}"} for role in ("delete", "scan", "iterate", "to_blob")},
            "store": {
                "name": f"store_{number}",
                "vector": own["vector_parameter"],
                "metadata": own["metadata_parameter"],
            },
            "knn": {"query": own["query_parameter"]},
            "get": {"name": own["get"]},
        },
    }


def is_accepted(candidate: dict[str, Any]) -> bool:
    """Whether `validate` takes a spec."""
    try:
        spec_from_mapping(candidate)
    except SpecError:
        return False
    return True


@cache
def specs_with_every_name() -> list[IndexSpec]:
    """For each name and use a spec that uses it, as far as it is accepted; several uses share a spec."""
    names = generated_names()
    found: dict[str, IndexSpec] = {}
    for number, _ in enumerate(names):
        taken: dict[str, str] = {}
        for shift, use in enumerate(SINGLE):
            more = {**taken, use: names[(number + 17 * shift) % len(names)]}
            if is_accepted(mapping(number, more)):
                taken = more
        spec = spec_from_mapping(mapping(number, taken))
        # Names whose classes would be called alike are refused where specs are checked together.
        found.setdefault(spec.helpers.hit_class, spec)
    return list(found.values())


def specs_with_all_fields() -> list[IndexSpec]:
    """Specs whose fields have all the names that are accepted, from each source and of several types."""
    kinds = ("tag", "numeric", "text")
    specs = {
        source: mapping(number, {}) for number, source in enumerate(("metadata", "argument"), start=1000)
    }
    for place, name in enumerate(generated_names()):
        for source, spec in specs.items():
            field = {name: {"type": kinds[place % len(kinds)], "from": source}}
            if is_accepted({**mapping(0, {}), "fields": mapping(0, {})["fields"] | field}):
                spec["fields"] |= field
    return [spec_from_mapping(spec) for spec in specs.values()]
