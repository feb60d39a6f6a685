"""An index as its helpers see it: where documents lie, what they hold, and the searches over it."""

from __future__ import annotations

import re
from collections.abc import (
    Callable,
    Iterable,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from vecmigrate.helpers.common import (
    Command,
    T,
    Vector,
    check_count,
)
from vecmigrate.helpers.queries import (
    DISTANCE,
    Filters,
    search_command,
    search_radius,
    search_radius_l2,
)
from vecmigrate.helpers.replies import (
    as_texts,
    json_document,
    json_texts,
    json_value,
    search_results,
    strip_prefix,
)
from vecmigrate.helpers.values import json_set_command
from vecmigrate.helpers.vectors import (
    ANY_LENGTH,
    DOUBLE_LENGTHS,
    SINGLE_LENGTHS,
    bfloat16_to_blob,
    bfloat16_to_list,
    bfloat16_to_vector,
    blob_to_list,
    blob_to_vector,
    floats_to_blob,
    numbers_to_vector,
    whole_to_blob,
)
from vecmigrate.helpers.where import Where

# How each datatype is stored, in numpy's words, and what callers get it back as. numpy has no bfloat16.
STORED_AS: Final = {
    "float32": "<f4",
    "float64": "<f8",
    "float16": "<f2",
    "bfloat16": "<u2",
    "int8": "i1",
    "uint8": "u1",
}


READ_AS: Final[Mapping[str, type[np.generic]]] = {
    "float32": np.float32,
    "float64": np.float64,
    "float16": np.float32,
    "bfloat16": np.float32,
    "int8": np.int8,
    "uint8": np.uint8,
}


# Where a value lies: a field of a hash, or the keys that lead to it in a JSON document.
Path: TypeAlias = str | tuple[str, ...]


# The values of a document, or what a search returned of it, as text.
Texts: TypeAlias = Mapping[str, str]


# What makes a hit of the key, the score, and the texts that a search returned.
ReadHit: TypeAlias = Callable[[str, float, Texts], T]


# What makes a document of the key, its texts and its vectors.
ReadDocument: TypeAlias = Callable[[str, Texts, Mapping[str, Any]], T]


# Conditions by the name of the field; None for no condition.
Conditions: TypeAlias = Mapping[str, Any]


def json_commands(
    key: str,
    values: Sequence[tuple[tuple[str, ...], Any]],
) -> list[Command]:
    """The commands that make the JSON document `key` hold `values` at their paths."""
    return [json_set_command(key, values)]


@dataclass(frozen=True, slots=True)
class VectorField:
    """One vector field: how its vectors are stored, and what distances between them mean.

    `path` is None where helpers do not store the field, since it lies in another one.
    """

    dims: int
    datatype: str
    metric: str
    path: Path | None = None

    def to_blob(self, vector: Vector) -> bytes:
        """The bytes of a vector, for a hash or a query.

        Raises:
            ValueError: The vector cannot be stored; the message says why.
        """
        cosine = self.metric == "cosine"
        stored_as = STORED_AS[self.datatype]
        if self.datatype in ("int8", "uint8"):
            return whole_to_blob(vector, self.dims, stored_as, cosine=cosine)
        is_single = self.datatype in ("float16", "bfloat16")
        lengths = SINGLE_LENGTHS if is_single else DOUBLE_LENGTHS
        if not cosine:
            lengths = ANY_LENGTH
        if self.datatype == "bfloat16":
            return bfloat16_to_blob(vector, self.dims, lengths, cosine=cosine)
        return floats_to_blob(vector, self.dims, stored_as, lengths, cosine=cosine)

    def to_list(self, vector: Vector) -> list[Any]:
        """The numbers of a vector, for a JSON document.

        Raises:
            ValueError: The vector cannot be stored; the message says why.
        """
        blob = self.to_blob(vector)
        if self.datatype == "bfloat16":
            return bfloat16_to_list(blob)
        return blob_to_list(blob, STORED_AS[self.datatype])

    def from_blob(self, blob: bytes | None) -> Any:
        """The vector in a hash; None where there is none of the right size."""
        stored_as, read_as = STORED_AS[self.datatype], READ_AS[self.datatype]
        size = self.dims * np.dtype(stored_as).itemsize
        if self.datatype == "bfloat16":
            return bfloat16_to_vector(blob, size)
        return blob_to_vector(blob, size, stored_as, read_as)

    def from_numbers(self, numbers: Any) -> Any:
        """The vector in a JSON document; None where there is none of the right size."""
        return numbers_to_vector(numbers, self.dims, READ_AS[self.datatype])

    def score(self, distance: float) -> float:
        """The score at a distance: more is nearer."""
        return 1 / (1 + distance) if self.metric == "l2" else 1 - distance

    def radius(self, min_score: float) -> float:
        """The largest distance that has at least this score.

        Raises:
            ValueError: No distance has this score.
        """
        if self.metric == "l2":
            return search_radius_l2(min_score)
        return search_radius(min_score)


@dataclass(frozen=True, slots=True)
class Search:
    """A search that is ready to be sent: its command, and how its reply is read."""

    index: Index
    vector: VectorField
    command: Command

    def hits(self, reply: Any, read: ReadHit[T]) -> list[T]:
        """The results in a reply, nearest first."""
        key_of, score = self.index.key_of, self.vector.score
        results = search_results(reply)
        return [read(key_of(name), score(far), texts) for name, far, texts in results]


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """One index.

    Args:
        name: What is queried: an alias, so that the index behind it can be rebuilt.
        prefixes: What keys of documents begin with; helpers write under the first.
        storage: What documents are: `hash` or `json`.
        on_error: Whether searches `raise` errors of Redis, or log them and are `empty`.
        values: Field → where a document holds it; without vectors, in any order.
        vectors: Vector field → how it is stored.
        returned: What searches return of a document, in the words of RETURN.
        filters: Field that searches can filter by → its kind.
    """

    name: str
    prefixes: tuple[str, ...]
    storage: Literal["hash", "json"] = "hash"
    on_error: Literal["raise", "empty"] = "raise"
    values: Mapping[str, Path] = field(default_factory=dict)
    vectors: Mapping[str, VectorField]
    returned: tuple[str, ...] = ()
    filters: Mapping[str, Literal["tag", "number"]] = field(default_factory=dict)

    def document_id(self, key: str) -> str:
        """Where the document of a key lies."""
        return self.prefixes[0] + key

    def key_of(self, document_id: str) -> str:
        """The key in the id of a document."""
        return strip_prefix(document_id, self.prefixes)

    def to_blob(self, field: str, vector: Vector) -> bytes:
        """The bytes of a vector for the vector field `field`."""
        return self.vectors[field].to_blob(vector)

    def to_list(self, field: str, vector: Vector) -> list[Any]:
        """The numbers of a vector for the vector field `field` of a JSON document."""
        return self.vectors[field].to_list(vector)

    @property
    def scan_pattern(self) -> str:
        """The pattern of SCAN that finds the documents under the first prefix."""
        return re.sub(r"([*?\[\]\\^])", r"\\\1", self.prefixes[0]) + "*"

    def delete_command(self, key: str) -> Command:
        """DEL of one document."""
        return ("DEL", self.document_id(key))

    def get_command(self, key: str) -> Command:
        """HMGET of the values of one document, then of its vectors, or JSON.GET of it."""
        if self.storage == "json":
            return ("JSON.GET", self.document_id(key))
        vectors = (vector.path for vector in self.stored_vectors.values())
        paths = (*self.values.values(), *vectors)
        return ("HMGET", self.document_id(key), *map(str, paths))

    @property
    def stored_vectors(self) -> Mapping[str, VectorField]:
        """The vector fields that documents hold in a place of their own."""
        return {name: vector for name, vector in self.vectors.items() if vector.path}

    def document(self, key: str, reply: Any, read: ReadDocument[T]) -> T | None:
        """The document in a reply to `get_command`; None where there is none."""
        if self.storage == "json":
            document = json_document(reply)
            if document is None:
                return None
            texts = json_texts(document, self.values)
            vectors = {
                name: vector.from_numbers(json_value(document, vector.path or ()))
                for name, vector in self.stored_vectors.items()
            }
            return read(key, texts, vectors)
        if all(value is None for value in reply):
            return None
        texts = as_texts(zip(self.values, reply, strict=False))
        blobs = reply[len(self.values) :]
        vectors = {
            name: vector.from_blob(blob)
            for (name, vector), blob in zip(
                self.stored_vectors.items(),
                blobs,
                strict=True,
            )
        }
        return read(key, texts, vectors)

    def knn(
        self,
        field: str,
        query: Vector,
        knn_k: int,
        ef_runtime: int | None = None,
        conditions: Conditions | None = None,
        *,
        where: Where | None = None,
    ) -> Search:
        """The search for the `knn_k` documents whose vector `field` is nearest to `query`.

        Raises:
            ValueError: An argument is out of range.
        """
        check_count("knn_k", knn_k)
        vector = self.vectors[field]
        own: tuple[str | int, ...] = ("knn_k", knn_k)
        options = ""
        if ef_runtime is not None:
            check_count("ef_runtime", ef_runtime)
            own = (*own, "ef_runtime", ef_runtime)
            options = " EF_RUNTIME $ef_runtime"
        filters = self._filters(conditions, where)
        nearest = f"[KNN $knn_k @{field} $query_vec{options} AS {DISTANCE}]"
        params = ("query_vec", vector.to_blob(query), *own, *filters.params)
        query_text = f"{filters.query}=>{nearest}"
        command = search_command(self.name, query_text, params, self.returned, knn_k)
        return Search(self, vector, command)

    def knn_many(
        self,
        field: str,
        queries: Iterable[Vector],
        knn_k: int,
        ef_runtime: int | None = None,
        conditions: Conditions | None = None,
        *,
        where: Where | None = None,
    ) -> Sequence[Search]:
        """The search of `knn` for each of several vectors.

        Raises:
            ValueError: An argument is out of range.
        """
        rest = (knn_k, ef_runtime, conditions)
        return [self.knn(field, query, *rest, where=where) for query in queries]

    def range(
        self,
        field: str,
        query: Vector,
        min_score: float,
        limit: int,
        conditions: Conditions | None = None,
        *,
        where: Where | None = None,
    ) -> Search:
        """The search for the documents that score at least `min_score`, at most `limit` of them.

        Raises:
            ValueError: An argument is out of range.
        """
        check_count("limit", limit)
        vector = self.vectors[field]
        filters = self._filters(conditions, where)
        within = f"@{field}:[VECTOR_RANGE $radius $query_vec]"
        filters.clauses.insert(0, f"{within}=>{{$YIELD_DISTANCE_AS: {DISTANCE}}}")
        own = ("query_vec", vector.to_blob(query), "radius", vector.radius(min_score))
        params = (*own, *filters.params)
        command = search_command(self.name, filters.query, params, self.returned, limit)
        return Search(self, vector, command)

    def _filters(
        self,
        conditions: Conditions | None,
        where: Where | None,
    ) -> Filters:
        filters = Filters()
        for name, wanted in (conditions or {}).items():
            if self.filters[name] == "tag":
                filters.tag(name, wanted)
            else:
                filters.number(name, wanted)
        filters.where(where)
        return filters
