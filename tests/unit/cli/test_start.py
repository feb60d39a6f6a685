"""What every command line has in common: start, help, errors, exit codes."""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

import vecmigrate as vecmigrate_package
from vecmigrate import cli, commands
from vecmigrate.cli.app import App
from vecmigrate.cli.errors import report
from vecmigrate.errors import LockedError, Problem, SpecError

HEAVY = {"numpy", "redis", "jsonschema", "jinja2", "rich", "yaml", "orjson", "simdjson"}

# The tests work in another folder, and vecmigrate may be used from its source tree.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(vecmigrate_package.__file__).parent.parent)}

PROBE = """
import sys
from vecmigrate.cli import run
code = run(sys.argv[1:])
print(code, sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""


def loaded_by(*words: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *words],
        capture_output=True,
        text=True,
        check=True,
        env=ENVIRONMENT,
    )
    code, _, modules = done.stderr.splitlines()[-1].partition(" ")
    assert code == "0", done.stderr
    return set(json.loads(modules.replace("'", '"')))


@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], ["upgrade", "--help"], ["validate", "--help"], ["heads"]]
)
def test_nothing_heavy_is_imported_at_the_start(words, project):
    (project / "migrations").mkdir()
    assert loaded_by(*words) & HEAVY == set()


def test_importing_the_commands_costs_nothing():
    script = "import sys, vecmigrate.commands as c; dir(c); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=ENVIRONMENT
    )
    assert {name.partition(".")[0] for name in done.stdout.split()} & HEAVY == set()
    assert "click" not in done.stdout.split()


def test_a_command_stays_a_function_after_every_module_is_imported():
    for info in pkgutil.iter_modules(commands.__path__):
        importlib.import_module(f"{commands.__name__}.{info.name}")
    assert [name for name in commands.__all__ if not callable(getattr(commands, name))] == []


def test_every_listed_command_exists_in_the_api_and_on_the_command_line():
    context = click.Context(cli.group)
    for name in cli.group.list_commands(context):
        command = cli.group.get_command(context, name)
        assert command is not None
        assert command.name == name
        assert command.help
        if name != "dev":
            assert callable(getattr(commands, name.replace("-", "_")))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = commands.nothing


def test_every_command_has_the_format_option():
    context = click.Context(cli.group)
    for name in cli.group.list_commands(context):
        command = cli.group.get_command(context, name)
        assert any("--format" in parameter.opts for parameter in command.params), name


def test_help_and_version_go_to_stdout(vecmigrate, project):
    done = vecmigrate("--help")
    assert done.code == 0
    assert "upgrade" in done.out
    assert done.err == ""
    assert vecmigrate("--version").out.startswith("vecmigrate 0.")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["upgade"], "No such command 'upgade'. Did you mean 'upgrade'?; see `vecmigrate --help`"),
        (["heads", "--bad"], "No such option"),
        (["heads", "-x", "a=b"], "It comes before the command: vecmigrate -x … heads"),
        (["-x", "novalue", "heads"], "'-x': one of them has no name (expected name=value)"),
        (["downgrade"], "Missing argument 'REVISION'"),
        (["revision"], "Missing option '-m'"),
        (["heads", "--format", "xml"], "'xml' is not one of 'text', 'json'"),
        (["dev", "--port", "1", "--unix-socket", "x"], "exclude each other"),
        (["-c", "gone.toml", "heads"], "cannot read the configuration"),
        (
            ["--namespace", "a{b", "--redis", "redis://127.0.0.1:1", "status"],
            "namespace 'a{b' is not allowed",
        ),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(vecmigrate, project, words, expected):
    done = vecmigrate(*words)
    assert done.code == 2
    assert done.out == ""
    assert done.err.startswith("vecmigrate: error: ")
    assert expected in done.err
    assert "novalue" not in done.err  # it may be a secret whose name was left out
    assert done.err.count("\n") == 1


def test_errors_are_json_where_results_are(vecmigrate, project):
    done = vecmigrate("heads", "--format", "json")
    assert (done.code, done.out) == (1, "")
    assert done.error["type"] == "ScriptError"
    assert done.error["exit_code"] == 1
    assert "vecmigrate init" in done.error["hint"]
    assert vecmigrate("heads", "--format=json", "--bad").error["exit_code"] == 2


def fail_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def heads(_config: object) -> None:
        raise error

    monkeypatch.setattr(commands, "heads", heads, raising=False)


def test_the_class_of_an_error_says_the_exit_code(vecmigrate, project, monkeypatch):
    fail_with(monkeypatch, LockedError("held by\nsomebody", hint="wait"))
    done = vecmigrate("heads")
    assert (done.code, done.err) == (4, "vecmigrate: error: held by somebody; wait\n")


def test_what_was_not_foreseen_is_one_line_too(vecmigrate, project, monkeypatch):
    fail_with(monkeypatch, RuntimeError("boom"))
    done = vecmigrate("heads")
    assert done.code == 1
    assert done.err.startswith("vecmigrate: error: RuntimeError: boom; ")
    assert "--debug" in done.err
    assert done.err.count("\n") == 1


def test_debug_adds_the_traceback(vecmigrate, project, monkeypatch):
    fail_with(monkeypatch, RuntimeError("boom"))
    done = vecmigrate("--debug", "heads")
    assert done.code == 1
    assert "Traceback (most recent call last)" in done.err
    assert done.err.splitlines()[-1] == "vecmigrate: error: RuntimeError: boom"


def test_ctrl_c_is_130_and_says_how_to_go_on(vecmigrate, project, monkeypatch, capsys):
    fail_with(monkeypatch, KeyboardInterrupt())
    done = vecmigrate("heads")
    assert done.code == 130
    assert done.err.splitlines()[-1] == "vecmigrate: interrupted"
    assert report(App(when_interrupted="upgrade goes on"), KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == "\nvecmigrate: interrupted; upgrade goes on\n"


@pytest.mark.parametrize("words", [["--help"], ["heads", "--help"]])
def test_help_ends_quietly_with_its_reader_too(project, words):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as output:
        command = [sys.executable, "-c", "from vecmigrate.cli import main; main()", *words]
        done = subprocess.run(
            command, stdout=output, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, check=False
        )
    assert (done.returncode, done.stderr) == (141, "")


def test_a_shell_can_complete_commands(project):
    words = {"_VECMIGRATE_COMPLETE": "bash_complete", "COMP_WORDS": "vecmigrate up", "COMP_CWORD": "1"}
    command = [sys.executable, "-c", "from vecmigrate.cli import main; main()"]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT | words, check=True)
    assert done.stdout == "plain,upgrade\n"


def test_problems_in_specs_are_a_line_each(capsys):
    problems = [
        Problem("a.yaml", 2, 5, "unknown-key", "unknown key 'dim'", hint="did you mean 'dims'?"),
        Problem("b.yaml", 1, 1, "x", "odd", severity="warning"),
    ]
    assert report(App(), SpecError(problems)) == 3
    assert capsys.readouterr().err.splitlines() == [
        "a.yaml:2:5: unknown key 'dim'; did you mean 'dims'?",
        "b.yaml:1:1: warning: odd",
        "vecmigrate: error: 1 error in the specs",
    ]


def test_a_reader_that_goes_away_is_no_error(project):
    migrations = project / "migrations"
    migrations.mkdir()
    text = '"""{0}"""\nrevision = "r{0}"\ndown_revision = {1}\ndef upgrade(op): ...\n'
    for number in range(300):
        parent = repr(f"r{number - 1}") if number else None
        (migrations / f"r{number}.py").write_text(text.format(number, parent))
    command = [sys.executable, "-c", "from vecmigrate.cli import main; main()", "history", "-v"]
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as output:
        done = subprocess.run(
            command, stdout=output, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, check=False
        )
    assert (done.returncode, done.stderr) == (141, "")
