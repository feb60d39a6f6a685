"""Looking at every index of ours and its aliases, in one round trip: is all there that the ledger has?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import redis

from vecmigrate.operations.registry import IndexRecord
from vecmigrate.runtime.search_server import infos
from vecmigrate.search import reply

# missing_index   the index is gone from the server
# missing_alias   the index is there, and one of its aliases leads nowhere
# hidden_alias    a plain index has the name of an alias, so that nobody finds ours
# other_alias     an alias leads to another index
# incomplete_scan the server gave up scanning: documents are missing from every answer
Kind: TypeAlias = Literal["missing_index", "missing_alias", "hidden_alias", "other_alias", "incomplete_scan"]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something about an index of ours that is not as the ledger says.

    `place` is the index or the alias that it is about, `found` what is there instead.
    """

    kind: Kind
    name: str
    place: str
    physical: str
    found: str = ""

    def __str__(self) -> str:
        told = {
            "missing_index": f"index {self.place!r} is gone from the server",
            "missing_alias": f"alias {self.place!r} leads nowhere (expected {self.physical!r})",
            "hidden_alias": f"a plain index {self.place!r} hides the alias of that name (expected it to lead "
            f"to {self.physical!r})",
            "other_alias": f"alias {self.place!r} leads to {self.found!r} (expected {self.physical!r})",
            "incomplete_scan": f"index {self.place!r} is incomplete: {self.found}",
        }[self.kind]
        return f"{self.name}: {told}"


def look(client: redis.Redis, records: Mapping[str, IndexRecord]) -> list[Fault]:
    """Everything that is otherwise than `records` say, in their order."""
    names = {name for record in records.values() for name in (record.physical, *record.aliases)}
    if not names:
        return []
    found = infos(client, sorted(names))
    return [fault for record in records.values() for fault in _of_record(record, found)]


def _of_record(record: IndexRecord, found: Mapping[str, dict[str, Any]]) -> Iterator[Fault]:
    info = found.get(record.physical)
    if info is None or reply.index_name(info) != record.physical:
        yield Fault("missing_index", record.name, record.physical, record.physical)
    elif (problem := reply.scan_problem(info)) is not None:
        yield Fault("incomplete_scan", record.name, record.physical, record.physical, problem)
    for alias in record.aliases:
        behind = found.get(alias)
        at = None if behind is None else reply.index_name(behind)
        if at == alias != record.physical:
            yield Fault("hidden_alias", record.name, alias, record.physical, alias)
        elif at is None and info is not None:
            yield Fault("missing_alias", record.name, alias, record.physical)
        elif at not in (None, record.physical):
            yield Fault("other_alias", record.name, alias, record.physical, str(at))
