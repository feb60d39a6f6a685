"""Metadata in other encodings is stored as readers read it, or set aside; long texts are not read."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.backfill.test_convert import SKILL, convert, fields
from vecmigrate.backfill.convert import read_metadata
from vecmigrate.backfill.reading import BATCH_BYTES, LONGEST_METADATA, Page, Source

VALUE = {"name": "Größe 🐈", "level": 3}
TEXT = json.dumps(VALUE, ensure_ascii=False)
VECTOR = b"[1, 2]"


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]
)
def test_json_in_any_of_its_encodings_is_stored_as_utf_8(encoding):
    (document,), aside = convert(SKILL, (b"a", VECTOR, TEXT.encode(encoding)))
    assert aside == []
    stored = fields(SKILL, document)
    assert stored["meta_json"] == TEXT.encode()
    assert orjson.loads(stored["meta_json"]) == json.loads(stored["meta_json"].decode()) == VALUE
    assert stored["name"] == VALUE["name"].encode()
    assert document.remark == ""
    # What is compared with the source is the source's own text.
    assert document.metadata == TEXT.encode(encoding)


@pytest.mark.parametrize(
    "text",
    [
        TEXT.encode("cp1252", errors="replace").replace(b"?", b"\xe9"),
        '{"a": "é"}'.encode("latin-1"),
        b'{"a": "\xed\xa0\x80"}',
        b'\xff\xfe{"a": 1}',
        TEXT.encode("utf-16")[:-1],
    ],
)
def test_what_no_reader_could_read_falls_back_to_the_key(text):
    (document,), _ = convert(SKILL, (b"a", VECTOR, text))
    assert orjson.loads(fields(SKILL, document)["meta_json"]) == {"skill_id": "a"}
    assert document.remark


@pytest.mark.parametrize("text", [b'{"a": "\\ud800"}', b'{"\\udfff": 1}', b'{"a": [{"b": "x\\ud83dy"}]}'])
def test_half_a_surrogate_pair_is_set_aside_with_its_reason(text):
    documents, (aside,) = convert(SKILL, (b"a", VECTOR, text))
    assert documents == []
    assert "half a surrogate pair" in aside.reason


def test_a_whole_pair_is_a_letter():
    text = json.dumps(VALUE).encode()
    assert b"\\ud83d" in text
    assert read_metadata(text) == (VALUE, text)


def test_nan_stays_as_python_writes_it():
    text = b'{"score": NaN}'
    value, stored = read_metadata(text)
    assert stored == text
    assert value is not None
    assert value["score"] != value["score"]


@given(st.binary(max_size=12) | st.text(max_size=8).map(lambda text: ("{" + text).encode("utf-16")))
def test_whatever_is_stored_can_be_read(text):
    try:
        value, stored = read_metadata(text)
    except ValueError:
        return
    assert (value is None) == (stored is None)
    if stored is not None:
        assert json.loads(stored.decode()) == value or "NaN" in stored.decode()


# Lengths


def page(*lengths: tuple[int, int]) -> Page:
    return Page(0, [b"n%d" % number for number in range(len(lengths))], list(lengths))


def take_all(source: Source, page: Page, most: int) -> list[tuple[list[bytes], list[bytes]]]:
    found = []
    while page.begun < len(page.names):
        names, aside = source.take(page, most)
        found.append((names, [item.name for item in aside]))
    return found


def test_texts_that_are_too_long_are_set_aside_by_their_length():
    source = Source("e", "m", 384)
    batches = take_all(source, page((9_000, 10), (1_000_000, 0), (10, LONGEST_METADATA + 1)), 10)
    assert batches == [([b"n0"], [b"n1", b"n2"])]
    assert "1,000,000 bytes (expected 384 numbers" in str(source.too_long((1_000_000, 0)))
    assert "the metadata has" in str(source.too_long((1, LONGEST_METADATA + 1)))


def test_a_vector_of_many_numbers_may_be_long():
    assert Source("e", "m", 100_000).too_long((30_000_000, 0)) is None


@given(st.lists(st.tuples(st.integers(0, 2_000_000), st.integers(0, LONGEST_METADATA)), max_size=30))
def test_batches_hold_every_item_once_and_are_bounded(lengths):
    source = Source("e", "m", 4)
    batches = take_all(source, page(*lengths), 7)
    sizes = dict(zip([b"n%d" % number for number in range(len(lengths))], lengths, strict=True))
    assert sorted(name for names, aside in batches for name in names + aside) == sorted(sizes)
    for names, aside in batches:
        assert 0 < len(names) + len(aside) <= 7
        assert len(names) == 1 or sum(sum(sizes[name]) for name in names) <= BATCH_BYTES
