"""How many items a batch has: as many as the server writes without keeping others waiting."""

from __future__ import annotations

# A write of this many seconds holds up everybody else for as long.
TARGET_SECONDS = 0.025
SMALLEST = 10
LARGEST = 400


class Pace:
    """Grows slowly and shrinks fast (additive increase, multiplicative decrease; Chiu and Jain, 1989).

    Live HNSW indexes make a write some fifty times as dear, and nothing tells so beforehand.
    """

    def __init__(self) -> None:
        self.items = 100

    def took(self, seconds: float, items: int) -> None:
        """A batch of `items` took `seconds` from being sent to being answered."""
        if seconds > TARGET_SECONDS and items >= self.items / 2:
            smaller = int(items * max(0.25, TARGET_SECONDS / seconds))
            # A small hash comes in one piece, however little was asked for.
            self.items = min(LARGEST, max(SMALLEST, smaller))
        elif seconds < TARGET_SECONDS / 2:
            self.items = min(LARGEST, self.items + 50)
