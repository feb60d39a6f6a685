"""What helpers store is found by the same value, whatever it is, or refused before anything is sent.

Both flavours share all of this but the awaiting, so blocking clients stand for both here.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from enum import Enum
from functools import reduce
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.generated import Spy, a_spec, make_package
from vecmigrate.search.ddl import ft_create
from vecmigrate.spec.model import IndexSpec
from vecmigrate.verify.documents import read_vectors

TAGS: dict[str, dict[str, Any]] = {
    "hash": {"plain": {}, "semi": {"separator": ";"}, "exact": {"case_sensitive": True}},
    "json": {"plain": {}, "semi": {"separator": ";"}, "exact": {"case_sensitive": True}},
}
FLAT = {"type": "vector", "dims": 2, "algorithm": "flat"}


def tag_spec(storage: str, name: str) -> IndexSpec:
    field = {"type": "tag", "from": "argument", **TAGS[storage][name]}
    return a_spec(f"{storage}_{name}", storage=storage, label=field, embedding=FLAT)


DOC = a_spec(
    "doc",
    title={"type": "text", "from": "argument"},
    labels={"type": "tag", "from": "argument"},
    year={"type": "numeric", "from": "argument"},
    meta={"type": "json"},
    embedding=FLAT,
    helpers={"on_error": "empty"},
)
PAGE = a_spec(
    "page",
    storage="json",
    title={"type": "text", "from": "argument"},
    labels={"type": "tag", "from": "argument"},
    meta={"type": "json"},
    embedding={**FLAT, "algorithm": "hnsw"},
    helpers={"on_error": "empty"},
)
TAG_SPECS = [tag_spec(storage, name) for storage, names in TAGS.items() for name in names]
SPECS = [DOC, PAGE, *TAG_SPECS]
E0 = [1.0, 0.0]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    made: ModuleType = make_package(tmp_path_factory.mktemp("codec"), *SPECS).sync
    return made


@pytest.fixture
def server(emptied_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(emptied_url) as client:
        for spec in SPECS:
            client.execute_command(*ft_create(spec))
        yield client


# Labels: what a naive reader of the same documents would find.

# Every white space of ASCII and Unicode, signs that queries read, backslashes, letters in both cases.
CHARACTERS = st.sampled_from(
    [*" \t\n\x0b\x0c\r\x1c\x85\u00a0\u2003\u3000\u200b", *"\\\\.-,;:*?{}|@$%\"'", *"aAbßÄäİ"]
)
LABELS = st.text(CHARACTERS, min_size=1, max_size=5)


@pytest.mark.parametrize("spec", TAG_SPECS, ids=lambda spec: spec.name)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stored=st.lists(st.lists(LABELS, min_size=1, max_size=3), min_size=1, max_size=8))
def test_a_label_finds_just_the_documents_that_hold_it(
    package: ModuleType, server: redis.Redis, spec: IndexSpec, stored: list[list[str]]
):
    field = spec.fields[0]
    separator: str = field.separator  # type: ignore[union-attr]  # a tag field
    store = getattr(package, f"store_{spec.name}")
    find = getattr(package, spec.helpers.knn)

    def kept(label: str) -> bytes:
        text = label.encode().strip() if separator else label.encode()
        return text if field.case_sensitive else text.lower()  # type: ignore[union-attr]

    for key in server.scan_iter(f"{spec.prefix}*"):
        server.delete(key)
    held: dict[str, set[bytes]] = {}
    for number, labels in enumerate(stored):
        try:
            store(server, str(number), E0, label=labels if len(labels) > 1 else labels[0])
        except ValueError:
            assert separator
            assert any(separator in label or not kept(label) for label in labels)
        else:
            parts = labels if len(labels) > 1 or not separator else labels[0].split(separator)
            held[str(number)] = {kept(part) for part in parts} - ({b""} if separator else set())
    for label in {label for labels in stored for label in labels}:
        expected = {key for key, labels in held.items() if kept(label) in labels}
        try:
            hits = find(server, E0, knn_k=9, label=label)
        except ValueError:
            assert separator
            assert separator in label.strip() or not kept(label)
            assert expected == set()
        else:
            assert {hit[spec.key] for hit in hits} == expected


class Topic(str, Enum):  # noqa: UP042 - what many services have
    NEWS = "news"


@pytest.mark.parametrize("name", ["doc", "page"])
def test_a_member_of_an_enumeration_is_its_text_everywhere(
    package: ModuleType, server: redis.Redis, name: str
):
    store, get = getattr(package, f"store_{name}"), getattr(package, f"get_{name}")
    for value in (Topic.NEWS, [Topic.NEWS], {Topic.NEWS}):
        store(server, Topic.NEWS, E0, {"t": Topic.NEWS, Topic.NEWS: 1}, title=Topic.NEWS, labels=value)
        (hit,) = getattr(package, f"knn_search_{name}s")(server, E0, knn_k=2, labels=Topic.NEWS)
        assert hit[f"{name}_id"] == "news"
        assert get(server, Topic.NEWS)["title"] == "news"
        assert get(server, "news")["metadata"] == {"t": "news", "news": 1}
    assert [key.decode() for key in server.scan_iter("*news*")] == [f"{name}:news"]


# Many items.

HALF = "broken \ud83d"
FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("text", {"title": HALF}),
    ("label", {"labels": HALF}),
    ("list", {"labels": ["a", HALF]}),
    ("key", {"id": HALF}),
    ("metadata", {"metadata": {"a": [HALF]}}),
    ("name in metadata", {"metadata": {HALF: 1}}),
    ("nul in the key", {"id": "a\0b"}),
    ("nul in a text", {"title": "a\0b"}),
    ("nul in a list", {"labels": ["a", "b\0"]}),
    ("bytes as key", {"id": b"a"}),
    ("a long label", {"labels": ["x" * 5000]}),
    ("deep metadata", {"metadata": {"a": reduce(lambda inner, _: [inner], range(5000), [])}}),
]


@pytest.mark.parametrize("name", ["doc", "page"])
@pytest.mark.parametrize(("what", "fault"), FAULTS, ids=[what for what, _ in FAULTS])
def test_one_item_that_cannot_be_encoded_does_not_stop_the_others(
    package: ModuleType, server: redis.Redis, name: str, what: str, fault: dict[str, Any]
):
    if name == "page" and what == "a long label":
        pytest.skip("JSON without a separator cuts no labels")
    items: list[dict[str, Any]] = [
        {f"{name}_id": f"d{number}", "embedding": E0, "metadata": {}} for number in range(3)
    ]
    items[1] |= {f"{name}_id" if field == "id" else field: value for field, value in fault.items()}
    report = getattr(package, f"store_many_{name}s")(server, items)
    assert (report["stored"], [failure["index"] for failure in report["failed"]]) == (2, [1])
    assert getattr(package, f"scan_{name}_ids")(server) == ["d0", "d2"]


def test_bytes_that_are_not_utf8_are_stored_in_hashes_and_refused_in_json(
    package: ModuleType, server: redis.Redis
):
    item = {"embedding": E0, "metadata": {}, "labels": [b"\xff", "a"], "title": b"\xfe"}
    assert package.store_many_docs(server, [{"doc_id": "a", **item}])["failed"] == []
    assert server.hmget("doc:a", "labels", "title") == [b"\xff,a", b"\xfe"]
    (hit,) = package.knn_search_docs(server, E0, knn_k=1, labels=b"\xff")
    assert hit["doc_id"] == "a"
    (failure,) = package.store_many_pages(server, [{"page_id": "a", **item}])["failed"]
    assert "are not UTF-8" in failure["reason"]


ONE_FOR_MANY: list[tuple[str, Callable[[ModuleType, redis.Redis, Any], Any]]] = [
    ("delete_many", lambda package, server, one: package.delete_many_docs(server, one)),
    ("store_many", lambda package, server, one: package.store_many_docs(server, one)),
    ("knn_many", lambda package, server, one: package.knn_many_docs(server, one, knn_k=1)),
]


@pytest.mark.parametrize(("function", "call"), ONE_FOR_MANY, ids=[name for name, _ in ONE_FOR_MANY])
@pytest.mark.parametrize("one", ["abc", b"abc", {"a": 1}], ids=["str", "bytes", "dict"])
def test_one_where_several_are_meant_is_a_type_error(
    package: ModuleType,
    server: redis.Redis,
    function: str,
    call: Callable[[ModuleType, redis.Redis, Any], Any],
    one: Any,
):
    for key in "abc":
        package.store_doc(server, key, E0, {})
    with Spy(server) as sent, pytest.raises(TypeError, match="expected an iterable of several"):
        call(package, server, one)
    assert sent.commands == []
    assert package.scan_doc_ids(server) == ["a", "b", "c"]


def test_one_in_a_list_is_deleted_as_the_message_says(package: ModuleType, server: redis.Redis):
    for key in ("a", "abc"):
        package.store_doc(server, key, E0, {})
    assert package.delete_many_docs(server, ["abc"]) == 1
    assert package.scan_doc_ids(server) == ["a"]


# Mistakes of the caller are never "no hits", although errors of Redis are.


@pytest.mark.parametrize("count", [np.int64(1), np.uint8(1), np.array(1)])
def test_whole_numbers_of_any_kind_are_taken(package: ModuleType, server: redis.Redis, count: Any):
    package.store_page(server, "a", E0, {})
    assert len(package.knn_search_pages(server, E0, knn_k=count, ef_runtime=count)) == 1
    assert len(package.knn_many_pages(server, [E0], knn_k=count, ef_runtime=count)[0]) == 1
    assert len(package.range_search_pages(server, E0, min_score=0.5, limit=count)) == 1
    assert package.store_many_pages(server, [], batch_size=count)["stored"] == 0
    assert package.delete_many_pages(server, ["a"], batch_size=count) == 1


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("knn_search_docs", {"knn_k": 2_000_000}),
        ("knn_search_docs", {"knn_k": 2**63}),
        ("knn_search_docs", {"knn_k": True}),
        ("knn_search_docs", {"knn_k": 5.0}),
        ("knn_search_docs", {"knn_k": "5"}),
        ("knn_search_docs", {"knn_k": None}),
        ("knn_search_pages", {"knn_k": 1, "ef_runtime": 2**63}),
        ("knn_search_pages", {"knn_k": 1, "ef_runtime": 2.5}),
        ("range_search_docs", {"min_score": 0.5, "limit": 1_000_001}),
        ("range_search_docs", {"min_score": "0.5"}),
        ("range_search_docs", {"min_score": None}),
        ("knn_search_docs", {"knn_k": 1, "year": 2024}),
        ("knn_search_docs", {"knn_k": 1, "year": True}),
        ("knn_search_docs", {"knn_k": 1, "year": (None, float("-inf"))}),
        ("knn_search_docs", {"knn_k": 1, "year": (10**400, None)}),
        ("knn_search_docs", {"knn_k": 1, "year": "20"}),
        ("knn_search_docs", {"knn_k": 1, "labels": True}),
        ("knn_search_docs", {"knn_k": 1, "labels": 2024}),
        ("knn_search_docs", {"knn_k": 1, "labels": "a,b"}),
        ("knn_search_docs", {"knn_k": 1, "labels": "x" * 5000}),
        ("knn_search_docs", {"knn_k": 1, "labels": HALF}),
    ],
    ids=str,
)
def test_mistakes_of_the_caller_are_raised_and_nothing_is_sent(
    package: ModuleType, server: redis.Redis, function: str, arguments: dict[str, Any]
):
    with Spy(server) as sent, pytest.raises((ValueError, TypeError)):
        getattr(package, function)(server, E0, **arguments)
    assert sent.commands == []


def test_the_largest_counts_are_taken(package: ModuleType, server: redis.Redis):
    package.store_page(server, "a", E0, {})
    assert len(package.knn_search_pages(server, E0, knn_k=1_000_000)) == 1
    assert len(package.range_search_pages(server, E0, min_score=0, limit=1_000_000)) == 1
    package.store_doc(server, "a", E0, {}, year=np.int64(2024), labels=["a", "b"])
    for wanted in ((2024, 2024), (np.float32(2024), None), (True, 1e308), (-np.inf, np.inf)):
        assert len(package.knn_search_docs(server, E0, knn_k=1, year=wanted)) == 1
    assert len(package.knn_search_docs(server, E0, knn_k=1, labels=["a", "x"])) == 1


# Clients.


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("decode", [False, True])
@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-8"])
def test_every_client_writes_and_reads_utf8(
    package: ModuleType, server: redis.Redis, encoding: str, decode: bool, protocol: int
):
    options: Any = {"encoding": encoding, "decode_responses": decode, "protocol": protocol}
    key, text = "größe", "Straße"
    where = server.get_connection_kwargs()
    with redis.Redis(host=where["host"], port=where["port"], **options) as other:
        metadata = {text: text}
        package.store_doc(other, key, E0, metadata, title=text, labels=[text, "b"], year=1)
        package.store_page(other, key, E0, metadata, title=text, labels=[text, "b"])
        assert sorted(server.keys()) == [f"doc:{key}".encode(), f"page:{key}".encode()]
        stored = server.hgetall(f"doc:{key}")
        assert stored[b"title"] == text.encode()
        assert stored[b"labels"] == f"{text},b".encode()
        assert text in server.execute_command("JSON.GET", f"page:{key}").decode()
        for name in ("doc", "page"):
            (hit,) = getattr(package, f"knn_search_{name}s")(other, E0, knn_k=1, labels=text)
            ((many,),) = getattr(package, f"knn_many_{name}s")(other, [E0], knn_k=1, labels=text)
            assert hit == many
            assert (hit[f"{name}_id"], hit["title"], hit["metadata"]) == (key, text, metadata)
            document = getattr(package, f"get_{name}")(other, key)
            assert (document["title"], document["metadata"]) == (text, metadata)
            assert document["embedding"].tolist() == E0
            assert getattr(package, f"scan_{name}_ids")(other) == [key]
            assert getattr(package, f"delete_many_{name}s")(other, [key]) == 1


def test_a_text_that_is_not_utf8_does_not_stop_a_client_that_decodes(
    package: ModuleType, server: redis.Redis
):
    package.store_doc(server, "a", E0, {}, title=b"\xff")
    where = server.get_connection_kwargs()
    with redis.Redis(host=where["host"], port=where["port"], decode_responses=True) as other:
        (hit,) = package.knn_search_docs(other, E0, knn_k=1)
    assert hit["title"] == "\ufffd"


# Vectors.


@pytest.mark.parametrize(
    "vector",
    [
        np.ma.array(E0, mask=[False, True]),
        [1.0, np.ma.masked],
        [3e38, 3e38],
        [1e-40, 1e-40],
        np.full(2, 1e38, np.float32) * np.float32(3),
    ],
    ids=["masked", "masked in a list", "long", "short", "long float32"],
)
def test_vectors_without_a_direction_or_a_number_are_refused_without_a_warning(
    package: ModuleType, server: redis.Redis, vector: Any
):
    with warnings.catch_warnings(action="error"), pytest.raises(ValueError, match="^the vector "):
        package.store_doc(server, "a", vector, {})
    with warnings.catch_warnings(action="error"), pytest.raises(ValueError, match="^the vector "):
        package.knn_search_docs(server, vector, knn_k=1)


@pytest.mark.parametrize("storage", ["hash", "json"])
def test_verification_leaves_out_the_vectors_that_helpers_refuse(server: redis.Redis, storage: str):
    spec = DOC if storage == "hash" else PAGE
    vectors = {"fine": E0, "short": [1e-40, 1e-40], "long": [3e38, 3e38], "zero": [0.0, 0.0]}
    for name, vector in vectors.items():
        if storage == "hash":
            server.hset(name, "embedding", np.array(vector, "<f4").tobytes())
        else:
            server.execute_command("JSON.SET", name, "$", f'{{"embedding": {vector}}}')
    found = read_vectors(server, spec, spec.vector, [name.encode() for name in vectors])
    assert found.keys == [b"fine"]
    assert found.matrix.tolist() == [E0]
    assert read_vectors(server, spec, spec.vector, [b"zero"]).matrix.shape == (0, 2)
