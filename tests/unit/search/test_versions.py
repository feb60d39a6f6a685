from __future__ import annotations

from typing import Any

import pytest

from vecmigrate.errors import ServerTooOldError
from vecmigrate.search import versions
from vecmigrate.search.versions import ServerVersion
from vecmigrate.spec.build import spec_from_mapping
from vecmigrate.spec.model import IndexSpec

REDIS = (8, 2, 3)


def spec_of(storage: str = "hash", **fields: dict[str, Any]) -> IndexSpec:
    return spec_from_mapping(
        {
            "version": 1,
            "name": "item",
            "index": {"name": "idx:item", "prefix": "item:", "storage": storage},
            "key": "item_id",
            "fields": fields or {"embedding": {"type": "vector", "dims": 4}},
        }
    )


def vector(**options: Any) -> dict[str, Any]:
    return {"type": "vector", "dims": 4, **options}


@pytest.mark.parametrize(
    ("spec", "needs"),
    [
        (spec_of(), (2, 4, 0)),
        (spec_of(embedding=vector(datatype="float64")), (2, 6, 0)),
        (spec_of(storage="json"), (2, 6, 0)),
        (spec_of(embedding=vector(datatype="float16")), (2, 10, 0)),
        (spec_of(embedding=vector(datatype="bfloat16")), (2, 10, 0)),
        (spec_of(embedding=vector(datatype="int8")), (8, 0, 0)),
        (spec_of(embedding=vector(datatype="uint8", algorithm="flat")), (8, 0, 0)),
        (spec_of(embedding=vector(algorithm="svs_vamana")), (8, 2, 0)),
        (spec_of(embedding=vector(index_missing=True)), (2, 10, 0)),
        (spec_of(embedding=vector(), area={"type": "geoshape"}), (2, 8, 0)),
        (spec_of(embedding=vector(), tag={"type": "tag", "with_suffix_trie": True}), (2, 6, 0)),
        (spec_of(embedding=vector(), body={"type": "text", "with_suffix_trie": True}), (2, 6, 0)),
        (spec_of(embedding=vector(), tag={"type": "tag", "index_empty": True}), (2, 10, 0)),
        (spec_of(embedding=vector(), price={"type": "numeric", "index_missing": True}), (2, 10, 0)),
        (spec_of(embedding=vector(), place={"type": "geo", "index_missing": True}), (2, 10, 0)),
    ],
)
def test_the_version_that_has_it_is_enough_and_the_one_before_is_not(
    spec: IndexSpec, needs: versions.Version
) -> None:
    versions.require(spec, ServerVersion(REDIS, needs))
    before = (needs[0], needs[1] - 1, 99) if needs[1] else (needs[0] - 1, 99, 99)
    missing = versions.missing_features(spec, ServerVersion(REDIS, before))
    assert {item.needs for item in missing} == {needs}
    with pytest.raises(ServerTooOldError):
        versions.require(spec, ServerVersion(REDIS, before))


def test_the_message_names_what_is_needed_and_what_is_there() -> None:
    spec = spec_of(
        embedding=vector(datatype="int8"),
        other=vector(algorithm="svs_vamana"),
        stored={"type": "geoshape", "index": False},
    )
    with pytest.raises(ServerTooOldError) as caught:
        versions.require(spec, ServerVersion(REDIS, (2, 10, 5)))
    assert str(caught.value) == (
        "the server has RediSearch 2.10.5 on Redis 8.2.3, which cannot hold the index of spec 'item'"
        " (field 'embedding': type int8 needs RediSearch 8.0 (Redis 8.0);"
        " field 'other': algorithm svs_vamana needs RediSearch 8.2 (Redis 8.2));"
        " use a server with RediSearch 8.2 or newer, such as Redis 8.2, or change the spec"
    )


@pytest.mark.parametrize("datatype", ["int8", "uint8"])
@pytest.mark.parametrize("algorithm", ["flat", "hnsw"])
@pytest.mark.parametrize(
    "other", [{"type": "tag"}, {"type": "text"}, {"type": "numeric"}, {"type": "geo"}, {"type": "geoshape"}]
)
@pytest.mark.parametrize("version", [(8, 0, 0), (8, 0, 5), (8, 2, 0), (8, 4, 1), (8, 8, 3)])
def test_integers_under_cosine_beside_a_field_to_filter_by_corrupt_redis_8(
    datatype: str, algorithm: str, other: dict[str, object], version: versions.Version
) -> None:
    spec = spec_of(embedding=vector(datatype=datatype, algorithm=algorithm, metric="cosine"), label=other)
    with pytest.raises(ServerTooOldError, match=r"MOD-17243.* in 'embedding' beside .* 'label'"):
        versions.require(spec, ServerVersion(REDIS, version))
    # What the message suggests.
    versions.require(spec, ServerVersion(REDIS, (8, 10, 0)))
    for ways_out in (
        spec_of(embedding=vector(datatype="float16", algorithm=algorithm, metric="cosine"), label=other),
        spec_of(embedding=vector(datatype=datatype, algorithm=algorithm, metric="l2"), label=other),
        spec_of(
            embedding=vector(datatype=datatype, algorithm=algorithm, metric="cosine"),
            label={**other, "index": False},
        ),
        spec_of(embedding=vector(datatype=datatype, algorithm=algorithm, metric="cosine")),
        spec_of(
            embedding=vector(datatype=datatype, algorithm=algorithm, metric="cosine"), meta={"type": "json"}
        ),
    ):
        versions.require(ways_out, ServerVersion(REDIS, version))


def test_a_server_without_the_module_has_nothing() -> None:
    with pytest.raises(ServerTooOldError, match=r"the server has no RediSearch on Redis 7\.0\.15"):
        versions.require(spec_of(), ServerVersion((7, 0, 15), None))


@pytest.mark.parametrize(
    ("number", "version"),
    [(21005, (2, 10, 5)), (20819, (2, 8, 19)), (80201, (8, 2, 1)), (999999, (99, 99, 99))],
)
def test_module_versions(number: int, version: versions.Version) -> None:
    assert versions.parse_module_version(number) == version


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("8.2.3", (8, 2, 3)),
        ("7.4", (7, 4, 0)),
        ("8.0.0.1", (8, 0, 0)),
        ("unstable", (0, 0, 0)),
        ("", (0, 0, 0)),
    ],
)
def test_redis_versions(text: str, version: versions.Version) -> None:
    assert versions.parse_redis_version(text) == version
