"""A container engine: the one that is there, or a private one for the length of a run."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import docker
from docker.errors import DockerException

import vecmigrate

WATCHER = Path(vecmigrate.__file__).with_name("_embedded_watcher.py")
SECONDS_TO_START = 60.0
SECONDS_TO_STOP = 30.0
SECONDS_TO_INSTALL = 300.0


class NoEngineError(Exception):
    """There is no container engine, and none can be installed or started here."""


@contextlib.contextmanager
def engine() -> Iterator[dict[str, str]]:
    """Yield the environment variables with which docker-py and testcontainers find an engine that answers.

    Raises:
        NoEngineError: There is none to be had; the message says what was tried.
    """
    if (variables := _running_engine()) is not None:
        yield variables
        return
    _require_dockerd()
    if (variables := _running_engine()) is not None:  # installing it may have started it
        yield variables
        return
    with _private_engine() as variables:
        yield variables


def _running_engine() -> dict[str, str] | None:
    for host in (os.environ.get("DOCKER_HOST"), "unix:///var/run/docker.sock", _host_of_context()):
        if host and _answers(host):
            print(f"engine: the one at {host}")
            return {"DOCKER_HOST": host}
    return None


def _host_of_context() -> str | None:
    """Where the docker command's present context points to: Docker Desktop's socket is not in /var/run."""
    if not shutil.which("docker"):
        return None
    found = subprocess.run(
        ["docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    return found.stdout.strip() or None


def _answers(host: str) -> bool:
    try:
        with contextlib.closing(docker.DockerClient(base_url=host, timeout=10)) as client:
            return bool(client.ping())
    except DockerException:
        return False


def _require_dockerd() -> None:
    if _dockerd():
        if os.geteuid() != 0:
            raise NoEngineError("no engine answers, and only root can start dockerd")
        return
    if os.geteuid() != 0 or not Path("/etc/debian_version").exists() or not shutil.which("apt-get"):
        raise NoEngineError("no engine answers, and only root on Debian can install one")
    print("engine: installing docker.io", flush=True)
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "docker.io"],
    ):
        done = subprocess.run(
            command,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=SECONDS_TO_INSTALL,
        )
        if done.returncode != 0:
            raise NoEngineError(f"no engine answers, and `{' '.join(command)}` failed: {_tail(done.stdout)}")
    if not _dockerd():
        raise NoEngineError("no engine answers, and docker.io brought no dockerd")


def _dockerd() -> str | None:
    return shutil.which("dockerd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


@contextlib.contextmanager
def _private_engine() -> Iterator[dict[str, str]]:
    """Run a dockerd of our own that touches no firewall rule: its user-space proxy publishes ports.

    They are on loopback only. The watcher of the embedded Redis ends it and removes its folder, also when
    we are killed.
    """
    folder = Path(tempfile.mkdtemp(prefix="vecmigrate-docker-"))
    host = f"unix://{folder}/docker.sock"
    log = folder / "dockerd.log"
    command = [
        str(_dockerd()),
        *("--host", host, "--pidfile", f"{folder}/docker.pid"),
        *("--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec"),
        *("--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false", "--ip=127.0.0.1"),
    ]
    print("engine: starting a private dockerd", flush=True)
    with log.open("wb") as output:
        watcher = subprocess.Popen(
            [sys.executable, "-I", "-S", str(WATCHER), str(os.getpid()), str(folder), "", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=output,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + SECONDS_TO_START
        while not _answers(host):
            ended = watcher.poll() is not None
            if ended or time.monotonic() > deadline:
                words = "" if ended else f": {_tail(log.read_text(errors='replace'))}"
                raise NoEngineError(f"dockerd {'ended' if ended else 'did not answer'}{words}")
            time.sleep(0.1)
        yield {
            "DOCKER_HOST": host,
            # Its image cannot be pulled everywhere, and what it would remove ends with this engine.
            "TESTCONTAINERS_RYUK_DISABLED": "true",
            # A machine with /.dockerenv is otherwise taken for a container beside ours.
            "TESTCONTAINERS_CONNECTION_MODE": "docker_host",
            "TESTCONTAINERS_HOST_OVERRIDE": "127.0.0.1",
        }
    finally:
        assert watcher.stdin is not None
        watcher.stdin.close()
        watcher.wait(SECONDS_TO_STOP)


def _tail(text: str) -> str:
    return " | ".join(text.strip().splitlines()[-3:])
