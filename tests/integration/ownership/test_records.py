"""Records of the ledger: new fields stay, newer formats are refused, older ones are carried over."""

from __future__ import annotations

import json

import pytest

from tests import owned
from tests.owned import CREATE, KEYS, at, fill, must, names, owners, plain, rebuild, records, tidy
from tests.project import content

READING = (
    *("status", "current", "drift", "rejects", "history", "heads", "branches"),
    *("show a1", "check --server", "check", "upgrade --dry-run", "downgrade base --dry-run"),
)
WRITING = (
    *(
        "upgrade",
        "upgrade --release",
        "downgrade base",
        "rollback cat",
        "rollback cat --accept-broken-readers",
    ),
    *("complete", "complete cat", "heal", "heal cat", "heal --drop-different", "abandon b2", "stamp a1"),
    *("stamp base --purge", "ensure-version", "upgrade --accept-changed"),
)
# Those that look at the server's ledger at all.
ASKING = tuple(word for word in READING if word not in ("history", "heads", "branches", "show a1", "check"))


@pytest.fixture
def rebuilt(project, client):
    """Two revisions, applied: an index, and a rebuild of it whose old index is kept."""
    project.script("a1", CREATE)
    project.script("b2", rebuild(), down="a1")
    fill(client)
    owned.specs(project)
    must(project, "upgrade")
    return project


def as_format_1(client):
    """Make the ledger one that a release before format 2 wrote: no format, no indexes, no owners."""
    client.delete(KEYS.meta, KEYS.indexes, KEYS.builds, "vecmigrate:owners")
    for key in (KEYS.revisions, KEYS.kept):
        for name, text in client.hgetall(key).items():
            record = json.loads(text)
            record.pop("down_revision", None)
            record.pop("origin", None)
            client.hset(key, name, json.dumps(record))


def add_field(client, key):
    for name, text in client.hgetall(key).items():
        client.hset(key, name, json.dumps({**json.loads(text), "from_the_future": {"a": [1]}}))


class TestUnknownFields:
    def test_every_command_works_over_records_with_a_field_of_a_newer_release(self, rebuilt, client):
        for key in (KEYS.revisions, KEYS.kept, KEYS.indexes):
            add_field(client, key)
        for words in ("status", "current", "drift", "upgrade", "check --server"):
            assert rebuilt(*words.split()).code in (0, 3), words
        must(rebuilt, "rollback", "--accept-broken-readers")
        must(rebuilt, "upgrade", "--release")
        must(rebuilt, "heal")
        must(rebuilt, "downgrade", "base")

    def test_they_stay_when_a_record_is_written_again(self, rebuilt, client):
        for key in (KEYS.revisions, KEYS.kept, KEYS.indexes):
            add_field(client, key)
        must(rebuilt, "rollback", "--accept-broken-readers")
        for key, name in ((KEYS.revisions, "b2"), (KEYS.indexes, "cat")):
            assert json.loads(client.hget(key, name))["from_the_future"] == {"a": [1]}, key
        must(rebuilt, "upgrade", "--release")
        for key, name in ((KEYS.revisions, "b2"), (KEYS.indexes, "cat")):
            assert json.loads(client.hget(key, name))["from_the_future"] == {"a": [1]}, key

    def test_a_renamed_spec_keeps_those_of_its_index_and_of_what_is_kept(self, rebuilt, client):
        for key in (KEYS.kept, KEYS.indexes):
            add_field(client, key)
        rebuilt.script("c3", "op.rename_index('cat', to='feline')", down="b2")
        must(rebuilt, "upgrade")
        assert records(client)["feline"]["from_the_future"] == {"a": [1]}
        assert owned.kept(client)["idx:cat@a1"]["from_the_future"] == {"a": [1]}

    def test_those_of_an_index_stay_when_it_is_healed(self, rebuilt, client):
        add_field(client, KEYS.indexes)
        client.execute_command("FT.DROPINDEX", "idx:cat@b2")
        must(rebuilt, "heal")
        assert records(client)["cat"]["from_the_future"] == {"a": [1]}

    def test_those_of_a_build_do_no_harm(self, rebuilt, client):
        build = {"physical": "x@c3", "name": "cat", "revision": "c3", "direction": "u", "step": 0, "new": 1}
        client.hset(KEYS.builds, "x@c3", json.dumps(build))
        for words in ("status", "drift", "upgrade", "heal"):
            must(rebuilt, words)


class TestNewerFormat:
    @pytest.mark.parametrize("words", [*ASKING, *WRITING])
    def test_it_is_refused_by_name_and_nothing_is_written(self, rebuilt, client, words):
        client.hset(KEYS.meta, mapping={"format": "3", "written_by": "9.9.9"})
        before = content(client)
        ran = rebuilt(*words.split())
        assert ran.code == 5, (words, ran.out, ran.err)
        assert "format 3, written by vecmigrate 9.9.9 (expected at most 2" in ran.last
        assert "install a newer vecmigrate" in ran.last
        assert content(client) == before

    @pytest.mark.parametrize("words", ["unlock", "unlock --force"])
    def test_a_lease_can_be_taken_away_all_the_same(self, rebuilt, client, words):
        # Whoever has to get a stuck runner out of the way may have the older release at hand only.
        client.hset(KEYS.meta, mapping={"format": "3", "written_by": "9.9.9"})
        assert rebuilt(*words.split()).code in (0, 4)

    def test_another_namespace_is_not_concerned(self, rebuilt, client):
        client.hset("vecmigrate:{other}:meta", mapping={"format": "3", "written_by": "9.9.9"})
        must(rebuilt, "upgrade")
        assert rebuilt("--namespace", "other", "status").code == 5

    def test_the_format_and_who_wrote_it_are_there(self, rebuilt, client):
        assert client.hget(KEYS.meta, "format") == b"2"
        assert client.hget(KEYS.meta, "written_by")


class TestFormat1:
    @pytest.mark.parametrize("words", ASKING)
    def test_commands_that_read_write_nothing(self, rebuilt, client, words):
        as_format_1(client)
        before = content(client)
        ran = rebuilt(*words.split())
        assert ran.code in (0, 3), ran.err
        assert content(client) == before

    def test_status_shows_what_would_be_carried_over(self, rebuilt, client):
        as_format_1(client)
        (index,) = rebuilt("status", "--format", "json").json["indexes"]
        assert (index["physical"], index["aliases"]) == ("idx:cat@b2", ["idx:cat"])

    @pytest.mark.parametrize(
        "words", ["heal", "complete", "downgrade a1", "rollback --accept-broken-readers"]
    )
    def test_the_first_command_that_writes_carries_it_over(self, rebuilt, client, words):
        as_format_1(client)
        must(rebuilt, *words.split())
        assert client.hget(KEYS.meta, "format") == b"2"
        stored = json.loads(client.hget(KEYS.revisions, "a1"))
        assert stored["down_revision"] == []
        tidy(rebuilt, client)

    def test_it_is_one_step(self, rebuilt, client, monkeypatch):
        as_format_1(client)
        before = content(client)
        with owned.killed_at(monkeypatch, 0):
            assert rebuilt("heal").code != 0
        after = content(client)
        for key in ("writes", KEYS.fence.encode(), KEYS.lease.encode()):
            before.pop(key, None), after.pop(key, None)
        assert after == before
        with owned.killed_at(monkeypatch, 1):
            rebuilt("heal")
        assert client.hget(KEYS.meta, "format") == b"2"
        assert records(client)["cat"]["physical"] == "idx:cat@b2"
        assert owners(client) == {"idx:cat@b2": "default", "idx:cat@a1": "default"}

    def test_an_adopted_index(self, project, client):
        fill(client)
        plain(client, "idx:cat")
        project.script("a1", CREATE)
        must(project, "upgrade")
        as_format_1(client)
        must(project, "heal")
        record = records(client)["cat"]
        assert (record["physical"], record["origin"], record["aliases"]) == ("idx:cat", "adopted", [])
        must(project, "downgrade", "base")
        assert names(client) == {"idx:cat"}
        assert owners(client) == {}

    def test_a_renamed_index_with_its_old_name_kept(self, rebuilt, client):
        rebuilt.script("c3", "op.rename_index('cat', index_name='idx:feline')", down="b2")
        must(rebuilt, "upgrade")
        as_format_1(client)
        must(rebuilt, "heal")
        record = records(client)["cat"]
        assert record["physical"] == "idx:cat@b2"
        assert sorted(record["aliases"]) == ["idx:cat", "idx:feline"]
        must(rebuilt, "complete")
        tidy(rebuilt, client)
        assert at(client, "idx:cat") is None
        assert at(client, "idx:feline") == "idx:cat@b2"

    def test_one_that_was_rolled_back_goes_on_to_hold(self, rebuilt, client):
        must(rebuilt, "rollback", "--accept-broken-readers")
        as_format_1(client)
        must(rebuilt, "upgrade")
        assert at(client, "idx:cat") == "idx:cat@a1"
        must(rebuilt, "upgrade", "--release")
        assert at(client, "idx:cat") == "idx:cat@b2"
        tidy(rebuilt, client)

    def test_an_index_that_is_gone_is_said_to_be_gone(self, rebuilt, client):
        as_format_1(client)
        for name in names(client):
            client.execute_command("FT.DROPINDEX", name)
        told = rebuilt("status", "--format", "json").json
        assert told["faults"] == ["cat: index 'idx:cat@b2' is gone from the server"]
        ran = rebuilt("upgrade")
        assert ran.code == 1
        assert "`vecmigrate heal`" in ran.last
        must(rebuilt, "heal")
        tidy(rebuilt, client)
        assert owned.count(client) == 4

    @pytest.mark.crash
    @pytest.mark.parametrize("way", ["upgrade", "downgrade a1", "downgrade base"])
    def test_a_rebuild_that_stopped_anywhere(self, project, client, monkeypatch, way):
        def prepare():
            owned.wipe(client)
            project.script("a1", CREATE)
            project.script("b2", rebuild(), down="a1")
            fill(client)
            must(project, "upgrade", "a1")

        for number in owned.kills(monkeypatch, prepare, lambda: project("upgrade", "--verify", "counts")):
            as_format_1(client)
            must(project, *way.split())
            must(project, "ensure-version")
            if way == "downgrade base":
                assert (number, names(client), owners(client)) == (number, set(), {})
            else:
                tidy(project, client, note=number)

    def test_what_another_namespace_owns_by_now_stays_with_it(self, rebuilt, client):
        as_format_1(client)
        client.hset("vecmigrate:owners", "idx:cat@b2", "other")
        rebuilt("heal")
        assert owners(client)["idx:cat@b2"] == "other"
        assert rebuilt("downgrade", "base").code != 0 or "idx:cat@b2" in names(client)
        assert at(client, "idx:cat") == "idx:cat@b2"
