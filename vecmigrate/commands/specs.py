"""Commands about specs: none of them needs a server."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from vecmigrate.config import Config
from vecmigrate.errors import ConfigError, Problem, StaleCodeError
from vecmigrate.revisions.scripts import display_path
from vecmigrate.search import ddl
from vecmigrate.search.versions import ServerVersion, require
from vecmigrate.spec.load import check_specs, load_specs, spec_files
from vecmigrate.spec.model import IndexSpec

_VERSION = re.compile(r"(\d+)(?:\.(\d+))?(?:\.(\d+))?")


@dataclass(frozen=True, slots=True)
class ValidateResult:
    """What was found in the specs; `problems` are in file order, errors and warnings."""

    files: tuple[Path, ...]
    specs: tuple[str, ...]
    problems: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        """Whether there is no error; warnings do not count."""
        return all(problem.severity != "error" for problem in self.problems)

    def to_dict(self) -> dict[str, Any]:
        """As JSON shows it."""
        return {
            "ok": self.ok,
            "files": [str(path) for path in self.files],
            "specs": list(self.specs),
            "problems": [asdict(problem) for problem in self.problems],
        }


@dataclass(frozen=True, slots=True)
class IndexDdl:
    """The FT.CREATE of one spec, as words and as typed into redis-cli."""

    name: str
    index: str
    words: tuple[str, ...]

    @property
    def command(self) -> str:
        """One line for redis-cli."""
        return ddl.format_command(self.words)

    def to_dict(self) -> dict[str, Any]:
        """As JSON shows it."""
        return {"name": self.name, "index": self.index, "words": list(self.words), "command": self.command}


@dataclass(frozen=True, slots=True)
class DdlResult:
    """The FT.CREATE commands of some specs, in file order."""

    items: tuple[IndexDdl, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON shows it."""
        return {"indexes": [item.to_dict() for item in self.items]}


@dataclass(frozen=True, slots=True)
class GenerateResult:
    """The generated package; `written` are the files that were changed on disk, none of them with `check`."""

    directory: Path
    files: tuple[str, ...]
    written: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON shows it."""
        return {"directory": str(self.directory), "files": list(self.files), "written": list(self.written)}


def validate(config: Config, paths: Sequence[Path] = ()) -> ValidateResult:
    """Check specs without stopping at the first problem.

    Args:
        config: Says where the specs are.
        paths: Files and folders to check instead.

    Raises:
        ConfigError: A path does not exist.
    """
    given = tuple(paths) or (_folder(config),)
    _check_exist(given)
    loaded = check_specs(given)
    # Specs written before there was such a key go on working, and a deploy must not end at them; here, where
    # somebody is about to look, they are mended.
    problems = (
        replace(problem, severity="error") if problem.code == "missing-primary" else problem
        for problem in loaded.problems
    )
    return ValidateResult(
        files=spec_files(given),
        specs=tuple(spec.name for spec in loaded.specs),
        problems=tuple(problems),
    )


def show_ddl(config: Config, name: str | None = None, *, server_version: str | None = None) -> DdlResult:
    """The FT.CREATE command of every spec, or of the one called `name` (of the spec or of its index).

    Args:
        config: Says where the specs are.
        name: Which spec.
        server_version: Check that this server can do it: as in "8.2", before Redis 8 as in "7.4/2.10.5".

    Raises:
        SpecError: The specs have problems.
        ConfigError: No spec has that name, or the version is not one.
        ServerTooOldError: That server lacks something.
    """
    specs = load_configured(config)
    if name is not None:
        known = {spec.name: spec for spec in specs} | {spec.index.name: spec for spec in specs}
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = (
                f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(s.name for s in specs)}"
            )
            raise ConfigError(f"no spec is called {name!r}", hint=hint)
        specs = (known[name],)
    if server_version is not None:
        server = _server_version(server_version)
        for spec in specs:
            require(spec, server)
    return DdlResult(tuple(IndexDdl(spec.name, spec.index.name, ddl.ft_create(spec)) for spec in specs))


def generate(config: Config, *, check: bool = False, output: Path | None = None) -> GenerateResult:
    """Write the package of typed helpers, or only check that it is up to date.

    Args:
        config: Says where the specs are and where the package goes.
        check: Write nothing.
        output: The package's folder, instead of the configured one.

    Raises:
        SpecError: The specs have problems.
        ConfigError: Nothing says where the package goes, or its name is no identifier.
        StaleCodeError: With `check`: the files on disk are not what the specs give; it carries the diff.
        CodegenError: A file in the way was not generated, or cannot be written.
    """
    directory = output or config.output
    if directory is None:
        raise ConfigError(
            "nothing says where the generated package goes (expected a folder)",
            hint='give --output DIR, or set output = "…" in the configuration',
        )
    directory = Path(directory)
    if not directory.name.isidentifier():
        raise ConfigError(
            f"{directory.name!r} cannot be the name of a package (expected a Python identifier)"
        )
    # Imported here: checking specs needs no templates.
    from vecmigrate.codegen.generate import check_package, generate_package, write_package

    files = generate_package(load_configured(config), package=directory.name)
    if check:
        diff = check_package(directory, files)
        if diff:
            raise StaleCodeError(
                f"the code in {directory} is not what the specs say",
                diff=diff,
                hint="run `vecmigrate generate`",
            )
        return GenerateResult(directory, tuple(files), ())
    return GenerateResult(directory, tuple(files), tuple(write_package(directory, files)))


def load_configured(config: Config) -> tuple[IndexSpec, ...]:
    """The specs of the configured folder; raises SpecError, and ConfigError where there is none."""
    folder = _folder(config)
    _check_exist((folder,))
    return load_specs((folder,)).specs


def _folder(config: Config) -> Path:
    """The configured folder, short where it can be: editors and GitHub want paths relative to the project."""
    return Path(display_path(config.specs))


def _check_exist(paths: Sequence[Path]) -> None:
    for path in paths:
        if not path.exists():
            raise ConfigError(
                f"no specs at {path} (expected a file or a folder)",
                hint="run `vecmigrate init`, or set `specs` in the configuration",
            )


def _server_version(text: str) -> ServerVersion:
    redis, _, search = text.partition("/")
    version = _version(text, redis)
    if search:
        return ServerVersion(version, _version(text, search))
    if version < (8, 0, 0):
        raise ConfigError(f"Redis {text} does not say which RediSearch it has (expected as in 7.4/2.10.5)")
    # Since Redis 8 the two come together, under one number.
    return ServerVersion(version, version)


def _version(given: str, text: str) -> tuple[int, int, int]:
    match = _VERSION.fullmatch(text)
    if match is None:
        raise ConfigError(f"{given!r} is no server version (expected as in 8.2 or 7.4/2.10.5)")
    return int(match[1]), int(match[2] or 0), int(match[3] or 0)
