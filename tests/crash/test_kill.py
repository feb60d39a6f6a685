"""Runners killed with SIGKILL: what is left ends like an undisturbed run, however often it happens."""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
from functools import partial

import pytest
import redis

from tests import legacy
from tests.legacy import (
    BACKFILL,
    KEYS,
    REVISION,
    Run,
    accounts,
    all_expected,
    dealt_with,
    documents,
    fill,
    make_items,
)

pytestmark = pytest.mark.crash

KILLS = 50
ITEMS = {"tool": make_items("tool", 6000, seed=1), "skill": make_items("skill", 2000, seed=2)}


def fill_all(client) -> None:
    client.flushall()
    legacy.drop_indexes(client)
    for kind, items in ITEMS.items():
        fill(client, kind, items)


@pytest.fixture
def project(tmp_path):
    return legacy.write_project(tmp_path / "project", lease_seconds=1)


def what_is_left(client):
    return {"accounts": accounts(client), **{kind: documents(client, kind) for kind in ITEMS}}


@pytest.fixture(scope="module")
def undisturbed(redis_url, tmp_path_factory):
    """What a run that nothing disturbs leaves behind."""
    with contextlib.closing(redis.Redis.from_url(redis_url)) as client:
        fill_all(client)
        legacy.upgrade(legacy.write_project(tmp_path_factory.mktemp("undisturbed") / "project"), redis_url)
        left = what_is_left(client)
    for kind, items in ITEMS.items():
        assert left[kind] == all_expected(kind, items)
    return left


@pytest.fixture
def filled(client):
    """The legacy hashes, and nothing else."""
    fill_all(client)
    return client


def in_backfill(client) -> bool:
    """Whether the ledger says that a backfill is being run."""
    record = json.loads(client.hget(KEYS.revisions, REVISION) or b"{}")
    step = record.get("step", 0)
    return step in BACKFILL.values() and legacy.step_values(client, step).get("status") == "running"


def test_a_backfill_killed_fifty_times_ends_like_an_undisturbed_one(
    filled, emptied_url, project, undisturbed
):
    chance = random.Random(20261123)
    kills = backfills = copying = 0
    while kills < KILLS or dealt_with(filled):
        with Run(project, emptied_url, "upgrade", "--wait", "10") as run:
            if kills < KILLS:
                target = dealt_with(filled) + chance.randrange(1600)
                legacy.wait_until(
                    lambda run=run, target=target: not run.running or dealt_with(filled) > target, "it works"
                )
                if chance.random() < 0.3:  # into the verifying pass, or the next step
                    legacy.pause(chance.uniform(0, 0.08))
                if run.kill():
                    # Only what hit a backfill at work is counted.
                    if in_backfill(filled):
                        kills += 1
                        copying += filled.hlen(KEYS.items(REVISION, 2)) < len(ITEMS["tool"])
                    continue
            assert run.wait() == 0, run.output
        backfills += 1
        assert what_is_left(filled) == undisturbed
        fill_all(filled)
    assert kills == KILLS
    assert backfills >= 3
    assert copying >= KILLS / 3


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("batch", [1, 7, 16, 20])
def test_killed_at_either_side_of_sending_a_batch(filled, emptied_url, project, undisturbed, batch, moment):
    # A batch that was sent is written by the server although nobody reads the answer.
    with Run(
        project, emptied_url, "upgrade", first=partial(legacy.signal_at, "send_packed", batch, moment)
    ) as run:
        assert run.wait() == -9, run.output
    assert in_backfill(filled)
    before = dealt_with(filled)
    assert before < sum(map(len, ITEMS.values()))
    assert (before > 0) == (batch > 1 or moment == "after")
    legacy.upgrade(project, emptied_url, "--wait", "10")
    assert what_is_left(filled) == undisturbed


@pytest.mark.parametrize("call", [1, 12, 41])
def test_a_downgrade_killed_half_way_goes_on(filled, emptied_url, project, undisturbed, call):
    legacy.upgrade(project, emptied_url)
    with Run(
        project, emptied_url, "downgrade", "base", first=partial(legacy.signal_at, "receive", call, "after")
    ) as run:
        assert run.wait() == -9, run.output
    assert json.loads(filled.hget(KEYS.revisions, REVISION))["status"] == "reverting"
    with Run(project, emptied_url, "downgrade", "base", "--wait", "10") as run:
        assert run.wait() == 0, run.output
    assert documents(filled, "tool") == documents(filled, "skill") == {}
    assert legacy.index_names(filled) == []
    assert filled.hlen("tool_embeddings") == len(ITEMS["tool"])
    left = set(filled.scan_iter("vecmigrate:*"))
    names = (KEYS.fence, KEYS.log, KEYS.revisions, KEYS.meta)
    assert left <= {name.encode() for name in names}


@pytest.mark.parametrize("call", [4, 30])
def test_an_upgrade_after_a_downgrade_that_was_killed_half_way(
    filled, emptied_url, project, undisturbed, call
):
    legacy.upgrade(project, emptied_url)
    with Run(
        project, emptied_url, "downgrade", "base", first=partial(legacy.signal_at, "receive", call, "after")
    ) as run:
        assert run.wait() == -9, run.output
    legacy.upgrade(project, emptied_url, "--wait", "10")
    assert what_is_left(filled) == undisturbed
    # And what it had written before is still known to be its own.
    with Run(project, emptied_url, "downgrade", "base") as run:
        assert run.wait() == 0, run.output
    assert documents(filled, "tool") == documents(filled, "skill") == {}


def test_the_command_itself_killed_from_outside(filled, emptied_url, project, undisturbed):
    command = [
        sys.executable,
        "-m",
        "vecmigrate",
        "--config",
        str(project.file),
        "--redis",
        emptied_url,
        "upgrade",
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        legacy.wait_until(lambda: dealt_with(filled) > 500, "it works")
        process.kill()
    assert process.returncode == -9
    assert in_backfill(filled)
    finished = subprocess.run([*command, "--wait", "10"], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert what_is_left(filled) == undisturbed
