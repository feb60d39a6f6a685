"""Names in a generated package that cannot clash, and where its files say they come from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

from vecmigrate.codegen.layout import prose
from vecmigrate.spec.build import spec_to_mapping
from vecmigrate.spec.model import IndexSpec

# Names at the top of generated modules. A parameter of such a name gets an underscore behind it.
MODULE_NAMES: Final = frozenset(
    {
        *("importlib", "itertools", "json", "logging", "logger", "np", "npt", "redis"),
        *("Any", "Final", "NotRequired", "TypedDict", "Mapping", "Sequence", "Iterable", "Iterator"),
        *("AsyncIterable", "AsyncIterator", "AsyncRedis", "BlockingRedis", "RedisError", "NEVER_DECODE"),
        *("Command", "NumericFilter", "StoreReport", "TagFilter", "Vector", "_core", "_each", "_pipelined"),
        *("INDEX", "KEY_PREFIX", "KEY_PREFIXES", "KEY_PATTERN", "SPEC", "VECTOR_DIM"),
        *("_FIELDS", "_PATHS", "_RETURNED", "store_command", "store_commands"),
    }
)
SEARCH_PARAMETERS: Final = frozenset({"knn_k", "ef_runtime", "min_score", "limit"})


def fresh(name: str, taken: Collection[str]) -> str:
    """`name`, followed by as many underscores as it takes not to be among `taken`."""
    while name in taken:
        name += "_"
    return name


def module_names(specs: Sequence[IndexSpec]) -> dict[str, str]:
    """The name of each spec's module, from the name of the spec: `tool` → `_tool`."""
    taken = {"_core", "_aio"}
    names: dict[str, str] = {}
    for spec in specs:
        names[spec.name] = fresh(f"_{spec.name}", taken)
        taken.add(names[spec.name])
    return names


def listed(names: Sequence[str]) -> str:
    """Names as a sentence has them: `a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def spec_hash(spec: IndexSpec) -> str:
    """SHA-256 of the canonical mapping, in hexadecimal: comments and layout of a spec do not matter."""
    mapping = json.dumps(spec_to_mapping(spec), sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(mapping.encode()).hexdigest()


def spec_source(spec: IndexSpec) -> str:
    """Where the spec stands, for headers: the name of the file and of its folder, `specs/tool.yaml`."""
    if spec.location is None:
        return f"the spec {spec.name}"
    return prose("/".join(Path(spec.location.file).absolute().parts[-2:]))
