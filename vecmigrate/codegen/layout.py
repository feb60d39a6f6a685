"""Python source laid out as `ruff format` leaves it, for whatever names a spec brings.

What fits in 88 columns stands on one line. What does not is taken apart, one item a line with a comma
after the last: ruff keeps that whatever line length a project has set, so a user's own configuration
does not make generated code stale.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

WIDTH: Final = 88
_PLAIN_SECTIONS: Final = ("Returns:", "Yields:")
_SECTIONS: Final = (*_PLAIN_SECTIONS, "Args:", "Raises:")


def quote(text: str) -> str:
    """A string literal of `text`, with the quotes that ruff prefers."""
    literal = repr(text)
    body = literal[1:-1]
    single, double = text.count("'"), text.count('"')
    if single >= double and literal[0] == "'":
        return '"' + body.replace("\\'", "'").replace('"', '\\"') + '"'
    return literal


def call(head: str, items: Iterable[str], *, indent: int, before: str = "", after: str = "") -> str:
    """`before head(items)after`, on one line or taken apart.

    Args:
        head: What is called, or nothing for a tuple or a parameter list.
        items: The arguments or parameters; a bare `*` may be among them.
        indent: Columns before the first line; later lines are indented by it.
        before: Text on the first line in front of the call.
        after: Text behind the closing parenthesis.
    """
    words = list(items)
    line = f"{before}{head}({', '.join(words)}){after}"
    if not words or (indent + len(line) <= WIDTH and "\n" not in line):
        return line
    inner = " " * (indent + 4)
    return f"{before}{head}(\n" + "".join(f"{inner}{word},\n" for word in words) + " " * indent + f"){after}"


def import_order(name: str) -> tuple[int, list[str | int], str]:
    """How ruff sorts imported names: constants, classes, functions; numbers in them by their size."""
    return (_kind(name), natural(name.lower()), name)


def export_order(name: str) -> tuple[int, list[str | int]]:
    """How ruff sorts `__all__`: as imports, but upper case before lower case."""
    return (_kind(name), natural(name))


def _kind(name: str) -> int:
    return 0 if name.isupper() else 1 if name[0].isupper() else 2


def natural(name: str) -> list[str | int]:
    """What sorts names so that numbers in them go by their size: `a2`, `a10`."""
    return [int(part) if part.isdigit() else part for part in re.split(r"([0-9]+)", name)]


def from_import(module: str, names: Iterable[str]) -> str:
    """The import of some names from a module; ruff wants a statement of its own for `name as other`."""
    ordered = sorted(names, key=import_order)
    plain = [name for name in ordered if " " not in name]
    renamed = [name for name in ordered if " " in name]
    groups = [group for group in (plain, *([name] for name in renamed)) if group]
    lines = []
    for group in groups:
        line = f"from {module} import {', '.join(group)}"
        before = f"from {module} import "
        lines.append(line if len(line) <= WIDTH else call("", group, indent=0, before=before))
    return "\n".join(lines)


def signature(name: str, parameters: Sequence[str], returns: str, is_async: bool = False) -> str:
    """The `def` line or lines of a function at the top of a module."""
    keyword = "async def " if is_async else "def "
    return call(name, parameters, indent=0, before=keyword, after=f" -> {returns}:")


def words_tuple(words: Iterable[str], indent: int = 0, before: str = "") -> str:
    """A tuple of text literals."""
    items = [quote(word) for word in words]
    if len(items) == 1:
        return f"{before}({items[0]},)"
    return call("", items, indent=indent, before=before)


def assign(target: str, text: str) -> str:
    """An assignment of a text literal; one that is too long stands in parentheses if that helps."""
    literal = quote(text)
    line = f"{target} = {literal}"
    if len(line) <= WIDTH or len(literal) + 4 > WIDTH:
        return line
    return f"{target} = (\n    {literal}\n)"


def compact_json(value: Any, indent: int = 0) -> str:
    """JSON in which everything that fits stands on one line."""
    one_line = json.dumps(value)
    if not isinstance(value, Mapping) or (indent and indent + len(one_line) <= WIDTH):
        return one_line
    inner = " " * (indent + 4)
    entries = (f"{inner}{json.dumps(name)}: {compact_json(item, indent + 4)}" for name, item in value.items())
    return "{\n" + ",\n".join(entries) + "\n" + " " * indent + "}"


def docstring(text: str, indent: int = 4) -> str:
    """A docstring of paragraphs and of sections (`Args:` …) whose every line is one item."""
    margin = " " * indent
    blocks = [_block(block, indent) for block in re.split(r"\n\s*\n", text.strip())]
    body = "\n\n".join(blocks).strip()
    body = body.replace("\\", "\\\\").replace('"""', "'''")
    if "\n" not in body and not body.endswith('"'):
        return f'{margin}"""{body}"""'
    return f'{margin}"""{body}\n{margin}"""'


def _block(block: str, indent: int) -> str:
    first, *rest = block.strip().split("\n")
    if first.strip() not in _SECTIONS:
        return _fill(block, " " * indent, " " * indent)
    item = " " * (indent + 4)
    hanging = item if first.strip() in _PLAIN_SECTIONS else item + "    "
    lines = [_fill(line, item, hanging) for line in rest if line.strip()]
    return "\n".join([" " * indent + first.strip(), *lines])


def _fill(text: str, first: str, later: str) -> str:
    # Leaves the marks of code whole: a wrapped `knn_k` or hyphenated word is harder to find with grep.
    return textwrap.fill(
        " ".join(text.split()),
        WIDTH,
        initial_indent=first,
        subsequent_indent=later,
        break_long_words=False,
        break_on_hyphens=False,
    )


def prose(text: str) -> str:
    """Free text of a spec, made safe for a docstring or a comment: one line, printable characters only."""
    line = " ".join(text.split())
    return "".join(char if char.isprintable() else "�" for char in line)
