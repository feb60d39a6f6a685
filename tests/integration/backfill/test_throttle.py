"""A backfill is paused, resumed and held back; what holds it back is told."""

from __future__ import annotations

import signal
import time

import pytest

from tests import legacy
from tests.legacy import BACKFILL, KEYS, Run, all_expected, documents, fill, make_items
from vecmigrate.backfill.throttle import Limits, Pause, Throttle, read_pause
from vecmigrate.cli import run
from vecmigrate.commands import status, unlock, upgrade
from vecmigrate.commands.pausing import pause, resume
from vecmigrate.errors import LeaseLostError

STEP = BACKFILL["tool"]
ITEMS = make_items("tool", 3000, seed=70)
# So that it takes a while: six seconds of copying, and as long of verifying.
SLOWLY = ("--max-rate", "500")


@pytest.fixture
def project(tmp_path):
    return legacy.write_project(tmp_path / "project", lease_seconds=3)


def command(project, url, capsys, *words):
    code = run(["--config", str(project.file), "--redis", url, *words])
    return code, capsys.readouterr().out.strip()


def stands_still(client, seconds=1.2):
    before = legacy.dealt_with(client)
    legacy.pause(seconds)
    return legacy.dealt_with(client) == before


def test_paused_and_resumed_from_elsewhere(client, emptied_url, project, capsys):
    fill(client, "tool", ITEMS)
    with Run(project, emptied_url, "upgrade", *SLOWLY) as running:
        legacy.wait_until(lambda: legacy.dealt_with(client) > 100, "it works")
        code, out = command(project, emptied_url, capsys, "pause")
        assert code == 0
        assert out.startswith("paused by ")
        assert "`vecmigrate resume` goes on" in out
        legacy.pause(1.0)
        # Longer than the lease lives without being renewed.
        assert stands_still(client, 4.0)
        assert running.running
        assert client.exists(KEYS.lease)
        code, out = command(project, emptied_url, capsys, "status")
        (told,) = [line for line in out.splitlines() if line.startswith("held back")]
        assert "paused by" in told
        assert out.count("paused by") == 2
        assert command(project, emptied_url, capsys, "pause")[1].startswith("already paused by ")
        before = legacy.dealt_with(client)
        code, out = command(project, emptied_url, capsys, "resume")
        assert (code, out.startswith("resumed (was paused by ")) == (0, True)
        legacy.wait_until(lambda: legacy.dealt_with(client) > before, "it goes on", 3)
        assert command(project, emptied_url, capsys, "resume")[1] == "nothing was paused"
        assert "paused" not in command(project, emptied_url, capsys, "status")[1]
        assert running.wait() == 0
    assert documents(client, "tool") == all_expected("tool", ITEMS)
    assert not client.exists(KEYS.pause)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_paused_run_ends_by_a_signal(client, emptied_url, project, number):
    fill(client, "tool", ITEMS)
    with legacy.session(project, emptied_url) as session:
        pause(session)
        with Run(project, emptied_url, "upgrade") as running:
            legacy.wait_until(lambda: "paused" in running.output, "it waits")
            running.send(number)
            assert running.wait(10) != 0
        assert not client.exists(KEYS.lease)
        resume(session)
        upgrade(session)
    assert documents(client, "tool") == all_expected("tool", ITEMS)


def test_a_paused_run_ends_when_its_lease_is_taken(client, emptied_url, project):
    fill(client, "tool", ITEMS)
    with legacy.session(project, emptied_url) as session:
        pause(session)
        with Run(project, emptied_url, "upgrade") as running:
            legacy.wait_until(lambda: "paused" in running.output, "it waits")
            unlock(session, force=True)
            assert running.wait(20) == 4
        resume(session)


@pytest.mark.parametrize("during", ["verify", "remove"])
def test_verifying_and_removing_pause_too(client, emptied_url, project, during):
    fill(client, "tool", ITEMS)
    if during == "remove":
        legacy.upgrade(project, emptied_url)
    words = ("upgrade",) if during == "verify" else ("downgrade", "base")
    with (
        legacy.session(project, emptied_url) as session,
        Run(project, emptied_url, *words, "--max-rate", "900") as running,
    ):
        if during == "verify":
            legacy.wait_until(lambda: legacy.step_values(client, STEP).get("cursor") == "done", "it verifies")
        else:
            legacy.wait_until(lambda: len(documents(client, "tool")) < 2800, "it removes")
        pause(session)
        legacy.pause(1.0)
        assert running.running
        assert stands_still(client)
        resume(session)
        assert running.wait() == 0


@pytest.mark.parametrize("rate", [400, 1500])
def test_the_rate_is_kept(client, emptied_url, project, rate):
    items = make_items("tool", rate, seed=71)
    fill(client, "tool", items)
    with legacy.session(project, emptied_url) as session:
        began = time.monotonic()
        upgrade(session, max_rate=rate)
        taken = time.monotonic() - began
    # A second for copying, a second for verifying, less what the first batches have ahead.
    assert taken > 1.2


def test_status_says_what_holds_a_run_back(client, emptied_url, project):
    fill(client, "tool", ITEMS)
    with legacy.session(project, emptied_url) as session, Run(project, emptied_url, "upgrade", *SLOWLY):
        legacy.wait_until(lambda: legacy.step_values(client, STEP).get("held"), "it says so")
        held = status(session).partial[0].values["held"]
        assert held == "held to 500 items a second by --max-rate"


def test_once_it_is_done_nothing_holds_it_back(client, emptied_url, project):
    fill(client, "tool", ITEMS)
    legacy.upgrade(project, emptied_url, "--max-rate", "4000")
    assert not legacy.step_values(client, STEP).get("held")


# The throttle itself


def nothing() -> None:
    return


def test_latency_beside_the_networks_slows_down(client, monkeypatch):
    told = []
    throttle = Throttle(client, "pause", Limits(max_latency=5), nothing, told.append)
    latencies = iter([0.0, 0.050, 0.060, 0.070, 0.0, 0.0])
    monkeypatch.setattr(throttle, "_probe_latency", lambda: next(latencies))
    monkeypatch.setattr("vecmigrate.backfill.throttle.PROBE_SECONDS", 0.0)
    rests = []
    for _ in range(6):
        throttle.passed(1)
        rests.append(throttle._rest)
    assert rests[0] == 0
    assert 0 < rests[1] < rests[2] < rests[3]
    assert rests[3] > rests[4] > rests[5]
    assert told[0].startswith("slowed down by --max-latency: the server answers after 50.0 ms more than")
    throttle.close()
    assert told[-1] == ""


def test_the_probe_takes_off_what_the_network_takes(client):
    throttle = Throttle(client, "pause", Limits(max_latency=1000), nothing, lambda text: None)
    for _ in range(5):
        assert 0 <= throttle._probe_latency() < 1
    throttle.close()


def test_batches_are_no_larger_than_a_low_rate_allows(client):
    def largest(rate):
        return Throttle(client, "pause", Limits(max_rate=rate), nothing, lambda text: None).largest

    assert [largest(rate) for rate in (None, 0.5, 4, 100)] == [None, 1, 1, 25]


def test_a_lost_lease_ends_a_pause(client):
    client.hset("pause", mapping={"who": "somebody@somewhere", "since": "2026-11-25T10:00:00+00:00"})

    def lost():
        raise LeaseLostError

    told = []
    throttle = Throttle(client, "pause", Limits(), lost, told.append)
    with pytest.raises(LeaseLostError):
        throttle.passed(1)
    assert told == ["paused by somebody@somewhere since 2026-11-25T10:00:00+00:00"]
    assert read_pause(client, "pause") == Pause("somebody@somewhere", "2026-11-25T10:00:00+00:00")
