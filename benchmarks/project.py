"""A project with two migrations, made on the fly: one creates the index, the other moves the items."""

from __future__ import annotations

from pathlib import Path

from benchmarks.keys import EMBEDDINGS_KEY, METADATA_KEY
from benchmarks.legacy import SPEC_NAME, spec_mapping
from benchmarks.measure import Sample, Stopwatch
from vecmigrate.config import Config, load_config

CREATED, MOVED = "0001", "0002"

_SCRIPT = '''"""{message}."""

revision = {revision!r}
down_revision = {down!r}


def upgrade(op):
    {body}


def downgrade(op):
    op.revert(upgrade)
'''


def make_project(folder: Path, dims: int) -> Config:
    """Write the project into `folder`; its configuration."""
    spec = spec_mapping(dims)
    create = (
        f"op.create_index({SPEC_NAME!r}, index={spec['index']}, key={spec['key']!r}, fields={spec['fields']})"
    )
    keys = f"embeddings_key={EMBEDDINGS_KEY!r}, metadata_key={METADATA_KEY!r}"
    move = f"op.backfill_legacy_hash({SPEC_NAME!r}, {keys})"
    scripts = folder / "migrations"
    scripts.mkdir(parents=True)
    (folder / "specs").mkdir()
    _write(scripts, "Create the index", CREATED, None, create)
    _write(scripts, "Move the items", MOVED, CREATED, move)
    file = folder / "vecmigrate.toml"
    file.write_text('specs = "specs"\nmigrations = "migrations"\n')
    return load_config(file)


def _write(folder: Path, message: str, revision: str, down: str | None, body: str) -> None:
    text = _SCRIPT.format(message=message, revision=revision, down=down, body=body)
    (folder / f"{revision}_{message.lower().replace(' ', '_')}.py").write_text(text)


class Laps:
    """Listens to an upgrade, and measures each piece of work; `samples` go by the first word of its label."""

    def __init__(self, stopwatch: Stopwatch, count: int) -> None:
        self.samples: dict[str, Sample] = {}
        self._stopwatch = stopwatch
        self._count = count
        self._label = ""
        self._before = stopwatch.before()

    def start(self, label: str, total: int | None, unit: str = "items") -> None:
        self._label = label.split(maxsplit=1)[0]
        self._before = self._stopwatch.before()

    def advance(self, done: int, **counts: int) -> None:
        pass

    def message(self, text: str) -> None:
        pass

    def finish(self, summary: str) -> None:
        self.samples[self._label] = self._before.until(self._stopwatch.after(), self._count)
