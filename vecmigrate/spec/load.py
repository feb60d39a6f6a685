"""Specs from YAML files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml

from vecmigrate.errors import Problem
from vecmigrate.spec.build import spec_from_mapping
from vecmigrate.spec.model import IndexSpec


@dataclass(frozen=True, slots=True)
class Loaded:
    """The specs of some files, in the order of the files, and what was found in them."""

    specs: tuple[IndexSpec, ...]
    problems: tuple[Problem, ...]


def spec_files(paths: Iterable[Path]) -> tuple[Path, ...]:
    """The files that `paths` name: a file is itself, a folder its *.yaml and *.yml, sorted."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found.extend(sorted(item for item in path.iterdir() if item.suffix in {".yaml", ".yml"}))
        else:
            found.append(path)
    return tuple(dict.fromkeys(found))


def load_specs(paths: Iterable[Path]) -> Loaded:
    """The specs of all files of `paths`."""
    specs = tuple(spec_from_mapping(yaml.safe_load(path.read_text("utf-8"))) for path in spec_files(paths))
    return Loaded(specs, ())
