"""A small project with legacy hashes, and what an upgrade made of it: for tests of backfills.

write_project     a configuration and migrations in a folder of the test
fill              legacy hashes of tools or skills, some of them damaged, always the same for the same seed
documents         what is at the destination, to compare with `expected`
accounts          what the ledger counted, without times and other things that differ from run to run
Run               the command line in a process of its own, which a test may stop, wake and kill
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import redis

from vecmigrate.backfill.lane import Lane
from vecmigrate.cli import run
from vecmigrate.commands.database import Session, open_session
from vecmigrate.config import Config, load_config
from vecmigrate.runtime.keys import LedgerKeys
from vecmigrate.search import reply

DIMS = 8
REVISION = "0001"
KEYS = LedgerKeys("default")

MIGRATION = '''"""Move tools and skills.

Revision ID: 0001
Revises:
"""

from vecmigrate.operations import Recorder

revision = "0001"
down_revision = None

EMBEDDING = {{"type": "vector", "dims": {dims}, "metric": "cosine", "algorithm": "{algorithm}"}}


def upgrade(op: Recorder) -> None:
    op.create_index(
        "tool",
        index={{"name": "idx:tool_emb", "prefix": "tool_emb:"}},
        key="tool_name",
        fields={{
            "name": {{"type": "tag", "from": "key"}},
            "meta_json": {{"type": "json"}},
            "embedding": EMBEDDING,
        }},
        publish=False,
    )
    op.create_index(
        "skill",
        index={{"name": "idx:skill_emb", "prefix": "skill_emb:"}},
        key="skill_id",
        fields={{
            "skill_id": {{"type": "tag", "from": "key"}},
            "name": {{"type": "text", "default_from": "key"}},
            "description": {{"type": "text", "default": ""}},
            "meta_json": {{"type": "json"}},
            "embedding": EMBEDDING,
        }},
        publish=False,
    )
    for name in ("tool", "skill"):
        op.backfill_legacy_hash(
            name,
            embeddings_key=op.variable(f"{{name}}_embeddings_key", default=f"{{name}}_embeddings"),
            metadata_key=f"{{name}}_metadata",
        )
    op.publish_index("tool")
    op.publish_index("skill")


def downgrade(op: Recorder) -> None:
    op.revert(upgrade)
'''
# The numbers of the steps that this migration records.
BACKFILL = {"tool": 2, "skill": 3}

Fields = dict[str, bytes]


def write_project(
    folder: Path,
    *,
    dims: int = DIMS,
    algorithm: str = "flat",
    lease_seconds: int = 30,
    script: str = MIGRATION,
) -> Config:
    """Write vecmigrate.toml and one migration into `folder`."""
    (folder / "migrations").mkdir(parents=True)
    (folder / "migrations" / "0001_move.py").write_text(script.format(dims=dims, algorithm=algorithm))
    (folder / "vecmigrate.toml").write_text(f"lease_seconds = {lease_seconds}\n")
    return load_config(folder / "vecmigrate.toml")


@contextlib.contextmanager
def session(config: Config, url: str, **variables: str) -> Iterator[Session]:
    """A session of the public API."""
    with open_session(config, redis_url=url, variables=variables) as opened:
        yield opened


def vector_text(numbers: Any) -> bytes:
    """A vector as legacy services store it."""
    return json.dumps([float(number) for number in numbers]).encode()


def blob(numbers: Any) -> bytes:
    """A vector as documents hold it."""
    return np.asarray(numbers, dtype="<f4").tobytes()


@dataclass(frozen=True)
class Item:
    """One item of a legacy hash. `numbers` is None where the text of the vector is damaged."""

    text: bytes
    numbers: Any
    metadata: bytes | None


def make_items(
    kind: str, count: int, *, seed: int, dims: int = DIMS, damaged: bool = True
) -> dict[bytes, Item]:
    """`count` items; with `damaged` every 40th vector is, and some of the metadata is missing or no JSON."""
    random = np.random.default_rng(seed)
    items: dict[bytes, Item] = {}
    for number in range(count):
        name = f"{kind}-{number:05d}-é" if number % 17 == 0 else f"{kind}-{number:05d}"
        numbers = random.normal(size=dims).round(6)
        text = vector_text(numbers)
        metadata: bytes | None = json.dumps({"name": f"The {name}", "n": number}).encode()
        if damaged and number % 40 == 3:
            text, numbers = text[: len(text) // 2], None
        if damaged and number % 25 == 1:
            metadata = None
        if damaged and number % 25 == 2:
            metadata = b"{cut"
        items[name.encode()] = Item(text, numbers, metadata)
    return items


def fill(client: redis.Redis, kind: str, items: Mapping[bytes, Item]) -> None:
    """Write `items` into the two legacy hashes of `kind`."""
    with client.pipeline(transaction=False) as pipe:
        for name, item in items.items():
            put(pipe, kind, name, item)
        pipe.execute()


def put(client: redis.Redis, kind: str, name: bytes, item: Item) -> None:
    """Write one item: first its metadata, as a service does that wants no item without."""
    if item.metadata is None:
        client.hdel(f"{kind}_metadata", name)
    else:
        client.hset(f"{kind}_metadata", name, item.metadata)
    client.hset(f"{kind}_embeddings", name, item.text)


def remove(client: redis.Redis, kind: str, name: bytes) -> None:
    """Delete one item."""
    client.hdel(f"{kind}_embeddings", name)
    client.hdel(f"{kind}_metadata", name)


def expected(kind: str, name: bytes, item: Item) -> Fields | None:
    """The document of `item`, None where it cannot be converted. Worked out without the engine."""
    if item.numbers is None:
        return None
    key_field = {"tool": b"name", "skill": b"skill_id"}[kind]
    text = item.metadata
    try:
        metadata = json.loads(text or b"")
    except ValueError:
        metadata = {key_field.decode(): name.decode()}
        text = json.dumps(metadata, ensure_ascii=False, separators=(",", ":")).encode()
    fields = {key_field.decode(): name, "meta_json": text, "embedding": blob(item.numbers)}
    if kind == "skill":
        fields["name"] = (metadata.get("name") or name.decode()).encode()
        fields["description"] = (metadata.get("description") or "").encode()
    return fields


def all_expected(kind: str, items: Mapping[bytes, Item]) -> dict[bytes, Fields]:
    """Every document that is to be there at the end, by name."""
    wanted = {name: expected(kind, name, item) for name, item in items.items()}
    return {name: fields for name, fields in wanted.items() if fields is not None}


def documents(client: redis.Redis, kind: str) -> dict[bytes, Fields]:
    """Every document of `kind` as it is stored, by name."""
    prefix = f"{kind}_emb:".encode()
    keys = list(client.scan_iter(prefix + b"*", count=1000))
    with client.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.hgetall(key)
        stored = pipe.execute()
    return {
        key.removeprefix(prefix): {name.decode(errors="replace"): value for name, value in fields.items()}
        for key, fields in zip(keys, stored, strict=True)
    }


def count_documents(client: redis.Redis, index: str) -> int:
    """How many documents the index has."""
    return reply.num_docs(reply.parse_info(client.execute_command("FT.INFO", index)))


def keyspace(client: redis.Redis) -> dict[bytes, Any]:
    """Everything on the server: key → (its value, when it expires)."""
    read = {b"hash": "hgetall", b"stream": "xrange", b"string": "get"}
    keys = list(client.scan_iter(count=1000))
    with client.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.type(key)
        kinds = pipe.execute()
        for key, kind in zip(keys, kinds, strict=True):
            getattr(pipe, read[kind])(key)
            pipe.pexpiretime(key)
        answers = pipe.execute()
    return dict(zip(keys, zip(answers[::2], answers[1::2], strict=True), strict=True))


def index_names(client: redis.Redis) -> list[str]:
    """Every physical index, sorted."""
    return sorted(name.decode() for name in client.execute_command("FT._LIST"))


def dealt_with(client: redis.Redis) -> int:
    """How many items the backfills have dealt with."""
    return sum(client.hlen(KEYS.items(REVISION, step)) for step in BACKFILL.values())


def status(client: redis.Redis) -> str | None:
    """The status of revision 0001 as the ledger has it."""
    return json.loads(client.hget(KEYS.revisions, REVISION) or b"{}").get("status")


def step_values(client: redis.Redis, step: int, direction: str = "u") -> dict[str, str]:
    """What the ledger has of one step."""
    start = f"{direction}{step}:"
    stored = {name.decode(): value.decode() for name, value in client.hgetall(KEYS.steps(REVISION)).items()}
    return {name.removeprefix(start): value for name, value in stored.items() if name.startswith(start)}


def accounts(client: redis.Redis) -> dict[str, Any]:
    """What the ledger says of revision 0001, less times, cursors and ids that differ from run to run."""
    passing = {"at", "seconds", "run_id"}
    steps = {
        name.decode(): value.decode()
        for name, value in client.hgetall(KEYS.steps(REVISION)).items()
        if name.decode().partition(":")[2] not in passing
    }
    rejects = sorted(
        tuple(sorted((name.decode(), value) for name, value in fields.items()))
        for _, fields in client.xrange(KEYS.rejects(REVISION))
    )
    record = json.loads(client.hget(KEYS.revisions, REVISION) or b"{}")
    marks = {kind: client.hgetall(KEYS.items(REVISION, step)) for kind, step in BACKFILL.items()}
    # Behind a mark of one letter, and of twelve bytes where it is "w", stands the id of its entry in rejects.
    length = {b"w": 13, b"e": 1, b"r": 1}
    items = {
        kind: {name: mark[: length[mark[:1]]] for name, mark in of_kind.items()}
        for kind, of_kind in marks.items()
    }
    named = sorted(mark[length[mark[:1]] :] for of_kind in marks.values() for mark in of_kind.values())
    entries = sorted(entry for entry, _ in client.xrange(KEYS.rejects(REVISION)))
    assert [entry for entry in named if entry] == entries
    return {
        "steps": steps,
        "rejects": rejects,
        "items": items,
        "status": record.get("status"),
        "error": record.get("error"),
    }


def wait_until(condition: Callable[[], object], what: str, seconds: float = 20.0) -> None:
    """Poll until `condition` holds; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s until {what}"
        time.sleep(0.001)


def pause(seconds: float) -> None:
    """Let time pass, where that is the point."""
    time.sleep(seconds)


def drop_indexes(client: redis.Redis) -> None:
    """Drop every index; documents stay."""
    for name in client.execute_command("FT._LIST"):
        client.execute_command("FT.DROPINDEX", name)


# Forks from a process that has imported everything, which saves each run the start of Python.
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.legacy", "vecmigrate.backfill.engine", "vecmigrate.backfill.verify"])


class Run:
    """`vecmigrate ARGUMENTS` in a process of its own, which ends with the `with` block at the latest.

    `first` is called there before anything else.
    """

    def __init__(
        self, config: Config, url: str, *arguments: str, first: Callable[[], None] | None = None
    ) -> None:
        folder = config.root / "runs"
        folder.mkdir(exist_ok=True)
        self._output = folder / f"{time.monotonic_ns()}"
        words = ["--config", str(config.file), "--redis", url, *arguments]
        self._process = _FORKS.Process(target=_run, args=(words, str(self._output), first))
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.is_alive()

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def stop(self) -> None:
        """SIGSTOP, and wait until it is stopped."""
        self.send(signal.SIGSTOP)
        self.wait_until_stopped()

    def wait_until_stopped(self) -> None:
        """Wait until SIGSTOP has reached it."""
        wait_until(lambda: self.running and psutil.Process(self.pid).status() == "stopped", "it is stopped")

    def wake(self) -> None:
        """SIGCONT."""
        self.send(signal.SIGCONT)

    def kill(self) -> bool:
        """SIGKILL; whether it was what ended the process."""
        with contextlib.suppress(ProcessLookupError):
            self.send(signal.SIGKILL)
        return self.wait() == -signal.SIGKILL

    def wait(self, seconds: float = 60.0) -> int:
        """The exit code; negative for a signal."""
        self._process.join(seconds)
        assert self._process.exitcode is not None, f"still running after {seconds} s: {self.output}"
        return self._process.exitcode

    @property
    def output(self) -> str:
        """What it printed so far, on stdout and stderr."""
        return self._output.read_text() if self._output.exists() else ""

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.is_alive():
            self.wake()
            self.kill()


def _run(words: list[str], output: str, first: Callable[[], None] | None) -> None:
    """In the new process: send everything it prints into a file, and be the command line."""
    if first is not None:
        first()
    target = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number in (1, 2):
        os.dup2(target, number)
    raise SystemExit(run(words))


def signal_at(
    method: str, call: int, moment: str, number: int = signal.SIGKILL, *, owner: type[Any] = Lane
) -> None:
    """Let this process get a signal `before` or `after` that call of `owner.<method>`, counted from 1."""
    original = getattr(owner, method)
    calls = 0

    def counted(self: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        here = calls == call
        if here and moment == "before":
            os.kill(os.getpid(), number)
        answer = original(self, *args, **kwargs)
        if here and moment == "after":
            os.kill(os.getpid(), number)
        return answer

    setattr(owner, method, counted)


def upgrade(config: Config, url: str, *options: str, expect: int = 0) -> str:
    """Run `vecmigrate upgrade` to its end; its output."""
    with Run(config, url, "upgrade", *options) as run_:
        code = run_.wait()
        assert code == expect, run_.output
        return run_.output
