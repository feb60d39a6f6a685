"""Documents that an index would lose over a new field are known before the field is added."""

from __future__ import annotations

import json

import pytest

from tests.checked import NAME, SCRATCH, make_spec, nothing
from vecmigrate.search import ddl
from vecmigrate.verify.check import check_documents
from vecmigrate.verify.keyspace import Built
from vecmigrate.verify.unfit import unfit_documents


def unfit(server, fields, names, **index):
    before = make_spec({name: field for name, field in fields.items() if name not in names}, **index)
    server.index(before)
    live = Built(NAME, make_spec(fields, **index))
    return live, unfit_documents(server.client, live, names, server.scratch(), nothing, touch=server.touch)


FIELDS = {
    "year": {"type": "numeric"},
    "place": {"type": "geo"},
    "label": {"type": "tag", "path": "stored_label"},
}


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [("year", 2000, "unknown"), ("place", "1.5,2.5", "nowhere"), ("place", "1.5,2.5", "500,500")],
)
def test_the_documents_that_alter_would_lose_are_named_with_the_servers_reason(server, name, good, bad):
    server.fill(200, **{name: lambda n: bad if n % 10 == 0 else good})
    live, found = unfit(server, FIELDS, [name])
    assert (found.count, len(found.keys)) == (20, 20)
    assert all("reason unknown" not in text for text in found.keys)
    assert server.names() == [NAME]
    # And it does lose them.
    before = check_documents(server.client, live, None, nothing)
    field = live.spec.field(name)
    server.client.execute_command(*ddl.ft_alter_add(NAME, field, "hash"))
    server.settle()
    after = check_documents(server.client, live, None, nothing, touch=server.touch)
    assert (before.missing, after.missing) == (0, 20)
    assert set(after.rejected) == set(found.keys)


def test_many_are_counted_and_some_are_named(server):
    server.fill(1_500, year=lambda n: "unknown")
    _, found = unfit(server, FIELDS, ["year"])
    assert (found.count, len(found.keys)) == (1_500, 20)
    assert len(set(server.touched)) == 20


def test_nothing_is_unfit_and_nothing_is_touched(server):
    server.fill(50, year=lambda n: n, stored_label=lambda n: "a")
    server.client.hset("doc:bare", "other", "x")
    _, found = unfit(server, FIELDS, ["year", "place", "label"])
    assert (found.count, server.touched) == (0, [])
    assert server.names() == [NAME]


def test_what_the_index_does_not_hold_is_not_lost(server):
    server.fill(10, year=lambda n: "unknown")
    server.client.hset("doc:0", "embedding", b"\0" * 12)
    _, found = unfit(server, FIELDS, ["year"])
    assert found.count == 9


def test_what_the_filter_leaves_out_is_not_lost(server):
    server.fill(10, year=lambda n: "unknown", stored_label=lambda n: "ab"[n % 2])
    _, found = unfit(server, FIELDS, ["year"], filter="@label == 'a'")
    assert found.count == 5


def test_json(server):
    fields = {"year": {"type": "numeric", "path": "$.year"}}
    for n in range(10):
        server.client.execute_command("JSON.SET", f"doc:{n}", "$", json.dumps({"year": n if n % 5 else "x"}))
    _, found = unfit(server, fields, ["year"], storage="json")
    assert found.count == 2
    assert "Invalid JSON type: String type" in found.keys[0]


def test_a_scratch_index_that_was_left_behind(server):
    server.client.execute_command("FT.CREATE", SCRATCH, "SCHEMA", "x", "TAG")
    server.fill(10, year=lambda n: "unknown")
    assert unfit(server, FIELDS, ["year"])[1].count == 10
    assert server.names() == [NAME]
