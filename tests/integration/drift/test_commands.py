"""drift, introspect and import-redisvl as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import redis

from vecmigrate.cli import run
from vecmigrate.config import load_config
from vecmigrate.spec.build import spec_to_mapping
from vecmigrate.spec.load import load_specs

SCRIPT = '''\
"""Create the index of cats"""

from vecmigrate.operations import Recorder

revision = "a1"
down_revision = None


def upgrade(op: Recorder) -> None:
    op.create_index(
        "cat",
        index={"name": "idx:cat", "prefix": "cat:", "filter": "@name!='x'"},
        key="cat_id",
        fields={
            "name": {"type": "tag"},
            "embedding": {"type": "vector", "dims": 2, "metric": "cosine", "ef_runtime": 70},
        },
    )


def downgrade(op: Recorder) -> None:
    op.revert(upgrade)
'''
BY_HAND = (
    "FT.CREATE idx:cat ON HASH PREFIX 1 cat: FILTER @name!='x' SCHEMA name TAG "
    "embedding VECTOR HNSW 6 TYPE FLOAT32 DIM 2 DISTANCE_METRIC COSINE"
)


@pytest.fixture
def project(tmp_path, monkeypatch, emptied_url: str) -> Path:
    """One migration, no spec, and an empty server."""
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "a1.py").write_text(SCRIPT)
    (tmp_path / "vecmigrate.toml").write_text("")
    monkeypatch.delenv("VECMIGRATE_REDIS_URL", raising=False)
    monkeypatch.setenv("REDIS_URL", emptied_url)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def cli(project, capsys):
    def call(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run(words)
        out, err = capsys.readouterr()
        return code, out, err

    return call


class TestDrift:
    def test_before_and_after_the_first_revision(self, cli):
        assert cli("drift") == (0, "no drift in 0 indexes at base\n", "")
        cli("-q", "upgrade")
        assert cli("drift") == (
            0,
            "cannot be seen:\n  cat: field 'embedding': EF_RUNTIME 70\n"
            "  other aliases that lead to these indexes\nno drift in 1 index at a1\n",
            "",
        )

    def test_every_difference_is_told_and_nothing_is_changed(self, cli, client: redis.Redis):
        cli("-q", "upgrade")
        client.execute_command("FT.DROPINDEX", "idx:cat@a1")
        words = (
            "FT.CREATE idx:cat@a1 ON HASH PREFIX 2 cat: dog: NOFREQS SCHEMA name TEXT more NUMERIC "
            "embedding VECTOR HNSW 8 TYPE FLOAT32 DIM 3 DISTANCE_METRIC L2 M 40"
        )
        client.execute_command(*words.split())
        code, out, _ = cli("drift", "--format", "json")
        found = json.loads(out)
        assert (code, found["ok"]) == (3, False)
        assert [(item["code"], item["field"], item["option"]) for item in found["drift"]] == [
            ("missing-alias", None, None),
            ("difference", None, "PREFIX"),
            ("difference", None, "FILTER"),
            ("difference", None, "NOFREQS"),
            ("difference", "name", "type"),
            ("difference", "embedding", "DIM"),
            ("difference", "embedding", "DISTANCE_METRIC"),
            ("difference", "embedding", "M"),
            ("difference", "more", "field"),
        ]
        before = sorted(client.execute_command("FT._LIST")), sorted(client.keys())
        code, out, _ = cli("drift")
        assert code == 3
        assert "cat: idx:cat@a1: field 'embedding': M is 40 (expected 16)\n" in out
        assert out.endswith("\n9 differences in 1 of 1 index at a1\n")
        assert (sorted(client.execute_command("FT._LIST")), sorted(client.keys())) == before

    def test_an_index_dropped_by_hand(self, cli, client: redis.Redis):
        cli("-q", "upgrade")
        client.execute_command("FT.DROPINDEX", "idx:cat@a1")
        code, out, _ = cli("drift")
        assert code == 3
        assert out.startswith("cat: there is no index 'idx:cat@a1'\n")

    def test_an_adopted_index_is_ours_and_a_foreign_one_is_named(self, cli, client: redis.Redis):
        client.execute_command(*BY_HAND.split())
        cli("-q", "upgrade")
        assert cli("drift")[0] == 0
        client.execute_command("FT.CREATE", "theirs", "PREFIX", 1, "cat", "SCHEMA", "x", "TAG")
        code, out, _ = cli("drift")
        assert code == 0
        assert "'theirs' is not ours and takes in the prefix 'cat', and so documents of cat" in out
        # Stamped instead of run, the same plain index is as good.
        cli("-q", "stamp", "--purge", "base")
        cli("-q", "stamp", "a1")
        assert cli("drift")[0] == 0

    def test_a_changed_script_says_nothing_about_what_should_be(self, cli, project):
        cli("-q", "upgrade")
        path = project / "migrations" / "a1.py"
        path.write_text(path.read_text().replace("70", "80"))
        code, _, err = cli("drift")
        assert code == 5
        assert "was changed after it was applied" in err


class TestIntrospect:
    @pytest.fixture
    def by_hand(self, client: redis.Redis) -> None:
        client.execute_command(*BY_HAND.split())
        for name in ("tom", "kit"):
            client.hset(f"cat:{name}", mapping={"name": name, "embedding": b"\1" * 8, "meta": "{}"})

    @pytest.mark.usefixtures("by_hand")
    def test_it_writes_a_spec_and_says_what_it_could_not_see(self, cli, project):
        code, out, err = cli("introspect", "idx:cat")
        assert (code, err) == (0, "")
        assert out.startswith("wrote specs/cat.yaml\n")
        (spec,) = load_specs([project / "specs"]).specs
        assert (spec.name, spec.key, spec.index.filter) == ("cat", "cat_id", "@name!='x'")
        text = (project / "specs" / "cat.yaml").read_text()
        for told in (
            "2 of 2 documents looked at also hold 'meta' (JSON)",
            "field 'name' is the key itself in all of 2 documents looked at",
            "field 'embedding': EF_RUNTIME (the spec says 10)",
            "TEMPORARY (the spec says none)",
        ):
            assert told in out
            assert told in text
        assert cli("validate")[0] == 0

    @pytest.mark.usefixtures("by_hand")
    def test_it_never_overwrites(self, cli, project):
        assert cli("introspect", "idx:cat", "--name", "tiger", "--key", "stripe", "-o", "my.yaml")[0] == 0
        before = (project / "my.yaml").read_text()
        assert "name: tiger" in before
        assert "key: stripe" in before
        assert cli("introspect", "idx:cat", "--key", "name", "-o", "mine.yaml")[0] == 0
        assert "name: {type: tag, from: key}" in (project / "mine.yaml").read_text()
        code, _, err = cli("introspect", "idx:cat", "-o", "my.yaml")
        assert code == 1
        assert "my.yaml exists already" in err
        assert (project / "my.yaml").read_text() == before

    @pytest.mark.usefixtures("by_hand")
    def test_stdout_takes_the_text_alone(self, cli, project):
        code, out, _ = cli("introspect", "idx:cat", "-o", "-")
        assert code == 0
        assert not (project / "specs").exists()
        (project / "piped.yaml").write_text(out)
        assert load_specs([project / "piped.yaml"]).specs[0].name == "cat"

    @pytest.mark.usefixtures("by_hand")
    def test_a_spec_that_does_not_fit_the_others_is_told(self, cli, project):
        cli("introspect", "idx:cat")
        code, out, _ = cli("introspect", "idx:cat", "--name", "tiger")
        assert code == 3
        assert "beside the other specs:" in out
        assert "the index name `idx:cat` is already taken" in out

    @pytest.mark.usefixtures("by_hand")
    def test_aliases_that_nobody_named_are_a_line_to_fill_in(self, cli, project):
        code, out, err = cli("introspect", "idx:cat")
        assert code == 0, err
        text = (project / "specs" / "cat.yaml").read_text()
        assert "FT.INFO does not list aliases" in out
        assert "FT.INFO does not list aliases" in text
        assert "\n  aliases: null\n" in text
        index = load_specs([project / "specs"]).specs[0].index
        assert (index.aliases, index.ask_aliases) == (None, True)
        (project / "specs" / "cat.yaml").write_text(text.replace("aliases: null", "aliases: []"))
        index = load_specs([project / "specs"]).specs[0].index
        assert (index.aliases, index.ask_aliases) == ((), False)

    @pytest.mark.usefixtures("by_hand")
    def test_aliases_that_were_named_are_asked_for(self, cli, client: redis.Redis, project):
        client.execute_command("FT.ALIASADD", "live", "idx:cat")
        client.execute_command("FT.ALIASADD", "all", "idx:cat")
        code, out, err = cli("introspect", "idx:cat", "--alias", "live", "--alias", "all", "--alias", "live")
        assert code == 0, err
        text = (project / "specs" / "cat.yaml").read_text()
        assert load_specs([project / "specs"]).specs[0].index.aliases == ("all", "live")
        assert "does not list aliases" not in out + text
        assert "#" not in text.partition("version:")[2]
        # As an alias: that is the name then, and what the index is called is said.
        code, out, _ = cli("introspect", "live", "--alias", "all", "-o", "live.yaml")
        assert code == 3  # beside cat.yaml, which has these names
        spec = load_specs([project / "live.yaml"]).specs[0]
        assert spec.index.names == ("live", "all")
        assert "the index behind 'live' is itself called 'idx:cat'" in out

    @pytest.mark.usefixtures("by_hand")
    def test_that_there_are_none_can_be_said(self, cli, project):
        assert cli("introspect", "idx:cat", "--no-aliases")[0] == 0
        assert load_specs([project / "specs"]).specs[0].index.aliases == ()

    @pytest.mark.usefixtures("by_hand")
    def test_what_is_no_alias_of_the_index_is_refused(self, cli, client: redis.Redis, project):
        client.execute_command("FT.CREATE", "idx:dog", "SCHEMA", "x", "TAG")
        client.execute_command("FT.ALIASADD", "dogs", "idx:dog")
        client.execute_command("FT.ALIASADD", "live", "idx:cat")
        for words, told in (
            (("idx:cat", "--alias", "nobody"), "there is no alias 'nobody' on this server"),
            (("idx:cat", "--alias", "dogs"), "'dogs' leads to index 'idx:dog' (expected to 'idx:cat')"),
            (("idx:cat", "--alias", "idx:dog"), "'idx:dog' leads to index 'idx:dog' (expected to"),
            (("live", "--alias", "idx:cat"), "'idx:cat' is the index itself (expected an alias of it)"),
            (("idx:cat", "--alias", "live", "--no-aliases"), "exclude each other"),
        ):
            code, _, err = cli("introspect", *words)
            assert (code, told in err) == (2, True), err
        assert not (project / "specs").exists()

    def test_an_unknown_index(self, cli, client: redis.Redis):
        client.execute_command("FT.CREATE", "idx:dog", "SCHEMA", "x", "TAG")
        code, _, err = cli("introspect", "idx:cat")
        assert code == 2
        assert "there is no index 'idx:cat' on this server; there are: idx:dog" in err

    def test_what_no_spec_can_say_is_not_written(self, cli, client: redis.Redis, project):
        client.execute_command("FT.CREATE", "idx:dog", "SCHEMA", "x", "TAG")
        code, _, err = cli("introspect", "idx:dog")
        assert code == 3
        assert "the spec has no vector field" in err
        assert not (project / "specs").exists()

    def test_a_spec_from_an_index_adopts_that_index(self, cli, client: redis.Redis, project):
        """The whole way in: introspect, a migration that says the same, upgrade."""
        client.execute_command(*BY_HAND.split())
        cli("introspect", "idx:cat")
        (spec,) = load_specs([load_config().specs]).specs
        (project / "migrations" / "a1.py").unlink()
        said = spec_to_mapping(spec)
        script = SCRIPT[: SCRIPT.index("    op.create_index")] + (
            f"    op.create_index({said['name']!r}, index={said['index']!r}, key={said['key']!r}, "
            f"fields={said['fields']!r})\n"
        )
        (project / "migrations" / "a1.py").write_text(script)
        code, out, err = cli("-q", "upgrade")
        assert code == 0, err
        assert "adopted" in out
        assert cli("drift")[0] == 0
        assert [name.decode() for name in client.execute_command("FT._LIST")] == ["idx:cat"]


SCHEMA = """\
version: 0.1.0
index:
  name: user-index
  prefix: user
fields:
  - {name: user-name, type: tag}
  - {name: bio, type: text, attrs: {no_stem: true, bogus: 1}}
  - name: embedding
    type: vector
    attrs: {algorithm: hnsw, dims: 8, distance_metric: L2, ef_runtime: 33}
"""


class TestImportRedisvl:
    def test_it_writes_a_spec(self, cli, project):
        (project / "schema.yaml").write_text(SCHEMA)
        code, out, err = cli("import-redisvl", "schema.yaml")
        assert (code, err) == (0, "")
        assert out.startswith("wrote specs/user.yaml\nto look at:\n")
        for told in (
            "the prefix 'user', and its documents are written under 'user:'",
            "'user-name'",
            "bogus",
        ):
            assert told in out
        (spec,) = load_specs([project / "specs"]).specs
        assert spec.index.prefixes == ("user:",)
        assert (spec.fields[0].name, spec.fields[0].path) == ("user_name", "user-name")
        assert spec.vector.metric == "l2"
        assert cli("import-redisvl", "schema.yaml")[0] == 1

    def test_every_problem_is_told_at_its_place(self, cli, project):
        (project / "schema.yaml").write_text(
            SCHEMA.replace("type: tag", "type: tagg").replace("hnsw", "hsnw")
        )
        code, _, err = cli("import-redisvl", "schema.yaml")
        assert code == 3
        assert "schema.yaml:6:" in err
        assert (
            "`type` is 'tagg' (expected one of text, tag, numeric, geo, vector); did you mean `tag`?" in err
        )
        assert "`algorithm` of 'embedding' is 'hsnw'" in err
        assert not (project / "specs").exists()

    @pytest.mark.parametrize(
        "text", ["[]", "index: {prefix: a}\nfields: []\n", "index: {name: a}\n", "{", ""]
    )
    def test_what_is_no_schema_is_refused_in_a_line(self, cli, project, text: str):
        (project / "schema.yaml").write_text(text)
        code, _, err = cli("import-redisvl", "schema.yaml")
        assert code == 3
        assert "schema.yaml" in err
        assert "Traceback" not in err

    def test_a_file_that_is_not_there(self, cli):
        code, _, err = cli("import-redisvl", "none.yaml")
        assert code == 3
        assert "none.yaml:1:1: cannot be read" in err
