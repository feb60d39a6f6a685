"""Generated code agrees with the engine: the same bytes for a vector, the same fields for a document, the
same refusals. Both use one codec, of which generated code has a copy."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.generated import a_spec, committed_specs, make_package
from vecmigrate.backfill.convert import Converter
from vecmigrate.helpers.vectors import decode_vector, encode_vector
from vecmigrate.search.document import encode_document
from vecmigrate.spec.model import IndexSpec

DATATYPES = ("float32", "float64", "float16", "bfloat16", "int8", "uint8")
METRICS = ("cosine", "l2", "ip")
DIMS = 4

KINDS = [(datatype, metric) for datatype in DATATYPES for metric in METRICS]


def outcome(function: Callable[..., object], *arguments: object) -> object:
    """What a function returns, or the type and text of what it raises."""
    try:
        return function(*arguments)
    except (ValueError, TypeError) as error:
        return type(error), str(error)


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], tuple[ModuleType, Any]]:
    """For each datatype and metric the generated module of a spec with such a vector, and its function."""
    specs = [
        a_spec(
            f"{datatype}_{metric}",
            embedding={"type": "vector", "dims": DIMS, "datatype": datatype, "metric": metric},
        )
        for datatype, metric in KINDS
    ]
    package = make_package(tmp_path_factory.mktemp("blobs"), *specs)
    return {
        (datatype, metric): (
            sys.modules[f"{package.__name__}._{datatype}_{metric}"],
            getattr(package, f"{datatype}_{metric}_embedding_to_blob"),
        )
        for datatype, metric in KINDS
    }


NUMBERS = st.one_of(
    st.floats(width=64),
    st.floats(-1000, 1000).map(round),
    st.sampled_from([0.0, -0.0, 1e-30, 1e-160, 1e-45, 6e-8, 65504.0, 65520.0, 3.5e38, 1e200, 127, 128, 255]),
)
VECTORS = st.one_of(
    st.lists(NUMBERS, min_size=DIMS, max_size=DIMS),
    st.lists(st.integers(-300, 300), min_size=DIMS, max_size=DIMS),
    st.lists(NUMBERS, min_size=DIMS, max_size=DIMS).map(tuple),
    hnp.arrays(st.sampled_from(["f2", "f4", "f8", ">f4", ">f8", "i1", "i8", "u1", "u4"]), (DIMS,)),
    hnp.arrays(
        st.sampled_from(["f4", "c8", "?", "S2", "U1", "O"]), st.sampled_from([(DIMS,), (1, DIMS), (3,)])
    ),
    st.sampled_from(
        [
            None,
            "abcd",
            b"abcd",
            [True] * DIMS,
            [1, 2, "x", 4],
            [[1], [2, 3], 4, 5],
            [10**400, 1, 1, 1],
            [],
            5.0,
        ]
    ),
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(vector=VECTORS)
@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_a_vector_becomes_the_same_bytes_or_is_refused_alike(
    blobs: dict[tuple[str, str], tuple[ModuleType, Any]], kind: tuple[str, str], vector: Any
):
    datatype, metric = kind
    expected = outcome(encode_vector, vector, DIMS, datatype, metric)
    assert outcome(blobs[kind][1], vector) == expected


# Around every limit of every datatype, and around the lengths that a server can divide by.
MAGNITUDES = st.builds(
    lambda mantissa, exponent: float(mantissa * 10.0**exponent),
    st.floats(-10, 10),
    st.integers(-46, 39) | st.integers(-325, 307) | st.integers(-9, 6),
)
LEGACY = st.lists(
    NUMBERS.map(float) | MAGNITUDES | st.integers(-300, 300).map(float), min_size=DIMS, max_size=DIMS
) | MAGNITUDES.map(lambda number: [number] * DIMS)


@pytest.fixture(scope="module")
def json_stores(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Any]:
    """For each datatype and metric the module of a JSON spec with such a vector."""
    specs = [
        a_spec(
            f"{datatype}_{metric}",
            storage="json",
            embedding={"type": "vector", "dims": DIMS, "datatype": datatype, "metric": metric},
        )
        for datatype, metric in KINDS
    ]
    package = make_package(tmp_path_factory.mktemp("json_stores"), *specs)
    return {kind: sys.modules[f"{package.__name__}._{'_'.join(kind)}"] for kind in KINDS}


@settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(vector=LEGACY)
@pytest.mark.parametrize("storage", ["hash", "json"])
@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_a_backfill_and_a_helper_take_the_same_vectors_and_refuse_the_others_for_the_same_reason(
    blobs: dict[tuple[str, str], tuple[ModuleType, Any]],
    json_stores: dict[tuple[str, str], Any],
    kind: tuple[str, str],
    storage: str,
    vector: list[float],
):
    datatype, metric = kind
    field = {"type": "vector", "dims": DIMS, "datatype": datatype, "metric": metric}
    decoded = Converter(a_spec(embedding=field)).decode([json.dumps(vector).encode()])
    expected = decoded.blobs[0] if decoded.reasons[0] is None else (ValueError, decoded.reasons[0])
    if storage == "hash":
        assert outcome(blobs[kind][1], vector) == expected
        return
    item = {f"{datatype}_{metric}_id": "key", "embedding": vector}
    commands: Any = outcome(json_stores[kind].encode_item, item)
    if isinstance(expected, tuple):
        assert commands == expected
    else:
        stored = json.loads(commands[0][3])["embedding"]
        assert encode_vector(stored, DIMS, datatype, metric) == expected


def read(module: ModuleType, reply: list[Any]) -> Any:
    """The document in a reply of HMGET."""
    return module.INDEX.document("key", reply, module.read_document)


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_a_vector_is_read_back_as_the_engine_reads_it(
    blobs: dict[tuple[str, str], tuple[ModuleType, Any]], kind: tuple[str, str]
):
    module, to_blob = blobs[kind]
    blob = to_blob([1, 2, 3, 100])
    document = read(module, [blob])
    expected = decode_vector(blob, DIMS, kind[0])
    assert document["embedding"].dtype == expected.dtype
    assert np.array_equal(document["embedding"], expected)
    assert read(module, [blob[:-1]])["embedding"] is None
    assert read(module, [None]) is None


def everything() -> IndexSpec:
    """A spec with each type of field from each source, with and without defaults."""
    fields: dict[str, Any] = {"item_name": {"type": "tag", "from": "key"}}
    for source in ("metadata", "argument"):
        first = source[0]
        fields |= {
            f"{first}_text": {"type": "text", "from": source},
            f"{first}_title": {"type": "text", "from": source, "default_from": "key"},
            f"{first}_note": {"type": "text", "from": source, "default": "no'te"},
            f"{first}_tags": {"type": "tag", "from": source, "separator": ";"},
            f"{first}_kind": {"type": "tag", "from": source, "default": "plain", "path": f"{first} kind"},
            f"{first}_price": {"type": "numeric", "from": source},
            f"{first}_rank": {"type": "numeric", "from": source, "default": 1.5},
            f"{first}_count": {"type": "numeric", "from": source, "default": 7},
            f"{first}_place": {"type": "geo", "from": source},
            f"{first}_home": {"type": "geo", "from": source, "default": "13.40,52.5"},
            f"{first}_area": {"type": "geoshape", "from": source},
            f"{first}_zone": {"type": "geoshape", "from": source, "default": "POINT (1 2)"},
        }
    fields |= {
        "key_rank": {"type": "text", "from": "key"},
        "meta_json": {"type": "json", "from": "metadata"},
        "extra": {"type": "json", "from": "argument"},
        "embedding": {"type": "vector", "dims": 2},
        "image": {"type": "vector", "dims": 3, "datatype": "float64", "metric": "l2"},
    }
    return a_spec(**fields)


EVERYTHING = everything()


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    package = make_package(tmp_path_factory.mktemp("everything"), EVERYTHING)
    return sys.modules[f"{package.__name__}._item"]


SPECIAL_TEXTS = [
    "",
    "a;b",
    "1,2",
    "POINT (1 2)",
    " 3 ",
    "nan",
    "1e5",
    "a\0b",
    "x\ud83d",
    "\u3000",
    "t" * 4097,
]
TEXTS = st.one_of(st.text(max_size=4), st.sampled_from(SPECIAL_TEXTS))
VALUES = st.one_of(
    st.none(),
    TEXTS,
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.sampled_from(
        [1e15, 1e16, 10**400, -0.0, np.float32(0.1), np.int64(5), b"bytes", (13, 52), [1], {"a": 1}]
    ),
    st.lists(TEXTS, max_size=3),
    st.frozensets(TEXTS, max_size=3),
    st.tuples(st.floats(-200, 200), st.floats(-90, 90)),
)
FROM_METADATA = [item.name for item in EVERYTHING.fields if item.source == "metadata"]
ARGUMENTS = [
    item.name
    for item in EVERYTHING.fields
    if item.source == "argument" and item.name not in ("embedding", "image")
]


def hset_fields(commands: list[tuple[Any, ...]]) -> dict[str, bytes]:
    """The fields that the commands leave in an empty hash."""
    words = commands[-1]
    assert words[:2] == ("HSET", b"item:key")
    return {name.decode(): value for name, value in zip(words[2::2], words[3::2], strict=True)}


@settings(deadline=None, max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    metadata=st.dictionaries(st.sampled_from([*FROM_METADATA, "other"]), VALUES, max_size=4),
    arguments=st.dictionaries(st.sampled_from(ARGUMENTS), VALUES, max_size=3),
)
def test_a_document_holds_the_same_fields_or_is_refused_alike(
    module: ModuleType, metadata: dict[str, Any], arguments: dict[str, Any]
):
    vectors = {
        "embedding": encode_vector([1, 2], 2, "float32", "cosine"),
        "image": encode_vector([0, 0, 1], 3, "float64", "l2"),
    }

    def generated() -> dict[str, bytes]:
        given = {"item_id": "key", "embedding": [1, 2], "image": [0, 0, 1], "metadata": metadata}
        commands = module.encode_item(given | arguments)
        absent = [name.decode() for name in commands[0][2:]] if commands[0][0] == "HDEL" else []
        fields = hset_fields(commands)
        assert not set(absent) & set(fields)
        # Everything that the spec knows is either written or removed.
        assert {*absent, *fields} == {item.path for item in EVERYTHING.fields}
        return fields

    expected = outcome(encode_document, EVERYTHING, "key", vectors, metadata, arguments)
    found = outcome(generated)
    if isinstance(expected, tuple):
        assert isinstance(found, tuple)
        assert found[0] is expected[0]
        # Which of several faults is named first does not matter.
        if len(metadata) + len(arguments) == 1:
            assert found[1] == expected[1]
    else:
        assert found == expected


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a package for the four specs of this repository."""
    return make_package(tmp_path_factory.mktemp("four"), *committed_specs()).__name__


@pytest.mark.parametrize("spec", committed_specs(), ids=lambda spec: spec.name)
@given(
    metadata=st.dictionaries(st.sampled_from(["name", "description", "x"]), st.none() | TEXTS | st.integers())
)
def test_the_four_specs_write_the_documents_of_the_engine(
    four: str, spec: IndexSpec, metadata: dict[str, Any]
):
    vector = np.arange(1, 385, dtype=np.float32)
    blob = encode_vector(vector, 384, "float32", "cosine")
    helpers = spec.helpers
    item = {spec.key: "key", helpers.vector_parameter: vector, helpers.metadata_parameter: metadata}
    expected = outcome(encode_document, spec, "key", {"embedding": blob}, metadata)
    commands: Any = outcome(sys.modules[f"{four}._{spec.name}"].encode_item, item)
    if isinstance(expected, tuple):
        assert commands[0] is expected[0]
    else:
        (words,) = commands
        assert words[:2] == ("HSET", f"{spec.prefix}key".encode())
        fields = {name.decode(): value for name, value in zip(words[2::2], words[3::2], strict=True)}
        assert fields == expected
