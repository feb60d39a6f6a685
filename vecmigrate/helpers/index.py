"""An index as its helpers see it: where documents lie, what they hold, and the searches over it."""

from __future__ import annotations

import re
from collections.abc import (
    Callable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from vecmigrate.helpers.common import (
    RESULTS_MAX,
    WHOLE_MAX,
    Command,
    T,
    Vector,
    Vectors,
    check_many,
    whole_number,
)
from vecmigrate.helpers.queries import (
    DISTANCE,
    Filters,
    Labels,
    query_name,
    search_command,
    search_radius,
    search_radius_l2,
)
from vecmigrate.helpers.replies import (
    as_texts,
    json_document,
    json_fields,
    json_results,
    json_value,
    search_results,
)
from vecmigrate.helpers.values import document_command, document_key, json_set_command
from vecmigrate.helpers.vectors import (
    blob_to_list,
    decode_numbers,
    decode_vector,
    encode_vector,
)
from vecmigrate.helpers.where import Where

# Where a value lies: a field of a hash, or the keys that lead to it in a JSON document.
Path: TypeAlias = str | tuple[str, ...]


# The values of a document, or what a search returned of it: texts of a hash, values of a JSON document.
Texts: TypeAlias = Mapping[str, Any]


# What makes a hit of the key, the score, and the texts that a search returned.
ReadHit: TypeAlias = Callable[[str, float, Texts], T]


# What makes a document of the key, its texts and its vectors.
ReadDocument: TypeAlias = Callable[[str, Texts, Mapping[str, Any]], T]


# Conditions by the name of the field; None for no condition.
Conditions: TypeAlias = Mapping[str, Any]


def json_commands(
    key: bytes,
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
        return encode_vector(vector, self.dims, self.datatype, self.metric)

    def to_list(self, vector: Vector) -> list[Any]:
        """The numbers of a vector, for a JSON document.

        Raises:
            ValueError: The vector cannot be stored; the message says why.
        """
        return blob_to_list(self.to_blob(vector), self.dims, self.datatype)

    def from_blob(self, blob: bytes | None) -> Any:
        """The vector in a hash; None where there is none of the right size."""
        return decode_vector(blob, self.dims, self.datatype)

    def from_numbers(self, numbers: Any) -> Any:
        """The vector in a JSON document; None where there is none of the right size."""
        return decode_numbers(numbers, self.dims, self.datatype)

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
    """A search that is ready to be sent: its command, and how its reply is read.

    `timeout_ms` is how long the server may take; that many results as `wanted` says lack none.
    """

    index: Index
    vector: VectorField
    command: Command
    timeout_ms: int
    wanted: int | None = None

    def hits(self, reply: Any, read: ReadHit[T]) -> list[T]:
        """The results in a reply, nearest first."""
        key_of, score = self.index.key_of, self.vector.score
        results = self.index.results(reply)
        return [read(key_of(name), score(far), texts) for name, far, texts in results]


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """One index.

    Args:
        name: What is queried: an alias, so that the index behind it can be rebuilt.
        prefixes: What ids of documents begin with; helpers write under the first.
        storage: What documents are: `hash` or `json`.
        on_error: Whether searches `raise` errors of Redis, or log them and are `empty`.
        timeout_ms: How long the server may take for a search that does not say so itself.
        values: Field → where a document holds it; without vectors, in any order.
        vectors: Vector field → how it is stored.
        returned: What searches return of a document: field → its path, or its attribute where RETURN would
            take the path for another one.
        returns_documents: Whether searches return documents as a whole, since RETURN would alter a value: it
            gives 12 digits of a number.
        several: The fields of JSON documents whose path may pick out any number of values.
        filters: Field that searches can filter by → how its labels are kept, or None for numbers.
        attributes: Field that queries name → what the index calls it, where that is not its name.
    """

    name: str
    prefixes: tuple[str, ...]
    storage: Literal["hash", "json"] = "hash"
    on_error: Literal["raise", "empty"] = "raise"
    timeout_ms: int
    values: Mapping[str, Path] = field(default_factory=dict)
    vectors: Mapping[str, VectorField]
    returned: Mapping[str, str] = field(default_factory=dict)
    returns_documents: bool = False
    several: tuple[str, ...] = ()
    filters: Mapping[str, Labels | None] = field(default_factory=dict)
    attributes: Mapping[str, str] = field(default_factory=dict)

    def document_id(self, key: str) -> bytes:
        """Where a new document of a key lies.

        Raises:
            TypeError: The key is no text.
            ValueError: Searches would lose a document of that key.
        """
        return document_key(self.prefix_of(key), key)

    def prefix_of(self, key: str) -> str:
        """What a key lacks to be the id of its document.

        Of several prefixes that is the first, and nothing for a key that begins with one of them.
        """
        several = self.prefixes if len(self.prefixes) > 1 else ()
        if isinstance(key, str) and key.startswith(several):
            return ""
        return self.prefixes[0]

    def key_of(self, document_id: str) -> str:
        """The key whose document has this id: behind a further prefix it is the id itself."""
        key = document_id.removeprefix(self.prefixes[0])
        return key if self.prefix_of(key) else document_id

    def asked(self, field: str) -> str:
        """What queries call a field, behind their @."""
        attribute = self.attributes.get(field)
        return field if attribute is None else query_name(attribute)

    def to_blob(self, field: str, vector: Vector) -> bytes:
        """The bytes of a vector for the vector field `field`."""
        return self.vectors[field].to_blob(vector)

    def to_list(self, field: str, vector: Vector) -> list[Any]:
        """The numbers of a vector for the vector field `field` of a JSON document."""
        return self.vectors[field].to_list(vector)

    @property
    def scans(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """For each prefix the pattern of SCAN, and the prefixes before it, whose documents came already."""
        for place, prefix in enumerate(self.prefixes):
            pattern = re.sub(r"([*?\[\]\\^])", r"\\\1", prefix) + "*"
            yield pattern, self.prefixes[:place]

    @property
    def key_type(self) -> str:
        """What the TYPE of documents is."""
        return "ReJSON-RL" if self.storage == "json" else "hash"

    def results(self, reply: Any) -> Iterator[tuple[str, float, dict[str, Any]]]:
        """For each result of a search the id, the distance, and the values of its fields."""
        if self.storage == "json":
            return json_results(reply, self.several)
        return search_results(reply, self.returned if self.returns_documents else None)

    @property
    def _return_words(self) -> tuple[str, ...] | None:
        if self.returns_documents:
            return None
        words = []
        for name, path in self.returned.items():
            words += [path] if path == name else [path, "AS", name]
        return tuple(words)

    def _search(
        self,
        vector: VectorField,
        query: str,
        params: Sequence[Any],
        limit: int,
        timeout_ms: int | None,
        *,
        wanted: int | None = None,
    ) -> Search:
        if timeout_ms is None:
            timeout_ms = self.timeout_ms
        timeout_ms = whole_number("timeout_ms", timeout_ms, WHOLE_MAX)
        command = search_command(
            self.name,
            query,
            params,
            self._return_words,
            limit,
            timeout_ms=timeout_ms,
            dialect=3 if self.storage == "json" else 2,
        )
        return Search(self, vector, command, timeout_ms, wanted)

    def delete_command(self, key: str) -> Command:
        """DEL of one document."""
        return document_command("DEL", self.prefix_of(key), key)

    def get_command(self, key: str) -> Command:
        """HMGET of the values of one document, then of its vectors, or JSON.GET of it."""
        if self.storage == "json":
            return document_command("JSON.GET", self.prefix_of(key), key)
        vectors = (vector.path for vector in self.stored_vectors.values())
        paths = (*self.values.values(), *vectors)
        return document_command("HMGET", self.prefix_of(key), key, *map(str, paths))

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
            values = json_fields(document, self.values)
            vectors = {
                name: vector.from_numbers(json_value(document, vector.path or ()))
                for name, vector in self.stored_vectors.items()
            }
            return read(key, values, vectors)
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
        timeout_ms: int | None,
        ef_runtime: int | None = None,
        *,
        conditions: Conditions | None = None,
        where: Where | None = None,
    ) -> Search:
        """The search for the `knn_k` documents whose vector `field` is nearest to `query`.

        Raises:
            ValueError: An argument is out of range.
        """
        knn_k = whole_number("knn_k", knn_k, RESULTS_MAX)
        vector = self.vectors[field]
        own: tuple[str | int, ...] = ("knn_k", knn_k)
        options = ""
        if ef_runtime is not None:
            ef_runtime = whole_number("ef_runtime", ef_runtime, WHOLE_MAX)
            own = (*own, "ef_runtime", ef_runtime)
            options = " EF_RUNTIME $ef_runtime"
        filters = self._filters(conditions, where)
        nearest = f"[KNN $knn_k @{self.asked(field)} $query_vec{options} AS {DISTANCE}]"
        params = ("query_vec", vector.to_blob(query), *own, *filters.params)
        query_text = f"{filters.query}=>{nearest}"
        return self._search(vector, query_text, params, knn_k, timeout_ms, wanted=knn_k)

    def knn_many(
        self,
        field: str,
        queries: Vectors,
        knn_k: int,
        timeout_ms: int | None,
        ef_runtime: int | None = None,
        *,
        conditions: Conditions | None = None,
        where: Where | None = None,
    ) -> Sequence[Search]:
        """The search of `knn` for each of several vectors.

        Raises:
            ValueError: An argument is out of range.
        """
        check_many("queries", queries)
        rest = (knn_k, timeout_ms, ef_runtime)
        filters: dict[str, Any] = {"conditions": conditions, "where": where}
        return [self.knn(field, one, *rest, **filters) for one in queries]

    def range(
        self,
        field: str,
        query: Vector,
        min_score: float,
        limit: int,
        timeout_ms: int | None,
        *,
        conditions: Conditions | None = None,
        where: Where | None = None,
    ) -> Search:
        """The search for the documents that score at least `min_score`, at most `limit` of them.

        Raises:
            ValueError: An argument is out of range.
        """
        limit = whole_number("limit", limit, RESULTS_MAX)
        vector = self.vectors[field]
        filters = self._filters(conditions, where)
        within = f"@{self.asked(field)}:[VECTOR_RANGE $radius $query_vec]"
        filters.clauses.insert(0, f"{within}=>{{$YIELD_DISTANCE_AS: {DISTANCE}}}")
        own = ("query_vec", vector.to_blob(query), "radius", vector.radius(min_score))
        params = (*own, *filters.params)
        return self._search(vector, filters.query, params, limit, timeout_ms)

    def _filters(
        self,
        conditions: Conditions | None,
        where: Where | None,
    ) -> Filters:
        filters = Filters()
        for name, wanted in (conditions or {}).items():
            labels = self.filters[name]
            if labels is None:
                filters.number(name, wanted, self.asked(name))
            else:
                filters.tag(name, wanted, labels, self.asked(name))
        filters.where(where)
        return filters
