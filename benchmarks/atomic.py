"""What it costs that the backfill checks and writes in one step on the server.

All commands are packed beforehand and sent one batch after the other: this is the server and the wire alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import redis

from benchmarks.keys import EMBEDDINGS_KEY, METADATA_KEY
from benchmarks.legacy import LegacyItems, make_items, spec_mapping
from benchmarks.measure import RATE, Comparison, Contender, Sample, compare, take_turns
from benchmarks.server import Server, in_batches
from vecmigrate.backfill.books import Books
from vecmigrate.backfill.convert import Document, Items
from vecmigrate.backfill.engine import Backfill
from vecmigrate.backfill.lane import Lane
from vecmigrate.spec.build import spec_from_mapping

PLAIN = "HSET each, pipelined"
SCRIPT = "write script, no ledger"
LEDGER = "write script, lease and ledger"
COMPARED = "write script, source changed: SHA-1 of each text"

DIMS = 384
BATCH = 200
BOOKS = Books("bench:lease", "bench", "bench:steps", "bench:items", "bench:rejects", "u0:", 0)


@dataclass(frozen=True, slots=True)
class Packed:
    """The calls for each batch, ready to be sent; `answers` is how many replies each has."""

    server: Server
    items: LegacyItems
    name: str
    calls: list[tuple[bytes, int]]

    def clean(self) -> None:
        """Take away what was written."""
        self.server.delete(self.items.keys)
        self.server.delete([BOOKS.steps, BOOKS.items, BOOKS.rejects])
        self.server.client.hset(BOOKS.lease, "id", BOOKS.identity)

    def run(self) -> Mapping[str, Sample]:
        """Send all of it."""
        lane = Lane(self.server.client)
        with self.server.stopwatch.measure(len(self.items.names)) as taken:
            for data, answers in self.calls:
                lane.send_packed(data, answers)
                lane.receive()
        lane.close()
        stored = self.server.client.exists(*self.items.keys)
        if stored != len(self.items.names):
            raise RuntimeError(f"{self.name}: {stored} of {len(self.items.names)} documents were stored")
        return {self.name: taken[0]}


def run(server: Server, *, quick: bool) -> list[Comparison]:
    """Plain writes beside the script, without and with a ledger, and where it compares source texts."""
    count, rounds = (400, 1) if quick else (20_000, 7)
    items = make_items(count, DIMS)
    items.store(server)
    spec = spec_from_mapping(spec_mapping(DIMS))
    with (
        Backfill(server.client, spec, EMBEDDINGS_KEY, METADATA_KEY, None) as plain,
        Backfill(server.client, spec, EMBEDDINGS_KEY, METADATA_KEY, BOOKS) as kept,
    ):
        batches = list(in_batches(_documents(plain, items), BATCH))
        packers: dict[str, Callable[[list[Document]], tuple[bytes, int]]] = {
            PLAIN: lambda some: (_hsets(plain, some), len(some)),
            SCRIPT: lambda some: (plain.command.pack(some, []), 1),
            LEDGER: lambda some: (kept.command.pack(some, []), 1),
            COMPARED: lambda some: (kept.command.pack(some, [], compare=True), 1),
        }
        ways = [
            Packed(server, items, name, [pack(list(some)) for some in batches])
            for name, pack in packers.items()
        ]
        samples = take_turns([Contender(way.run, way.clean) for way in ways], rounds=rounds)
    ways[0].clean()
    server.delete([BOOKS.lease, EMBEDDINGS_KEY, METADATA_KEY])
    title = (
        f"Check and write in one step: {count:,} documents of {DIMS} dimensions, no index, batches of {BATCH}"
    )
    return [compare("atomic", title, samples, RATE, against=[PLAIN])]


def _documents(backfill: Backfill, items: LegacyItems) -> list[Document]:
    """The documents that the backfill makes of `items`."""
    documents: list[Document] = []
    for start in range(0, len(items.names), BATCH):
        names = items.names[start : start + BATCH]
        texts = [items.texts[(start + place) % len(items.texts)] for place in range(len(names))]
        metadata: list[bytes | None] = [*items.metadata[start : start + BATCH]]
        read = Items([name.encode() for name in names], texts, metadata, [0] * len(names))
        made, _ = backfill.converter.convert(read, backfill.converter.decode(texts))
        documents += made
    return documents


def _hsets(backfill: Backfill, documents: list[Document]) -> bytes:
    paths = backfill.converter.paths
    prefix = backfill.spec.prefix.encode()
    commands = [
        (
            "HSET",
            prefix + document.name,
            *(word for pair in zip(paths, document.values, strict=True) for word in pair),
        )
        for document in documents
    ]
    return b"".join(redis.Connection().pack_commands(commands))
