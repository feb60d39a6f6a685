"""Moving legacy items into documents: ours, the hand-written way, RedisVL, and redis-py with ready blobs."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redisvl.index import SearchIndex

from benchmarks.by_hand import move_by_hand
from benchmarks.keys import ALIAS, EMBEDDINGS_KEY, METADATA_KEY, PREFIX
from benchmarks.legacy import LegacyItems, make_items, spec_mapping
from benchmarks.measure import RATE, Aim, Comparison, Contender, Sample, compare, take_turns
from benchmarks.project import CREATED, MOVED, Laps, make_project
from benchmarks.server import Server, in_batches
from vecmigrate.backfill import migrate_legacy_hash
from vecmigrate.commands.database import Session, open_session
from vecmigrate.commands.migrate import upgrade
from vecmigrate.commands.stamping import stamp
from vecmigrate.config import Config
from vecmigrate.errors import MissingIndexError
from vecmigrate.operations.state import physical_name
from vecmigrate.search.ddl import ft_create
from vecmigrate.spec.build import spec_from_mapping

COPY = "vecmigrate upgrade: copying"
VERIFIED = "vecmigrate upgrade: copying and verifying"
PLAIN = "vecmigrate helper, no ledger"
REFERENCE = "(a) by hand: HGETALL, json, one HSET each"
REDISVL = "(b) RedisVL load, decoded records"
REDISVL_TUNED = "(b) RedisVL load, batches of 1,000"
LIMIT = "(c) limit: pipelined HSET of ready blobs"

PIPELINE = 500
REDISVL_BATCH = 1000
AT_LEAST_REFERENCE = 5.0
AT_LEAST_LIMIT = 0.7
INDEX = physical_name(ALIAS, CREATED)


@dataclass(slots=True)
class Backfills:
    """All ways over one set of items on one server, with a FLAT index or with none."""

    server: Server
    items: LegacyItems
    config: Config
    indexed: bool
    _runs: Iterator[int]

    def clean(self) -> None:
        """Take away documents and ledgers; the index anew and empty, where there is to be one."""
        if INDEX.encode() in self.server.client.execute_command("FT._LIST"):
            self.server.client.execute_command("FT.DROPINDEX", INDEX)
        self.server.delete(self.items.keys)
        self.server.delete(key.decode() for key in self.server.client.scan_iter("vecmigrate:*", count=1000))
        if self.indexed:
            spec = spec_from_mapping(spec_mapping(self.items.dims))
            self.server.client.execute_command(*ft_create(spec, INDEX))

    def measured(self, name: str, work: Any) -> Mapping[str, Sample]:
        """`work` measured, and looked at afterwards: all documents are there."""
        count = len(self.items.names)
        with self.server.stopwatch.measure(count) as taken:
            work()
        stored = self.server.client.exists(*self.items.keys)
        if stored != count:
            raise RuntimeError(f"{name}: {stored} of {count} documents were stored")
        return {name: taken[0]}

    def upgrade(self) -> Mapping[str, Sample]:
        """The operation of a migration, with lease and ledger, as `vecmigrate upgrade` runs it."""
        laps = Laps(self.server.stopwatch, len(self.items.names))
        namespace = f"bench{next(self._runs)}"
        with open_session(self.config, redis_url=self.server.url, namespace=namespace) as session:
            stamp(session, CREATED)
            whole = self.measured(VERIFIED, lambda: self._upgrade(session, laps))
        return {COPY: laps.samples["backfill"], **whole}

    def _upgrade(self, session: Session, laps: Laps) -> None:
        """Where it is measured without an index, the command rightly says at its end that there is none."""
        with nullcontext() if self.indexed else suppress(MissingIndexError):
            upgrade(session, MOVED, progress=laps)

    def helper(self) -> Mapping[str, Sample]:
        """What the generated `migrate_legacy_…` helpers call."""
        spec = spec_mapping(self.items.dims)
        return self.measured(
            PLAIN,
            lambda: migrate_legacy_hash(
                self.server.client, spec, embeddings_key=EMBEDDINGS_KEY, metadata_key=METADATA_KEY
            ),
        )

    def reference(self) -> Mapping[str, Sample]:
        """The hand-written module's way."""
        return self.measured(REFERENCE, lambda: asyncio.run(move_by_hand(self.server.url)))

    def redisvl(self, name: str, batch_size: int | None) -> Mapping[str, Sample]:
        """RedisVL, given records that are decoded already."""
        index = SearchIndex.from_dict(redisvl_schema(self.items.dims), redis_client=self.server.client)
        records = self.items.documents()
        return self.measured(name, lambda: index.load(records, id_field="name", batch_size=batch_size))

    def limit(self) -> Mapping[str, Sample]:
        """redis-py's pipeline, given nothing to do but to send."""
        documents = list(zip(self.items.keys, self.items.documents(), strict=True))

        def work() -> None:
            for some in in_batches(documents, PIPELINE):
                pipeline = self.server.client.pipeline(transaction=False)
                for key, fields in some:
                    pipeline.hset(key, mapping=fields)
                pipeline.execute()

        return self.measured(LIMIT, work)

    def contenders(self, *, all_of_them: bool) -> list[Contender]:
        """In the order in which they take turns."""
        ours = [Contender(self.upgrade, self.clean), Contender(self.helper, self.clean)]
        libraries = [
            Contender(lambda: self.redisvl(REDISVL, None), self.clean),
            Contender(lambda: self.redisvl(REDISVL_TUNED, REDISVL_BATCH), self.clean),
        ]
        bounds = [Contender(self.reference, self.clean, warm_up=False), Contender(self.limit, self.clean)]
        return [*ours, *(libraries if all_of_them else []), *bounds]


def redisvl_schema(dims: int) -> dict[str, Any]:
    """The same index in RedisVL's words."""
    return {
        "index": {"name": INDEX, "prefix": PREFIX.removesuffix(":"), "storage_type": "hash"},
        "fields": [
            {"name": "name", "type": "tag"},
            {
                "name": "embedding",
                "type": "vector",
                "attrs": {
                    "dims": dims,
                    "algorithm": "flat",
                    "datatype": "float32",
                    "distance_metric": "cosine",
                },
            },
        ],
    }


def run(server: Server, *, quick: bool) -> Iterator[Comparison]:
    """384 and 768 dimensions, without and with an index; and texts with fewer digits."""
    count, rounds = (400, 1) if quick else (20_000, 3)
    cases: list[tuple[int, bool, int | None]] = [(384, False, None), (384, True, None), (384, False, 8)]
    if not quick:
        cases += [(768, False, None), (768, True, None)]
    runs = itertools.count()
    for dims, indexed, digits in cases:
        items = make_items(count, dims, digits=digits)
        items.store(server)
        with tempfile.TemporaryDirectory() as folder:
            ways = Backfills(server, items, make_project(Path(folder) / "project", dims), indexed, runs)
            samples = take_turns(ways.contenders(all_of_them=digits is None), rounds=rounds)
            ways.indexed = False
            ways.clean()
        server.delete([EMBEDDINGS_KEY, METADATA_KEY])
        size = sum(map(len, items.texts)) / len(items.texts) / 1000
        title = f"Backfill of {count:,} items of {dims} dimensions, {'FLAT index' if indexed else 'no index'}"
        how = f"{digits} digits after the point" if digits else "as json.dumps(float32.tolist()) writes them"
        yield compare(
            "backfill",
            title if digits is None else f"{title}, numbers with {digits} digits",
            samples,
            RATE,
            against=[REFERENCE, LIMIT],
            aims=[
                Aim(COPY, REFERENCE, "at least", AT_LEAST_REFERENCE),
                Aim(COPY, LIMIT, "at least", AT_LEAST_LIMIT),
            ],
            note=f"texts of {size:.1f} kB, {how}",
        )
