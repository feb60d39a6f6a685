"""Does a new index find what is near, as the old one does, while services go on writing.

An answer that looks wrong is judged by the vectors as they are after it was given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vecmigrate.helpers.queries import query_name
from vecmigrate.helpers.vectors import encode_vector
from vecmigrate.search import reply
from vecmigrate.spec.model import Hnsw, VectorField
from vecmigrate.verify.check import named
from vecmigrate.verify.documents import read_vectors, sample_keys
from vecmigrate.verify.exact import Nearest, Numbers, hits
from vecmigrate.verify.keyspace import Built, absent, keys_in_batches

if TYPE_CHECKING:
    import redis

__all__ = ["Built", "measure_recall", "named"]

QUERIES = 100
K = 10
NAMED = 20
_SLACK = 10
# Queries sent in one go: other clients wait until all of them are answered.
_AT_ONCE = 5
_QUERY_MILLISECONDS = 10_000
_SEED = 20261123


@dataclass(frozen=True, slots=True)
class Recall:
    """Of the `k` nearest documents to a sample of stored vectors, the share that an index finds.

    Where the field reads another stored value than it did before, `lacking_count` documents have the old one
    and not the new one, and would be found no more; at most `NAMED` of them are `lacking`.
    """

    field: str
    queries: int
    new: float
    old: float | None
    lacking: tuple[str, ...] = ()
    lacking_count: int = 0


def measure_recall(
    client: redis.Redis, new: Built, old: Built | None, told: Callable[[int], None]
) -> list[Recall]:
    """Recall@10 of every vector field of the new index, and of the old one where it has the same field.

    What is near is found by comparing a sample of stored vectors with the vector of every document that the
    index holds, as they stream by. `told` is called with the number of documents seen so far.
    """
    chosen, _ = sample_keys(client, new.spec, QUERIES, _SEED)
    searches = [_Search.begin(client, new, old, item, chosen) for item in new.spec.vectors if item.indexed]
    searches = [search for search in searches if len(search.queries) or search.replaced is not None]
    seen = 0
    for keys in keys_in_batches(client, new.spec):
        for search in searches:
            search.show(client, keys)
        seen += len(keys)
        told(seen)
    return [search.judge(client) for search in searches]


@dataclass(slots=True)
class _Search:
    """The exact search for one field, by the metric of the new index and by that of the old one."""

    new: Built
    old: Built | None
    item: VectorField
    old_field: VectorField | None
    queries: Numbers
    near: Nearest
    old_near: Nearest | None
    replaced: VectorField | None
    lacking: list[str] = field(default_factory=list)
    lacking_count: int = 0

    @classmethod
    def begin(
        cls, client: redis.Redis, new: Built, old: Built | None, item: VectorField, chosen: list[bytes]
    ) -> _Search:
        queries = read_vectors(client, new.spec, item, chosen).matrix
        before = _same_vectors(old, item)
        near = Nearest(queries, item.metric, K + _SLACK)
        old_near = None
        if before is not None:
            same = before.metric == item.metric and _filter(old) == new.spec.index.filter
            old_near = near if same else Nearest(queries, before.metric, K + _SLACK)
        replaced = _replaced(old, item) if before is None else None
        return cls(new, old, item, before, queries, near, old_near, replaced)

    def show(self, client: redis.Redis, keys: Sequence[bytes]) -> None:
        if self.old is not None and self.replaced is not None:
            inside = _held(client, self.new, keys)
            had = read_vectors(client, self.old.spec, self.replaced, inside).keys
            has = set(read_vectors(client, self.new.spec, self.item, had).keys)
            # Deleted in between, most likely: only what still has the old one counts.
            doubtful = [key for key in had if key not in has]
            lacking = read_vectors(client, self.old.spec, self.replaced, doubtful).keys if doubtful else []
            self.lacking_count += len(lacking)
            self.lacking += [reply.text(key) for key in lacking[: NAMED - len(self.lacking)]]
        # What the filter leaves out, or what the index cannot take, it need not find.
        self._add(client, self.near, self.new, keys)
        if self.old is not None and self.old_near is not None and self.old_near is not self.near:
            self._add(client, self.old_near, self.old, keys)

    def _add(self, client: redis.Redis, near: Nearest, index: Built, keys: Sequence[bytes]) -> None:
        batch = read_vectors(client, self.new.spec, self.item, _held(client, index, keys))
        near.add(batch.keys, batch.matrix)

    def judge(self, client: redis.Redis) -> Recall:
        new = self._share(client, self.new, self.item, self.near)
        old = None
        if self.old is not None and self.old_field is not None and self.old_near is not None:
            old = self._share(client, self.old, self.old_field, self.old_near)
        return Recall(self.item.name, len(self.queries), new, old, tuple(self.lacking), self.lacking_count)

    def _share(self, client: redis.Redis, index: Built, item: VectorField, near: Nearest) -> float:
        right = wanted = 0
        for start in range(0, len(self.queries), _AT_ONCE):
            some = self.queries[start : start + _AT_ONCE]
            for row, answered in enumerate(_knn(client, index.name, item, some), start):
                expected = near.keys(row, K)
                one = all_of_them = len(expected)
                if set(answered) != expected:
                    # Writers may have been at work since: the vectors as they are now decide.
                    keys = sorted(near.keys(row).union(answered))
                    current = read_vectors(client, index.spec, item, keys)
                    known = dict(zip(current.keys, current.matrix, strict=True))
                    one, all_of_them = hits(self.queries[row], known, answered, item.metric, K)
                right += one
                wanted += all_of_them
        return right / wanted if wanted else 1.0


def _held(client: redis.Redis, index: Built, keys: Sequence[bytes]) -> list[bytes]:
    missing = set(absent(client, index.name, keys))
    return [key for key in keys if key not in missing]


def _filter(old: Built | None) -> str | None:
    return old.spec.index.filter if old is not None else None


def _same_vectors(old: Built | None, item: VectorField) -> VectorField | None:
    """The field of the old index that holds the same stored vectors under the same attribute."""
    for before in old.spec.vectors if old is not None else ():
        same = (before.attribute, before.path, before.dims, before.datatype)
        if before.indexed and same == (item.attribute, item.path, item.dims, item.datatype):
            return before
    return None


def _replaced(old: Built | None, item: VectorField) -> VectorField | None:
    """The field of the old index that has the same attribute and another stored value."""
    fields = old.spec.vectors if old is not None else ()
    return next(
        (other for other in fields if other.attribute == item.attribute and other.path != item.path), None
    )


def _knn(client: redis.Redis, index: str, item: VectorField, queries: Numbers) -> list[list[bytes]]:
    """The keys that the index answers to each of `queries`, asked as the generated helpers ask."""
    effort = f" EF_RUNTIME {item.algorithm.ef_runtime}" if isinstance(item.algorithm, Hnsw) else ""
    clause = f"*=>[KNN {K} @{query_name(item.attribute)} $query{effort}]"
    pipe = client.pipeline(transaction=False)
    for query in queries:
        # Found fit under the metric of the new index; that of the old one must not stop the comparison.
        blob = encode_vector(query, item.dims, item.datatype, "l2")
        pipe.execute_command(
            "FT.SEARCH", index, clause, "PARAMS", 2, "query", blob,
            "NOCONTENT", "LIMIT", 0, K, "TIMEOUT", _QUERY_MILLISECONDS, "DIALECT", 2,
        )  # fmt: skip  # read as the words of one command
    answers = (reply.parse_search(answer, with_content=False) for answer in pipe.execute())
    return [[hit.id.encode("utf-8", "surrogateescape") for hit in answer.hits] for answer in answers]
