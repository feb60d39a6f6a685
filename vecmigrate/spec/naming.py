"""Names of generated functions and classes: the derived ones, and all that a spec brings into the package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from vecmigrate.spec.defaults import TIMEOUT_MS
from vecmigrate.spec.model import Helpers, IndexSpec
from vecmigrate.spec.plurals import plural_of

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
    "count",
    "list",
    "walk",
    "delete_where",
    "migrate_legacy",
)
# What `generate` may list: those, and the function that makes blobs, which takes no client.
GENERATED: Final = ("to_blob", *ROLES)
# The roles that search one vector field, and so exist once per vector field.
SEARCH_ROLES: Final = ("knn", "knn_many", "range")

# What a spec's own names may not be, because generated code has them already.
PACKAGE_NAMES: Final = frozenset(
    {
        *(
            "annotations",
            "embedding_to_blob",
            "encode_item",
            "read_document",
            "read_hit",
            "redisearch_index_doc_count",
        ),
        *("np", "npt", "redis", "sync", "vecmigrate"),
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
SEARCH_PARAMETERS: Final = ("redis", "knn_k", "ef_runtime", "min_score", "limit", "timeout_ms", "where")
# The keys of a search result that are no fields, and what they hold.
HIT_KEYS: Final = {"score": "similarity", "metadata": "metadata"}

DEFAULT_ON_ERROR: Final = "raise"
DEFAULT_METADATA: Final = "metadata"
DEFAULT_QUERY: Final = "query_embedding"


def camel(name: str) -> str:
    """`dangerous_cmd` as `DangerousCmd`."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def key_stem(name: str, key: str) -> str:
    """What lists of keys are called, in the singular: `tool_name`, `dangerous_cmd_category_id`."""
    return key if key.startswith(f"{name}_") else f"{name}_{key}"


def derived_functions(name: str, key: str, plural: str) -> dict[str, str]:
    """The function name of each role (all but the optional ones) where a spec gives none."""
    keys = plural_of(key_stem(name, key))
    return {
        "store": f"store_{name}",
        "store_many": f"store_many_{plural}",
        "get": f"get_{name}",
        "delete": f"delete_{name}",
        "delete_many": f"delete_many_{plural}",
        "knn": f"knn_search_{plural}",
        "knn_many": f"knn_many_{plural}",
        "range": f"range_search_{plural}",
        "scan": f"scan_{keys}",
        "iterate": f"iter_{keys}",
        "count": f"count_{plural}",
        "list": f"list_{plural}",
        "walk": f"iter_{plural}",
        "delete_where": f"delete_{plural}_where",
    }


def derived_to_blob(name: str) -> str:
    """What the function that makes blobs is called where a spec gives no name."""
    return f"{name}_embedding_to_blob"


def resolve_helpers(name: str, key: str, primary: str, given: Mapping[str, Any]) -> Helpers:
    """The complete helpers of a spec, from what its `helpers` mapping gives and the derived names."""
    plural = given.get("plural", plural_of(name))
    functions = derived_functions(name, key, plural)
    for role in ROLES:
        named = given.get(role, {}).get("name")
        if named is not None:
            functions[role] = named
    store, knn = given.get("store", {}), given.get("knn", {})
    hit_class, item_class, document_class, fields_class = class_names(name)
    return Helpers(
        on_error=given.get("on_error", DEFAULT_ON_ERROR),
        timeout_ms=given.get("timeout_ms", TIMEOUT_MS),
        generate=tuple(role for role in GENERATED if role in given.get("generate", GENERATED)),
        constant=given.get("constant"),
        to_blob=given.get("to_blob", {}).get("name", derived_to_blob(name)),
        dims_constant=given.get("to_blob", {}).get("dims"),
        vector_parameter=store.get("vector", primary),
        metadata_parameter=store.get("metadata", DEFAULT_METADATA),
        query_parameter=knn.get("query", DEFAULT_QUERY),
        hit_class=hit_class,
        item_class=item_class,
        document_class=document_class,
        fields_class=fields_class,
        **functions,
    )


def helpers_to_mapping(spec: IndexSpec) -> dict[str, Any]:
    """The `helpers` mapping that says `spec.helpers`, without what would be derived anyway."""
    helpers = spec.helpers
    # The model keeps no plural; the name of the KNN helper shows the one that was used, if any was.
    shown = helpers.knn.removeprefix("knn_search_")
    candidates = [_overrides(spec, plural) for plural in (plural_of(spec.name), shown)]
    mapping = min(candidates, key=len)
    options: dict[str, Any] = {}
    if helpers.on_error != DEFAULT_ON_ERROR:
        options["on_error"] = helpers.on_error
    if helpers.timeout_ms != TIMEOUT_MS:
        options["timeout_ms"] = helpers.timeout_ms
    if helpers.generate != GENERATED:
        options["generate"] = list(helpers.generate)
    if helpers.constant is not None:
        options["constant"] = helpers.constant
    mapping = options | mapping
    if helpers.to_blob != derived_to_blob(spec.name):
        mapping.setdefault("to_blob", {})["name"] = helpers.to_blob
    if helpers.dims_constant is not None:
        mapping.setdefault("to_blob", {})["dims"] = helpers.dims_constant
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
    mapping: dict[str, Any] = {} if plural == plural_of(spec.name) else {"plural": plural}
    for role in ROLES:
        name = getattr(spec.helpers, role)
        if name is not None and name != derived.get(role):
            mapping[role] = {"name": name}
    return mapping


def function_names(helpers: Helpers, vectors: Sequence[str]) -> dict[str, str]:
    """Every generated function of a spec with these helpers and vector fields, the primary one first.

    The result is role → name. Roles that the spec does not want generated are left out.

    Each vector field after the first adds its own searches, under the roles `knn:<field>`,
    `knn_many:<field>` and `range:<field>` and the names `<knn>_by_<field>` and so on.
    """
    names: dict[str, str] = {}
    for role in ROLES:
        name = getattr(helpers, role)
        if name is not None and role in helpers.generate:
            names[role] = name
    for vector in vectors[1:]:
        for role in SEARCH_ROLES:
            if role in names:
                names[f"{role}:{vector}"] = f"{names[role]}_by_{vector}"
    return names


def class_names(name: str) -> tuple[str, str, str, str]:
    """The generated classes of the spec `name`: a hit, an item, a document, the fields of conditions."""
    stem = camel(name)
    return (f"{stem}Hit", f"{stem}Item", f"{stem}Document", f"{stem}Fields")
