"""Items that cannot be converted are set aside with their reason, once, and never stop the others."""

from __future__ import annotations

import json

import pytest

from tests import legacy
from tests.legacy import BACKFILL, DIMS, KEYS, REVISION, Item, all_expected, documents, fill, make_items
from vecmigrate.commands.database import rejects
from vecmigrate.commands.migrate import upgrade
from vecmigrate.errors import PartialError, TooManyRejectsError
from vecmigrate.operations.progress import Silent

ONES = [1.0] * (DIMS - 1)

# Text of the vector → what its reason has to tell.
DAMAGED = {
    "empty text": (b"", "not JSON"),
    "no JSON": (b"hello", "not JSON"),
    "cut off": (b"[1.0, 2.0", "not JSON"),
    "more behind it": (b"[1,1,1,1,1,1,1,1] 2", "not JSON"),
    "not UTF-8": (b"[1,1,1,1,1,1,1,\xff]", "not JSON"),
    "deeply nested": (b"[" * 100_000, "not JSON"),
    "null": (b"null", "not a JSON array but null"),
    "a number": (b"1.5", "not a JSON array but a number"),
    "a string": (b'"[1,2]"', "not a JSON array but a string"),
    "an object": (b'{"vector": [1,1,1,1,1,1,1,1]}', "not a JSON array but an object"),
    "true": (b"true", "not a JSON array but a boolean"),
    "no numbers": (b"[]", f"0 numbers ({DIMS} expected)"),
    "too few": (json.dumps(ONES).encode(), f"{DIMS - 1} numbers ({DIMS} expected)"),
    "too many": (json.dumps([*ONES, 1.0, 1.0]).encode(), f"{DIMS + 1} numbers ({DIMS} expected)"),
    "strings": (json.dumps([*ONES, "1.0"]).encode(), f"element {DIMS - 1} is a string, not a number"),
    "all strings": (json.dumps(["1.0"] * DIMS).encode(), "element 0 is a string, not a number"),
    "booleans": (json.dumps([True, *ONES]).encode(), "element 0 is a boolean, not a number"),
    "all booleans": (json.dumps([True] * DIMS).encode(), "element 0 is a boolean, not a number"),
    "nulls": (json.dumps([*ONES, None]).encode(), f"element {DIMS - 1} is null, not a number"),
    "nested": (json.dumps([[1.0] * DIMS]).encode(), "element 0 is an array, not a number"),
    "nested by halves": (json.dumps([[1.0] * 4, [1.0] * 4]).encode(), "element 0 is an array, not a number"),
    "objects": (json.dumps([{"x": 1}] * DIMS).encode(), "element 0 is an object, not a number"),
    "NaN": (json.dumps([*ONES, float("nan")]).encode(), "NaN"),
    "infinity": (json.dumps([*ONES, float("inf")]).encode(), "infinity"),
    "minus infinity": (json.dumps([*ONES, float("-inf")]).encode(), "infinity"),
    "beyond a double": (b"[1,1,1,1,1,1,1,1e400]", "infinity"),
    "an integer beyond a double": (b"[1,1,1,1,1,1,1," + b"9" * 400 + b"]", "too large"),
    "beyond a float": (b"[1,1,1,1,1,1,1,1e39]", "in the range of float32"),
    "zero": (json.dumps([0.0] * DIMS).encode(), "is zero"),
    "minus zero": (json.dumps([-0.0] * DIMS).encode(), "is zero"),
    "zero as a float": (json.dumps([1e-60] * DIMS).encode(), "becomes zero"),
}
SOUND = {
    "spaces": b"\t [ 1, 2,3 ,4\n,5,6,7,8 ]  \r\n",
    "integers": b"[1,2,3,4,5,6,7,8]",
    "large integers": b"[18446744073709551616,2,3,4,5,6,7,8]",
    "exponents": b"[1e0,2E0,0.3e+1,40e-1,5.0,6,7,8]",
}


@pytest.fixture
def project(tmp_path):
    return legacy.write_project(tmp_path / "project")


def run_upgrade(project, url, **options):
    with legacy.session(project, url) as session:
        return upgrade(session, **options)


def listed(project, url, kind="rejected"):
    with legacy.session(project, url) as session:
        result = rejects(session)
    assert result.rejected + result.remarks == len(result.items)
    return {item.field: item for item in result.items if item.kind == kind}


def put_texts(client, texts):
    client.hset("tool_embeddings", mapping=texts)


def test_every_kind_of_damage_is_told(client, emptied_url, project):
    put_texts(client, {name: text for name, (text, _) in DAMAGED.items()} | SOUND)
    run_upgrade(project, emptied_url)
    found = listed(project, emptied_url)
    assert set(found) == set(DAMAGED)
    for name, (_, told) in DAMAGED.items():
        assert told in found[name].reason, name
        assert found[name].source == "tool_embeddings"
        assert found[name].step == BACKFILL["tool"]
        assert len(found[name].reason) < 200
    stored = documents(client, "tool")
    assert set(stored) == {name.encode() for name in SOUND}
    one_to_eight = legacy.blob(range(1, 9))
    assert stored[b"spaces"]["embedding"] == stored[b"integers"]["embedding"] == one_to_eight
    assert stored[b"exponents"]["embedding"] == one_to_eight
    assert stored[b"large integers"]["embedding"] == legacy.blob([2.0**64, *range(2, 9)])


def test_names_that_are_no_keys(client, emptied_url, project):
    text = legacy.vector_text(range(1, 9))
    names = [b"\xff\xfe", b"half\xc3", b"", b"n\x00l"]
    put_texts(client, dict.fromkeys([*names, "größe", "with space", "a:b", "{tag}", "*"], text))
    run_upgrade(project, emptied_url)
    found = listed(project, emptied_url)
    assert {name: item.reason for name, item in found.items()} == {
        "\\xff\\xfe": "the name of the field is not UTF-8",
        "half\\xc3": "the name of the field is not UTF-8",
        "": "the key is empty (expected some text without NUL)",
        # A search finds such a document and returns none of its fields.
        "n\x00l": "the key holds NUL (expected some text without NUL)",
    }
    stored = documents(client, "tool")
    assert {name.decode() for name in stored} == {"größe", "with space", "a:b", "{tag}", "*"}
    assert stored["größe".encode()]["name"] == "größe".encode()


@pytest.mark.parametrize(("kind", "key_field"), [("tool", "name"), ("skill", "skill_id")])
def test_metadata_that_cannot_be_read_falls_back_to_the_name(client, emptied_url, project, kind, key_field):
    text = legacy.vector_text(range(1, 9))
    metadata = {
        "cut": b'{"name": "x',
        "a list": b"[1, 2]",
        "a string": b'"name"',
        "null": b"null",
        "nothing": b"",
        "no UTF-8": b'{"name": "\xff"}',
        "nested": b"[" * 100_000,
    }
    client.hset(f"{kind}_embeddings", mapping=dict.fromkeys([*metadata, "absent", "größe", "sound"], text))
    sound = b'{ "name":"S", "description":"D", "x": [1, {"y": null}] }'
    client.hset(f"{kind}_metadata", mapping={**metadata, "größe": b"{", "sound": sound})
    run_upgrade(project, emptied_url)
    assert listed(project, emptied_url) == {}
    remarks = listed(project, emptied_url, "remark")
    assert set(remarks) == {*metadata, "größe"}
    assert all(item.source == f"{kind}_metadata" for item in remarks.values())
    stored = {name.decode(): fields for name, fields in documents(client, kind).items()}
    assert set(stored) == {*metadata, "absent", "größe", "sound"}
    for name in set(stored) - {"sound"}:
        assert json.loads(stored[name]["meta_json"]) == {key_field: name}
        assert stored[name][key_field].decode() == name
        if kind == "skill":
            assert (stored[name]["name"].decode(), stored[name]["description"]) == (name, b"")
    assert stored["sound"]["meta_json"] == sound
    if kind == "skill":
        assert (stored["sound"]["name"], stored["sound"]["description"]) == (b"S", b"D")


def test_a_field_of_the_metadata_that_cannot_be_written_sets_the_item_aside(client, emptied_url, project):
    text = legacy.vector_text(range(1, 9))
    client.hset("skill_embeddings", mapping=dict.fromkeys(["list", "surrogate", "number", "none"], text))
    client.hset(
        "skill_metadata",
        mapping={
            "list": b'{"name": ["a"]}',
            "surrogate": b'{"description": "\\ud800"}',
            "number": b'{"name": 12}',
            "none": b'{"name": null, "description": null}',
        },
    )
    run_upgrade(project, emptied_url)
    stored = documents(client, "skill")
    assert set(listed(project, emptied_url)) | {name.decode() for name in stored} == {
        "list", "surrogate", "number", "none",
    }  # fmt: skip  # each is either there or told of
    assert "list" in listed(project, emptied_url)
    assert stored[b"number"]["name"] == b"12"
    assert (stored[b"none"]["name"], stored[b"none"]["description"]) == (b"none", b"")


class StopAt(Silent):
    """Breaks off once `items` were dealt with."""

    def __init__(self, items: int) -> None:
        self._items = items

    def advance(self, done: int, **counts: int) -> None:
        if done >= self._items:
            raise InterruptedError("broken off by the test")


def test_a_second_scan_lists_nothing_twice(client, emptied_url, project):
    items = make_items("tool", 2000, seed=20)
    fill(client, "tool", items)
    for at in (400, 900, 1600):
        with pytest.raises(PartialError):
            run_upgrade(project, emptied_url, progress=StopAt(at))
        # As after a restart of the server: the scan starts again.
        client.hset(KEYS.steps(REVISION), f"u{BACKFILL['tool']}:run_id", "0" * 40)
    run_upgrade(project, emptied_url)
    wanted = all_expected("tool", items)
    assert documents(client, "tool") == wanted
    found = legacy.accounts(client)
    fields = [dict(entry)["field"] for entry in found["rejects"] if dict(entry)["kind"] == b"rejected"]
    assert sorted(fields) == sorted(set(items) - set(wanted))
    values = legacy.step_values(client, BACKFILL["tool"])
    assert (int(values["done"]), int(values["rejected"])) == (len(wanted), len(items) - len(wanted))


def damaged(count, of):
    """`of` items, the first `count` of them damaged."""
    items = make_items("tool", of, seed=21, damaged=False)
    for name in list(items)[:count]:
        items[name] = Item(b"[]", None, None)
    return items


@pytest.mark.parametrize(
    ("count", "limit", "passes"),
    [
        (0, "0", True),
        (1, "0", False),
        (5, "5", True),
        (6, "5", False),
        (10, "5%", True),
        (11, "5%", False),
        (1, "0%", False),
        (1, "0.5%", True),
        (200, "100%", True),
    ],
)
def test_the_limit(client, emptied_url, project, count, limit, passes):
    items = damaged(count, 200)
    fill(client, "tool", items)
    if passes:
        run_upgrade(project, emptied_url, max_rejects=limit)
        assert legacy.status(client) == "applied"
        assert documents(client, "tool") == all_expected("tool", items)
        return
    with pytest.raises(
        TooManyRejectsError, match=r"revision 0001, step 2 \(backfill_legacy_hash tool\)"
    ) as told:
        run_upgrade(project, emptied_url, max_rejects=limit)
    assert told.value.exit_code == 6
    assert limit in told.value.message
    assert legacy.status(client) == "partial"
    # Nothing is published before the step has passed.
    assert "idx:tool_emb@0001" in legacy.index_names(client)
    with pytest.raises(Exception, match=r"(?i)unknown index name|no such index|index.not.found"):
        client.execute_command("FT.SEARCH", "idx:tool_emb", "*")
    # With a higher limit it goes on, and nothing is counted or listed twice.
    run_upgrade(project, emptied_url, max_rejects="100%")
    assert documents(client, "tool") == all_expected("tool", items)
    values = legacy.step_values(client, BACKFILL["tool"])
    assert (int(values["done"]), int(values["rejected"])) == (200 - count, count)
    assert len(listed(project, emptied_url)) == count


def test_a_number_stops_the_copying_early(client, emptied_url, project):
    items = damaged(3000, 6000)
    fill(client, "tool", items)
    with pytest.raises(TooManyRejectsError):
        run_upgrade(project, emptied_url, max_rejects="10")
    assert legacy.dealt_with(client) < 3000


def test_the_same_limit_passes_once_the_source_is_mended(client, emptied_url, project):
    items = damaged(60, 600)
    fill(client, "tool", items)
    with pytest.raises(TooManyRejectsError):
        run_upgrade(project, emptied_url, max_rejects="5")
    mended = make_items("tool", 600, seed=21, damaged=False)
    broken = list(items)[:60]
    fill(client, "tool", {name: mended[name] for name in broken[:40]})
    client.hdel("tool_embeddings", *broken[40:57])
    run_upgrade(project, emptied_url, max_rejects="5")
    assert legacy.status(client) == "applied"
    assert sorted(listed(project, emptied_url)) == sorted(name.decode() for name in broken[57:])
    assert set(documents(client, "tool")) == set(mended) - set(broken[40:])
    assert legacy.accounts(client)["steps"]["u2:rejected"] == "3"
