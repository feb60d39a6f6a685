"""Leaving out what nothing needs."""

from __future__ import annotations

from vecmigrate.codegen.tidy import used_of, without_unused, without_unused_imports

SOURCE = '''"""Module."""

import json
from typing import Any, Final

# How many.
LIMIT: Final = 5


def wanted(x: Any) -> int:
    """Uses helper."""
    return helper(x) + LIMIT


# Section


def helper(x: Any) -> int:
    return recursive(x)


def recursive(x: Any) -> int:
    return recursive(x)


def unwanted() -> str:
    return json.dumps(other())


class Other:
    pass


def other() -> Other:
    return Other()
'''


def test_what_the_roots_reach_is_kept_with_its_comments():
    kept = without_unused(SOURCE, {"wanted"})
    assert kept == SOURCE[: SOURCE.index("\n\ndef unwanted")]
    assert without_unused(SOURCE, {"other", "unknown"}).count("def ") == 1
    assert "class Other" in without_unused(SOURCE, {"other"})


def test_everything_is_kept_where_everything_is_wanted():
    assert without_unused(SOURCE, {"wanted", "unwanted"}) == SOURCE


def test_imports_that_are_not_used_go():
    kept = without_unused_imports(without_unused(SOURCE, {"wanted"}))
    assert "import json" not in kept
    assert "from typing import Any, Final\n" in kept
    alone = without_unused_imports(without_unused(SOURCE, {"LIMIT"}))
    assert "from typing import Final\n" in alone


def test_names_in_all_are_used_and_future_imports_stay():
    source = 'from __future__ import annotations\n\nfrom .a import b, c\n\n__all__ = ["b"]\n'
    assert without_unused_imports(source) == source.replace(", c", "")


def test_what_modules_take_from_another():
    sources = [
        "from ._core import A, B\n_core.c(x._core.d)\nother._core\n",
        "from .else_ import E\n_core.f.g\n",
    ]
    assert used_of("_core", sources) == {"A", "B", "c", "f"}
