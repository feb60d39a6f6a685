"""How many items a batch has, and how many batches are under way, so that nobody else has to wait."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import redis

# A write of this many seconds holds up everybody else for as long.
TARGET_SECONDS = 0.025
SMALLEST = 10
LARGEST = 400
# So many batches at most are written at a time, and one more for each of these seconds of a round trip.
MOST_IN_FLIGHT = 4
ROUND_TRIP_STEP = 0.005


class Pace:
    """Grows slowly near the target and shrinks fast (AIMD; Chiu and Jain, 1989).

    It goes by the time that the server itself takes: a round trip holds up nobody. Live HNSW indexes make a
    write some 50 times slower, unpredictably.

    Args:
        round_trip: Seconds that the network takes for one question and its answer.
        target: How many seconds of the server's time a batch may take, if less than usual.
    """

    def __init__(self, round_trip: float = 0.0, target: float | None = None) -> None:
        self.items = 100
        self.round_trip = round_trip
        self.target = min(target or TARGET_SECONDS, TARGET_SECONDS)
        self.most_in_flight = min(MOST_IN_FLIGHT, 1 + int(round_trip / ROUND_TRIP_STEP))
        self.in_flight = self.most_in_flight

    def took(self, seconds: float, items: int) -> None:
        """A batch of `items` took `seconds` of the server's time."""
        # As many as fill the round trip with work, so that they do not queue at the server.
        self.in_flight = min(self.most_in_flight, 1 + int(self.round_trip / max(seconds, 0.001)))
        if seconds > self.target and items >= self.items / 2:
            smaller = int(items * max(0.25, self.target / seconds))
            # A batch may be larger than was asked for.
            self.items = min(LARGEST, max(SMALLEST, smaller))
        elif seconds < self.target / 8:
            self.items = min(LARGEST, 2 * self.items)
        elif seconds < self.target / 2:
            self.items = min(LARGEST, self.items + 50)

    def server_seconds(self, microseconds: int, seconds: float) -> float:
        """The server's time for a batch: as it said, or `seconds` until it answered less the network's."""
        if microseconds < 0:
            return max(0.0, seconds - self.round_trip)
        return min(microseconds / 1e6, seconds)


def round_trip(client: redis.Redis) -> float:
    """Seconds that the network takes for a question and its answer: the less of two."""
    taken = []
    for _ in range(2):
        began = time.monotonic()
        client.ping()
        taken.append(time.monotonic() - began)
    return min(taken)
