"""One connection on which a request can be sent now and its answer read later.

Several of these let the server scan for one batch and write another while we decode a third: reading,
decoding and writing overlap without a thread.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeAlias

import redis

from vecmigrate.errors import LeaseLostError, ServerWentBackError

if TYPE_CHECKING:
    from redis.connection import ConnectionInterface

Words: TypeAlias = Sequence[str | bytes | int]
# Called while the server is waited for; raises where that has no sense any more.
Check: TypeAlias = Callable[[], None]

POLL_SECONDS = 0.1
# A script of somebody else runs, or the data is being loaded. In both cases nothing of ours was carried out.
_PASSING = re.compile(r"(EXECABORT .*: )?-?(BUSY|LOADING) ")


class Lane:
    """A connection of its own. It never reconnects: a lost connection may mean another server process.

    Args:
        client: Only its settings are used.
        check: Called while a busy server is waited for. Without it a busy server is an error.
    """

    def __init__(self, client: redis.Redis, check: Check | None = None) -> None:
        # Not by `make_connection`: the pool would count it among its own for ever, up to its limit.
        pool = client.connection_pool
        self._connection: ConnectionInterface = pool.connection_class(**pool.connection_kwargs)
        self._connection.connect()
        self._check = check
        self._owed = 0
        # What may be sent again, as long as nothing else is owed: reading.
        self._repeatable: list[Words] = []

    def send(self, *commands: Words) -> None:
        """Send `commands`, which only read or watch, without waiting for their answers."""
        if len(self._repeatable) == self._owed:
            self._repeatable += commands
        self._send(commands)

    def send_packed(self, data: bytes, answers: int) -> None:
        """Send commands that are in the protocol's form already; `answers` answers are owed for them."""
        self._connection.send_packed_command([data], check_health=False)
        self._owed += answers

    def receive(self, *, wrong_type_from: int | None = None) -> list[Any]:
        """The answers to everything sent since the last call, as bytes.

        Where the server is busy, what was sent by `send` is sent again until it is not. From the answer
        number `wrong_type_from` on, a WRONGTYPE error is an answer.

        Raises:
            LeaseLostError: The server refused a write because the lease was lost.
            ServerWentBackError: The server lost writes of this run.
            redis.RedisError: Any other error the server answered, once all answers are read.
        """
        while True:
            repeatable = self._repeatable if len(self._repeatable) == self._owed else []
            self._repeatable = []
            answers = self._read(self._owed)
            failure = _first_error(answers, wrong_type_from)
            if failure is None:
                return answers
            if not repeatable or self._check is None or not is_passing(failure):
                raise_answer(failure)
            self.wait()
            self._repeatable = list(repeatable)
            self._send(repeatable)

    def ask(self, *commands: Words, wrong_type_from: int | None = None) -> list[Any]:
        """Send commands that only read or watch, and receive."""
        self.send(*commands)
        return self.receive(wrong_type_from=wrong_type_from)

    def wait(self) -> None:
        """Let a moment pass while the server is busy; raises where waiting has no sense any more."""
        if self._check is not None:
            self._check()
        time.sleep(POLL_SECONDS)

    @property
    def patient(self) -> bool:
        """Whether a busy server is waited for."""
        return self._check is not None

    def close(self) -> None:
        """End the connection."""
        self._connection.disconnect()

    def _send(self, commands: Sequence[Words]) -> None:
        packed = self._connection.pack_commands(commands)
        # A health check would put a PING between the answers that are owed.
        self._connection.send_packed_command(packed, check_health=False)
        self._owed += len(commands)

    def _read(self, count: int) -> list[Any]:
        answers: list[Any] = []
        for _ in range(count):
            self._owed -= 1
            try:
                # An error that the server answered is no reason to close the connection.
                answer = self._connection.read_response(disable_decoding=True, disconnect_on_error=False)
            except (redis.ResponseError, redis.BusyLoadingError) as error:
                answer = error
            answers.append(answer)
        return answers


def open_lanes(client: redis.Redis, count: int, check: Check | None = None) -> list[Lane]:
    """`count` lanes, opened at the same time: each takes several round trips."""
    if count == 1:
        return [Lane(client, check)]
    with ThreadPoolExecutor(count) as pool:
        opened = [pool.submit(Lane, client, check) for _ in range(count)]
    failed = [error for error in (lane.exception() for lane in opened) if error is not None]
    if failed:
        for lane in opened:
            if lane.exception() is None:
                lane.result().close()
        raise failed[0]
    return [lane.result() for lane in opened]


def is_passing(error: Exception) -> bool:
    """Whether the server was busy or loading, so that nothing was done and asking later makes sense."""
    return isinstance(error, redis.BusyLoadingError) or bool(_PASSING.match(str(error)))


def raise_answer(error: redis.RedisError) -> None:
    """Raise an error that the server answered, as one of ours where the fence refused a write."""
    text = str(error)
    if text.startswith("FENCED"):
        raise LeaseLostError from error
    if text.startswith("WENTBACK"):
        raise ServerWentBackError(text) from error
    raise error


def _first_error(answers: Sequence[Any], wrong_type_from: int | None) -> redis.RedisError | None:
    for place, answer in enumerate(answers):
        if isinstance(answer, redis.RedisError):
            excused = wrong_type_from is not None and place >= wrong_type_from
            if not (excused and str(answer).startswith("WRONGTYPE")):
                return answer
    for answer in answers:
        if isinstance(answer, list):
            for part in answer:
                if isinstance(part, redis.RedisError):
                    return part
    return None
