"""`where=`, and finding without a vector, over generated helpers: asyncio and blocking, hash and JSON."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import redis
import redis.asyncio

from tests.generated import Helpers, a_spec, make_package
from vecmigrate.search.ddl import ft_create

FIELDS: dict[str, Any] = {
    "sku": {"type": "tag", "from": "key"},
    "lang": {"type": "tag", "from": "argument", "index_missing": True, "index_empty": True},
    "year": {"type": "numeric", "from": "argument", "sortable": True},
    "price": {"type": "numeric", "from": "argument", "index_missing": True},
    "title": {"type": "text", "from": "argument"},
    "place": {"type": "geo", "from": "argument"},
    "note": {"type": "json", "from": "argument"},
    "embedding": {"type": "vector", "dims": 2, "metric": "l2", "algorithm": "flat"},
}
BOOK = a_spec("book", **FIELDS)
PAPER = a_spec("paper", storage="json", helpers={"on_error": "empty"}, **FIELDS)
SPECS = {"book": BOOK, "paper": PAPER}
HOSTILE = [
    '"',
    "\\",
    '\\"',
    "') | @lang:{en} | ('",
    '") | @lang:{en} | @title:("',
    "a} | @lang:{en",
    "$filter_0",
    "$knn_k",
    "*=>[KNN 9 @embedding $query_vec]",
    "=>{$weight: 9}",
    "w'*'",
    "%%fuzzy%%",
    "-@lang:{en}",
    "]",
    "ismissing(@lang)",
]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    return make_package(tmp_path_factory.mktemp("finding"), *SPECS.values())


@pytest.fixture
def server(emptied_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(emptied_url) as client:
        for spec in SPECS.values():
            client.execute_command(*ft_create(spec))
        yield client


class Finding:
    """The helpers of one spec, and what they find."""

    def __init__(self, helpers: Helpers, name: str) -> None:
        self.helpers = helpers
        self.name = name
        self.key = f"{name}_id"
        self.fields = getattr(helpers.module, f"{name.capitalize()}Fields", None)

    def __getattr__(self, role: str) -> Any:
        name = self.name
        names = {
            "store": f"store_{name}",
            "knn": f"knn_search_{name}s",
            "range": f"range_search_{name}s",
            "count": f"count_{name}s",
            "list": f"list_{name}s",
            "delete_where": f"delete_{name}s_where",
        }
        return getattr(self.helpers, names[role])

    async def walked(self, *args: Any, **kwargs: Any) -> list[Any]:
        found = getattr(self.helpers.module, f"iter_{self.name}s")(self.helpers.client, *args, **kwargs)
        return [one async for one in found] if hasattr(found, "__aiter__") else list(found)

    async def fill(self) -> None:
        await self.store("a", [0, 0], lang="en", year=2001, price=1.5, title="red house", place=(13.4, 52.5))
        await self.store("b", [1, 0], lang=["de", "en"], year=2002, title="green houses", place=(2.35, 48.86))
        await self.store("c", [2, 0], lang="", year=2003, price=0.1, title="a house, red and green")
        await self.store("d", [3, 0], year=9007199254740993, title="boat", note={"deep": [1]})

    async def skus(self, where: Any) -> list[str]:
        """The keys that meet a condition, in the order of the year; all ways to find agree on them."""
        listed = [one["sku"] for one in await self.list(where=where, sort_by=self.fields.year)]
        assert sorted(one["sku"] for one in await self.walked(where=where)) == sorted(listed)
        assert await self.count(where=where) == len(listed)
        nearest = [one["sku"] for one in await self.knn([0, 0], knn_k=9, where=where)]
        assert nearest == listed  # vectors are farther, the later the year
        assert [one["sku"] for one in await self.range([0, 0], min_score=1e-9, where=where)] == listed
        return listed


class FindingTests:
    """The tests; two classes below say with which helpers."""

    async def test_each_condition_finds_its_documents(self, finding: Finding):
        await finding.fill()
        f = finding.fields
        for where, expected in {
            f.sku == "a": "a",
            f.sku.any_of("a", "c", "z"): "ac",
            f.lang == "EN": "ab",
            f.lang != "en": "cd",
            f.lang.none_of("de", "fr"): "acd",
            f.lang.missing(): "d",
            f.lang.present(): "abc",
            f.lang.empty(): "c",
            f.year == 2002: "b",
            f.year > 2001: "bcd",
            f.year >= 2001: "abcd",
            f.year < 2003: "ab",
            f.year <= 2003: "abc",
            f.year.between(2001, 2002): "ab",
            f.year.any_of(2001, 9007199254740993): "ad",
            f.price == 0.1: "c",
            f.price.missing(): "bd",
            f.title.words("house"): "ac",
            f.title.words("green red"): "c",
            f.title.phrase("red house"): "a",
            f.title.prefix("hou"): "abc",
            f.place.within(13.4, 52.5, 1): "a",
            f.place.within(13.4, 52.5, 1000, "mi"): "ab",
            (f.lang == "en") & (f.year < 2002): "a",
            (f.lang == "de") | (f.price < 1): "bc",
            ~((f.lang == "en") | f.lang.missing()): "c",
            (f.lang == "en") & ~(f.title.phrase("red house") | (f.year == 1)): "b",
        }.items():
            assert "".join(await finding.skus(where)) == expected, where

    async def test_without_a_condition_all_are_found(self, finding: Finding):
        await finding.fill()
        assert await finding.skus(None) == ["a", "b", "c", "d"]

    @pytest.mark.parametrize("text", HOSTILE)
    async def test_values_are_never_a_part_of_the_query(self, finding: Finding, text: str):
        await finding.store("x", [0, 0], lang=[text] if "," not in text else None, title="word")
        await finding.store("y", [0, 0], lang="en", title="other", price=1)
        f = finding.fields
        assert [one["sku"] for one in await finding.list(where=f.lang == text)] == ["x"]
        assert await finding.count(where=(f.lang == text) & (f.lang == "en")) == 0
        for method in (f.title.words, f.title.phrase, f.title.prefix):
            try:
                where = method(text)
            except ValueError:  # no word in it, or not one
                continue
            assert await finding.count(where=where) == 0
            assert await finding.count(where=where | (f.lang == "en")) == 1

    async def test_keyword_filters_and_where_must_both_be_met(self, finding: Finding):
        await finding.fill()
        where = finding.fields.year < 2002
        found = await finding.knn([0, 0], knn_k=9, lang="en", where=where)
        assert [one["sku"] for one in found] == ["a"]
        assert await finding.knn([0, 0], knn_k=9, lang="de", where=where) == []

    async def test_a_list_is_sorted_and_comes_in_pages(self, finding: Finding):
        await finding.fill()
        f = finding.fields

        async def listed(**options: Any) -> str:
            return "".join(one["sku"] for one in await finding.list(**options))

        assert await listed(sort_by=f.year, descending=True) == "dcba"
        assert await listed(sort_by=f.year, offset=1, limit=2) == "bc"
        assert await listed(sort_by=f.year, offset=4) == ""
        # Documents without the field come last, either way.
        assert (await listed(sort_by=f.price)).startswith("ca")
        assert (await listed(sort_by=f.price, descending=True)).startswith("ac")
        assert await listed(where=f.lang == "en", sort_by=f.sku, descending=True) == "ba"

    async def test_what_is_listed_is_what_get_gives(self, finding: Finding):
        await finding.fill()
        get = getattr(finding.helpers, f"get_{finding.name}")
        found = await finding.list(where=finding.fields.sku == "d")
        assert found[0]["note"] == {"deep": [1]}
        (walked,) = await finding.walked(where=finding.fields.sku == "d")
        for one in (*found, walked):
            alone = await get("d")
            assert one.pop("embedding").tolist() == alone.pop("embedding").tolist()
            assert one == alone

    async def test_a_walk_goes_over_any_number(self, finding: Finding, server: redis.Redis):
        many = [{finding.key: f"k{number}", "embedding": [1, 2], "year": number} for number in range(1234)]
        report = await getattr(finding.helpers, f"store_many_{finding.name}s")(many)
        assert report == {"stored": 1234, "failed": []}
        walked = await finding.walked(where=finding.fields.year >= 100)
        assert {one["sku"] for one in walked} == {f"k{number}" for number in range(100, 1234)}
        assert len(walked) == 1134
        assert cursors(server, f"idx:{finding.name}") == 0

    async def test_a_walk_that_is_left_early_leaves_no_cursor(self, finding: Finding, server: redis.Redis):
        many = [{finding.key: f"k{number}", "embedding": [1, 2]} for number in range(600)]
        await getattr(finding.helpers, f"store_many_{finding.name}s")(many)
        walk = getattr(finding.helpers.module, f"iter_{finding.name}s")(finding.helpers.client)
        if hasattr(walk, "__aiter__"):
            await anext(walk)
            assert cursors(server, f"idx:{finding.name}") == 1
            await walk.aclose()
        else:
            next(walk)
            assert cursors(server, f"idx:{finding.name}") == 1
            walk.close()
        assert cursors(server, f"idx:{finding.name}") == 0

    async def test_a_cursor_that_was_lost_is_an_error(self, finding: Finding, server: redis.Redis):
        many = [{finding.key: f"k{number}", "embedding": [1, 2]} for number in range(600)]
        await getattr(finding.helpers, f"store_many_{finding.name}s")(many)
        walk = getattr(finding.helpers.module, f"iter_{finding.name}s")(finding.helpers.client)
        is_async = hasattr(walk, "__aiter__")
        seen = [await anext(walk) if is_async else next(walk)]
        server.execute_command("FT.DROPINDEX", f"idx:{finding.name}")
        server.execute_command(*ft_create(SPECS[finding.name]))

        async def go_on() -> None:
            while True:
                seen.append(await anext(walk) if is_async else next(walk))

        with pytest.raises(redis.ResponseError):
            await go_on()
        assert len(seen) == 500  # those of the first reply

    async def test_what_meets_a_condition_is_deleted_and_counted(self, finding: Finding):
        await finding.fill()
        f = finding.fields
        assert await finding.delete_where(f.lang == "en") == 2
        assert await finding.skus(None) == ["c", "d"]
        assert await finding.delete_where(f.lang == "en") == 0

    async def test_many_are_deleted_in_batches(self, finding: Finding):
        many = [{finding.key: f"k{number}", "embedding": [1, 2], "year": number} for number in range(1234)]
        await getattr(finding.helpers, f"store_many_{finding.name}s")(many)
        assert await finding.delete_where(finding.fields.year < 1200) == 1200
        assert await finding.count() == 34

    async def test_everything_is_deleted_only_if_that_is_said(self, finding: Finding):
        await finding.fill()
        with pytest.raises(ValueError, match="everything=True"):
            await finding.delete_where(None)
        with pytest.raises(ValueError, match="everything=True"):
            await finding.delete_where(finding.fields.year > 1, everything=True)
        assert await finding.count() == 4
        assert await finding.delete_where(None, everything=True) == 4
        assert await finding.count() == 0

    async def test_mistakes_are_errors_even_where_searches_are_empty_on_error(self, finding: Finding):
        for kwargs in (
            {"where": "@lang:{en}"},
            {"where": True},
            {"sort_by": "year"},
            {"sort_by": finding.fields.place},
        ):
            with pytest.raises(TypeError, match="expected"):
                await finding.list(**kwargs)
        for kwargs in ({"limit": 0}, {"offset": -1}):
            with pytest.raises(ValueError, match="expected"):
                await finding.list(**kwargs)
        with pytest.raises(TypeError, match="expected"):
            await finding.count(where=False)
        with pytest.raises(TypeError, match="expected"):
            await finding.delete_where("*")
        with pytest.raises(TypeError, match="expected"):
            await finding.knn([0, 0], knn_k=1, where="*")

    async def test_a_missing_index_is_as_for_searches_but_never_for_deletes(
        self, finding: Finding, server: redis.Redis
    ):
        server.execute_command("FT.DROPINDEX", f"idx:{finding.name}")
        where = finding.fields.year > 1
        if finding.name == "paper":  # on_error: empty
            assert await finding.count(where=where) == 0
            assert await finding.list(where=where) == []
        else:
            for read in (finding.count, finding.list):
                with pytest.raises(redis.ResponseError):
                    await read(where=where)
        with pytest.raises(redis.ResponseError):
            await finding.walked(where=where)
        with pytest.raises(redis.ResponseError):
            await finding.delete_where(where)

    async def test_a_time_to_live_is_set_with_the_document(self, finding: Finding, server: redis.Redis):
        name = f"{finding.name}:t"
        await finding.store("t", [0, 0], lang="en", ttl=60)
        assert 59_000 < server.pttl(name) <= 60_000
        await finding.store("t", [0, 0], lang="de", ttl=0.05)
        assert server.pttl(name) <= 50
        await finding.store("u", [0, 0], ttl=60)
        assert 59 < server.ttl(f"{finding.name}:u") <= 60

    async def test_without_one_an_overwrite_leaves_the_expiry_and_infinity_ends_it(
        self, finding: Finding, server: redis.Redis
    ):
        name = f"{finding.name}:t"
        await finding.store("t", [0, 0], lang="en", ttl=60)
        await finding.store("t", [1, 0], lang="de")
        assert 59 <= server.ttl(name) <= 60
        await finding.store("t", [1, 0], lang="fr", ttl=float("inf"))
        assert server.ttl(name) == -1
        assert [one["lang"] for one in await finding.list(where=finding.fields.sku == "t")] == ["fr"]

    async def test_a_time_to_live_is_not_set_where_the_document_cannot_be(
        self, finding: Finding, server: redis.Redis
    ):
        server.set(f"{finding.name}:t", "somebody else's")
        if finding.name == "book":  # JSON.SET takes the place of any key
            with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
                await finding.store("t", [0, 0], ttl=60)
            assert server.ttl("book:t") == -1
        for ttl in (0, -1, float("nan"), "60", 1e300, 1e-9):
            with pytest.raises(ValueError, match="ttl"):
                await finding.store("z", [0, 0], ttl=ttl)
        assert not server.exists(f"{finding.name}:z")


def cursors(server: redis.Redis, index: str) -> int:
    """How many cursors of an index are open."""
    info = server.execute_command("FT.INFO", index)
    stats = info[b"cursor_stats"] if isinstance(info, dict) else info[info.index(b"cursor_stats") + 1]
    found = stats if isinstance(stats, dict) else dict(zip(stats[::2], stats[1::2], strict=True))
    return int(found[b"index_total"])


@pytest.fixture(params=list(SPECS))
def name(request: pytest.FixtureRequest) -> str:
    return request.param


class TestAsync(FindingTests):
    @pytest.fixture
    def finding(
        self, package: ModuleType, server: redis.Redis, any_async_client: redis.asyncio.Redis, name: str
    ) -> Finding:
        return Finding(Helpers(package, any_async_client), name)


class TestBlocking(FindingTests):
    @pytest.fixture
    def finding(
        self, package: ModuleType, server: redis.Redis, any_client: redis.Redis, name: str
    ) -> Finding:
        finding = Finding(Helpers(package.sync, any_client), name)
        finding.fields = getattr(package, f"{name.capitalize()}Fields")
        return finding


USE = """
import redis
from {package} import BookFields, sync

client = redis.Redis()
F = BookFields
where = (F.lang == "en") & ((F.year >= 2020) | F.lang.any_of("de", "fr")) & ~F.title.words("draft")
found: list[str] = [hit["sku"] for hit in sync.knn_search_books(client, [1.0, 2.0], knn_k=5, where=where)]
count: int = sync.count_books(client, where=where)
page = sync.list_books(client, where=where, sort_by=F.year, descending=True, offset=10, limit=10)
names: list[str] = [one["sku"] for one in page]
deleted: int = sync.delete_books_where(client, F.price.missing())
for one in sync.iter_books(client, where=1 < F.price):
    print(one["sku"])
"""
WRONG = """
from {package} import BookFields as F

F.year > "2020"
F.lang.any_of(5)
F.title.words(["a", "b"])
F.place.within(1, 2, 3, "miles")
F.year & F.lang
"""


def test_conditions_are_typed(package: ModuleType, tmp_path: Path):
    """mypy takes right conditions, and finds each wrong one."""
    folder = Path(str(package.__file__)).parent
    for name, text in (("use.py", USE), ("wrong.py", WRONG)):
        (tmp_path / name).write_text(text.format(package=folder.name))
    ran = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "use.py", "wrong.py"],
        cwd=tmp_path,
        env={"MYPYPATH": str(folder.parent), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    lines = [line for line in ran.stdout.splitlines() if ": error:" in line]
    assert [line.split(": error:")[0] for line in lines] == [f"wrong.py:{number}" for number in range(4, 9)]
