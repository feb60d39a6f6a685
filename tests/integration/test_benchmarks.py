"""The benchmarks run from beginning to end and write what they found; numbers are not judged here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("redisvl", reason="the extra `bench` is not installed")
pytest.importorskip("alembic", reason="the extra `bench` is not installed")

pytestmark = pytest.mark.embedded

ROOT = Path(__file__).resolve().parents[2]
TABLES = {"backfill": 3, "atomic": 1, "memory": 1, "knn": 2, "store": 3, "rebuild": 3, "startup": 4}


def bench(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_quick_run_measures_everything(tmp_path: Path) -> None:
    output = tmp_path / "results.json"
    done = bench("--quick", "--output", str(output))
    assert done.returncode == 0, done.stderr
    document = json.loads(output.read_text())
    assert [file.name for file in tmp_path.iterdir()] == ["results.json"]
    assert document["circumstances"]["quick"] is True
    assert document["circumstances"]["versions"]["redis"] != "not installed"
    counted = dict.fromkeys(TABLES, 0)
    for comparison in document["comparisons"]:
        counted[comparison["benchmark"]] += 1
        names = {row["name"] for row in comparison["rows"]}
        # A long title is wrapped.
        assert comparison["title"] in " ".join(done.stdout.split())
        for row in comparison["rows"]:
            assert row["samples"]
            assert min(row["samples"]) > 0
            assert min(row["samples"]) <= row["median"] <= max(row["samples"])
            assert set(row["ratios"]) <= names
        for verdict in comparison["verdicts"]:
            assert {verdict["row"], verdict["against"]} <= names
            better = verdict["found"] >= verdict["factor"]
            assert verdict["reached"] is (better if verdict["relation"] == "at least" else not better)
    assert counted == TABLES


def test_one_benchmark_can_be_chosen(tmp_path: Path) -> None:
    output, markdown = tmp_path / "results.json", tmp_path / "tables.md"
    done = bench("--quick", "--only", "atomic", "--output", str(output), "--markdown", str(markdown))
    assert done.returncode == 0, done.stderr
    (comparison,) = json.loads(output.read_text())["comparisons"]
    assert comparison["benchmark"] == "atomic"
    lines = markdown.read_text().splitlines()
    assert f"### {comparison['title']}" in lines
    assert [line for line in lines if line.startswith(f"| {comparison['rows'][0]['name']} | ")]


def test_an_unknown_name_is_refused() -> None:
    done = bench("--only", "atomics")
    assert done.returncode == 2
    assert "atomics" in done.stderr
