"""The command in a process of its own: on a terminal, into a pipe, and as a server in the foreground."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

import pytest
import redis

import vecmigrate as package

COMMAND = [sys.executable, "-m", "vecmigrate"]
COLOUR = re.compile(r"\x1b\[[0-9;]*[1-9][0-9;]*m")


@pytest.fixture
def environment(project) -> dict[str, str]:
    # On the path, so that the command is found without being installed.
    return {**os.environ, "PYTHONPATH": str(Path(package.__file__).parent.parent), "TERM": "xterm-256color"}


@pytest.fixture
def filled(project, client):
    client.hset("cats", mapping={f"cat {number}": "[1, 0]" for number in range(2000)})
    project.script(
        "a1", "create(op)\nop.backfill_legacy_hash('cat', embeddings_key='cats', metadata_key='m')"
    )
    return project


def on_a_terminal(environment: dict[str, str], *words: str) -> tuple[int, str]:
    """Exit code, and what a terminal got to see."""
    ours, theirs = pty.openpty()
    seen = b""
    with subprocess.Popen(
        [*COMMAND, *words], env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        while select.select([ours], [], [], 30)[0]:
            try:
                seen += os.read(ours, 65536)
            except OSError:  # Linux: the other side is closed
                break
        code = process.wait(timeout=30)
    os.close(ours)
    return code, seen.decode()


def test_a_terminal_gets_a_bar_and_colour_only_where_it_is_wanted(filled, environment):
    environment.pop("NO_COLOR", None)
    code, seen = on_a_terminal(environment, "upgrade")
    assert code == 0, seen
    assert "backfill cat from cats: 2000 written" in seen
    assert COLOUR.search(seen)
    assert on_a_terminal(environment, "downgrade", "base")[0] == 0
    code, seen = on_a_terminal({**environment, "NO_COLOR": "1"}, "upgrade")
    assert code == 0, seen
    assert not COLOUR.search(seen)
    assert "current: a1" in seen


def test_a_pipe_gets_plain_lines(filled, environment):
    done = subprocess.run([*COMMAND, "upgrade"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert "backfill cat from cats: 2,000 items\n" in done.stderr
    assert done.stdout.startswith("applied a1 in ")


def test_results_can_be_read_while_errors_are_thrown_away(filled, environment):
    for words in (["status"], ["current"], ["upgrade"]):
        done = subprocess.run(
            [*COMMAND, *words, "--format", "json"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=True,
        )
        assert json.loads(done.stdout)


def _line(stream: IO[str] | None) -> str:
    """The first line, or what came within ten seconds."""
    assert stream is not None
    found: list[str] = []
    reader = threading.Thread(target=lambda: found.append(stream.readline()), daemon=True)
    reader.start()
    reader.join(timeout=20)
    return found[0] if found else ""


@pytest.mark.embedded
def test_dev_on_a_socket_keeps_its_data(project, environment, tmp_path):
    project.script("a1", "create(op)")
    words = ["dev", "--data", "data", "--unix-socket", "s", "--format", "json"]
    for round_ in range(2):
        with subprocess.Popen(
            [*COMMAND, *words], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            try:
                announced = json.loads(_line(process.stdout))
                with contextlib.closing(redis.Redis.from_url(announced["url"])) as client:
                    assert client.info("server")["process_id"] == announced["pid"]
                ran = project("--redis", announced["url"], "upgrade")
                assert ran.out.startswith("applied" if round_ == 0 else "nothing to upgrade")
            finally:
                process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=20) == 0
        assert not (tmp_path / "s").exists()


def test_dev_takes_a_port_or_a_socket(project):
    ran = project("dev", "--port", "7000", "--unix-socket", "s")
    assert ran.code == 2
    assert "exclude each other" in ran.err
