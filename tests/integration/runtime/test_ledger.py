"""The ledger: what is written is read back, and the log tells of everything that happened."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vecmigrate import __version__
from vecmigrate.runtime.keys import LedgerKeys
from vecmigrate.runtime.lease import Lease
from vecmigrate.runtime.ledger import Ledger, LedgerWriter, RevisionRecord, Step

KEYS = LedgerKeys("default")
SHARED = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TEXT = st.text(st.characters(codec="utf-8"), max_size=20)


@pytest.fixture
def ledger(client) -> Ledger:
    return Ledger(client, "default")


@pytest.fixture
def writer(ledger, client):
    with Lease(client, KEYS, seconds=30) as lease:
        yield LedgerWriter(ledger, lease)


RECORDS = st.builds(
    RevisionRecord,
    revision=st.from_regex(r"[0-9A-Za-z_-]{1,12}", fullmatch=True),
    status=st.sampled_from(["running", "partial", "applied", "reverting"]),
    checksum=TEXT,
    message=TEXT,
    started_at=TEXT,
    finished_at=st.none() | TEXT,
    seconds=st.none() | st.floats(0, 1e9),
    by=TEXT,
    error=st.none() | TEXT,
    step=st.integers(0, 1000),
)


@SHARED
@given(st.lists(RECORDS, unique_by=lambda record: record.revision, max_size=4))
def test_records_are_read_back_as_they_were_written(ledger, writer, client, records):
    client.delete(KEYS.revisions)
    for record in records:
        writer.put(record, "applied")
    assert ledger.revisions() == {record.revision: record for record in records}


@SHARED
@given(
    st.dictionaries(
        st.from_regex("[a-z_]{1,8}", fullmatch=True), TEXT | st.integers(), min_size=1, max_size=5
    )
)
def test_values_of_a_step_are_read_back_as_text(ledger, writer, client, values):
    client.delete(KEYS.steps("a1"))
    step = Step(writer, "a1", 3, "u")
    step.put(values)
    assert step.all() == {name: str(value) for name, value in values.items()}
    for name, value in values.items():
        assert step.get(name) == str(value)
    assert step.get("none such") is None
    (view,) = ledger.steps("a1")
    assert (view.number, view.direction, view.values) == (3, "u", step.all())
    step.clear(step.all())
    assert ledger.steps("a1") == []


def test_steps_come_in_order_the_upgrade_first(ledger, writer):
    for direction in ("d", "u"):
        for number in (10, 2, 0):
            Step(writer, "a1", number, direction).put({"status": "done"})
    ordered = [(view.direction, view.number) for view in ledger.steps("a1")]
    assert ordered == [("u", 0), ("u", 2), ("u", 10), ("d", 0), ("d", 2), ("d", 10)]
    writer.clear_steps("a1", "d")
    assert [view.direction for view in ledger.steps("a1")] == ["u", "u", "u"]


def test_steps_with_like_numbers_are_apart(writer):
    one, ten = Step(writer, "a1", 1, "u"), Step(writer, "a1", 10, "u")
    one.put({"cursor": 1})
    ten.put({"cursor": 10})
    one.clear(one.all())
    assert (one.all(), ten.all()) == ({}, {"cursor": "10"})


def test_forgetting_a_revision_leaves_its_neighbours(ledger, writer, client):
    for revision in ("a1", "a10", "a"):
        writer.begin(revision, "sha256:x", "", "running", down_revision=())
        Step(writer, revision, 0, "u").put({"status": "done"})
        client.hset(KEYS.items(revision, 0), "n", "w")
        client.hset(KEYS.items(revision, 12), "n", "w")
        client.xadd(KEYS.rejects(revision), {"step": 0})
    writer.forget("a1", "reverted")
    assert sorted(ledger.revisions()) == ["a", "a10"]
    left = sorted(key.decode() for key in client.keys("vecmigrate:{default}:*"))
    assert [key for key in left if ":a1:" in key or key.endswith(":a1")] == []
    assert len([key for key in left if ":a10" in key]) == 4
    assert len([key for key in left if key.endswith((":a", ":a:0", ":a:12"))]) == 4


def test_rejects_come_in_order_page_by_page_and_names_of_any_bytes_are_shown(ledger, client):
    with client.pipeline() as pipe:
        for number in range(1201):
            name = b"\xff\n" if number == 0 else f"größe {number}".encode()
            kind = "remark" if number % 2 else "rejected"
            pipe.xadd(
                KEYS.rejects("a1"),
                {"step": "4", "kind": kind, "source": "cats", "field": name, "reason": f"reason {number}"},
            )
        pipe.execute()
    found = list(ledger.rejects("a1"))
    assert [item.reason for item in found] == [f"reason {number}" for number in range(1201)]
    assert (found[0].field, found[1].field) == ("\\xff\n", "größe 1")
    assert (found[0].kind, found[1].kind, found[0].step) == ("rejected", "remark", 4)
    assert found[0].at.endswith("+00:00")
    assert list(ledger.rejects("b1")) == []


def test_the_newest_error_comes_first(ledger, writer):
    assert ledger.last_errors() == []
    record = writer.begin("a1", "sha256:x", "", "running", down_revision=())
    for error in ("first", None, "second", None):
        writer.put(RevisionRecord(**{**asdict(record), "error": error}), "failed")
    assert [entry["error"] for entry in ledger.last_errors()] == ["second", "first"]
    entry = ledger.last_errors()[0]
    assert (entry["error"], entry["revision"], entry["version"]) == ("second", "a1", __version__)


STOP = """
def stop(client, progress, cursor):
    if client.exists("stop"):
        raise ValueError("stopped")
"""


def test_the_log_tells_of_every_event(project, client):
    def events() -> list[tuple[str, str]]:
        entries = client.xrange(KEYS.log)
        client.delete(KEYS.log)
        for _, fields in entries:
            if fields[b"event"] != b"unlock":
                assert fields[b"version"] == __version__.encode()
                assert b"@" in fields[b"by"]
                assert int(fields[b"token"]) > 0
        return [(fields[b"event"].decode(), fields[b"revision"].decode()) for _, fields in entries]

    project.script("a1", "create(op)")
    project.script("b1", "op.run(stop, undo=stop)", down="a1", top=STOP)
    client.set("stop", 1)
    project("upgrade")
    assert events() == [("begin", "a1"), ("applied", "a1"), ("begin", "b1"), ("failed", "b1")]
    client.delete("stop")
    project("upgrade")
    assert events() == [("begin", "b1"), ("applied", "b1")]
    client.set("stop", 1)
    project("downgrade", "base")
    assert events() == [("begin downgrade", "b1"), ("failed", "b1")]
    project("downgrade", "base")
    assert events() == [("begin downgrade", "b1"), ("failed", "b1")]
    client.delete("stop")
    project("upgrade")
    assert events() == [("upgrade after a partial downgrade", "b1"), ("begin", "b1"), ("applied", "b1")]
    project("downgrade", "base")
    assert events() == [
        *(("begin downgrade", "b1"), ("reverted", "b1")),
        *(("begin downgrade", "a1"), ("reverted", "a1")),
    ]
    project("stamp", "b1")
    project("stamp", "a1")
    project("stamp", "base", "--purge")
    assert events() == [("stamped", "a1"), ("stamped", "b1"), ("stamped away", "b1"), ("purged", "a1")]
    project("upgrade", "a1")
    project.script("a1", "create(op)", message="Changed")
    events()
    project("upgrade", "a1", "--accept-changed")
    assert events() == [("change accepted", "a1")]
    with Lease(client, KEYS, seconds=30):
        project("unlock", "--force")
    assert events() == [("unlock", "")]


def test_a_run_leaves_a_record_that_explains_itself(project, client):
    project.script("a1", "create(op)\nop.execute('SET', 'k', '1')", message="Create the index")
    project("upgrade")
    record = json.loads(client.hget(KEYS.revisions, "a1"))
    assert record.pop("started_at") <= record.pop("finished_at")
    assert record.pop("checksum").startswith("sha256:")
    assert record.pop("seconds") >= 0
    assert "@" in record.pop("by")
    assert record == {
        "revision": "a1",
        "status": "applied",
        "message": "Create the index",
        "down_revision": [],
        "version": __version__,
        "error": None,
        "step": record["step"],
    }
    steps = {key.decode(): value.decode() for key, value in client.hgetall(KEYS.steps("a1")).items()}
    assert steps["u0:operation"] == "create_index cat"
    assert (steps["u0:status"], steps["u0:outcome"]) == ("done", "created")
    assert steps["u0:physical"] == "idx:cat@a1"
    assert steps["u1:operation"] == "execute SET"
    assert not client.exists(KEYS.lease)
    assert client.ttl(KEYS.revisions) == -1
