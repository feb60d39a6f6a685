"""The contract of the module that the generated helpers replace, function by function.

Every test runs for the asyncio helpers and for their blocking twins, and for each of them under RESP2 and
RESP3 with replies as bytes and as str.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import redis
import redis.asyncio
import redis.asyncio.retry
import redis.backoff
import redis.retry

from tests.generated import COMMITTED, Helpers, Spy, committed_specs, import_package
from vecmigrate.search.ddl import ft_create

PACKAGE = import_package(COMMITTED)
SPECS = {spec.name: spec for spec in committed_specs()}
RNG = np.random.default_rng(20_240_501)

# For each spec: its helpers, and the keys of a result.
KINDS = {
    "tool": (
        "store_tool_embedding_hash",
        "delete_tool_embedding_hash",
        "knn_search_tools",
        ["name", "score", "metadata"],
    ),
    "skill": (
        "store_skill_embedding_hash",
        "delete_skill_embedding_hash",
        "knn_search_skills",
        ["skill_id", "name", "description", "score", "metadata"],
    ),
    "dangerous_cmd": (
        "store_dangerous_cmd_embedding_hash",
        "delete_dangerous_cmd_embedding_hash",
        "knn_search_dangerous_cmds",
        ["category_id", "score", "metadata"],
    ),
    "benign_tech": (
        "store_benign_tech_embedding_hash",
        "delete_benign_tech_embedding_hash",
        "knn_search_benign_tech",
        ["category_id", "score", "metadata"],
    ),
}
each_kind = pytest.mark.parametrize("kind", KINDS)


def unit(*components: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    """A vector, shape (384,), that begins with these numbers and goes on with zeros."""
    vector = np.zeros(384, dtype=np.float32)
    vector[: len(components)] = components
    return vector


@pytest.fixture
def server(emptied_url: str) -> Iterator[redis.Redis]:
    """A plain client to the same server, for looking at what is really there; the four indexes exist."""
    with redis.Redis.from_url(emptied_url) as client:
        for spec in SPECS.values():
            client.execute_command(*ft_create(spec))
        yield client


class Contract:
    """The tests; two classes below say with which helpers."""

    # Storing and deleting.

    @pytest.mark.parametrize("vector", [list(unit(1, 2)), unit(1, 2), unit(1, 2).astype(np.float64)])
    async def test_a_tool_is_stored_as_the_reference_stores_it(
        self, helpers: Helpers, server: redis.Redis, vector: Any
    ):
        assert await helpers.store_tool_embedding_hash("grep", vector, {"category": "text", "n": 1}) is None
        stored = server.hgetall("tool_emb:grep")
        assert stored.keys() == {b"name", b"meta_json", b"embedding"}
        assert stored[b"name"] == b"grep"
        assert json.loads(stored[b"meta_json"]) == {"category": "text", "n": 1}
        assert stored[b"embedding"] == unit(1, 2).astype("<f4").tobytes()

    async def test_a_skill_is_stored_as_the_reference_stores_it(self, helpers: Helpers, server: redis.Redis):
        meta = {"name": "Cooking", "description": "Makes soup.", "level": 3}
        assert await helpers.store_skill_embedding_hash("cook", unit(1), meta) is None
        stored = server.hgetall("skill_emb:cook")
        assert stored.keys() == {b"skill_id", b"name", b"description", b"meta_json", b"embedding"}
        assert stored[b"skill_id"] == b"cook"
        assert stored[b"name"] == b"Cooking"
        assert stored[b"description"] == b"Makes soup."
        assert json.loads(stored[b"meta_json"]) == meta

    @pytest.mark.parametrize("meta", [{}, {"name": None, "description": None}, {"name": ""}])
    async def test_a_skill_without_a_name_is_stored_under_its_id(
        self, helpers: Helpers, server: redis.Redis, meta: dict[str, Any]
    ):
        await helpers.store_skill_embedding_hash("cook", unit(1), meta)
        assert server.hmget("skill_emb:cook", "name", "description") == [b"cook", b""]

    @pytest.mark.parametrize("kind", ["dangerous_cmd", "benign_tech"])
    async def test_a_category_is_stored_as_the_reference_stores_it(
        self, helpers: Helpers, server: redis.Redis, kind: str
    ):
        store = getattr(helpers, KINDS[kind][0])
        assert await store("wipe", unit(0, 1), {"why": "é"}) is None
        stored = server.hgetall(f"{kind}_emb:wipe")
        assert stored.keys() == {b"category_id", b"meta_json", b"embedding"}
        assert stored[b"category_id"] == b"wipe"
        assert json.loads(stored[b"meta_json"]) == {"why": "é"}

    @each_kind
    async def test_storing_is_one_hset_and_deleting_one_del(
        self, helpers: Helpers, server: redis.Redis, kind: str
    ):
        store, delete, _, _ = KINDS[kind]
        await helpers.redisearch_index_doc_count("idx:tool_emb")  # connected from here on
        with Spy(server) as spy:
            await getattr(helpers, store)("a b", unit(1), {})
            await getattr(helpers, delete)("a b")
        assert [words[0].upper() for words in spy.commands] == [b"HSET", b"DEL"]

    @each_kind
    async def test_storing_again_overwrites(self, helpers: Helpers, kind: str):
        store, _, knn, _ = KINDS[kind]
        await getattr(helpers, store)("a", unit(1), {"n": 1})
        await getattr(helpers, store)("a", unit(0, 1), {"n": 2})
        (hit,) = await getattr(helpers, knn)(unit(0, 1), knn_k=5)
        assert hit["metadata"] == {"n": 2}
        assert hit["score"] == pytest.approx(1)

    @each_kind
    async def test_what_is_deleted_is_found_no_more(self, helpers: Helpers, server: redis.Redis, kind: str):
        store, delete, knn, _ = KINDS[kind]
        await getattr(helpers, store)("a", unit(1), {})
        assert await getattr(helpers, delete)("a") is None
        assert await getattr(helpers, delete)("never there") is None
        assert server.exists(f"{kind}_emb:a") == 0
        assert await getattr(helpers, knn)(unit(1), knn_k=5) == []

    @each_kind
    @pytest.mark.parametrize(
        "vector",
        [unit(1)[:-1], np.append(unit(1), 1), unit(float("nan")), unit(float("inf")), unit(), ["x"] * 384],
        ids=["short", "long", "nan", "inf", "zero", "text"],
    )
    async def test_a_bad_vector_is_refused_before_anything_is_sent(
        self, helpers: Helpers, server: redis.Redis, kind: str, vector: Any
    ):
        store, _, knn, _ = KINDS[kind]
        await helpers.redisearch_index_doc_count("idx:tool_emb")
        with Spy(server) as spy:
            with pytest.raises(ValueError, match="the vector"):
                await getattr(helpers, store)("a", vector, {})
            with pytest.raises(ValueError, match="the vector"):
                await getattr(helpers, knn)(vector, knn_k=1)
        assert spy.commands == []

    async def test_storing_raises_what_redis_says(self, helpers: Helpers, server: redis.Redis):
        server.set("tool_emb:a", "no hash")
        with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
            await helpers.store_tool_embedding_hash("a", unit(1), {})

    # Searching.

    @each_kind
    async def test_results_are_the_nearest_first_with_cosine_similarity(self, helpers: Helpers, kind: str):
        store, _, knn, keys = KINDS[kind]
        vectors = RNG.normal(size=(20, 384)).astype(np.float32)
        for number, vector in enumerate(vectors):
            await getattr(helpers, store)(f"item {number}", vector * (number + 1), {"number": number})
        query = RNG.normal(size=384)
        similarity = vectors @ query / np.linalg.norm(vectors, axis=1) / np.linalg.norm(query)
        hits = await getattr(helpers, knn)(query, knn_k=7)
        order = np.argsort(-similarity)[:7]
        assert [hit["metadata"]["number"] for hit in hits] == order.tolist()
        assert [hit["score"] for hit in hits] == pytest.approx(similarity[order].tolist(), abs=1e-5)
        assert all(type(hit["score"]) is float for hit in hits)
        for hit, number in zip(hits, order, strict=True):
            assert list(hit) == keys
            assert hit[keys[0]] == f"item {number}"

    @each_kind
    async def test_what_is_sent_is_one_search_with_the_given_ef_runtime(
        self, helpers: Helpers, server: redis.Redis, kind: str
    ):
        knn = getattr(helpers, KINDS[kind][2])
        await knn(unit(1), knn_k=1)
        with Spy(server) as spy:
            await knn(unit(1), knn_k=3)
            await knn(unit(1), knn_k=3, ef_runtime=77)
        assert [words[0].upper() for words in spy.commands] == [b"FT.SEARCH", b"FT.SEARCH"]
        for words, ef_runtime in zip(spy.commands, (b"200", b"77"), strict=True):
            assert words[words.index(b"ef_runtime") + 1] == ef_runtime
            assert words[words.index(b"knn_k") + 1] == b"3"
            assert words[1] == SPECS[kind].index.name.encode()

    @each_kind
    async def test_an_empty_index_gives_nothing(self, helpers: Helpers, kind: str):
        assert await getattr(helpers, KINDS[kind][2])(unit(1), knn_k=5) == []

    @each_kind
    async def test_a_missing_index_gives_nothing_and_is_logged_at_debug_level(
        self, helpers: Helpers, server: redis.Redis, kind: str, caplog: pytest.LogCaptureFixture
    ):
        server.execute_command("FT.DROPINDEX", SPECS[kind].index.name)
        with caplog.at_level(logging.DEBUG):
            assert await getattr(helpers, KINDS[kind][2])(unit(1), knn_k=5) == []
        records = [record for record in caplog.records if record.name.startswith("redis_vector_index")]
        assert [record.levelno for record in records] == [logging.DEBUG]
        assert records[0].exc_info is not None
        assert isinstance(records[0].exc_info[1], redis.RedisError)

    @each_kind
    @pytest.mark.parametrize("argument", ["knn_k", "ef_runtime"])
    async def test_counts_below_one_are_refused_before_anything_is_sent(
        self, helpers: Helpers, server: redis.Redis, kind: str, argument: str
    ):
        arguments = {"knn_k": 1, "ef_runtime": 1, argument: 0}
        await helpers.redisearch_index_doc_count("idx:tool_emb")
        with Spy(server) as spy, pytest.raises(ValueError, match=f"{argument} is 0"):
            await getattr(helpers, KINDS[kind][2])(unit(1), **arguments)
        assert spy.commands == []

    @pytest.mark.parametrize("text", ["{broken", "", "[1]", "null", "{} x", None])
    async def test_metadata_that_cannot_be_parsed_is_empty(
        self, helpers: Helpers, server: redis.Redis, text: str | None
    ):
        await helpers.store_tool_embedding_hash("a", unit(1), {"n": 1})
        if text is None:
            server.hdel("tool_emb:a", "meta_json")
        else:
            server.hset("tool_emb:a", "meta_json", text)
        (hit,) = await helpers.knn_search_tools(unit(1), knn_k=1)
        assert hit == {"name": "a", "score": pytest.approx(1), "metadata": {}}

    @pytest.mark.parametrize(
        ("stored", "meta", "name", "description"),
        [
            ({"name": "Stored", "description": "S"}, {"name": "Meta", "description": "M"}, "Stored", "S"),
            ({"name": "", "description": ""}, {"name": "Meta", "description": "M"}, "Meta", "M"),
            ({}, {"name": "Meta", "description": "M"}, "Meta", "M"),
            ({"name": "", "description": ""}, {"name": "", "description": None}, "cook", ""),
            ({}, {}, "cook", ""),
            ({}, None, "cook", ""),
        ],
    )
    async def test_blank_fields_of_a_skill_fall_back(
        self,
        helpers: Helpers,
        server: redis.Redis,
        stored: dict[str, str],
        meta: dict[str, Any] | None,
        name: str,
        description: str,
    ):
        text = "not json" if meta is None else json.dumps(meta)
        fields = {"skill_id": "cook", "meta_json": text, "embedding": unit(1).tobytes(), **stored}
        server.hset("skill_emb:cook", mapping=fields)
        (hit,) = await helpers.knn_search_skills(unit(1), knn_k=1)
        assert (hit["skill_id"], hit["name"], hit["description"]) == ("cook", name, description)
        assert hit["metadata"] == (meta or {})

    async def test_a_document_without_a_name_goes_by_its_key(self, helpers: Helpers, server: redis.Redis):
        server.hset("tool_emb:a:b", mapping={"embedding": unit(1).tobytes()})
        assert [hit["name"] for hit in await helpers.knn_search_tools(unit(1), knn_k=1)] == ["a:b"]

    async def test_a_score_is_never_nan(
        self, helpers: Helpers, server: redis.Redis, caplog: pytest.LogCaptureFixture
    ):
        await helpers.store_tool_embedding_hash("good", unit(1), {})
        # Written by something that did not check: both answer every query with a distance that is NaN.
        server.hset("tool_emb:zero", mapping={"name": "zero", "embedding": unit().tobytes()})
        server.hset("tool_emb:nan", mapping={"name": "nan", "embedding": unit(float("nan")).tobytes()})
        with caplog.at_level(logging.DEBUG):
            hits = await helpers.knn_search_tools(unit(1), knn_k=3)
        assert [hit["name"] for hit in hits] == ["good"]
        assert "tool_emb:zero" in caplog.text

    # Counting.

    async def test_the_count_is_that_of_the_index(self, helpers: Helpers, server: redis.Redis):
        assert await helpers.redisearch_index_doc_count("idx:tool_emb") == 0
        for number in range(3):
            await helpers.store_tool_embedding_hash(f"t{number}", unit(1, number), {})
        count = await helpers.redisearch_index_doc_count("idx:tool_emb")
        assert (count, type(count)) == (3, int)
        server.execute_command("FT.ALIASADD", "tools", "idx:tool_emb")
        assert await helpers.redisearch_index_doc_count("tools") == 3

    @pytest.mark.parametrize("name", ["idx:missing", "", "a b", "*"])
    async def test_the_count_of_what_is_not_there_is_minus_one(
        self, helpers: Helpers, server: redis.Redis, name: str
    ):
        assert await helpers.redisearch_index_doc_count(name) == -1

    # Scanning.

    @pytest.mark.parametrize(
        ("scan", "store"),
        [
            ("scan_tool_names", "store_tool_embedding_hash"),
            ("scan_skill_ids", "store_skill_embedding_hash"),
            ("scan_dangerous_cmd_category_ids", "store_dangerous_cmd_embedding_hash"),
            ("scan_benign_tech_category_ids", "store_benign_tech_embedding_hash"),
        ],
    )
    async def test_a_scan_lists_every_key_once_and_sorted(
        self, helpers: Helpers, server: redis.Redis, scan: str, store: str
    ):
        assert await getattr(helpers, scan)() == []
        names = ["b", "a", "c:d", "Z", "é", "with space", "10", "9"]
        for name in names:
            await getattr(helpers, store)(name, unit(1), {})
        server.set("other", 1)
        server.set(f"x{scan.split('_')[1]}_emb:no", 1)
        assert await getattr(helpers, scan)() == sorted(names)

    async def test_a_scan_goes_in_batches_of_500_and_never_calls_keys(
        self, helpers: Helpers, server: redis.Redis
    ):
        pipeline = server.pipeline(transaction=False)
        for number in range(1200):
            pipeline.hset(f"tool_emb:{number:04}", "name", number)
        pipeline.execute()
        await helpers.redisearch_index_doc_count("idx:tool_emb")
        with Spy(server) as spy:
            found = await helpers.scan_tool_names()
        assert found == [f"{number:04}" for number in range(1200)]
        assert {words[0].upper() for words in spy.commands} == {b"SCAN"}
        assert len(spy.commands) > 1
        for words in spy.commands:
            upper = [word.upper() for word in words]
            assert words[upper.index(b"COUNT") + 1] == b"500"
            assert words[upper.index(b"MATCH") + 1] == b"tool_emb:*"

    # Moving out of legacy hashes.

    async def test_tools_move_out_of_legacy_hashes(self, helpers: Helpers, server: redis.Redis):
        vectors = {f"t{number}": RNG.normal(size=384) for number in range(3)}
        server.hset("legacy:e", mapping={name: json.dumps(v.tolist()) for name, v in vectors.items()})
        server.hset("legacy:e", mapping={"broken": "[1, 2", "short": "[1, 2]"})
        server.hset("legacy:m", mapping={"t0": '{"kind": "a"}', "t1": "{broken"})
        written = await helpers.migrate_legacy_tool_hashes_to_redisearch(
            embeddings_key="legacy:e", metadata_key="legacy:m"
        )
        assert written == 3
        assert await helpers.scan_tool_names() == ["t0", "t1", "t2"]
        for name, meta in (("t0", {"kind": "a"}), ("t1", {"name": "t1"}), ("t2", {"name": "t2"})):
            stored = server.hgetall(f"tool_emb:{name}")
            assert json.loads(stored[b"meta_json"]) == meta
            assert stored[b"name"] == name.encode()
            assert stored[b"embedding"] == vectors[name].astype("<f4").tobytes()
        assert server.hlen("legacy:e") == 5

    async def test_skills_move_out_of_legacy_hashes(self, helpers: Helpers, server: redis.Redis):
        server.hset("legacy:e", mapping={name: json.dumps(unit(1, 2).tolist()) for name in ("s0", "s1")})
        server.hset("legacy:m", mapping={"s0": '{"name": "Zero", "description": "D"}'})
        written = await helpers.migrate_legacy_skill_hashes_to_redisearch(
            embeddings_key="legacy:e", metadata_key="legacy:m"
        )
        assert written == 2
        hits = await helpers.knn_search_skills(unit(1, 2), knn_k=2)
        assert sorted((hit["skill_id"], hit["name"], hit["description"]) for hit in hits) == [
            ("s0", "Zero", "D"),
            ("s1", "s1", ""),
        ]
        assert [hit["metadata"] for hit in hits if hit["skill_id"] == "s1"] == [{"skill_id": "s1"}]

    @pytest.mark.parametrize("kind", ["tool", "skill"])
    async def test_missing_legacy_hashes_are_empty_ones(
        self, helpers: Helpers, server: redis.Redis, kind: str
    ):
        migrate = getattr(helpers, f"migrate_legacy_{kind}_hashes_to_redisearch")
        assert await migrate(embeddings_key="none", metadata_key="neither") == 0


class TestAsync(Contract):
    """The asyncio helpers."""

    @pytest.fixture
    async def helpers(self, server: redis.Redis, any_async_client: redis.asyncio.Redis) -> Helpers:
        return Helpers(PACKAGE, any_async_client)


class TestBlocking(Contract):
    """Their blocking twins."""

    @pytest.fixture
    async def helpers(self, server: redis.Redis, any_client: redis.Redis) -> Helpers:
        return Helpers(PACKAGE.sync, any_client)


def test_metadata_that_is_no_utf_8_is_empty(server: redis.Redis):
    # Only for clients that do not decode replies: one that does fails inside redis-py.
    PACKAGE.sync.store_tool_embedding_hash(server, "a", unit(1), {})
    server.hset("tool_emb:a", "meta_json", b"\xff")
    (hit,) = PACKAGE.sync.knn_search_tools(server, unit(1), knn_k=1)
    assert hit["metadata"] == {}


# What needs no server.


@pytest.mark.parametrize("flavour", [PACKAGE, PACKAGE.sync], ids=["async", "blocking"])
async def test_a_server_that_is_away_gives_nothing_and_minus_one(flavour: ModuleType):
    client_class = redis.Redis if flavour is PACKAGE.sync else redis.asyncio.Redis
    # Nobody comes back here, so waiting between attempts would show nothing.
    retry = redis.retry.Retry if flavour is PACKAGE.sync else redis.asyncio.retry.Retry
    client = client_class(host="127.0.0.1", port=1, retry=retry(redis.backoff.NoBackoff(), 1))
    helpers = Helpers(flavour, client)
    for _, _, knn, _ in KINDS.values():
        assert await getattr(helpers, knn)(unit(1), knn_k=1) == []
    assert await helpers.redisearch_index_doc_count("idx:tool_emb") == -1
    with pytest.raises(redis.ConnectionError):
        await helpers.store_tool_embedding_hash("a", unit(1), {})


def test_an_embedding_becomes_little_endian_float32():
    values = np.linspace(-1, 1, 384)
    expected = values.astype("<f4").tobytes()
    for vector in (values, values.tolist(), tuple(values), values.astype(">f8"), values[::-1][::-1]):
        assert PACKAGE.embedding_to_blob(vector) == expected
    assert PACKAGE.VECTOR_DIM == 384
    assert PACKAGE.sync.embedding_to_blob is PACKAGE.embedding_to_blob


@pytest.mark.parametrize("size", [0, 1, 383, 385, 768])
def test_an_embedding_of_another_size_is_refused(size: int):
    with pytest.raises(ValueError, match=f"{size} numbers"):
        PACKAGE.embedding_to_blob(np.ones(size))


def test_prefixes_are_constants():
    assert PACKAGE.TOOL_EMB_PREFIX == "tool_emb:"
    assert PACKAGE.SKILL_EMB_PREFIX == "skill_emb:"
    assert PACKAGE.DANGEROUS_CMD_EMB_PREFIX == "dangerous_cmd_emb:"
    assert PACKAGE.BENIGN_TECH_EMB_PREFIX == "benign_tech_emb:"
