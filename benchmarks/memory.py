"""The peak memory of a whole `vecmigrate upgrade`, of few items and of many."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.keys import ALIAS, EMBEDDINGS_KEY, METADATA_KEY
from benchmarks.legacy import make_items, spec_mapping
from benchmarks.measure import Aim, Comparison, compare_values
from benchmarks.project import CREATED, make_project
from benchmarks.server import Server
from vecmigrate.commands.database import open_session
from vecmigrate.commands.stamping import stamp
from vecmigrate.operations.state import physical_name
from vecmigrate.search.ddl import ft_create
from vecmigrate.spec.build import spec_from_mapping

DIMS = 384
DISTINCT = 400
INDEX = physical_name(ALIAS, CREATED)
MEGABYTE = 1e6
AT_MOST = 1.1
ROOT = Path(__file__).parents[1]


def run(server: Server, *, quick: bool) -> list[Comparison]:
    """Equal where memory does not grow with the data; the hand-written way for comparison."""
    counts, rounds = ((200, 2_000), 1) if quick else ((20_000, 200_000), 2)
    few, many = (f"vecmigrate upgrade, {count:,} items" for count in counts)
    by_hand = f"(a) by hand: HGETALL, {counts[0]:,} items"
    values: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        config = make_project(Path(folder) / "project", DIMS)
        for name, count in ((few, counts[0]), (many, counts[1])):
            items = make_items(count, DIMS, distinct=DISTINCT)
            items.store(server)
            for turn in range(rounds):
                server.delete(items.keys)
                namespace = f"memory-{count}-{turn}"
                with open_session(config, redis_url=server.url, namespace=namespace) as session:
                    server.client.execute_command(*ft_create(spec_from_mapping(spec_mapping(DIMS)), INDEX))
                    stamp(session, CREATED)
                words = ("--redis", server.url, "--namespace", namespace, "--quiet", "upgrade")
                values.setdefault(name, []).append(_peak(Path(folder), config.root, "vecmigrate", *words))
                server.client.execute_command("FT.DROPINDEX", INDEX)
                server.delete(key.decode() for key in server.client.scan_iter("vecmigrate:*", count=1000))
                if name == few:
                    server.delete(items.keys)
                    peak = _peak(Path(folder), config.root, "by_hand", server.url)
                    values.setdefault(by_hand, []).append(peak)
            server.delete(items.keys)
    server.delete([EMBEDDINGS_KEY, METADATA_KEY])
    size = sum(map(len, items.texts)) / len(items.texts) / 1000
    return [
        compare_values(
            "memory",
            f"Peak memory of the runner's process, {DIMS} dimensions",
            {name: values[name] for name in (few, many, by_hand)},
            "MB",
            against=[few],
            aims=[Aim(many, few, "at most", AT_MOST)],
            note=f"texts of {size:.1f} kB; copying and verifying, one process a measurement",
        )
    ]


def _peak(folder: Path, project: Path, *words: str) -> float:
    """Megabytes that a process which does `words` held at its peak."""
    file = folder / "peak"
    command: Sequence[str] = (sys.executable, "-m", "benchmarks.process", str(file), *words)
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "VECMIGRATE_CONFIG": str(project / "vecmigrate.toml"),
    }
    subprocess.run(command, cwd=project, env=environment, check=True, stdout=subprocess.DEVNULL)
    return int(file.read_text()) / MEGABYTE
