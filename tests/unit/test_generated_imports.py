"""Generated code stands alone: services that import it need redis and numpy, not vecmigrate."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "examples" / "classifiers" / "redis_vector_index"
ALLOWED = {"redis", "numpy"}


def imports(source: str, *, within_functions: bool) -> Iterator[str]:
    """Top-level names of the absolute imports in `source`, of those within functions or of the others."""
    pending: list[tuple[ast.AST, bool]] = [(ast.parse(source), False)]
    while pending:
        node, inside = pending.pop()
        if inside == within_functions:
            if isinstance(node, ast.Import):
                yield from (alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                yield str(node.module).partition(".")[0]
        deeper = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        pending += [(child, deeper) for child in ast.iter_child_nodes(node)]


def test_how_imports_are_found():
    source = "import a.b\nfrom c.d import e\nfrom . import f\nif 1:\n  import g\ndef h():\n  import i\n"
    assert set(imports(source, within_functions=False)) == {"a", "c", "g"}
    assert set(imports(source, within_functions=True)) == {"i"}


FILES = sorted(PACKAGE.rglob("*.py"))


def test_the_package_is_there():
    assert PACKAGE / "__init__.py" in FILES
    assert PACKAGE / "sync.py" in FILES or PACKAGE / "sync" / "__init__.py" in FILES


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_a_generated_file_imports_redis_and_numpy_only(file: Path):
    source = file.read_text()
    foreign = set(imports(source, within_functions=False)) - sys.stdlib_module_names
    assert foreign <= ALLOWED
    # migrate_legacy_… runs the migration engine, which is wanted only by those who call it.
    foreign = set(imports(source, within_functions=True)) - sys.stdlib_module_names
    assert foreign <= ALLOWED | {"vecmigrate"}


def test_importing_the_package_loads_nothing_of_vecmigrate():
    script = (
        "import sys; before = set(sys.modules); sys.path.insert(0, sys.argv[1])\n"
        "import redis_vector_index, redis_vector_index.sync\n"
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before}))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", script, str(PACKAGE.parent)], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "redis" in loaded
    assert not {"vecmigrate", "yaml", "jsonschema", "click", "jinja2", "rich", "orjson"} & set(loaded)
