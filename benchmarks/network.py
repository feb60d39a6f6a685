"""A network with a round trip: a TCP proxy before a server that hands every byte on a while later."""

from __future__ import annotations

import queue
import socket
import threading
import time
from contextlib import suppress

_PIECE = 1 << 18


class DelayingProxy:
    """Hands on what both sides send, each way half a round trip later, however much is under way.

    Args:
        port: Of the server on this machine.
        round_trip: In seconds.
    """

    def __init__(self, port: int, round_trip: float) -> None:
        self._port = port
        self._delay = round_trip / 2
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        self._open: list[socket.socket] = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """End every connection."""
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def __enter__(self) -> DelayingProxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                server = socket.create_connection(("127.0.0.1", self._port))
                self._open += [client, server]
                for one in (client, server):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._join(client, server)
                self._join(server, client)

    def _join(self, source: socket.socket, target: socket.socket) -> None:
        pieces: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
        threading.Thread(target=self._read, args=(source, pieces), daemon=True).start()
        threading.Thread(target=self._write, args=(target, pieces), daemon=True).start()

    def _read(self, source: socket.socket, pieces: queue.SimpleQueue[tuple[float, bytes]]) -> None:
        with suppress(OSError):
            while data := source.recv(_PIECE):
                pieces.put((time.monotonic() + self._delay, data))
        pieces.put((0.0, b""))

    def _write(self, target: socket.socket, pieces: queue.SimpleQueue[tuple[float, bytes]]) -> None:
        with suppress(OSError):
            while True:
                due, data = pieces.get()
                if not data:
                    break
                time.sleep(max(0.0, due - time.monotonic()))
                target.sendall(data)
            target.shutdown(socket.SHUT_RDWR)
