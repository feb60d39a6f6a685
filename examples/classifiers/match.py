"""What a search found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Match:
    """An item, the cosine similarity of its embedding to the query (-1 to 1), and its metadata."""

    name: str
    score: float
    metadata: Mapping[str, Any]
