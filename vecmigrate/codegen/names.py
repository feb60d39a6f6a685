"""Names in a generated package that cannot clash, and where its files say they come from."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

from vecmigrate.codegen.layout import prose
from vecmigrate.spec.build import spec_to_mapping
from vecmigrate.spec.model import IndexSpec

# What the bodies of generated functions use, beside their parameters. A parameter of such a name gets an
# underscore behind it.
BODY_NAMES: Final = frozenset(
    {"redis", "_core", "INDEX", "SPEC", "encode_item", "read_document", "read_hit", "vecmigrate"}
)
SEARCH_PARAMETERS: Final = frozenset(
    {"knn_k", "ef_runtime", "min_score", "limit", "timeout_ms", "batch_size", "where"}
)
# The modules of a package that are no spec's.
_SHARED_MODULES: Final = frozenset({"_core"})


def free(name: str, taken: Collection[str]) -> str:
    """`name`, with underscores behind it where it is `taken`, or could become a name that is.

    Different names stay different whatever else is made free: every name that is one of `taken` but for
    underscores at its end gets as many more as the longest of those has, and one.
    """
    stem = name.rstrip("_")
    longest = max((len(other) for other in taken if other.rstrip("_") == stem), default=None)
    return name if longest is None else name + "_" * (longest - len(stem) + 1)


def module_name(spec: IndexSpec) -> str:
    """The name of a spec's module, whatever other specs there are: `tool` → `_tool`, `core` → `_core_`."""
    return free(f"_{spec.name}", _SHARED_MODULES)


def constant_of(spec: IndexSpec) -> str:
    """What names of constants about a spec begin with: `TOOL_EMB` for the prefix `tool_emb:` of `tool`."""
    if spec.helpers.constant is not None:
        return spec.helpers.constant
    stem = re.sub(r"[^a-z0-9]$", "", spec.prefix)
    begins = stem == spec.name or stem.startswith(f"{spec.name}_")
    return (stem if begins and re.fullmatch("[a-z0-9_]+", stem) else spec.name).upper()


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
