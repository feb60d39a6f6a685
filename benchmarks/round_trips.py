"""What a backfill costs over a network: `python -m benchmarks.round_trips [--before FOLDER]`.

Prints a table: for round trips of 0, 1, 5 and 20 ms the seconds that `vecmigrate upgrade` takes for legacy
hashes of 6,000 items, copying and verifying, and `vecmigrate downgrade base` for taking them back; each the
median of some rounds, the start of Python included. FOLDER is another checkout of this project, to compare
with; `git worktree add FOLDER COMMIT` makes one.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import redis

from benchmarks.network import DelayingProxy
from vecmigrate.embedded import EmbeddedRedis

ITEMS = 6_000
DIMS = 384
ROUND_TRIPS_MS = (0, 1, 5, 20)
HERE = Path(__file__).parents[1]
SCRIPT = '''"""Move them.

Revision ID: 0001
Revises:
"""

revision = "0001"
down_revision = None


def upgrade(op):
    op.create_index(
        "tool", index={"name": "idx:tool", "prefix": "tool:"}, key="tool_id",
        fields={"meta": {"type": "json"}, "embedding": {"type": "vector", "dims": %d, "algorithm": "flat"}},
        publish=False,
    )
    op.backfill_legacy_hash("tool", embeddings_key="tool_embeddings", metadata_key="tool_metadata")
    op.publish_index("tool")


def downgrade(op):
    op.revert(upgrade)
'''


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--before", type=Path, metavar="FOLDER")
    parser.add_argument("--items", type=int, default=ITEMS)
    parser.add_argument("--dims", type=int, default=DIMS)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    releases = {**({"before": options.before} if options.before else {}), "now": HERE}
    print(f"{options.items:,} items of {options.dims} numbers; seconds, median of {options.rounds}\n")
    print("| round trip | " + " | ".join(f"{name}: up | {name}: down" for name in releases) + " |")
    print("| ---: |" + " ---: | ---: |" * len(releases))
    with tempfile.TemporaryDirectory() as folder, EmbeddedRedis() as server:
        project = Path(folder)
        (project / "migrations").mkdir()
        (project / "migrations" / "0001_move.py").write_text(SCRIPT % options.dims)
        (project / "vecmigrate.toml").write_text("")
        _fill(server.url, options.items, options.dims)
        for milliseconds in ROUND_TRIPS_MS:
            with DelayingProxy(server.port, milliseconds / 1000) as proxy:
                row = [f"{milliseconds} ms"]
                for release in releases.values():
                    taken = [_there_and_back(project, release, proxy.url) for _ in range(options.rounds)]
                    row += [f"{statistics.median(times):.1f}" for times in zip(*taken, strict=True)]
            print("| " + " | ".join(row) + " |", flush=True)


def _fill(url: str, items: int, dims: int) -> None:
    vectors = np.random.default_rng(1).standard_normal((items, dims)).astype(np.float32)
    client = redis.Redis.from_url(url)
    with client.pipeline(transaction=False) as pipe:
        for number in range(items):
            name = f"tool-{number:05d}"
            pipe.hset("tool_embeddings", name, json.dumps(vectors[number].tolist()))
            pipe.hset("tool_metadata", name, json.dumps({"name": name, "n": number}))
            if number % 500 == 499:
                pipe.execute()
        pipe.execute()
    client.close()


def _there_and_back(project: Path, release: Path, url: str) -> tuple[float, float]:
    there = _run(project, release, url, "upgrade")
    return there, _run(project, release, url, "downgrade", "base")


def _run(project: Path, release: Path, url: str, *words: str) -> float:
    own = {
        name: value for name, value in os.environ.items() if not name.startswith(("VECMIGRATE_", "REDIS_"))
    }
    began = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "vecmigrate", "-q", "--redis", url, *words],
        cwd=project,
        env={**own, "PYTHONPATH": str(release)},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return time.monotonic() - began


if __name__ == "__main__":
    main()
