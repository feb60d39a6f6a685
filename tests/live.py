"""A project whose index is rebuilt while clients that know the right answers are at work.

write_project   a configuration and one migration for each piece of `op` code
Traffic         readers and writers in threads of their own, through generated helpers; what went wrong
die_at_stage    for a process that is to be killed at a certain place
settled         every document, asked for once more when all is quiet
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import redis

from tests.generated import make_package
from vecmigrate.config import Config, load_config
from vecmigrate.runtime.keys import LedgerKeys
from vecmigrate.runtime.lease import Lease
from vecmigrate.runtime.ledger import Step
from vecmigrate.search.reply import index_name, parse_info
from vecmigrate.spec.build import spec_from_mapping

DIMS = 48
ALIAS = "idx:item"
PREFIX = "item:"
KEYS = LedgerKeys("default")

SPEC: dict[str, Any] = {
    "name": "item",
    "index": {"name": ALIAS, "prefix": PREFIX},
    "key": "item_id",
    "fields": {
        "item_id": {"type": "tag", "from": "key"},
        "colour": {"type": "tag", "from": "argument"},
        "label": {"type": "text", "from": "argument"},
        "embedding": {"type": "vector", "dims": DIMS, "m": 16, "ef_construction": 200, "ef_runtime": 200},
    },
}
CREATE = f"op.create_index('item', index={SPEC['index']!r}, key='item_id', fields={SPEC['fields']!r})"

_SCRIPT = '''"""Step {revision}."""

revision = {revision!r}
down_revision = {down!r}


def upgrade(op):
    {body}


def downgrade(op):
    op.revert(upgrade)
'''


def write_project(folder: Path, *bodies: str, lease_seconds: int = 30) -> Config:
    """A project with the revisions 0001, 0002, … that do what `bodies` say."""
    (folder / "migrations").mkdir(parents=True, exist_ok=True)
    down = None
    for number, body in enumerate(bodies, 1):
        revision = f"{number:04d}"
        text = _SCRIPT.format(revision=revision, down=down, body=body)
        (folder / "migrations" / f"{revision}_step.py").write_text(text)
        down = revision
    (folder / "vecmigrate.toml").write_text(f"lease_seconds = {lease_seconds}\n")
    return load_config(folder / "vecmigrate.toml")


def helpers(folder: Path, **changes: Any) -> ModuleType:
    """The blocking helpers of the spec, as an application imports them."""
    package = make_package(folder, spec_from_mapping({**SPEC, **changes}))
    return package.sync


def units(random: np.random.Generator, count: int) -> np.ndarray:
    """Random vectors of shape (count, DIMS) and length 1, as embedding models give them.

    Among vectors of different lengths an HNSW graph by L2 may leave one that is far off without links: it
    then finds everything but that one, whoever built it, and no reader could know the right answer.
    """
    vectors = random.normal(size=(count, DIMS))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def fill(client: redis.Redis, count: int) -> np.ndarray:
    """Write `count` documents that nobody touches afterwards; their vectors."""
    vectors = units(np.random.default_rng(7), count)
    with client.pipeline(transaction=False) as pipe:
        for number, vector in enumerate(vectors):
            key = f"steady-{number}"
            fields = {
                "item_id": key,
                "colour": ("red", "green", "blue")[number % 3],
                "label": f"thing number {number}",
                "size": number,
                "embedding": vector.tobytes(),
            }
            pipe.hset(PREFIX + key, mapping=fields)
        pipe.execute()
    return vectors


def live(client: redis.Redis, name: str = ALIAS) -> str:
    """The physical index behind an alias."""
    return index_name(parse_info(client.execute_command("FT.INFO", name)))


def names(client: redis.Redis) -> set[str]:
    """All indexes."""
    return {name.decode() if isinstance(name, bytes) else name for name in client.execute_command("FT._LIST")}


def kept(client: redis.Redis) -> dict[str, dict[str, Any]]:
    """What the ledger says is kept."""
    return {name.decode(): json.loads(text) for name, text in client.hgetall(KEYS.kept).items()}


@dataclass
class Traffic:
    """Readers and writers over one server, until the `with` block ends.

    `wrong` lists answers that were not right, `errors` what was raised; `reads` and `writes` count.
    """

    url: str
    helpers: ModuleType
    vectors: np.ndarray
    readers: int = 2
    writers: int = 1
    wrong: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    reads: int = 0
    writes: int = 0
    longest: float = 0.0
    written: dict[str, np.ndarray] = field(default_factory=dict)
    deleted: dict[str, np.ndarray] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Traffic:
        for number in range(self.readers):
            self._start(self._read, number)
        for number in range(self.writers):
            self._start(self._write, number)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def check(self) -> None:
        """Fail where anything went wrong, or where nothing was asked."""
        assert not self.errors, self.errors
        assert not self.wrong, self.wrong[:10]
        assert self.reads > 50, self.reads
        assert self.writes > 10, self.writes

    def _start(self, target: Callable[[redis.Redis, Any], None], number: int) -> None:
        def work() -> None:
            with contextlib.closing(redis.Redis.from_url(self.url)) as client:
                random = np.random.default_rng(number)
                while not self._stop.is_set():
                    try:
                        target(client, (number, random))
                    except Exception as error:  # whatever a client sees is a finding
                        self.errors.append(repr(error))
                        return

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _read(self, client: redis.Redis, mine: Any) -> None:
        """Ask for a vector that is stored: its document comes first, at no distance, with all it holds."""
        _, random = mine
        number = int(random.integers(len(self.vectors)))
        began = time.perf_counter()
        hits = self.helpers.knn_search_items(client, self.vectors[number], knn_k=5)
        self.longest = max(self.longest, time.perf_counter() - began)
        first = hits[0] if len(hits) == 5 else {}
        expected = (f"steady-{number}", ("red", "green", "blue")[number % 3])
        if (first.get("item_id"), first.get("colour")) != expected:
            self.wrong.append(f"asked for {expected}, got {hits}")
        self.reads += 1

    def _write(self, client: redis.Redis, mine: Any) -> None:
        """Add, change or delete a document of one's own, and ask for it at once."""
        number, random = mine
        key = f"moving-{number}-{int(random.integers(200))}"
        vector = units(random, 1)[0]
        old = self.written.get(key)
        if old is not None and random.random() < 0.3:
            self.helpers.delete_item(client, key)
            del self.written[key]
            self.deleted[key] = old
            self._expect(client, key, old, there=False)
        else:
            self.helpers.store_item(client, key, embedding=vector, colour="grey", label="moving")
            self.written[key] = vector
            self.deleted.pop(key, None)
            self._expect(client, key, vector, there=True)
        self.writes += 1

    def _expect(self, client: redis.Redis, key: str, vector: np.ndarray, *, there: bool) -> None:
        found = [hit["item_id"] for hit in self.helpers.knn_search_items(client, vector, knn_k=1)]
        if (found == [key]) != there:
            self.wrong.append(f"{key} should be {'there' if there else 'gone'}, got {found}")


def settled(client: redis.Redis, module: ModuleType, traffic: Traffic) -> list[str]:
    """What is lost or wrong when all is quiet: every document that was written, changed or deleted."""
    faults = []
    for key, vector in traffic.written.items():
        if client.hget(PREFIX + key, "embedding") != vector.tobytes():
            faults.append(f"{key} was lost")
        if [hit["item_id"] for hit in module.knn_search_items(client, vector, knn_k=1)] != [key]:
            faults.append(f"{key} is not found")
    faults += [f"{key} came back" for key in traffic.deleted if client.exists(PREFIX + key)]
    count = parse_info(client.execute_command("FT.INFO", ALIAS))["num_docs"]
    if count != len(traffic.vectors) + len(traffic.written):
        faults.append(
            f"{count} documents in the index, {len(traffic.vectors) + len(traffic.written)} expected"
        )
    return faults


@contextlib.contextmanager
def plain_index(client: redis.Redis, *words: str) -> Iterator[None]:
    """A plain index, as services make at their start."""
    client.execute_command("FT.CREATE", ALIAS, *words)
    while parse_info(client.execute_command("FT.INFO", ALIAS))["indexing"]:
        time.sleep(0.01)
    yield


def die_at_stage(stage: str, moment: str) -> None:
    """Let this process be killed `before` or `after` the ledger takes note that `stage` begins."""
    original = Step.put

    def watched(self: Step, values: Any) -> None:
        at = values.get("stage") == stage
        if at and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        original(self, values)
        if at:
            os.kill(os.getpid(), signal.SIGKILL)

    Step.put = watched  # type: ignore[method-assign]  # in a process of its own, which ends with it


def die_after(command: str) -> None:
    """Let this process be killed right after the server has run `command`, before anything is noted."""
    guarded, take_over = Lease.guarded, Lease.take_over

    def watched(lease: Lease, *commands: Any, **options: Any) -> Any:
        reply = guarded(lease, *commands, **options)
        if any(words[0] == command for words in commands):
            os.kill(os.getpid(), signal.SIGKILL)
        return reply

    def taking_over(lease: Lease, name: str, physical: str, *commands: Any, **options: Any) -> bool:
        dropped = take_over(lease, name, physical, *commands, **options)
        sent = {words[0] for words in commands} | ({"FT.DROPINDEX"} if dropped else set())
        if command in sent | ({"FT.ALIASUPDATE"} if physical else set()):
            os.kill(os.getpid(), signal.SIGKILL)
        return dropped

    # In a process of its own, which ends with it.
    Lease.guarded = watched  # type: ignore[method-assign]
    Lease.take_over = taking_over  # type: ignore[method-assign]
