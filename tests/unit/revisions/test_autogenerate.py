"""The scripts that lead from what the migrations make to what the specs say."""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.strategies import spec_mappings
from vecmigrate.diff.changes import diff_state
from vecmigrate.errors import AutogenerateError
from vecmigrate.operations import Recorder
from vecmigrate.operations.state import State
from vecmigrate.revisions.autogenerate import Draft, draft
from vecmigrate.revisions.template import render_script
from vecmigrate.spec.build import spec_from_mapping, spec_to_mapping
from vecmigrate.spec.change import same_index
from vecmigrate.spec.model import IndexSpec

SKILL: dict[str, Any] = {
    "name": "skill",
    "index": {"name": "idx:skill", "prefix": "skill:"},
    "key": "skill_id",
    "fields": {
        "skill_id": {"type": "tag", "from": "key"},
        "title": {"type": "text", "path": "title", "default": ""},
        "shop": {"type": "tag", "index": False},
        "meta": {"type": "json"},
        "embedding": {"type": "vector", "dims": 4},
    },
}


def skill(**changes: Any) -> IndexSpec:
    """SKILL with `<section>__<key>=value`; None takes a key away."""
    mapping = copy.deepcopy(SKILL)
    for path, value in changes.items():
        *sections, key = path.split("__")
        place = mapping
        for section in sections:
            place = place[section]
        if value is None:
            del place[key]
        else:
            place[key] = value
    return spec_from_mapping(mapping)


def by_name(*specs: IndexSpec) -> dict[str, IndexSpec]:
    return {spec.name: spec for spec in specs}


def state_of(*specs: IndexSpec) -> State:
    state = State()
    for spec in specs:
        state = state.with_index(spec, "r0", published=True)
    return state


def script(made: Draft) -> dict[str, Any]:
    text = render_script(
        revision="r1",
        down_revision=("r0",),
        message="what it does",
        details=made.details,
        statements=made.body(),
    )
    module: dict[str, Any] = {}
    exec(compile(text, "r1.py", "exec"), module)
    assert module["__doc__"].startswith("what it does\n\n")
    return module


def run(made: Draft, before: State) -> tuple[State, State]:
    """The state after the script's upgrade, and after its downgrade."""
    module = script(made)
    up = Recorder("r1", before)
    module["upgrade"](up)
    down = Recorder("r1", up.state, base=before)
    module["downgrade"](down)
    return up.state, down.state


def specs_of(state: State) -> dict[str, IndexSpec]:
    return by_name(*(item.spec for item in state))


def body(old: Sequence[IndexSpec], new: Sequence[IndexSpec], **options: Any) -> str:
    made = draft(by_name(*old), new, **options)
    up, down = run(made, state_of(*old))
    assert diff_state(specs_of(up), new).pending == ()
    assert same(specs_of(down), by_name(*old))
    return made.body()


def same(one: dict[str, IndexSpec], other: dict[str, IndexSpec]) -> bool:
    return one.keys() == other.keys() and all(same_index(one[name], other[name]) for name in one)


def test_only_what_changes_is_said():
    text = body([skill()], [skill(fields__embedding__m=32)])
    assert text == '    op.rebuild_index("skill", embedding={"m": 32})'


def test_a_field_whose_values_may_be_there_is_added_in_place():
    text = body([skill()], [skill(fields__year={"type": "numeric"})])
    assert text == '    op.alter_index("skill", add={"year": {"type": "numeric"}})'


def test_a_stored_field_is_indexed_in_place():
    text = body([skill()], [skill(fields__shop={"type": "tag"})])
    assert text == '    op.alter_index("skill", add={"shop": {"type": "tag"}})'


def test_what_touches_no_index_needs_no_script():
    new = [skill(fields__embedding__ef_runtime=99, description="What it can do.")]
    made = draft(by_name(skill()), new)
    assert made.calls == ()
    assert [change.kind for change in made.diff.changes] == ["nothing"]


def test_a_rebuild_takes_along_what_would_not_need_one():
    new = skill(fields__embedding__ef_runtime=99, fields__embedding__m=8, fields__year={"type": "numeric"})
    text = body([skill()], [new])
    assert text.splitlines() == [
        "    op.rebuild_index(",
        '        "skill",',
        '        embedding={"m": 8, "ef_runtime": 99},',
        '        fields={"year": {"type": "numeric"}},',
        "    )",
    ]


def test_a_json_document_holds_numbers_whatever_the_index_makes_of_them():
    stored = {"index__storage": "json", "fields__title__path": "$.title"}
    old, new = skill(**stored), skill(**stored, fields__embedding__datatype="float16")
    assert body([old], [new]) == '    op.rebuild_index("skill", embedding={"datatype": "float16"})'


def test_a_dropped_field():
    assert (
        body([skill()], [skill(fields__title=None)]) == '    op.rebuild_index("skill", drop_fields=["title"])'
    )


def test_a_new_spec_and_one_that_is_gone():
    film = spec_from_mapping(
        {
            "name": "film",
            "index": {"name": "idx:film", "prefix": "film:"},
            "key": "film_id",
            "fields": {"embedding": {"type": "vector", "dims": 8}},
        }
    )
    text = body([skill()], [film])
    assert text.index("create_index") < text.index("drop_index")
    assert text.endswith('    op.drop_index("skill")')


def test_an_alias_that_changes_hands_is_free_before_it_is_taken():
    other = spec_from_mapping({**copy.deepcopy(SKILL), "name": "ability"})
    text = body([skill()], [other], known_new=["ability"])
    assert text.index("drop_index") < text.index("create_index")


def test_a_declared_rename_of_a_spec_comes_before_what_else_changes():
    new = skill(name="ability", renamed_from="skill", index__name="idx:ability", fields__embedding__m=32)
    assert body([skill()], [new]).splitlines() == [
        '    op.rename_index("skill", to="ability", index_name="idx:ability")',
        '    op.rebuild_index("ability", embedding={"m": 32})',
    ]


def test_a_declared_rename_of_a_field_keeps_its_values():
    new = skill(
        fields__title=None,
        fields__headline={"type": "text", "path": "title", "default": "", "renamed_from": "title"},
    )
    assert body([skill()], [new]) == '    op.rebuild_index("skill", rename_fields={"title": "headline"})'


def test_the_docstring_says_what_will_happen():
    made = draft(by_name(skill()), [skill(fields__embedding__metric="ip", fields__title=None)])
    text = " ".join(made.details.split())
    assert "Rebuilds skill over the same documents." in text
    assert "idx:skill goes on answering from the old index" in text
    assert "embedding: metric from cosine to ip (scores change their meaning" in text
    assert "field title (text) is dropped (stored values stay where they are)" in text
    assert "Downgrade goes back to the index that was replaced" in text
    assert max(map(len, made.details.splitlines())) <= 100


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"fields__embedding__dims": 8}, r"re-embed.*dims 4 → 8.*op\.run\(…\) that writes the vectors to "
         r"another path, say embedding_new.*rebuild_index.*dims.: 8, .path.: .embedding_new"),
        ({"fields__embedding__datatype": "float16"}, r"rewrite.*datatype float32 → float16.*embedding_new"),
        ({"index__prefix": "skills:"}, r"rewrite.*helpers will look for them.*a spec of another name"),
        ({"index__storage": "json", "fields__title__path": "$.title"}, r"rewrite.*index.storage hash → json"),
        ({"fields__year": {"type": "numeric", "default": 0}},
         r"rewrite.*leave that out.*op\.alter_index\(\"skill\", add="),
        ({"fields__skill_id__separator": "|"},
         r"rewrite.*stored lists.*op\.run.*then op\.rebuild_index\(.*skill_id=.*last call alone will do"),
        ({"fields__title": {"type": "numeric", "path": "title"}},
         r"rewrite.*does not fit leaves the index.*op\.rebuild_index"),
        ({"fields__title__path": "headline"}, r"rewrite.*stored values have to be moved.*op\.rebuild_index"),
        ({"fields__more": {"type": "vector", "dims": 2}}, r"re-embed.*no document has such a vector yet"),
    ],
)  # fmt: skip  # patterns read best unbroken
def test_what_needs_documents_written_stops_it(changes: dict[str, Any], expected: str):
    with pytest.raises(AutogenerateError, match="one thing has to be decided first") as caught:
        draft(by_name(skill()), [skill(**changes)])
    (problem,) = caught.value.problems
    told = f"{problem.code} {problem}"
    assert re.search(expected, told), told
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"fields__year": {"type": "numeric", "default": 0}},
        {"fields__skill_id__separator": "|"},
        {"fields__title": {"type": "numeric"}},
        {"fields__title": {"type": "geo"}},
    ],
)
def test_the_advice_about_what_is_refused_is_one_that_works(changes: dict[str, Any]):
    old, new = skill(), skill(**changes)
    with pytest.raises(AutogenerateError) as caught:
        draft(by_name(old), [new])
    advice = str(caught.value.problems[0].hint).rpartition("and then ")[2].partition("; where every")[0]
    op = Recorder("r1", state_of(old))
    exec(advice, {"op": op})
    assert diff_state(specs_of(op.state), [new]).pending == ()


def test_names_that_helpers_keep_apart_do_not_clash_in_a_migration():
    clashing = skill(fields__query_embedding={"type": "tag"}, helpers={"knn": {"query": "probe"}})
    assert "query_embedding" in body([], [clashing])
    assert "query_embedding" in body([skill()], [clashing])


def test_a_field_called_like_a_parameter_of_the_operation_is_reached():
    taken = [name for name in inspect.signature(Recorder.rebuild_index).parameters if name != "changes"]
    assert "name" in taken
    for name in taken:
        old = skill(**{f"fields__{name}": {"type": "tag"}})
        new = skill(**{f"fields__{name}": {"type": "tag", "case_sensitive": True}})
        text = body([old], [new])
        assert (
            text == f'    op.rebuild_index("skill", change_fields={{"{name}": {{"case_sensitive": True}}}})'
        )


def test_what_may_be_a_rename_stops_it_and_shows_both_readings():
    new = skill(fields__title=None, fields__headline={"type": "text"})
    with pytest.raises(AutogenerateError) as caught:
        draft(by_name(skill()), [new])
    (problem,) = caught.value.problems
    assert problem.code == "ambiguous-rename"
    assert "renamed_from: title" in str(problem)
    assert "--new skill.headline" in str(problem)
    text = body([skill()], [new], known_new=["skill.headline"])
    assert "drop_fields" in text
    assert "headline" in text


@given(st.data())
@settings(max_examples=30, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
def test_any_script_leads_to_the_specs_and_back(data: st.DataObject):
    old = spec_from_mapping(data.draw(spec_mappings(name="item", helpers=False)))
    new = spec_from_mapping(data.draw(changed(old)))
    try:
        made = draft({"item": old}, [new], known_new=[f"item.{field.name}" for field in new.fields])
    except AutogenerateError:
        assume(False)
    before = state_of(old)
    up, down = run(made, before)
    assert diff_state(specs_of(up), [new]).pending == ()
    if any(item.name == "rebuild_index" for item in made.calls):
        assert same_index(specs_of(up)["item"], new)
    assert same(specs_of(down), {"item": old})


@given(spec_mappings(name="item"), spec_mappings(name="thing"))
@settings(max_examples=10)
def test_any_spec_can_be_created_and_dropped(one: dict[str, Any], other: dict[str, Any]):
    specs = [spec_from_mapping(one), spec_from_mapping(other)]
    created = draft({}, specs)
    up, down = run(created, State())
    assert diff_state(specs_of(up), specs).changes == ()
    assert down == State()
    dropped = draft(by_name(*specs), [])
    up, down = run(dropped, state_of(*specs))
    assert up == State()
    assert same(specs_of(down), by_name(*specs))


@st.composite
def changed(draw: st.DrawFn, old: IndexSpec) -> dict[str, Any]:
    """A mapping like that of a spec, with some changes that leave stored documents as they are."""
    mapping = spec_to_mapping(old)
    mapping.pop("helpers", None)
    for name, field in list(mapping["fields"].items()):
        kind = field["type"]
        choice = draw(st.sampled_from(["keep", "keep", "change", "drop"]))
        if kind == "vector" and choice == "drop":
            choice = "change"
        if choice == "drop" and kind != "json":
            del mapping["fields"][name]
        elif choice == "change" and kind == "vector" and field["algorithm"] == "hnsw":
            field["m"] = draw(st.integers(2, 64))
            field["ef_runtime"] = draw(st.integers(1, 100))
        elif choice == "change" and kind in {"text", "tag"} and field.get("index") is not False:
            field["nostem" if kind == "text" else "case_sensitive"] = draw(st.booleans())
        elif choice == "change" and field.get("index") is False:
            del field["index"]
    for number in range(draw(st.integers(0, 2))):
        kind = draw(st.sampled_from(["text", "tag", "numeric", "geo"]))
        mapping["fields"][f"added_{number}"] = {"type": kind}
    if draw(st.booleans()):
        mapping["index"]["stopwords"] = draw(st.sampled_from([[], ["a"], ["the", "an"]]))
    if draw(st.booleans()):
        mapping["index"]["name"] = "idx:other"
    return mapping


class TestAliases:
    def test_only_they_change(self):
        text = body([skill()], [skill(index__aliases=["live", "other"])])
        assert text == '    op.set_aliases("skill", ["live", "other"])'
        assert body([skill(index__aliases=["live"])], [skill(index__aliases=[])]) == (
            '    op.set_aliases("skill", [])'
        )

    def test_to_know_that_there_are_none_is_written_down(self):
        made = draft(by_name(skill()), [skill(index__aliases=[])])
        assert made.body() == '    op.set_aliases("skill", [])'
        assert [change.kind for change in made.diff.changes] == ["in_place"]

    def test_a_spec_that_does_not_know_them_leaves_them(self):
        old = skill(index__aliases=["live"])
        made = draft(by_name(old), [skill()])
        assert made.calls == ()
        assert "`aliases: []` takes them away" in made.diff.changes[0].describe()
        text = body([old], [skill(fields__embedding__m=32)])
        assert text == '    op.rebuild_index("skill", embedding={"m": 32})'

    def test_with_a_rebuild_they_go_along(self):
        text = body([skill()], [skill(index__aliases=["live"], fields__embedding__m=32)])
        assert text == '    op.rebuild_index("skill", embedding={"m": 32}, index={"aliases": ["live"]})'

    def test_beside_a_field_that_is_added(self):
        new = skill(index__aliases=["live"], fields__year={"type": "numeric"})
        assert body([skill()], [new]).splitlines() == [
            '    op.set_aliases("skill", ["live"])',
            '    op.alter_index("skill", add={"year": {"type": "numeric"}})',
        ]

    def test_one_that_becomes_the_name(self):
        old = skill(index__aliases=["live", "all"])
        new = skill(index__name="live", index__aliases=["all"])
        assert body([old], [new]) == '    op.rename_index("skill", index_name="live")'
        kept = skill(index__name="live", index__aliases=["all", "idx:skill"])
        assert body([old], [kept]).splitlines() == [
            '    op.rename_index("skill", index_name="live")',
            '    op.set_aliases("skill", ["all", "idx:skill"])',
        ]

    @pytest.mark.parametrize("rebuilt", [False, True])
    def test_one_that_goes_over_to_another_index_is_given_up_first(self, rebuilt: bool):
        more = {"fields__embedding__m": 32} if rebuilt else {}
        other = {"name": "other", "index__prefix": "other:", "key": "other_id"}
        first = skill(index__aliases=["live", "a"])
        second = skill(**other, index__name="idx:other", index__aliases=["b"])
        new = [
            skill(index__aliases=["b", "a"], **more),
            skill(**other, index__name="idx:other", index__aliases=["live"], **more),
        ]
        text = body([first, second], new)
        assert text.startswith('    op.set_aliases("skill", ["a"])\n    op.set_aliases("other", [])\n')
        assert body([first], [skill(), skill(**other, index__name="live")]).startswith(
            '    op.set_aliases("skill", ["a"])\n    op.create_index('
        )

    def test_one_of_an_index_that_is_dropped(self):
        other = {"name": "other", "index__prefix": "other:", "key": "other_id", "fields__title": None}
        new = skill(**other, index__name="idx:other", index__aliases=["live"])
        made = draft(by_name(skill(index__aliases=["live"])), [new])
        assert [call.name for call in made.calls] == ["drop_index", "create_index"]


class TestWithoutAlias:
    OWN = skill(index__alias=False)

    def test_a_new_name_is_a_new_index(self):
        text = body([self.OWN], [skill(index__alias=False, index__name="idx:skill_2")])
        assert text == '    op.rebuild_index("skill", index={"name": "idx:skill_2"})'
        new = skill(index__alias=False, index__name="idx:skill_2", fields__embedding__m=32)
        text = body([self.OWN], [new])
        assert text == ('    op.rebuild_index("skill", embedding={"m": 32}, index={"name": "idx:skill_2"})')

    def test_what_needs_no_new_index_needs_no_name(self):
        text = body([self.OWN], [skill(index__alias=False, fields__year={"type": "numeric"})])
        assert text == '    op.alter_index("skill", add={"year": {"type": "numeric"}})'
        assert body([self.OWN], [skill(index__alias=False, index__aliases=["live"])]) == (
            '    op.set_aliases("skill", ["live"])'
        )

    def test_from_one_to_the_other(self):
        text = body([skill()], [skill(index__alias=False, index__name="idx:skill_2")])
        assert text == '    op.rebuild_index("skill", index={"name": "idx:skill_2", "alias": False})'
        assert body([self.OWN], [skill()]) == '    op.rebuild_index("skill", index={"alias": None})'

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            (OWN, {"fields__embedding__m": 32}),
            (OWN, {"fields__embedding__metric": "l2"}),
            (OWN, {"fields__shop": None, "fields__title__weight": 2}),
            (OWN, {"fields__embedding__dims": 8}),
            (OWN, {"index__stopwords": []}),
            (skill(), {}),
            (skill(index__aliases=["live"]), {"index__name": "live", "index__aliases": []}),
        ],
    )
    def test_the_same_name_cannot_be_built_again(self, old: IndexSpec, new: dict[str, Any]):
        with pytest.raises(AutogenerateError) as raised:
            draft(by_name(old), [skill(index__alias=False, **new)])
        (found,) = [problem for problem in raised.value.problems if problem.code == "name-taken"]
        name = new.get("index__name", "idx:skill")
        assert "skill needs a new index (" in found.message
        assert repr(name) in found.message
        assert found.hint == f"write `name: {name}_2` under `index` in the spec"

    def test_the_next_name_is_one_that_nobody_has(self):
        old = skill(index__alias=False, index__name="idx:skill_2")
        other = skill(
            name="other", key="o", index__prefix="o:", index__name="x", index__aliases=["idx:skill_3"]
        )
        new = skill(index__alias=False, index__name="idx:skill_2", fields__embedding__m=32)
        with pytest.raises(AutogenerateError) as raised:
            draft(by_name(old, other), [new, other])
        assert "`name: idx:skill_4`" in str(raised.value.problems[0].hint)
