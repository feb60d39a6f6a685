"""What helpers say of stored documents: what is there, as it is, and nothing else.

All of it runs for asyncio and blocking clients, under RESP2 and RESP3, bytes and str, where that can matter.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import redis
import redis.asyncio

from tests.generated import Spy, a_spec, make_package
from vecmigrate.search.ddl import ft_create
from vecmigrate.spec.build import spec_from_mapping, spec_to_mapping
from vecmigrate.spec.model import IndexSpec

VECTOR = {"type": "vector", "dims": 2, "algorithm": "flat"}
STAMP, WIDE = 1700000000.123456, 9007199254740993
each_storage = pytest.mark.parametrize("storage", ["hash", "json"])


def blob(*numbers: float) -> bytes:
    return np.array(numbers, dtype="<f4").tobytes()


def made(tmp_path: Path, client: redis.Redis, spec: IndexSpec) -> ModuleType:
    """The blocking helpers of a spec, whose index exists."""
    client.execute_command(*ft_create(spec))
    return make_package(tmp_path, spec).sync


def with_prefixes(*prefixes: str, storage: str = "hash", **fields: Any) -> IndexSpec:
    mapping = spec_to_mapping(a_spec(storage=storage, embedding=VECTOR, **fields))
    mapping["index"]["prefix"] = list(prefixes)
    return spec_from_mapping(mapping)


def put(client: redis.Redis, storage: str, key: str, **values: Any) -> None:
    """A document that something else than a helper wrote."""
    if storage == "json":
        client.execute_command("JSON.SET", key, "$", json.dumps({"embedding": [1, 0], **values}))
    else:
        client.hset(key, mapping={"embedding": blob(1, 0), **values})


class TestNothingIsInvented:
    @each_storage
    def test_a_default_that_came_later_is_not_read(self, tmp_path: Path, client: redis.Redis, storage: str):
        fields = {
            "lang": {"type": "tag", "default": "en"},
            "year": {"type": "numeric", "default": 5},
            "title": {"type": "text", "default": "untitled"},
        }
        helpers = made(tmp_path, client, a_spec(storage=storage, embedding=VECTOR, **fields))
        put(client, storage, "item:old")
        helpers.store_item(client, "new", [1, 0])
        hits = helpers.knn_search_items(client, [1, 0], knn_k=9)
        said = {hit["item_id"]: (hit["lang"], hit["year"], hit["title"]) for hit in hits}
        assert said == {"old": (None, None, None), "new": ("en", 5, "untitled")}
        assert helpers.get_item(client, "old")["lang"] is None
        assert helpers.get_item(client, "old")["year"] is None
        found = helpers.knn_search_items(client, [1, 0], knn_k=9, lang="en")
        assert [hit["item_id"] for hit in found] == ["new"]
        found = helpers.knn_search_items(client, [1, 0], knn_k=9, year=(5, 5))
        assert [hit["item_id"] for hit in found] == ["new"]

    @each_storage
    def test_an_empty_text_is_empty(self, tmp_path: Path, client: redis.Redis, storage: str):
        fields = {
            "lang": {"type": "tag", "default": "en"},
            "title": {"type": "text", "default_from": "key"},
            "note": {"type": "text"},
        }
        helpers = made(tmp_path, client, a_spec(storage=storage, embedding=VECTOR, **fields))
        put(client, storage, "item:a", lang="", title="", note="")
        (hit,) = helpers.knn_search_items(client, [1, 0], knn_k=1)
        assert (hit["lang"], hit["title"], hit["note"]) == ("", "", "")
        document = helpers.get_item(client, "a")
        assert (document["lang"], document["title"], document["note"]) == ("", "", "")

    @each_storage
    def test_only_texts_beside_their_metadata_fall_back(
        self, tmp_path: Path, client: redis.Redis, storage: str
    ):
        fields = {
            "called": {"type": "text", "default_from": "key"},
            "about": {"type": "text", "default": ""},
            "title": {"type": "text", "default": "untitled"},
            "label": {"type": "tag", "default_from": "key"},
            "lang": {"type": "tag", "default": "en"},
            "meta": {"type": "json"},
        }
        helpers = made(tmp_path, client, a_spec(storage=storage, embedding=VECTOR, **fields))
        meta: Any = {"called": "Meta", "title": "Meta", "label": "meta", "lang": "de"}
        put(client, storage, "item:a", meta=meta if storage == "json" else json.dumps(meta))
        (hit,) = helpers.knn_search_items(client, [1, 0], knn_k=1)
        document = helpers.get_item(client, "a")
        for found in (hit, document):
            assert (found["called"], found["about"]) == ("Meta", "")
            assert (found["title"], found["label"], found["lang"]) == (None, None, None)
            assert found["metadata"] == meta

    def test_a_value_that_a_rename_lost_is_none(self, tmp_path: Path, client: redis.Redis):
        helpers = made(
            tmp_path, client, a_spec(embedding=VECTOR, headline={"type": "text", "default_from": "key"})
        )
        put(client, "hash", "item:a", title="Tea")
        assert helpers.knn_search_items(client, [1, 0], knn_k=1)[0]["headline"] is None
        assert helpers.get_item(client, "a") is not None
        assert helpers.get_item(client, "a")["headline"] is None


class TestNumbers:
    @each_storage
    @pytest.mark.parametrize("sortable", [False, True])
    @pytest.mark.parametrize("path", ["own", "other", "crossed"])
    def test_numbers_are_exact(
        self, tmp_path: Path, client: redis.Redis, storage: str, sortable: bool, path: str
    ):
        number: dict[str, Any] = {"type": "numeric", **({"sortable": True} if sortable else {})}
        at, wide = number, number
        dot = "$." if storage == "json" else ""
        if path == "other":
            at, wide = {**number, "path": f"{dot}stamp"}, {**number, "path": f"{dot}much"}
        elif path == "crossed":
            at, wide = {**number, "path": f"{dot}wide"}, {**number, "path": f"{dot}at"}
        fields = {"at": at, "wide": wide, "label": {"type": "tag"}, "extra": {"type": "json"}}
        sources = {name: {**field, "from": "argument"} for name, field in fields.items()}
        helpers = made(tmp_path, client, a_spec(storage=storage, embedding=VECTOR, **sources))
        helpers.store_item(client, "a", [1, 0], at=STAMP, wide=WIDE, label="x", extra={"n": WIDE})
        (hit,) = helpers.knn_search_items(client, [1, 0], knn_k=1)
        (ranged,) = helpers.range_search_items(client, [1, 0], min_score=0.5)
        ((many,),) = helpers.knn_many_items(client, [[1, 0]], knn_k=1)
        for found in (hit, ranged, many, helpers.get_item(client, "a")):
            assert (found["at"], found["wide"]) == (STAMP, WIDE)
            assert (found["label"], found["extra"]) == ("x", {"n": WIDE})

    @pytest.mark.parametrize(
        "number",
        [0.1, 5, -2.5, 1e-300, 1.7976931348623157e308, 5.0000000000001, 2**53, -(2**63), 123456789012.5],
    )
    @each_storage
    def test_what_is_stored_is_read(self, tmp_path: Path, client: redis.Redis, storage: str, number: float):
        helpers = made(tmp_path, client, a_spec(storage=storage, embedding=VECTOR, n={"type": "numeric"}))
        helpers.store_item(client, "a", [1, 0], n=number)
        assert helpers.knn_search_items(client, [1, 0], knn_k=1)[0]["n"] == number
        assert helpers.get_item(client, "a")["n"] == number

    def test_an_attribute_called_like_its_path_is_exact_too(self, tmp_path: Path, client: redis.Redis):
        # As FT.CREATE … SCHEMA $.at NUMERIC makes it, without AS.
        number = {"type": "numeric", "sortable": True, "attribute": "$.at"}
        helpers = made(tmp_path, client, a_spec(storage="json", embedding=VECTOR, at=number))
        helpers.store_item(client, "a", [1, 0], at=STAMP)
        assert helpers.knn_search_items(client, [1, 0], knn_k=1)[0]["at"] == STAMP

    def test_a_search_is_one_command(self, tmp_path: Path, client: redis.Redis):
        helpers = made(tmp_path, client, a_spec(embedding=VECTOR, n={"type": "numeric"}))
        helpers.store_item(client, "a", [1, 0], n=STAMP)
        with Spy(client) as spy:
            helpers.knn_search_items(client, [1, 0], knn_k=3)
        assert [words[0].upper() for words in spy.commands] == [b"FT.SEARCH"]


class TestJson:
    @pytest.mark.parametrize(
        "value", ["hello", "5", "true", "[1]", "", "null", 5, 5.0, True, [1], {"a": "b"}]
    )
    def test_a_json_field_is_read_as_it_was_stored(self, tmp_path: Path, client: redis.Redis, value: Any):
        note = {"type": "json", "from": "argument"}
        for storage in ("hash", "json"):
            name = f"{storage}_item"
            spec = a_spec(name, storage=storage, embedding=VECTOR, note=note)
            helpers = made(tmp_path, client, spec)
            getattr(helpers, f"store_{name}")(client, "a", [1, 0], note=value)
            (hit,) = getattr(helpers, f"knn_search_{name}s")(client, [1, 0], knn_k=1)
            for found in (hit["note"], getattr(helpers, f"get_{name}")(client, "a")["note"]):
                assert (found, type(found)) == (value, type(value))

    def test_paths_of_several_values_return_them_all(self, tmp_path: Path, client: redis.Redis):
        fields = {
            "doc": {"type": "json", "from": "argument"},
            "tags": {"type": "tag", "path": "$.doc.tags[*]"},
            "years": {"type": "numeric", "path": "$.doc.years[*]"},
            "titles": {"type": "text", "path": "$.doc.parts[*].title"},
            "first": {"type": "tag", "path": "$.doc.tags[0]"},
        }
        helpers = made(tmp_path, client, a_spec(storage="json", embedding=VECTOR, **fields))
        doc = {"tags": ["a", "b"], "years": [1999, WIDE], "parts": [{"title": "One"}, {"title": "Two"}]}
        helpers.store_item(client, "full", [1, 0], doc=doc)
        helpers.store_item(client, "none", [1, 0.5], doc={"tags": []})
        full, none = helpers.knn_search_items(client, [1, 0], knn_k=2)
        assert (full["tags"], full["years"], full["titles"]) == (["a", "b"], [1999, WIDE], ["One", "Two"])
        assert (full["first"], full["doc"]) == ("a", doc)
        assert (none["tags"], none["years"], none["titles"], none["first"]) == ([], [], [], None)
        assert [hit["item_id"] for hit in helpers.knn_search_items(client, [1, 0], knn_k=2, tags="b")] == [
            "full"
        ]

    def test_several_labels_are_a_list(self, tmp_path: Path, client: redis.Redis):
        helpers = made(tmp_path, client, a_spec(storage="json", embedding=VECTOR, tags={"type": "tag"}))
        helpers.store_item(client, "a", [1, 0], tags=["5", "b"])
        (hit,) = helpers.knn_search_items(client, [1, 0], knn_k=1)
        assert hit["tags"] == helpers.get_item(client, "a")["tags"] == ["5", "b"]


class TestPrefixes:
    @each_storage
    def test_a_key_names_one_document(self, tmp_path: Path, client: redis.Redis, storage: str):
        spec = with_prefixes("p1:", "p2:", storage=storage, side={"type": "tag"})
        helpers = made(tmp_path, client, spec)
        ids = ["p1:x", "p2:x", "p1:p2:x", "p1:p1:x", "p2:p1:x"]
        for number, name in enumerate(ids):
            put(client, storage, name, side=str(number))
        hits = helpers.knn_search_items(client, [1, 0], knn_k=9)
        keys = {hit["side"]: hit["item_id"] for hit in hits}
        assert len(set(keys.values())) == len(ids)
        assert keys["0"] == "x"
        assert sorted(helpers.scan_item_ids(client)) == sorted(keys.values())
        assert sorted(helpers.iter_item_ids(client)) == sorted(keys.values())
        for number, name in enumerate(ids):
            key = keys[str(number)]
            assert helpers.get_item(client, key)["side"] == str(number)
            assert helpers.get_item(client, key)["item_id"] == key
            helpers.delete_item(client, key)
            assert not client.exists(name)
            assert sum(client.exists(other) for other in ids) == len(ids) - number - 1

    def test_a_field_that_holds_the_key_names_the_document_too(self, tmp_path: Path, client: redis.Redis):
        spec = with_prefixes("p1:", "p2:", called={"type": "tag", "from": "key"})
        helpers = made(tmp_path, client, spec)
        helpers.store_item(client, "x", [1, 0])
        put(client, "hash", "p2:x", called="x")
        keys = [hit["called"] for hit in helpers.knn_search_items(client, [1, 0], knn_k=9)]
        assert sorted(keys) == ["p2:x", "x"]
        assert helpers.delete_many_items(client, ["p2:x"]) == 1
        assert client.exists("p1:x")

    def test_prefixes_may_overlap(self, tmp_path: Path, client: redis.Redis):
        helpers = made(tmp_path, client, with_prefixes("p:q:", "p:"))
        for name in ("p:q:x", "p:x", "p:q:p:x"):
            put(client, "hash", name)
        keys = {hit["item_id"] for hit in helpers.knn_search_items(client, [1, 0], knn_k=9)}
        assert keys == {"x", "p:x", "p:q:p:x"} == set(helpers.scan_item_ids(client))
        assert sorted(helpers.iter_item_ids(client)) == sorted(keys)
        assert all(helpers.get_item(client, key) for key in keys)


class TestScans:
    @each_storage
    def test_a_scan_lists_documents_only(self, tmp_path: Path, client: redis.Redis, storage: str):
        helpers = made(tmp_path, client, a_spec(storage=storage, embedding=VECTOR))
        helpers.store_item(client, "a", [1, 0])
        client.set("item:text", 1)
        client.rpush("item:list", 1)
        put(client, "hash" if storage == "json" else "json", "item:other")
        assert helpers.scan_item_ids(client) == ["a"]
        assert list(helpers.iter_item_ids(client)) == ["a"]


class TestPrimary:
    @pytest.mark.parametrize("order", [("body", "title"), ("title", "body")])
    def test_the_primary_vector_is_searched_wherever_it_stands(
        self, tmp_path: Path, client: redis.Redis, order: tuple[str, str]
    ):
        vectors = {name: {**VECTOR, **({"primary": True} if name == "title" else {})} for name in order}
        helpers = made(tmp_path, client, a_spec(**vectors))
        helpers.store_item(client, "a", [1, 0], body=[0, 1])
        helpers.store_item(client, "b", [0, 1], body=[1, 0])
        assert client.hget("item:a", "title") == blob(1, 0)
        assert helpers.knn_search_items(client, [1, 0], knn_k=1)[0]["item_id"] == "a"
        assert helpers.range_search_items(client, [1, 0], min_score=0.9)[0]["item_id"] == "a"
        assert helpers.knn_many_items(client, [[1, 0]], knn_k=1)[0][0]["item_id"] == "a"
        assert helpers.knn_search_items_by_body(client, [1, 0], knn_k=1)[0]["item_id"] == "b"
        document = helpers.get_item(client, "a")
        assert (document["title"].tolist(), document["body"].tolist()) == ([1, 0], [0, 1])
        with pytest.raises(TypeError):
            helpers.store_item(client, "a", [1, 0], [0, 1])
