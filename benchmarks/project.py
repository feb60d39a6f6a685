"""A project with two migrations, made on the fly: one creates the index, the other moves the items."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.keys import EMBEDDINGS_KEY, METADATA_KEY
from benchmarks.legacy import SPEC_NAME, spec_mapping
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


@dataclass(slots=True)
class Laps:
    """Listens to an upgrade: how many seconds each piece of work took, by the first word of its label."""

    seconds: dict[str, float] = field(default_factory=dict)
    _label: str = ""
    _began: float = 0.0

    def start(self, label: str, total: int | None, unit: str = "items") -> None:
        self._label, self._began = label.split(maxsplit=1)[0], time.perf_counter()

    def advance(self, done: int, **counts: int) -> None:
        pass

    def message(self, text: str) -> None:
        pass

    def finish(self, summary: str) -> None:
        self.seconds[self._label] = time.perf_counter() - self._began
