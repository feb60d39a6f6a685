"""Each operation on a real server, by small migrations and the command line."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.project import content

BLOB = np.array([1, 0], "<f4").tobytes()
OTHER = np.array([0, 1], "<f4").tobytes()

COUNT_TO_TEN = """
def count(client, progress, cursor):
    progress.start("counting", 10)
    for number in range(cursor.value or 0, 10):
        if number == 5 and client.exists("stop"):
            raise RuntimeError("the fifth is one too many")
        client.rpush("counted", number)
        cursor.save(number + 1)
        progress.advance(number + 1)
    progress.finish("done")


def forget(client, progress, cursor):
    client.delete("counted")
"""


def indexes(client) -> list[bytes]:
    return sorted(client.execute_command("FT._LIST"))


def knn(client, index="idx:cat", dialect=2):
    """The keys that a query of the alias finds, nearest first."""
    reply = client.execute_command(
        *("FT.SEARCH", index, "*=>[KNN 10 @embedding $v AS d]", "PARAMS", 2, "v", BLOB),
        *("SORTBY", "d", "RETURN", 1, "d", "DIALECT", dialect),
    )
    if isinstance(reply, dict):
        return [item[b"id"] for item in reply[b"results"]]
    return reply[1::2]


class TestRun:
    def test_it_goes_on_at_its_cursor(self, project, client):
        project.script("a1", "op.run(count, undo=forget)", top=COUNT_TO_TEN)
        client.set("stop", 1)
        ran = project("upgrade")
        assert (ran.code, ran.out) == (6, "")
        assert "revision a1, step 0 (run count): RuntimeError: the fifth is one too many" in ran.last
        assert client.lrange("counted", 0, -1) == [b"%d" % number for number in range(5)]
        (partial,) = project("status", "--format", "json").json["partial"]
        assert (partial["step"], partial["operation"], partial["cursor"]) == (0, "run count", "5")
        client.delete("stop")
        assert project("upgrade").code == 0
        assert client.lrange("counted", 0, -1) == [b"%d" % number for number in range(10)]
        assert project("downgrade", "base").code == 0
        assert not client.exists("counted")

    def test_steps_that_are_done_are_not_done_again(self, project, client):
        project.script("a1", "op.execute('INCR', 'ones')\nop.run(count)", top=COUNT_TO_TEN)
        client.set("stop", 1)
        assert project("upgrade").code == 6
        client.delete("stop")
        ran = project("upgrade")
        assert ran.code == 0
        assert "execute INCR  done before" in ran.out
        assert client.get("ones") == b"1"

    def test_any_value_of_json_is_a_cursor(self, project, client):
        top = """
        def keep(client, progress, cursor):
            client.rpush("seen", repr(cursor.value))
            cursor.save({"page": [1, "ä"]})
            if client.llen("seen") == 1:
                raise KeyError("once")
        """
        project.script("a1", "op.run(keep)", top=top)
        assert project("upgrade").code == 6
        assert project("upgrade").code == 0
        assert client.lrange("seen", 0, -1) == [b"None", repr({"page": [1, "ä"]}).encode()]

    def test_the_name_it_was_given_is_the_one_that_is_told(self, project):
        project.script("a1", "op.run(lambda client, progress, cursor: None, name='tidy up')")
        ran = project("upgrade")
        assert "  run tidy up  " in ran.out

    def test_progress_reaches_the_reader(self, project):
        project.script("a1", "op.run(count)", top=COUNT_TO_TEN)
        assert "counting: 10 items\ncounting: done\n" in project("upgrade").err
        project("stamp", "base")
        events = [json.loads(line) for line in project("upgrade", "--format", "json").err.splitlines()]
        assert next(event["event"] for event in events if event.get("label") == "counting") == "start"


class TestExecute:
    def test_and_its_undo(self, project, client):
        project.script("a1", "op.execute('HSET', 'h', 'f', 1.5, undo=['DEL', 'h'])")
        assert project("upgrade").code == 0
        assert client.hgetall("h") == {b"f": b"1.5"}
        assert project("downgrade", "-1").code == 0
        assert not client.exists("h")

    def test_a_command_that_no_script_may_run(self, project, client):
        before = client.config_get("slowlog-max-len")["slowlog-max-len"]
        project.script("a1", "op.execute('CONFIG', 'SET', 'slowlog-max-len', '77')")
        try:
            ran = project("upgrade")
            assert ran.code == 0, ran.err
            assert client.config_get("slowlog-max-len") == {"slowlog-max-len": "77"}
        finally:
            client.config_set("slowlog-max-len", before)

    def test_what_the_server_refuses_is_told_in_one_line(self, project, client):
        client.set("k", "text")
        project.script("a1", "op.execute('INCR', 'k')")
        ran = project("upgrade")
        assert ran.code == 6
        assert "step 0 (execute INCR): Redis: " in ran.last
        assert "not an integer" in ran.last

    def test_without_undo_a_downgrade_changes_nothing(self, project, client):
        path = project.script("a1", "op.execute('INCR', 'k')")
        project("upgrade")
        before = content(client)
        ran = project("downgrade", "base")
        assert ran.code == 1
        assert f"migrations/{path.name}:" in ran.last
        assert "execute INCR has no way back" in ran.last
        assert content(client) == before
        assert project("current", "--format", "json").json["revisions"][0]["revision"] == "a1"

    def test_neither_does_one_without_the_function(self, project, client):
        project.script("a1", "op.execute('INCR', 'k')", downgrade=None)
        project("upgrade")
        ran = project("downgrade", "base")
        assert ran.code == 1
        assert "has no function `downgrade`" in ran.last


class TestIndexes:
    def test_created_behind_an_alias_and_dropped_again(self, project, client):
        client.hset("cat:tom", "embedding", BLOB)
        project.script("a1", "create(op)")
        assert project("upgrade").code == 0
        assert indexes(client) == [b"idx:cat@a1"]
        assert knn(client) == [b"cat:tom"]
        assert project("downgrade", "base").code == 0
        assert indexes(client) == []
        assert client.exists("cat:tom")

    def test_published_later_it_is_not_seen_before(self, project, client):
        project.script("a1", "create(op, publish=False)")
        project.script("b1", "op.publish_index('cat')", down="a1")
        project("upgrade", "a1")
        with pytest.raises(Exception, match=r"(?i)unknown index|no such index|not found"):
            knn(client)
        project("upgrade")
        assert knn(client) == []
        assert project("downgrade", "-1").code == 0
        with pytest.raises(Exception, match=r"(?i)unknown index|no such index|not found"):
            knn(client)
        assert indexes(client) == [b"idx:cat@a1"]

    def test_dropped_by_a_migration_and_brought_back_by_its_downgrade(self, project, client):
        client.hset("cat:tom", "embedding", BLOB)
        project.script("a1", "create(op)")
        project.script("b1", "op.drop_index('cat')", down="a1")
        assert project("upgrade").code == 0
        assert indexes(client) == []
        assert client.exists("cat:tom")
        assert project("downgrade", "-1").code == 0
        assert knn(client) == [b"cat:tom"]
        assert project("upgrade").code == 0
        assert indexes(client) == []
        assert project("downgrade", "base").code == 0
        assert indexes(client) == []

    def test_the_same_plain_index_is_adopted_and_stays(self, project, client):
        client.execute_command(
            *"FT.CREATE idx:cat ON HASH PREFIX 1 cat: SCHEMA embedding VECTOR FLAT 6".split(),
            *"TYPE FLOAT32 DIM 2 DISTANCE_METRIC COSINE".split(),
        )
        client.hset("cat:tom", "embedding", BLOB)
        project.script("a1", "create(op)")
        ran = project("upgrade")
        assert "adopted" in ran.out
        assert "adopted as it is" in ran.err
        assert indexes(client) == [b"idx:cat"]
        ran = project("downgrade", "base")
        assert ran.code == 0
        assert "was there before this migration; left as it is" in ran.err
        assert indexes(client) == [b"idx:cat"]
        assert knn(client) == [b"cat:tom"]

    def test_an_adopted_index_is_dropped_where_a_migration_says_so(self, project, client):
        client.execute_command(
            *"FT.CREATE idx:cat ON HASH PREFIX 1 cat: SCHEMA embedding VECTOR FLAT 6".split(),
            *"TYPE FLOAT32 DIM 2 DISTANCE_METRIC COSINE".split(),
        )
        project.script("a1", "create(op)")
        project.script("b1", "op.drop_index('cat')", down="a1")
        assert project("upgrade").code == 0
        assert indexes(client) == []

    def test_another_index_in_the_way_is_told_and_survives_everything(self, project, client):
        client.execute_command(
            *"FT.CREATE idx:cat ON HASH PREFIX 1 cat: SCHEMA embedding VECTOR FLAT 6".split(),
            *"TYPE FLOAT32 DIM 4 DISTANCE_METRIC COSINE".split(),
        )
        project.script("a1", "create(op)")
        ran = project("upgrade")
        assert ran.code == 6
        assert "index 'idx:cat' exists with another definition" in ran.last
        assert "dim" in ran.last.lower()
        # Half of nothing is taken back: somebody else's index is not.
        assert project("downgrade", "base").code == 0
        assert indexes(client) == [b"idx:cat"]

    def test_an_alias_to_a_stranger_is_left_alone(self, project, client):
        client.execute_command(*"FT.CREATE other PREFIX 1 o: SCHEMA t TEXT".split())
        client.execute_command("FT.ALIASADD", "idx:cat", "other")
        project.script("a1", "create(op)")
        ran = project("upgrade")
        assert ran.code == 6
        assert "alias 'idx:cat' leads to index 'other', which has another definition" in ran.last
        assert "FT.DROPINDEX" not in ran.last  # it is somebody else's
        assert project("downgrade", "base").code == 0
        assert indexes(client) == [b"other"]
        # What the hint says: the name is free then, and the stranger's index stays.
        assert "FT.ALIASDEL idx:cat" in ran.last
        client.execute_command("FT.ALIASDEL", "idx:cat")
        assert project("upgrade").code == 0
        assert indexes(client) == [b"idx:cat@a1", b"other"]

    def test_an_alias_to_the_same_index_that_nobody_owns_is_adopted_with_it(self, project, client):
        client.execute_command(
            *"FT.CREATE mine ON HASH PREFIX 1 cat: SCHEMA embedding VECTOR FLAT 6".split(),
            *"TYPE FLOAT32 DIM 2 DISTANCE_METRIC COSINE".split(),
        )
        client.execute_command("FT.ALIASADD", "idx:cat", "mine")
        client.hset("cat:tom", "embedding", BLOB)
        project.script("a1", "create(op)")
        ran = project("upgrade")
        assert ran.code == 0, ran.err
        assert "adopted" in ran.out
        assert client.hget("vecmigrate:owners", "mine") == b"default"
        assert project("downgrade", "base").code == 0
        assert indexes(client) == [b"mine"]
        assert knn(client) == [b"cat:tom"]
        assert not client.exists("vecmigrate:owners")

    def test_the_index_of_another_namespace_is_left_alone(self, project, client):
        project.script("a1", "create(op)")
        assert project("upgrade").code == 0
        project.script("a1", "pass")
        project.script("z9", "create(op)", down=None)
        ran = project("--namespace", "second", "upgrade", "z9")
        assert ran.code == 6
        assert "index 'idx:cat@a1' belongs to namespace 'default' (expected 'second')" in ran.last
        assert project("--namespace", "second", "downgrade", "base").code == 0
        assert indexes(client) == [b"idx:cat@a1"]
        assert client.hgetall("vecmigrate:owners") == {b"idx:cat@a1": b"default"}
        assert knn(client) == []

    def test_one_of_another_ledger_that_differs_survives_a_failed_upgrade_and_its_downgrade(
        self, project, client
    ):
        project.script("a1", "create(op)")
        assert project("upgrade").code == 0
        project.script("z9", "create(op, fields={'embedding': {**VECTOR, 'dims': 3}})")
        assert project("--namespace", "second", "upgrade", "z9").code == 6
        assert project("--namespace", "second", "downgrade", "base").code == 0
        assert indexes(client) == [b"idx:cat@a1"]

    def test_what_somebody_put_in_the_place_of_ours_stays(self, project, client):
        project.script("a1", "create(op)")
        project("upgrade")
        client.execute_command("FT.DROPINDEX", "idx:cat@a1")
        client.execute_command(*"FT.CREATE idx:cat PREFIX 1 cat: SCHEMA t TEXT".split())
        assert project("downgrade", "base").code == 0
        assert indexes(client) == [b"idx:cat"]

    def test_the_alias_waits_until_the_index_is_complete(self, project, client):
        with client.pipeline(transaction=False) as pipe:
            for number in range(3000):
                pipe.hset(f"cat:{number}", "embedding", BLOB if number % 2 else OTHER)
            pipe.execute()
        project.script("a1", "create(op)")
        assert project("upgrade").code == 0
        info = client.execute_command("FT.INFO", "idx:cat")
        info = info if isinstance(info, dict) else dict(zip(info[::2], info[1::2], strict=True))
        assert int(info[b"num_docs"]) == 3000
        assert float(info[b"percent_indexed"]) == 1

    def test_two_indexes_in_one_revision_where_the_second_fails(self, project, client):
        client.execute_command(*"FT.CREATE idx:dog PREFIX 1 o: SCHEMA t TEXT".split())
        project.script("a1", "create(op)\ncreate(op, 'dog')")
        assert project("upgrade").code == 6
        client.execute_command("FT.DROPINDEX", "idx:dog")
        ran = project("upgrade")
        assert ran.code == 0
        assert "create_index cat  done before" in ran.out
        assert indexes(client) == [b"idx:cat@a1", b"idx:dog@a1"]


class TestBackfill:
    @pytest.fixture
    def cats(self, project, client):
        client.hset("cats", mapping={"tom": "[1, 0]", "kit": "[0, 1]", "bad": "[1", "odd": "[1, 1]"})
        client.hset("cats_meta", mapping={"tom": '{"age": 3}', "odd": "{"})
        project.script("a1", "create(op)")
        project.script(
            "b1", "op.backfill_legacy_hash('cat', embeddings_key='cats', metadata_key='cats_meta')", down="a1"
        )
        return project

    def test_counts_tell_items_once_and_remarks_apart(self, cats, client):
        ran = cats("upgrade")
        assert ran.code == 0
        assert "3 written, 1 set aside, 1 written with a remark; verified: 3 equal\n" in ran.out
        ran = cats("rejects")
        lines = [line.split("\t") for line in ran.out.splitlines()]
        assert sorted(line[:5] for line in lines) == [
            ["b1", "0", "cats", "bad", "rejected"],
            ["b1", "0", "cats_meta", "odd", "remark"],
        ]
        assert ran.err == "1 set aside, 1 written with a remark\n"
        listed = cats("rejects", "b1", "--format", "json").json
        assert (listed["rejected"], listed["remarks"]) == (1, 1)
        assert {item["field"]: item["kind"] for item in listed["items"]} == {
            "bad": "rejected",
            "odd": "remark",
        }
        assert json.loads(client.hget("cat:odd", "meta")) == {"cat_id": "odd"}
        assert "[1" not in ran.out  # nor the blob
        assert cats("rejects", "a1").out == ""

    def test_a_limit_passes_once_the_source_is_mended(self, cats, client):
        ran = cats("upgrade", "--max-rejects", "0")
        assert ran.code == 6
        assert "1 of " in ran.last
        assert cats("upgrade", "--max-rejects", "0").code == 6
        assert cats("upgrade", "--max-rejects", "20%").code == 6
        client.hset("cats", "bad", "[1, 2]")
        ran = cats("upgrade", "--max-rejects", "0")
        assert ran.code == 0, ran.err
        assert client.hget("cat:bad", "embedding") == np.array([1, 2], "<f4").tobytes()
        assert "4 written, 1 written with a remark" in ran.out
        assert [line.split("\t")[3:5] for line in cats("rejects").out.splitlines()] == [["odd", "remark"]]

    def test_a_limit_that_holds(self, cats):
        assert cats("upgrade", "--max-rejects", "25%").code == 0

    @pytest.mark.parametrize("limit", ["-1", "x", "200%"])
    def test_a_limit_that_is_none_is_a_usage_error(self, cats, limit):
        ran = cats("upgrade", f"--max-rejects={limit}")
        assert ran.code == 2
        assert "is no limit on rejects" in ran.last

    def test_documents_that_exist_stay_and_downgrade_spares_them(self, cats, client):
        client.hset("cat:tom", mapping={"embedding": OTHER, "mine": "1"})
        ran = cats("upgrade")
        assert "2 written, 1 existed already, 1 set aside" in ran.out
        assert "1 newer at the destination" in ran.out
        client.hset("cat:kit", "touched", "1")
        ran = cats("downgrade", "a1")
        assert "1 removed, 1 changed since and kept" in ran.out
        assert sorted(client.keys("cat:*")) == [b"cat:kit", b"cat:tom"]
        assert client.hget("cat:tom", "embedding") == OTHER
        assert client.hlen("cats") == 4

    def test_a_source_that_is_no_hash_is_told(self, cats, client):
        client.delete("cats")
        client.set("cats", "x")
        ran = cats("upgrade")
        assert ran.code == 6
        assert "'cats' is no hash but a string (expected two hashes, or nothing)" in ran.last

    def test_without_a_source_there_is_nothing_to_do(self, cats, client):
        client.delete("cats", "cats_meta")
        assert cats("upgrade").code == 0
        assert client.keys("cat:*") == []
