"""A TCP proxy that reads the commands which pass, and lets something happen at the n-th.

Counting commands makes a fault repeatable where a clock does not: the n-th command is the same one in every
run. A command that repeats the one before it on its connection is a poll, and counts once however often it
is sent.
"""

from __future__ import annotations

import contextlib
import enum
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

_CHUNK = 1 << 18
_LONGEST_WAIT = 120.0


class Then(enum.Enum):
    """What becomes of the command at which something happened, and of its connection."""

    PASS = "pass"
    LOSE = "lose"  # the command never reaches the server
    CUT = "cut"  # nor does it, and the connection ends
    LOSE_REPLY = "lose reply"  # the server does it, and the connection ends before the reply
    STALL = "stall"  # it stands still, and so does every connection, until `flow` is called


Act = Callable[[], Then]


class Proxy:
    """Listens on `url` and passes everything on to `port`; ends with the `with` block.

    Args:
        port: Of the server on 127.0.0.1.
        at: The command, counted from 1, before which `act` is called, once.
        only: Count only commands with this word, those that are the words of a script included.
        delay: Seconds by which each piece is held up, in each direction.
    """

    def __init__(
        self, port: int, *, at: int = 0, act: Act | None = None, only: bytes = b"", delay: float = 0.0
    ) -> None:
        self.commands: list[str] = []
        self.acted = False
        self._port, self._at, self._act, self._only, self._delay = port, at, act, only, delay
        self._before: tuple[int, Callable[[], None]] | None = None
        self._flowing = threading.Event()
        self._flowing.set()
        self._counting = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._flowing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def flow(self) -> None:
        """Let everything pass again after `Then.STALL`."""
        self._flowing.set()

    def before(self, at: int, call: Callable[[], None]) -> None:
        """Call `call` before the command number `at` passes, which must not come after that of `act`."""
        self._before = at, call

    def cut(self) -> None:
        """End every connection."""
        for one in list(self._open):
            _end(one)

    def _accept(self) -> None:
        while True:
            try:
                client = self._listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(("127.0.0.1", self._port), timeout=5)
        except OSError:
            _end(client)
            return
        server.settimeout(None)
        for one in (client, server):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open.add(one)
        link = _Link(self, client, server)
        threading.Thread(target=link.answer, daemon=True).start()
        link.ask()

    def _passing(self, words: list[bytes]) -> Then:
        """Count one command, and let happen what is to happen at it."""
        if self._only and self._only not in words:
            return Then.PASS
        with self._counting:
            self.commands.append(words[0].decode(errors="replace").upper() if words else "")
            if self._before is not None and len(self.commands) >= self._before[0]:
                self._before[1]()
                self._before = None
            if self._act is None or self.acted or len(self.commands) < self._at:
                return Then.PASS
            self.acted = True
            then = self._act()
            if then is Then.STALL:
                self._flowing.clear()
            return then


class _Link:
    """One connection of a client, and the one to the server behind it."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy, self._client, self._server = proxy, client, server
        self._last: list[bytes] = []
        self._reply_lost = False

    def ask(self) -> None:
        """Pass on what the client sends, command by command."""
        buffer = b""
        with contextlib.suppress(OSError):
            while data := self._client.recv(_CHUNK):
                buffer += data
                passing, buffer, go_on = self._read(buffer)
                self._wait()
                self._server.sendall(passing)
                if not go_on:
                    return
        _end(self._server)
        _end(self._client)

    def answer(self) -> None:
        """Pass on what the server answers."""
        with contextlib.suppress(OSError):
            while data := self._server.recv(_CHUNK):
                if self._reply_lost:
                    break
                self._wait()
                self._client.sendall(data)
        _end(self._client)
        _end(self._server)

    def _read(self, buffer: bytes) -> tuple[bytes, bytes, bool]:
        """What may pass of `buffer`, what is no whole command yet, and whether the connection goes on."""
        passing = []
        while found := command(buffer):
            words, length = found
            then = Then.PASS
            if words != self._last:
                # What came before is on the server by the time something happens.
                if passing:
                    self._server.sendall(b"".join(passing))
                    passing.clear()
                then = self._proxy._passing(words)
                self._last = words
            if then is Then.CUT:
                _end(self._client)
                _end(self._server)
                return b"", b"", False
            if then is Then.LOSE:
                return b"", b"", False
            passing.append(buffer[:length])
            buffer = buffer[length:]
            if then is Then.LOSE_REPLY:
                self._reply_lost = True
                return b"".join(passing), b"", False
        return b"".join(passing), buffer, True

    def _wait(self) -> None:
        if self._proxy._delay:
            time.sleep(self._proxy._delay)
        self._proxy._flowing.wait(_LONGEST_WAIT)


def command(buffer: bytes) -> tuple[list[bytes], int] | None:
    """The words of the first command in `buffer` and its length in bytes; None where it is not whole yet."""
    if not buffer.startswith(b"*"):
        end = buffer.find(b"\r\n")
        return None if end < 0 else (buffer[:end].split(), end + 2)
    place = buffer.find(b"\r\n")
    if place < 0:
        return None
    count, place = int(buffer[1:place]), place + 2
    words = []
    for _ in range(count):
        end = buffer.find(b"\r\n", place)
        if end < 0:
            return None
        size, start = int(buffer[place + 1 : end]), end + 2
        if len(buffer) < start + size + 2:
            return None
        words.append(buffer[start : start + size])
        place = start + size + 2
    return words, place


def _end(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
