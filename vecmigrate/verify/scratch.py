"""Small indexes without vectors that only answer a question, and are dropped again.

RediSearch alone knows what a FILTER lets through, and which values a field takes. An index that has just
the filter, or just the fields in question, says so for every document, costs a walk over the keyspace, and
touches no document. It is never TEMPORARY: the server drops such an index together with its documents.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from vecmigrate.errors import VerificationError
from vecmigrate.search import ddl, reply
from vecmigrate.spec.model import Field, IndexOptions, IndexSpec, TagField

if TYPE_CHECKING:
    import redis

_POLL_SECONDS = 0.05
_NOTHING = "vecmigrate_nothing"


@dataclass(frozen=True, slots=True)
class Scratch:
    """The right to make one index of the name `name`.

    Attributes:
        name: Its physical name.
        create: Sends FT.CREATE, fenced.
        drop: Drops the index of that name where there is one, fenced; also one that an earlier run left.
    """

    name: str
    create: Callable[[Sequence[str]], object]
    drop: Callable[[], object]


@contextmanager
def scratch_index(
    client: redis.Redis, scratch: Scratch, spec: IndexSpec, told: Callable[[], None]
) -> Iterator[reply.Info]:
    """Build an index as `spec` says for the length of a `with` block; gives its FT.INFO when it is scanned.

    `told` is called while the scan is waited for.

    Raises:
        VerificationError: The scan was broken off, so its answer is worth nothing.
    """
    scratch.drop()
    scratch.create(ddl.ft_create(spec, scratch.name))
    try:
        while reply.is_indexing(info := _info(client, scratch.name)):
            told()
            time.sleep(_POLL_SECONDS)
        problem = reply.scan_problem(info)
        if problem is not None:
            raise VerificationError(
                f"what is in the documents could not be looked at: {problem}",
                hint="give the server more memory and try again",
            )
        yield info
    finally:
        scratch.drop()


def filter_spec(spec: IndexSpec) -> IndexSpec:
    """The spec of an index that holds what the FILTER of `spec` lets through, and as little else as can be.

    In a hash TAG takes every value; in JSON the field's own type has to stay, and may refuse a document.
    """
    fields: list[Field] = [
        TagField(name=item.name, attribute=item.attribute, path=item.path)
        if spec.index.storage == "hash"
        else item
        for item in _filtered_by(spec)
    ]
    nothing = _NOTHING if spec.index.storage == "hash" else f"$.{_NOTHING}"
    return _with_fields(spec, fields or [TagField(name=_NOTHING, path=nothing)])


def field_spec(spec: IndexSpec, names: Sequence[str]) -> IndexSpec:
    """The spec of an index over the same documents that has only the fields called `names`."""
    others = [item for item in _filtered_by(spec) if item.name not in names]
    return _with_fields(spec, [*(spec.field(name) for name in names), *others])


def _filtered_by(spec: IndexSpec) -> list[Field]:
    """The fields whose names the filter may mean: it knows paths by the names that the schema gives them."""
    text = (spec.index.filter or "").replace("\\", "")
    return [
        _plain(item)
        for item in ddl.indexed_fields(spec)
        if f"@{item.attribute}" in text and (item.attribute != item.path or spec.index.storage == "json")
    ]


def _with_fields(spec: IndexSpec, fields: Sequence[Field]) -> IndexSpec:
    index = spec.index
    plain = IndexOptions(name=index.name, prefixes=index.prefixes, storage=index.storage, filter=index.filter)
    return replace(spec, index=plain, fields=tuple(fields))


def _plain(item: Field) -> Field:
    options: dict[str, Any] = {
        name: False
        for name in ("sortable", "unf", "with_suffix_trie", "index_missing", "index_empty")
        if hasattr(item, name)
    }
    return replace(item, **options)


def _info(client: redis.Redis, name: str) -> reply.Info:
    return reply.parse_info(client.execute_command("FT.INFO", name))
