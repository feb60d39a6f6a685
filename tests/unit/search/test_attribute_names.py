"""Whatever an index calls its fields: the spec that is proposed is one, and says the same index."""

from __future__ import annotations

import builtins
import keyword
from typing import Any

from vecmigrate.codegen import names as generated
from vecmigrate.helpers import queries
from vecmigrate.search.from_info import propose
from vecmigrate.search.introspect import differences
from vecmigrate.spec import naming, rules
from vecmigrate.spec.build import spec_from_mapping, spec_to_mapping

WORDS = sorted(
    {
        *dir(builtins),
        *keyword.kwlist,
        *keyword.softkwlist,
        *naming.PACKAGE_NAMES,
        *naming.SHADOWING,
        *naming.STORE_PARAMETERS,
        *naming.SEARCH_PARAMETERS,
        *naming.HIT_KEYS,
        *generated.BODY_NAMES,
        *("query_embedding", "docs_id", "docs", "embedding", "vec", "conditions", "key", "fields", "vectors"),
        *(
            "user.name",
            "user_name",
            "user-name",
            "user name",
            "__vec",
            "_",
            "__",
            "1",
            "é",
            "名前",
            "*",
            "-",
            "$",
        ),
    }
    - {"as", "AS"}
)


def info_of(storage: str, words: list[str]) -> dict[str, Any]:
    def path(word: str) -> str:
        return word if storage == "HASH" or word.startswith("$") else f"$.{word}"

    kinds = ({"type": "TAG", "SEPARATOR": "," if storage == "HASH" else ""}, {"type": "NUMERIC"})
    attributes: list[dict[str, Any]] = [
        {"identifier": path(word), "attribute": word, "flags": [], **kinds[number % 2]}
        for number, word in enumerate(words)
    ]
    vector = {
        "type": "VECTOR",
        "algorithm": "FLAT",
        "data_type": "FLOAT32",
        "dim": 2,
        "distance_metric": "COSINE",
    }
    attributes.append({"identifier": path("__v"), "attribute": "__v", "flags": [], **vector})
    definition = {"key_type": storage, "prefixes": ["docs:"], "default_score": 1.0}
    return {"index_name": "docs", "index_definition": definition, "attributes": attributes}


def test_every_attribute_has_a_name_in_python_and_keeps_its_own() -> None:
    for storage in ("HASH", "JSON"):
        info = info_of(storage, WORDS)
        found = propose(info, index="docs", aliases=[])
        spec = spec_from_mapping(found.mapping)
        assert differences(spec, info) == ()
        assert {item.attribute for item in spec.fields} == {*WORDS, "__v"}
        assert len({item.name for item in spec.fields}) == len(spec.fields)
        assert spec_from_mapping(spec_to_mapping(spec)) == spec
        told = " ".join(found.notes)
        for item in spec.fields:
            assert (item.name != item.attribute) == (f"the attribute {item.attribute!r} cannot" in told)


def test_the_distance_has_one_name() -> None:
    assert rules.DISTANCE == queries.DISTANCE


def test_what_queries_call_an_attribute() -> None:
    said = {word: queries.query_name(word) for word in ("a_1", "user.name", "$.a[0]", "a\\b", "é ü", "\x1f")}
    assert said == {
        "a_1": "a_1",
        "user.name": r"user\.name",
        "$.a[0]": r"\$\.a\[0\]",
        "a\\b": r"a\\b",
        "é ü": r"é\ ü",
        "\x1f": "\\\x1f",
    }
