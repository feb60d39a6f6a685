"""The vectors that are stored in the documents of an index, and a sample of its keys."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vecmigrate.helpers.vectors import decode_numbers, decode_vector, encode_vectors
from vecmigrate.spec.model import IndexSpec, VectorField
from vecmigrate.verify.exact import Numbers
from vecmigrate.verify.keyspace import BATCH, keys_in_batches

if TYPE_CHECKING:
    import redis


@dataclass(frozen=True, slots=True)
class Vectors:
    """The documents of one batch that hold a readable vector: their keys, and a matrix of shape (n, dims)."""

    keys: list[bytes]
    matrix: Numbers


def sample_keys(client: redis.Redis, spec: IndexSpec, size: int, seed: int) -> tuple[list[bytes], int]:
    """`size` keys, each document being as likely as any other, and how many keys were seen."""
    chance = random.Random(seed)  # noqa: S311 - a sample, not a secret
    chosen: list[bytes] = []
    seen = 0
    for keys in keys_in_batches(client, spec, 5 * BATCH):
        for key in keys:
            seen += 1
            if len(chosen) < size:
                chosen.append(key)
            elif (place := chance.randrange(seen)) < size:
                chosen[place] = key
    return chosen, seen


def read_vectors(client: redis.Redis, spec: IndexSpec, field: VectorField, keys: Sequence[bytes]) -> Vectors:
    """The vectors that `keys` hold now; what has none, or none of the right size, is left out."""
    pipe = client.pipeline(transaction=False)
    for key in keys:
        if spec.index.storage == "json":
            pipe.execute_command("JSON.GET", key, field.path)
        else:
            pipe.hget(key, field.path)
    # A document that became another type meanwhile answers with an error of its own.
    replies: list[Any] = pipe.execute(raise_on_error=False)
    decode = _decode_json if spec.index.storage == "json" else _decode_hash
    found = [(key, decode(reply, field)) for key, reply in zip(keys, replies, strict=True)]
    held = [(key, vector) for key, vector in found if vector is not None]
    wide = np.float64 if field.datatype == "float64" else np.float32
    matrix = np.array([vector for _, vector in held], wide).reshape(len(held), field.dims)
    # What a store helper or a backfill would refuse has no place in an order.
    _, reasons = encode_vectors(matrix, field.datatype, field.metric)
    good = [row for row, reason in enumerate(reasons) if reason is None]
    return Vectors([held[row][0] for row in good], matrix[good])


def _decode_hash(reply: Any, field: VectorField) -> Numbers | None:
    vector: Numbers | None = None
    if isinstance(reply, bytes):
        vector = decode_vector(reply, field.dims, field.datatype)
    return vector


def _decode_json(reply: Any, field: VectorField) -> Numbers | None:
    if not isinstance(reply, bytes):
        return None
    found = json.loads(reply)
    # A path that starts with $ answers a list of matches.
    if field.path.startswith("$"):
        found = found[0] if len(found) == 1 else None
    vector: Numbers | None = decode_numbers(found, field.dims, field.datatype)
    return vector
