"""What changes in a spec, said as migrations say it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import spec_mappings
from vecmigrate.errors import SpecError
from vecmigrate.spec.build import spec_from_mapping, spec_to_mapping
from vecmigrate.spec.change import KEYWORDS, change_spec, changes_between, same_index
from vecmigrate.spec.model import Flat, Hnsw, IndexSpec


def skill(**fields: Any) -> IndexSpec:
    return spec_from_mapping(
        {
            "name": "skill",
            "index": {"name": "idx:skill", "prefix": "skill:", "stopwords": ["a"]},
            "key": "skill_id",
            "fields": {
                "skill_id": {"type": "tag", "from": "key"},
                "title": {"type": "text", "default": ""},
                "meta": {"type": "json"},
                "embedding": {"type": "vector", "dims": 4, "epsilon": 0.5},
                **fields,
            },
        }
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"embedding": {"m": 32}}, {"embedding": {"m": 32}}),
        ({"embedding": {"epsilon": None}}, {"embedding": {"epsilon": None}}),
        ({"title": {"weight": 2.0, "default": None}}, {"title": {"weight": 2.0, "default": None}}),
        ({"index": {"stopwords": []}}, {"index": {"stopwords": []}}),
        ({"index": {"stopwords": None}}, {"index": {"stopwords": None}}),
        ({"drop_fields": ["title"]}, {"drop_fields": ["title"]}),
        ({"fields": {"shop": {"type": "tag"}}}, {"fields": {"shop": {"type": "tag"}}}),
        ({"fields": {"title": {"type": "tag"}}}, {"fields": {"title": {"type": "tag"}}}),
        ({"key": "id"}, {"key": "id"}),
    ],
)
def test_changes_are_applied_and_found_again(changes: dict[str, Any], expected: dict[str, Any]):
    old = skill()
    new = change_spec(old, changes)
    assert not same_index(old, new)
    assert changes_between(old, new) == expected


def test_a_new_algorithm_starts_from_its_own_defaults():
    old = skill()
    flat = change_spec(old, {"embedding": {"algorithm": "flat"}})
    assert flat.vector.algorithm == Flat()
    back = change_spec(flat, {"embedding": {"algorithm": "hnsw", "m": 8}})
    assert back.vector.algorithm == Hnsw(m=8)
    # The same algorithm said again is no new one.
    assert change_spec(old, {"embedding": {"algorithm": "hnsw", "m": 8}}).vector.algorithm == Hnsw(
        m=8, epsilon=0.5
    )


def test_a_renamed_field_stays_where_it_is_stored():
    new = change_spec(skill(), {"rename_fields": {"title": "headline"}})
    assert [item.name for item in new.fields] == ["skill_id", "headline", "meta", "embedding"]
    assert new.field("headline").path == "title"
    declared = dataclasses.replace(
        new,
        fields=tuple(
            dataclasses.replace(item, renamed_from="title") if item.name == "headline" else item
            for item in new.fields
        ),
    )
    assert changes_between(skill(), declared) == {"rename_fields": {"title": "headline"}}


def test_without_a_declaration_nothing_is_taken_for_renamed():
    new = change_spec(skill(), {"rename_fields": {"title": "headline"}})
    assert changes_between(skill(), new) == {
        "fields": {"headline": {"type": "text", "path": "title", "default": ""}},
        "drop_fields": ["title"],
    }


def test_the_field_that_holds_the_metadata_does_not_take_the_others_along():
    old = skill()
    assert old.field("title").source == "metadata"
    new = change_spec(old, {"drop_fields": ["meta"]})
    assert new.field("title").source == "metadata"


def test_fields_with_the_names_of_keywords_are_reached_by_change_fields():
    old = skill(index={"type": "tag"}, name={"type": "text"})
    new = change_spec(old, {"change_fields": {"index": {"separator": ";"}, "name": {"weight": 3}}})
    assert changes_between(old, new) == {
        "change_fields": {"index": {"separator": ";"}, "name": {"weight": 3.0}}
    }


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"embeding": {"m": 32}}, "embeding: there is no field `embeding` .* did you mean `embedding`"),
        ({"drop_field": ["title"]}, "there is no field `drop_field` .* did you mean `drop_fields`"),
        ({"drop_fields": ["titel"]}, "drop_fields: there is no field `titel`"),
        ({"rename_fields": {"titel": "x"}}, "rename_fields: there is no field `titel`"),
        ({"drop_fields": ["title"], "title": {"weight": 2}}, "title: there is no field `title`"),
        ({"embedding": 32}, "embedding: `embedding` is 32 .expected a mapping"),
        ({"embedding": {"mm": 32}}, "fields.embedding.mm: unknown key `mm`"),
        ({"embedding": {"m": 1}}, "fields.embedding.m: `m` is 1"),
        ({"index": {"name": "idx:other"}}, "index.name: .*op.rename_index"),
        ({"index": []}, "index: `index` is .* .expected a mapping"),
        ({"drop_fields": "title"}, "drop_fields: `drop_fields` is 'title' .expected a list"),
        ({"change_fields": {"title": 2}}, "title: `title` is 2 .expected a mapping"),
        ({"drop_fields": ["embedding"]}, "no vector field"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(changes: dict[str, Any], expected: str):
    with pytest.raises(SpecError, match=expected):
        change_spec(skill(), changes)


@given(st.data())
@settings(max_examples=60)
def test_any_spec_leads_to_any_other(data: st.DataObject):
    old, new = (spec_from_mapping(data.draw(spec_mappings(name="item", helpers=False))) for _ in range(2))
    changes = changes_between(old, new)
    reached = change_spec(old, changes)
    # An alias is renamed by an operation of its own; an index that has the name itself is another one.
    kept = old.index.name if old.index.alias and new.index.alias else new.index.name
    same_names = dataclasses.replace(new, index=dataclasses.replace(new.index, name=kept))
    assert same_index(reached, same_names)
    assert same_index(change_spec(reached, changes_between(reached, old)), old)
    assert (changes == {}) == same_index(old, same_names)


@given(spec_mappings(helpers=False))
@settings(max_examples=25)
def test_nothing_changes_by_itself(mapping: dict[str, Any]):
    spec = spec_from_mapping(mapping)
    assert changes_between(spec, spec) == {}
    assert same_index(change_spec(spec, {}), spec)


@given(st.data())
@settings(max_examples=30)
def test_one_option_changed_is_one_keyword(data: st.DataObject):
    spec = spec_from_mapping(data.draw(spec_mappings(algorithms=("hnsw",), helpers=False)))
    mapping = spec_to_mapping(spec)
    name = spec.vectors[-1].name
    mapping["fields"][name]["m"] += 1
    assert changes_between(spec, spec_from_mapping(mapping)) == {name: {"m": mapping["fields"][name]["m"]}}


def test_the_docstring_names_every_keyword():
    import vecmigrate.spec.change as module

    assert module.__doc__ is not None
    for keyword in KEYWORDS:
        assert f"    {keyword}=" in module.__doc__
