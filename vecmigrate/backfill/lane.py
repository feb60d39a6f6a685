"""One connection on which a request can be sent now and its answer read later.

Three of these let the server scan for one batch and write another while we decode a third: reading,
decoding and writing overlap without a thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import redis

from vecmigrate.errors import LeaseLostError

if TYPE_CHECKING:
    from redis.connection import ConnectionInterface

Words: TypeAlias = Sequence[str | bytes | int]


class Lane:
    """A connection of its own. It never reconnects: a lost connection may mean another server process."""

    def __init__(self, client: redis.Redis) -> None:
        # Not by `make_connection`: the pool would count it among its own for ever, up to its limit.
        pool = client.connection_pool
        self._connection: ConnectionInterface = pool.connection_class(**pool.connection_kwargs)
        self._connection.connect()
        self._owed = 0

    def send(self, *commands: Words) -> None:
        """Send `commands`; their answers are owed."""
        packed = self._connection.pack_commands(commands)
        # A health check would put a PING between the answers that are owed.
        self._connection.send_packed_command(packed, check_health=False)
        self._owed += len(commands)

    def send_packed(self, data: bytes, answers: int) -> None:
        """Send commands that are in the protocol's form already; `answers` answers are owed for them."""
        self._connection.send_packed_command([data], check_health=False)
        self._owed += answers

    def receive(self) -> list[Any]:
        """The answers to everything sent since the last call, as bytes.

        Raises:
            LeaseLostError: The server refused a write because the lease was lost.
            redis.ResponseError: Any other error the server answered, once all answers are read.
        """
        answers: list[Any] = []
        failure: redis.ResponseError | None = None
        while self._owed:
            self._owed -= 1
            try:
                answers.append(self._connection.read_response(disable_decoding=True))
            except redis.ResponseError as error:
                failure = failure or error
                answers.append(error)
        if failure is not None:
            raise_answer(failure)
        for answer in answers:
            if isinstance(answer, list):
                for part in answer:
                    if isinstance(part, redis.ResponseError):
                        raise_answer(part)
        return answers

    def ask(self, *commands: Words) -> list[Any]:
        """Send and receive."""
        self.send(*commands)
        return self.receive()

    def close(self) -> None:
        """End the connection."""
        self._connection.disconnect()


def raise_answer(error: redis.ResponseError) -> None:
    """Raise an error that the server answered, as LeaseLostError where it is that."""
    if str(error).startswith("FENCED"):
        raise LeaseLostError from error
    raise error
