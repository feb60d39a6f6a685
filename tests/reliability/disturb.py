"""A command line behind a proxy at which something happens."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.reliability.command_line import CommandLine
from tests.reliability.faults import MissedError
from tests.reliability.proxy import Proxy, Then
from tests.reliability.world import World

_SECONDS_TO_START = 60.0


@dataclass(frozen=True)
class Disturbed:
    """A running command line and the proxy that it talks through."""

    process: CommandLine
    proxy: Proxy


@contextlib.contextmanager
def disturbed(
    world: World,
    words: tuple[str, ...],
    at: int,
    act: Callable[[CommandLine], Then],
    *,
    earlier: tuple[int, Callable[[], None]] | None = None,
    only: bytes = b"",
) -> Iterator[Disturbed]:
    """Start `words`; before its command number `at` reaches the server, `act` is called with the process.

    `earlier` is the number of an earlier command, and what is called before that one. With `only` commands
    count that have this word.

    Raises:
        MissedError: On leaving, where the command was over before `act` was called.
    """
    started = threading.Event()
    processes: list[CommandLine] = []

    def happen() -> Then:
        started.wait(_SECONDS_TO_START)
        return act(processes[0])

    with Proxy(world.server.port, at=at, act=happen, only=only) as proxy:
        if earlier is not None:
            proxy.before(*earlier)
        with world.start(*words, url=proxy.url) as process:
            processes.append(process)
            started.set()
            yield Disturbed(process, proxy)
        if not proxy.acted:
            raise MissedError
