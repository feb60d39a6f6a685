"""Names of generated functions and classes: the derived ones, and all that a spec brings into the package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from vecmigrate.spec.defaults import TIMEOUT_MS
from vecmigrate.spec.model import Helpers, IndexSpec

# The roles of generated functions, in the order in which they are generated and documented.
ROLES: Final = (
    "store",
    "store_many",
    "get",
    "delete",
    "delete_many",
    "knn",
    "knn_many",
    "range",
    "scan",
    "iterate",
    "migrate_legacy",
)
# The roles that search one vector field, and so exist once per vector field.
SEARCH_ROLES: Final = ("knn", "knn_many", "range")

# What a spec's own names may not be, because generated code has them already.
PACKAGE_NAMES: Final = frozenset(
    {
        "embedding_to_blob",
        "redisearch_index_doc_count",
        "annotations",
        "json",
        "logger",
        "logging",
        "np",
        "npt",
        "numpy",
        "redis",
        "sync",
    }
)
# Builtins that generated functions call, and that no field or parameter may hide. Others, such as `id` and
# `type`, are common names of fields and stay allowed.
SHADOWING: Final = frozenset(
    {
        *("bool", "bytes", "dict", "float", "int", "list", "set", "str", "tuple"),
        *("enumerate", "isinstance", "iter", "len", "max", "min", "next", "range", "repr", "sorted", "zip"),
    }
)
STORE_PARAMETERS: Final = ("redis",)
SEARCH_PARAMETERS: Final = ("redis", "knn_k", "ef_runtime", "min_score", "limit", "timeout_ms")
# The keys of a search result that are no fields, and what they hold.
HIT_KEYS: Final = {"score": "similarity", "metadata": "metadata"}

DEFAULT_ON_ERROR: Final = "raise"
DEFAULT_METADATA: Final = "metadata"
DEFAULT_QUERY: Final = "query_embedding"


def camel(name: str) -> str:
    """`dangerous_cmd` as `DangerousCmd`."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def key_stem(name: str, key: str) -> str:
    """What a list of keys is called, without the plural's s: `tool_name`, `dangerous_cmd_category_id`."""
    return key if key.startswith(f"{name}_") else f"{name}_{key}"


def derived_functions(name: str, key: str, plural: str) -> dict[str, str]:
    """The function name of each role (all but the optional ones) where a spec gives none."""
    stem = key_stem(name, key)
    return {
        "store": f"store_{name}",
        "store_many": f"store_many_{plural}",
        "get": f"get_{name}",
        "delete": f"delete_{name}",
        "delete_many": f"delete_many_{plural}",
        "knn": f"knn_search_{plural}",
        "knn_many": f"knn_many_{plural}",
        "range": f"range_search_{plural}",
        "scan": f"scan_{stem}s",
        "iterate": f"iter_{stem}s",
    }


def resolve_helpers(name: str, key: str, primary: str, given: Mapping[str, Any]) -> Helpers:
    """The complete helpers of a spec, from what its `helpers` mapping gives and the derived names."""
    plural = given.get("plural", f"{name}s")
    functions = derived_functions(name, key, plural)
    for role in ROLES:
        named = given.get(role, {}).get("name")
        if named is not None:
            functions[role] = named
    store, knn = given.get("store", {}), given.get("knn", {})
    hit_class, item_class, document_class = class_names(name)
    return Helpers(
        on_error=given.get("on_error", DEFAULT_ON_ERROR),
        timeout_ms=given.get("timeout_ms", TIMEOUT_MS),
        vector_parameter=store.get("vector", primary),
        metadata_parameter=store.get("metadata", DEFAULT_METADATA),
        query_parameter=knn.get("query", DEFAULT_QUERY),
        hit_class=hit_class,
        item_class=item_class,
        document_class=document_class,
        **functions,
    )


def helpers_to_mapping(spec: IndexSpec) -> dict[str, Any]:
    """The `helpers` mapping that says `spec.helpers`, without what would be derived anyway."""
    helpers = spec.helpers
    # The model keeps no plural; the name of the KNN helper shows the one that was used, if any was.
    shown = helpers.knn.removeprefix("knn_search_")
    candidates = [_overrides(spec, plural) for plural in (f"{spec.name}s", shown)]
    mapping = min(candidates, key=len)
    if helpers.timeout_ms != TIMEOUT_MS:
        mapping = {"timeout_ms": helpers.timeout_ms, **mapping}
    if helpers.on_error != DEFAULT_ON_ERROR:
        mapping = {"on_error": helpers.on_error, **mapping}
    for role, key, value, default in (
        ("store", "vector", helpers.vector_parameter, spec.vector.name),
        ("store", "metadata", helpers.metadata_parameter, DEFAULT_METADATA),
        ("knn", "query", helpers.query_parameter, DEFAULT_QUERY),
    ):
        if value != default:
            mapping.setdefault(role, {})[key] = value
    return mapping


def _overrides(spec: IndexSpec, plural: str) -> dict[str, Any]:
    derived = derived_functions(spec.name, spec.key, plural)
    mapping: dict[str, Any] = {} if plural == f"{spec.name}s" else {"plural": plural}
    for role in ROLES:
        name = getattr(spec.helpers, role)
        if name is not None and name != derived.get(role):
            mapping[role] = {"name": name}
    return mapping


def function_names(helpers: Helpers, vectors: Sequence[str]) -> dict[str, str]:
    """Every generated function of a spec with these helpers and vector fields, the primary one first.

    The result is role → name. Each vector field after the first adds its own searches, under the roles `knn:<field>`,
    `knn_many:<field>` and `range:<field>` and the names `<knn>_by_<field>` and so on.
    """
    names: dict[str, str] = {}
    for role in ROLES:
        name = getattr(helpers, role)
        if name is not None:
            names[role] = name
    for vector in vectors[1:]:
        for role in SEARCH_ROLES:
            names[f"{role}:{vector}"] = f"{names[role]}_by_{vector}"
    return names


def class_names(name: str) -> tuple[str, str, str]:
    """The generated classes of the spec `name`: a search result, an item to store, a stored document."""
    stem = camel(name)
    return (f"{stem}Hit", f"{stem}Item", f"{stem}Document")
