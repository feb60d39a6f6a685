"""A server behind sentinels: its primary is found, also after a failover."""

from __future__ import annotations

import contextlib
import threading
import time

import pytest
import redis

from vecmigrate.runtime.connect import connect, inspect_server

pytestmark = pytest.mark.embedded


def test_the_primary_is_found_and_found_again(project, sentinels):
    with contextlib.closing(connect(sentinels.url)) as client:
        assert client.info("server")["tcp_port"] == sentinels.primary.port
        client.set("k", 1)
        client.wait(1, 1000)
        sentinels.fail_over()
        # The connection to the old primary may have been closed, or answer that it is a replica now.
        with contextlib.suppress(redis.ConnectionError, redis.ReadOnlyError):
            client.set("k", 2)
        client.set("k", 3)
        assert client.info("server")["tcp_port"] == sentinels.primary.port
        assert inspect_server(client).version.search


def test_a_backfill_and_its_way_back(project, sentinels):
    project.script(
        "a1",
        "create(op, publish=False)\n"
        "op.backfill_legacy_hash('cat', embeddings_key='cats', metadata_key='m')\n"
        "op.publish_index('cat')",
    )
    with contextlib.closing(redis.Redis(port=sentinels.primary.port)) as client:
        client.hset("cats", mapping={f"c{n}": "[1, 0.5]" for n in range(20)})
        ran = project("--redis", sentinels.url, "upgrade")
        assert ran.code == 0, ran.err
        assert len(client.keys("cat:*")) == 20
        ran = project("--redis", sentinels.url, "downgrade", "base")
        assert ran.code == 0, ran.err
        assert client.keys("cat:*") == []


def test_migrations_go_on_after_a_failover(project, sentinels):
    project.script("a1", "create(op)")
    ran = project("--redis", sentinels.url, "upgrade")
    assert ran.code == 0, ran.err
    status = project("--redis", sentinels.url, "status", "--format", "json").json
    assert status["redis"] == sentinels.url
    with contextlib.closing(redis.Redis(port=sentinels.primary.port)) as client:
        client.wait(1, 2000)
    sentinels.fail_over()
    project.script("b1", "op.execute('SET', 'k', '1', undo=['DEL', 'k'])", down="a1")
    ran = project("--redis", sentinels.url, "upgrade", "--wait", "20")
    assert ran.code == 0, ran.err
    with contextlib.closing(redis.Redis(port=sentinels.primary.port)) as client:
        assert client.get("k") == b"1"
        assert client.execute_command("FT._LIST")
    assert project("--redis", sentinels.url, "current").out.startswith("b1")


@pytest.mark.parametrize("way", ["failover", "killed"])
def test_a_failover_inside_a_step_leaves_it_partial_and_upgrade_resumes(project, sentinels, way, monkeypatch):
    """The step is cut off; nothing of it is called unexpected, and the next upgrade ends it."""
    top = """
    import time
    from pathlib import Path

    def fill(client, progress, cursor):
        for n in range(cursor.value or 0, 40):
            client.set(f"n:{n}", 1)
            cursor.save(n + 1)
            if n == 5 and not Path("failed").exists():
                Path("asks").touch()
                while not Path("failed").exists():
                    time.sleep(0.05)
    """
    project.configure("lease_seconds = 3\n")
    project.script("a1", "op.run(fill)", top=top, downgrade=None)
    folder = project.folder

    def fail() -> None:
        deadline = time.monotonic() + 30
        while not (folder / "asks").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        try:
            if way == "failover":
                sentinels.fail_over()
            else:
                with contextlib.closing(redis.Redis(port=sentinels.primary.port)) as client:
                    client.wait(1, 2000)
                sentinels.primary.stop()
        finally:
            (folder / "failed").touch()

    thread = threading.Thread(target=fail)
    thread.start()
    ran = project("--redis", sentinels.url, "upgrade")
    thread.join()
    assert ran.code in (0, 6), ran.err
    if ran.code:
        assert "not foreseen" not in ran.err
        assert "unexpected" not in ran.err
        assert "--wait SECONDS" in ran.last or "run it again" in ran.last
    ran = project("--redis", sentinels.url, "upgrade", "--wait", "40")
    assert ran.code == 0, ran.err
    with contextlib.closing(connect(sentinels.url)) as client:
        assert len(client.keys("n:*")) == 40


def test_no_such_service_and_no_such_sentinel(project, sentinels):
    ran = project("--redis", sentinels.url.replace("main", "other"), "status")
    assert ran.code == 1
    assert ran.err.count("\n") == 1
    assert "the sentinels know no primary that is up" in ran.err
    ran = project("--redis", f"redis+sentinel://127.0.0.1:1,127.0.0.1:{sentinels.port}/main", "status")
    assert ran.code == 0, ran.err


def test_sentinels_and_servers_with_passwords_of_their_own(project, sentinels):
    project.script("a1", "create(op)")
    with contextlib.closing(redis.Redis(port=sentinels.port)) as client:
        client.execute_command("ACL", "SETUSER", "watch", "on", ">s3ntinel", "allchannels", "+@all")
        client.execute_command("ACL", "SETUSER", "default", "resetpass", "off")
    with contextlib.closing(redis.Redis(port=sentinels.primary.port)) as client:
        client.execute_command("ACL", "SETUSER", "bob", "on", ">s3rver", "~*", "&*", "+@all")
    host = sentinels.url.partition("://")[2]
    right = f"redis+sentinel://bob:s3rver@{host}?sentinel_username=watch&sentinel_password=s3ntinel"
    assert project("--redis", right, "upgrade").code == 0
    for wrong in (
        right.replace("s3ntinel", "wr0ng"),
        right.replace("s3rver", "wr0ng"),
        right.partition("?")[0],
        right.replace("bob:s3rver@", "nobody:s3rver@"),
    ):
        for options in ([], ["-vv", "--debug"]):
            ran = project("--redis", wrong, *options, "status")
            assert ran.code == 1
            for secret in ("s3ntinel", "s3rver", "wr0ng"):
                assert secret not in ran.out + ran.err
            if not options:
                assert ran.err.count("\n") == 1
