"""The tour runs from beginning to end, and finds everything as it should be."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.embedded
@pytest.mark.skipif(shutil.which("git") is None, reason="the tour keeps its project in a git repository")
def test_the_tour():
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("VECMIGRATE_", "REDIS_URL", "GIT_"))
    }
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "tour.py")],
        cwd=ROOT,
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    story, summary = done.stdout.split("Summary")
    assert "✗" not in summary
    assert summary.count("✓") >= 20
    for what in ("wrong answers", "errors", "lost writes"):
        assert re.search(rf"  {what} +0$", story, re.MULTILINE), what
    assert 'op.rebuild_index("article", embedding={"m": 32})' in story
