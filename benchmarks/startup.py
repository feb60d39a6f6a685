"""How long the command line takes to start, beside other command lines of its kind."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.measure import MILLISECONDS, Comparison, Contender, Sample, compare, take_turns
from benchmarks.project import CREATED, make_project
from benchmarks.server import Server
from vecmigrate.commands.database import open_session
from vecmigrate.commands.stamping import stamp

DIMS = 384
NAMESPACE = "startup"

# What the console scripts do, for an environment that has the packages but not the scripts.
ENTRY = {
    "vecmigrate": "from vecmigrate.cli import main; main()",
    "alembic": "from alembic.config import main; main(prog='alembic')",
    "rvl": "from redisvl.cli.main import main; main()",
}
ROOT = Path(__file__).parents[1]


def run(server: Server, *, quick: bool) -> list[Comparison]:
    """Wall time and processor time of whole processes."""
    rounds = 1 if quick else 12
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = make_project(folder / "vecmigrate", DIMS)
        with open_session(config, redis_url=server.url, namespace=NAMESPACE) as session:
            stamp(session, CREATED)
        alembic = _alembic_project(folder / "alembic")
        at = ("--redis", server.url, "--namespace", NAMESPACE)
        groups = {
            "--help": [
                _process("python -c pass", [sys.executable, "-c", "pass"], folder),
                _process("vecmigrate --help", [*_program("vecmigrate"), "--help"], config.root),
                _process("alembic --help", [*_program("alembic"), "--help"], alembic),
                _process("rvl --help", [*_program("rvl"), "--help"], folder),
            ],
            "current": [
                _process("vecmigrate current", [*_program("vecmigrate"), *at, "current"], config.root),
                _process("alembic current", [*_program("alembic"), "current"], alembic),
            ],
        }
        found = [
            comparison
            for kind, contenders in groups.items()
            for comparison in _both(kind, take_turns(contenders, rounds=rounds))
        ]
    server.delete(key.decode() for key in server.client.scan_iter("vecmigrate:*", count=1000))
    return found


def _both(kind: str, samples: Mapping[str, Sequence[Sample]]) -> list[Comparison]:
    """On the clock, and by processor time."""
    walls = {row: [Sample(sample.seconds) for sample in taken] for row, taken in samples.items()}
    used = {row: [Sample(sample.client or 0.0) for sample in taken] for row, taken in samples.items()}
    title, against = f"Command lines, {kind}", [f"alembic {kind}"]
    return [
        compare("startup", f"{title}, on the clock", walls, MILLISECONDS, against=against),
        compare("startup", f"{title}, processor time", used, MILLISECONDS, against=against),
    ]


def _program(name: str) -> list[str]:
    script = Path(sys.executable).parent / name
    return [str(script)] if script.exists() else [sys.executable, "-c", ENTRY[name]]


def _process(name: str, command: Sequence[str], folder: Path) -> Contender:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def work() -> Mapping[str, Sample]:
        began = time.perf_counter()
        with subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            _, status, used = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - began
            # Waited for above, to learn what it used.
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"{name} ended with {process.returncode}: {' '.join(command)}")
        return {name: Sample(seconds, client=used.ru_utime + used.ru_stime)}

    return Contender(work)


def _alembic_project(folder: Path) -> Path:
    """A project of alembic's own making over SQLite, with one revision that is applied."""
    alembic = _program("alembic")
    folder.mkdir()
    for words in (["init", "migrations"], ["revision", "-m", "first"], ["upgrade", "head"]):
        subprocess.run([*alembic, *words], cwd=folder, check=True, capture_output=True)
        ini = folder / "alembic.ini"
        ini.write_text(ini.read_text().replace("driver://user:pass@localhost/dbname", "sqlite:///first.db"))
    return folder
