"""The server ends in the middle of a backfill and comes back: cursors are void, documents are not."""

from __future__ import annotations

import contextlib
import os
import signal

import pytest
import redis

from tests import legacy
from tests.legacy import BACKFILL, KEYS, REVISION, Run, all_expected, dealt_with, documents, fill, make_items
from vecmigrate.commands.migrate import upgrade
from vecmigrate.embedded import EmbeddedRedis
from vecmigrate.errors import PartialError
from vecmigrate.operations.progress import Silent

pytestmark = pytest.mark.crash

ITEMS = {"tool": make_items("tool", 5000, seed=5), "skill": make_items("skill", 500, seed=6)}
STEP = BACKFILL["tool"]


def end_server(server: EmbeddedRedis, how: str) -> None:
    if how == "SIGKILL":
        os.kill(server.pid, signal.SIGKILL)
    else:
        with contextlib.suppress(redis.ConnectionError), redis.Redis.from_url(server.url) as client:
            client.execute_command("SHUTDOWN")
    legacy.wait_until(lambda: not server.running, "the server ended")


@pytest.mark.parametrize("how", ["SIGKILL", "SHUTDOWN"])
def test_a_restarted_server_is_scanned_again_and_nothing_is_lost_or_doubled(own_server, tmp_path, how):
    project = legacy.write_project(tmp_path / "project", lease_seconds=1)
    server = own_server(tmp_path / "data")
    client = redis.Redis.from_url(server.url)
    for kind, items in ITEMS.items():
        fill(client, kind, items)
    with Run(project, server.url, "upgrade") as run:
        legacy.wait_until(lambda: dealt_with(client) > 300, "it works")
        run.stop()
        assert 300 < dealt_with(client) < len(ITEMS["tool"])
        end_server(server, how)
        run.wake()
        assert run.wait() == 6, run.output
    assert "Traceback" not in run.output

    server = own_server(tmp_path / "data", port=server.port)
    stored = legacy.step_values(client, STEP)
    assert stored["cursor"] not in ("0", "done")
    assert stored["run_id"] != client.info("server")["run_id"]
    assert 300 < dealt_with(client) == len(documents(client, "tool")) + int(stored["rejected"])

    legacy.upgrade(project, server.url, "--wait", "10")
    assert legacy.step_values(client, STEP)["run_id"] == client.info("server")["run_id"]
    for kind, items in ITEMS.items():
        wanted = all_expected(kind, items)
        assert documents(client, kind) == wanted
        values = legacy.step_values(client, BACKFILL[kind])
        counted = {
            name: int(values.get(name, 0)) for name in ("done", "rejected", "skipped", "verified_equal")
        }
        aside = len(items) - len(wanted)
        assert counted == {
            "done": len(wanted),
            "rejected": aside,
            "skipped": 0,
            "verified_equal": len(wanted),
        }
        assert legacy.count_documents(client, f"idx:{kind}_emb") == len(wanted)
    rejects = [fields[b"field"] for _, fields in client.xrange(KEYS.rejects(REVISION))]
    assert len(rejects) == len(set(rejects))


class StopAt(Silent):
    """Breaks off copying after some items."""

    def __init__(self, items: int) -> None:
        self._items = items

    def advance(self, done: int, **counts: int) -> None:
        if done >= self._items:
            raise InterruptedError("broken off by the test")


@pytest.mark.parametrize("same_process", [True, False])
def test_a_cursor_is_good_for_the_process_that_gave_it_only(client, emptied_url, tmp_path, same_process):
    project = legacy.write_project(tmp_path / "project")
    fill(client, "tool", ITEMS["tool"])
    with legacy.session(project, emptied_url) as session, pytest.raises(PartialError, match="broken off"):
        upgrade(session, progress=StopAt(2000))
    assert legacy.status(client) == "partial"
    assert legacy.step_values(client, STEP)["run_id"] == client.info("server")["run_id"]

    # What was copied already and is taken out of sight is found by a scan from the beginning only.
    written = [name for name, mark in client.hscan_iter(KEYS.items(REVISION, STEP)) if mark[:1] == b"w"][:50]
    client.delete(*(b"tool_emb:" + name for name in written))
    client.hdel(KEYS.items(REVISION, STEP), *written)
    client.hincrby(KEYS.steps(REVISION), f"u{STEP}:done", -len(written))
    if not same_process:
        client.hset(KEYS.steps(REVISION), f"u{STEP}:run_id", "0" * 40)
    with legacy.session(project, emptied_url) as session:
        upgrade(session)
    values = legacy.step_values(client, STEP)
    assert int(values["verified_late"]) == (len(written) if same_process else 0)
    assert documents(client, "tool") == all_expected("tool", ITEMS["tool"])
