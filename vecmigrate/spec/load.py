"""Specs from YAML files, with every problem of every file found in one go."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vecmigrate.errors import Problem, SpecError
from vecmigrate.spec.build import build_spec, check_mapping
from vecmigrate.spec.cross import check_together, claims_of
from vecmigrate.spec.model import IndexSpec
from vecmigrate.spec.problems import Findings
from vecmigrate.spec.source import Source, read_source

_SUFFIXES = frozenset({".yaml", ".yml"})


@dataclass(frozen=True, slots=True)
class Loaded:
    """The specs of some files, in the order of the files, and what was found in them."""

    specs: tuple[IndexSpec, ...]
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that are no mere warnings."""
        return tuple(problem for problem in self.problems if problem.severity == "error")


def spec_files(paths: Iterable[Path]) -> tuple[Path, ...]:
    """The files that `paths` name: a file is itself, a folder its *.yaml and *.yml, sorted by name."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found.extend(
                sorted(item for item in path.iterdir() if item.suffix in _SUFFIXES and item.is_file())
            )
        else:
            found.append(path)
    return tuple(dict.fromkeys(found))


def load_specs(paths: Iterable[Path]) -> Loaded:
    """The specs of all files of `paths` (files and folders); `problems` are warnings.

    Raises:
        SpecError: There are errors; it carries all problems of all files, the warnings too.
    """
    loaded = check_specs(paths)
    if loaded.errors:
        raise SpecError(loaded.problems)
    return loaded


def check_specs(paths: Iterable[Path]) -> Loaded:
    """As `load_specs`, but errors are returned among the problems; `specs` are those without errors."""
    paths = tuple(paths)
    read = [_read(path) for path in spec_files(paths)]
    check_together([claims_of(sound, findings) for _, sound, findings in read])
    specs = [
        build_spec(source.value, locate=source.locate_key)
        for source, _, findings in read
        if not findings.failed
    ]
    problems = [problem for path in paths if path.is_dir() for problem in _check_folder(path)]
    for _, _, findings in read:
        problems += sorted(findings.problems, key=lambda problem: (problem.line, problem.column))
    return Loaded(tuple(specs), tuple(problems))


def _read(path: Path) -> tuple[Source, dict[str, Any], Findings]:
    source, findings = read_source(path, _label(path))
    if findings.failed and source.value is None:
        # Nothing to judge: why it cannot be read is noted already.
        return source, {"index": {}, "fields": {}, "helpers": {}}, findings
    return source, check_mapping(source.value, findings, source.raw), findings


def _check_folder(path: Path) -> list[Problem]:
    if spec_files([path]):
        return []
    findings = Findings(_label(path), lambda _: None, lambda _: None)
    findings.add("no-files", (), "the folder holds no specs", "files that end in .yaml or .yml")
    return findings.problems


def _label(path: Path) -> str:
    """The path as short as it can be said from here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_absolute() and path.is_relative_to(here) else str(path)
