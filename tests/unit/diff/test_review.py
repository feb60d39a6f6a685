"""The report: its indexes, costs, order, comments and documentation."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import specs
from vecmigrate.cli.markdown import code, plain, render
from vecmigrate.diff import docs
from vecmigrate.diff.changes import diff_state
from vecmigrate.diff.cost import cost
from vecmigrate.diff.findings import Finding
from vecmigrate.diff.order import Deployment, deployment
from vecmigrate.diff.review import Report, review
from vecmigrate.diff.sides import Migration, Side, Step
from vecmigrate.diff.suppress import read_suppressions
from vecmigrate.search.memory import estimate
from vecmigrate.spec.build import spec_from_mapping
from vecmigrate.spec.change import change_spec
from vecmigrate.spec.model import Hnsw, IndexSpec, Location

VECTOR = {"type": "vector", "dims": 8, "metric": "cosine", "algorithm": "hnsw", "m": 16}
ROOT = Path(__file__).parents[3]


def spec(
    name: str = "skill",
    alias: str = "idx:skill",
    vector: dict | None = None,
    fields: dict | None = None,
    **index: object,
) -> IndexSpec:
    return spec_from_mapping(
        {
            "version": 1,
            "name": name,
            "index": {"name": alias, "prefix": f"{name}:", **index},
            "key": f"{name}_id",
            "fields": {**(fields or {"title": {"type": "text"}}), "embedding": VECTOR | (vector or {})},
        }
    )


def side(
    *specs: IndexSpec, migrations: tuple[Migration, ...] = (), start: tuple[IndexSpec, ...] = ()
) -> Side:
    return Side(
        specs=specs,
        migrations=migrations,
        state={item.name: item for item in specs},
        start={item.name: item for item in start},
    )


def script(*steps: Step, revision: str = "0002") -> Migration:
    return Migration(revision, "change", Location("migrations/0002.py", 3, 1), "sha256:2", steps)


def of(old: IndexSpec | None, new: IndexSpec | None) -> Report:
    base = side(*([old] if old else []))
    return review(base, side(*([new] if new else [])), base_name="main")


def names(report: Report) -> list[str]:
    return [stage.name for stage in report.indexes[0].deployment.stages]


class TestOrder:
    def test_a_rebuild_that_everybody_bears(self):
        report = of(spec(), spec(vector={"m": 32}))
        assert report.indexes[0].kind == "rebuild"
        assert names(report) == ["expand", "deploy", "contract"]
        assert "vecmigrate complete skill" in report.indexes[0].deployment.stages[-1].action

    def test_a_dropped_field_needs_the_services_first(self):
        fields = {"title": {"type": "text"}, "level": {"type": "tag"}}
        report = of(spec(fields=fields), spec())
        assert names(report) == ["deploy", "contract", "contract"]
        assert "level" in report.indexes[0].deployment.stages[0].action

    def test_an_added_field_needs_the_index_first(self):
        fields = {"title": {"type": "text"}, "level": {"type": "tag"}}
        assert names(of(spec(), spec(fields=fields))) == ["expand", "deploy"]

    @pytest.mark.parametrize(
        "change", [{"vector": {"metric": "ip"}}, {"vector": {"dims": 16}}, {"storage": "json"}]
    )
    def test_what_no_two_releases_can_share(self, change):
        report = of(spec(), spec(**change))
        assert names(report) == ["expand", "deploy", "contract"]
        assert "old and new pods need different indexes" in report.indexes[0].deployment.stages[0].action

    def test_a_new_alias_leads_there_too_until_it_is_completed(self):
        report = of(spec(), spec(alias="idx:abilities"))
        assert names(report) == ["expand", "deploy", "contract"]
        assert "old name" in report.indexes[0].deployment.stages[-1].action

    def test_without_an_alias_each_release_asks_its_own_index(self):
        # The metric, a field that goes: whatever pods of two releases could not share.
        fields = {"title": {"type": "text"}, "level": {"type": "tag"}}
        behind = spec("skill", "idx:skill", None, fields)
        old = change_spec(behind, {"index": {"name": "idx:a", "alias": False}})
        new = change_spec(
            old, {"index": {"name": "idx:b"}, "embedding": {"metric": "l2"}, "drop_fields": ["level"]}
        )
        report = of(old, new)
        assert names(report) == ["expand", "deploy", "contract"]
        assert (
            "under the new name; the old one keeps the old name"
            in report.indexes[0].deployment.stages[0].action
        )
        assert "old name" in report.indexes[0].deployment.stages[-1].action
        # Documents that have to be written anew are shared all the same.
        moved = change_spec(old, {"index": {"name": "idx:b"}, "embedding": {"dims": 16}})
        assert (
            "old and new pods need different indexes" in of(old, moved).indexes[0].deployment.stages[0].action
        )

    def test_further_aliases_cost_nothing(self):
        report = of(spec(), spec(aliases=["live"]))
        assert names(report) == ["expand", "deploy"]
        assert report.indexes[0].cost.describe() == "no document and no index is touched"

    def test_a_new_name_costs_nothing(self):
        report = of(spec(), spec(alias="idx:abilities"))
        assert report.indexes[0].cost.describe() == "no document and no index is touched"
        both = of(spec(), spec(alias="idx:abilities", vector={"m": 32}))
        assert "indexed a second time" in both.indexes[0].cost.describe()

    def test_coming_and_going(self):
        assert names(of(None, spec())) == ["expand", "deploy"]
        assert names(of(spec(), None)) == ["deploy", "contract"]

    def test_nothing_changes_nothing_is_to_be_done(self):
        assert deployment((), None, None) == Deployment()
        report = of(spec(), spec())
        assert report.indexes == ()
        assert report.unchanged == ("skill",)


class TestCost:
    def test_of_what_touches_nothing(self):
        assert cost("nothing", spec()).describe() == "no document and no index is touched"

    def test_without_a_server_grows_with_the_vectors(self):
        small = cost("rebuild", spec()).memory_a_document
        large = cost("rebuild", spec(vector={"dims": 1008})).memory_a_document
        assert small is not None
        assert large is not None
        assert 4_000 <= large - small <= 5_000
        assert f"{small:,} bytes a document" in cost("rebuild", spec()).describe()

    def test_with_one_is_told_from_its_figures(self):
        algorithm = spec().vector.algorithm
        assert isinstance(algorithm, Hnsw)
        graph = {"algorithm": "HNSW", "dim": spec().vector.dims, "M": algorithm.m}
        attribute = {"type": "VECTOR", "ef_construction": algorithm.ef_construction, **graph}
        info = {"num_docs": 20_000, "total_indexing_time": 15_000.0, "attributes": [attribute]}
        found = cost("rebuild", spec(), info)
        assert (found.documents, found.seconds) == (20_000, 15.0)
        assert found.memory == estimate(spec(), info)
        assert "20,000 documents" in found.describe()
        assert "15 s" in found.describe()

    def test_altering_needs_no_second_index(self):
        assert cost("in_place", spec(), {"num_docs": 10}).memory is None

    def test_an_empty_index_says_nothing_of_a_rate(self):
        assert cost("rebuild", spec(), {"num_docs": 0, "total_indexing_time": 3.0}).seconds is None


class TestReport:
    def test_commands_are_under_the_index_that_they_are_about(self):
        build = Step("rebuild_index skill", "rebuild_index", ("skill",), (("FT.CREATE", "idx:skill@0002"),))
        other = Step("execute SET", "execute", (), (("SET", "a", "1"),))
        new = spec(vector={"m": 32})
        report = review(side(spec()), side(new, migrations=(script(build, other),)), base_name="main")
        assert [step.title for step in report.indexes[0].steps] == ["rebuild_index skill"]
        assert [step.title for step in report.steps] == ["execute SET"]
        assert [item.revision for item in report.migrations] == ["0002"]

    def test_what_the_base_has_is_not_pending(self):
        build = Step("create_index skill", "create_index", ("skill",), (("FT.CREATE", "idx:skill@0002"),))
        both = side(spec(), migrations=(script(build),), start=(spec(),))
        assert review(both, both, base_name="main").indexes == ()

    def test_a_migration_for_a_spec_that_the_base_has_already(self):
        build = Step("create_index skill", "create_index", ("skill",), (("FT.CREATE", "idx:skill@0002"),))
        now = side(spec(), migrations=(script(build),))
        report = review(side(spec()), now, base_name="main")
        assert [(item.name, item.kind) for item in report.indexes] == [("skill", "create")]

    def test_failing_counts_what_is_open(self):
        report = of(spec(), spec(vector={"metric": "ip"}))
        assert report.fails("warning")
        assert report.fails("info")
        assert not report.fails("error")
        assert report.counts() == {"error": 0, "warning": 1, "info": 0}

    def test_the_worst_comes_first(self):
        report = of(spec(), spec(vector={"metric": "ip", "dims": 16}))
        assert [item.level for item in report.open] == ["error", "warning"]

    def test_names_that_come_and_go_in_generated_code(self):
        base, now = (
            replace(side(spec()), public=frozenset("ab")),
            replace(side(spec()), public=frozenset("bc")),
        )
        report = review(base, now, base_name="main")
        assert (report.exported, report.withdrawn) == (("c",), ("a",))
        assert "- gone: `a`\n- new: `c`" in render(report)
        assert review(base, side(spec()), base_name="main").withdrawn == ()

    def test_as_json(self):
        found = of(spec(), spec(vector={"m": 32})).to_dict()
        assert found["indexes"][0]["type"] == "rebuild"
        change = found["indexes"][0]["changes"][0]
        assert (change["option"], change["old"], change["new"]) == ("m", 16, 32)
        assert found["unchanged"] == []


class TestMarkdown:
    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("a", "`a`"),
            ("a|b", "`a\\|b`"),
            ("`", "`` ` ``"),
            ("a``b", "```a``b```"),
            ("a\nb", "`a b`"),
        ],
    )
    def test_code(self, text, shown):
        assert code(text) == shown

    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("hello", "hello"),
            ("a | b", "a \\| b"),
            ("@everybody", "\\@&#8203;everybody"),
            ("see #12 and a@b", "see \\#&#8203;12 and a\\@&#8203;b"),
            ("&lt;b&gt; &#64;you", "\\&lt;b\\&gt; \\&\\#&#8203;64;you"),
            ("\x1b[31m \u202e", "\\\\x1b\\[31m \\\\u202e"),
            ("<img src=x>", "\\<img src=x\\>"),
            ("run `a_b` now_", "run `a_b` now\\_"),
            ("![x](y)", "\\!\\[x\\](y)"),
            ("one ` tick", "one \\` tick"),
        ],
    )
    def test_text_has_no_markup_of_its_own(self, text, shown):
        assert plain(text) == shown

    def test_it_fits_into_a_comment(self):
        words = ("FT.CREATE", "x" * 1000)
        steps = tuple(Step(f"s{n}", "execute", ("skill",), (words,)) for n in range(100))
        new = side(spec(), migrations=(script(*steps),))
        text = render(review(side(), new, base_name="main"))
        assert len(text) < 65_536
        assert "### `skill`" in text
        assert "FT.CREATE" not in text

    def test_even_where_there_is_too_much_to_find(self):
        finding = Finding("metric-changed", "warning", "m" * 1000, "f", None)
        report = Report("main", (), (), (), (finding,) * 100)
        text = render(report)
        assert len(text) < 65_536
        assert text.endswith("too long for a comment.")


class TestComments:
    @pytest.mark.parametrize(
        "line",
        [
            "# vecmigrate: allow[a] why",
            "#vecmigrate:allow[a] why",
            "x: 1   # vecmigrate: allow[a]: why",
            "# vecmigrate: allow [a] - why",
        ],
    )
    def test_are_found(self, line):
        (found,) = read_suppressions("specs/a.yaml", line)
        assert (found.codes, found.reason, found.covers) == (("a",), "why", 1)

    @pytest.mark.parametrize(
        "line", ["# vecmigrate: allowed[a] why", "x#vecmigrate: allow[a] why", "# allow[a] b"]
    )
    def test_others_are_not(self, line):
        assert read_suppressions("specs/a.yaml", line) == ()

    def test_in_scripts_strings_are_none(self):
        text = 'X = "# vecmigrate: allow[a] b"\nY = 1  # vecmigrate: allow[c] d\n'
        assert [item.codes for item in read_suppressions("migrations/a.py", text)] == [("c",)]

    def test_scripts_that_are_none_have_none(self):
        assert read_suppressions("migrations/a.py", "def (:\n'''") == ()


def test_the_documentation_is_what_the_rules_say():
    written = (ROOT / "docs" / "review.md").read_text("utf-8")
    assert written == docs.render(), "run: python -m vecmigrate.diff.docs > docs/review.md"


@given(specs(), specs(), st.booleans())
def test_whatever_changes_can_be_told(one, other, together):
    """Two specs of one name are the worst that a change can be; of two names, one comes and one goes."""
    new = replace(other, name=one.name) if together else other
    base, now = side(one), replace(side(new), state={one.name: one})
    report = review(base, now, base_name="main")
    assert json.loads(json.dumps(report.to_dict(), default=list))["base"] == "main"
    assert render(report).startswith("<!-- vecmigrate review -->")
    told = {change.index for item in report.indexes for change in item.changes}
    pending = {change.index for change in diff_state({one.name: one}, [new]).pending}
    assert pending <= told
    # What no migration does is always found.
    assert bool(pending) == any(item.code == "state-differs" for item in report.findings)
    for item in report.indexes:
        assert item.deployment.stages or not item.changes
        assert all(change.describe() for change in item.changes)
