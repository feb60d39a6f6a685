"""Values and calls as Python source, laid out as ruff and black would leave them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

WIDTH: Final = 100
_INDENT: Final = 4


def call(name: str, arguments: Sequence[Any], keywords: Mapping[str, Any], *, indent: int = _INDENT) -> str:
    """`name(*arguments, **keywords)`, indented; over several lines where one would be longer than WIDTH."""
    parts = [("", value) for value in arguments] + [(f"{key}=", value) for key, value in keywords.items()]
    return " " * indent + _enclosed(f"{name}(", parts, ")", indent, 0)


def one_line(name: str, arguments: Sequence[Any], keywords: Mapping[str, Any]) -> str:
    """`name(*arguments, **keywords)` on one line, however long."""
    parts = [literal(value) for value in arguments] + [
        f"{key}={literal(value)}" for key, value in keywords.items()
    ]
    return f"{name}({', '.join(parts)})"


def literal(value: Any) -> str:
    """A plain value (text, number, truth, None, lists and dicts of these) as Python says it, on one line."""
    match value:
        case str():
            return _text(value)
        case Mapping():
            return "{" + ", ".join(f"{_text(key)}: {literal(item)}" for key, item in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(literal(item) for item in value) + "]"
        case _:
            return repr(value)


def _text(text: str) -> str:
    quoted = json.dumps(text, ensure_ascii=False)
    if '"' in text and "'" not in text:
        return "'" + quoted[1:-1].replace('\\"', '"') + "'"
    return quoted


def _enclosed(opening: str, parts: Sequence[tuple[str, Any]], closing: str, indent: int, before: int) -> str:
    """The parts on one line or each on its own; `before` is how much of the first line is used up."""
    line = opening + ", ".join(prefix + literal(value) for prefix, value in parts) + closing
    # One more for the comma that follows.
    if indent + before + len(line) < WIDTH or not parts:
        return line
    inner = indent + _INDENT
    lines = [f"{' ' * inner}{prefix}{_laid_out(value, inner, len(prefix))}," for prefix, value in parts]
    return "\n".join([opening, *lines, " " * indent + closing])


def _laid_out(value: Any, indent: int, before: int) -> str:
    match value:
        case Mapping():
            return _enclosed(
                "{", [(f"{_text(key)}: ", item) for key, item in value.items()], "}", indent, before
            )
        case list() | tuple():
            return _enclosed("[", [("", item) for item in value], "]", indent, before)
        case _:
            return literal(value)
