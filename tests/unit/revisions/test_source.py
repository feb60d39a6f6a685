"""Python source for values and calls, held against Python and ruff."""

from __future__ import annotations

import ast
import subprocess
import sys
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import spec_mappings
from vecmigrate.revisions.source import WIDTH, call, literal, one_line

_PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def keywords_of(text: str) -> dict[str, Any]:
    (statement,) = ast.parse(text.strip()).body
    assert isinstance(statement, ast.Expr)
    assert isinstance(statement.value, ast.Call)
    return {str(word.arg): ast.literal_eval(word.value) for word in statement.value.keywords}


@given(_PLAIN)
def test_python_reads_back_what_was_written(value: Any):
    assert ast.literal_eval(literal(value)) == value


@given(spec_mappings())
@settings(max_examples=40)
def test_a_call_says_what_it_was_given_however_it_is_laid_out(mapping: dict[str, Any]):
    keywords = {"index": mapping["index"], "fields": mapping["fields"]}
    assert keywords_of(call("op.create_index", ["item"], keywords)) == keywords
    assert keywords_of(one_line("op.create_index", ["item"], keywords)) == keywords


def test_what_fits_is_one_line():
    assert call("op.rebuild_index", ["tool"], {"embedding": {"m": 32}}) == (
        '    op.rebuild_index("tool", embedding={"m": 32})'
    )


def test_what_does_not_fit_is_laid_out_with_each_part_on_its_own_line():
    field = {"type": "vector", "dims": 384, "datatype": "float32", "metric": "cosine", "algorithm": "hnsw"}
    text = call(
        "op.alter_index", ["tool"], {"add": {"embedding": {**field, "m": 16}, "shop": {"type": "tag"}}}
    )
    assert text.splitlines() == [
        "    op.alter_index(",
        '        "tool",',
        "        add={",
        '            "embedding": {',
        '                "type": "vector",',
        '                "dims": 384,',
        '                "datatype": "float32",',
        '                "metric": "cosine",',
        '                "algorithm": "hnsw",',
        '                "m": 16,',
        "            },",
        '            "shop": {"type": "tag"},',
        "        },",
        "    )",
    ]


def test_ruff_leaves_it_as_it_is():
    words = ["a" * length for length in range(1, 30)] + ['say "x"', "it's", "both ' and \"", "back\\slash"]
    lines = ["def upgrade(op):"]
    for length in range(1, len(words)):
        lines.append(call("op.rebuild_index", ["tool"], {"index": {"stopwords": words[:length]}}))
        lines.append(call("op.rebuild_index", ["x" * length], {"a": {words[length]: 1.5}, "b": [None, True]}))
    text = "\n".join(lines) + "\n"
    command = [sys.executable, "-m", "ruff", "format", "--isolated", f"--line-length={WIDTH}", "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    assert done.stdout == text
