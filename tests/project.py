"""A project in the folder of the test: migrations written one by one, and the command line run in it.

    project.script("a1", "op.execute('SET', 'k', '1')")
    ran = project("upgrade")

`cli_project` is a fixture; a conftest.py imports it under the name `project`.
"""

from __future__ import annotations

import json
import os
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis

from vecmigrate.cli import run

HEAD = '''"""{message}"""

revision = {revision!r}
down_revision = {down!r}
depends_on = {depends!r}

VECTOR = {{"type": "vector", "dims": 2, "metric": "cosine", "algorithm": "flat"}}


def create(op, name="cat", *, fields=None, **options):
    op.create_index(
        name,
        index={{"name": f"idx:{{name}}", "prefix": f"{{name}}:"}},
        key=f"{{name}}_id",
        fields=fields or {{"meta": {{"type": "json"}}, "embedding": VECTOR}},
        **options,
    )
'''


@dataclass(frozen=True)
class Ran:
    """What one command line came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The result."""
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        """The error, the last line on stderr."""
        return json.loads(self.err.splitlines()[-1])["error"]

    @property
    def last(self) -> str:
        """The last line on stderr: the error where there is one."""
        return self.err.splitlines()[-1] if self.err else ""


class Project:
    """The folder, and the command line in it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys
        (folder / "migrations").mkdir()
        self.configure("")

    def configure(self, text: str) -> None:
        """Write the configuration."""
        (self.folder / "vecmigrate.toml").write_text('migrations = "migrations"\n' + text)

    def script(
        self,
        revision: str,
        upgrade: str,
        *,
        down: str | tuple[str, ...] | None = None,
        depends: str | None = None,
        downgrade: str | None = "op.revert(upgrade)",
        top: str = "",
        message: str | None = None,
    ) -> Path:
        """Write a migration: the bodies of its two functions, and what stands above them."""
        parts = [
            HEAD.format(message=message or f"Do {revision}", revision=revision, down=down, depends=depends),
            textwrap.dedent(top),
            f"def upgrade(op):\n{_body(upgrade)}",
        ]
        if downgrade:
            parts.append(f"def downgrade(op):\n{_body(downgrade)}")
        path = self.folder / "migrations" / f"{revision}.py"
        path.write_text("\n\n".join(parts))
        return path

    def __call__(self, *words: str) -> Ran:
        """Run a command line in this process."""
        self._capsys.readouterr()
        code = run(words)
        out, err = self._capsys.readouterr()
        return Ran(code, out, err)


def _body(text: str) -> str:
    return textwrap.indent(textwrap.dedent(text).strip(), "    ") + "\n"


def content(client: redis.Redis) -> dict[str, Any]:
    """Everything a server holds, and how often something was written to it."""
    client.config_set("save", "")  # a save in between would start the count anew
    found: dict[str, Any] = {
        key: (client.dump(key), client.pexpiretime(key)) for key in sorted(client.scan_iter(count=1000))
    }
    found["indexes"] = sorted(client.execute_command("FT._LIST"))
    found["writes"] = client.info("persistence")["rdb_changes_since_last_save"]
    return found


def everything(client: redis.Redis, pattern: str = "*") -> str:
    """All keys and values under `pattern` as one text, to look for what must not be there."""
    parts: list[Any] = []
    for key in sorted(client.scan_iter(pattern, count=1000)):
        kind: Any = client.type(key)
        read: dict[bytes, Any] = {b"string": client.get, b"hash": client.hgetall, b"stream": client.xrange}
        parts.append((key, read[kind](key)))
    return repr(parts)


@pytest.fixture
def cli_project(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    emptied_url: str,
) -> Project:
    """An empty project whose REDIS_URL is the run's server, emptied."""
    for name in os.environ:
        if name.startswith("VECMIGRATE_") and not name.startswith("VECMIGRATE_TEST_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("REDIS_URL", emptied_url)
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path, capsys)
