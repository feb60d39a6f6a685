"""Leaving out the imports that nothing needs."""

from __future__ import annotations

from vecmigrate.codegen.tidy import without_unused_imports


def test_imports_that_are_not_used_go():
    source = "import json\nfrom typing import Any, Final\n\nLIMIT: Final = 5\n"
    assert without_unused_imports(source) == "from typing import Final\n\nLIMIT: Final = 5\n"
    used = source + "json.dumps(LIMIT)\nx: Any = 1\n"
    assert without_unused_imports(used) == used


def test_names_in_all_are_used_and_future_imports_stay():
    source = 'from __future__ import annotations\n\nfrom .a import b, c\n\n__all__ = ["b"]\n'
    assert without_unused_imports(source) == source.replace(", c", "")
