"""Which documents an index would lose over fields that it is about to learn.

FT.ALTER cannot be taken back, and a document whose stored value does not fit a new field leaves the index as
a whole. So an index of just the new fields is built first, and asked which documents it does not take.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vecmigrate.search import reply
from vecmigrate.verify import keyspace
from vecmigrate.verify.check import NAMED, Touch, explain
from vecmigrate.verify.keyspace import Built
from vecmigrate.verify.scratch import Scratch, field_spec, scratch_index

if TYPE_CHECKING:
    import redis


@dataclass(slots=True)
class Unfit:
    """Documents that an index would lose; at most `NAMED` of them are named, with the server's reasons."""

    count: int = 0
    keys: list[str] = field(default_factory=list)


def unfit_documents(
    client: redis.Redis,
    live: Built,
    fields: Sequence[str],
    scratch: Scratch,
    told: Callable[[int], None],
    *,
    touch: Touch | None = None,
) -> Unfit:
    """Documents that the index `live` holds, and that it would lose if it learned `fields`.

    Args:
        client: For reading.
        live: The index, and its spec with the new fields in it.
        fields: Names of the new fields.
        scratch: The index that may be made for this.
        told: Called often, with the number of documents seen so far; may raise to end it.
        touch: Touches the few documents that are named, so that the server says why; without, it may not.

    Raises:
        VerificationError: The server broke the scan off.
    """
    found = Unfit()
    seen = 0
    with scratch_index(client, scratch, field_spec(live.spec, fields), lambda: told(seen)) as info:
        if not reply.indexing_failures(info):
            return found
        for keys in keyspace.keys_in_batches(client, live.spec):
            seen += len(keys)
            doubtful = keyspace.absent(client, scratch.name, keys)
            held = _held(client, live, scratch.name, doubtful) if doubtful else []
            for key in held:
                if len(found.keys) < NAMED:
                    reason = explain(client, scratch.name, key, touch)
                    # A touch takes in what the scan only passed over.
                    if not keyspace.absent(client, scratch.name, [key]):
                        continue
                    found.keys.append(f"{reply.text(key)} ({reason})")
                found.count += 1
            told(seen)
    return found


def _held(client: redis.Redis, live: Built, scratch: str, keys: Sequence[bytes]) -> list[bytes]:
    """Those of `keys` that the live index holds and the scratch index does not,."""
    look = keyspace.Observer(client, live.spec, scratch, live.name).look(keys)
    return [key for key in keys if key in look.there and key in look.old and key not in look.new]
