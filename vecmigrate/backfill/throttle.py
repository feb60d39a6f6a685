"""What holds a step back on purpose: a pause, a rate, or the latency that others feel.

A step calls `passed` after each batch. Everybody can pause it: the key `pause` in the ledger is looked at
twice a second, and while it is there the step waits and keeps its lease.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import redis as redis_client

from vecmigrate.backfill.lane import Check, Lane, is_passing

if TYPE_CHECKING:
    import redis

# A pause begins and ends within a second.
LOOK_SECONDS = 0.4
SLICE_SECONDS = 0.1
PROBE_SECONDS = 0.2
# With a slow server a batch is followed by a rest, which doubles up to the longest.
SHORTEST_REST = 0.01
LONGEST_REST = 2.0
# A batch is at most what a quarter of a second may hold.
BATCHES_A_SECOND = 4


@dataclass(frozen=True, slots=True)
class Limits:
    """What the operator allows: items a second, and milliseconds by which others may be slowed down."""

    max_rate: float | None = None
    max_latency: float | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """Who paused the runs of a namespace, and since when (ISO 8601, UTC)."""

    who: str
    since: str

    def __str__(self) -> str:
        return f"paused by {self.who} since {self.since}"


def read_pause(client: redis.Redis, key: str) -> Pause | None:
    """The pause that is in force, or None."""
    stored: Any = client.hgetall(key)
    if not stored:
        return None
    text = {name.decode(): value.decode() for name, value in stored.items()}
    return Pause(text.get("who", "?"), text.get("since", "?"))


class Throttle:
    """Holds one step back; `passed` is called between batches.

    Args:
        client: Where the ledger is. The latency is probed on a connection of its own.
        pause_key: The ledger's hash `pause`.
        limits: What the operator allows.
        check: Raises where the step may not go on, such as after the loss of its lease.
        tell: Told what holds the step back, each time that this changes; "" once nothing does.
    """

    def __init__(
        self, client: redis.Redis, pause_key: str, limits: Limits, check: Check, tell: Callable[[str], None]
    ) -> None:
        self._client = client
        self._pause_key = pause_key
        self._limits = limits
        self._check = check
        self._tell = tell
        self._told = ""
        self._told_at = 0.0
        self._looked_at = 0.0
        self._due = 0.0
        self._probe: Lane | None = None
        self._probed_at = 0.0
        self._network: float | None = None
        self._rest = 0.0
        self._reason = ""

    @property
    def largest(self) -> int | None:
        """How many items a batch may have, or None: so that a low rate is no series of bursts."""
        rate = self._limits.max_rate
        return None if rate is None else max(1, int(rate / BATCHES_A_SECOND))

    @property
    def batch_seconds(self) -> float | None:
        """How many seconds of the server's time a batch may take, or None."""
        latency = self._limits.max_latency
        return None if latency is None else latency / 1000

    def passed(self, items: int = 0) -> None:
        """`items` more are done: return when the next ones may follow.

        Raises:
            LeaseLostError: The lease was lost meanwhile.
        """
        self._wait_for_resume()
        held = ""
        if self._limits.max_rate is not None:
            held = self._keep_rate(items)
        if self._limits.max_latency is not None:
            held = self._keep_latency() or held
        self._say(held)

    def close(self) -> None:
        """End the connection that probes, and take back what was told."""
        if self._probe is not None:
            self._probe.close()
            self._probe = None
        if self._told:
            self._told = ""
            self._tell("")

    def _wait_for_resume(self) -> None:
        now = time.monotonic()
        if now - self._looked_at < LOOK_SECONDS:
            return
        while True:
            self._looked_at = time.monotonic()
            pause = self._read_pause()
            if pause is None:
                break
            self._say(str(pause), at_once=True)
            self._sleep(LOOK_SECONDS)
            # What was not done during a pause is not made up for.
            self._due = 0.0
        if self._told.startswith("paused"):
            self._say("", at_once=True)

    def _read_pause(self) -> Pause | None:
        try:
            return read_pause(self._client, self._pause_key)
        except redis_client.RedisError as error:
            if not is_passing(error):
                raise
            return None

    def _keep_rate(self, items: int) -> str:
        rate = self._limits.max_rate or 0.0
        now = time.monotonic()
        self._due = max(self._due, now - 1 / BATCHES_A_SECOND) + items / rate
        if self._due <= now:
            return ""
        self._say(held := f"held to {rate:g} items a second by --max-rate")
        self._sleep_watching(self._due - now)
        return held

    def _keep_latency(self) -> str:
        limit = self._limits.max_latency or 0.0
        now = time.monotonic()
        if now - self._probed_at >= PROBE_SECONDS:
            self._probed_at = now
            latency = self._probe_latency() * 1000
            if latency > limit:
                self._rest = min(LONGEST_REST, max(SHORTEST_REST, 2 * self._rest))
                self._reason = (
                    f"slowed down by --max-latency: the server answers after {latency:.1f} ms more than the "
                    f"network takes (expected at most {limit:g})"
                )
            else:
                self._rest = self._rest / 2 if self._rest > SHORTEST_REST else 0.0
        if not self._rest:
            return ""
        # Before the sleep, so that whoever looks meanwhile learns why nothing moves.
        self._say(self._reason)
        self._sleep_watching(self._rest)
        return self._reason

    def _probe_latency(self) -> float:
        """Seconds that a PING takes beside what the network does, which is the least seen so far."""
        if self._probe is None:
            self._probe = Lane(self._client, self._check)
            self._probe.ask(("PING",))
        took = []
        for _ in range(1 if self._network is not None else 3):
            began = time.monotonic()
            self._probe.ask(("PING",))
            took.append(time.monotonic() - began)
        self._network = min([*took, *([self._network] if self._network is not None else [])])
        return took[-1] - self._network

    def _sleep_watching(self, seconds: float) -> None:
        """Sleep, and look for a pause meanwhile."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._sleep(min(left, LOOK_SECONDS))
            self._wait_for_resume()

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, SLICE_SECONDS))
            self._check()

    def _say(self, text: str, *, at_once: bool = False) -> None:
        """Tell what changed, at most once a second."""
        now = time.monotonic()
        if _kind(text) == _kind(self._told) or (not at_once and now - self._told_at < 1.0):
            return
        self._told, self._told_at = text, now
        self._tell(text)


def _kind(text: str) -> str:
    # The numbers in it change with each batch; that is nothing new.
    return text if text.startswith("paused") else text[:12]
