"""What `vecmigrate.search` says of RediSearch, held against the real server."""

from __future__ import annotations

import math
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.strategies import OLD_ALGORITHMS, OLD_DATATYPES, specs
from vecmigrate.errors import ServerTooOldError
from vecmigrate.helpers.vectors import encode_vector, encode_vectors
from vecmigrate.search import ddl, reply, versions
from vecmigrate.search.document import encode_document
from vecmigrate.search.introspect import differences
from vecmigrate.spec.build import spec_from_mapping
from vecmigrate.spec.load import load_specs
from vecmigrate.spec.model import BYTES_PER_NUMBER, Datatype, IndexSpec

GOLDEN = sorted((Path(__file__).parents[1] / "golden" / "ddl").glob("*.yaml"))
VECTOR: dict[str, Any] = {"type": "vector", "dims": 2}


def spec_of(fields: dict[str, Any], **index: Any) -> IndexSpec:
    return spec_from_mapping(
        {
            "version": 1,
            "name": "item",
            "index": {"name": "idx:item", "prefix": "item:", **index},
            "key": "item_id",
            "fields": fields,
        }
    )


def server_version(client: redis.Redis) -> versions.ServerVersion:
    info = client.info("server")
    modules = {reply.text(name): version for name, version in map(_module, client.module_list())}
    return versions.ServerVersion(
        versions.parse_redis_version(info["redis_version"]), versions.parse_module_version(modules["search"])
    )


def _module(entry: dict[Any, Any]) -> tuple[Any, int]:
    named = {reply.text(name): value for name, value in entry.items()}
    return named["name"], int(named["ver"])


def create_and_read(client: redis.Redis, spec: IndexSpec) -> reply.Info:
    client.execute_command(*ddl.ft_create(spec))
    return reply.parse_info(client.execute_command("FT.INFO", spec.index.name))


def info_of(client: redis.Redis) -> reply.Info:
    return reply.parse_info(client.execute_command("FT.INFO", "idx:item"))


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_every_golden_spec_is_accepted_and_reads_back_without_a_difference(
    any_client: redis.Redis, path: Path
) -> None:
    (spec,) = load_specs([path]).specs
    if versions.missing_features(spec, server_version(any_client)):
        with pytest.raises(redis.ResponseError):
            any_client.execute_command(*ddl.ft_create(spec))
        return
    info = create_and_read(any_client, spec)
    assert differences(spec, info) == ()
    assert reply.index_name(info) == spec.index.name


def subsets(names: tuple[str, ...]) -> list[dict[str, bool]]:
    return [
        dict.fromkeys(chosen, True) for size in range(len(names) + 1) for chosen in combinations(names, size)
    ]


def valid(options: dict[str, Any]) -> bool:
    """Whether spec and server take these flags together."""
    unsorted_unf = "unf" in options and "sortable" not in options
    return not (
        unsorted_unf or ("noindex" in options and ("index_missing" in options or "sortable" not in options))
    )


FLAGS = ("index_empty", "index_missing", "sortable", "unf", "noindex", "with_suffix_trie")


@pytest.mark.parametrize("storage", ["hash", "json"])
@pytest.mark.parametrize(
    ("kind", "flags"),
    [
        ("text", (*FLAGS, "nostem")),
        ("tag", (*FLAGS, "case_sensitive")),
        ("numeric", ("index_missing", "sortable", "noindex")),
        ("geo", ("index_missing", "sortable", "noindex")),
        ("geoshape", ("index_missing",)),
    ],
)
def test_every_combination_of_flags_is_accepted_and_reads_back(
    any_client: redis.Redis, kind: str, flags: tuple[str, ...], storage: str
) -> None:
    chosen = [options for options in subsets(flags) if valid(options)]
    fields = {f"f{number}": {"type": kind, **options} for number, options in enumerate(chosen)}
    spec = spec_of({**fields, "embedding": VECTOR}, storage=storage)
    assert differences(spec, create_and_read(any_client, spec)) == ()


# `any_client` is one client for all examples; each example leaves nothing behind.
ON_ONE_CLIENT = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@ON_ONE_CLIENT
@given(specs(datatypes=OLD_DATATYPES, algorithms=OLD_ALGORITHMS))
def test_any_valid_spec_is_accepted_and_reads_back_equal(any_client: redis.Redis, spec: IndexSpec) -> None:
    try:
        assert differences(spec, create_and_read(any_client, spec)) == ()
    finally:
        any_client.execute_command(*ddl.ft_drop_index(spec.index.name))


OPTION_WORDS = ("weight", "nostem", "phonetic", "separator", "casesensitive", "withsuffixtrie", "indexempty")


@ON_ONE_CLIENT
@given(
    st.dictionaries(
        st.sampled_from((*OPTION_WORDS, "SPHERICAL", "plain", "as")),
        st.sampled_from(("text", "tag", "numeric", "geo", "geoshape")),
        min_size=1,
        max_size=4,
    ),
    st.integers(0, 4),
)
def test_fields_may_be_called_like_options(client: redis.Redis, kinds: dict[str, str], at: int) -> None:
    fields = [(f"a_{path}", {"type": kind, "path": path}) for path, kind in kinds.items()]
    # As many vectors as there are other fields, so that each name can find a safe place.
    fields[at:at] = [(f"embedding_{number}", VECTOR) for number in range(len(fields))]
    spec = spec_of(dict(fields))
    try:
        assert differences(spec, create_and_read(client, spec)) == ()
    finally:
        client.execute_command(*ddl.ft_drop_index("idx:item"))


@pytest.mark.parametrize(
    "change",
    [
        {"dims": 3},
        {"datatype": "float64"},
        {"metric": "l2"},
        {"algorithm": "flat"},
        {"m": 32},
        {"ef_construction": 100},
        {"index_missing": True},
        {"path": "other"},
    ],
    ids=str,
)
def test_a_changed_vector_is_a_difference(any_client: redis.Redis, change: dict[str, Any]) -> None:
    info = create_and_read(any_client, spec_of({"embedding": VECTOR}))
    assert len(differences(spec_of({"embedding": VECTOR | change}), info)) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"prefix": "other:"},
        {"storage": "json"},
        {"filter": "@title > 1"},
        {"language": "german"},
        {"language_field": "lang"},
        {"score": 0.5},
        {"score": 0},
        {"score_field": "rank"},
        {"payload_field": "payload"},
        {"max_text_fields": True},
        {"no_highlight": True},
        {"no_fields": True},
        {"no_freqs": True},
        {"stopwords": []},
        {"stopwords": ["a"]},
    ],
    ids=str,
)
def test_a_changed_option_is_a_difference_both_ways(any_client: redis.Redis, change: dict[str, Any]) -> None:
    # One path for both storages, so that only the option differs.
    fields = {"embedding": VECTOR | {"path": "$.embedding"}}
    plain, changed = spec_of(fields), spec_of(fields, **change)
    info = create_and_read(any_client, changed)
    assert differences(changed, info) == ()
    assert len(differences(plain, info)) == 1


def test_many_text_fields_make_an_index_wide_unasked(client: redis.Redis) -> None:
    for count in (32, 33):
        spec = spec_of({**{f"t{number}": {"type": "text"} for number in range(count)}, "embedding": VECTOR})
        info = create_and_read(client, spec)
        assert ("MAXTEXTFIELDS" in info["index_options"]) == (count > 32)
        assert differences(spec, info) == ()
        client.execute_command(*ddl.ft_drop_index("idx:item"))


def test_aliases_and_dropping(any_client: redis.Redis) -> None:
    spec = spec_of({"embedding": VECTOR})
    any_client.execute_command(*ddl.ft_create(spec, "idx:item@1"))
    any_client.execute_command(*ddl.ft_create(spec, "idx:item@2"))
    any_client.execute_command(*ddl.ft_alias_add("idx:item", "idx:item@1"))
    assert reply.index_name(info_of(any_client)) == "idx:item@1"
    any_client.execute_command(*ddl.ft_alias_update("idx:item", "idx:item@2"))
    assert reply.index_name(info_of(any_client)) == "idx:item@2"
    any_client.execute_command(*ddl.ft_alias_del("idx:item"))
    with pytest.raises(redis.ResponseError):
        info_of(any_client)
    any_client.hset("item:1", "embedding", bytes(4) + b"\0\0\x80\x3f")
    any_client.execute_command(*ddl.ft_drop_index("idx:item@1"))
    assert any_client.exists("item:1") == 1
    any_client.execute_command(*ddl.ft_drop_index("idx:item@2", delete_documents=True))
    assert any_client.exists("item:1") == 0


@pytest.mark.parametrize(
    "fields",
    [{"embedding": VECTOR | {"datatype": "int8"}}, {"embedding": VECTOR | {"algorithm": "svs_vamana"}}],
    ids=["int8", "svs_vamana"],
)
def test_require_agrees_with_the_server(client: redis.Redis, fields: dict[str, Any]) -> None:
    spec, server = spec_of(fields), server_version(client)
    try:
        versions.require(spec, server)
    except ServerTooOldError:
        with pytest.raises(redis.ResponseError, match="Unknown argument"):
            client.execute_command(*ddl.ft_create(spec))
    else:
        client.execute_command(*ddl.ft_create(spec))


@pytest.fixture
def datatypes(client: redis.Redis) -> list[Datatype]:
    """The datatypes that the server has."""
    server = server_version(client)
    return [
        datatype for datatype in BYTES_PER_NUMBER if versions.DATATYPES[datatype] <= (server.search or ())
    ]


def distances(client: redis.Redis, query: bytes) -> dict[str, float]:
    """The distance of every document from `query`, shape (2,) in the index's datatype."""
    words = ("FT.SEARCH", "idx:item", "*=>[KNN 1000 @embedding $query AS distance]", "LIMIT", 0, 1000)
    words += ("PARAMS", 2, "query", query, "RETURN", 1, "distance", "DIALECT", 2)
    found = reply.parse_search(client.execute_command(*words))
    return {hit.id: float(hit.fields["distance"]) for hit in found.hits}


# From the smallest float64 to the largest, closer to where something changes.
EXPONENTS = (
    *range(-320, -30, 10),
    *range(-165, -150),
    *range(-47, 0),
    *range(41),
    *range(45, 300, 10),
    153,
    154,
    155,
)


def test_vectors_that_are_let_through_have_a_distance_and_those_refused_would_not(
    client: redis.Redis, datatypes: list[Datatype]
) -> None:
    for datatype in datatypes:
        if datatype in ("int8", "uint8"):
            continue
        client.execute_command(
            *ddl.ft_create(spec_of({"embedding": VECTOR | {"datatype": datatype, "algorithm": "flat"}}))
        )
        numbers = np.array([10.0**exponent for exponent in dict.fromkeys(EXPONENTS)])
        matrix = np.stack([numbers, numbers], axis=1)
        blobs, reasons = encode_vectors(matrix, datatype, "cosine")
        taken = {f"item:{row}": blob for row, blob in enumerate(blobs) if reasons[row] is None}
        for document, blob in taken.items():
            client.hset(document, "embedding", blob)
        query = encode_vector([1, 1], 2, datatype, "cosine")
        found = distances(client, query)
        assert found.keys() == taken.keys()
        # All point where the query points; 16 bits are coarse.
        assert max(map(abs, found.values())) < 0.001, (datatype, found)
        zero = {
            f"zero:{row}": blob for row, blob in enumerate(blobs) if "becomes zero" in (reasons[row] or "")
        }
        assert zero or datatype == "float64"
        for document, blob in zero.items():
            client.hset("item:refused", "embedding", blob)
            assert math.isnan(distances(client, query)["item:refused"]), document
        client.flushdb()


def test_why_a_vector_without_a_direction_is_refused(client: redis.Redis) -> None:
    client.execute_command(*ddl.ft_create(spec_of({"embedding": VECTOR})))
    client.hset("item:zero", "embedding", bytes(8))
    client.hset("item:same", "embedding", encode_vector([1, 0], 2, "float32", "cosine"))
    found = distances(client, encode_vector([1, 0], 2, "float32", "cosine"))
    assert list(found) == ["item:zero", "item:same"]
    assert math.isnan(found["item:zero"])


@pytest.mark.parametrize("algorithm", ["flat", "hnsw"])
def test_every_datatype_is_stored_as_the_server_reads_it(
    client: redis.Redis, datatypes: list[Datatype], algorithm: str
) -> None:
    for datatype in datatypes:
        spec = spec_of({"embedding": VECTOR | {"datatype": datatype, "algorithm": algorithm, "metric": "l2"}})
        client.execute_command(*ddl.ft_create(spec))
        for x, y in ((0, 0), (3, 4), (60, 80)):
            vectors = {"embedding": encode_vector([x, y], 2, datatype, "l2")}
            client.hset(f"item:{x}", mapping=encode_document(spec, str(x), vectors))
        found = distances(client, encode_vector([0, 0], 2, datatype, "l2"))
        assert found == {"item:0": 0, "item:3": 25, "item:60": 10_000}
        assert reply.indexing_failures(info_of(client)) == 0
        client.flushdb()


def test_what_encode_document_writes_the_server_reads(any_client: redis.Redis) -> None:
    spec = spec_of(
        {
            "item_id": {"type": "tag", "from": "key"},
            "tags": {"type": "tag", "separator": ";"},
            "price": {"type": "numeric"},
            "place": {"type": "geo"},
            "area": {"type": "geoshape", "coord_system": "flat"},
            "title": {"type": "text"},
            "embedding": VECTOR,
        }
    )
    any_client.execute_command(*ddl.ft_create(spec))
    prices = {"a": 1e22, "b": 1e-7, "c": -3.0, "d": True, "e": "7.50", "f": 2**60, "g": 1 / 3}
    blob = encode_vector([1, 2], 2, "float32", "cosine")
    for key, price in prices.items():
        document = encode_document(
            spec,
            key,
            {"embedding": blob},
            None,
            {
                "tags": [key, "two words"],
                "price": price,
                "place": (13.4, 52.5),
                "area": "POLYGON ((0 0, 0 9, 9 9, 9 0, 0 0))",
                "title": f"title of {key}",
            },
        )
        any_client.hset(f"item:{key}", mapping=document)

    def found(query: str) -> set[str]:
        words = ("FT.SEARCH", "idx:item", query, "NOCONTENT", "DIALECT", 2)
        answer = reply.parse_search(any_client.execute_command(*words), with_content=False)
        return {hit.id.removeprefix("item:") for hit in answer.hits}

    assert reply.indexing_failures(info_of(any_client)) == 0
    for key, price in prices.items():
        assert found(f"@price:[{float(price)!r} {float(price)!r}]") == {key}
        assert found(f"@tags:{{{key}}}") == {key}
        assert found(f"@item_id:{{{key}}}") == {key}
    assert found(r"@tags:{two\ words}") == set(prices)
    assert found("@place:[13.4 52.5 1 km]") == set(prices)
    assert found("@title:title") == set(prices)


def test_counts_and_failures(any_client: redis.Redis) -> None:
    spec = spec_of({"embedding": VECTOR})
    any_client.execute_command(*ddl.ft_create(spec))
    assert reply.num_docs(info_of(any_client)) == 0
    assert reply.last_indexing_error(info_of(any_client)) is None
    any_client.hset("item:1", "embedding", encode_vector([1, 2], 2, "float32", "cosine"))
    any_client.hset("item:short", "embedding", bytes(4))
    info = info_of(any_client)
    assert (reply.num_docs(info), reply.indexing_failures(info)) == (1, 1)
    error = reply.last_indexing_error(info)
    assert error is not None
    assert error[1] == "item:short"


def test_every_client_sees_the_same_info_and_the_same_hits(redis_url: str, client: redis.Redis) -> None:
    spec = spec_of({"title": {"type": "text", "sortable": True}, "embedding": VECTOR}, stopwords=["of"])
    client.execute_command(*ddl.ft_create(spec))
    for key in "abc":
        client.hset(f"item:{key}", mapping={"title": key})
    infos, searches, bare = [], [], []
    for protocol in (2, 3):
        for decode in (False, True):
            with redis.Redis.from_url(redis_url, protocol=protocol, decode_responses=decode) as other:
                infos.append(info_of(other))
                words = ("FT.SEARCH", "idx:item", "*", "SORTBY", "title", "LIMIT", 0, 2)
                answer = reply.parse_search(other.execute_command(*words))
                searches.append(
                    (answer.total, [(hit.id, reply.text(hit.fields["title"])) for hit in answer.hits])
                )
                bare.append(
                    reply.parse_search(other.execute_command(*words, "NOCONTENT"), with_content=False)
                )
                with other.pipeline(transaction=False) as pipeline:
                    pipeline.execute_command("FT.INFO", "idx:item")
                    pipeline.execute_command(*words)
                    piped_info, piped_search = pipeline.execute()
                assert reply.parse_search(piped_search) == answer
                assert reply.parse_info(piped_info)["attributes"] == infos[-1]["attributes"]
                assert reply.parse_info(other.ft("idx:item").info())["attributes"] == infos[-1]["attributes"]
    assert searches == [(3, [("item:a", "a"), ("item:b", "b")])] * 4
    assert bare == [reply.SearchReply(3, (reply.SearchHit("item:a"), reply.SearchHit("item:b")))] * 4
    stable = [
        {name: info[name] for name in info if not name.endswith(("_avg", "_time", "_uses", "_stats"))}
        for info in infos
    ]
    assert stable[1:] == stable[:1] * 3
    assert set(infos[0]) == set(infos[1]) == set(infos[2]) == set(infos[3])
