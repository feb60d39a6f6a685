from __future__ import annotations

from pathlib import Path

import pytest

from vecmigrate.config import Config, check_namespace, load_config
from vecmigrate.errors import ConfigError


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VECMIGRATE_CONFIG", raising=False)
    return tmp_path


def problem(path: Path, text: str) -> str:
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    return str(caught.value)


def test_without_a_file_the_defaults_hold(project):
    assert load_config() == Config(
        root=project, specs=project / "specs", migrations=project / "migrations", namespace="default"
    )


def test_everything_that_can_be_said(project):
    (project / "vecmigrate.toml").write_text(
        'specs = "a"\nmigrations = "b/c"\noutput = "d"\nredis = "redis://h"\nnamespace = "n.1"\n'
        "lease_seconds = 5\n[variables]\none = 'x'\ntwo = 2\nthree = true\nfour = 0.5\n"
    )
    config = load_config()
    assert config.specs == project / "a"
    assert config.migrations == project / "b" / "c"
    assert config.output == project / "d"
    assert (config.redis, config.namespace, config.lease_seconds) == ("redis://h", "n.1", 5)
    assert config.variables == {"one": "x", "two": "2", "three": "true", "four": "0.5"}
    assert config.file == project / "vecmigrate.toml"


def test_a_password_is_not_in_the_repr(project):
    (project / "vecmigrate.toml").write_text('redis = "redis://:secret@h"\n')
    assert "secret" not in repr(load_config())


def test_paths_are_relative_to_the_file_wherever_one_stands(project, monkeypatch):
    (project / "pyproject.toml").write_text('[tool.vecmigrate]\nspecs = "here"\n')
    inner = project / "x" / "y"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    assert load_config().specs == project / "here"
    assert load_config().root == project


def test_a_pyproject_without_our_table_is_passed_over(project, monkeypatch):
    (project / "vecmigrate.toml").write_text('namespace = "outer"\n')
    inner = project / "inner"
    inner.mkdir()
    (inner / "pyproject.toml").write_text("[tool.other]\nx = 1\n")
    monkeypatch.chdir(inner)
    assert load_config().namespace == "outer"


def test_its_own_file_comes_before_pyproject(project):
    (project / "vecmigrate.toml").write_text('namespace = "own"\n')
    (project / "pyproject.toml").write_text('[tool.vecmigrate]\nnamespace = "shared"\n')
    assert load_config().namespace == "own"


def test_the_environment_names_a_file_and_an_option_comes_before_it(project, monkeypatch):
    (project / "one.toml").write_text('namespace = "one"\n')
    (project / "two.toml").write_text('[tool.vecmigrate]\nnamespace = "two"\n')
    monkeypatch.setenv("VECMIGRATE_CONFIG", "one.toml")
    assert load_config().namespace == "one"
    assert load_config(Path("two.toml")).namespace == "two"
    assert load_config(Path("two.toml")).root == project


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\nspec = 'x'\n", "v.toml:2: unknown key 'spec'; did you mean 'specs'?"),
        ("zzzzz = 1\n", "v.toml:1: unknown key 'zzzzz'; known keys: specs, migrations"),
        ("specs = 3\n", "v.toml:1: specs is 3 (expected a path)"),
        ("specs = ''\n", "v.toml:1: specs is '' (expected a path)"),
        ("# c\nlease_seconds = true\n", "v.toml:2: lease_seconds is True (expected seconds as an integer)"),
        ("lease_seconds = 0\n", "v.toml:1: lease_seconds is 0 (expected 1 to 3600)"),
        ("namespace = 'a{b}'\n", "v.toml:1: namespace 'a{b}' is not allowed"),
        ("variables = 1\n", "v.toml:1: variables is not a table"),
        ("[variables]\nx = [1]\n", "v.toml:2: variable 'x' is not a string, a number or a boolean"),
        ("specs = \n", "v.toml:1:9: not TOML: "),
        ("specs = 'a'\nspecs = 'b'\n", "v.toml:2:"),
    ],
)
def test_what_is_wrong_comes_with_its_place(project, text, expected):
    assert expected in problem(project / "v.toml", text)


def test_the_place_inside_pyproject_is_that_of_our_table(project):
    text = '[project]\nname = "x"\nredis = 1\n\n[tool.vecmigrate]\n\nredis = 1\n'
    assert "pyproject.toml:7: redis is a value (expected a URL)" in problem(project / "pyproject.toml", text)


def test_a_value_for_redis_is_never_shown(project):
    assert "secret" not in problem(project / "v.toml", 'redis = ["redis://:secret@h"]\n')


def test_a_file_that_is_named_must_be_there_and_be_ours(project):
    with pytest.raises(ConfigError, match=r"cannot read the configuration .*gone\.toml"):
        load_config(Path("gone.toml"))
    (project / "pyproject.toml").write_text("[project]\n")
    with pytest.raises(ConfigError, match=r"no table \[tool\.vecmigrate\]"):
        load_config(Path("pyproject.toml"))


def test_namespaces_fit_into_a_hash_tag():
    assert check_namespace("team-a.prod_1") == "team-a.prod_1"
    for bad in ("", "a:b", "a{b", "a b", "x" * 65):
        with pytest.raises(ConfigError, match="is not allowed"):
            check_namespace(bad)
