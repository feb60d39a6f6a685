"""The words of searches. Values travel as parameters, never in the text of a query."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import (
    Iterable,
    Mapping,
    Sequence,
)
from dataclasses import dataclass
from typing import Any, Final

from vecmigrate.helpers.common import Command, NumericFilter, TagFilter, as_bytes
from vecmigrate.helpers.values import number_parameter, real_number, tag_parameter
from vecmigrate.helpers.where import Where, attribute_text

# The name under which queries return a distance.
DISTANCE: Final = "__distance"


def query_name(attribute: str) -> str:
    r"""An attribute as queries say it behind their @: `user.name` as `user\.name`, `$.a` as `\$\.a`.

    Letters and signs beyond ASCII stay as they are: the server takes no backslash before them.
    """
    return attribute_text(attribute)[1:]


@dataclass(frozen=True, slots=True)
class Labels:
    """How the index keeps the labels of a tag field.

    `separator` is where texts are split, empty where they are not (JSON without SEPARATOR); `index_empty`:
    the field is INDEXEMPTY.
    """

    separator: str
    index_empty: bool = False


class Filters:
    """Conditions that a document must meet. Values travel as parameters, never in the query's text."""

    def __init__(self) -> None:
        self.clauses: list[str] = []
        self.params: list[str | bytes | float] = []

    def tag(
        self,
        field: str,
        wanted: TagFilter | None,
        kept: Labels,
        said: str = "",
    ) -> None:
        """The field holds this label, or one of these.

        `said` is what queries call the field where that is not its name, as `query_name` makes it.

        Raises:
            ValueError: No document can hold such a label; see `tag_parameter`.
            TypeError: It is neither a label nor several.
        """
        if wanted is None:
            return
        if isinstance(wanted, Mapping):
            raise TypeError(
                f"the filter {field} is {type(wanted).__name__} (expected a label, or a list of labels)",
            )
        is_one = isinstance(wanted, str | bytes) or not isinstance(wanted, Iterable)
        parameters = [
            tag_parameter(field, label, kept.separator, index_empty=kept.index_empty)
            for label in ([wanted] if is_one else wanted)
        ]
        if not parameters:
            raise ValueError(
                f"the filter {field} has no labels (expected at least one, or None)",
            )
        names = " | ".join(map(self._param, parameters))
        self.clauses.append(f"@{said or field}:{{{names}}}")

    def number(
        self,
        field: str,
        wanted: NumericFilter | None,
        said: str = "",
    ) -> None:
        """The field's number lies between the two, both included; None leaves a side open.

        Raises:
            ValueError: It is no such pair, or no number lies between the two.
        """
        if wanted is None:
            return
        bounds: list[Any] = []
        if not isinstance(wanted, str | bytes | Mapping | set | frozenset):
            with contextlib.suppress(TypeError):
                bounds = list(itertools.islice(wanted, 3))
        if len(bounds) != 2:
            raise ValueError(
                f"the filter {field} is {type(wanted).__name__} (expected a pair of smallest and largest;"
                " None leaves a side open)",
            )
        low, high = bounds
        smallest = -math.inf if low is None else number_parameter(field, low)
        largest = math.inf if high is None else number_parameter(field, high)
        if not (smallest <= largest and smallest < math.inf and largest > -math.inf):
            raise ValueError(
                f"the filter {field} is ({low}, {high}) (expected smallest, largest)",
            )
        self.clauses.append(
            f"@{said or field}:[{self._param(smallest)} {self._param(largest)}]",
        )

    def where(self, wanted: Where | None) -> None:
        """The document meets this condition."""
        if wanted is None:
            return
        if not isinstance(wanted, Where):
            raise TypeError(
                f"where is {type(wanted).__name__} (expected a condition on fields, such as field == value)",
            )
        # Before others, as `join_conditions` says.
        self.clauses.insert(0, wanted.render(self._param))

    def _param(self, value: bytes | float) -> str:
        name = f"filter_{len(self.params) // 2}"
        self.params += (name, value)
        return f"${name}"

    @property
    def query(self) -> str:
        """All conditions, as a query has them."""
        return f"({' '.join(self.clauses)})" if self.clauses else "*"


def search_command(
    index: str,
    query: str,
    params: Sequence[Any],
    returned: Sequence[str] | None,
    limit: int,
    *,
    timeout_ms: int,
    dialect: int = 2,
) -> Command:
    """FT.SEARCH for the `limit` nearest documents.

    Args:
        index: What is searched.
        query: The query, which gives each document a distance.
        params: Names and values of its parameters.
        returned: The fields to return, in the words of RETURN; None for the documents as they are stored.
        limit: How many to return at most.
        timeout_ms: How long the server may take, at least 1.
        dialect: 2, or 3 for JSON documents: it returns all values of a path, each as it is stored.
    """
    wanted: tuple[str | int, ...] = ()
    if returned is not None:
        wanted = ("RETURN", len(returned) + 1, DISTANCE, *returned)
    words = (
        *("FT.SEARCH", index, query, "PARAMS", len(params), *params),
        *("SORTBY", DISTANCE, "ASC", *wanted),
        *("LIMIT", 0, limit, "TIMEOUT", timeout_ms, "DIALECT", dialect),
    )
    return as_bytes(words)


def search_radius(min_score: float) -> float:
    """The largest distance that has at least this score, where score = 1 - distance.

    Raises:
        ValueError: It is no number, or no distance that the server knows has this score.
    """
    score = real_number("min_score", min_score)
    if not -math.inf < score <= 1:
        raise ValueError(f"min_score is {score} (expected at most 1)")
    return 1 - score


def search_radius_l2(min_score: float) -> float:
    """The largest distance that has at least this score, where score = 1 / (1 + distance).

    Raises:
        ValueError: It is no number, or no distance has this score.
    """
    score = real_number("min_score", min_score)
    if not 0 < score <= 1:
        raise ValueError(
            f"min_score is {score} (expected more than 0 and at most 1)",
        )
    return 1 / score - 1
