from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecmigrate.search import ddl
from vecmigrate.spec.build import spec_from_mapping
from vecmigrate.spec.model import IndexSpec


def spec_of(**fields: dict[str, Any]) -> IndexSpec:
    return spec_from_mapping(
        {
            "version": 1,
            "name": "item",
            "index": {"name": "idx:item", "prefix": "item:"},
            "key": "item_id",
            "fields": fields,
        }
    )


VECTOR = {"type": "vector", "dims": 4}
HNSW = "VECTOR HNSW 12 TYPE FLOAT32 DIM 4 DISTANCE_METRIC COSINE M 16 EF_CONSTRUCTION 200 EF_RUNTIME 10"


def schema_words(spec: IndexSpec) -> list[str]:
    words = list(ddl.ft_create(spec))
    return words[words.index("SCHEMA") + 1 :]


def test_the_index_name_can_be_a_physical_one() -> None:
    spec = spec_of(embedding=VECTOR)
    assert ddl.ft_create(spec)[1] == "idx:item"
    assert ddl.ft_create(spec, "idx:item@0001")[1] == "idx:item@0001"
    assert ddl.ft_create(spec)[2:] == ddl.ft_create(spec, "idx:item@0001")[2:]


def test_what_is_stored_only_is_not_in_the_schema() -> None:
    spec = spec_of(note={"type": "text", "index": False}, meta={"type": "json"}, embedding=VECTOR)
    assert " ".join(schema_words(spec)) == f"embedding {HNSW}"
    assert [item.name for item in ddl.indexed_fields(spec)] == ["embedding"]


def test_a_name_that_the_parser_would_take_for_an_option_is_moved_to_a_safe_place() -> None:
    spec = spec_of(title={"type": "text"}, weight={"type": "numeric"}, embedding=VECTOR)
    assert " ".join(schema_words(spec)) == f"weight NUMERIC title TEXT embedding {HNSW}"


def test_the_order_of_the_spec_is_kept_where_it_is_safe() -> None:
    spec = spec_of(weight={"type": "numeric"}, separator={"type": "text"}, embedding=VECTOR)
    assert [word for word in schema_words(spec) if word in ("weight", "separator", "embedding")] == [
        "weight",
        "separator",
        "embedding",
    ]


def test_several_such_names_find_their_places() -> None:
    names = {name: {"type": "text"} for name in ("title", "weight", "nostem", "Phonetic")}
    words = schema_words(spec_of(**names, flag={"type": "numeric"}, one=VECTOR, two=VECTOR, three=VECTOR))
    for name in ("weight", "nostem", "Phonetic"):
        at = words.index(name)
        assert at == 0 or words[at - 1] != "TEXT", words


def test_aliases() -> None:
    assert ddl.ft_alias_add("a", "a@1") == ("FT.ALIASADD", "a", "a@1")
    assert ddl.ft_alias_update("a", "a@2") == ("FT.ALIASUPDATE", "a", "a@2")
    assert ddl.ft_alias_del("a") == ("FT.ALIASDEL", "a")


def test_documents_are_dropped_only_when_asked_for() -> None:
    assert ddl.ft_drop_index("a@1") == ("FT.DROPINDEX", "a@1")
    assert ddl.ft_drop_index("a@1", delete_documents=True) == ("FT.DROPINDEX", "a@1", "DD")


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (1.0, "1"),
        (0.5, "0.5"),
        (1e-05, "1e-05"),
        (200, "200"),
        (1e22, "1e+22"),
        (-2.0, "-2"),
        (1 / 3, repr(1 / 3)),
    ],
)
def test_numbers(value: float, word: str) -> None:
    assert ddl.number_word(value) == word
    assert float(word) == value


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("plain", "plain"),
        ("item:{a}*", "item:{a}*"),
        ("größe", "größe"),
        ("", '""'),
        ("two words", '"two words"'),
        ('say "hi"', r'"say \"hi\""'),
        ("it's", '"it\'s"'),
        ("back\\slash", r'"back\\slash"'),
        ("a\nb\tc\rd", r'"a\nb\tc\rd"'),
        ("\x00\x1b\x7f", r'"\x00\x1b\x7f"'),
        (b"\xff\x00", r'"\xff\x00"'),
        ("\u00a0", r'"\xc2\xa0"'),
    ],
)
def test_quoting(word: str | bytes, line: str) -> None:
    assert ddl.format_command([word]) == line


def read_as_redis_cli(line: str) -> list[bytes]:
    """Split a line by the rules of the redis-cli prompt, written anew from its documentation."""
    data, at, words = line.encode(), 0, []
    escapes = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"a": b"\a"}
    blanks = b" \n\r\t\v\f\0"
    while True:
        while at < len(data) and data[at] in blanks:
            at += 1
        if at == len(data):
            return words
        word, quote = b"", b""
        while at < len(data):
            this = data[at : at + 1]
            if quote == b'"':
                if data[at : at + 2] == b"\\x":
                    word += bytes.fromhex(data[at + 2 : at + 4].decode())
                    at += 4
                    continue
                if this == b"\\":
                    following = data[at + 1 : at + 2]
                    word += escapes.get(following, following)
                    at += 2
                    continue
                if this == b'"':
                    at += 1
                    assert at == len(data) or data[at] in blanks, "a quote must end a word"
                    quote = b""
                    break
                word += this
            elif this in (b'"', b"'"):
                assert this == b'"', "single quotes are never written"
                quote = this
            elif data[at] in blanks:
                break
            else:
                word += this
            at += 1
        assert not quote, "a quote is left open"
        words.append(word)


@given(st.lists(st.text() | st.binary(), min_size=1))
def test_redis_cli_reads_back_what_was_meant(words: list[str | bytes]) -> None:
    line = ddl.format_command(words)
    assert "\n" not in line
    assert read_as_redis_cli(line) == [word.encode() if isinstance(word, str) else word for word in words]
