"""Names that lead to an index: all are moved at one moment, each way; and indexes without an alias."""

from __future__ import annotations

import contextlib
import threading

import pytest
import redis

from tests import owned
from tests.owned import CREATE, at, count, fill, kept, must, names, plain, rebuild, records, tidy

# The old index and the new one can be told from each other by this.
OLD, NEW = "idx:cat@a1", "idx:cat@b2"
CREATE_WITH = (
    "op.create_index('cat', "
    "index={'name': 'idx:cat', 'prefix': 'cat:', 'aliases': ['idx:kitten', 'idx:tom']}, "
    "key='cat_id', fields={'meta': {'type': 'json'}, 'embedding': VECTOR})"
)
PLAIN = (
    "op.create_index('cat', index={'name': 'cats1', 'prefix': 'cat:', 'alias': False}, "
    "key='cat_id', fields={'meta': {'type': 'json'}, 'embedding': VECTOR})"
)
ALL = ("idx:cat", "idx:kitten", "idx:tom")
BACK = ("rollback", "--accept-broken-readers")


@pytest.fixture
def made(project, client):
    """An index with two further aliases, applied, and a rebuild of it, pending."""
    project.script("a1", CREATE_WITH)
    project.script("b2", rebuild(), down="a1")
    fill(client)
    must(project, "upgrade", "a1")
    return project


@contextlib.contextmanager
def watching(url, *aliases):
    """Looks, in one transaction each time, where all aliases lead; gives every state that was seen."""
    seen, stop = set(), threading.Event()

    def watch():
        with contextlib.closing(redis.Redis.from_url(url)) as client:
            while not stop.is_set():
                with client.pipeline(transaction=True) as pipe:
                    for name in aliases:
                        pipe.execute_command("FT.INFO", name)
                    replies = pipe.execute(raise_on_error=False)
                seen.add(tuple(_behind(reply) for reply in replies))

    def _behind(reply):
        if isinstance(reply, Exception):
            return None
        pairs = reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2], strict=False))
        value = pairs.get(b"index_name", pairs.get("index_name"))
        return value.decode() if isinstance(value, bytes) else value

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


class TestMovedTogether:
    def test_by_a_rebuild_a_rollback_and_a_downgrade(self, made, client, redis_url):
        with watching(redis_url, *ALL) as seen:
            must(made, "upgrade")
            assert {at(client, name) for name in ALL} == {NEW}
            must(made, *BACK)
            assert {at(client, name) for name in ALL} == {OLD}
            must(made, "upgrade", "--release")
            must(made, "downgrade", "a1")
            assert {at(client, name) for name in ALL} == {OLD}
        assert seen <= {(OLD,) * 3, (NEW,) * 3}
        tidy(made, client)

    def test_after_a_rename_the_old_name_too(self, made, client, redis_url):
        made.script("b2", "op.rename_index('cat', index_name='idx:feline')", down="a1")
        made.script("c3", rebuild(), down="b2")
        must(made, "upgrade", "b2")
        with watching(redis_url, *ALL, "idx:feline") as seen:
            must(made, "upgrade")
            must(made, *BACK)
        physical = "idx:feline@c3"
        assert seen <= {(OLD,) * 4, (physical,) * 4}
        assert {at(client, name) for name in (*ALL, "idx:feline")} == {OLD}
        tidy(made, client)
        # And what is kept goes without anybody who asks for the names noticing.
        must(made, "complete")
        assert {at(client, name) for name in (*ALL[1:], "idx:feline")} == {OLD}
        assert count(client, "idx:feline") == 4
        tidy(made, client)

    def test_an_index_is_never_dropped_under_a_name_in_use_after_a_failed_check(self, made, client):
        made.script("b2", "op.rename_index('cat', index_name='idx:feline')\n" + rebuild(), down="a1")
        must(made, "upgrade")
        must(made, *BACK)
        ran = made("upgrade", "--release", "--min-recall", "2")
        assert ran.code != 0
        assert {at(client, name) for name in (*ALL, "idx:feline")} == {OLD}
        assert count(client) == 4


class TestSetAliases:
    def test_up_and_down(self, made, client):
        made.script("b2", "op.set_aliases('cat', ['idx:tom', 'idx:new'])", down="a1")
        must(made, "upgrade")
        assert [at(client, name) for name in (*ALL, "idx:new")] == [OLD, None, OLD, OLD]
        tidy(made, client)
        must(made, "downgrade", "a1")
        assert [at(client, name) for name in (*ALL, "idx:new")] == [OLD, OLD, OLD, None]
        tidy(made, client)

    def test_one_that_leads_to_somebody_elses_index_is_refused_and_its_way_out(self, made, client):
        plain(client, "mine")
        client.execute_command("FT.ALIASADD", "idx:new", "mine")
        made.script("b2", "op.set_aliases('cat', ['idx:new'])", down="a1")
        ran = made("upgrade")
        assert ran.code == 6
        assert "FT.ALIASDEL idx:new" in ran.last
        assert at(client, "idx:new") == "mine"
        client.execute_command("FT.ALIASDEL", "idx:new")
        must(made, "upgrade")
        assert at(client, "idx:new") == OLD

    def test_it_is_rebuilt_and_goes_back_with_those_of_today(self, made, client):
        made.script("c3", "op.set_aliases('cat', ['idx:new'])", down="b2")
        must(made, "upgrade")
        must(made, *BACK)
        assert [at(client, name) for name in ("idx:cat", "idx:new")] == [OLD, OLD]


class TestAdopted:
    @pytest.fixture
    def adopted(self, project, client):
        fill(client)
        plain(client, "prod@v2")
        for name in ("idx:cat", "idx:other"):
            client.execute_command("FT.ALIASADD", name, "prod@v2")
        return project

    def script(self, project, aliases):
        index = {"name": "idx:cat", "prefix": "cat:", "aliases": aliases}
        fields = "fields={'meta': {'type': 'json'}, 'embedding': VECTOR}"
        project.script("a1", f"op.create_index('cat', index={index!r}, key='cat_id', {fields})")
        project.script("b2", rebuild(), down="a1")

    def test_unknown_aliases_refuse_a_rebuild_and_a_list_lets_it(self, adopted, client):
        if owned.lists_aliases(client, "prod@v2"):
            pytest.skip("this server lists the aliases itself")
        self.script(adopted, None)
        ran = adopted("upgrade")
        assert ran.code == 6
        assert "expected a list in `index.aliases`, found null" in ran.last
        assert at(client, "idx:other") == at(client, "idx:cat") == "prod@v2"
        # The way out: named in the spec and in the migration.
        adopted.script("b2", rebuild(aliases=["idx:other"]), down="a1")
        must(adopted, "upgrade")
        assert at(client, "idx:other") == at(client, "idx:cat") == NEW
        tidy(adopted, client)
        must(adopted, *BACK)
        assert at(client, "idx:other") == at(client, "idx:cat") == "prod@v2"

    def test_an_empty_list_lets_it(self, adopted, client):
        self.script(adopted, [])
        must(adopted, "upgrade")
        assert at(client, "idx:cat") == NEW
        assert "prod@v2" in kept(client)

    def test_those_that_the_spec_names_are_moved(self, adopted, client):
        self.script(adopted, ["idx:other"])
        must(adopted, "upgrade")
        assert at(client, "idx:other") == at(client, "idx:cat") == NEW
        must(adopted, "downgrade", "base", "--verify", "counts")
        assert at(client, "idx:other") == at(client, "idx:cat") == "prod@v2"


class TestWithoutAnAlias:
    @pytest.fixture
    def bare(self, project, client):
        project.script("a1", PLAIN)
        project.script("b2", rebuilt("cats2"), down="a1")
        fill(client)
        must(project, "upgrade", "a1")
        return project

    def test_the_index_itself_carries_the_name(self, bare, client):
        assert names(client) == {"cats1"}
        assert records(client)["cat"]["aliases"] == []
        tidy(bare, client)
        must(bare, "downgrade", "base")
        assert names(client) == set()

    def test_old_and_new_answer_until_complete(self, bare, client):
        must(bare, "upgrade")
        assert count(client, "cats1") == count(client, "cats2") == 4
        tidy(bare, client)
        must(bare, "complete")
        assert names(client) == {"cats2"}
        tidy(bare, client)

    @pytest.mark.parametrize("back", [BACK, ("downgrade", "a1")])
    def test_the_way_back(self, bare, client, back):
        must(bare, "upgrade")
        must(bare, *back)
        assert count(client, "cats1") == 4
        assert records(client)["cat"]["physical"] == "cats1"
        tidy(bare, client)
        must(bare, "upgrade", "--release")
        assert records(client)["cat"]["physical"] == "cats2"
        tidy(bare, client)

    def test_a_name_that_is_taken_is_refused_and_its_way_out(self, bare, client):
        plain(client, "cats2", *owned.DIFFERENT)
        ran = bare("upgrade")
        assert ran.code == 6
        assert "give the spec another index.name" in ran.last
        bare.script("b2", rebuilt("cats3"), down="a1")
        must(bare, "upgrade")
        must(bare, "downgrade", "base")
        assert names(client) == {"cats2"}

    def test_healed_under_its_name(self, bare, client):
        client.execute_command("FT.DROPINDEX", "cats1")
        must(bare, "heal")
        assert names(client) == {"cats1"}
        tidy(bare, client)

    @pytest.mark.parametrize("back", [BACK, ("downgrade", "a1")])
    def test_from_an_alias_to_none_and_back(self, project, client, back):
        project.script("a1", CREATE)
        project.script("b2", rebuilt("cats2", "'alias': False"), down="a1")
        fill(client)
        must(project, "upgrade")
        assert count(client, "idx:cat") == count(client, "cats2") == 4
        tidy(project, client)
        must(project, *back)
        assert at(client, "idx:cat") == OLD
        assert records(client)["cat"]["aliases"] == ["idx:cat"]
        tidy(project, client)
        must(project, "upgrade", "--release")
        must(project, "complete")
        assert names(client) == {"cats2"}
        tidy(project, client)

    @pytest.mark.parametrize("back", [BACK, ("downgrade", "a1")])
    def test_from_none_to_an_alias_and_back(self, bare, client, back):
        bare.script("b2", rebuilt("idx:cat", "'alias': True"), down="a1")
        must(bare, "upgrade")
        assert at(client, "idx:cat") == NEW
        assert count(client, "cats1") == 4
        tidy(bare, client)
        must(bare, *back)
        assert count(client, "cats1") == 4
        tidy(bare, client)
        must(bare, "upgrade", "--release")
        must(bare, "complete")
        tidy(bare, client)


def rebuilt(name, *also):
    inner = ", ".join([f"'name': {name!r}", *also])
    return f"op.rebuild_index('cat', embedding={{'metric': 'l2'}}, index={{{inner}}})"
