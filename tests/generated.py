"""Packages of generated helpers, made and imported for a test, and what it takes to watch them at work."""

from __future__ import annotations

import importlib
import inspect
import sys
import uuid
from pathlib import Path
from types import ModuleType
from typing import Any

import redis

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


class Helpers:
    """The helpers of either flavour, called alike: `await helpers.name(…)`."""

    def __init__(self, module: ModuleType, client: Any) -> None:
        self.module = module
        self.client = client

    def __getattr__(self, name: str) -> Any:
        function = getattr(self.module, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            result = function(self.client, *args, **kwargs)
            return await result if inspect.isawaitable(result) else result

        return call

    async def listed(self, name: str, **arguments: Any) -> list[Any]:
        """What an iterator gives."""
        found = getattr(self.module, name)(self.client, **arguments)
        return [key async for key in found] if hasattr(found, "__aiter__") else list(found)


class Spy:
    """Which commands a server was sent, from its own slow log."""

    def __init__(self, server: redis.Redis) -> None:
        self.server = server

    def __enter__(self) -> Spy:
        self.server.config_set("slowlog-log-slower-than", 0)
        self.server.config_set("slowlog-max-len", 1000)
        self.server.slowlog_reset()
        return self

    def __exit__(self, *_: object) -> None:
        entries = self.server.execute_command("SLOWLOG", "GET", 1000)
        self.server.config_set("slowlog-log-slower-than", 10_000)
        ours = {b"SLOWLOG", b"CONFIG", b"HELLO", b"CLIENT", b"COMMAND", b"AUTH", b"SELECT"}
        words = [_entry(entry) for entry in entries]
        self.commands = [found for found in reversed(words) if found[0].upper() not in ours]


def _entry(entry: Any) -> list[bytes]:
    """The words of one entry of the slow log, which redis-py may have parsed."""
    if isinstance(entry, dict):
        command = entry["command"]
        return command.split(b" ") if isinstance(command, bytes) else list(command)
    return list(entry[3])
