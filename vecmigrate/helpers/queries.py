"""The words of searches. Values travel as parameters, never in the text of a query."""

from __future__ import annotations

import math
from collections.abc import (
    Sequence,
)
from typing import Any, Final

from vecmigrate.helpers.common import Command, NumericFilter, TagFilter
from vecmigrate.helpers.where import Where

# The name under which queries return a distance.
DISTANCE: Final = "__distance"


class Filters:
    """Conditions that a document must meet. Values travel as parameters, never in the query's text."""

    def __init__(self) -> None:
        self.clauses: list[str] = []
        self.params: list[str | bytes | float] = []

    def tag(self, field: str, wanted: TagFilter | None) -> None:
        """The field holds this label, or one of these."""
        if wanted is None:
            return
        labels = [wanted] if isinstance(wanted, str) else list(wanted)
        if not labels:
            raise ValueError(
                f"the filter {field} has no labels (expected at least one, or None)",
            )
        for label in labels:
            if not isinstance(label, str) or not label.strip():
                raise ValueError(
                    f"the filter {field} has the label {label!r} (expected some text)",
                )
        # The server strips the labels of documents, but not those of queries.
        names = " | ".join(self._param(label.strip()) for label in labels)
        self.clauses.append(f"@{field}:{{{names}}}")

    def number(self, field: str, wanted: NumericFilter | None) -> None:
        """The field's number lies between the two, both included; None leaves a side open."""
        if wanted is None:
            return
        low, high = wanted
        smallest = -math.inf if low is None else float(low)
        largest = math.inf if high is None else float(high)
        if not smallest <= largest:
            raise ValueError(
                f"the filter {field} is ({low}, {high}) (expected smallest, largest)",
            )
        self.clauses.append(
            f"@{field}:[{self._param(smallest)} {self._param(largest)}]",
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

    def _param(self, value: str | bytes | float) -> str:
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
    returned: Sequence[str],
    limit: int,
) -> Command:
    """FT.SEARCH for the `limit` nearest documents, with the fields to return."""
    return (
        *("FT.SEARCH", index, query, "PARAMS", len(params), *params),
        *("SORTBY", DISTANCE, "ASC", "RETURN", len(returned) + 1, DISTANCE, *returned),
        *("LIMIT", 0, limit, "DIALECT", 2),
    )


def search_radius(min_score: float) -> float:
    """The largest distance that has at least this score, where score = 1 - distance.

    Raises:
        ValueError: No distance that the server knows has this score.
    """
    if not -math.inf < min_score <= 1:
        raise ValueError(f"min_score is {min_score} (expected at most 1)")
    return 1 - min_score


def search_radius_l2(min_score: float) -> float:
    """The largest distance that has at least this score, where score = 1 / (1 + distance).

    Raises:
        ValueError: No distance has this score.
    """
    if not 0 < min_score <= 1:
        raise ValueError(
            f"min_score is {min_score} (expected more than 0 and at most 1)",
        )
    return 1 / min_score - 1
