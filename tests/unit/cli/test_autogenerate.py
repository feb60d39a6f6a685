"""revision --autogenerate and check, on files alone."""

from __future__ import annotations

import pytest

SPEC = """\
version: 1
name: skill
description: One embedding per skill.
index:
  name: idx:skill
  prefix: "skill:"
key: skill_id
fields:
  skill_id: {type: tag, from: key}
  title: {type: text}
  meta: {type: json}
  embedding:
    type: vector
    dims: 4
    m: 16
"""


@pytest.fixture
def spec(project):
    return project / "specs" / "skill.yaml"


@pytest.fixture
def skills(vecmigrate, project, spec):
    """A project whose first migration creates the index of its one spec."""
    assert vecmigrate("init").code == 0
    (project / "specs" / "document.yaml").unlink()
    spec.write_text(SPEC)
    done = vecmigrate("revision", "--autogenerate", "-m", "create skill", "--rev-id", "a1")
    assert done.code == 0, done.err
    assert vecmigrate("generate").code == 0
    return project


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def scripts(project):
    return sorted(path.name for path in (project / "migrations").glob("*.py"))


class TestAutogenerate:
    def test_the_first_script_creates_what_the_specs_say(self, vecmigrate, skills):
        (name,) = scripts(skills)
        text = (skills / "migrations" / name).read_text()
        assert name == "a1_create_skill.py"
        assert text.startswith(
            '"""create skill\n\nCreates skill, the index behind idx:skill: hashes under skill:'
        )
        assert (
            'op.create_index(\n        "skill",\n        index={"name": "idx:skill", "prefix": "skill:"},'
            in text
        )
        assert "helpers" not in text

    def test_a_change_becomes_a_script_and_is_told(self, vecmigrate, skills, spec):
        edit(spec, "m: 16", "m: 32")
        done = vecmigrate("revision", "--autogenerate", "-m", "raise M", "--rev-id", "b1")
        assert done.out.splitlines() == [
            "wrote migrations/b1_raise_m.py",
            "  skill.embedding: m 16 → 32 (rebuild)",
        ]
        text = (skills / "migrations" / "b1_raise_m.py").read_text()
        assert '    op.rebuild_index("skill", embedding={"m": 32})\n' in text
        assert 'down_revision = "a1"' in text

    def test_nothing_to_do_writes_nothing(self, vecmigrate, skills, spec):
        edit(spec, "One embedding per skill.", "Skills.")
        done = vecmigrate("revision", "--autogenerate", "-m", "again")
        assert (done.code, done.out) == (0, "nothing to do: the migrations make what the specs say\n")
        assert scripts(skills) == ["a1_create_skill.py"]

    def test_what_has_to_be_decided_writes_nothing(self, vecmigrate, skills, spec):
        edit(spec, "dims: 4", "dims: 8")
        edit(spec, "  title: {type: text}", "  headline: {type: text}")
        done = vecmigrate("revision", "--autogenerate", "-m", "more")
        assert done.code == 3
        doubt, dims, summary = done.err.splitlines()
        assert doubt.startswith("specs/skill.yaml:10:3: field title is gone and field headline is new")
        assert "renamed_from: title" in doubt
        assert "--new skill.headline" in doubt
        assert dims.startswith("specs/skill.yaml:14:5: skill.embedding: dims 4 → 8 (re-embed")
        assert summary == "vecmigrate: error: no script was written: 2 things have to be decided first"
        assert scripts(skills) == ["a1_create_skill.py"]

    def test_both_answers_to_a_doubt_are_heard(self, vecmigrate, skills, spec):
        edit(spec, "  title: {type: text}", "  headline: {type: text}")
        new = vecmigrate(
            "revision", "--autogenerate", "-m", "new", "--new", "skill.headline", "--rev-id", "n1"
        )
        assert new.code == 0
        assert 'drop_fields=["title"]' in (skills / "migrations" / "n1_new.py").read_text()
        (skills / "migrations" / "n1_new.py").unlink()
        edit(spec, "headline: {type: text}", "headline: {type: text, path: title, renamed_from: title}")
        old = vecmigrate("revision", "--autogenerate", "-m", "renamed", "--rev-id", "r1")
        assert old.code == 0
        text = (skills / "migrations" / "r1_renamed.py").read_text()
        assert 'op.rebuild_index("skill", rename_fields={"title": "headline"})' in text
        assert vecmigrate("revision", "--autogenerate", "-m", "no more").out.startswith("nothing to do")

    def test_json(self, vecmigrate, skills, spec):
        edit(spec, "m: 16", "m: 32")
        told = vecmigrate("revision", "--autogenerate", "-m", "raise M", "--format", "json").json
        assert told["script"]["down_revision"] == ["a1"]
        (change,) = told["changes"]
        assert (change["kind"], change["field"], change["option"], change["old"], change["new"]) == (
            "rebuild", "embedding", "m", 16, 32,
        )  # fmt: skip  # one value after the other
        assert change["location"] == {"file": "specs/skill.yaml", "line": 15, "column": 5}

    def test_several_heads_are_refused(self, vecmigrate, skills, spec):
        for name in ("b1", "c1"):
            vecmigrate("revision", "-m", name, "--rev-id", name, "--head", "a1", "--splice")
        edit(spec, "m: 16", "m: 32")
        done = vecmigrate("revision", "--autogenerate", "-m", "more")
        assert done.code == 1
        assert "there are 2 heads" in done.err
        done = vecmigrate("revision", "--autogenerate", "-m", "more", "--head", "b1", "--rev-id", "d1")
        assert done.code == 0
        assert 'down_revision = "b1"' in (skills / "migrations" / "d1_more.py").read_text()

    def test_new_alone_is_a_usage_error(self, vecmigrate, skills):
        done = vecmigrate("revision", "-m", "x", "--new", "skill.title")
        assert done.code == 2
        assert "--new goes with --autogenerate" in done.err

    def test_a_broken_spec_is_told_first(self, vecmigrate, skills, spec):
        edit(spec, "m: 16", "m: 1")
        done = vecmigrate("revision", "--autogenerate", "-m", "x")
        assert done.code == 3
        assert "specs/skill.yaml:15" in done.err
        assert scripts(skills) == ["a1_create_skill.py"]


class TestCheck:
    def test_all_is_well(self, vecmigrate, skills):
        done = vecmigrate("check")
        assert (done.code, done.out) == (
            0,
            "checked specs, migrations, state, generated code: no problems\n",
        )

    def test_everything_that_is_wrong_is_listed(self, vecmigrate, skills, spec):
        edit(spec, "m: 16", "m: 32")
        for name in ("b1", "c1"):
            vecmigrate("revision", "-m", name, "--rev-id", name, "--head", "a1", "--splice")
        edit(spec, "description: One", "description: Another")
        done = vecmigrate("check")
        assert done.code == 3
        assert done.out.splitlines()[:-1] == [
            "migrations: there are 2 heads: b1 (b1_b1.py), c1 (c1_c1.py) (expected one); "
            "run `vecmigrate merge -m …`, or let one revise the other",
            "specs/skill.yaml:15:5: no migration makes this change: skill.embedding: m 16 → 32 (rebuild); "
            "run `vecmigrate revision --autogenerate -m …`, after `vecmigrate merge -m …`",
            f"vector_indexes: the code in {skills / 'vector_indexes'} is not what the specs say; "
            "run `vecmigrate generate`",
        ]
        assert done.out.endswith("3 errors\n")

    def test_an_index_without_alias_asks_for_a_new_name_at_its_line(self, vecmigrate, skills, spec):
        edit(spec, "  name: idx:skill\n", "  name: idx:own\n  alias: false\n")
        assert vecmigrate("revision", "--autogenerate", "-m", "own name", "--rev-id", "b1").code == 0
        vecmigrate("generate")
        assert vecmigrate("check").code == 0
        edit(spec, "m: 16", "m: 32")
        hint = "write `name: idx:own_2` under `index` in line 5 of specs/skill.yaml"
        done = vecmigrate("check")
        assert done.code == 3
        first, second, *_ = done.out.splitlines()
        assert first.startswith(
            "specs/skill.yaml:5:3: skill needs a new index (m 16 → 32 (rebuild)), and 'idx:own'"
        )
        assert first.endswith(hint)
        assert second.endswith(
            "give the spec another index.name, then run `vecmigrate revision --autogenerate -m …`"
        )
        done = vecmigrate("revision", "--autogenerate", "-m", "more links", "--rev-id", "c1")
        assert (done.code, hint in done.err) == (3, True)
        # What it says is done, and that is all that was missing.
        edit(spec, "name: idx:own\n", "name: idx:own_2\n")
        assert vecmigrate("revision", "--autogenerate", "-m", "more links", "--rev-id", "c1").code == 0
        text = (skills / "migrations" / "c1_more_links.py").read_text()
        assert 'op.rebuild_index("skill", embedding={"m": 32}, index={"name": "idx:own_2"})' in text
        assert "the new one is called idx:own_2 itself" in " ".join(text.split())
        vecmigrate("generate")
        assert vecmigrate("check").code == 0

    def test_a_broken_spec_and_a_broken_script(self, vecmigrate, skills, spec):
        edit(spec, "m: 16", "m: 1")
        (skills / "migrations" / "b1.py").write_text('revision = "b1"\ndown_revision = "zz"\n')
        codes = {problem["code"] for problem in vecmigrate("check", "--format", "json").json["problems"]}
        assert codes == {"out-of-range", "broken-script"}

    def test_a_script_that_cannot_be_recorded(self, vecmigrate, skills):
        text = 'revision = "b1"\ndown_revision = "a1"\ndef upgrade(op):\n    op.drop_index("skil")\n'
        (skills / "migrations" / "b1.py").write_text(text)
        done = vecmigrate("check")
        assert done.code == 3
        assert "migrations/b1.py:4: no index 'skil'" in done.out
        assert "did you mean 'skill'?" in done.out

    def test_as_annotations(self, vecmigrate, skills, spec):
        edit(spec, "m: 16", "m: 32")
        done = vecmigrate("check", "--format", "github")
        assert "::error file=specs/skill.yaml,title=vecmigrate pending-change,line=15,col=5::" in done.out

    def test_warnings_do_not_fail(self, vecmigrate, skills, spec):
        edit(spec, 'prefix: "skill:"', 'prefix: "skill"')
        for path in (skills / "migrations").glob("*.py"):
            edit(path, '"prefix": "skill:"', '"prefix": "skill"')
        vecmigrate("generate")
        done = vecmigrate("check")
        assert done.code == 0
        assert "1 warning" in done.out
