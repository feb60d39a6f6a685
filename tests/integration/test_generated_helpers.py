"""What generated helpers offer beyond the module that they replace, over specs of every kind.

As the contract, all of it runs for asyncio and blocking clients, under RESP2 and RESP3, bytes and str.
"""

from __future__ import annotations

import json
import string
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import redis
import redis.asyncio

from tests.generated import Helpers, Spy, a_spec, make_package
from vecmigrate.search.ddl import ft_create
from vecmigrate.spec.build import spec_from_mapping, spec_to_mapping
from vecmigrate.spec.model import IndexSpec

FIELDS: dict[str, Any] = {
    "sku": {"type": "tag", "from": "key"},
    "title": {"type": "text", "default_from": "key"},
    "colours": {"type": "tag", "separator": ";"},
    "code": {"type": "tag", "case_sensitive": True, "separator": "\t"},
    "price": {"type": "numeric"},
    "rank": {"type": "numeric", "default": 5, "sortable": True},
    "place": {"type": "geo"},
    "extra": {"type": "json", "from": "argument"},
    "embedding": {"type": "vector", "dims": 3},
    "image": {"type": "vector", "dims": 2, "metric": "l2", "algorithm": "flat"},
}
ARGUMENTS = {name: {**field, "from": field.get("from", "argument")} for name, field in FIELDS.items()}
del ARGUMENTS["embedding"]["from"], ARGUMENTS["image"]["from"]

# Fields from arguments, no metadata, errors raised; then from metadata, as JSON documents, errors swallowed.
ITEM = a_spec("item", **ARGUMENTS)
PAPER = a_spec(
    "paper",
    storage="json",
    helpers={"on_error": "empty"},
    sku={"type": "tag", "from": "key"},
    title={"type": "text", "path": "$.about.title", "default": "untitled"},
    topics={"type": "tag", "path": "$.about.topics"},
    year={"type": "numeric"},
    meta={"type": "json"},
    embedding={"type": "vector", "dims": 3, "metric": "ip", "path": "$.vectors.main"},
)
SPECS = (ITEM, PAPER)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    return make_package(tmp_path_factory.mktemp("beyond"), *SPECS)


@pytest.fixture
def server(emptied_url: str) -> Iterator[redis.Redis]:
    """A plain client to the same server; the indexes exist."""
    with redis.Redis.from_url(emptied_url) as client:
        for spec in SPECS:
            client.execute_command(*ft_create(spec))
        yield client


def keys(hits: list[dict[str, Any]]) -> list[str]:
    return [hit["sku"] for hit in hits]


class Beyond:
    """The tests; two classes below say with which helpers."""

    async def fill(self, helpers: Helpers) -> None:
        """Three items around the x axis, nearest first: a, b, c."""
        await helpers.store_item(
            "a",
            [1, 0, 0],
            image=[0, 0],
            colours=["red", "dark blue"],
            code="A-1",
            price=10,
            place=(13.4, 52.5),
        )
        await helpers.store_item(
            "b",
            [1, 0.2, 0],
            image=[3, 4],
            colours="red",
            code="a-1",
            price=-2.5,
            rank=9,
            extra={"n": [1, None]},
        )
        await helpers.store_item("c", [1, 0.9, 0], image=[6, 8], title="Third")

    # Getting.

    async def test_a_document_comes_back_as_it_was_stored(self, helpers: Helpers, server: redis.Redis):
        await self.fill(helpers)
        document = await helpers.get_item("a")
        vectors = {name: document.pop(name) for name in ("embedding", "image")}
        assert document == {
            "sku": "a",
            "title": "a",
            "colours": "red;dark blue",
            "code": "A-1",
            "price": 10.0,
            "rank": 5.0,
            "place": "13.4,52.5",
            "extra": None,
        }
        assert vectors["embedding"].dtype == np.float32
        assert vectors["embedding"].tolist() == [1, 0, 0]
        assert vectors["image"].tolist() == [0, 0]
        assert (await helpers.get_item("b"))["extra"] == {"n": [1, None]}

    async def test_a_document_that_is_not_there_is_none(self, helpers: Helpers, server: redis.Redis):
        assert await helpers.get_item("nobody") is None
        assert await helpers.get_paper("nobody") is None
        server.hset("item:other", mapping={"something": "else"})
        assert await helpers.get_item("other") is None

    async def test_a_vector_of_another_size_is_none(self, helpers: Helpers, server: redis.Redis):
        server.hset("item:x", mapping={"sku": "x", "embedding": b"1234567"})
        document = await helpers.get_item("x")
        assert (document["sku"], document["embedding"], document["image"]) == ("x", None, None)

    async def test_getting_is_one_command(self, helpers: Helpers, server: redis.Redis):
        await self.fill(helpers)
        with Spy(server) as spy:
            await helpers.get_item("a")
        assert [words[0].upper() for words in spy.commands] == [b"HMGET"]

    async def test_getting_raises_what_redis_says(self, helpers: Helpers, server: redis.Redis):
        server.set("item:a", "no hash")
        with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
            await helpers.get_item("a")

    async def test_what_a_document_has_no_more_is_removed(self, helpers: Helpers, server: redis.Redis):
        await self.fill(helpers)
        server.hset("item:b", "own", "kept")
        await helpers.store_item("b", [1, 0, 0], image=[0, 0], price=3)
        stored = server.hgetall("item:b")
        assert {b"colours", b"code", b"extra"}.isdisjoint(stored)
        assert (stored[b"price"], stored[b"rank"], stored[b"own"]) == (b"3", b"5", b"kept")
        assert "b" not in keys(await helpers.knn_search_items([1, 0, 0], knn_k=9, colours="red"))

    # Storing and deleting many.

    async def test_many_are_stored_and_the_bad_ones_are_named(self, helpers: Helpers, server: redis.Redis):
        server.set("item:taken", "no hash")
        good = {"embedding": [1, 2, 3], "image": [1, 2]}
        items = [
            {"item_id": "one", **good, "price": 1},
            {"item_id": "zero", **good, "embedding": [0, 0, 0]},
            {"item_id": "lacking", "embedding": [1, 2, 3]},
            {"item_id": "priced", **good, "price": "dear"},
            {"item_id": "taken", **good},
            "no mapping",
            {"item_id": 7, **good},
            {"item_id": "two", **good, "extra": float("nan")},
            {"item_id": "three", **good},
        ]
        report = await helpers.store_many_items(iter(items), batch_size=2)
        assert report["stored"] == 2
        assert [(one["index"], one["key"]) for one in report["failed"]] == [
            (1, "zero"),
            (2, "lacking"),
            (3, "priced"),
            (4, "taken"),
            (5, None),
            (6, None),
            (7, "two"),
        ]
        reasons = [one["reason"] for one in report["failed"]]
        assert "is zero" in reasons[0]
        assert "no 'image'" in reasons[1]
        assert "'price'" in reasons[2]
        assert "WRONGTYPE" in reasons[3]
        assert "'extra'" in reasons[6]
        assert await helpers.scan_item_ids() == ["one", "three"]

    async def test_many_are_stored_batch_by_batch(self, helpers: Helpers, server: redis.Redis):
        ahead = []

        def items() -> Iterator[dict[str, Any]]:
            for number in range(95):
                ahead.append(number - server.dbsize())
                yield {"item_id": str(number), "embedding": [1, number, 0], "image": [0, 0]}

        with Spy(server) as spy:
            report = await helpers.store_many_items(items(), batch_size=10)
        assert report == {"stored": 95, "failed": []}
        assert max(ahead) == 9
        assert sum(words[0].upper() == b"HSET" for words in spy.commands) == 95

    async def test_none_is_many_too(self, helpers: Helpers, server: redis.Redis):
        assert await helpers.store_many_items([]) == {"stored": 0, "failed": []}
        assert await helpers.delete_many_items([]) == 0

    @pytest.mark.parametrize("batch_size", [0, -1])
    async def test_batches_hold_something(self, helpers: Helpers, server: redis.Redis, batch_size: int):
        with pytest.raises(ValueError, match="batch_size"):
            await helpers.store_many_items([], batch_size=batch_size)
        with pytest.raises(ValueError, match="batch_size"):
            await helpers.delete_many_items(["a"], batch_size=batch_size)

    async def test_many_are_deleted_and_counted(self, helpers: Helpers, server: redis.Redis):
        await self.fill(helpers)
        assert await helpers.delete_many_items((key for key in ["a", "x", "c", "a"]), batch_size=3) == 2
        assert await helpers.scan_item_ids() == ["b"]

    async def test_keys_are_iterated(self, helpers: Helpers, server: redis.Redis):
        await self.fill(helpers)
        assert sorted(await helpers.listed("iter_item_ids")) == ["a", "b", "c"]

    # Filters.

    @pytest.mark.parametrize(
        ("filters", "expected"),
        [
            ({}, "abc"),
            ({"colours": "red"}, "ab"),
            ({"colours": "RED"}, "ab"),
            ({"colours": "dark blue"}, "a"),
            ({"colours": " red "}, "ab"),
            ({"colours": ["dark blue", "green"]}, "a"),
            ({"colours": ("green",)}, ""),
            ({"code": "a-1"}, "b"),
            ({"code": ["A-1", "a-1"]}, "ab"),
            ({"sku": ["a", "c"]}, "ac"),
            ({"price": (0, 100)}, "a"),
            ({"price": (None, 0)}, "b"),
            ({"price": (-2.5, None)}, "ab"),
            ({"price": (None, None)}, "ab"),
            ({"price": (10, 10)}, "a"),
            ({"price": (1e-300, 1e300)}, "a"),
            ({"rank": (9, None), "colours": "red"}, "b"),
            ({"rank": (9, None), "sku": "a"}, ""),
        ],
    )
    async def test_filters(
        self, helpers: Helpers, server: redis.Redis, filters: dict[str, Any], expected: str
    ):
        await self.fill(helpers)
        assert keys(await helpers.knn_search_items([1, 0, 0], knn_k=9, **filters)) == list(expected)
        (found,) = await helpers.knn_many_items([[1, 0, 0]], knn_k=9, **filters)
        assert keys(found) == list(expected)
        assert keys(await helpers.range_search_items([1, 0, 0], min_score=-1, **filters)) == list(expected)
        by_image = await helpers.knn_search_items_by_image([0, 0], knn_k=9, **filters)
        assert keys(by_image) == list(expected)

    @pytest.mark.parametrize(
        ("filters", "message"),
        [
            ({"colours": []}, "colours has no labels"),
            ({"colours": ""}, "colours has the label ''"),
            ({"colours": ["red", " "]}, "colours has the label ' '"),
            ({"colours": [5]}, "colours has the label 5"),
            ({"price": (2, 1)}, r"price is \(2, 1\)"),
            ({"price": (float("nan"), 1)}, "price is"),
        ],
    )
    async def test_filters_that_say_nothing_are_refused(
        self, helpers: Helpers, server: redis.Redis, filters: dict[str, Any], message: str
    ):
        for search, more in (
            (helpers.knn_search_items, {"knn_k": 1}),
            (helpers.range_search_items, {"min_score": 0}),
        ):
            with pytest.raises(ValueError, match=message):
                await search([1, 0, 0], **more, **filters)

    async def test_no_label_breaks_out_of_its_filter(self, helpers: Helpers, server: redis.Redis):
        labels = [
            *(f"x{mark}y" for mark in string.punctuation + " "),
            *string.punctuation,
            "x} @price:[-inf +inf] @code:{y",
            "*",
            "x*",
            "$filter_0",
            "}=>[KNN 1 @embedding $query_vec]",
            "é ß",
            "\\",
            "'\"",
            "nan",
        ]
        items = [
            {"item_id": str(number), "embedding": [1, number, 0], "image": [0, 0], "code": label}
            for number, label in enumerate(labels)
        ]
        assert (await helpers.store_many_items(items))["failed"] == []
        for number, label in enumerate(labels):
            hits = await helpers.knn_search_items([1, 0, 0], knn_k=200, code=label)
            assert keys(hits) == [str(one) for one, other in enumerate(labels) if other == label], label
            assert str(number) in keys(hits)

    # Searching.

    async def test_hits_show_every_field_that_is_no_vector(self, helpers: Helpers, server: redis.Redis):
        await self.fill(helpers)
        hits = await helpers.knn_search_items([1, 0, 0], knn_k=3)
        assert hits[1] == {
            "sku": "b",
            "title": "b",
            "colours": "red",
            "code": "a-1",
            "price": -2.5,
            "rank": 9.0,
            "place": None,
            "extra": {"n": [1, None]},
            "score": pytest.approx(1 / np.sqrt(1.04)),
        }
        assert hits[2]["title"] == "Third"

    async def test_several_searches_are_one_round_trip(self, helpers: Helpers, server: redis.Redis):
        await self.fill(helpers)
        queries = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0.5]])
        expected = [await helpers.knn_search_items(query, knn_k=2) for query in queries]
        assert await helpers.knn_many_items(queries, knn_k=2) == expected
        assert await helpers.knn_many_items(queries.tolist(), knn_k=2, ef_runtime=9) == expected
        assert await helpers.knn_many_items([], knn_k=2) == []
        with pytest.raises(ValueError, match="the vector"):
            await helpers.knn_many_items([[1, 0, 0], [0, 0, 0]], knn_k=2)

    @pytest.mark.parametrize(
        ("min_score", "limit", "expected"),
        [
            (0.99, 100, "a"),
            (0.9, 100, "ab"),
            (-1, 100, "abc"),
            (-5, 100, "abc"),
            (-1, 2, "ab"),
            (0.5, 1, "a"),
        ],
    )
    async def test_a_range_has_all_that_score_enough(
        self, helpers: Helpers, server: redis.Redis, min_score: float, limit: int, expected: str
    ):
        await self.fill(helpers)
        hits = await helpers.range_search_items([2, 0, 0], min_score=min_score, limit=limit)
        assert keys(hits) == list(expected)
        assert all(hit["score"] >= min_score for hit in hits)

    async def test_scores_of_l2_fall_with_the_squared_distance(self, helpers: Helpers, server: redis.Redis):
        await self.fill(helpers)
        hits = await helpers.knn_search_items_by_image([0, 0], knn_k=3)
        assert [hit["score"] for hit in hits] == pytest.approx([1, 1 / 26, 1 / 101])
        hits = await helpers.range_search_items_by_image([0, 0], min_score=1 / 27)
        assert keys(hits) == ["a", "b"]
        (hits,) = await helpers.knn_many_items_by_image([[6, 8]], knn_k=1)
        assert (keys(hits), hits[0]["score"]) == (["c"], 1.0)

    @pytest.mark.parametrize(
        ("search", "arguments", "message"),
        [
            ("range_search_items", {"min_score": 1.1}, "min_score is 1.1"),
            ("range_search_items", {"min_score": float("nan")}, "min_score is nan"),
            ("range_search_items", {"min_score": float("-inf")}, "min_score is -inf"),
            ("range_search_items", {"min_score": 0, "limit": 0}, "limit is 0"),
            ("knn_search_items", {"knn_k": 0}, "knn_k is 0"),
            ("knn_search_items", {"knn_k": 1, "ef_runtime": -1}, "ef_runtime is -1"),
        ],
    )
    async def test_numbers_out_of_range_are_refused(
        self, helpers: Helpers, server: redis.Redis, search: str, arguments: dict[str, Any], message: str
    ):
        with pytest.raises(ValueError, match=message):
            await getattr(helpers, search)([1, 0, 0], **arguments)

    @pytest.mark.parametrize("min_score", [0, -1, 1.5])
    async def test_scores_that_l2_does_not_have_are_refused(
        self, helpers: Helpers, server: redis.Redis, min_score: float
    ):
        with pytest.raises(ValueError, match="min_score"):
            await helpers.range_search_items_by_image([0, 0], min_score=min_score)

    async def test_errors_are_raised_where_the_spec_says_so(self, helpers: Helpers, server: redis.Redis):
        server.execute_command("FT.DROPINDEX", "idx:item")
        server.execute_command("FT.DROPINDEX", "idx:paper")
        for search in ("knn_search", "range_search", "knn_many"):
            query: Any = [[1, 0, 0]] if search == "knn_many" else [1, 0, 0]
            arguments = {"min_score": 0} if search == "range_search" else {"knn_k": 1}
            with pytest.raises(redis.ResponseError):
                await getattr(helpers, f"{search}_items")(query, **arguments)
            found = await getattr(helpers, f"{search}_papers")(query, **arguments)
            assert found == ([[]] if search == "knn_many" else [])

    # JSON documents.

    async def test_a_json_document_has_its_values_at_their_paths(self, helpers: Helpers, server: redis.Redis):
        meta = {"title": "Tea", "topics": ["leaf", "hot"], "year": 1999, "é": [None, 1.5]}
        await helpers.store_paper("p1", np.array([1, 2, 0.5], dtype=np.float16), meta)
        assert json.loads(server.execute_command("JSON.GET", "paper:p1")) == {
            "sku": "p1",
            "about": {"title": "Tea", "topics": ["leaf", "hot"]},
            "year": 1999,
            "meta": meta,
            "vectors": {"main": [1, 2, 0.5]},
        }
        document = await helpers.get_paper("p1")
        assert document.pop("embedding").tolist() == [1, 2, 0.5]
        assert document == {
            "sku": "p1",
            "title": "Tea",
            "topics": ["leaf", "hot"],
            "year": 1999.0,
            "metadata": meta,
        }

    async def test_json_documents_are_found(self, helpers: Helpers, server: redis.Redis):
        await helpers.store_paper("p1", [1, 0, 0], {"topics": "leaf", "year": 1999})
        await helpers.store_paper("p2", [2, 0, 0], {"title": "Two", "year": 2001.5})
        await helpers.store_paper("p3", [0, 1, 0], {})
        hits = await helpers.knn_search_papers([1, 0, 0], knn_k=3)
        assert keys(hits) == ["p2", "p1", "p3"]
        assert [hit["score"] for hit in hits] == pytest.approx([2, 1, 0])
        assert hits[0] == {
            "sku": "p2",
            "title": "Two",
            "topics": None,
            "year": 2001.5,
            "score": pytest.approx(2),
            "metadata": {"title": "Two", "year": 2001.5},
        }
        assert hits[2]["title"] == "untitled"
        assert keys(await helpers.knn_search_papers([1, 0, 0], knn_k=3, topics="leaf")) == ["p1"]
        assert keys(await helpers.knn_search_papers([1, 0, 0], knn_k=3, year=(2000, None))) == ["p2"]
        assert keys(await helpers.range_search_papers([1, 0, 0], min_score=1)) == ["p2", "p1"]
        assert await helpers.delete_many_papers(["p1", "p2"]) == 2
        assert await helpers.scan_paper_ids() == ["p3"]

    async def test_replies_that_redis_py_parsed_are_read_too(self, helpers: Helpers, server: redis.Redis):
        await helpers.store_paper("p1", [1, 0, 0], {"title": "Tea"})
        # From here on redis-py parses replies of JSON commands on this client.
        found = helpers.client.json().get("paper:p1")
        assert (found if isinstance(found, dict) else await found)["sku"] == "p1"
        assert (await helpers.get_paper("p1"))["metadata"] == {"title": "Tea"}

    async def test_json_values_that_do_not_fit_are_refused(self, helpers: Helpers, server: redis.Redis):
        for meta, message in (
            ({"year": "soon"}, "year"),
            ({"x": float("nan")}, "JSON"),
            ({"title": []}, "title"),
        ):
            with pytest.raises(ValueError, match=message):
                await helpers.store_paper("p", [1, 0, 0], meta)
        with pytest.raises(TypeError, match="metadata is list"):
            await helpers.store_paper("p", [1, 0, 0], [])
        report = await helpers.store_many_papers(
            [{"paper_id": "p", "embedding": [1, 0, 0], "metadata": {"year": "soon"}}]
        )
        assert "year" in report["failed"][0]["reason"]


class TestAsync(Beyond):
    """The asyncio helpers."""

    @pytest.fixture
    async def helpers(
        self, package: ModuleType, server: redis.Redis, any_async_client: redis.asyncio.Redis
    ) -> Helpers:
        return Helpers(package, any_async_client)

    async def test_items_may_come_asynchronously(self, helpers: Helpers, server: redis.Redis):
        async def items() -> AsyncIterator[dict[str, Any]]:
            for number in range(7):
                yield {"item_id": str(number), "embedding": [1, number, 0], "image": [0, 0]}

        assert await helpers.store_many_items(items(), batch_size=3) == {"stored": 7, "failed": []}
        assert len(await helpers.scan_item_ids()) == 7


class TestBlocking(Beyond):
    """Their blocking twins."""

    @pytest.fixture
    async def helpers(self, package: ModuleType, server: redis.Redis, any_client: redis.Redis) -> Helpers:
        return Helpers(package.sync, any_client)


# Every datatype and metric, on the server.


@pytest.mark.parametrize("storage", ["hash", "json"])
@pytest.mark.parametrize("metric", ["cosine", "l2", "ip"])
@pytest.mark.parametrize("datatype", ["float32", "float64", "float16", "bfloat16"])
def test_scores_of_every_datatype_and_metric(
    tmp_path: Path, client: redis.Redis, datatype: str, metric: str, storage: str
):
    vector = {"type": "vector", "dims": 5, "datatype": datatype, "metric": metric}
    spec: IndexSpec = a_spec(storage=storage, embedding=vector)
    helpers = make_package(tmp_path, spec).sync
    client.execute_command(*ft_create(spec))
    rng = np.random.default_rng(5)
    vectors, query = rng.integers(-8, 8, size=(6, 5)) / 4 + 0.125, rng.integers(-8, 8, size=5) / 4
    for number, one in enumerate(vectors):
        helpers.store_item(client, str(number), one)
        assert helpers.get_item(client, str(number))["embedding"].tolist() == one.tolist()
    expected = {
        "cosine": vectors @ query / np.linalg.norm(vectors, axis=1) / np.linalg.norm(query),
        "ip": vectors @ query,
        "l2": 1 / (1 + ((vectors - query) ** 2).sum(axis=1)),
    }[metric]
    order = np.argsort(-expected)
    hits = helpers.knn_search_items(client, query, knn_k=6)
    assert [hit["item_id"] for hit in hits] == [str(number) for number in order]
    assert [hit["score"] for hit in hits] == pytest.approx(expected[order].tolist(), abs=1e-2)


def test_keys_under_other_prefixes_of_the_index_are_read(tmp_path: Path, client: redis.Redis):
    mapping = spec_to_mapping(a_spec(embedding={"type": "vector", "dims": 2}))
    mapping["index"]["prefix"] = ["new:", "old:item:"]
    spec = spec_from_mapping(mapping)
    helpers = make_package(tmp_path, spec).sync
    client.execute_command(*ft_create(spec))
    helpers.store_item(client, "a", [1, 0])
    client.hset("old:item:b", "embedding", np.array([0, 1], dtype="<f4").tobytes())
    hits = helpers.knn_search_items(client, [1, 0.5], knn_k=5)
    assert [hit["item_id"] for hit in hits] == ["a", "old:item:b"]
    assert helpers.scan_item_ids(client) == ["a", "old:item:b"]


def test_patterns_in_a_prefix_are_taken_literally(tmp_path: Path, client: redis.Redis):
    mapping = spec_to_mapping(a_spec())
    mapping["index"]["prefix"] = "i*[a]?\\:"
    helpers = make_package(tmp_path, spec_from_mapping(mapping)).sync
    helpers.store_item(client, "a", [1, 0, 0])
    client.hset("iXa?\\:b", "a", 1)
    client.hset("i*a?\\:c", "a", 1)
    assert helpers.scan_item_ids(client) == ["a"]
