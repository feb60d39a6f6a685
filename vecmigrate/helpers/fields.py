"""The fields of an index, and the conditions that they know: `(F.lang == "en") & (F.year >= 2020)`.

A document without a field meets no condition on it, but the opposite of each: `~(F.lang == "en")` and
`F.lang != "en"` find documents without a language too; `F.lang.present() & (F.lang != "en")` does not.
"""

from __future__ import annotations

import math
from collections.abc import (
    Iterable,
)
from typing import Any, Final, Literal, NoReturn

from vecmigrate.helpers.values import (
    encode_point,
    encode_shape,
    number_parameter,
    real_number,
    tag_parameter,
)
from vecmigrate.helpers.where import (
    STOP_WORDS,
    WORD_ENDS,
    Parameter,
    Where,
    attribute_text,
    flat,
    join_conditions,
    word_list,
    word_parameter,
)

# Characters that the prefix of a word needs: with fewer the server finds nothing, and does not say so.
PREFIX_LENGTH: Final = 2


class Field:
    """A field of an index; its kind says which conditions it knows.

    Args:
        name: Its attribute in the index.
        index_missing: The index knows which documents lack it.
        index_empty: The index knows which documents hold it as an empty text.
    """

    __slots__ = ("_empty", "_missing", "_text", "attribute")

    def __init__(
        self,
        name: str,
        *,
        index_missing: bool = False,
        index_empty: bool = False,
    ) -> None:
        self.attribute = name
        self._text = attribute_text(name)
        self._missing = index_missing
        self._empty = index_empty

    def missing(self) -> Where:
        """The document does not have the field. A null in a JSON document is a value.

        Raises:
            ValueError: The spec does not have the index look after that.
        """
        if not self._missing:
            raise ValueError(
                f"the index does not know which documents lack {self.attribute} (expected index_missing: true"
                " in the spec of the field)",
            )
        return Where(f"ismissing({self._text})")

    def present(self) -> Where:
        """The document has the field, which may be empty: the opposite of `missing`.

        Raises:
            ValueError: The spec does not have the index look after that.
        """
        return ~self.missing()

    def __eq__(self, other: object) -> Any:
        self._refuse("==")

    def __ne__(self, other: object) -> Any:
        self._refuse("!=")

    def __lt__(self, other: Any) -> Any:
        self._refuse("<")

    def __le__(self, other: Any) -> Any:
        self._refuse("<=")

    def __gt__(self, other: Any) -> Any:
        self._refuse(">")

    def __ge__(self, other: Any) -> Any:
        self._refuse(">=")

    def __hash__(self) -> int:
        return object.__hash__(self)

    def __bool__(self) -> NoReturn:
        raise TypeError(
            f"the field {self.attribute} is neither true nor false (expected a condition on it)",
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.attribute}>"

    def _refuse(self, operator: str) -> NoReturn:
        known = [name for name in dir(self) if name[0] != "_" and name != "attribute"]
        raise TypeError(
            f"{self.attribute} is a {type(self).__name__} field, which knows no {operator} (expected one of"
            f" {', '.join(known)})",
        )

    def _check_empty(self) -> None:
        if not self._empty:
            raise ValueError(
                f"the index does not know which documents hold {self.attribute} as an empty text (expected"
                " index_empty: true in the spec of the field)",
            )


class Tag(Field):
    """A field of labels. A document meets a condition if one of its labels does.

    Args:
        name: Its attribute in the index.
        separator: What stored texts are split at; empty: a text is one label, blanks at its ends included.
        index_missing: The index knows which documents lack it.
        index_empty: The index knows which documents hold an empty label.
    """

    __slots__ = ("_separator",)

    def __init__(
        self,
        name: str,
        *,
        separator: str = ",",
        index_missing: bool = False,
        index_empty: bool = False,
    ) -> None:
        super().__init__(name, index_missing=index_missing, index_empty=index_empty)
        self._separator = separator

    def __eq__(self, label: object) -> Where:  # type: ignore[override]
        return self._holds([label])

    def __ne__(self, label: object) -> Where:  # type: ignore[override]
        return ~self._holds([label])

    __hash__ = Field.__hash__

    def any_of(self, *labels: str | Iterable[str]) -> Where:
        """The document has at least one of these labels.

        Raises:
            ValueError: There are no labels, or one cannot be stored.
        """
        return self._holds(flat(labels))

    def none_of(self, *labels: str | Iterable[str]) -> Where:
        """The document has none of these labels.

        Raises:
            ValueError: There are no labels, or one cannot be stored.
        """
        return ~self._holds(flat(labels))

    def empty(self) -> Where:
        """The document holds an empty label.

        Raises:
            ValueError: The spec does not have the index look after that.
        """
        self._check_empty()
        return Where(f"{self._text}:{{", Parameter(b""), "}")

    def _holds(self, labels: Iterable[object]) -> Where:
        parts: list[str | Parameter] = []
        for label in labels:
            value = tag_parameter(self.attribute, label, self._separator)
            parts += (" | " if parts else f"{self._text}:{{", Parameter(value))
        if not parts:
            raise ValueError(
                f"the condition on {self.attribute} has no labels (expected at least one)",
            )
        return Where(*parts, "}")


class Numeric(Field):
    """A field of doubles; an integer beyond 2**53 is compared as the double next to it, as it is indexed."""

    __slots__ = ()

    def __eq__(self, number: object) -> Where:  # type: ignore[override]
        return self._is(number)

    def __ne__(self, number: object) -> Where:  # type: ignore[override]
        return ~self._is(number)

    __hash__ = Field.__hash__

    def __lt__(self, number: float) -> Where:
        return self._lies("", -math.inf, "(", number)

    def __le__(self, number: float) -> Where:
        return self._lies("", -math.inf, "", number)

    def __gt__(self, number: float) -> Where:
        return self._lies("(", number, "", math.inf)

    def __ge__(self, number: float) -> Where:
        return self._lies("", number, "", math.inf)

    def between(self, smallest: float, largest: float) -> Where:
        """The number lies between the two, both included.

        Raises:
            ValueError: One is no number, or they are the wrong way round.
        """
        return self._lies("", smallest, "", largest)

    def any_of(self, *numbers: float | Iterable[float]) -> Where:
        """The number is one of these.

        Raises:
            ValueError: There are no numbers, or one is not finite.
        """
        found = [self._is(number) for number in flat(numbers)]
        if not found:
            raise ValueError(
                f"the condition on {self.attribute} has no numbers (expected at least one)",
            )
        return join_conditions(found, " | ")

    def none_of(self, *numbers: float | Iterable[float]) -> Where:
        """The number is none of these.

        Raises:
            ValueError: There are no numbers, or one is not finite.
        """
        return ~self.any_of(*numbers)

    def _is(self, number: Any) -> Where:
        return self._lies("", number, "", number)

    def _lies(self, after: str, low: Any, before: str, high: Any) -> Where:
        lowest, highest = (
            number_parameter(self.attribute, low),
            number_parameter(self.attribute, high),
        )
        if lowest > highest or lowest == math.inf or highest == -math.inf:
            raise ValueError(
                f"the condition on {self.attribute} is from {low} to {high} (expected finite numbers, the"
                " smallest first)",
            )
        return Where(
            f"{self._text}:[{after}",
            Parameter(lowest),
            f" {before}",
            Parameter(highest),
            "]",
        )


class Text(Field):
    """A field of words.

    The server takes texts apart at blanks and ASCII punctuation other than `_`, folds ASCII letters, and
    leaves the stop words out. What is asked for is treated alike. Words are found as they are, not by their
    stems: servers know stems neither behind a `~` nor beside a search for the nearest vectors.

    Args:
        name: Its attribute in the index.
        stop_words: The words that the index leaves out.
        index_missing: The index knows which documents lack it.
        index_empty: The index knows which documents hold an empty text.
    """

    __slots__ = ("_stop_words",)

    def __init__(
        self,
        name: str,
        *,
        stop_words: Iterable[str] = STOP_WORDS,
        index_missing: bool = False,
        index_empty: bool = False,
    ) -> None:
        super().__init__(name, index_missing=index_missing, index_empty=index_empty)
        self._stop_words = frozenset(stop_words)

    def words(self, text: str) -> Where:
        """The document has all words of `text`, in any order.

        Raises:
            ValueError: There is no word among them that the index knows of, or a control character.
        """
        return join_conditions(map(self._has, self._split(text)), " ")

    def phrase(self, text: str) -> Where:
        """The document has the words of `text` as they are, one after the other, leaving stop words aside.

        A server may take the words for a phrase that stands together in another field of the document only.

        Raises:
            ValueError: There is no word among them that the index knows of, one stands twice in a row, which
                servers take for once, or it holds a control character or a backslash.
        """
        words = self._split(text)
        if "\\" in text:
            raise ValueError(
                f"the phrase {text!r} holds a backslash (expected words)",
            )
        if any(map(str.__eq__, words, words[1:])):
            raise ValueError(
                f"the phrase {text!r} has a word twice in a row (expected it once)",
            )
        # There are no parameters between quotes; these words hold no character of the query's language.
        return Where(f'{self._text}:("{" ".join(words)}")')

    def prefix(self, text: str) -> Where:
        """The document has a word that begins with `text`, of which the server tries 200.

        A word that was stored with capitals outside of ASCII is not found.

        Raises:
            ValueError: It is not the beginning of one word; or it has fewer than two characters, or capitals
                outside of ASCII or ß, with which servers find nothing.
        """
        words = word_list(self.attribute, text)
        if len(words) != 1 or len(words[0]) < PREFIX_LENGTH:
            raise ValueError(
                f"the prefix for {self.attribute} is {text!r} (expected {PREFIX_LENGTH} or more characters of"
                " one word)",
            )
        if words[0] != words[0].casefold():
            raise ValueError(
                f"the prefix for {self.attribute} is {text!r} (expected small letters outside of ASCII, and"
                " no ß, since servers find nothing else)",
            )
        return Where(f"{self._text}:(", Parameter(word_parameter(words[0])), "*)")

    def empty(self) -> Where:
        """The document holds an empty text.

        Raises:
            ValueError: The spec does not have the index look after that.
        """
        self._check_empty()
        return Where(f"{self._text}:(", Parameter(b""), ")", goes_first=True)

    def _has(self, word: str) -> Where:
        if WORD_ENDS.isdisjoint(word) and "\\" not in word:
            # Between quotes servers look for no words of the same stem.
            return Where(f'{self._text}:("{word}")')
        return Where(f"{self._text}:(", Parameter(word_parameter(word)), ")")

    def _split(self, text: str) -> list[str]:
        found = word_list(self.attribute, text)
        words = [word for word in found if word not in self._stop_words]
        if not words:
            raise ValueError(
                f"the condition on {self.attribute} is {text!r} (expected a word that is no stop word)",
            )
        return words


class Geo(Field):
    """A field of points."""

    __slots__ = ()

    def within(
        self,
        longitude: float,
        latitude: float,
        radius: float,
        unit: Literal["m", "km", "mi", "ft"] = "km",
    ) -> Where:
        """The point is at most `radius` away from this one, which is given in degrees.

        Servers miss points where the circle comes near a pole.

        Raises:
            ValueError: The point is out of range, the radius not above 0, or the unit not known.
        """
        point = encode_point(self.attribute, (longitude, latitude)) or b""
        distance = real_number(f"the radius for {self.attribute}", radius)
        if not 0 < distance < math.inf:
            raise ValueError(
                f"the radius for {self.attribute} is {radius} (expected a finite number above 0)",
            )
        if unit not in ("m", "km", "mi", "ft"):
            raise ValueError(
                f"the unit for {self.attribute} is {unit!r} (expected m, km, mi or ft)",
            )
        east, _, north = point.partition(b",")
        place = (Parameter(east), " ", Parameter(north), " ", Parameter(distance))
        return Where(f"{self._text}:[", *place, f" {unit}]")


class GeoShape(Field):
    """A field of shapes. One to compare with is well-known text: `POLYGON((0 0, 0 1, 1 1, 0 0))`."""

    __slots__ = ()

    def within(self, shape: str) -> Where:
        """The stored shape lies within this one."""
        return self._relates("WITHIN", shape)

    def contains(self, shape: str) -> Where:
        """The stored shape contains this one."""
        return self._relates("CONTAINS", shape)

    def intersects(self, shape: str) -> Where:
        """The stored shape and this one have points in common."""
        return self._relates("INTERSECTS", shape)

    def disjoint(self, shape: str) -> Where:
        """The stored shape and this one have no point in common."""
        return self._relates("DISJOINT", shape)

    def _relates(self, relation: str, shape: str) -> Where:
        text = encode_shape(self.attribute, shape) or b""
        return Where(f"{self._text}:[{relation} ", Parameter(text), "]")
