"""The lease: one runner at a time, a heartbeat, and a fencing token that guards every write.

Protocol: `SET NX`-like acquisition by Lua that also gives out a growing token; the key expires by itself;
every write is a Lua call that first compares the lease's identity, `token:runner`. So a runner that slept
past its lease cannot write, however late it wakes (see M. Kleppmann, "How to do distributed locking", 2016).

The identity alone would survive in a server that lost writes and came back from a snapshot or a lagging
replica. So every fenced write counts up `seq` in the lease, and says which number was confirmed last: a
server that knows of fewer ends the run.
"""

from __future__ import annotations

import getpass
import os
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import Any
from uuid import uuid4

import redis

from vecmigrate import interruption
from vecmigrate.backfill.books import Fence
from vecmigrate.errors import LeaseLostError, LockedError, ServerWentBackError
from vecmigrate.runtime.keys import LedgerKeys
from vecmigrate.runtime.own_client import own_client

POLL_SECONDS = 0.25
# Without it Redis refuses every script that writes once maxmemory is reached, those that free memory too.
_ALLOW_OOM = "#!lua flags=allow-oom\n"
_GIVE_BACK_SECONDS = 0.8


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds the lease. `seconds_left` until it lapses, unless it is renewed."""

    token: int
    who: str
    host: str
    pid: int
    since: str
    command: str
    seconds_left: float

    def __str__(self) -> str:
        return (
            f"{self.who} on {self.host} (process {self.pid}, {self.command}, since {self.since}, "
            f"token {self.token}, lapses in {self.seconds_left:.0f} s unless renewed)"
        )


def script(name: str) -> str:
    """The text of one of the Lua scripts beside this module."""
    return resources.files("vecmigrate.runtime").joinpath("lua", name).read_text()


def fenced_script(name: str) -> str:
    """The text of a Lua script behind the check of the lease."""
    return script("fence.lua") + script(name)


def holder(client: redis.Redis, keys: LedgerKeys) -> Holder | None:
    """Who holds the lease now, or None."""
    fields: Any = client.hgetall(keys.lease)
    return _holder(fields, int(client.pttl(keys.lease))) if fields else None


def _holder(fields: dict[Any, Any], milliseconds: int) -> Holder:
    text = {key.decode(): value.decode() for key, value in fields.items()}
    return Holder(
        token=int(text.get("token", 0)),
        who=text.get("who", "?"),
        host=text.get("host", "?"),
        pid=int(text.get("pid", 0)),
        since=text.get("since", "?"),
        command=text.get("command", "?"),
        seconds_left=max(0, milliseconds) / 1000,
    )


class Lease:
    """The lease of one namespace, held for the length of a `with` block.

    Args:
        client: The client to hold it through.
        keys: The ledger's keys.
        seconds: How long it lives without a renewal; it is renewed three times as often.
        wait: How many seconds to wait for another holder to finish.
        command: What this runner does, for those who find the lease taken.

    Raises:
        LockedError: On entering, where another runner holds it for longer than `wait`.
    """

    def __init__(
        self,
        client: redis.Redis,
        keys: LedgerKeys,
        *,
        seconds: float,
        wait: float = 0.0,
        command: str = "upgrade",
    ) -> None:
        self._client = client
        self._keys = keys
        self._seconds = seconds
        self._wait = wait
        self._command = command
        text = fenced_script("guarded.lua")
        self._guarded = client.register_script(_ALLOW_OOM + text)
        self._guarded_growing = client.register_script(text)
        self._take_over = client.register_script(_ALLOW_OOM + fenced_script("take_over.lua"))
        self._renew = client.register_script(_ALLOW_OOM + script("renew.lua"))
        self._touch = client.register_script(fenced_script("touch.lua"))
        self._stop = threading.Event()
        self._lost = threading.Event()
        self._valid_until = 0.0
        self._heartbeat: threading.Thread | None = None
        self._runner = ""
        self.identity = ""
        self.fence = Fence()

    def __enter__(self) -> Lease:
        """Take it, and keep it by a heartbeat until the block ends."""
        self._runner = uuid4().hex
        # From here on it is given back whatever happens, be it between two lines of this method.
        interruption.hold(self, self._give_back)
        try:
            return self._take(self._runner)
        except Exception:
            interruption.let_go(self)
            raise
        except BaseException:
            with interruption.shielded():
                self._give_back()
                interruption.let_go(self)
            raise

    def _take(self, runner: str) -> Lease:
        acquire = self._client.register_script(_ALLOW_OOM + script("acquire.lua"))
        # All at once: a server that does not know them would cost two more round trips for each.
        with self._client.pipeline(transaction=False) as pipe:
            for one in (acquire, self._guarded, self._guarded_growing, self._take_over, self._renew):
                pipe.script_load(one.script)
            pipe.execute()
        deadline = time.monotonic() + self._wait
        while True:
            asked = time.monotonic()
            reply: Any = acquire(
                keys=[self._keys.lease, self._keys.fence],
                args=[runner, int(self._seconds * 1000), *self._description()],
            )
            if reply[0]:
                break
            fields = dict(zip(reply[1][::2], reply[1][1::2], strict=True))
            if _is_dead(fields):
                # Killed on this machine: nobody is left to renew it, so there is nothing to wait for.
                self._renew(keys=[self._keys.lease], args=[fields[b"id"], 0])
                continue
            if time.monotonic() >= deadline:
                raise LockedError(
                    f"another runner is at work: {_holder(fields, int(reply[2]))}",
                    hint="wait for it (--wait SECONDS), or `vecmigrate unlock --force` if it is gone",
                )
            time.sleep(POLL_SECONDS)
        self.identity = f"{int(reply[0])}:{runner}"
        self._valid_until = asked + self._seconds
        self._heartbeat = threading.Thread(target=self._beat, name="vecmigrate-lease", daemon=True)
        self._heartbeat.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give it back where it still is ours."""
        with interruption.shielded():
            self._stop.set()
            if interruption.asked() is not None:
                self._give_back()
            else:
                if self._heartbeat is not None:
                    self._heartbeat.join()
                # The server may be gone, and with it our way to give the lease back: it lapses by itself.
                with suppress(redis.RedisError):
                    self._renew(keys=[self._keys.lease], args=[self.identity, 0])
            interruption.let_go(self)

    def _give_back(self) -> None:
        """Give it back at once, over a connection of its own: those in use may be stalled."""
        self._stop.set()
        with (
            own_client(
                self._client, socket_connect_timeout=_GIVE_BACK_SECONDS, socket_timeout=_GIVE_BACK_SECONDS
            ) as client,
            suppress(redis.RedisError),
        ):
            # Whoever was interrupted while asking for it does not know the token that was given out.
            identity: Any = self.identity or client.hget(self._keys.lease, "id") or b""
            if isinstance(identity, bytes):
                identity = identity.decode()
            if identity.endswith(f":{self._runner}"):
                self._renew(keys=[self._keys.lease], args=[identity, 0], client=client)

    def check(self) -> None:
        """Raise LeaseLostError where this runner can no longer be sure of its lease."""
        if self.lapsed():
            raise LeaseLostError

    def lapsed(self) -> bool:
        """Whether this runner can no longer be sure of its lease."""
        return self._lost.is_set() or time.monotonic() > self._valid_until

    def guarded(
        self,
        *commands: Sequence[str | bytes | int],
        keys: Sequence[str] = (),
        grows: bool = False,
        client: redis.Redis | None = None,
    ) -> Any:
        """Run `commands` in one atomic step with the check of the lease; the reply is that of the last one.

        With `grows` a server that is out of memory refuses them; without, they are small or free memory. They
        go over `client` where one is given.

        Raises:
            LeaseLostError: The lease was lost; none of the commands ran.
            ServerWentBackError: The server lost writes of this run; none of the commands ran.
        """
        run = self._guarded_growing if grows else self._guarded
        return self._fenced(run, [self._keys.lease, *keys], (), commands, client)

    def take_over(
        self,
        name: str,
        physical: str,
        *commands: Sequence[str | bytes | int],
        keys: Sequence[str] = (),
    ) -> bool:
        """Drop the plain index `name`, if there is one, let an alias of that name lead to `physical`, and run
        `commands`: all in one atomic step with the check of the lease.

        With `physical` empty no alias is set. Returns whether a plain index was dropped; raises as `guarded`.
        """
        keys = [self._keys.lease, *keys]
        return bool(self._fenced(self._take_over, keys, (name, physical), commands))

    def touch(self, documents: Sequence[bytes], storage: str, paths: Sequence[str]) -> list[int]:
        """Write a value of each of `documents` anew, in one atomic step with the check of the lease.

        Gives 1 for each document that was there, else 0; nothing about it changes. `paths` are tried first.
        Raises as `guarded`.
        """
        keys: list[str | bytes] = [self._keys.lease, *documents]
        return [int(there) for there in self._fenced(self._touch, keys, (storage, *paths), ())]

    def _fenced(
        self,
        run: Any,
        keys: Sequence[str | bytes],
        first: Sequence[str],
        commands: Sequence[Sequence[str | bytes | int]],
        client: redis.Redis | None = None,
    ) -> Any:
        self.check()
        words: list[str | bytes | int] = [self.identity, self.fence.seq, *first]
        for command in commands:
            words += [len(command), *command]
        try:
            seq, reply = run(keys=keys, args=words, client=client)
        except redis.ResponseError as error:
            raise_fenced(error)
            raise
        self.fence.confirmed(int(seq))
        return reply

    def _beat(self) -> None:
        while not self._stop.wait(self._seconds / 3):
            asked = time.monotonic()
            try:
                kept = self._renew(keys=[self._keys.lease], args=[self.identity, int(self._seconds * 1000)])
            except redis.RedisError:
                # Not answered is not lost: `check` judges by the clock, the server by the token.
                continue
            if not kept:
                self._lost.set()
                return
            self._valid_until = asked + self._seconds

    def _description(self) -> list[str]:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return [
            "who",
            whoami(),
            "host",
            socket.gethostname(),
            "pid",
            str(os.getpid()),
            "since",
            now,
            "command",
            self._command,
            "machine",
            machine(),
        ]


def raise_fenced(error: redis.ResponseError) -> None:
    """Raise what the fence's refusal `error` means; do nothing where it is another error."""
    text = str(error)
    if text.startswith("FENCED"):
        raise LeaseLostError from error
    if text.startswith("WENTBACK"):
        raise ServerWentBackError(text) from error


def machine() -> str:
    """Names this start of this machine and this space of process ids; "" where the system does not tell."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}:{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _is_dead(fields: dict[bytes, bytes]) -> bool:
    """Whether the holder surely is gone: a process id of this very machine that no process has."""
    here = machine()
    if not here or fields.get(b"machine", b"").decode() != here:
        return False
    try:
        os.kill(int(fields[b"pid"]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def whoami() -> str:
    """The user's name, as far as the system knows it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
