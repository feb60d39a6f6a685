"""What was rolled back stays so, until somebody says otherwise or a newer revision goes on from it."""

from __future__ import annotations

import contextlib
import threading

import pytest
import redis

from tests.owned import CREATE, at, count, fill, kept, must, names, plain, rebuild, records, status, tidy
from vecmigrate.runtime.search_server import index_info
from vecmigrate.search.reply import index_name

OLD, NEW = "idx:cat@a1", "idx:cat@b2"
BACK = ("rollback", "--accept-broken-readers")


@pytest.fixture
def made(project, client):
    """An index and a rebuild of it, applied."""
    project.script("a1", CREATE)
    project.script("b2", rebuild(), down="a1")
    fill(client)
    must(project, "upgrade")
    return project


@contextlib.contextmanager
def led_to(url):
    """Every index that the alias led to while the block ran."""
    seen, stop = set(), threading.Event()

    def watch():
        with contextlib.closing(redis.Redis.from_url(url)) as client:
            while not stop.is_set():
                info = index_info(client, "idx:cat")
                seen.add(None if info is None else index_name(info))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


class TestHeld:
    def test_the_next_pod_leaves_it_and_says_so(self, made, client):
        must(made, *BACK)
        for _ in range(3):
            ran = must(made, "upgrade")
            assert "b2" in ran.out + ran.err
            assert "--release" in ran.out + ran.err
            assert at(client, "idx:cat") == OLD
        assert status(client, "b2") == "rolled back"
        assert made("status", "--format", "json").json["held"] == ["b2"]
        tidy(made, client)

    def test_released_it_cuts_over_without_building_again(self, made, client):
        must(made, *BACK)
        must(made, "upgrade", "--release")
        assert at(client, "idx:cat") == NEW
        assert names(client) == {OLD, NEW}
        tidy(made, client)

    @pytest.mark.parametrize("words", ["downgrade a1", "downgrade base"])
    def test_downgraded(self, made, client, words):
        must(made, *BACK)
        must(made, *words.split())
        assert names(client) == ({OLD} if words == "downgrade a1" else set())
        assert kept(client) == {}
        must(made, "upgrade")
        assert at(client, "idx:cat") == NEW
        tidy(made, client)

    def test_completed_and_released(self, made, client):
        must(made, *BACK)
        must(made, "complete")
        assert names(client) == {OLD}
        must(made, "upgrade")
        assert at(client, "idx:cat") == OLD
        must(made, "upgrade", "--release")
        assert at(client, "idx:cat") == NEW
        tidy(made, client)

    def test_twice(self, made, client):
        must(made, *BACK)
        ran = made(*BACK)
        assert ran.code == 1
        assert "no index is kept" in ran.last
        assert at(client, "idx:cat") == OLD
        must(made, "upgrade", "--release")
        must(made, *BACK)
        assert at(client, "idx:cat") == OLD
        tidy(made, client)

    def test_emptied_and_healed_it_still_holds(self, made, client):
        must(made, *BACK)
        for name in names(client):
            client.execute_command("FT.DROPINDEX", name)
        must(made, "heal")
        assert at(client, "idx:cat") == OLD
        must(made, "upgrade")
        assert at(client, "idx:cat") == OLD
        tidy(made, client)
        must(made, "upgrade", "--release")
        assert at(client, "idx:cat") == NEW
        tidy(made, client)


class TestGoneOnFrom:
    def test_another_spec_lets_it_in(self, made, client):
        must(made, *BACK)
        made.script("c3", "create(op, 'dog')", down="b2")
        must(made, "upgrade")
        assert at(client, "idx:cat") == NEW
        tidy(made, client)

    def test_a_newer_rebuild_of_the_same_index_never_lets_the_bad_one_in(self, made, client, redis_url):
        must(made, *BACK)
        made.script("c3", rebuild("ip"), down="b2")
        with led_to(redis_url) as seen:
            must(made, "upgrade")
        assert seen == {OLD, "idx:cat@c3"}
        assert names(client) == {OLD, "idx:cat@c3"}
        tidy(made, client)
        # The way back is to what was live before.
        with led_to(redis_url) as seen:
            must(made, *BACK)
            must(made, "upgrade", "--release")
            must(made, "downgrade", "a1")
        assert NEW not in seen
        assert at(client, "idx:cat") == OLD
        tidy(made, client)

    def test_one_that_drops_the_index_either(self, made, client, redis_url):
        must(made, *BACK)
        made.script("c3", "op.drop_index('cat')", down="b2")
        with led_to(redis_url) as seen:
            must(made, "upgrade")
        assert NEW not in seen
        assert names(client) == set()
        assert kept(client) == {}

    def test_beside_it_on_another_branch_it_stays_held(self, made, client):
        must(made, *BACK)
        made.script("d4", "create(op, 'dog')", down="a1")
        must(made, "upgrade", "d4")
        assert at(client, "idx:cat") == OLD
        assert status(client, "b2") == "rolled back"


class TestRefused:
    def test_a_later_field_would_be_lost_and_downgrade_takes_both_back(self, made, client):
        # Kept indexes get the field too; one that somebody put back from before does not have it.
        made.script("c3", "op.alter_index('cat', add={'colour': {'type': 'tag'}})", down="b2")
        must(made, "upgrade")
        client.execute_command("FT.DROPINDEX", OLD)
        plain(client, OLD)
        ran = made(*BACK)
        assert ran.code == 1
        assert "lacks field 'colour', added after b2" in ran.last
        assert at(client, "idx:cat") == NEW
        assert "`vecmigrate downgrade`" in ran.last
        must(made, "downgrade", "a1")
        assert at(client, "idx:cat") == OLD
        tidy(made, client)

    def test_it_carries_a_later_field(self, made, client):
        made.script("c3", "op.alter_index('cat', add={'colour': {'type': 'tag'}})", down="b2")
        must(made, "upgrade")
        must(made, *BACK)
        client.hset("cat:0", "colour", "red")
        assert count_of(client, "@colour:{red}") == 1
        # What is applied above it goes on to say what it says.
        tidy(made, client, said=("DISTANCE_METRIC",))
        must(made, "upgrade", "--release")
        assert at(client, "idx:cat") == NEW
        assert count_of(client, "@colour:{red}") == 1
        tidy(made, client)

    def test_it_would_come_again_without_a_later_field_and_the_way_out(self, made, client):
        made.script("c3", "op.alter_index('cat', add={'colour': {'type': 'tag'}})", down="b2")
        must(made, "upgrade")
        must(made, *BACK)
        must(made, "complete")
        ran = made("upgrade", "--release")
        assert ran.code == 1
        assert "without field colour, which c3 added since" in ran.last
        assert at(client, "idx:cat") == OLD
        must(made, "downgrade", "a1")
        must(made, "upgrade", "--verify", "counts")
        client.hset("cat:0", "colour", "red")
        assert count_of(client, "@colour:{red}") == 1
        tidy(made, client)

    def test_readers_that_would_fail_and_the_way_on(self, project, client):
        vector = "{'type': 'vector', 'dims': 2, 'metric': 'cosine', 'algorithm': 'flat'}"
        project.script("a1", f"create(op, fields={{'embedding': {vector}}})")
        project.script("b2", "op.rebuild_index('cat', embedding={'algorithm': 'hnsw'})", down="a1")
        fill(client)
        must(project, "upgrade")
        ran = project("rollback")
        assert ran.code == 1
        assert "EF_RUNTIME" in ran.last
        assert "`vecmigrate rollback cat --accept-broken-readers`" in ran.last
        assert at(client, "idx:cat") == NEW
        must(project, "rollback", "cat", "--accept-broken-readers")
        assert at(client, "idx:cat") == OLD
        tidy(project, client)

    def test_the_kept_index_is_gone_and_downgrade_builds_it(self, made, client):
        client.execute_command("FT.DROPINDEX", OLD)
        ran = made(*BACK)
        assert ran.code == 1
        assert "`vecmigrate downgrade` builds it anew" in ran.last
        must(made, "downgrade", "a1", "--verify", "counts")
        assert at(client, "idx:cat") == OLD
        assert count(client) == 4
        tidy(made, client)

    def test_a_second_rebuild_is_there_and_only_its_own_old_one_is_gone_back_to(self, made, client):
        made.script("c3", rebuild("ip"), down="b2")
        must(made, "upgrade", "--verify", "counts")
        must(made, *BACK)
        assert at(client, "idx:cat") == NEW
        assert records(client)["cat"]["revision"] == "b2"
        must(made, *BACK)
        assert at(client, "idx:cat") == OLD
        tidy(made, client)
        must(made, "upgrade", "--release", "--verify", "counts")
        assert at(client, "idx:cat") == "idx:cat@c3"
        tidy(made, client)


def count_of(client, query):
    reply = client.execute_command("FT.SEARCH", "idx:cat", query, "DIALECT", 2)
    return reply[b"total_results"] if isinstance(reply, dict) else reply[0]


def half_done(project):
    """A revision above the rebuild that stops half-way, and goes on once there is a key."""
    top = "def fail(client, progress, cursor):\n    if not client.exists('go'):\n        raise ValueError\n"
    project.script("c3", "op.run(fail, undo=fail)", down="b2", top=top)
    assert project("upgrade").code == 6


def test_a_rollback_below_a_half_done_revision_is_refused_for_it_would_not_hold(made, client):
    half_done(made)
    ran = made("rollback")
    assert (ran.code, at(client, "idx:cat")) == (1, "idx:cat@b2")
    assert "c3, which stands on b2, is half-done" in ran.last
    client.set("go", 1)
    # The way out that it names.
    assert "`vecmigrate downgrade b2` takes it back; then roll back" in ran.last
    must(made, "downgrade", "b2")
    must(made, "rollback")
    assert at(client, "idx:cat") == "idx:cat@a1"


def test_nothing_is_downgraded_to_a_revision_that_is_half_done(made, client):
    half_done(made)
    ran = made("downgrade", "c3")
    assert (ran.code, "c3 is half-done" in ran.last) == (1, True)
    assert "`vecmigrate upgrade` ends it, and `vecmigrate downgrade b2` takes it back" in ran.last
    client.set("go", 1)
    must(made, "downgrade", "b2")
    assert at(client, "idx:cat") == "idx:cat@b2"


def test_complete_again_where_nothing_is_left_is_no_mistake(made, client):
    must(made, "complete", "cat")
    assert must(made, "complete", "cat").out == "nothing was kept\n"
    ran = made("complete", "cta")
    assert (ran.code, "nothing is kept for index 'cta'" in ran.last) == (1, True)
