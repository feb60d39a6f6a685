"""validate, show-ddl and generate."""

from __future__ import annotations

import pytest

SPEC = """\
version: 1
name: {name}
index: {{name: "idx:{name}", prefix: "{name}:"}}
key: {name}_id
fields:
  label: {{type: tag}}
  embedding: {{type: vector, dims: {dims}, datatype: {datatype}, metric: cosine, algorithm: hnsw}}
"""


@pytest.fixture
def spec(project):
    def write(name: str, dims: object = 4, datatype: str = "float32") -> None:
        folder = project / "specs"
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.yaml").write_text(SPEC.format(name=name, dims=dims, datatype=datatype))

    return write


class TestValidate:
    def test_good_specs(self, vecmigrate, spec):
        spec("cat")
        spec("dog")
        done = vecmigrate("validate")
        assert (done.code, done.out, done.err) == (0, "2 spec files: no problems\n", "")

    def test_every_problem_has_its_place(self, vecmigrate, spec):
        spec("cat", dims=0)
        spec("dog", dims="x")
        done = vecmigrate("validate")
        assert done.code == 3
        lines = done.out.splitlines()
        assert any(line.startswith("specs/cat.yaml:7:") for line in lines)
        assert any(line.startswith("specs/dog.yaml:7:") for line in lines)
        assert lines[-1].startswith("2 spec files: 2 errors")

    def test_json(self, vecmigrate, spec):
        spec("cat")
        spec("dog", dims=0)
        done = vecmigrate("validate", "--format", "json")
        assert done.code == 3
        assert done.json["ok"] is False
        assert done.json["specs"] == ["cat"]
        assert len(done.json["files"]) == 2
        assert done.json["problems"][0]["line"] == 7
        assert done.json["problems"][0]["severity"] == "error"

    def test_github(self, vecmigrate, spec):
        spec("cat", dims=0)
        done = vecmigrate("validate", "--format", "github")
        assert done.code == 3
        first = done.out.splitlines()[0]
        assert first.startswith("::error file=specs/cat.yaml,title=vecmigrate ")
        assert ",line=7,col=" in first

    def test_only_what_is_named(self, vecmigrate, spec, project):
        spec("cat")
        spec("dog", dims=0)
        assert vecmigrate("validate", "specs/cat.yaml").code == 0
        done = vecmigrate("validate", "nowhere")
        assert done.code == 2
        assert "no specs at nowhere" in done.err


class TestShowDdl:
    def test_one_line_a_spec_as_for_redis_cli(self, vecmigrate, spec):
        spec("cat")
        spec("dog", dims=8)
        lines = vecmigrate("show-ddl").out.splitlines()
        assert [line.split()[:2] for line in lines] == [["FT.CREATE", "idx:cat"], ["FT.CREATE", "idx:dog"]]
        assert vecmigrate("show-ddl", "dog").out.splitlines() == [lines[1]]
        assert vecmigrate("show-ddl", "idx:dog").out.splitlines() == [lines[1]]

    def test_json_gives_the_words(self, vecmigrate, spec):
        spec("cat")
        (item,) = vecmigrate("show-ddl", "--format", "json").json["indexes"]
        assert (item["name"], item["index"]) == ("cat", "idx:cat")
        assert item["words"][:4] == ["FT.CREATE", "idx:cat", "ON", "HASH"]
        assert item["command"].split() == item["words"]

    def test_a_misspelt_name(self, vecmigrate, spec):
        spec("cat")
        done = vecmigrate("show-ddl", "cats")
        assert done.code == 2
        assert "did you mean 'cat'?" in done.err

    def test_bad_specs_go_to_stderr(self, vecmigrate, spec):
        spec("cat", dims=0)
        done = vecmigrate("show-ddl")
        assert (done.code, done.out) == (3, "")
        assert "cat.yaml:7:" in done.err

    @pytest.mark.parametrize(
        ("version", "code", "expected"),
        [
            ("8.10", 0, ""),
            ("8.2", 1, "corrupts its memory (MOD-17243)"),
            ("8.2", 1, "which corrupts its memory"),
            ("8.2/8.9.0", 0, ""),
            ("7.4/2.8.4", 1, "RediSearch"),
            ("7.4", 2, "does not say which RediSearch"),
            ("new", 2, "is no server version"),
        ],
    )
    def test_what_a_server_is_too_old_for(self, vecmigrate, spec, version, code, expected):
        spec("cat", datatype="int8")
        done = vecmigrate("show-ddl", "--server-version", version)
        assert done.code == code
        assert expected in done.err


class TestGenerate:
    def test_written_then_up_to_date_then_stale(self, vecmigrate, spec, project):
        spec("cat")
        done = vecmigrate("generate", "-o", "out")
        assert done.code == 0, done.err
        assert "wrote out/__init__.py" in done.out
        assert vecmigrate("generate", "-o", "out").out.startswith("out is up to date")
        assert vecmigrate("generate", "--check", "-o", "out").code == 0
        spec("cat", dims=5)
        before = {path: path.read_bytes() for path in (project / "out").rglob("*.py")}
        done = vecmigrate("generate", "--check", "-o", "out")
        assert done.code == 3
        assert "\n+++ " in done.out
        assert "run `vecmigrate generate`" in done.err
        assert {path: path.read_bytes() for path in (project / "out").rglob("*.py")} == before

    def test_json(self, vecmigrate, spec):
        spec("cat")
        done = vecmigrate("generate", "-o", "out", "--format", "json").json
        assert done["directory"] == "out"
        assert sorted(done["files"]) == sorted(done["written"])
        stale = vecmigrate("generate", "--check", "-o", "other", "--format", "json")
        assert stale.code == 3
        assert stale.error["type"] == "StaleCodeError"

    def test_where_to_is_asked_for(self, vecmigrate, spec):
        spec("cat")
        assert "give --output DIR" in vecmigrate("generate").err
        done = vecmigrate("generate", "-o", "not-a-name")
        assert done.code == 2
        assert "expected a Python identifier" in done.err

    def test_a_project_without_specs(self, vecmigrate, project):
        done = vecmigrate("generate", "-o", "out")
        assert done.code == 2
        assert "no specs at" in done.err
