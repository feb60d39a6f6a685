"""Leave out of generated text the imports that it does not need.

A template imports everything that some spec may need, and what a spec does not use goes.
"""

from __future__ import annotations

import ast
from collections.abc import Collection

from vecmigrate.codegen.layout import call


def without_unused_imports(source: str) -> str:
    """`source` without imports of names that it does not use, and with the others laid out anew."""
    tree = ast.parse(source)
    used = _names(*(node for node in tree.body if not isinstance(node, ast.Import | ast.ImportFrom)))
    lines = source.splitlines(keepends=True)
    kept: list[str] = []
    end = 0
    above = ""  # what stands above the imports that were left out since the last that was not
    for node in tree.body:
        start, end = end, node.end_lineno or node.lineno
        if not isinstance(node, ast.Import | ast.ImportFrom):
            kept += lines[start:end]
            continue
        above += "".join(lines[start : node.lineno - 1])
        aliases = [alias for alias in node.names if _is_used(node, alias, used)]
        if aliases:
            kept += [above if above.strip() else above[:1], _import(node, aliases) + "\n"]
            above = ""
    return "".join(kept)


def _is_used(node: ast.Import | ast.ImportFrom, alias: ast.alias, used: Collection[str]) -> bool:
    if isinstance(node, ast.ImportFrom) and node.module == "__future__":
        return True
    return (alias.asname or alias.name) in used


def _import(node: ast.Import | ast.ImportFrom, aliases: list[ast.alias]) -> str:
    names = [f"{alias.name} as {alias.asname}" if alias.asname else alias.name for alias in aliases]
    if isinstance(node, ast.Import):
        return f"import {', '.join(names)}"
    head = f"from {'.' * node.level}{node.module or ''} import "
    line = head + ", ".join(names)
    return line if len(line) <= 88 else call("", names, indent=0, before=head)


def _is_all(node: ast.Assign) -> bool:
    return [target.id for target in node.targets if isinstance(target, ast.Name)] == ["__all__"]


def _names(*nodes: ast.AST) -> set[str]:
    """Every name that is read anywhere in `nodes` and not a parameter there, and what an `__all__` lists."""
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            arguments = node.args
            named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
            outside = [arguments, *getattr(node, "decorator_list", ()), getattr(node, "returns", None)]
            body = node.body if isinstance(node.body, list) else [node.body]
            names |= _names(*body) - {argument.arg for argument in named}
            names |= _names(*(part for part in outside if part is not None))
            continue
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            names.add(node.id)
        if isinstance(node, ast.Assign) and _is_all(node):
            names.update(
                inner.value
                for inner in ast.walk(node.value)
                if isinstance(inner, ast.Constant) and isinstance(inner.value, str)
            )
        names |= _names(*ast.iter_child_nodes(node))
    return names
