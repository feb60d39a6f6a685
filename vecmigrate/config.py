"""The configuration: `[tool.vecmigrate]` in pyproject.toml, or vecmigrate.toml.

    [tool.vecmigrate]                  # in vecmigrate.toml the same keys stand at the top level
    specs = "specs"                    # folder of the specs
    migrations = "migrations"          # folder of the migration scripts
    output = "app/redis_vector_index"  # package that `generate` writes
    redis = "redis://localhost:6379/0"
    namespace = "default"              # separates the ledgers of several projects in one Redis
    lease_seconds = 30                 # how long a runner may be silent before another takes over

    [tool.vecmigrate.variables]        # what `op.variable(…)` falls back to
    tool_embeddings_key = "tool_embeddings"

Paths are relative to the file that names them.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from vecmigrate.errors import ConfigError
from vecmigrate.files import read_file

CONFIG_VARIABLE = "VECMIGRATE_CONFIG"
CONFIG_FILE = "vecmigrate.toml"
PYPROJECT = "pyproject.toml"

DEFAULT_NAMESPACE = "default"
DEFAULT_LEASE_SECONDS = 30

# Braces would end the hash tag that keeps the ledger's keys in one cluster slot; a colon separates its parts.
_NAMESPACE = re.compile(r"[A-Za-z0-9_.\-]{1,64}")
_SCALARS = (str, int, float)

T = TypeVar("T", str, int)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What a project has decided. Every path is absolute; `file` is None where there is no file.

    `variables` are the migration variables of the file alone: `-x` and the environment come before them.
    `lease_seconds` is the time after which a silent runner counts as gone.
    """

    root: Path
    specs: Path
    migrations: Path
    output: Path | None = None
    redis: str | None = field(default=None, repr=False)  # may hold a password
    namespace: str = DEFAULT_NAMESPACE
    variables: Mapping[str, str] = field(default_factory=dict)
    lease_seconds: int = DEFAULT_LEASE_SECONDS
    file: Path | None = None


def load_config(path: Path | None = None, *, environ: Mapping[str, str] | None = None) -> Config:
    """Read the configuration.

    Args:
        path: The file to read; None looks at `VECMIGRATE_CONFIG`, then for vecmigrate.toml or a
            pyproject.toml with `[tool.vecmigrate]` in the working directory and the folders above it. Where
            there is none, the defaults hold for the working directory.
        environ: Stands in for `os.environ`.

    Raises:
        ConfigError: The file is missing, not TOML, or says something unknown or of a wrong type.
    """
    given = path or _from_environment(os.environ if environ is None else environ)
    if given is not None:
        return _read(given.absolute(), required=True) or default_config(given.absolute().parent)
    here = Path.cwd()
    for folder in (here, *here.parents):
        for name in (CONFIG_FILE, PYPROJECT):
            if (folder / name).is_file():
                found = _read(folder / name, required=name == CONFIG_FILE)
                if found is not None:
                    return found
    return default_config(here)


def default_config(root: Path) -> Config:
    """The configuration of a project that has none, in the folder `root`."""
    return Config(root=root, specs=root / "specs", migrations=root / "migrations")


def check_namespace(namespace: str) -> str:
    """Return `namespace`; raises ConfigError where it cannot be part of the ledger's keys."""
    if not _NAMESPACE.fullmatch(namespace):
        raise ConfigError(
            f"namespace {namespace!r} is not allowed (expected up to 64 letters, digits, '_', '.' or '-')"
        )
    return namespace


def _from_environment(environ: Mapping[str, str]) -> Path | None:
    value = environ.get(CONFIG_VARIABLE)
    return Path(value) if value else None


def _read(path: Path, *, required: bool) -> Config | None:
    """The configuration in one file; None where a pyproject.toml has no table of ours and need not."""
    try:
        text = read_file(path).decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise ConfigError(f"cannot read the configuration {path} ({reason})") from error
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        place = f"{path}:{found[1]}:{found[2]}" if found else f"{path}:{text.count(chr(10)) + 1}"
        message = re.sub(r"\s*\(at [^)]*\)$", "", str(error))
        raise ConfigError(f"{place}: not TOML: {message}") from error
    nested = path.name == PYPROJECT or set(document) == {"tool"}
    table: object = document
    if nested:
        tools = document.get("tool", {})
        if not isinstance(tools, dict) or "vecmigrate" not in tools:
            if not required:
                return None
            raise ConfigError(f"{path} has no table [tool.vecmigrate]", hint="run `vecmigrate init`")
        table = tools["vecmigrate"]
    return _Table(path, text, table, nested=nested).config()


class _Table:
    """One table of a TOML file, read key by key, with the line of a key for messages."""

    def __init__(self, path: Path, text: str, table: object, *, nested: bool) -> None:
        self._path = path
        self._lines = text.splitlines()
        self._start = 0
        if nested:
            header = re.compile(r"\s*\[\s*tool\s*\.\s*vecmigrate\b")
            self._start = next((i for i, line in enumerate(self._lines) if header.match(line)), 0)
        if not isinstance(table, dict):
            raise self._error("vecmigrate", "tool.vecmigrate is not a table")
        self._values: dict[str, object] = table

    def config(self) -> Config:
        known = ("specs", "migrations", "output", "redis", "namespace", "lease_seconds", "variables")
        for key in self._values:
            if key not in known:
                close = difflib.get_close_matches(key, known, n=1)
                hint = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(known)}"
                raise self._error(key, f"unknown key {key!r}", hint)
        root = self._path.parent
        namespace = self._get("namespace", str, "a string") or DEFAULT_NAMESPACE
        try:
            check_namespace(namespace)
        except ConfigError as error:
            raise self._error("namespace", error.message) from None
        lease = self._get("lease_seconds", int, "seconds as an integer")
        if lease is not None and not 1 <= lease <= 3600:
            raise self._error("lease_seconds", f"lease_seconds is {lease} (expected 1 to 3600)")
        output = self._get("output", str, "a path")
        return Config(
            root=root,
            specs=root / (self._get("specs", str, "a path") or "specs"),
            migrations=root / (self._get("migrations", str, "a path") or "migrations"),
            output=root / output if output else None,
            redis=self._get("redis", str, "a URL"),
            namespace=namespace,
            variables=self._variables(),
            lease_seconds=DEFAULT_LEASE_SECONDS if lease is None else lease,
            file=self._path,
        )

    def _get(self, key: str, kind: type[T], expected: str) -> T | None:
        value = self._values.get(key)
        if value is None:
            return None
        if not isinstance(value, kind) or isinstance(value, bool) or value == "":
            shown = "a value" if key == "redis" else repr(value)
            raise self._error(key, f"{key} is {shown} (expected {expected})")
        return value

    def _variables(self) -> dict[str, str]:
        table = self._values.get("variables", {})
        if not isinstance(table, dict):
            raise self._error("variables", "variables is not a table (expected name = value)")
        for name, value in table.items():
            if not isinstance(value, _SCALARS):
                raise self._error(name, f"variable {name!r} is not a string, a number or a boolean")
        return {name: _text(value) for name, value in table.items()}

    def _error(self, key: str, message: str, hint: str | None = None) -> ConfigError:
        pattern = re.compile(rf"\s*(\[.*\b)?[\"']?{re.escape(key)}[\"']?\s*[=.\]]")
        places = range(self._start, len(self._lines))
        line = next((i for i in places if pattern.match(self._lines[i])), self._start)
        return ConfigError(f"{self._path}:{line + 1}: {message}", hint=hint)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
