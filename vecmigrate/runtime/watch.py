"""Watching that the server stays the one that a step began on, while code that is not ours works on it.

redis-py connects anew without a word, and behind the address may be another process by then: the server was
restarted from an older snapshot, or a replica took over. So each connection asks, as it is made, which
process it reached, and there is no moment in which a command can go to another one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import redis

from vecmigrate.errors import ServerChangedError
from vecmigrate.runtime.ledger import Step
from vecmigrate.runtime.own_client import own_client


@dataclass
class _Seen:
    """What the connections found. `changed` stays true: a function may swallow the error."""

    run_id: str | None = None
    changed: bool = False
    over: bool = False

    def on_connect(self, connection: Any) -> None:
        """Greet the server as usual, and ask which process it is."""
        try:
            connection.on_connect()
            if self.over:
                raise redis.ConnectionError("the step that this client was made for is over")
            connection.send_command("INFO", "server")
            found = _run_id(connection.read_response())
            if self.run_id is None:
                self.run_id = found
            self.changed = self.changed or found != self.run_id
            if self.changed:
                raise ServerChangedError
        except BaseException:
            connection.disconnect()
            raise


@dataclass(frozen=True, slots=True)
class Watch:
    """`operations.base.Watched`: a client, the step over that client, and what was seen."""

    client: redis.Redis
    step: Step
    _seen: _Seen = field(repr=False)

    def check(self) -> None:
        """Raise ServerChangedError where the server is another one by now, or was for a while."""
        if self._seen.changed:
            raise ServerChangedError
        self.client.ping()


@contextmanager
def watch(client: redis.Redis, step: Step) -> Iterator[Watch]:
    """A client like `client`, and `step` over it, that know the server they began on and no other.

    What is raised in the block while the server is another one comes out as ServerChangedError.
    """
    seen = _Seen()
    with own_client(client, redis_connect_func=seen.on_connect) as own:
        own.ping()  # from here on the server has to stay the same
        try:
            yield Watch(own, step.over(own), seen)
        except Exception as error:
            if seen.changed and not isinstance(error, ServerChangedError):
                raise ServerChangedError from error
            raise
        finally:
            seen.over = True


def _run_id(reply: Any) -> str:
    text = reply.decode() if isinstance(reply, bytes) else str(reply)
    return next(line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("run_id:"))
