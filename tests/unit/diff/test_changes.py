"""What each difference between two specs takes."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import spec_mappings
from vecmigrate.diff.changes import Change, diff_specs, diff_state, worst
from vecmigrate.diff.model import KINDS
from vecmigrate.spec.build import spec_from_mapping
from vecmigrate.spec.change import change_spec, same_index
from vecmigrate.spec.load import load_specs
from vecmigrate.spec.model import IndexSpec

SKILL: dict[str, Any] = {
    "name": "skill",
    "index": {"name": "idx:skill", "prefix": "skill:"},
    "key": "skill_id",
    "fields": {
        "skill_id": {"type": "tag", "from": "key"},
        "title": {"type": "text", "default": ""},
        "shop": {"type": "tag", "index": False},
        "meta": {"type": "json"},
        "embedding": {"type": "vector", "dims": 4, "ef_runtime": 10},
    },
}


def spec(**changes: Any) -> IndexSpec:
    return change_spec(spec_from_mapping(SKILL), changes)


def found(old: IndexSpec, new: IndexSpec) -> list[str]:
    return [f"{change.kind} {change.subject} {change.option}" for change in diff_specs(old, new)]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        # nothing to do
        ({"embedding": {"ef_runtime": 50}}, ["nothing skill.embedding ef_runtime"]),
        ({"title": {"default": "?"}}, ["nothing skill.title default"]),
        ({"title": {"from": "argument"}}, ["nothing skill.title from"]),
        ({"key": "id"}, ["nothing skill key"]),
        ({"index": {"skip_initial_scan": True}}, ["nothing skill index.skip_initial_scan"]),
        ({"fields": {"more": {"type": "json"}}}, ["nothing skill.more field"]),
        ({"fields": {"note": {"type": "text", "index": False, "default": ""}}}, ["nothing skill.note field"]),
        ({"drop_fields": ["shop"]}, ["nothing skill.shop field"]),
        # in place
        ({"fields": {"year": {"type": "numeric"}}}, ["in_place skill.year field"]),
        ({"index": {"aliases": []}}, ["in_place skill index.aliases"]),
        ({"index": {"aliases": ["live"]}}, ["in_place skill index.aliases"]),
        ({"fields": {"same": {"type": "tag", "path": "title"}}}, ["in_place skill.same field"]),
        ({"shop": {"index": True}}, ["in_place skill.shop index"]),
        # rebuild
        ({"embedding": {"m": 32}}, ["rebuild skill.embedding m"]),
        ({"embedding": {"ef_construction": 400}}, ["rebuild skill.embedding ef_construction"]),
        ({"embedding": {"metric": "ip"}}, ["rebuild skill.embedding metric"]),
        ({"embedding": {"algorithm": "flat"}}, ["rebuild skill.embedding algorithm"]),
        ({"title": {"weight": 2}}, ["rebuild skill.title weight"]),
        ({"title": {"sortable": True}}, ["rebuild skill.title sortable"]),
        ({"title": {"index": False}}, ["rebuild skill.title index"]),
        ({"title": {"attribute": "the.title", "path": "title"}}, ["rebuild skill.title attribute"]),
        (
            {"title": {"attribute": "the.title"}},
            ["rebuild skill.title attribute", "rewrite skill.title path"],
        ),
        (
            {"rename_fields": {"title": "heading"}, "heading": {"attribute": "title"}},
            ["nothing skill.heading name"],
        ),
        (
            {"rename_fields": {"title": "heading"}, "heading": {"attribute": "the.title", "path": "title"}},
            ["rebuild skill.title field", "in_place skill.heading field"],
        ),
        ({"drop_fields": ["title"]}, ["rebuild skill.title field"]),
        ({"index": {"stopwords": []}}, ["rebuild skill index.stopwords"]),
        ({"index": {"filter": "@year > 2"}}, ["rebuild skill index.filter"]),
        ({"index": {"alias": False}}, ["rebuild skill index.alias"]),
        (
            {"index": {"alias": False, "name": "idx:skill_2"}},
            ["rebuild skill index.name", "rebuild skill index.alias"],
        ),
        ({"fields": {"title": {"type": "tag"}}}, ["rebuild skill.title type"]),
        (
            {"fields": {"exact": {"type": "vector", "dims": 4, "path": "embedding", "algorithm": "flat"}}},
            ["rebuild skill.exact field"],
        ),
        # rewrite
        ({"index": {"prefix": "skills:"}}, ["rewrite skill index.prefix"]),
        ({"index": {"prefix": ["skill:", "more:"]}}, ["rewrite skill index.prefix"]),
        ({"index": {"storage": "json"}}, ["rewrite skill index.storage"]),
        ({"embedding": {"datatype": "float16"}}, ["rewrite skill.embedding datatype"]),
        ({"title": {"path": "headline"}}, ["rewrite skill.title path"]),
        (
            {"title": {"from": "key", "default": None}},
            ["rewrite skill.title from", "nothing skill.title default"],
        ),
        ({"fields": {"year": {"type": "numeric", "default": 0}}}, ["rewrite skill.year field"]),
        ({"fields": {"id": {"type": "tag", "from": "key"}}}, ["rewrite skill.id field"]),
        ({"fields": {"title": {"type": "geo"}}}, ["rewrite skill.title type"]),
        ({"fields": {"title": {"type": "numeric"}}}, ["rewrite skill.title type"]),
        ({"skill_id": {"separator": "|"}}, ["rewrite skill.skill_id separator"]),
        # other fields over stored values that do not fit, or mean something else
        (
            {"drop_fields": ["title"], "fields": {"size": {"type": "numeric", "path": "title"}}},
            ["rebuild skill.title field", "rewrite skill.size field"],
        ),
        ({"fields": {"size": {"type": "numeric", "path": "title"}}}, ["rewrite skill.size field"]),
        (
            {
                "drop_fields": ["skill_id"],
                "fields": {"ids": {"type": "tag", "path": "skill_id", "separator": "|"}},
            },
            ["rebuild skill.skill_id field", "rewrite skill.ids field"],
        ),
        # another reading of what another field stores
        (
            {"fields": {"ids": {"type": "tag", "path": "skill_id", "separator": "|"}}},
            ["in_place skill.ids field"],
        ),
        # re-embed
        ({"embedding": {"dims": 8}}, ["re_embed skill.embedding dims"]),
        ({"fields": {"other": {"type": "vector", "dims": 4}}}, ["re_embed skill.other field"]),
    ],
)
def test_a_change_has_the_kind_that_carries_it_out(changes: dict[str, Any], expected: list[str]):
    assert sorted(found(spec(), spec(**changes))) == sorted(expected)


def test_what_no_migration_carries_is_nothing():
    mapping = copy.deepcopy(SKILL)
    mapping["description"] = "What it can do."
    mapping["helpers"] = {"on_error": "empty", "store": {"name": "put_skill"}}
    new = spec_from_mapping(mapping)
    assert found(spec(), new) == [
        "nothing skill description",
        "nothing skill helpers.on_error",
        "nothing skill helpers.store",
    ]
    assert diff_state({"skill": spec()}, [new]).changes == ()


def test_an_array_in_a_json_document_is_the_same_whatever_the_index_makes_of_it():
    old = spec(index={"storage": "json"})
    new = change_spec(old, {"embedding": {"datatype": "float16"}})
    assert found(old, new) == ["rebuild skill.embedding datatype"]


def test_but_not_where_it_wants_whole_numbers():
    old = spec(index={"storage": "json"})
    new = change_spec(old, {"embedding": {"datatype": "int8"}})
    assert found(old, new) == ["rewrite skill.embedding datatype"]
    assert found(new, old) == ["rebuild skill.embedding datatype"]


def test_another_reading_of_what_another_field_stores_is_a_matter_of_the_index():
    two = spec(fields={"words": {"type": "tag", "path": "title", "separator": ";"}})
    new = change_spec(two, {"words": {"separator": "|"}})
    assert found(two, new) == ["rebuild skill.words separator"]


def test_a_shape_in_other_coordinates_is_another_shape():
    old = spec(fields={"area": {"type": "geoshape"}})
    new = change_spec(old, {"area": {"coord_system": "flat"}})
    assert found(old, new) == ["rewrite skill.area coord_system"]


def test_ft_alter_takes_no_more_than_32_text_fields_unless_told_so():
    texts = {f"text_{number}": {"type": "text"} for number in range(31)}
    for options, kind in (({}, "rebuild"), ({"max_text_fields": True}, "in_place")):
        old = spec(index=options, fields=texts)
        new = change_spec(old, {"fields": {"one_more": {"type": "text"}}})
        assert found(old, new) == [f"{kind} skill.one_more field"]


def declared(mapping: dict[str, Any], old: str, new: str) -> IndexSpec:
    mapping = copy.deepcopy(mapping)
    body = mapping["fields"].pop(old)
    mapping["fields"][new] = {**body, "renamed_from": old}
    return spec_from_mapping(mapping)


def test_a_renamed_field_whose_value_moves_is_rewritten_and_told_how_it_could_stay():
    new = declared(SKILL, "title", "headline")
    assert found(spec(), new) == ["rebuild skill.headline name", "rewrite skill.headline path"]
    assert "with `path: title` they can stay" in diff_specs(spec(), new)[1].describe()
    stays = copy.deepcopy(SKILL)
    stays["fields"]["title"]["path"] = "title"
    assert found(spec(), declared(stays, "title", "headline")) == ["rebuild skill.headline name"]


def test_a_rename_is_over_once_it_was_made():
    new = declared(SKILL, "title", "headline")
    assert diff_specs(new, new) == ()
    assert diff_state({"skill": new}, [new]).ambiguous == ()


def test_nothing_is_taken_for_renamed_without_being_told():
    mapping = copy.deepcopy(SKILL)
    mapping["fields"]["headline"] = mapping["fields"].pop("title")
    new = spec_from_mapping(mapping)
    difference = diff_state({"skill": spec()}, [new])
    (doubt,) = difference.ambiguous
    assert (doubt.index, doubt.old, doubt.new) == ("skill", "title", "headline")
    renamed, replaced = doubt.readings()
    assert "renamed_from: title" in renamed
    assert "--new skill.headline" in replaced
    assert diff_state({"skill": spec()}, [new], known_new=["skill.headline"]).ambiguous == ()
    # A field of another type somewhere else is no doubt.
    other = change_spec(spec(), {"drop_fields": ["title"], "fields": {"year": {"type": "numeric"}}})
    assert diff_state({"skill": spec()}, [other]).ambiguous == ()


def test_specs_that_come_and_go():
    ability = spec_from_mapping({**SKILL, "name": "ability", "index": {"name": "idx:a", "prefix": "a:"}})
    difference = diff_state({"skill": spec()}, [ability])
    assert [(change.kind, change.index) for change in difference.changes] == [
        ("create", "ability"),
        ("drop", "skill"),
    ]
    (doubt,) = difference.ambiguous
    assert (doubt.index, doubt.subject) == (None, "ability")
    assert diff_state({"skill": spec()}, [ability], known_new=["ability"]).ambiguous == ()
    unlike = spec_from_mapping(
        {
            **SKILL,
            "name": "film",
            "index": {"name": "idx:film", "prefix": "film:"},
            "fields": {"embedding": {"type": "vector", "dims": 8}},
        }
    )
    assert diff_state({"skill": spec()}, [unlike]).ambiguous == ()


def test_a_declared_rename_of_a_spec():
    mapping = {**SKILL, "name": "ability", "renamed_from": "skill"}
    mapping["index"] = {**SKILL["index"], "name": "idx:ability"}
    difference = diff_state({"skill": spec()}, [spec_from_mapping(mapping)])
    assert difference.ambiguous == ()
    assert [(change.kind, change.option, change.old, change.new) for change in difference.changes] == [
        ("in_place", "name", "skill", "ability"),
        ("in_place", "index.name", "idx:skill", "idx:ability"),
    ]
    # While a spec of the old name is there, it is another one.
    both = diff_state({"skill": spec()}, [spec_from_mapping(mapping), spec()])
    assert [(change.kind, change.index) for change in both.changes] == [("create", "ability")]


def test_stopwords_are_a_set_in_any_case():
    old = spec(index={"stopwords": ["a", "The"]})
    assert found(old, change_spec(old, {"index": {"stopwords": ["the", "a"]}})) == []


def test_changes_point_at_the_line(tmp_path: Path):
    text = (
        "version: 1\nname: skill\nindex:\n  name: idx:skill\n  prefix: 'skill:'\n  stopwords: []\n"
        "key: skill_id\nfields:\n  skill_id: {type: tag, from: key}\n  meta: {type: json}\n  embedding:\n"
        "    type: vector\n    dims: 4\n    m: 32\n    ef_runtime: 10\n"
    )
    (tmp_path / "skill.yaml").write_text(text)
    (new,) = load_specs([tmp_path]).specs
    old = spec(drop_fields=["title", "shop"])
    places = {change.option: change.location for change in diff_specs(old, new)}
    lines = {option: place.line for option, place in places.items() if place is not None}
    assert lines == {"index.stopwords": 6, "m": 14}


def test_a_change_is_told_in_one_line():
    (change,) = diff_specs(spec(), spec(embedding={"m": 32}))
    assert change.describe() == "skill.embedding: m 16 → 32 (rebuild)"
    (change,) = diff_specs(spec(), spec(embedding={"metric": "ip"}))
    assert change.describe().startswith("skill.embedding: metric cosine → ip (rebuild: scores change")
    (change,) = diff_specs(spec(), spec(index={"stopwords": []}))
    assert change.describe() == "skill: index.stopwords (absent) → [] (rebuild)"


def test_the_worst_of_some_changes():
    assert worst([]) == "nothing"
    changes = [Change(kind, "skill", None, "x", 1, 2) for kind in KINDS]
    assert worst(changes) == "re_embed"
    assert worst(changes[:4]) == "rebuild"


@given(st.data())
@settings(max_examples=60)
def test_specs_without_a_difference_are_the_same_index(data: st.DataObject):
    old, new = (spec_from_mapping(data.draw(spec_mappings(name="item"))) for _ in range(2))
    kinds = {change.kind for change in diff_specs(old, new)}
    if same_index(old, new):
        assert kinds <= {"nothing"}
    assert diff_specs(new, new) == ()
    for change in diff_specs(old, new):
        line = change.describe()
        assert line.isprintable()
        assert line.startswith("item")
