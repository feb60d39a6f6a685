"""Drift without a server: what is told where aliases, indexes and neighbours are otherwise."""

from __future__ import annotations

import pytest

from vecmigrate.diff.drift import Expected, Live, drift, neighbours, unseen
from vecmigrate.search.from_info import propose
from vecmigrate.spec.build import spec_from_mapping
from vecmigrate.spec.change import change_spec


def info(prefix: str = "cat:", *, name: str = "idx:cat", kind: str = "HASH", dim: int = 2) -> dict:
    return {
        "index_name": name,
        "index_definition": {"key_type": kind, "prefixes": [prefix], "default_score": 1.0},
        "index_options": [],
        "attributes": [
            {
                "identifier": "$.e" if kind == "JSON" else "e",
                "attribute": "e",
                "type": "VECTOR",
                "algorithm": "FLAT",
                "data_type": "FLOAT32",
                "dim": dim,
                "distance_metric": "COSINE",
                "flags": [],
            }
        ],
    }


SPEC = spec_from_mapping(propose(info(), index="idx:cat", name="cat").mapping)
CAT = Expected(SPEC, "idx:cat@a1")


def codes(expected: Expected, live: Live) -> list[str]:
    return [item.code for item in drift([expected], live)]


def test_nothing_differs():
    live = Live({"idx:cat@a1": info()}, {"idx:cat": "idx:cat@a1"})
    assert drift([CAT], live) == ()
    assert neighbours([CAT], live) == ()


@pytest.mark.parametrize(
    ("indexes", "target", "found"),
    [
        ([], None, ["missing-index"]),
        (["idx:cat@a1"], None, ["missing-alias"]),
        (["idx:cat@a1", "other"], "other", ["other-alias"]),
        (["other"], "other", ["other-alias", "missing-index"]),
        (["idx:cat"], "idx:cat", []),
        (["idx:cat", "idx:cat@a1"], "idx:cat", ["shadowed"]),
    ],
)
def test_aliases_and_indexes(indexes, target, found):
    assert codes(CAT, Live({name: info() for name in indexes}, {"idx:cat": target})) == found


@pytest.mark.parametrize(
    ("targets", "found"),
    [
        ({"live": "idx:cat@a1", "all": "idx:cat@a1"}, []),
        ({"live": None, "all": "idx:cat@a1"}, ["missing-alias"]),
        ({"live": "other", "all": None}, ["other-alias", "missing-alias"]),
        # Nobody asked for them.
        ({}, []),
    ],
)
def test_further_aliases(targets, found):
    spec = spec_from_mapping(propose(info(), index="idx:cat", name="cat", aliases=["live", "all"]).mapping)
    live = Live({"idx:cat@a1": info(), "other": info("dog:")}, {"idx:cat": "idx:cat@a1", **targets})
    # In the order of the spec, which introspect sorts.
    assert sorted(codes(Expected(spec, "idx:cat@a1"), live)) == sorted(found)


def test_an_index_that_carries_its_own_name_is_no_shadow():
    spec = change_spec(SPEC, {"index": {"alias": False}})
    own = Expected(spec, "idx:cat")
    assert codes(own, Live({"idx:cat": info()}, {"idx:cat": "idx:cat"})) == []
    assert codes(own, Live({}, {"idx:cat": None})) == ["missing-index"]
    assert codes(own, Live({"other": info()}, {"idx:cat": "other"})) == ["other-alias", "missing-index"]


def test_a_name_that_the_ledger_gives_is_as_good():
    kept = Expected(SPEC, "idx:cat@b1", frozenset({"idx:cat@a1"}))
    live = Live({"idx:cat@a1": info()}, {"idx:cat": "idx:cat@a1"})
    assert drift([kept], live) == ()
    assert codes(Expected(SPEC, "idx:cat@b1"), live) == ["other-alias", "missing-index"]


def test_what_is_not_published_has_no_alias():
    draft = Expected(SPEC, "idx:cat@a1", published=False)
    assert codes(draft, Live({"idx:cat@a1": info()}, {"idx:cat": None})) == []
    assert codes(draft, Live({"idx:cat@a1": info()}, {"idx:cat": "idx:cat@a1"})) == ["early-alias"]
    assert codes(draft, Live({}, {"idx:cat": None})) == ["missing-index"]


def test_the_index_that_applications_query_is_compared():
    live = Live({"idx:cat@a1": info(), "other": info(dim=3)}, {"idx:cat": "other"})
    found = drift([CAT], live)
    assert [str(item) for item in found] == [
        "cat: the alias 'idx:cat' leads to 'other' (expected to 'idx:cat@a1')",
        "cat: other: field 'e': DIM is 3 (expected 2)",
    ]
    assert (found[1].field, found[1].option, found[1].wanted, found[1].found) == ("e", "DIM", 2, 3)


@pytest.mark.parametrize(
    ("prefix", "kind", "meets"),
    [
        ("cat:", "HASH", True),
        ("ca", "HASH", True),
        ("cat:wild:", "HASH", True),
        ("", "HASH", True),
        ("cats:", "HASH", False),
        ("cat:", "JSON", False),
    ],
)
def test_other_indexes_over_our_documents_are_named(prefix, kind, meets):
    live = Live({"idx:cat@a1": info(), "other": info(prefix, kind=kind)}, {"idx:cat": "idx:cat@a1"})
    assert drift([CAT], live) == ()
    found = neighbours([CAT], live)
    assert [(item.name, item.relation, item.prefix) for item in found] == (
        [("other", "foreign", prefix)] if meets else []
    )
    assert all("documents of cat" in str(item) for item in found)


def test_our_own_leftovers_are_told_apart():
    names = ["idx:cat@a1", "idx:cat@old", "idx:cat@b1", "idx:cat@kept", "idx:cat@hand", "idx:cat@theirs"]
    live = Live({name: info() for name in names}, {"idx:cat": "idx:cat@a1"})
    # By who owns it, and by nothing that its name looks like.
    owners = dict.fromkeys(["idx:cat@a1", "idx:cat@old", "idx:cat@b1", "idx:cat@kept"], "here")
    owners["idx:cat@theirs"] = "there"
    found = neighbours(
        [CAT], live, kept={"idx:cat@kept"}, building={"idx:cat@b1"}, owners=owners, namespace="here"
    )
    assert {item.name: (item.relation, item.owner) for item in found} == {
        "idx:cat@old": ("older", None),
        "idx:cat@b1": ("building", None),
        "idx:cat@hand": ("foreign", None),
        "idx:cat@theirs": ("other_namespace", "there"),
    }
    told = {item.name: str(item) for item in found}
    assert "is an index of ours that is no longer in use" in told["idx:cat@old"]
    assert "is not ours" in told["idx:cat@hand"]
    assert "belongs to namespace 'there'" in told["idx:cat@theirs"]


def test_what_cannot_be_seen_is_listed():
    hnsw = spec_from_mapping(
        {
            "name": "dog",
            "index": {"name": "idx:dog", "prefix": "dog:", "temporary": 60},
            "key": "dog_id",
            "fields": {"e": {"type": "vector", "dims": 2, "ef_runtime": 70}},
        }
    )
    assert unseen([Expected(hnsw, "idx:dog@a1")]) == (
        "dog: TEMPORARY 60",
        "dog: field 'e': EF_RUNTIME 70",
        "other aliases that lead to these indexes",
    )
    assert unseen([]) == ()
