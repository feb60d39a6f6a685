"""Whose helpers fail with whose index, and the order of deployment that follows from it."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from vecmigrate.diff.changes import diff_specs
from vecmigrate.diff.compat import effect
from vecmigrate.diff.order import Deployment, deployment
from vecmigrate.spec.build import spec_from_mapping
from vecmigrate.spec.model import IndexSpec

HNSW = {"algorithm": "hnsw"}
TAG, TEXT, NUMERIC = {"type": "tag"}, {"type": "text"}, {"type": "numeric"}


def spec(
    field: dict[str, Any] | None = None,
    vector: dict[str, Any] | None = None,
    *,
    name: str = "level",
    more: dict[str, Any] | None = None,
    **index: Any,
) -> IndexSpec:
    fields = {name: field} if field is not None else {}
    return spec_from_mapping(
        copy.deepcopy(
            {
                "version": 1,
                "name": "skill",
                "index": {"name": "idx:skill", "prefix": "skill:", **index},
                "key": "skill_id",
                "fields": {
                    **fields,
                    **(more or {}),
                    "embedding": {"type": "vector", "dims": 8, **(vector or {})},
                },
            }
        )
    )


def fails(old: IndexSpec, new: IndexSpec) -> str:
    """Who fails with the other's index: "old", "new", "both" or ""."""
    found = [effect(change, old, new) for change in diff_specs(old, new)]
    before, after = any(item.old_fails for item in found), any(item.new_fails for item in found)
    return "both" if before and after else "old" if before else "new" if after else ""


def deploy(old: IndexSpec, new: IndexSpec) -> Deployment:
    return deployment(diff_specs(old, new), old, new)


# What is changed, and who fails with the other's index: taken back, it is the other one.
ONE_SIDED = [
    ("HNSW to FLAT", spec(vector=HNSW), spec(vector={"algorithm": "flat"}), "old"),
    ("HNSW to SVS-VAMANA", spec(vector=HNSW), spec(vector={"algorithm": "svs_vamana"}), "old"),
    ("a tag that goes", spec(TAG), spec(), "old"),
    ("a number that goes", spec(NUMERIC), spec(), "old"),
    ("a text that results return from elsewhere", spec({**TEXT, "path": "lvl"}), spec(), "old"),
    ("another vector that goes", spec(more={"x": {"type": "vector", "dims": 8, "path": "e"}}), spec(), "old"),
    ("a filter that goes", spec(TAG), spec({**TAG, "noindex": True, "sortable": True}), "old"),
    ("a tag that is only stored", spec(TAG), spec({**TAG, "index": False}), "old"),
    ("a text that goes", spec(TEXT), spec(), "old"),
    ("a text that is only stored", spec(TEXT), spec({**TEXT, "index": False}), "old"),
    ("INDEXMISSING that goes", spec({**TAG, "index_missing": True}), spec(TAG), "old"),
    ("INDEXEMPTY that goes", spec({**TEXT, "index_empty": True}), spec(TEXT), "old"),
    ("INDEXMISSING of a vector that goes", spec(vector={"index_missing": True}), spec(), "old"),
    ("offsets that go", spec(TEXT), spec(TEXT, no_offsets=True), "old"),
    ("texts that lose their fields", spec(TEXT), spec(TEXT, no_fields=True), "old"),
]  # fmt: skip  # a table


@pytest.mark.parametrize(
    ("old", "new", "who"), [row[1:] for row in ONE_SIDED], ids=[row[0] for row in ONE_SIDED]
)
def test_what_one_release_cannot_share(old: IndexSpec, new: IndexSpec, who: str):
    assert fails(old, new) == who
    assert fails(new, old) == {"old": "new", "new": "old"}[who]
    there, back = deploy(old, new), deploy(new, old)
    assert there.stages[0].name == "deploy"
    assert "vecmigrate upgrade" not in there.stages[0].action
    assert "vecmigrate upgrade" in there.stages[1].action
    # On the way back the index goes first, and the helpers follow.
    assert "vecmigrate" in there.back[0]
    assert there.back[1] == "deploy the older services"
    assert back.stages[0].name == "expand"
    assert "vecmigrate upgrade" in back.stages[0].action
    assert "new helpers fail" in back.stages[1].action
    assert "older services" in back.back[0]
    assert "vecmigrate" in back.back[1]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (spec(vector={"algorithm": "flat"}), spec(vector={"algorithm": "svs_vamana"})),
        (spec(vector={"m": 16}), spec(vector={"m": 32})),
        (spec(TAG), spec({**TAG, "case_sensitive": True})),
        (spec(prefix=["skill:", "more:"]), spec(prefix=["skill:"])),
        (spec(TEXT), spec(TEXT, stopwords=[])),
    ],
)
def test_what_both_releases_share(old: IndexSpec, new: IndexSpec):
    for one, other in ((old, new), (new, old)):
        assert fails(one, other) == ""
        found = deploy(one, other)
        assert "compatible with both releases" in found.stages[0].action
        assert "in any order" in found.back[0]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (spec(vector={"metric": "cosine"}), spec(vector={"metric": "ip"})),
        (spec(vector={"dims": 8}), spec(vector={"dims": 16})),
        (spec(vector={"datatype": "float32"}), spec(vector={"datatype": "float16"})),
        (
            spec(storage="json", vector={"datatype": "float32"}),
            spec(storage="json", vector={"datatype": "float16"}),
        ),
        (spec(storage="hash"), spec(storage="json")),
        (spec(prefix="a:"), spec(prefix="b:")),
        (spec(TAG), spec({**TAG, "separator": "|"})),
        (spec(TAG), spec(NUMERIC)),
        (spec(TEXT), spec(NUMERIC)),
        (spec(TAG), spec(TEXT)),
        (spec(TEXT), spec({**TEXT, "path": "level", "renamed_from": "level"}, name="grade")),
        (spec(TAG), spec({**TAG, "path": "lvl"})),
        (spec(TAG), spec({**TAG, "path": "level", "renamed_from": "level"}, name="grade")),
    ],
)
def test_what_no_order_serves_takes_two_releases(old: IndexSpec, new: IndexSpec):
    assert fails(old, new) == "both"
    found = deploy(old, new)
    assert [stage.name for stage in found.stages] == ["expand", "deploy", "contract"]
    assert "no order works" in found.stages[0].action
    assert "two releases" in found.stages[0].action
    assert found.back


def test_values_of_a_new_field_over_the_same_values_may_be_added_beside_the_old():
    found = deploy(spec(TAG), spec({**TAG, "path": "level", "renamed_from": "level"}, name="grade"))
    assert "another field over the same `path`" in found.stages[0].action
    moved = deploy(spec(TAG), spec({"type": "geo"}))
    assert "another field over the same `path`" not in moved.stages[0].action


def test_what_wants_the_index_first_and_what_wants_the_helpers_first_are_two_migrations():
    found = deploy(spec(TAG), spec(NUMERIC, name="year"))
    assert [stage.name for stage in found.stages] == ["expand", "deploy", "contract", "contract"]
    assert "no order works with one migration" in found.stages[0].action
    assert "a first one for year" in found.stages[0].action
    assert "a second migration for level" in found.stages[2].action
    assert len(found.back) == 3


def test_the_reason_is_given():
    found = deploy(spec(vector={"algorithm": "hnsw"}), spec(vector={"algorithm": "flat"}))
    assert "embedding: algorithm: they send EF_RUNTIME, which FLAT refuses" in found.stages[0].action
    assert found.back[0].startswith("`vecmigrate rollback skill`")


def test_a_further_alias_comes_before_who_asks_for_it_and_goes_after():
    old, new = spec(aliases=["live"]), spec(aliases=["live", "more"])
    assert (fails(old, new), fails(new, old)) == ("new", "old")
    assert "more is not there yet" in deploy(old, new).stages[1].action
    assert "more leads nowhere" in deploy(new, old).stages[0].action


def test_another_alias_is_there_before_anybody_asks_for_it():
    old = spec()
    new = spec_from_mapping(
        {
            "version": 1,
            "name": "skill",
            "index": {"name": "idx:abilities", "prefix": "skill:"},
            "key": "skill_id",
            "fields": {"embedding": {"type": "vector", "dims": 8}},
        }
    )
    assert fails(old, new) == "new"
    found = deploy(old, new)
    assert "both names lead to it" in found.stages[0].action
    assert found.back == (
        "deploy the older services, everywhere",
        "`vecmigrate downgrade -1`, when no new pod is left",
    )
