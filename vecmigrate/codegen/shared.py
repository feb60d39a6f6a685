"""The modules of `vecmigrate.helpers` as one: what every generated package carries."""

from __future__ import annotations

import ast
from importlib import resources
from typing import Final

from vecmigrate.codegen.layout import from_import

_PACKAGE: Final = "vecmigrate.helpers"
# In the order of their layers.
_MODULES: Final = (
    *("common", "vectors", "values", "where", "fields", "queries", "replies", "index", "searches", "run"),
    "finding",
)
_THIRD_PARTY: Final = ("numpy", "redis")


def shared_source() -> str:
    """Imports and definitions of all modules, each text as it stands, but for imports among themselves."""
    imports: dict[str, dict[str, None]] = {}
    plain: dict[str, None] = {}
    bodies = []
    for name in _MODULES:
        source = resources.files(_PACKAGE).joinpath(f"{name}.py").read_text()
        bodies.append(_body(source, imports, plain))
    return _imports(imports, plain) + "\n" + "\n\n".join(bodies)


def _imports(imports: dict[str, dict[str, None]], plain: dict[str, None]) -> str:
    """The imports as ruff sorts them: the standard library, then numpy and redis."""
    lines = [(name, f"import {name}") for name in plain]
    lines += [(name, from_import(name, names)) for name, names in imports.items()]
    lines.sort(key=lambda line: (line[1].startswith("from"), line[0]))
    third_party = [text for name, text in lines if name.startswith(_THIRD_PARTY)]
    standard = [text for _, text in lines if text not in third_party]
    groups = (["from __future__ import annotations"], standard, third_party)
    return "\n\n".join("\n".join(group) for group in groups) + "\n"


def _body(source: str, imports: dict[str, dict[str, None]], plain: dict[str, None]) -> str:
    """The text below the imports, which are entered into `imports` and `plain`."""
    lines = source.splitlines(keepends=True)
    end = 0
    for node in ast.parse(source).body:
        if isinstance(node, ast.Import):
            for alias in node.names:
                plain[_as_written(alias)] = None
        elif isinstance(node, ast.ImportFrom):
            if node.module != "__future__" and not (node.module or "").startswith(_PACKAGE):
                imports.setdefault(node.module or "", {}).update(dict.fromkeys(map(_as_written, node.names)))
        elif not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            break
        end = node.end_lineno or node.lineno
    return "".join(lines[end:]).strip("\n") + "\n"


def _as_written(alias: ast.alias) -> str:
    return f"{alias.name} as {alias.asname}" if alias.asname else alias.name
