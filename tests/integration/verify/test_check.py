"""Each document is in the index, left out by the filter, or named with the server's reason."""

from __future__ import annotations

import contextlib
import json
import random
import threading

import pytest
import redis

from tests.checked import NAME, SCRATCH, VECTOR, Server, make_spec, nothing
from vecmigrate.verify.check import check_documents, updates_missed
from vecmigrate.verify.keyspace import BATCH, Built

YEAR = {"year": {"type": "numeric"}}


def check(server, new, old=None, told=nothing, **options):
    given = {"touch": server.touch, "scratch": server.scratch(), **options}
    return check_documents(server.client, new, old, told, **given)


def pass_over(server, spec, *, count=3, fill=10):
    """An index whose scan passed documents over: it does not scan, and `count` were there."""
    server.fill(count, prefix="doc:hidden-", year=lambda n: 2000 + n)
    skipping = make_spec(YEAR, skip_initial_scan=True, prefix=list(spec.index.prefixes))
    server.index(skipping)
    server.fill(fill, year=lambda n: 1990 + n)
    return Built(NAME, spec)


class TestComplete:
    """Indexes that lack nothing."""

    def test_no_documents(self, server):
        found = check(server, server.index(make_spec()))
        assert (found.seen, found.held, found.missing, found.mended) == (0, 0, 0, 0)

    def test_every_document_and_several_prefixes_one_inside_another(self, server):
        spec = make_spec(prefix=["doc:", "doc:a:", "other:"])
        for prefix in ("doc:", "doc:a:", "other:", "strange:"):
            server.fill(7, prefix=prefix)
        server.client.set("doc:text", "of another type")
        found = check(server, server.index(spec))
        assert (found.seen, found.held, found.missing) == (21, 21, 0)
        assert server.touched == []

    def test_more_than_one_batch_is_told_of_as_it_goes(self, server):
        server.fill(17 * BATCH)
        seen: list[int] = []
        found = check(server, server.index(make_spec()), told=seen.append)
        assert found.seen == found.held == seen[-1] == 17 * BATCH
        assert len(seen) > 2

    def test_a_document_without_a_vector_is_in_the_index(self, server):
        server.client.hset("doc:1", "other", "x")
        assert check(server, server.index(make_spec(YEAR))).held == 1

    @pytest.mark.parametrize("key", [b"doc:\xff\xfe", b"doc: a\r\nb", b"doc:*[?]\\", "doc:é".encode()])
    def test_keys_of_any_bytes(self, server, key):
        server.client.hset(key, "embedding", VECTOR)
        found = check(server, server.index(make_spec()))
        assert (found.held, found.missing) == (1, 0)

    def test_keys_with_nul_bytes_are_counted_not_judged(self, server):
        server.client.hset(b"doc:a\0b", "embedding", VECTOR)
        found = check(server, server.index(make_spec()))
        assert (found.seen, found.unasked, found.missing) == (1, 1, 0)

    def test_skipinitialscan_expects_nothing_of_before(self, server):
        server.fill(5)
        found = check(server, server.index(make_spec(skip_initial_scan=True)))
        assert (found.held, found.missing, server.touched) == (0, 0, [])

    def test_told_can_end_it(self, server):
        server.fill(5)
        with pytest.raises(ZeroDivisionError):
            check(server, server.index(make_spec()), told=lambda _: 1 // 0)


class TestPassedOver:
    """Documents that the scan did not come upon."""

    def test_exactly_those_are_touched(self, server):
        found = check(server, pass_over(server, make_spec(YEAR)))
        assert (found.mended, found.missing, found.held) == (3, 0, 13)
        assert sorted(server.touched) == [b"doc:hidden-0", b"doc:hidden-1", b"doc:hidden-2"]

    def test_a_touch_changes_neither_values_nor_expiries(self, server):
        client = server.client
        server.fill(3, prefix="doc:hidden-", year=lambda n: 2000 + n)
        client.pexpire("doc:hidden-0", 500_000)
        # Each field that the index knows expires by itself; HSET would take that away.
        for name in ("year", "embedding"):
            client.hpexpire("doc:hidden-1", 400_000, name)

        def stored():
            keys = [f"doc:hidden-{n}" for n in range(3)]
            return [
                (client.hgetall(key), client.pexpiretime(key), client.hpexpiretime(key, "year", "embedding"))
                for key in keys
            ]

        before = stored()
        server.index(make_spec(YEAR, skip_initial_scan=True))
        assert check(server, Built(NAME, make_spec(YEAR))).mended == 3
        assert stored() == before

    def test_a_document_with_no_field_of_the_schema(self, server):
        server.client.hset("doc:bare", "other", "x")
        server.index(make_spec(skip_initial_scan=True))
        assert check(server, Built(NAME, make_spec())).mended == 1
        assert server.client.hgetall("doc:bare") == {b"other": b"x"}

    def test_json_documents(self, server):
        fields = {"label": {"type": "tag", "path": "$.label"}}
        texts = {
            "doc:1": '{"label":"a","embedding":[1,2,3,4],"big":12345678901234567890,"f":1.5,"n":null}',
            "doc:2": '{"other":{"a":[]}}',
            "doc:3": "[1,2,[3]]",
            "doc:4": '"text"',
        }
        for key, text in texts.items():
            server.client.execute_command("JSON.SET", key, "$", text)
        server.client.pexpire("doc:1", 500_000)
        expires = server.client.pexpiretime("doc:1")
        server.index(make_spec(fields, storage="json", skip_initial_scan=True))
        found = check(server, Built(NAME, make_spec(fields, storage="json")))
        assert (found.mended, found.missing) == (4, 0)
        for key, text in texts.items():
            stored = server.client.execute_command("JSON.GET", key)
            assert json.loads(stored) == json.loads(text)
        assert server.client.pexpiretime("doc:1") == expires

    def test_without_a_touch_they_are_named(self, server):
        found = check(server, pass_over(server, make_spec(YEAR)), touch=None)
        assert (found.mended, found.rejected_count) == (0, 3)
        assert found.rejected[0].endswith("(reason unknown)")

    @pytest.mark.parametrize("filtered", [None, "@year > 1900"])
    def test_renamed_all_the_time(self, server, filtered):
        """What is mended is all there is, although documents change their names during each walk."""
        spec = make_spec(YEAR, **({"filter": filtered} if filtered else {}))
        count = 3_000
        server.fill(count, prefix="doc:hidden-", year=lambda n: 2000)
        skipping = make_spec(YEAR, skip_initial_scan=True, **({"filter": filtered} if filtered else {}))
        server.index(skipping)
        # All but a few are indexed.
        server.touch([f"doc:hidden-{n}".encode() for n in range(20, count)])
        server.touched.clear()
        done = threading.Event()

        def rename():
            with contextlib.closing(server.another()) as client:
                names = [f"doc:hidden-{n}" for n in range(count)]
                while not done.wait(0.002):
                    with client.pipeline(transaction=False) as pipe:
                        for n in random.sample(range(count), 20):
                            pipe.rename(names[n], new := f"doc:{n}-{random.random()}")
                            names[n] = new
                        pipe.execute()

        thread = threading.Thread(target=rename)
        thread.start()
        try:
            found = check(server, Built(NAME, spec))
        finally:
            done.set()
            thread.join()
        assert (found.missing, server.info()["num_docs"]) == (0, count)


class TestRejected:
    """Documents that cannot be indexed."""

    def test_the_server_gives_the_reasons(self, server):
        server.fill(5, year=lambda n: 2000)
        server.client.hset("doc:short", "embedding", b"\0" * 12)
        server.client.hset("doc:word", "year", "unknown")
        found = check(server, server.index(make_spec(YEAR)))
        assert (found.held, found.rejected_count, found.lost_count) == (5, 2, 0)
        short, word = sorted(found.rejected)
        assert "doc:short (field 'embedding': Could not add vector with blob size 12" in short
        assert word.startswith("doc:word (field 'year': Invalid numeric value")

    def test_many_are_counted_and_some_are_named(self, server):
        server.fill(200, year=lambda n: "x" if n < 137 else 1)
        found = check(server, server.index(make_spec(YEAR)))
        assert (found.held, found.rejected_count, len(found.rejected)) == (63, 137, 20)

    def test_what_the_old_index_holds_is_lost(self, server):
        server.fill(30, year=lambda n: "x" if n < 4 else 1)
        server.client.hset("doc:short", "embedding", b"\0" * 12)
        old = server.index(make_spec(), "idx:doc@old")
        found = check(server, server.index(make_spec(YEAR)), old)
        assert (found.lost_count, found.rejected_count, found.old, found.held) == (4, 1, 30, 26)
        assert all("Invalid numeric value" in text for text in found.lost)

    def test_what_is_mended_by_a_service_meanwhile_is_not_lost(self, server):
        server.fill(30, year=lambda n: "x" if n < 4 else 1)
        old = server.index(make_spec(), "idx:doc@old")
        new = server.index(make_spec(YEAR))

        def told(seen):
            server.client.hset("doc:0", "year", 1)
            server.client.delete("doc:1")

        found = check(server, new, old, told)
        assert found.lost_count == len(found.lost) == 2

    def test_a_population_that_changes_fast_does_not_fail_a_good_index(self, server):
        server.fill(1_000, year=lambda n: 1)
        spec = make_spec(YEAR)
        old, new = server.index(spec, "idx:doc@old"), server.index(spec)
        done = threading.Event()

        def write():
            with contextlib.closing(server.another()) as client:
                for n in range(1_000_000):
                    if done.is_set():
                        return
                    with client.pipeline(transaction=False) as pipe:
                        for m in range(20):
                            pipe.delete(f"doc:{(n * 20 + m) % 1000}")
                            pipe.hset(f"doc:{n}-{m}", mapping={"embedding": VECTOR, "year": 1})
                            pipe.pexpire(f"doc:{n}-{m}", random.randrange(1, 100))
                            pipe.hset(f"doc:{(n * 20 + m) % 1000}", mapping={"embedding": VECTOR})
                        pipe.execute()

        thread = threading.Thread(target=write)
        thread.start()
        try:
            found = check(server, new, old)
        finally:
            done.set()
            thread.join()
        assert (found.lost_count, found.rejected_count) == (0, 0)
        assert found.held == found.old


class TestFilter:
    """The check expects what the filter lets through."""

    @pytest.mark.parametrize(
        ("text", "held"),
        [
            ("@year > 2001", 8),
            ("@year > 2001 && @kind == 'a'", 4),
            ("@renamed == 'b'", 10),
            ("!exists(@nothing)", 21),
            ("exists(@nothing)", 0),
            ("@year > 1900", 20),
        ],
    )
    @pytest.mark.parametrize("before", [None, "@year < 2005", "!exists(@nothing)"])
    def test_narrower_wider_and_other(self, server, text, held, before):
        fields = {**YEAR, "kind": {"type": "tag"}, "renamed": {"type": "tag", "path": "stored"}}
        kinds = ["a", "b"]
        server.fill(20, year=lambda n: 1990 + n, kind=lambda n: kinds[n % 2], stored=lambda n: kinds[n % 2])
        server.client.hset("doc:bare", "other", "x")
        old = server.index(make_spec(fields, filter=before), "idx:doc@old") if before else None
        new = server.index(make_spec(fields, filter=text))
        found = check(server, new, old)
        assert (found.held, found.filtered, found.missing) == (held, 21 - held, 0)
        assert SCRATCH not in server.names()

    def test_filtered_is_told_from_unreadable_and_from_passed_over(self, server):
        spec = make_spec({**YEAR, "n": {"type": "numeric"}}, filter="@year > 2001")
        server.fill(1, prefix="doc:passed-over", year=lambda n: 2010)
        server.index(
            make_spec({**YEAR, "n": {"type": "numeric"}}, filter="@year > 2001", skip_initial_scan=True)
        )
        server.fill(10, prefix="doc:in", year=lambda n: 2010)
        server.fill(10, prefix="doc:out", year=lambda n: 1990)
        server.fill(3, prefix="doc:bad-in", year=lambda n: 2010, n=lambda n: "x")
        server.fill(2, prefix="doc:bad-out", year=lambda n: 1990, n=lambda n: "x")
        found = check(server, Built(NAME, spec))
        assert (found.held, found.filtered, found.rejected_count, found.mended) == (11, 12, 3, 1)

    def test_documents_left_out_in_large_numbers_are_not_touched(self, server):
        server.fill(3 * BATCH, year=lambda n: 1990)
        found = check(server, server.index(make_spec(YEAR, filter="@year > 2001")))
        assert found.filtered == 3 * BATCH
        assert server.touched == []

    def test_json(self, server):
        fields = {"year": {"type": "numeric", "path": "$.year"}, "n": {"type": "numeric", "path": "$.n"}}
        for n in range(20):
            document = json.dumps({"year": 1990 + n, "n": n})
            server.client.execute_command("JSON.SET", f"doc:{n}", "$", document)
        server.client.execute_command("JSON.SET", "doc:bad", "$", '{"year":2010,"n":"x"}')
        server.client.execute_command("JSON.SET", "doc:word", "$", '{"year":"z","n":1}')
        new = server.index(make_spec(fields, storage="json", filter="@year > 2001"))
        found = check(server, new)
        assert (found.held, found.filtered, found.rejected_count) == (8, 13, 1)
        # Redis 8 names the field as well.
        assert "Invalid JSON type: String type can represent only TEXT" in found.rejected[0]

    def test_json_that_does_not_fit_a_field_of_the_filter(self, server):
        fields = {"year": {"type": "numeric", "path": "$.year"}}
        for n in range(20):
            document = json.dumps({"year": 1990 + n if n % 5 else "x"})
            server.client.execute_command("JSON.SET", f"doc:{n}", "$", document)
        new = server.index(make_spec(fields, storage="json", filter="@year == 'x' || @year > 2001"))
        found = check(server, new)
        assert (found.held, found.filtered, found.rejected_count, found.missing) == (7, 9, 4, 4)
        assert "Invalid JSON type: String type" in found.rejected[0]

    def test_what_a_write_let_in_over_an_absent_field_stays_in(self, server):
        """The server leaves such a document out of a scan, and lets it in when it is written."""
        spec = make_spec(YEAR, filter="@year > 2001")
        server.client.hset("doc:before", "other", "x")
        old = server.index(spec, "idx:doc@old")
        server.client.hset("doc:written", "other", "x")
        server.fill(20, year=lambda n: 1990 + n)
        assert server.info("idx:doc@old")["num_docs"] == 9
        found = check(server, server.index(spec), old)
        assert (found.held, found.lost_count, found.filtered, found.mended) == (9, 0, 13, 1)

    def test_a_scratch_index_that_was_left_behind(self, server):
        server.client.execute_command("FT.CREATE", SCRATCH, "SCHEMA", "x", "TAG")
        server.fill(20, year=lambda n: 1990 + n)
        found = check(server, server.index(make_spec(YEAR, filter="@year > 2001")))
        assert (found.held, found.filtered) == (8, 12)
        assert SCRATCH not in server.names()

    def test_the_scratch_index_goes_when_the_check_is_ended(self, server):
        server.fill(3 * BATCH, year=lambda n: 1990)

        def told(seen):
            if SCRATCH in server.names():
                raise KeyboardInterrupt

        new = server.index(make_spec(YEAR, filter="@year > 2001"))
        with pytest.raises(KeyboardInterrupt):
            check(server, new, told=told)
        assert SCRATCH not in server.names()


def test_updates_that_the_server_does_not_see():
    spec = make_spec({"a": {"type": "tag", "path": "x"}, "b": {"type": "tag"}})
    assert updates_missed(spec, "true") == ["a"]
    assert updates_missed(spec, "false") == updates_missed(spec, None) == []
    assert updates_missed(make_spec({"a": {"type": "tag", "path": "$.x"}}, storage="json"), "1") == []


def test_server_class_is_used_as_a_runner_would(server: Server):
    """A touch under a lease that is not ours does nothing."""
    server.index(make_spec())
    server.fill(1)
    server.touch([b"doc:0"])
    with pytest.raises(redis.ResponseError, match="FENCED"):
        server._script(keys=["no lease", "doc:0"], args=["1:me", 0, "hash", "embedding"])
    with pytest.raises(redis.ResponseError, match="WENTBACK"):
        server._script(keys=["vecmigrate:{default}:lease", "doc:0"], args=["1:me", 99, "hash", "embedding"])
