"""Every operation that makes or changes an index ends with the check, and says what it found."""

from __future__ import annotations

import pytest

from tests.checked import VECTOR
from tests.legacy import wait_until
from vecmigrate.operations import indexes
from vecmigrate.search import reply

FIELDS = {
    "year": {"type": "numeric", "index": False},
    "embedding": {"type": "vector", "dims": 4, "algorithm": "flat"},
}


def create(project, fields=None, **options):
    given = "".join(f", {name}={value!r}" for name, value in options.items())
    project.script("a1", f"create(op, 'doc', fields={FIELDS | (fields or {})!r}{given})")


def fill(client, count, **fields):
    with client.pipeline(transaction=False) as pipe:
        for n in range(count):
            values = {name: make(n) for name, make in fields.items()}
            pipe.hset(f"doc:{n}", mapping={"embedding": VECTOR, **values})
        pipe.execute()


def held(client, query="*", name="idx:doc"):
    answer = client.execute_command("FT.SEARCH", name, query, "NOCONTENT")
    return reply.parse_search(answer, with_content=False).total


def names(client):
    return sorted(reply.text(name) for name in client.execute_command("FT._LIST"))


class TestCreate:
    def test_says_what_cannot_be_indexed_and_why(self, project, client):
        fill(client, 200)
        for n in range(137):
            client.hset(f"doc:{n}", "embedding", b"\0" * 12)
        create(project)
        ran = project("upgrade")
        assert ran.code == 0
        assert "137 documents cannot be indexed: doc:" in ran.err
        assert "Could not add vector with blob size 12" in ran.err
        assert held(client) == 63

    def test_what_publish_index_publishes_is_looked_at_too(self, project, client):
        create(project, publish=False)
        project.script("a2", "op.publish_index('doc')", down="a1")
        assert project("upgrade", "a1").code == 0
        fill(client, 5)
        client.hset("doc:0", "embedding", b"\0" * 12)
        ran = project("upgrade")
        assert ran.code == 0
        assert "1 documents cannot be indexed: doc:0 (field 'embedding': " in ran.err

    def test_nothing_is_looked_at_where_the_operator_wants_no_check(self, project, client):
        fill(client, 5)
        client.hset("doc:0", "embedding", b"\0" * 12)
        create(project)
        ran = project("upgrade", "--verify", "none")
        assert ran.code == 0
        assert "not verified" in ran.err
        assert "cannot be indexed" not in ran.err


class TestAlter:
    def alter(self, project, **field):
        project.script(
            "a2", f"op.alter_index('doc', add={{'year': { ({'type': 'numeric'} | field)!r}}})", down="a1"
        )

    def test_is_refused_before_anything_changed_and_goes_on_once_the_values_are_right(self, project, client):
        create(project)
        fill(client, 200, year=lambda n: "unknown" if n % 10 == 0 else 2000)
        assert project("upgrade").code == 0
        self.alter(project)
        before = client.execute_command("FT.INFO", "idx:doc")
        ran = project("upgrade")
        assert ran.code == 1
        assert "20 documents would leave index 'idx:doc@a1'" in ran.err
        assert "Invalid numeric value: 'unknown'" in ran.err
        assert "nothing was changed" in ran.err
        after = client.execute_command("FT.INFO", "idx:doc")
        assert reply.parse_info(after)["attributes"] == reply.parse_info(before)["attributes"]
        assert (held(client), names(client)) == (200, ["idx:doc@a1"])
        # What the hint says.
        for n in range(0, 200, 10):
            client.hset(f"doc:{n}", "year", 1999)
        ran = project("upgrade")
        assert ran.code == 0, ran.err
        assert (held(client), held(client, "@year:[1999 1999]")) == (200, 20)

    def test_a_type_that_takes_the_values(self, project, client):
        create(project)
        fill(client, 20, year=lambda n: "unknown" if n % 10 == 0 else 2000)
        assert project("upgrade").code == 0
        self.alter(project, type="tag")
        assert project("upgrade").code == 0
        assert (held(client), held(client, "@year:{unknown}")) == (20, 2)

    def test_values_that_come_in_between_are_found_after_it(self, project, client, monkeypatch):
        create(project)
        fill(client, 20, year=lambda n: 2000)
        assert project("upgrade").code == 0
        self.alter(project)
        original = indexes.wait_until_indexed
        waits = []

        def wait(context, physical, *words, **options):
            original(context, physical, *words, **options)
            waits.append(physical)
            if len(waits) == 2:
                # Looked for already, and not altered yet.
                client.hset("doc:3", "year", "unknown")

        monkeypatch.setattr(indexes, "wait_until_indexed", wait)
        ran = project("upgrade")
        monkeypatch.setattr(indexes, "wait_until_indexed", original)
        assert ran.code == 1
        assert "1 documents left index 'idx:doc@a1' over year" in ran.err
        assert "doc:3 (field 'year': Invalid numeric value" in ran.err
        assert held(client) == 19
        again = project("upgrade")
        assert again.code == 1
        client.hset("doc:3", "year", 2000)
        assert project("upgrade").code == 0
        assert held(client) == 20

    def test_what_could_not_be_indexed_before_is_no_loss(self, project, client):
        create(project)
        fill(client, 20, year=lambda n: 2000)
        client.hset("doc:0", "embedding", b"\0" * 12)
        assert project("upgrade").code == 0
        self.alter(project)
        assert project("upgrade").code == 0
        assert held(client) == 19


class TestRebuild:
    """A FILTER that comes, goes or changes."""

    @pytest.fixture
    def indexed(self, project, client):
        fill(client, 40, year=lambda n: 1990 + n % 20)
        client.hset("doc:bare", "embedding", VECTOR)
        return project

    def rebuild(self, project, text):
        project.script("a2", f"op.rebuild_index('doc', index={{'filter': {text!r}}})", down="a1")
        return project("upgrade")

    @pytest.mark.parametrize(
        ("before", "after", "count"),
        [
            (None, "@year > 2001", 16),
            ("@year > 2001", None, 41),
            ("@year > 2001", "@year > 1999", 20),
            ("@year > 2001", "@year < 2001", 22),
            (None, "!exists(@year)", 1),
            (None, "@year > 3000", 0),
        ],
    )
    def test_holds_what_it_lets_through(self, indexed, client, before, after, count):
        fields = FIELDS | {"year": {"type": "numeric"}}
        index = {"name": "idx:doc", "prefix": "doc:"} | ({"filter": before} if before else {})
        indexed.script("a1", f"op.create_index('doc', index={index!r}, key='doc_id', fields={fields!r})")
        assert indexed("upgrade").code == 0
        ran = self.rebuild(indexed, after)
        assert ran.code == 0, ran.err
        assert held(client) == count
        assert not [name for name in names(client) if name.endswith("@check")]
        down = indexed("downgrade", "a1")
        assert down.code == 0, down.err

    def test_what_cannot_be_indexed_is_refused_with_the_reason(self, indexed, client):
        create(indexed)
        client.hset("doc:bad", mapping={"embedding": VECTOR, "year": "unknown"})
        assert indexed("upgrade").code == 0
        indexed.script(
            "a2", "op.rebuild_index('doc', fields={'year': {'type': 'numeric', 'index': True}})", down="a1"
        )
        ran = indexed("upgrade")
        assert ran.code == 1
        assert (
            "1 documents are missing from idx:doc@a2: doc:bad (field 'year': Invalid numeric value" in ran.err
        )
        assert names(client) == ["idx:doc@a1"]
        client.delete("doc:bad")
        assert indexed("upgrade").code == 0


class TestScanGivenUp:
    """RediSearch 8 gives a scan up near maxmemory, and looks ready then."""

    COUNT = 20_000

    @pytest.fixture
    def short(self, client):
        """Documents, and a server without the memory for a graph over them."""
        client.execute_command("FT.CREATE", "probe", "PREFIX", 1, "probe:", "SCHEMA", "x", "TAG")
        errors = reply.parse_info(client.execute_command("FT.INFO", "probe"))["Index Errors"]
        client.execute_command("FT.DROPINDEX", "probe")
        if "background indexing status" not in errors:
            pytest.skip("this RediSearch never gives a scan up")
        with client.pipeline(transaction=False) as pipe:
            for n in range(self.COUNT):
                pipe.hset(f"doc:{n}", mapping={"embedding": VECTOR * 96})
            pipe.execute()
        client.config_set("maxmemory", client.info("memory")["used_memory"] + 20_000_000)
        yield client
        client.config_set("maxmemory", 0)

    FIELDS = FIELDS | {"embedding": {"type": "vector", "dims": 384, "algorithm": "flat"}}

    def test_nothing_is_published_and_it_can_be_done_again(self, project, short):
        project.script("a1", f"create(op, 'doc', fields={self.FIELDS!r})")
        ran = project("upgrade")
        assert ran.code == 1
        assert "and not all: the scan of the documents was broken off: OOM failure" in ran.err
        assert names(short) == []
        short.config_set("maxmemory", 0)
        ran = project("upgrade")
        assert ran.code == 0, ran.err
        assert held(short) == self.COUNT

    def test_one_that_is_live_is_told_of_and_healed(self, project, short):
        limit = short.config_get("maxmemory")["maxmemory"]
        short.config_set("maxmemory", 0)
        project.script("a1", f"create(op, 'doc', fields={self.FIELDS!r})")
        assert project("upgrade").code == 0
        info = reply.parse_info(short.execute_command("FT.INFO", "idx:doc"))
        words = ["FT.CREATE", "idx:doc@a1", "PREFIX", 1, "doc:", "SCHEMA", "embedding", "VECTOR", "FLAT", 6]
        words += ["TYPE", "FLOAT32", "DIM", 384, "DISTANCE_METRIC", "COSINE"]
        assert [item["attribute"] for item in info["attributes"]] == ["embedding"]
        short.execute_command("FT.DROPINDEX", "idx:doc@a1")
        # An index is freed in the background.
        wait_until(lambda: short.info("memory")["used_memory"] < int(limit) - 10_000_000, "it is freed")
        short.config_set("maxmemory", limit)
        short.execute_command(*words)
        wait_until(
            lambda: reply.scan_problem(reply.parse_info(short.execute_command("FT.INFO", "idx:doc@a1"))),
            "the scan was given up",
        )
        short.config_set("maxmemory", 0)
        short.execute_command("FT.ALIASADD", "idx:doc", "idx:doc@a1")
        drift = project("drift")
        assert drift.code == 3
        assert "is incomplete: the scan of the documents was broken off" in drift.out + drift.err
        ran = project("upgrade")
        assert ran.code == 1
        assert "vecmigrate heal" in ran.err
        assert project("heal").code == 0
        assert held(short) == self.COUNT
        assert len(names(short)) == 1
        assert project("drift").code == 0
        assert project("upgrade").code == 0
