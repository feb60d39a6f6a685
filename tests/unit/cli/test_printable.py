"""What others wrote into specs, scripts and names of files is shown as text, and does nothing else."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecmigrate.cli.app import as_json
from vecmigrate.cli.specs import workflow_command
from vecmigrate.errors import Problem, printable, printable_lines
from vecmigrate.search.ddl import format_command
from vecmigrate.spec.model import Location
from vecmigrate.spec.write import spec_text

# Line ends, commands to a runner, colours, a title of the window, marks of direction, other controls.
HOSTILE = (
    "a\n::add-mask::x\r##[add-mask]y\x1b[31m\x1b]0;t\x07\u202e\u2066\u200f\x85\u2028\x9b1m\x7f\x00 \t::end"
)
# What a valid spec may hold of that; names of indexes have no white space.
ALLOWED = "a\n::add-mask::x ##[add-mask]y\u202e\u2066\u200f\x85\u2028\x9b1m\t\n  ::end"
NAME = "::add-mask::##[add-mask]\u202e"


def mapping(text: str, name: str) -> dict:
    return {
        "version": 1,
        "name": "skill",
        "description": text,
        "index": {"name": name, "prefix": text},
        "key": "skill_id",
        "fields": {
            "title": {"type": "text", "default": text},
            "level": {"type": "tag", "path": text},
            "embedding": {"type": "vector", "dims": 4},
        },
    }


def assert_harmless(text: str) -> None:
    for line in text.split("\n"):
        assert line.replace("\t", "").isprintable(), ascii(line)
        assert not line.lstrip().startswith("::"), line
        assert "##[" not in line, line


@given(st.text() | st.text("\n\r :#[x\x1b\u202e", max_size=12))
def test_any_text_is_one_harmless_line(text):
    shown = printable(text)
    assert_harmless(shown)
    assert "\n" not in shown
    assert printable(shown) == shown
    assert_harmless(printable_lines(text))
    if text.isprintable() and "::" not in text and "##[" not in text:
        assert shown == text


@given(st.text() | st.text("\n :#[x\x7f\u202e\U000e0001", max_size=12))
def test_json_says_the_same_and_does_nothing(text):
    for indent in (None, 2):
        shown = as_json({text: [text]}, indent=indent)
        assert_harmless(shown)
        assert json.loads(shown) == {text: [text]}


@given(st.text("\n\r%:,#[x\x1b\u202e::", max_size=12))
def test_an_annotation_is_one_command_with_its_values(text):
    shown = workflow_command("error", "code", Location(text, 3, 1), text)
    assert "\n" not in shown
    assert shown.isprintable()
    assert shown.startswith("::error file=")
    properties, _, message = shown.removeprefix("::error ").partition("::")
    assert [part.partition("=")[0] for part in properties.split(",")] == ["file", "title", "line", "col"]
    read = message.replace("%0A", "\n").replace("%0D", "\r").replace("%25", "%")
    if text.replace("\n", "").replace("\r", "").isprintable() and "##[" not in text and "::" not in text:
        assert read == text


def test_a_problem_is_one_line():
    assert_harmless(str(Problem(HOSTILE, 1, 1, "code", HOSTILE, HOSTILE, HOSTILE)))


def test_a_command_can_still_be_typed():
    assert format_command(("FT.CREATE", "a##[b]")) == 'FT.CREATE "a#\\x23[b]"'
    assert_harmless(format_command(("FT.CREATE", HOSTILE)))


def test_a_spec_file_holds_what_it_says():
    import yaml

    text = spec_text({"index": {"name": "a\u202eb", "prefix": "\x1b[1m"}}, ["\x1b::x"])
    assert yaml.safe_load(text) == {"index": {"name": "a\u202eb", "prefix": "\x1b[1m"}}
    assert "\u202e" not in text


@pytest.fixture(params=["valid", "invalid"])
def hostile(request, project, vecmigrate):
    """A project whose one spec is made of such texts."""
    assert vecmigrate("init").code == 0
    (project / "specs" / "document.yaml").unlink()
    spec = mapping(ALLOWED, NAME) if request.param == "valid" else mapping(HOSTILE, HOSTILE)
    (project / "specs" / "skill.yaml").write_text(json.dumps(spec))
    assert vecmigrate("validate").code == (0 if request.param == "valid" else 3)
    return project


@pytest.fixture
def valid(project, vecmigrate):
    assert vecmigrate("init").code == 0
    (project / "specs" / "document.yaml").unlink()
    (project / "specs" / "skill.yaml").write_text(json.dumps(mapping(ALLOWED, NAME)))
    done = vecmigrate("revision", "--autogenerate", "-m", "create", "--rev-id", "a1")
    assert done.code == 0, done.err
    assert_harmless(done.out)
    return project


@pytest.mark.parametrize(
    "words",
    [
        ["validate"],
        ["validate", "--format", "json"],
        ["check"],
        ["check", "--format", "json"],
        ["show-ddl"],
        ["show-ddl", "--format", "json"],
        ["show-ddl", HOSTILE],
        ["generate", "--check"],
        ["generate", "-o", HOSTILE.replace("\x00", "")],
        ["revision", "--autogenerate", "-m", HOSTILE, "--rev-id", "a1"],
        ["--debug", "upgrade", HOSTILE],
        ["-c", HOSTILE.replace("\x00", ""), "check"],
        [HOSTILE],
        ["check", f"--{HOSTILE}"],
    ],
)
def test_whatever_is_printed_about_a_spec(vecmigrate, hostile, words):
    done = vecmigrate(*words)
    assert done.out or done.err
    assert_harmless(done.out)
    assert_harmless(done.err)


def test_whatever_is_printed_about_a_script(vecmigrate, valid):
    text = (
        '"""Title\x1b[31m\n\n    ::add-mask::x\n##[add-mask]y\n"""\nrevision = "b1"\ndown_revision = "a1"\n'
    )
    (valid / "migrations" / "b1.py").write_text(
        text + "def upgrade(op):\n    raise ValueError('\\n::error::\\x1b')\n"
    )
    for words in (
        ["history", "-v"],
        ["history"],
        ["heads", "-v"],
        ["show", "b1"],
        ["check"],
        ["show", "zz\x1b"],
    ):
        done = vecmigrate(*words)
        assert done.out or done.err
        assert_harmless(done.out)
        assert_harmless(done.err)


def test_whatever_is_printed_about_a_change(vecmigrate, valid):
    assert vecmigrate("generate").code == 0
    spec = mapping(ALLOWED + "more", NAME + "2")
    spec["fields"]["level"]["separator"] = "|"
    (valid / "specs" / "skill.yaml").write_text(json.dumps(spec))
    for words in (["check"], ["generate", "--check"], ["revision", "--autogenerate", "-m", "x"]):
        done = vecmigrate(*words)
        assert done.code == 3
        assert_harmless(done.out)
        assert_harmless(done.err)


def test_commands_for_github_are_still_commands(vecmigrate, project):
    assert vecmigrate("init").code == 0
    spec = mapping(HOSTILE, HOSTILE)
    spec["fields"]["level"]["tpye\n::x"] = 1
    (project / "specs" / "skill.yaml").write_text(json.dumps(spec))
    for command in ("validate", "check"):
        done = vecmigrate(command, "--format", "github")
        assert done.code == 3
        for line in done.out.splitlines():
            assert re.match(r"::(error|warning) file=", line), line
            assert line.isprintable()
