"""The name of an alias is taken by a plain index, as other libraries make one at start: said, and mended."""

from __future__ import annotations

import contextlib
import threading

import pytest
import redis

from tests import owned
from tests.owned import BLOB, CREATE, DIFFERENT, at, fill, must, names, plain, rebuild, tidy


@pytest.fixture
def made(project, client):
    """An index, applied."""
    project.script("a1", CREATE)
    fill(client)
    owned.specs(project)
    must(project, "upgrade")
    return project


@contextlib.contextmanager
def reading(url, name="idx:cat", expected=4):
    """Readers that go on until the block ends; gives what was wrong."""
    wrong, stop, reads = [], threading.Event(), []

    def read():
        with contextlib.closing(redis.Redis.from_url(url)) as client:
            while not stop.is_set():
                try:
                    reply = client.execute_command(
                        *("FT.SEARCH", name, "*=>[KNN 10 @embedding $v AS d]", "PARAMS", 2, "v", BLOB),
                        *("NOCONTENT", "DIALECT", 2),
                    )
                except redis.RedisError as error:
                    # Readers are told to ask once more on this one; see docs/reliability.md.
                    if "The index was dropped before" not in str(error):
                        wrong.append(repr(error))
                    continue
                found = reply[b"total_results"] if isinstance(reply, dict) else reply[0]
                reads.append(found)
                if found != expected:
                    wrong.append(found)

    threads = [threading.Thread(target=read, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield wrong
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert reads


class TestSaid:
    @pytest.mark.parametrize("words", ["status", "drift", "check --server"])
    def test_a_hidden_alias(self, made, client, words):
        plain(client, "idx:cat")
        ran = made(*words.split())
        assert "a plain index 'idx:cat' hides the alias of that name" in ran.out
        assert ran.code == (0 if words == "status" else 3)
        assert at(client, "idx:cat") == "idx:cat"

    @pytest.mark.parametrize("words", ["status", "drift", "check --server"])
    def test_an_index_that_is_gone(self, made, client, words):
        client.execute_command("FT.DROPINDEX", "idx:cat@a1")
        assert "idx:cat@a1" in made(*words.split()).out

    @pytest.mark.parametrize("words", ["status", "drift", "check --server"])
    def test_an_alias_that_leads_nowhere(self, made, client, words):
        client.execute_command("FT.ALIASDEL", "idx:cat")
        assert "leads nowhere" in made(*words.split()).out

    @pytest.mark.parametrize("words", ["status", "drift", "check --server"])
    def test_an_alias_that_leads_elsewhere(self, made, client, words):
        plain(client, "mine")
        client.execute_command("FT.ALIASUPDATE", "idx:cat", "mine")
        assert "leads to 'mine'" in made(*words.split()).out


class TestMended:
    @pytest.mark.parametrize("words", ["upgrade", "heal", "heal cat"])
    def test_a_like_one_goes_under_readers(self, made, client, redis_url, words):
        plain(client, "idx:cat")
        with reading(redis_url) as wrong:
            ran = must(made, *words.split())
        assert wrong == []
        assert "a plain index idx:cat hid the alias" in ran.out + ran.err
        assert names(client) == {"idx:cat@a1"}
        tidy(made, client)

    def test_one_after_the_other_as_pods_start(self, made, client, redis_url):
        for _ in range(10):
            plain(client, "idx:cat")
            with reading(redis_url) as wrong:
                must(made, "upgrade")
            assert wrong == []
        tidy(made, client)

    @pytest.mark.parametrize("words", ["upgrade", "heal"])
    def test_one_with_fewer_fields_as_an_older_revision_had_it(self, made, client, words):
        made.script("b2", "op.alter_index('cat', add={'colour': {'type': 'tag'}})", down="a1")
        must(made, "upgrade")
        plain(client, "idx:cat")
        must(made, words)
        assert at(client, "idx:cat") == "idx:cat@a1"
        tidy(made, client)

    @pytest.mark.parametrize(
        "then",
        [
            "op.rebuild_index('cat', embedding={'block_size': 512})",
            "op.set_aliases('cat', ['idx:tom'])",
            "op.rename_index('cat', index_name='idx:f')",
        ],
    )
    def test_on_the_way_of_the_next_migration(self, made, client, redis_url, then):
        made.script("b2", then, down="a1")
        plain(client, "idx:cat")
        must(made, "upgrade", "--verify", "counts")
        tidy(made, client)
        plain(client, "idx:cat")
        must(made, "downgrade", "a1", "--verify", "counts")
        must(made, "upgrade", "a1")
        tidy(made, client)

    def test_before_a_rollback(self, made, client, redis_url):
        made.script("b2", rebuild(), down="a1")
        must(made, "upgrade")
        client.execute_command(
            *("FT.CREATE", "idx:cat", "PREFIX", 1, "cat:", "SCHEMA", "embedding", "VECTOR", "FLAT", 6),
            *("TYPE", "FLOAT32", "DIM", 2, "DISTANCE_METRIC", "L2"),
        )
        must(made, "rollback", "--accept-broken-readers")
        assert at(client, "idx:cat") == "idx:cat@a1"
        tidy(made, client)

    def test_an_older_alias_of_a_renamed_index(self, made, client):
        made.script("b2", "op.rename_index('cat', index_name='idx:feline')", down="a1")
        must(made, "upgrade")
        plain(client, "idx:cat")
        assert "hides the alias" in made("status").out
        must(made, "upgrade")
        assert at(client, "idx:cat") == at(client, "idx:feline") == "idx:cat@a1"
        tidy(made, client)

    def test_while_ours_is_gone_as_well(self, made, client):
        client.execute_command("FT.DROPINDEX", "idx:cat@a1")
        plain(client, "idx:cat")
        assert made("upgrade").code == 1
        must(made, "heal")
        assert at(client, "idx:cat") == "idx:cat@a1"
        tidy(made, client)


class TestRefused:
    @pytest.mark.parametrize("words", ["upgrade", "heal", "rollback --accept-broken-readers"])
    def test_another_definition_and_its_way_out(self, made, client, words):
        made.script("b2", rebuild(), down="a1")
        must(made, "upgrade")
        plain(client, "idx:cat", *DIFFERENT)
        ran = made(*words.split())
        assert ran.code == 1
        assert "has another definition" in ran.last
        assert "`vecmigrate heal --drop-different`" in ran.last
        assert at(client, "idx:cat") == "idx:cat"
        assert owned.status(client, "b2") == "applied"
        must(made, "heal", "--drop-different")
        assert at(client, "idx:cat") == "idx:cat@b2"
        assert client.exists("cat:0")
        tidy(made, client)

    def test_a_rebuild_over_another_definition_goes_on_after_its_way_out(self, made, client):
        made.script("b2", rebuild(), down="a1")
        plain(client, "idx:cat", *DIFFERENT)
        ran = made("upgrade")
        assert ran.code == 6
        assert "`vecmigrate heal --drop-different`" in ran.last
        must(made, "heal", "--drop-different")
        must(made, "upgrade")
        assert at(client, "idx:cat") == "idx:cat@b2"
        tidy(made, client)

    @pytest.mark.parametrize("words", ["upgrade", "heal", "heal --drop-different"])
    @pytest.mark.parametrize("definition", [(), DIFFERENT])
    def test_one_of_another_namespace_stays(self, made, client, words, definition):
        plain(client, "idx:cat", *definition)
        client.hset("vecmigrate:owners", "idx:cat", "other")
        ran = made(*words.split())
        assert ran.code == 1
        assert "belongs to namespace 'other'" in ran.last
        assert "drop-different" not in ran.last
        assert "namespace" in ran.last
        assert names(client) == {"idx:cat", "idx:cat@a1"}

    def test_an_alias_that_leads_to_somebody_elses_index_stays_there(self, made, client):
        plain(client, "mine")
        client.execute_command("FT.ALIASUPDATE", "idx:cat", "mine")
        ran = must(made, "upgrade")
        assert "leads to 'mine'" in ran.out + ran.err
        assert made("heal").code == 3
        assert at(client, "idx:cat") == "mine"
        client.execute_command("FT.ALIASDEL", "idx:cat")
        must(made, "heal")
        tidy(made, client, "mine", said=("'mine' is not ours",))
