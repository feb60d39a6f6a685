"""Each rule: what it finds, and where it stays silent."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from vecmigrate.diff.changes import diff_state
from vecmigrate.diff.findings import Finding
from vecmigrate.diff.lint import lint
from vecmigrate.diff.rules import RULES
from vecmigrate.diff.sides import Migration, Side, Step, compare
from vecmigrate.errors import Problem
from vecmigrate.spec.load import check_specs
from vecmigrate.spec.model import Location

SKILL = """\
version: 1
name: skill
index:
  name: idx:skill
  prefix: "skill:"
key: skill_id
fields:
  title: {type: text, sortable: true}
  level: {type: tag}
  embedding:
    type: vector
    dims: 8
    metric: cosine
    algorithm: hnsw
    m: 16
    ef_construction: 200
"""
SCRIPT = "migrations/0002_change.py"

Specs = Callable[..., Side]
Found = list[Finding]


@pytest.fixture
def side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Specs:
    """Make a side from the texts of specs, by the names of their files."""
    monkeypatch.chdir(tmp_path)

    def make(**texts: str) -> Side:
        folder = tmp_path / "specs"
        folder.mkdir(exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        for name, text in texts.items():
            (folder / f"{name}.yaml").write_text(text)
        loaded = check_specs([Path("specs")])
        return Side(
            specs=loaded.specs,
            problems=loaded.problems,
            state={spec.name: spec for spec in loaded.specs},
            texts={f"specs/{name}.yaml": text for name, text in texts.items()},
            config="pyproject.toml",
        )

    return make


def script(*steps: Step, revision: str = "0002", checksum: str = "sha256:2", **more: object) -> Migration:
    found = Migration(revision, "change", Location(SCRIPT, 10, 1), checksum, steps)
    return replace(found, **more)


def step(kind: str, name: str | None, *commands: str) -> Step:
    words = tuple(tuple(command.split()) for command in commands)
    return Step(f"{kind} {name or ''}".strip(), kind, (name,) if name else (), words)


def codes(base: Side, now: Side) -> Found:
    return list(lint(compare(base, now)))


def only(found: Found, code: str) -> Finding:
    ours = [item for item in found if item.code == code]
    assert len(ours) == 1, f"{code} in {[str(item) for item in found]}"
    assert ours[0].level == RULES[code].level
    assert ours[0].fix
    return ours[0]


def none(found: Found, code: str) -> None:
    assert code in RULES
    assert [str(item) for item in found if item.code == code] == []


def test_nothing_is_found_where_nothing_changes(side):
    both = side(skill=SKILL)
    assert codes(both, both) == []
    none(codes(side(), both), "index-dropped")


class TestDropped:
    def test_an_index(self, side):
        base, now = side(skill=SKILL), side()
        found = only(codes(base, now), "index-dropped")
        assert found.index == "skill"
        assert found.place == "pyproject.toml"

    def test_it_is_shown_where_the_migration_drops_it(self, side):
        base, now = side(skill=SKILL), side()
        now = replace(now, migrations=(script(step("drop_index", "skill", "FT.DROPINDEX idx:skill@0001")),))
        found = only(codes(base, now), "index-dropped")
        assert found.place == f"{SCRIPT}:10"
        none(codes(base, now), "data-deleted")

    def test_an_index_that_is_made_anew_with_a_gap(self, side):
        both = side(skill=SKILL)
        drop = step("drop_index", "skill", "FT.DROPINDEX idx:skill@0001")
        found = only(codes(both, replace(both, migrations=(script(drop),))), "index-dropped")
        assert "until it is built again" in found.message

    def test_an_index_by_hand(self, side):
        both = side(skill=SKILL)
        now = replace(both, migrations=(script(step("execute", None, "ft.dropindex idx:skill")),))
        assert "by hand" in only(codes(both, now), "index-dropped").message

    def test_a_kept_index_may_go(self, side):
        both = side(skill=SKILL)
        done = step("complete", "skill", "FT.DROPINDEX idx:skill@0001")
        none(codes(both, replace(both, migrations=(script(done),))), "index-dropped")

    def test_a_spec_with_errors_is_not_gone(self, side):
        base, now = side(skill=SKILL), side(skill=SKILL.replace("dims: 8", "dims: 0"))
        found = codes(base, now)
        assert [item.code for item in found] == ["out-of-range"]

    @pytest.mark.parametrize("command", ["FT.DROPINDEX idx:skill@0001 DD", "DEL tool_embeddings", "flushall"])
    def test_data(self, side, command):
        both = side(skill=SKILL)
        now = replace(both, migrations=(script(step("execute", None, command)),))
        assert command.split()[0] in only(codes(both, now), "data-deleted").message

    @pytest.mark.parametrize("command", ["FT.DROPINDEX DD", "HDEL key field", "SET DEL 1", "# DEL"])
    def test_other_commands_delete_no_data(self, side, command):
        both = side(skill=SKILL)
        none(codes(both, replace(both, migrations=(script(step("execute", None, command)),))), "data-deleted")

    def test_data_deleted_on_the_base_is_old_news(self, side):
        both = replace(side(skill=SKILL), migrations=(script(step("execute", None, "DEL key")),))
        none(codes(both, both), "data-deleted")


class TestFields:
    def test_dropped_while_helpers_return_it(self, side):
        base, now = side(skill=SKILL), side(skill=SKILL.replace("  level: {type: tag}\n", ""))
        found = only(codes(base, now), "field-dropped")
        assert "skill.level" in found.message
        assert "knn_search_skills" in found.message
        assert found.place == "specs/skill.yaml:7"

    def test_added_is_not_dropped(self, side):
        base, now = side(skill=SKILL.replace("  level: {type: tag}\n", "")), side(skill=SKILL)
        none(codes(base, now), "field-dropped")

    def test_no_longer_sortable(self, side):
        base, now = side(skill=SKILL), side(skill=SKILL.replace(", sortable: true", ""))
        assert "skill.title" in only(codes(base, now), "sortable-removed").message
        none(codes(now, base), "sortable-removed")

    @pytest.mark.parametrize("option", ["index: false", "noindex: true"])
    def test_no_longer_searchable(self, side, option):
        base = side(skill=SKILL.replace("sortable: true", "sortable: true"))
        changed = "sortable: true, noindex: true" if "noindex" in option else "index: false"
        now = side(skill=SKILL.replace("sortable: true", changed))
        assert "skill.title" in only(codes(base, now), "field-unsearchable").message
        none(codes(now, base), "field-unsearchable")


class TestGeneratedCode:
    def test_a_helper_goes(self, side):
        text = SKILL + "helpers:\n  knn: {name: %s}\n"
        base = replace(
            side(skill=text % "knn_search_skills"), public=frozenset({"knn_search_skills", "get_skill"})
        )
        now = replace(side(skill=text % "find_skills"), public=frozenset({"find_skills", "get_skill"}))
        found = only(codes(base, now), "helper-removed")
        assert "knn_search_skills" in found.message
        assert "get_skill" not in found.message
        assert found.place == "specs/skill.yaml:18"

    def test_a_helper_comes(self, side):
        both = side(skill=SKILL)
        base, now = (
            replace(both, public=frozenset({"a"})),
            replace(both, public=frozenset({"a", "knn_search_skills"})),
        )
        none(codes(base, now), "helper-removed")

    def test_stale(self, side):
        both = side(skill=SKILL)
        now = replace(
            both, stale="--- app/idx/_skill.py\n+++ app/idx/_skill.py\n@@\n-a\n+b\n", package="app/idx"
        )
        assert only(codes(both, now), "generated-stale").place == "app/idx/_skill.py"
        none(codes(both, both), "generated-stale")


class TestPrefix:
    @pytest.mark.parametrize("wide", ["skill", "sk", "s"])
    def test_widened(self, side, wide):
        base, now = side(skill=SKILL), side(skill=SKILL.replace('"skill:"', f'"{wide}"'))
        found = only(codes(base, now), "prefix-widened")
        assert repr(wide) in found.message
        assert found.place == "specs/skill.yaml:5"

    def test_keys_that_are_known_are_named(self, side):
        base, now = side(skill=SKILL), side(skill=SKILL.replace('"skill:"', '"skill"'))
        commands = ("HSCAN skill_embeddings <cursor>", "HSET skill:<name> skill_id <name>")
        fill = step("backfill_legacy_hash", "skill", *commands)
        now = replace(now, migrations=(script(fill),))
        assert only(codes(base, now), "prefix-widened").message.endswith("among them skill_embeddings")

    @pytest.mark.parametrize("other", ["skill:v2:", "skills:", "other:"])
    def test_narrowed_or_moved(self, side, other):
        base, now = side(skill=SKILL), side(skill=SKILL.replace('"skill:"', f'"{other}"'))
        none(codes(base, now), "prefix-widened")

    def test_inside_the_prefix_of_another_spec(self, side):
        other = SKILL.replace("name: skill", "name: trick").replace("idx:skill", "idx:trick")
        now = side(skill=SKILL, trick=other.replace('"skill:"', '"skill:trick:"'))
        found = [item for item in codes(side(skill=SKILL), now) if item.code == "prefix-overlap"]
        assert [item.level for item in found] == ["error"]
        assert found[0].place.startswith("specs/")
        apart = side(skill=SKILL, trick=other.replace('"skill:"', '"trick:"'))
        assert [item for item in codes(side(skill=SKILL), apart) if item.code == "prefix-overlap"] == []


class TestRenames:
    def test_undeclared(self, side):
        base = side(skill=SKILL)
        now = side(skill=SKILL.replace("  title:", "  headline:"))
        found = only(codes(base, now), "undeclared-rename")
        assert "title" in found.message
        assert "headline" in found.message
        assert "renamed_from: title" in found.fix
        assert found.place == "specs/skill.yaml:8"

    def test_declared(self, side):
        text = SKILL.replace(
            "  title: {type: text,", "  headline: {type: text, renamed_from: title, path: title,"
        )
        none(codes(side(skill=SKILL), side(skill=text)), "undeclared-rename")

    def test_of_the_alias(self, side):
        base, now = side(skill=SKILL), side(skill=SKILL.replace("idx:skill", "idx:skills"))
        assert only(codes(base, now), "alias-renamed").place == "specs/skill.yaml:4"
        none(codes(base, base), "alias-renamed")

    def test_of_a_further_alias(self, side):
        named = SKILL.replace("idx:skill\n", "idx:skill\n  aliases: [live, all]\n")
        fewer = named.replace("live, all", "all")
        found = only(codes(side(skill=named), side(skill=fewer)), "alias-renamed")
        assert (found.place, found.message) == ("specs/skill.yaml:5", "skill is no longer queried as live")
        none(codes(side(skill=fewer), side(skill=named)), "alias-renamed")
        # A spec that does not know them takes none away.
        none(codes(side(skill=named), side(skill=SKILL)), "alias-renamed")


class TestNameTaken:
    OWN = SKILL.replace("idx:skill\n", "idx:skill\n  alias: false\n")

    def test_a_new_index_needs_a_new_name(self, side):
        base, now = side(skill=self.OWN), side(skill=self.OWN.replace("m: 16", "m: 32"))
        found = only(codes(base, now), "name-taken")
        assert found.place == "specs/skill.yaml:4"
        assert "skill needs a new index (m 16 → 32 (rebuild))" in found.message
        assert found.fix == "write `name: idx:skill_2` under `index` in line 4 of specs/skill.yaml"
        mended = self.OWN.replace("m: 16", "m: 32").replace("idx:skill\n", "idx:skill_2\n")
        none(codes(base, side(skill=mended)), "name-taken")

    def test_so_does_an_index_that_gives_up_its_alias(self, side):
        found = only(codes(side(skill=SKILL), side(skill=self.OWN)), "name-taken")
        assert "the alias of the one that is there" in found.message

    def test_what_needs_no_new_index_does_not(self, side):
        base = side(skill=self.OWN)
        added = self.OWN.replace("  level:", "  year: {type: numeric}\n  level:")
        none(codes(base, side(skill=added)), "name-taken")
        none(codes(side(skill=SKILL), side(skill=SKILL.replace("m: 16", "m: 32"))), "name-taken")


class TestDocuments:
    def test_other_dimensions_need_other_vectors(self, side):
        base, now = side(skill=SKILL), side(skill=SKILL.replace("dims: 8", "dims: 16"))
        found = only(codes(base, now), "not-re-embedded")
        assert found.place == "specs/skill.yaml:12"
        none(codes(base, now), "not-rewritten")

    def test_another_prefix_needs_other_documents(self, side):
        base, now = side(skill=SKILL), side(skill=SKILL.replace('"skill:"', '"trick:"'))
        only(codes(base, now), "not-rewritten")
        none(codes(base, now), "not-re-embedded")

    @pytest.mark.parametrize("kind", ["run", "backfill_vectors"])
    def test_a_migration_that_writes_them(self, side, kind):
        base, now = side(skill=SKILL), side(skill=SKILL.replace("dims: 8", "dims: 16"))
        writes = step(kind, None if kind == "run" else "skill", "# calls embed")
        none(codes(base, replace(now, migrations=(script(writes),))), "not-re-embedded")
        builds = step("rebuild_index", "skill", "FT.CREATE idx:skill@0002")
        only(codes(base, replace(now, migrations=(script(builds),))), "not-re-embedded")


class TestVectors:
    def test_the_metric(self, side):
        base, now = side(skill=SKILL), side(skill=SKILL.replace("metric: cosine", "metric: ip"))
        found = only(codes(base, now), "metric-changed")
        assert "thresholds" in found.message
        assert found.place == "specs/skill.yaml:13"
        none(codes(base, base), "metric-changed")

    @pytest.mark.parametrize(
        ("old", "new"), [("m: 16", "m: 8"), ("ef_construction: 200", "ef_construction: 64")]
    )
    def test_a_poorer_graph(self, side, old, new):
        base, now = side(skill=SKILL), side(skill=SKILL.replace(f"    {old}", f"    {new}"))
        assert "lowered" in only(codes(base, now), "graph-weakened").message
        none(codes(now, base), "graph-weakened")

    @pytest.mark.parametrize(("documents", "found"), [(0, False), (125_000, True), (125_001, False)])
    def test_hnsw_over_little(self, side, documents, found):
        now = replace(side(skill=SKILL), documents={"skill": documents})
        (only if found else none)(codes(now, now), "hnsw-small")

    @pytest.mark.parametrize(("documents", "found"), [(0, False), (2_499_999, False), (2_500_000, True)])
    def test_flat_over_much(self, side, documents, found):
        text = SKILL.replace("hnsw\n    m: 16\n    ef_construction: 200", "flat")
        now = replace(side(skill=text), documents={"skill": documents})
        (only if found else none)(codes(now, now), "flat-large")

    def test_what_the_spec_expects_counts_where_nobody_counted(self, side):
        text = SKILL.replace("hnsw\n", "hnsw\n    initial_cap: 1000\n")
        now = side(skill=text)
        assert "expects 1,000" in only(codes(now, now), "hnsw-small").message
        none(codes(now, replace(now, documents={"skill": 1_000_000})), "hnsw-small")


class TestFieldsChangedInPlace:
    @pytest.mark.parametrize(
        ("new", "what"),
        [
            ("level: {type: text}", "labels become words"),
            ("level: {type: numeric}", "a document whose value does not fit leaves the index"),
            ("level: {type: geo}", "a document whose value does not fit leaves the index"),
            ('level: {type: json, from: "argument"}', "stored values have another form"),
        ],
    )
    def test_another_type(self, side, new, what):
        base, now = side(skill=SKILL), side(skill=SKILL.replace("level: {type: tag}", new))
        found = only(codes(base, now), "field-retyped")
        assert "tag is stored" in found.message
        assert what in found.message
        assert found.place == "specs/skill.yaml:9"

    def test_what_becomes_of_texts_and_numbers(self, side):
        text = SKILL.replace("level: {type: tag}", "level: {type: text}")
        assert "split at ','" in only(codes(side(skill=text), side(skill=SKILL)), "field-retyped").message
        number = SKILL.replace("level: {type: tag}", "level: {type: numeric}")
        found = only(codes(side(skill=number), side(skill=SKILL)), "field-retyped")
        assert "filters by range" in found.message

    def test_another_name_over_the_same_values(self, side):
        new = "grade: {type: tag, path: level, renamed_from: level}"
        found = codes(side(skill=SKILL), side(skill=SKILL.replace("level: {type: tag}", new)))
        assert "skill.level is called grade" in only(found, "field-renamed").message
        none(found, "field-moved")
        none(found, "field-retyped")

    def test_another_path_under_the_same_name(self, side):
        new = "level: {type: tag, path: grade}"
        found = codes(side(skill=SKILL), side(skill=SKILL.replace("level: {type: tag}", new)))
        assert "'grade', and no longer from 'level'" in only(found, "field-moved").message
        none(found, "field-renamed")

    def test_an_option_is_none_of_these(self, side):
        new = "level: {type: tag, case_sensitive: true}"
        found = codes(side(skill=SKILL), side(skill=SKILL.replace("level: {type: tag}", new)))
        for code in ("field-moved", "field-renamed", "field-retyped", "not-rewritten"):
            none(found, code)
        none(found, "field-renamed")
        none(found, "field-moved")
        none(found, "field-retyped")

    def test_another_separator(self, side):
        new = 'level: {type: tag, separator: "|"}'
        base, now = side(skill=SKILL), side(skill=SKILL.replace("level: {type: tag}", new))
        assert "stored lists" in only(codes(base, now), "not-rewritten").message
        written = replace(now, migrations=(script(step("run", None)),))
        none(codes(base, written), "not-rewritten")


class TestOrderDecides:
    BODY = "  body: {type: vector, dims: 8, algorithm: flat}\n"
    TITLE = "  title: {type: vector, dims: 8, algorithm: flat}\n"
    SMALL = "  title: {type: vector, dims: 4, algorithm: flat}\n"
    HEAD = SKILL[: SKILL.index("  title")]

    def test_vectors_that_change_places(self, side):
        base, now = (
            side(skill=self.HEAD + self.BODY + self.TITLE),
            side(skill=self.HEAD + self.TITLE + self.BODY),
        )
        found = only(codes(base, now), "search-moved")
        assert (
            "knn_search_skills and range_search_skills search title now, and searched body" in found.message
        )
        assert "store_skill takes title as its primary vector" in found.message
        assert "no error tells" in found.message
        assert found.place == "specs/skill.yaml:8"
        none(codes(base, base), "search-moved")

    def test_another_vector_that_is_primary(self, side):
        def specs(primary: str) -> str:
            both = self.HEAD + self.BODY + self.TITLE
            return both.replace(f"{primary}: {{type: vector,", f"{primary}: {{type: vector, primary: true,")

        found = only(codes(side(skill=specs("body")), side(skill=specs("title"))), "search-moved")
        assert "search title now, and searched body" in found.message
        base = side(skill=self.HEAD + self.BODY + self.TITLE)
        none(codes(base, side(skill=specs("body"))), "search-moved")

    def test_a_vector_that_comes_or_goes_before_the_others(self, side):
        one, two = side(skill=self.HEAD + self.BODY), side(skill=self.HEAD + self.SMALL + self.BODY)
        assert "no error tells" not in only(codes(one, two), "search-moved").message
        only(codes(two, one), "search-moved")
        none(codes(one, side(skill=self.HEAD + self.BODY + self.TITLE)), "search-moved")

    def test_a_first_vector_that_is_renamed_is_the_same(self, side):
        new = "  text: {type: vector, dims: 8, algorithm: flat, path: body, renamed_from: body}\n"
        found = codes(side(skill=self.HEAD + self.BODY), side(skill=self.HEAD + new))
        none(found, "search-moved")
        none(found, "store-moved")

    def test_fields_of_one_path_that_change_places(self, side):
        text, tag = "  name: {type: text}\n", "  label: {type: tag, path: name}\n"
        base = side(skill=self.HEAD + text + tag + self.BODY)
        now = side(skill=self.HEAD + tag + text + self.BODY)
        found = only(codes(base, now), "store-moved")
        assert "store_skill stores label under 'name' now, and stored name" in found.message
        none(codes(base, base), "store-moved")


class TestErrorsHidden:
    def test_on_a_new_index(self, side):
        now = side(skill=SKILL + "helpers:\n  on_error: empty\n")
        found = only(codes(side(), now), "errors-hidden")
        assert found.place == "specs/skill.yaml:18"

    def test_not_on_an_old_one_and_not_by_default(self, side):
        hidden = side(skill=SKILL + "helpers:\n  on_error: empty\n")
        none(codes(side(skill=SKILL), hidden), "errors-hidden")
        none(codes(side(), side(skill=SKILL)), "errors-hidden")


class TestHistory:
    def test_edited(self, side):
        both = side(skill=SKILL)
        base = replace(both, migrations=(script(),))
        now = replace(both, migrations=(script(checksum="sha256:3"),))
        assert only(codes(base, now), "migration-edited").place == f"{SCRIPT}:10"
        none(codes(base, base), "migration-edited")

    def test_removed(self, side):
        both = side(skill=SKILL)
        base = replace(both, migrations=(script(),))
        only(codes(base, both), "migration-removed")
        none(codes(both, base), "migration-removed")

    def test_broken(self, side):
        both = side(skill=SKILL)
        wrong = Problem(SCRIPT, 3, 1, "migrations-broken", "no such name", hint="mend it")
        found = only(codes(both, replace(both, state=None, broken=wrong)), "migrations-broken")
        assert (found.place, found.fix) == (f"{SCRIPT}:3", "mend it")
        none(codes(both, both), "migrations-broken")

    def test_several_heads(self, side):
        both = side(skill=SKILL)
        now = replace(both, migrations=(script(revision="a"), script(revision="b")), heads=("a", "b"))
        assert "a, b" in only(codes(both, now), "several-heads").message
        none(codes(both, replace(now, heads=("b",))), "several-heads")

    def test_the_specs_are_not_what_the_migrations_make(self, side):
        base, now = side(skill=SKILL), side(skill=SKILL.replace("    m: 16", "    m: 32"))
        late = replace(now, state=base.state)
        found = only(codes(base, late), "state-differs")
        assert "m 16 → 32" in found.message
        assert found.place == "specs/skill.yaml:15"
        none(codes(base, now), "state-differs")

    def test_what_autogenerate_refuses_is_not_sent_to_it(self, side):
        base, now = side(skill=SKILL), side(skill=SKILL.replace("    m: 16", "    m: 32"))
        late = replace(now, state=base.state, advice="run it")
        assert only(codes(base, late), "state-differs").fix == "run it"
        refused = replace(late, refused={("skill", "embedding", "m"): "by hand"})
        assert only(codes(base, refused), "state-differs").fix == "by hand"

    def test_no_way_back(self, side):
        both = side(skill=SKILL)
        now = replace(both, migrations=(script(irreversible="execute SET has no way back"),))
        only(codes(both, now), "irreversible-downgrade")
        none(codes(now, now), "irreversible-downgrade")
        none(codes(both, replace(both, migrations=(script(),))), "irreversible-downgrade")

    def test_not_all_the_way_back(self, side):
        both, other = side(skill=SKILL), side(skill=SKILL.replace("    m: 16", "    m: 32"))
        left = diff_state(other.state, both.specs).pending
        now = replace(both, migrations=(script(not_undone=left),))
        assert "m 32 → 16" in only(codes(both, now), "downgrade-differs").message
        none(codes(both, replace(both, migrations=(script(),))), "downgrade-differs")


class TestSuppression:
    CHANGED = SKILL.replace("metric: cosine", "metric: ip")

    def allow(self, side, line: str, code: str = "metric-changed") -> Found:
        return codes(side(skill=SKILL), side(skill=self.CHANGED.replace("    metric: ip", line)))

    def test_on_the_line(self, side):
        line = "    metric: ip  # vecmigrate: allow[metric-changed] measured anew"
        assert only(self.allow(side, line), "metric-changed").allowed == "measured anew"

    def test_on_the_line_above(self, side):
        line = "    # vecmigrate: allow[metric-changed] measured anew\n    # and more\n    metric: ip"
        found = self.allow(side, line)
        assert only(found, "metric-changed").allowed == "measured anew"
        none(found, "unused-suppression")

    def test_on_another_line_it_does_nothing(self, side):
        found = self.allow(side, "    metric: ip\n    # vecmigrate: allow[metric-changed] measured anew")
        assert only(found, "metric-changed").allowed is None
        assert only(found, "unused-suppression").place == "specs/skill.yaml:14"

    def test_another_code_does_nothing(self, side):
        found = self.allow(side, "    metric: ip  # vecmigrate: allow[graph-weakened] why not")
        assert only(found, "metric-changed").allowed is None
        only(found, "unused-suppression")

    def test_several_codes(self, side):
        found = self.allow(side, "    metric: ip  # vecmigrate: allow[metric-changed, graph-weakened] fine")
        assert only(found, "metric-changed").allowed == "fine"
        assert "graph-weakened" in only(found, "unused-suppression").message

    @pytest.mark.parametrize(
        ("comment", "what"),
        [
            ("allow[metric-changed]", "no reason"),
            ("allow[metric-changd] measured", "metric-changd"),
            ("allow measured", "does not say which"),
            ("allow[] measured", "does not say which"),
            ("allow[unused-suppression] because", "unused-suppression"),
            ("allow[wrong-type] because", "wrong-type"),
        ],
    )
    def test_what_is_no_good_allows_nothing(self, side, comment, what):
        found = self.allow(side, f"    metric: ip  # vecmigrate: {comment}")
        assert only(found, "metric-changed").allowed is None
        assert what in only(found, "bad-suppression").message

    def test_in_the_migration_that_carries_it_out(self, side):
        base, now = side(skill=SKILL), side(skill=self.CHANGED)
        text = '"""# vecmigrate: allow[data-deleted] is said here in words only."""\n'
        text += "# vecmigrate: allow[metric-changed] ok\n"
        about = replace(
            now,
            migrations=(script(step("rebuild_index", "skill")),),
            texts={SCRIPT: text},
        )
        found = codes(base, about)
        assert only(found, "metric-changed").allowed == "ok"
        none(found, "unused-suppression")
        none(found, "bad-suppression")
        other = replace(about, migrations=(script(step("rebuild_index", "trick")),))
        assert only(codes(base, other), "metric-changed").allowed is None

    def test_in_a_migration_of_the_base_it_may_stay(self, side):
        text = "# vecmigrate: allow[metric-changed] ok\n"
        both = replace(side(skill=SKILL), migrations=(script(),), texts={SCRIPT: text})
        none(codes(both, both), "unused-suppression")
        only(codes(replace(both, migrations=()), both), "unused-suppression")

    def test_in_the_configuration(self, side):
        base, now = side(skill=SKILL), side()
        text = "[tool.vecmigrate]\n# vecmigrate: allow[index-dropped] nobody asks for it since June\n"
        found = codes(base, replace(now, texts={"pyproject.toml": text}))
        assert only(found, "index-dropped").allowed == "nobody asks for it since June"


def test_every_rule_is_tested_here_both_ways():
    found, silent = set(), set()
    for node in ast.walk(ast.parse(Path(__file__).read_text())):
        if isinstance(node, ast.Call):
            names = {name.id for name in ast.walk(node.func) if isinstance(name, ast.Name)}
            texts = {item.value for item in node.args if isinstance(item, ast.Constant)}
            found |= texts if "only" in names else set()
            silent |= texts if "none" in names else set()
    assert set(RULES) - found == set()
    assert set(RULES) - silent == set()
