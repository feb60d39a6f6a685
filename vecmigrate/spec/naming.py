"""Names of generated functions and classes: the derived ones, and all that a spec brings into the package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

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
# Roles whose functions exist only where the spec asks for them.
OPTIONAL_ROLES: Final = ("migrate_legacy",)

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


def resolve_helpers(name: str, key: str, first_vector: str, given: Mapping[str, Any]) -> Helpers:
    """The complete helpers of a spec, from what its `helpers` mapping gives and the derived names."""
    plural = given.get("plural", f"{name}s")
    functions = derived_functions(name, key, plural)
    for role in ROLES:
        named = given.get(role, {}).get("name")
        if named is not None:
            functions[role] = named
    store, knn = given.get("store", {}), given.get("knn", {})
    return Helpers(
        on_error=given.get("on_error", DEFAULT_ON_ERROR),
        vector_parameter=store.get("vector", first_vector),
        metadata_parameter=store.get("metadata", DEFAULT_METADATA),
        query_parameter=knn.get("query", DEFAULT_QUERY),
        hit_class=f"{camel(name)}Hit",
        item_class=f"{camel(name)}Item",
        document_class=f"{camel(name)}Document",
        **functions,
    )


def helpers_to_mapping(spec: IndexSpec) -> dict[str, Any]:
    """The `helpers` mapping that says `spec.helpers`, without what would be derived anyway."""
    helpers = spec.helpers
    # The model keeps no plural; the name of the KNN helper shows the one that was used, if any was.
    shown = helpers.knn.removeprefix("knn_search_")
    candidates = [_overrides(spec, plural) for plural in (f"{spec.name}s", shown)]
    mapping = min(candidates, key=len)
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


def function_names(spec: IndexSpec) -> dict[str, str]:
    """Every generated function of a spec: role → name.

    Each vector field after the first adds its own searches, under the roles `knn:<field>`,
    `knn_many:<field>` and `range:<field>` and the names `<knn>_by_<field>` and so on.
    """
    names: dict[str, str] = {}
    for role in ROLES:
        name = getattr(spec.helpers, role)
        if name is not None:
            names[role] = name
    for vector in spec.vectors[1:]:
        for role in SEARCH_ROLES:
            names[f"{role}:{vector.name}"] = f"{names[role]}_by_{vector.name}"
    return names


def class_names(spec: IndexSpec) -> tuple[str, ...]:
    """Every generated class of a spec."""
    return (spec.helpers.hit_class, spec.helpers.item_class, spec.helpers.document_class)
