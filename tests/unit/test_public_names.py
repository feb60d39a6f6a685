"""The names that others may import. Adding one is a decision; losing one breaks somebody."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from types import ModuleType

import pytest

import vecmigrate.commands
import vecmigrate.errors
import vecmigrate.operations
import vecmigrate.testing.plugin
import vecmigrate.testing.servers
from vecmigrate.operations.state import State

COMMANDS = """
    abandon autogenerate branches check complete current downgrade drift edit ensure_version generate heads
    heal history import_redisvl init introspect list_templates merge open_session pause rejects resume review
    revision rollback show show_ddl stamp status unlock upgrade validate
"""
OPERATIONS = "Cursor Progress Recorder"
RECORDER = """
    alter_index backfill_legacy_hash complete create_index drop_index execute publish_index rebuild_index
    recorded rename_index revert revision rollback run set_aliases state variable
"""
ERRORS = """
    AutogenerateError CodegenError ConfigError EmbeddedError HistoryAlteredError IndexConflictError
    IrreversibleError LeaseLostError LedgerFormatError LockedError MemoryLimitError MissingIndexError
    OperationError PartialError ReadOnlyServerError RevisionError ScriptError ServerChangedError ServerError
    ServerTooOldError ServerWentBackError SpecError StaleCodeError TooManyDeletesError
    TooManyRejectsError VecmigrateError VerificationError
"""
EXIT_CODES = {
    1: """
        CodegenError EmbeddedError IndexConflictError IrreversibleError MemoryLimitError MissingIndexError
        OperationError ReadOnlyServerError RevisionError ScriptError ServerChangedError ServerError
        ServerTooOldError ServerWentBackError VecmigrateError VerificationError
    """,
    2: "ConfigError",
    3: "AutogenerateError SpecError StaleCodeError",
    4: "LeaseLostError LockedError",
    5: "HistoryAlteredError LedgerFormatError",
    6: "PartialError TooManyDeletesError TooManyRejectsError",
}
TESTING = {
    "plugin": "pytest_report_header vecmigrate_redis vecmigrate_redis_url",
    "servers": """
        DEFAULT_IMAGE NoContainerEngineError REDIS_PORT RedisContainer empty image_for_tests server_for_tests
        wait_for
    """,
}


def own_names(module: ModuleType) -> set[str]:
    """The public names that a module defines itself."""
    found = set()
    for name, value in vars(module).items():
        home = getattr(value, "__module__", None)
        defined = home == module.__name__ if home else name.isupper() and not inspect.ismodule(value)
        if defined and not name.startswith("_") and name != "TYPE_CHECKING":
            found.add(name)
    return found


def test_commands():
    assert set(vecmigrate.commands.__all__) == set(COMMANDS.split())
    for name in vecmigrate.commands.__all__:
        assert callable(getattr(vecmigrate.commands, name)), name
        assert name in dir(vecmigrate.commands)
    with pytest.raises(AttributeError, match="has no attribute 'upgrad'"):
        _ = vecmigrate.commands.upgrad


def test_commands_cost_nothing_until_they_are_used():
    code = (
        "import sys, vecmigrate.commands\n"
        "print(*sorted({'redis', 'numpy', 'yaml', 'jinja2', 'click', 'rich', 'jsonschema'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_operations():
    assert set(vecmigrate.operations.__all__) == set(OPERATIONS.split())
    recorder = vecmigrate.operations.Recorder("a1", State())
    assert {name for name in dir(recorder) if not name.startswith("_")} == set(RECORDER.split())


def test_errors_and_their_exit_codes():
    classes = {
        name: value
        for name, value in vars(vecmigrate.errors).items()
        if inspect.isclass(value) and issubclass(value, vecmigrate.errors.VecmigrateError)
    }
    assert set(classes) == set(ERRORS.split())
    by_code: dict[int, set[str]] = {}
    for name, value in classes.items():
        by_code.setdefault(value.exit_code, set()).add(name)
    assert by_code == {code: set(names.split()) for code, names in EXIT_CODES.items()}


@pytest.mark.parametrize("module", TESTING)
def test_testing(module: str):
    found = own_names(importlib.import_module(f"vecmigrate.testing.{module}"))
    assert found == set(TESTING[module].split())


def test_every_result_says_what_json_shows():
    results = importlib.import_module("vecmigrate.commands.results")
    for name in own_names(results):
        if name.endswith("Result"):
            assert callable(getattr(results, name).to_dict), name
