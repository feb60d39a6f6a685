"""Which index is whose, by the ledger and the server's registry: reading both, and changing both together."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import redis

from vecmigrate.errors import IndexConflictError
from vecmigrate.operations.registry import Build, IndexRecord
from vecmigrate.runtime.keys import OWNERS
from vecmigrate.runtime.ledger import Ledger, LedgerWriter
from vecmigrate.runtime.records import dump_record, load_record
from vecmigrate.runtime.search_server import alias_list, index_info, run_together
from vecmigrate.search import ddl, reply

Words = Sequence[str | bytes]

# The direction of no step: what is noted so is nobody's to go on with.
_TO_GO = "-"


def read_indexes(ledger: Ledger) -> dict[str, IndexRecord]:
    """The index of every spec, by its name, as the ledger has it."""
    stored: Any = ledger.client.hgetall(ledger.keys.indexes)
    return parse_indexes(stored)


def parse_indexes(stored: Mapping[bytes, bytes]) -> dict[str, IndexRecord]:
    """The records in a reply of HGETALL."""
    return {name.decode(): load_record(IndexRecord, text) for name, text in sorted(stored.items())}


def read_builds(ledger: Ledger) -> dict[str, Build]:
    """Every index that is being built or was left half-built, by its physical name."""
    stored: Any = ledger.client.hgetall(ledger.keys.builds)
    return {name.decode(): load_record(Build, text) for name, text in sorted(stored.items())}


def read_owners(client: redis.Redis, names: Iterable[str]) -> dict[str, str]:
    """The namespaces that own the indexes `names`; those that nobody owns are left out."""
    wanted = list(names)
    if not wanted:
        return {}
    found: Any = client.hmget(OWNERS, wanted)
    return {name: owner.decode() for name, owner in zip(wanted, found, strict=True) if owner is not None}


class Registry:
    """`operations.registry.IndexRegistry` over the ledger.

    `revision`, `direction` and `step` say who builds.
    """

    def __init__(
        self, writer: LedgerWriter, *, revision: str = "", direction: str = "u", step: int = 0
    ) -> None:
        self._writer = writer
        self._client: redis.Redis = writer.ledger.client
        self._namespace = writer.keys.namespace
        self._place = (revision, direction, step)

    def get(self, name: str) -> IndexRecord | None:
        """The index of the spec `name`, or None."""
        return self.all().get(name)

    def all(self) -> dict[str, IndexRecord]:
        """Every index, by the name of its spec."""
        return read_indexes(self._writer.ledger)

    def owner(self, physical: str) -> str | None:
        """The namespace that owns the index `physical`, or None."""
        return read_owners(self._client, [physical]).get(physical)

    def is_ours(self, physical: str) -> bool:
        """Whether this namespace owns the index `physical`."""
        return self.owner(physical) == self._namespace

    def begin_build(self, name: str, wanted: str, *, exact: bool = False) -> str:
        """The physical name under which this step builds; see the protocol."""
        builds = [build for build in read_builds(self._writer.ledger).values() if build.name == name]
        if not all(map(self._is_mine, builds)):
            self.drop_leftovers(name)
        commands: list[Words] = []
        key = self._writer.keys.builds
        for build in builds:
            if self._is_mine(build):
                if index_info(self._client, build.physical) is None or self.is_ours(build.physical):
                    return build.physical
                # Noted, and created by somebody else before we came to it.
                commands.append(("HDEL", key, build.physical))
        physical = wanted if exact else self._free(wanted)
        if exact and (index_info(self._client, wanted) is not None or not self._may_own(wanted)):
            raise IndexConflictError(
                f"the name {wanted!r} is taken on this server (expected one that is free: with `alias: "
                "false` the index itself carries it)",
                hint="give the spec another index.name",
            )
        revision, direction, step = self._place
        build = Build(physical, name, revision, direction, step)
        self._writer.lease.guarded(*commands, ("HSET", key, physical, dump_record(build)), keys=[key])
        return physical

    def create(self, words: Sequence[str], physical: str) -> None:
        """Send FT.CREATE for `physical` and take ownership of it, in one step."""
        owned = ("HSET", OWNERS, physical, self._namespace)
        try:
            run_together(self._client, self._writer.lease, [words, owned], keys=[OWNERS], grows=True)
        except redis.ResponseError as error:
            if "already exists" not in str(error).lower():
                raise
            raise IndexConflictError(
                f"index {physical!r} was created by somebody else just now (expected a name that is free)",
                hint="run it again: another name is taken then",
            ) from error

    def point(
        self,
        record: IndexRecord,
        *commands: Words,
        over_plain: Collection[str] = (),
        superseded: str | None = None,
    ) -> None:
        """Let every alias of `record` lead to its index; see the protocol."""
        plain = [alias for alias in record.aliases if self._is_plain(alias, record, over_plain)]
        moves = [ddl.ft_alias_update(alias, record.physical) for alias in record.aliases]
        rest: list[Words] = [*self._stored(record), *commands]
        if superseded is not None and self.is_ours(superseded):
            # Whoever is killed before it is dropped leaves an index that the next one knows.
            revision, _, step = self._place
            doomed = Build(superseded, record.name, revision, _TO_GO, step)
            rest.append(("HSET", self._writer.keys.builds, superseded, dump_record(doomed)))
        keys = self._keys
        rest += [("HDEL", OWNERS, name) for name in plain]
        for name in plain:
            last = name == plain[-1]
            following = [*moves, *rest] if last else []
            self._writer.lease.take_over(name, record.physical, *following, keys=keys)
        if not plain:
            run_together(self._client, self._writer.lease, [*moves, *rest], keys=keys)

    def put(self, record: IndexRecord, *commands: Words) -> None:
        """Store `record` and run `commands`, in one step; no alias moves."""
        run_together(self._client, self._writer.lease, [*self._stored(record), *commands], keys=self._keys)

    def adopt(self, record: IndexRecord) -> None:
        """Take ownership of an index that is there, and store `record`."""
        self.require_free(record.physical)
        self.put(replace(record, origin="adopted"))
        try:
            self.require_free(record.physical)
        except IndexConflictError:
            # Another namespace came between looking and writing.
            self._writer.lease.guarded(
                ("HDEL", self._writer.keys.indexes, record.name), keys=[self._writer.keys.indexes]
            )
            raise

    def rename(self, record: IndexRecord, name: str, *commands: Words) -> IndexRecord:
        """Store `record` under another name of its spec, in one step."""
        renamed = replace(record, name=name)
        self.put(renamed, ("HDEL", self._writer.keys.indexes, record.name), *commands)
        return renamed

    def require_free(self, physical: str) -> None:
        """Raise IndexConflictError where the index `physical` belongs to another namespace."""
        owner = self.owner(physical)
        if owner not in (None, self._namespace):
            raise IndexConflictError(*_foreign(physical, owner, self._namespace))

    def release(self, name: str, *commands: Words) -> None:
        """Forget the index of the spec `name` and give up its ownership; the index stays."""
        record = self.get(name)
        released: list[Words] = [("HDEL", self._writer.keys.indexes, name)]
        if record is not None and self.is_ours(record.physical):
            released.append(("HDEL", OWNERS, record.physical))
        self._writer.lease.guarded(*released, *commands, keys=self._keys)

    def drop(
        self,
        physical: str,
        *commands: Words,
        along: Collection[str] = (),
        delete_documents: bool = False,
    ) -> bool:
        """Drop the index `physical` where it is there and ours; see the protocol."""
        info = index_info(self._client, physical)
        there = info is not None and reply.index_name(info) == physical
        owner = self.owner(physical)
        if there and owner != self._namespace:
            raise IndexConflictError(*_foreign(physical, owner, self._namespace))
        if there:
            self._refuse_aliases(physical, along)
        keys = self._writer.keys
        forgotten: list[Words] = [("HDEL", keys.builds, physical), ("HDEL", keys.kept, physical)]
        if owner == self._namespace:
            forgotten.append(("HDEL", OWNERS, physical))
        for record in self.all().values():
            if record.physical == physical:
                forgotten.append(("HDEL", keys.indexes, record.name))
        drops = [ddl.ft_drop_index(physical, delete_documents=delete_documents)] if there else []
        run_together(self._client, self._writer.lease, [*drops, *forgotten, *commands], keys=self._keys)
        return there

    def drop_leftovers(self, name: str) -> list[str]:
        """Drop what `leftovers` lists, as far as it is ours; the names of what was dropped."""
        return self._drop_unfinished(self.leftovers(name))

    def drop_unfinished(self) -> list[str]:
        """Drop what this revision began, in whichever direction, and does not use now that it is done."""
        in_use = {record.physical for record in self.all().values()}
        builds = read_builds(self._writer.ledger).values()
        mine = [item for item in builds if item.revision == self._place[0] and item.physical not in in_use]
        return self._drop_unfinished(mine)

    def _drop_unfinished(self, builds: Iterable[Build]) -> list[str]:
        dropped = []
        for build in builds:
            if index_info(self._client, build.physical) is None or self.is_ours(build.physical):
                if self.drop(build.physical):
                    dropped.append(build.physical)
                continue
            # Noted, and created by somebody else before anybody of us came to it.
            key = self._writer.keys.builds
            self._writer.lease.guarded(("HDEL", key, build.physical), keys=[key])
        return dropped

    def leftovers(self, name: str) -> list[Build]:
        """What was begun for the spec `name` by other steps than this one, and never finished."""
        in_use = {record.physical for record in self.all().values()}
        return [
            build
            for build in read_builds(self._writer.ledger).values()
            if build.name == name and not self._is_mine(build) and build.physical not in in_use
        ]

    def known_aliases(self) -> set[str]:
        """Every alias that the ledger knows."""
        found = {alias for record in self.all().values() for alias in record.aliases}
        stored: Any = self._client.hkeys(self._writer.keys.kept)
        return found | {name.decode() for name in stored}

    def _is_mine(self, build: Build) -> bool:
        return (build.revision, build.direction, build.step) == self._place

    def _may_own(self, physical: str) -> bool:
        return self.owner(physical) in (None, self._namespace)

    def _free(self, wanted: str) -> str:
        """`wanted`, or the first of `wanted.2`, `wanted.3`, … that is free and nobody else's."""
        number, name = 1, wanted
        while index_info(self._client, name) is not None or not self._may_own(name):
            number += 1
            name = f"{wanted}.{number}"
        return name

    def _is_plain(self, alias: str, record: IndexRecord, over_plain: Collection[str]) -> bool:
        """Whether a plain index has the name of `alias` and may go; raises where something else has it."""
        info = index_info(self._client, alias)
        behind = None if info is None else reply.index_name(info)
        if behind is None or behind == record.physical:
            return False
        if behind == alias:
            if alias not in over_plain:
                raise IndexConflictError(
                    f"a plain index {alias!r} hides the alias of that name (expected it to lead to "
                    f"{record.physical!r}); somebody created it, as RedisVL and LangChain do at start",
                    hint="`vecmigrate heal` says how it differs, and mends it",
                )
            self.require_free(behind)
            return True
        owner = self.owner(behind)
        if owner != self._namespace:
            whose = f"of namespace {owner!r}" if owner else "which is not ours by record"
            raise IndexConflictError(
                f"alias {alias!r} leads to index {behind!r}, {whose} (expected {record.physical!r})",
                hint=f"let it lead elsewhere with FT.ALIASDEL {alias}, or give the spec another name; "
                "services that share a Redis need a `namespace` and index names of their own",
            )
        for other in self.all().values():
            if other.name != record.name and other.physical == behind and alias in other.aliases:
                raise IndexConflictError(
                    f"alias {alias!r} leads to the index of {other.name!r} (expected a free name)",
                    hint=f"where it is an old name of it, `vecmigrate complete {other.name}` frees it; or "
                    "give the spec another index.name",
                )
        return False

    def _refuse_aliases(self, physical: str, along: Collection[str]) -> None:
        listed = alias_list(self._client, physical)
        known = self.known_aliases() if listed is None else {*self.known_aliases(), *listed}
        for alias in sorted(known - set(along) - {physical}):
            info = index_info(self._client, alias)
            if info is not None and reply.index_name(info) == physical:
                raise IndexConflictError(
                    f"alias {alias!r} leads to index {physical!r}, so it is not dropped (expected no alias)",
                    hint=f"FT.ALIASUPDATE {alias} to the index that is wanted, or FT.ALIASDEL {alias}",
                )

    def _stored(self, record: IndexRecord) -> list[Words]:
        keys = self._writer.keys
        before = self.get(record.name)
        kept = record if before is None else replace(record, unknown={**before.unknown, **record.unknown})
        words: list[Words] = [
            ("HSET", keys.indexes, record.name, dump_record(kept)),
            # Only where nobody has it: what another namespace claimed meanwhile stays with it.
            ("HSETNX", OWNERS, record.physical, self._namespace),
            ("HDEL", keys.builds, record.physical),
        ]
        moved = before is not None and before.physical != record.physical
        if before is not None and moved and self._is_gone(before.physical):
            # Somebody else dropped it; its name is free again.
            words.append(("HDEL", OWNERS, before.physical))
        return words

    def _is_gone(self, physical: str) -> bool:
        """Whether an index of ours is on the server no more."""
        return self.is_ours(physical) and index_info(self._client, physical) is None

    @property
    def _keys(self) -> list[str]:
        keys = self._writer.keys
        return [keys.indexes, keys.builds, keys.kept, keys.revisions, keys.log, OWNERS]


def _foreign(physical: str, owner: str | None, ours: str) -> tuple[str]:
    if owner is None:
        return (
            f"index {physical!r} is not ours by record (expected one that namespace {ours!r} made or "
            "adopted); nothing was done to it",
        )
    return (
        f"index {physical!r} belongs to namespace {owner!r} (expected {ours!r}); nothing was done to it: "
        "services that share a Redis need a `namespace` and index names of their own",
    )
