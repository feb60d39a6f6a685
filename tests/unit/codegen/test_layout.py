"""Layout by itself: literals, calls, docstrings. That ruff agrees is tested on whole packages."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecmigrate.codegen.layout import WIDTH, assign, call, docstring, prose, quote, words_tuple


@given(st.text())
def test_a_literal_is_the_text(text: str):
    assert ast.literal_eval(quote(text)) == text
    assert "\n" not in quote(text)


def test_ruff_leaves_literals_as_they_are():
    texts = [
        "",
        "a",
        "'",
        '"',
        "''\"",
        '\'""',
        "\\",
        "\\'",
        '\\"',
        "a\nb\t\0\x7f",
        "é\u2028\U0001f600",
        "{}",
        "%s",
    ]
    source = "".join(f"x = {quote(text)}\n" for text in texts)
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--isolated", "-"],
        input=source.encode(),
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode() == source


def test_a_call_stands_on_one_line_while_it_fits():
    fitting = "x" * (WIDTH - len("    f(, b)"))
    assert call("f", [fitting, "b"], indent=4) == f"f({fitting}, b)"
    assert call("f", [fitting + "x", "b"], indent=4) == f"f(\n        {fitting}x,\n        b,\n    )"
    assert call("f", [], indent=100) == "f()"


def test_tuples_and_assignments():
    assert words_tuple([]) == "()"
    assert words_tuple(["a"]) == '("a",)'
    assert words_tuple(["a", "b"], before="x = ") == 'x = ("a", "b")'
    assert assign("X", "a") == 'X = "a"'
    fits_in_parentheses = "a" * 82
    assert assign("LONGER", fits_in_parentheses) == f'LONGER = (\n    "{fits_in_parentheses}"\n)'
    assert assign("X", "a" * 200) == f'X = "{"a" * 200}"'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One line.", '    """One line."""'),
        ('Ends with "quotes"', '    """Ends with "quotes"\n    """'),
        (
            "First.\n\nArgs:\na: One.\nb: Two.\n\nReturns:\nIt.",
            '    """First.\n\n    Args:\n        a: One.\n        b: Two.\n\n    Returns:\n'
            '        It.\n    """',
        ),
    ],
)
def test_docstrings(text: str, expected: str):
    assert docstring(text) == expected


def test_items_of_a_section_hang_and_its_text_does_not():
    long = "word " * 30
    lines = docstring(f"First.\n\nArgs:\na: {long}\n\nReturns:\n{long}").splitlines()
    assert all(len(line) <= WIDTH for line in lines)
    assert [len(line) - len(line.lstrip()) for line in lines if "word" in line] == [8, 12, 8, 8]


@given(st.text())
def test_any_text_makes_a_docstring_that_says_it(text: str):
    safe = prose(text)
    source = f"def f():\n{docstring(f'It is: {safe}')}\n"
    function = ast.parse(source).body[0]
    assert isinstance(function, ast.FunctionDef)
    found = ast.get_docstring(function)
    assert found is not None
    expected = f"It is: {safe}".replace('"""', "'''")
    assert found.split() == expected.split()


@given(st.text())
def test_prose_is_one_printable_line(text: str):
    assert prose(text).isprintable()
