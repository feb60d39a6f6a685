"""What documents have before their keys, as a sample of keys shows it."""

from __future__ import annotations

from typing import Any

import pytest

from vecmigrate.search.from_info import propose

ATTRIBUTES = [
    {
        "identifier": "v", "attribute": "v", "type": "VECTOR", "algorithm": "FLAT", "data_type": "FLOAT32",
        "dim": 2, "distance_metric": "COSINE", "flags": [],
    }
]  # fmt: skip  # as FT.INFO has it


def proposed(prefixes: list[str], keys: list[str]) -> tuple[str | None, str]:
    info: dict[str, Any] = {
        "index_name": "docs",
        "index_definition": {"key_type": "HASH", "prefixes": prefixes, "default_score": 1.0},
        "attributes": ATTRIBUTES,
    }
    found = propose(info, index="docs", aliases=[], keys=keys)
    return found.mapping["index"].get("store_prefix"), " / ".join(found.notes)


@pytest.mark.parametrize(
    ("prefixes", "keys", "expected", "told"),
    [
        (["docs"], ["docs:1", "docs:2"], "docs:", "2 of 2 documents looked at lie under 'docs:'"),
        (["docs"], ["docs:a:1", "docs:b:2"], "docs:", "`store_prefix`"),
        (["docs"], ["docs::1", "docs::2"], "docs::", "`store_prefix`"),
        (["llama_index/vector"], ["llama_index/vector_1"], "llama_index/vector_", "`store_prefix`"),
        (["mem0:mem0"], ["mem0:mem0:1"], "mem0:mem0:", "`store_prefix`"),
        (["docs"], ["docs:1", "docs:2", "docs2:1"], "docs:", "takes in others, such as 'docs2:1'"),
        (["docs"], ["docs2:1", "docs3:1", "docs:1"], None, "go on in no common way: 'docs2:1'"),
        (["docs"], ["docs1", "docs2"], None, "go on in no common way: 'docs1', 'docs2'"),
        (["docs"], [], None, "no document shows how keys go on"),
        (["docs:"], ["docs:1", "docs:a:2"], None, ""),
        (["docs", "more:"], ["more:1", "docs:1"], "docs:", "1 of 1 documents"),
        ([""], ["docs:1", "docs:2"], "docs:", "the index has no prefix"),
        ([""], ["app:docs:1", "app:docs:2"], "app:docs:", "the index has no prefix"),
        ([""], ["app:docs:1", "app:more:2"], "app:", "the index has no prefix"),
        ([""], ["1", "2"], None, "the index has no prefix, and the keys of documents go on in no common way"),
        ([""], [], None, "no document was seen"),
    ],
)
def test_the_prefix_that_documents_have_is_found_and_said(
    prefixes: list[str], keys: list[str], expected: str | None, told: str
) -> None:
    found, notes = proposed(prefixes, keys)
    assert found == expected
    assert told in notes
    assert (notes == "") == (told == "")
