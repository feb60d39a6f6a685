"""Whose helpers work with whose index, as a server sees it: what review says of it is what happens.

For each change the helpers of one release meet the index of the other, and what they see is compared with
what they see with their own.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import redis

from tests.generated import a_spec, make_package
from vecmigrate.diff.changes import diff_specs
from vecmigrate.diff.compat import effect
from vecmigrate.search.ddl import ft_create
from vecmigrate.spec.model import GeoField, IndexSpec, NumericField, TagField, TextField

TAG, TEXT, NUMERIC, GEO = {"type": "tag"}, {"type": "text"}, {"type": "numeric"}, {"type": "geo"}
SAMPLES: dict[str, Any] = {"tag": ["red", "blue"], "text": "two words", "numeric": 5, "geo": "1,2"}
QUERY = np.array([1, 0.5, 0], dtype=np.float32)


def vector(**options: Any) -> dict[str, Any]:
    return {"type": "vector", "dims": 3, **options}


CHANGES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "HNSW and FLAT": ({"embedding": vector()}, {"embedding": vector(algorithm="flat")}),
    "M": ({"embedding": vector(m=16)}, {"embedding": vector(m=32)}),
    "metric": ({"embedding": vector()}, {"embedding": vector(metric="ip")}),
    "datatype": ({"embedding": vector()}, {"embedding": vector(datatype="float64")}),
    "a tag": ({}, {"x": TAG}),
    "a number": ({}, {"x": NUMERIC}),
    "a text": ({}, {"x": TEXT}),
    "a text elsewhere": ({}, {"x": {**TEXT, "path": "y"}}),
    "a point": ({}, {"x": GEO}),
    "a second vector": ({}, {"embedding": vector(), "x": vector()}),
    "tag to text": ({"x": TAG}, {"x": TEXT}),
    "tag to number": ({"x": TAG}, {"x": NUMERIC}),
    "number to text": ({"x": NUMERIC}, {"x": TEXT}),
    "text to point": ({"x": TEXT}, {"x": GEO}),
    "separator": ({"x": TAG}, {"x": {**TAG, "separator": "|"}}),
    "case": ({"x": TAG}, {"x": {**TAG, "case_sensitive": True}}),
    "a tag renamed": ({"x": TAG}, {"z": {**TAG, "path": "x", "renamed_from": "x"}}),
    "a text renamed": ({"x": TEXT}, {"z": {**TEXT, "path": "x", "renamed_from": "x"}}),
    "a tag moved": ({"x": TAG}, {"x": {**TAG, "path": "y"}}),
    "a tag that is stored only": ({"x": TAG}, {"x": {**TAG, "index": False}}),
    "a text that is stored only": ({"x": TEXT}, {"x": {**TEXT, "index": False}}),
    "a text elsewhere that is stored only": (
        {"x": {**TEXT, "path": "y"}},
        {"x": {**TEXT, "path": "y", "index": False}},
    ),
    "NOINDEX": ({"x": {**TAG, "sortable": True}}, {"x": {**TAG, "sortable": True, "noindex": True}}),
    "SORTABLE": ({"x": NUMERIC}, {"x": {**NUMERIC, "sortable": True}}),
}


def build(client: redis.Redis, spec: IndexSpec) -> None:
    client.flushdb()
    client.execute_command(*ft_create(spec))


def seen(client: redis.Redis, module: ModuleType, spec: IndexSpec) -> list[Any]:
    """What the helpers of a release see of a document that they stored, or the error that they get."""
    values = {item.name: SAMPLES[kind] for item in spec.fields if (kind := _kind(item)) in SAMPLES}
    vectors = {item.name: QUERY for item in spec.vectors[1:]}
    getattr(module, spec.helpers.store)(client, "k", QUERY, **values, **vectors)
    filters: list[dict[str, Any]] = [{}]
    for item in spec.fields:
        if item.indexed and isinstance(item, TagField) and not item.noindex:
            filters.append({item.name: "blue"})
        elif item.indexed and isinstance(item, NumericField) and not item.noindex:
            filters.append({item.name: (4, 6)})
        elif item.indexed and isinstance(item, TextField) and not item.noindex:
            filters.append({"where": getattr(module.ItemFields, item.name).words("two")})
        elif item.indexed and isinstance(item, GeoField) and not item.noindex:
            filters.append({"where": getattr(module.ItemFields, item.name).within(1, 2, 1, "km")})
    searches = [spec.helpers.knn, *(f"{spec.helpers.knn}_by_{item.name}" for item in spec.vectors[1:])]
    found: list[Any] = []
    for search in searches:
        for wanted in filters:
            try:
                hits = getattr(module, search)(client, QUERY * 2, knn_k=3, **wanted)
            except redis.ResponseError as error:
                found.append(type(error))
            else:
                found.append([{**hit, "score": round(hit["score"], 4)} for hit in hits])
    return found


def _kind(item: Any) -> str:
    return type(item).__name__.removesuffix("Field").lower()


@pytest.mark.parametrize("backwards", [False, True], ids=["there", "back"])
@pytest.mark.parametrize("name", CHANGES)
def test_review_says_what_happens(client: redis.Redis, tmp_path: Path, name: str, backwards: bool) -> None:
    old, new = (a_spec(**fields) for fields in CHANGES[name][:: -1 if backwards else 1])
    effects = [effect(change, old, new) for change in diff_specs(old, new)]
    told = {
        "old": any(item.old_fails for item in effects),
        "new": any(item.new_fails for item in effects),
    }
    happens = {}
    for release, mine, other in (("old", old, new), ("new", new, old)):
        module = make_package(tmp_path, mine).sync
        build(client, mine)
        own = seen(client, module, mine)
        assert all(isinstance(hits, list) and hits for hits in own), own
        build(client, other)
        happens[release] = seen(client, module, mine) != own
    assert told == happens
