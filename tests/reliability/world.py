"""One run of one fault: a folder, a private server, a project of one's own, and what is there at the end."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis

from tests.reliability.command_line import CommandLine, Ended
from tests.reliability.faults import EndedWrongError
from vecmigrate.embedded import EmbeddedRedis

LEDGER = "vecmigrate:"
ALIASES = ("idx:item", "idx:thing", "idx:tool", "idx:old")
_GOLDEN = 0.6180339887498949
_SCAN_SECONDS = 60.0
_SCRIPT = '''"""Revision {revision}."""

revision = {revision!r}
down_revision = {down!r}


{top}


def upgrade(op):
    {body}


def downgrade(op):
    op.revert(upgrade)
'''


@dataclass(frozen=True)
class State:
    """All that counts at the end of a run.

    `indexes` has for each index its definition, its documents and the aliases that lead to it: a physical
    name is the tool's own affair. `ledger` is what `status` says, without times and names of indexes, and
    how many differences `drift` finds: those that an undisturbed run leaves are not the fault's.
    """

    documents: dict[str, str]
    indexes: tuple[tuple[str, int, tuple[str, ...]], ...]
    ledger: dict[str, Any]

    def against(self, wanted: State) -> str:
        """The first thing in which it differs from what is wanted; empty where nothing does."""
        if self.documents != wanted.documents:
            differing = {
                key
                for key in self.documents.keys() | wanted.documents.keys()
                if self.documents.get(key) != wanted.documents.get(key)
            }
            return (
                f"{len(self.documents)} documents (expected {len(wanted.documents)}), and {len(differing)} "
                f"differ, {min(differing)} among them"
            )
        if self.indexes != wanted.indexes:
            here = [item for item in self.indexes if item not in wanted.indexes]
            there = [item for item in wanted.indexes if item not in self.indexes]
            return (
                f"{len(self.indexes)} indexes (expected {len(wanted.indexes)}): "
                f"found {_said(here)}, expected {_said(there)}"
            )
        for name, value in wanted.ledger.items():
            if self.ledger[name] != value:
                return f"status: {name} is {self.ledger[name]} (expected {value})"
        return ""


def _said(items: Sequence[tuple[str, int, tuple[str, ...]]]) -> str:
    short = [
        f"{','.join(aliases) or 'no alias'} → {count} documents, "
        f"definition {hashlib.sha1(text.encode()).hexdigest()[:6]}"
        for text, count, aliases in items
    ]
    return "; ".join(short) or "nothing more"


class World:
    """A run's surroundings, taken down at the end of the `with` block.

    `random` and `share`, from 0 to 1, come from the seed alone; the shares of successive seeds lie evenly.
    """

    def __init__(self, seed: int, folder: Path, *, kept: bool = False, lease_seconds: int = 30) -> None:
        self.seed = seed
        self.random = random.Random(seed)
        self.share = seed * _GOLDEN % 1
        self.folder = folder
        self.project = folder / "project"
        (self.project / "migrations").mkdir(parents=True)
        self.lease_seconds = lease_seconds
        self.namespace("default")
        self._kept = folder / "data" if kept else None
        self._start(None)
        self._revisions = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()
        self.server.stop()

    # The server

    def _start(self, port: int | None) -> None:
        self.server = EmbeddedRedis(self._kept, port=port)
        self.client = redis.Redis.from_url(self.server.url, protocol=2, decode_responses=False)
        if self._kept is not None:
            self.client.config_set("appendfsync", "always")

    def kill_server(self) -> None:
        """SIGKILL."""
        os.kill(self.server.pid, signal.SIGKILL)

    def copy_data(self) -> None:
        """Remember the append-only files as they are now."""
        assert self._kept is not None
        shutil.copytree(self._kept / "appendonlydir", self.folder / "older")

    def start_again(self, *, older: bool = False) -> None:
        """Start the killed server on its port again; with `older` from what `copy_data` remembered."""
        assert self._kept is not None
        self.server.stop()
        self.client.close()
        if older:
            shutil.rmtree(self._kept / "appendonlydir")
            shutil.copytree(self.folder / "older", self._kept / "appendonlydir")
        self._start(self.server.port)

    # The project

    def namespace(self, name: str, **settings: object) -> None:
        """Write the configuration."""
        lines = [f'namespace = "{name}"', f"lease_seconds = {self.lease_seconds}"]
        lines += [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
        (self.project / "vecmigrate.toml").write_text("\n".join(lines) + "\n")

    def write(self, *bodies: str, top: str = "") -> None:
        """Add the revisions that come next: 0001, 0002, …"""
        for body in bodies:
            self._revisions += 1
            revision = f"{self._revisions:04d}"
            down = f"{self._revisions - 1:04d}" if self._revisions > 1 else None
            text = _SCRIPT.format(revision=revision, down=down, body=body, top=top)
            (self.project / "migrations" / f"{revision}_step.py").write_text(text)

    def start(self, *words: str, url: str | None = None, namespace: str | None = None) -> CommandLine:
        """A command line in the background."""
        return CommandLine(self.project, url or self.server.url, *words, namespace=namespace)

    def run(self, *words: str, url: str | None = None, namespace: str | None = None) -> Ended:
        """A command line, to its end."""
        with self.start(*words, url=url, namespace=namespace) as process:
            return process.end()

    def must(self, *words: str, url: str | None = None, namespace: str | None = None) -> Ended:
        """As `run`, where anything but exit code 0 is wrong."""
        ended = self.run(*words, url=url, namespace=namespace)
        if ended.code:
            raise EndedWrongError(ended.said)
        return ended

    # What is there

    def info(self, name: str) -> dict[str, Any] | None:
        """FT.INFO of an index or alias; None where there is none."""
        try:
            reply: Any = self.client.execute_command("FT.INFO", name)
        except redis.ResponseError:
            return None
        return {_text(key): value for key, value in zip(reply[::2], reply[1::2], strict=True)}

    def leads_to(self, alias: str) -> str | None:
        """The index behind an alias, or of that name."""
        info = self.info(alias)
        return None if info is None else _text(info["index_name"])

    def indexes(self) -> list[str]:
        """FT._LIST, in order."""
        listed: Any = self.client.execute_command("FT._LIST")
        return sorted(map(_text, listed))

    def settle(self) -> None:
        """Wait until no index is being scanned."""
        deadline = time.monotonic() + _SCAN_SECONDS
        for name in self.indexes():
            while (info := self.info(name)) is not None and int(info["indexing"]):
                if time.monotonic() > deadline:
                    raise EndedWrongError(f"{name} was still being scanned after {_SCAN_SECONDS:.0f} s")
                time.sleep(0.01)

    def documents(self) -> dict[str, str]:
        """Every key but those of the ledger → a digest of its value."""
        found = {}
        for key in self.client.scan_iter(count=1000):
            name = _text(key)
            if not name.startswith(LEDGER):
                value: Any = self.client.dump(key)
                kind = _text(self.client.type(key))
                if kind == "hash":
                    value = repr(sorted(self.client.hgetall(key).items())).encode()
                elif kind == "string":
                    value = self.client.get(key)
                elif kind == "ReJSON-RL":
                    value = self.client.execute_command("JSON.GET", key)
                found[name] = hashlib.sha1(value or b"").hexdigest()[:12]
        return found

    def everything(self) -> dict[str, bytes]:
        """Every key and its value as the server keeps it; the lease aside, which may lapse at any time."""
        keys = [key for key in self.client.scan_iter(count=1000) if not key.endswith(b":lease")]
        return {_text(key): self.client.dump(key) or b"" for key in keys}

    def state(self) -> State:
        """Everything that counts, once all is quiet."""
        self.settle()
        behind: dict[str, list[str]] = {}
        for alias in ALIASES:
            if (physical := self.leads_to(alias)) is not None and physical != alias:
                behind.setdefault(physical, []).append(alias)
        indexes = []
        for name in self.indexes():
            info = self.info(name) or {}
            definition = repr([_plain(info[part]) for part in ("index_definition", "attributes")])
            indexes.append((definition, int(info["num_docs"]), tuple(behind.get(name, ()))))
        return State(self.documents(), tuple(sorted(indexes)), self._ledger())

    def _ledger(self) -> dict[str, Any]:
        status = json.loads(self.must("status", "--format", "json").out)
        drift = json.loads(self.run("drift", "--format", "json").out or '{"drift": "no answer"}')["drift"]
        return {
            "current": status["current"],
            "pending": status["pending"],
            "half-done": [(item["revision"], item["status"]) for item in status["partial"]],
            "revisions": [(item["revision"], item["status"]) for item in status["revisions"]],
            "kept": sorted((item["kind"], item["name"], item["alias"]) for item in status["kept"]),
            "lease": _held(status["lease"]),
            "kept and gone": sum(not item["there"] for item in status["kept"]),
            **self._owned(),
            "drift": [item["message"] for item in drift] if isinstance(drift, list) else drift,
        }

    def _owned(self) -> dict[str, int]:
        """How many indexes the registry of the server knows, those that are gone, and builds at work."""
        owners: Any = self.client.hkeys("vecmigrate:owners")
        owned, there = set(map(_text, owners)), set(self.indexes())
        builds = sum(int(self.client.hlen(key)) for key in self.client.scan_iter("vecmigrate:*:builds"))
        return {
            "owned": len(owned & there),
            "owned and gone": len(owned - there),
            "unfinished builds": builds,
        }


def _held(lease: dict[str, Any] | None) -> dict[str, Any] | None:
    """The lease of a runner that lives.

    That of one that was killed is taken over at once by who wants it. A command that has nothing to write,
    as `upgrade` with nothing pending, wants none, and it lapses by itself.
    """
    return lease if lease is not None and Path(f"/proc/{lease['pid']}").exists() else None


def wait_until(condition: Callable[[], object], what: str, seconds: float = 60.0) -> None:
    """Poll until `condition` holds; raises EndedWrongError after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise EndedWrongError(f"waited {seconds:.0f} s until {what}")
        time.sleep(0.005)


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return _text(value) if isinstance(value, bytes) else value


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
