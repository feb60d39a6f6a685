"""Conditions on documents: text with gaps, and a value for each gap.

Values travel as parameters, so that none can be taken for a part of the query. The words of a text are the
exception, since the server knows no parameters between quotes: they are taken apart as it takes texts apart,
and what is left holds no character that means anything to it.
"""

from __future__ import annotations

import re
import string
from collections.abc import (
    Callable,
    Iterable,
)
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from vecmigrate.helpers.values import as_str, encode_text

# What the server takes texts apart at; a backslash before one of them makes it a part of a word.
WORD_ENDS: Final = frozenset(string.punctuation) - {"_", "\\"} | {" ", "\t"}


# The words that an index leaves out where its spec does not say which.
STOP_WORDS: Final = frozenset(
    {
        *("a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in"),
        *("into", "is", "it", "no", "not", "of", "on", "or", "such", "that", "the"),
        *(
            "their",
            "then",
            "there",
            "these",
            "they",
            "this",
            "to",
            "was",
            "will",
            "with",
        ),
    },
)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A value of a condition, which travels beside the query."""

    value: bytes | float


class Where:
    """A condition that a document meets or does not. `&`, `|` and `~` make new ones of it.

    Python's own `and`, `or`, `not`, `in` and chained comparisons cannot, since they ask for the truth of
    their parts: that raises TypeError.

    Args:
        parts: The text of a query, with values where parameters go.
        goes_first: It belongs before others, as the text of a query has them; see `join_conditions`.
    """

    __slots__ = ("between", "conditions", "goes_first", "parts")

    def __init__(
        self,
        *parts: str | Parameter,
        goes_first: bool = False,
    ) -> None:
        self.parts = parts
        self.goes_first = goes_first
        # Those that `between` joins in `parts`.
        self.conditions: tuple[Where, ...] = (self,)
        self.between = ""

    def __and__(self, other: Where) -> Where:
        if not isinstance(other, Where):
            return NotImplemented
        return join_conditions((self, other), " ")

    def __or__(self, other: Where) -> Where:
        if not isinstance(other, Where):
            return NotImplemented
        return join_conditions((self, other), " | ")

    def __invert__(self) -> Where:
        return Where("(-(", *self.parts, "))", goes_first=self.goes_first)

    def __bool__(self) -> NoReturn:
        raise TypeError(
            "a condition is neither true nor false (expected &, | and ~ between conditions in parentheses);"
            " Python's and, or, not, in, and chains such as 1 < field < 5, do not work on them",
        )

    def __repr__(self) -> str:
        return f"<Where {self.render(repr)}>"

    def render(self, parameter: Callable[[bytes | float], str]) -> str:
        """The text of the condition; `parameter` takes a value and gives the text that stands for it."""
        texts = []
        for part in self.parts:
            texts.append(part if isinstance(part, str) else parameter(part.value))
        return f"({''.join(texts)})"


def join_conditions(conditions: Iterable[Where], between: str) -> Where:
    """Conditions with `between` between them; those that it joins already stand beside each other.

    RediSearch 2.10 refuses to look for an empty text behind a tag that is not INDEXEMPTY, so that goes first.
    """
    flattened: list[Where] = []
    for where in conditions:
        flattened += where.conditions if where.between == between else (where,)
    flattened.sort(key=lambda where: not where.goes_first)
    parts: list[str | Parameter] = []
    for where in flattened:
        parts += [between] if parts else []
        parts += ["(", *where.parts, ")"] if where.between else where.parts
    joined = Where(*parts, goes_first=flattened[0].goes_first)
    if len(flattened) > 1:
        joined.conditions, joined.between = tuple(flattened), between
    return joined


def flat(values: Iterable[Any]) -> list[Any]:
    """Values, and those in lists and the like among them."""
    found: list[Any] = []
    for value in values:
        if isinstance(value, Iterable) and not isinstance(value, str | bytes):
            found += value
        else:
            found.append(value)
    return found


def attribute_text(name: str) -> str:
    """An attribute as the text of a query names it."""
    return "@" + re.sub(r"([\x00-\x7f])(?<!\w)", r"\\\1", name)


def word_parameter(word: str) -> bytes:
    """A word as a parameter; the server takes a backslash there for an escape."""
    return word.replace("\\", "\\\\").encode()


def word_list(field: str, value: str) -> list[str]:
    """The words of a text, as the server makes them of a text that is stored.

    Raises:
        ValueError: It is no text, or holds a control character, which the server leaves out: words on either
            side of a line break become one.
    """
    if not isinstance(value, str):
        raise ValueError(
            f"the condition on {field} has {type(value).__name__} (expected text)",
        )
    text = as_str(encode_text(field, value))
    words = [""]
    was_backslash = False
    for char in text:
        if char != "\t" and (char < " " or char == "\x7f"):
            raise ValueError(
                f"the condition on {field} has the value {text!r} (expected no control characters; blanks"
                " between words)",
            )
        if char == "\\" and not was_backslash:
            was_backslash = True
            continue
        if char in WORD_ENDS and not was_backslash:
            words.append("")
        else:
            words[-1] += char.lower() if char.isascii() else char
        was_backslash = False
    return [word for word in words if word]
