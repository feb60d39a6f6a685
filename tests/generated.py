"""Packages of generated helpers, made and imported for a test."""

from __future__ import annotations

import importlib
import sys
import uuid
from pathlib import Path
from types import ModuleType
from typing import Any

from vecmigrate.codegen.generate import generate_package, write_package
from vecmigrate.spec.build import spec_from_mapping
from vecmigrate.spec.load import load_specs
from vecmigrate.spec.model import IndexSpec

ROOT = Path(__file__).resolve().parents[1]
COMMITTED = ROOT / "examples" / "classifiers" / "redis_vector_index"


def committed_specs() -> tuple[IndexSpec, ...]:
    """The four specs of this repository."""
    return tuple(load_specs([ROOT / "specs"]).specs)


def import_package(directory: Path) -> ModuleType:
    """The package in `directory`, which must not be loaded under that name already."""
    sys.path.insert(0, str(directory.parent))
    try:
        importlib.invalidate_caches()
        return importlib.import_module(directory.name)
    finally:
        sys.path.remove(str(directory.parent))


def make_package(folder: Path, *specs: IndexSpec) -> ModuleType:
    """Generate, write and import a package for `specs`, under a name of its own."""
    directory = folder / f"generated_{uuid.uuid4().hex}"
    write_package(directory, generate_package(specs, package=directory.name))
    return import_package(directory)


def a_spec(name: str = "item", *, storage: str = "hash", helpers: Any = None, **fields: Any) -> IndexSpec:
    """A spec with these fields; without a vector among them, with a small one called `embedding`."""
    if not any(field["type"] == "vector" for field in fields.values()):
        fields["embedding"] = {"type": "vector", "dims": 3}
    mapping: dict[str, Any] = {
        "version": 1,
        "name": name,
        "index": {"name": f"idx:{name}", "prefix": f"{name}:", "storage": storage},
        "key": f"{name}_id",
        "fields": fields,
    }
    if helpers is not None:
        mapping["helpers"] = helpers
    return spec_from_mapping(mapping)
