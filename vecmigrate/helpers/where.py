"""Conditions on documents: text with gaps, and a value for each gap.

Values travel as parameters, so that none can be taken for a part of the query. The words of a phrase are the
exception, since the server knows no parameters there: they are taken apart as it takes texts apart, and what
is left holds no character that means anything to it.
"""

from __future__ import annotations

import math
import string
from collections.abc import (
    Callable,
    Iterable,
)
from dataclasses import dataclass
from enum import Enum
from numbers import Real
from typing import Any, Final, NoReturn

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


# Bytes of a label that a server keeps in hashes.
LABEL_SIZE: Final = 4096


ASCII_BLANKS: Final = " \t\n\v\f\r"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A value of a condition, which travels beside the query."""

    value: str | float


class Where:
    """A condition that a document meets or does not. `&`, `|` and `~` make new ones of it.

    Python's own `and`, `or`, `not`, `in` and chained comparisons cannot, since they ask for the truth of
    their parts: that raises TypeError.
    """

    __slots__ = ("joined", "parts")

    def __init__(self, *parts: str | Parameter, joined: str = "") -> None:
        # The text of a query, with values where parameters go. Unless `joined` is empty, these are several
        # conditions with that between them.
        self.parts = parts
        self.joined = joined

    def __and__(self, other: Where) -> Where:
        return (
            join_conditions((self, other), " ")
            if isinstance(other, Where)
            else NotImplemented
        )

    def __or__(self, other: Where) -> Where:
        return (
            join_conditions((self, other), " | ")
            if isinstance(other, Where)
            else NotImplemented
        )

    def __invert__(self) -> Where:
        return Where("(-(", *self.parts, "))")

    def __bool__(self) -> NoReturn:
        raise TypeError(
            "a condition is neither true nor false (expected &, | and ~ between conditions in parentheses);"
            " Python's and, or, not, in, and chains such as 1 < field < 5, do not work on them",
        )

    def __repr__(self) -> str:
        shown = (
            part if isinstance(part, str) else repr(part.value) for part in self.parts
        )
        return f"<Where {''.join(shown)}>"

    def render(self, parameter: Callable[[str | float], str]) -> str:
        """The text of the condition; `parameter` takes a value and gives the text that stands for it."""
        found = (
            part if isinstance(part, str) else parameter(part.value)
            for part in self.parts
        )
        return f"({''.join(found)})"


def join_conditions(conditions: Iterable[Where], between: str) -> Where:
    """Conditions with `between` between them; without further parentheses where that is there already."""
    parts: list[str | Parameter] = []
    for where in conditions:
        if parts:
            parts.append(between)
        parts += (
            where.parts if where.joined in ("", between) else ("(", *where.parts, ")")
        )
    return Where(*parts, joined=between)


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
    return "@" + "".join(
        char if char.isalnum() or char == "_" or not char.isascii() else f"\\{char}"
        for char in name
    )


def plain_text(field: str, value: object) -> str:
    """`value` as it can travel to the server.

    Raises:
        ValueError: It is no text, or holds something that the server would cut or refuse.
    """
    text = value.value if isinstance(value, Enum) else value
    if not isinstance(text, str):
        raise ValueError(
            f"the condition on {field} has a value of type {type(value).__name__} (expected text)",
        )
    if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
        raise ValueError(
            f"the condition on {field} has the value {text!r} (expected text without NUL and surrogates)",
        )
    return str(text)


def label_parameter(field: str, value: object, separator: str) -> str:
    """A label as a parameter that finds it.

    Raises:
        ValueError: No document can have this label.
    """
    label = plain_text(field, value)
    if separator:
        # The server strips the labels of documents where it splits, but not those of queries.
        label = label.strip(ASCII_BLANKS)
        if separator in label:
            raise ValueError(
                f"the condition on {field} has the label {label!r} (expected one without {separator!r}, at"
                " which labels are split)",
            )
    if not label:
        raise ValueError(
            f"the condition on {field} has the label {value!r} (expected some text; empty() where that is"
            " meant)",
        )
    if len(label.encode()) > LABEL_SIZE:
        raise ValueError(
            f"the condition on {field} has a label of {len(label.encode())} bytes (expected at most"
            f" {LABEL_SIZE})",
        )
    return escaped(label)


def number_parameter(field: str, value: object) -> float:
    """A number as the double that the index compares with.

    Raises:
        ValueError: It is no number, or none that a double can be.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ValueError(
            f"the condition on {field} has the value {value!r} (expected a number)",
        )
    try:
        number = float(value)
    except OverflowError:
        number = math.nan
    if math.isnan(number):
        raise ValueError(
            f"the condition on {field} has a value that no double has (expected a number)",
        )
    return number


def escaped(text: str) -> str:
    """A text whose backslashes the server takes for backslashes."""
    return text.replace("\\", "\\\\")


def word_list(field: str, value: object) -> list[str]:
    """The words of a text, as the server makes them of a text that is stored.

    Raises:
        ValueError: It is no text, or holds a control character, which the server leaves out: words on either
            side of a line break become one.
    """
    text = plain_text(field, value)
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
