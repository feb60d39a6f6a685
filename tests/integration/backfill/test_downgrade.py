"""A downgrade removes what its migration wrote and nobody changed since, and nothing else."""

from __future__ import annotations

import contextlib

import pytest
import redis

from tests import legacy
from tests.legacy import KEYS, Item, all_expected, documents, expected, fill, make_items
from vecmigrate.commands.migrate import downgrade, upgrade
from vecmigrate.errors import PartialError
from vecmigrate.operations.progress import Silent

# More than a hash has that HSCAN returns as a whole.
TOOLS = make_items("tool", 900, seed=30)
SKILLS = make_items("skill", 100, seed=31)
NAMES = sorted(all_expected("tool", TOOLS))
OTHER = {"name": b"other", "meta_json": b"{}", "embedding": legacy.blob([3.0] * 8)}


@pytest.fixture
def project(tmp_path):
    return legacy.write_project(tmp_path / "project")


@pytest.fixture
def filled(client):
    fill(client, "tool", TOOLS)
    fill(client, "skill", SKILLS)
    return client


def go_up(project, url, **options):
    with legacy.session(project, url) as session:
        return upgrade(session, **options)


def go_down(project, url, **options):
    with legacy.session(project, url) as session:
        return downgrade(session, "base", **options)


def store(client, name, fields):
    client.hset(b"tool_emb:" + name, mapping=fields)


def test_everything_is_as_before(filled, emptied_url, project):
    before = legacy.keyspace(filled)
    go_up(project, emptied_url)
    assert legacy.keyspace(filled) != before
    result = go_down(project, emptied_url)
    assert result.current == ()
    after = legacy.keyspace(filled)
    # The history stays, the counter of tokens, and the format of the ledger.
    left = {KEYS.log.encode(), KEYS.fence.encode(), KEYS.meta.encode()}
    assert after.keys() - before.keys() == left
    assert {key: after[key] for key in before} == before
    assert legacy.index_names(filled) == []


def test_what_was_there_before_stays_even_where_it_is_the_very_same(filled, emptied_url, project):
    same, other = NAMES[:20], NAMES[20:40]
    for name in same:
        store(filled, name, expected("tool", name, TOOLS[name]))
    for name in other:
        store(filled, name, OTHER)
    store(filled, b"of nobody", OTHER)
    before = documents(filled, "tool")
    go_up(project, emptied_url)
    assert documents(filled, "tool") == {
        **all_expected("tool", TOOLS),
        **dict.fromkeys([*other, b"of nobody"], OTHER),
    }
    go_down(project, emptied_url)
    assert documents(filled, "tool") == before


@pytest.mark.parametrize(
    "change",
    [
        lambda client, key: client.hset(key, "embedding", legacy.blob([4.0] * 8)),
        lambda client, key: client.hset(key, "meta_json", "{}"),
        lambda client, key: client.hset(key, "note", "mine"),
        lambda client, key: client.hdel(key, "meta_json"),
        lambda client, key: client.hset(key, b"\xff", "no UTF-8"),
        lambda client, key: (client.delete(key), client.hset(key, mapping=OTHER)),
    ],
    ids=["vector", "metadata", "new field", "field removed", "odd field", "replaced"],
)
def test_what_was_changed_since_stays(filled, emptied_url, project, change):
    go_up(project, emptied_url)
    for name in NAMES[:5]:
        change(filled, b"tool_emb:" + name)
    changed = {name: documents(filled, "tool")[name] for name in NAMES[:5]}
    result = go_down(project, emptied_url)
    assert documents(filled, "tool") == changed
    counts = [step.values for step in result.revisions[0].steps if step.operation == "remove_backfilled tool"]
    assert (counts[0]["removed"], counts[0]["kept"]) == (str(len(NAMES) - 5), "5")


def test_changed_and_changed_back_is_removed(filled, emptied_url, project):
    go_up(project, emptied_url)
    key = b"tool_emb:" + NAMES[0]
    filled.hset(key, "note", "mine")
    filled.hdel(key, "note")
    filled.expire(key, 1000)
    filled.delete(b"tool_emb:" + NAMES[1])
    go_down(project, emptied_url)
    assert documents(filled, "tool") == {}


def test_the_source_is_no_matter(filled, emptied_url, project):
    go_up(project, emptied_url)
    filled.delete("tool_embeddings", "tool_metadata")
    filled.hset("skill_embeddings", NAMES[0], "[")
    go_down(project, emptied_url)
    assert documents(filled, "tool") == documents(filled, "skill") == {}


def test_accounts_that_a_scan_returns_as_a_whole(own_server, project):
    items = make_items("tool", 9000, seed=32)
    server = own_server()
    with contextlib.closing(redis.Redis.from_url(server.url)) as client:
        client.config_set("hash-max-listpack-entries", 20_000, "hash-max-listpack-value", 10_000)
        fill(client, "tool", items)
        go_up(project, server.url)
        assert documents(client, "tool") == all_expected("tool", items)
        go_down(project, server.url)
        assert documents(client, "tool") == {}


class StopAt(Silent):
    """Breaks off once `items` were dealt with in a piece of work that is called `label`."""

    def __init__(self, label: str, items: int) -> None:
        self._label, self._items, self._here = label, items, False

    def start(self, label: str, total: int | None, unit: str = "items") -> None:
        self._here = label.startswith(self._label)

    def advance(self, done: int, **counts: int) -> None:
        if self._here and done >= self._items:
            raise InterruptedError("broken off by the test")


def test_a_half_done_upgrade_is_taken_back(filled, emptied_url, project):
    with pytest.raises(PartialError):
        go_up(project, emptied_url, progress=StopAt("backfill tool", 200))
    assert 100 < len(documents(filled, "tool")) < len(NAMES)
    go_down(project, emptied_url)
    assert documents(filled, "tool") == {}
    assert legacy.index_names(filled) == []
    assert legacy.status(filled) is None


@pytest.mark.parametrize("label", ["remove what the backfill of skill", "remove what the backfill of tool"])
def test_a_half_done_downgrade_goes_on_or_is_taken_back(filled, emptied_url, project, label):
    store(filled, NAMES[0], OTHER)
    go_up(project, emptied_url)
    whole = legacy.accounts(filled), documents(filled, "tool"), documents(filled, "skill")
    store(filled, NAMES[1], OTHER)

    with pytest.raises(PartialError):
        go_down(project, emptied_url, progress=StopAt(label, 50))
    assert legacy.status(filled) == "reverting"
    filled.hset(b"tool_emb:" + NAMES[1], mapping=whole[1][NAMES[1]])
    go_up(project, emptied_url)
    assert (legacy.accounts(filled), documents(filled, "tool"), documents(filled, "skill")) == whole

    with pytest.raises(PartialError):
        go_down(project, emptied_url, progress=StopAt(label, 50))
    with pytest.raises(PartialError):
        go_down(project, emptied_url, progress=StopAt("remove what the backfill of tool", 300))
    go_down(project, emptied_url)
    assert documents(filled, "tool") == {NAMES[0]: OTHER}
    assert documents(filled, "skill") == {}


def test_up_and_down_again_and_again(filled, emptied_url, project):
    store(filled, NAMES[0], OTHER)
    seen = []
    for _ in range(3):
        go_up(project, emptied_url)
        seen.append((legacy.accounts(filled), documents(filled, "tool")))
        go_down(project, emptied_url)
        assert documents(filled, "tool") == {NAMES[0]: OTHER}
    assert seen[0] == seen[1] == seen[2]


def test_an_adopted_plain_index_and_its_documents_stay(filled, emptied_url, project):
    filled.execute_command(
        *"FT.CREATE idx:tool_emb ON HASH PREFIX 1 tool_emb: SCHEMA name TAG".split(),
        *"embedding VECTOR FLAT 6 TYPE FLOAT32 DIM 8 DISTANCE_METRIC COSINE".split(),
    )
    store(filled, b"mine", OTHER)
    go_up(project, emptied_url)
    assert legacy.count_documents(filled, "idx:tool_emb") == len(NAMES) + 1
    assert legacy.index_names(filled) == ["idx:skill_emb@0001", "idx:tool_emb"]
    go_down(project, emptied_url)
    assert legacy.index_names(filled) == ["idx:tool_emb"]
    assert documents(filled, "tool") == {b"mine": OTHER}


def test_a_service_that_makes_its_index_while_a_downgrade_is_half_done_keeps_it(filled, emptied_url, project):
    go_up(project, emptied_url)
    with pytest.raises(PartialError):
        go_down(project, emptied_url, progress=StopAt("remove what the backfill of tool", 50))
    filled.execute_command("FT.DROPINDEX", "idx:tool_emb@0001")
    filled.execute_command(*"FT.CREATE idx:tool_emb ON HASH PREFIX 1 tool_emb: SCHEMA name TEXT".split())
    go_down(project, emptied_url)
    assert legacy.index_names(filled) == ["idx:tool_emb"]


def test_what_changed_at_the_source_and_was_brought_up_to_date_is_still_ours(filled, emptied_url, project):
    class Change(Silent):
        def start(self, label: str, total: int | None, unit: str = "items") -> None:
            if label.startswith("verify tool"):
                for name in NAMES[:10]:
                    numbers = [7.0] * 8
                    legacy.put(filled, "tool", name, Item(legacy.vector_text(numbers), numbers, b'{"v": 2}'))

    go_up(project, emptied_url, progress=Change())
    assert legacy.step_values(filled, legacy.BACKFILL["tool"])["verified_refreshed"] == "10"
    go_down(project, emptied_url)
    assert documents(filled, "tool") == {}
