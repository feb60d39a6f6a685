"""Clients of one index in a process of their own, who know the right answers; started by `rebuild.py`.

Two readers ask for vectors that are stored, one after another: the document of that vector must come first. A
writer adds, changes and deletes documents of its own, and asks for each at once. Between two questions each
rests for some milliseconds: what is measured is a server that is busy, and not one that is overrun. When
standard input ends, the counts are printed as JSON.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import redis

from benchmarks.legacy import unit_vectors
from vecmigrate.search.reply import parse_search

EF_RUNTIME = 200
READERS = 2
OWN = 300
READERS_REST = 0.005
WRITER_RESTS = 0.01


@dataclass
class Seen:
    """What the clients saw. `wrong` counts answers without the right document, `errors` error replies."""

    asked: int = 0
    wrong: int = 0
    errors: int = 0
    writes: int = 0
    lost: int = 0
    seconds: list[float] = field(default_factory=list)

    @property
    def right(self) -> float:
        """The share of answers that were right, in per cent."""
        return 100 * (self.asked - self.wrong - self.errors) / self.asked if self.asked else 0.0

    def say(self) -> str:
        """In a sentence."""
        worst = float(np.percentile(self.seconds, 99)) * 1000 if self.seconds else 0.0
        return (
            f"{self.asked:,} answers: {self.wrong:,} wrong, {self.errors:,} errors, p99 {worst:.0f} ms; "
            f"{self.writes:,} writes, {self.lost:,} lost"
        )


@contextlib.contextmanager
def under_traffic(url: str, index: str, prefix: str, count: int, dims: int) -> Iterator[list[Seen]]:
    """Let clients work for the length of the block; the list holds what they saw afterwards."""
    words = [sys.executable, "-m", "benchmarks.traffic", url, index, prefix, str(count), str(dims)]
    found: list[Seen] = []
    root = Path(__file__).parents[1]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()  # they are at work
        try:
            yield found
        finally:
            process.stdin.close()
            found.append(Seen(**json.loads(process.stdout.read())))


class Clients:
    """The threads and what they count."""

    def __init__(self, url: str, index: str, prefix: str, vectors: Any) -> None:
        self.url, self.index, self.prefix, self.vectors = url, index, prefix, vectors
        self.stop = threading.Event()
        self.seen = [Seen() for _ in range(READERS + 1)]
        self.own: dict[str, bytes] = {}
        self.threads = [threading.Thread(target=self._read, args=(place,)) for place in range(READERS)]
        self.threads.append(threading.Thread(target=self._write))

    def end(self) -> Seen:
        """Stop, and add up what all of them saw."""
        self.stop.set()
        for thread in self.threads:
            thread.join()
        total = Seen()
        for seen in self.seen:
            total.asked += seen.asked
            total.wrong += seen.wrong
            total.errors += seen.errors
            total.writes += seen.writes
            total.seconds += seen.seconds
        with redis.Redis.from_url(self.url) as client:
            for key, blob in self.own.items():
                total.lost += client.hget(key, "embedding") != blob
                client.delete(key)
        return total

    def _read(self, place: int) -> None:
        random = np.random.default_rng(place)
        with redis.Redis.from_url(self.url) as client:
            while not self.stop.is_set():
                number = int(random.integers(len(self.vectors)))
                wanted = f"{self.prefix}tool_{number:06d}"
                self._ask(client, self.seen[place], self.vectors[number].tobytes(), wanted)
                time.sleep(READERS_REST)

    def _write(self) -> None:
        random = np.random.default_rng(99)
        seen = self.seen[READERS]
        with redis.Redis.from_url(self.url) as client:
            while not self.stop.is_set():
                key = f"{self.prefix}own_{int(random.integers(OWN))}"
                if key in self.own and random.random() < 0.3:
                    client.delete(key)
                    self._ask(client, seen, self.own.pop(key), key, there=False)
                else:
                    row = random.standard_normal(self.vectors.shape[1]).astype(np.float32)
                    client.hset(key, mapping={"name": key, "embedding": row.tobytes()})
                    self.own[key] = row.tobytes()
                    self._ask(client, seen, row.tobytes(), key)
                seen.writes += 1
                time.sleep(WRITER_RESTS)

    def _ask(self, client: redis.Redis, seen: Seen, blob: bytes, key: str, *, there: bool = True) -> None:
        clause = f"*=>[KNN 1 @embedding $q EF_RUNTIME {EF_RUNTIME}]"
        began = time.perf_counter()
        seen.asked += 1
        try:
            answer = client.execute_command(
                "FT.SEARCH", self.index, clause, "PARAMS", 2, "q", blob, "NOCONTENT", "DIALECT", 2
            )
        except redis.RedisError:
            seen.errors += 1
            return
        seen.seconds.append(time.perf_counter() - began)
        found = [hit.id for hit in parse_search(answer, with_content=False).hits]
        seen.wrong += (found == [key]) is not there


def main() -> None:
    """Work until standard input ends."""
    url, index, prefix, count, dims = sys.argv[1:]
    clients = Clients(url, index, prefix, unit_vectors(int(count), int(dims), seed=1))
    for thread in clients.threads:
        thread.start()
    print("at work", flush=True)
    sys.stdin.read()
    print(json.dumps(asdict(clients.end())))


if __name__ == "__main__":
    main()
