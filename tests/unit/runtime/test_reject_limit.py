from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecmigrate.commands.database import parse_reject_limit
from vecmigrate.errors import ConfigError
from vecmigrate.operations.base import RejectLimit


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        (None, None),
        ("0", RejectLimit(count=0)),
        ("10", RejectLimit(count=10)),
        (" 10 ", RejectLimit(count=10)),
        ("2.5%", RejectLimit(share=0.025)),
        ("0%", RejectLimit(share=0.0)),
        ("100%", RejectLimit(share=1.0)),
    ],
)
def test_a_number_or_a_share(text: str | None, limit: RejectLimit | None):
    assert parse_reject_limit(text) == limit


@pytest.mark.parametrize("text", ["", "-1", "2.5", "101%", "ten", "%", "1e3", "1_000", "10 %", "٣"])
def test_anything_else_is_refused(text: str):
    with pytest.raises(ConfigError, match="is no limit on rejects"):
        parse_reject_limit(text)


@given(st.integers(0, 10**9))
def test_numbers_come_through(count: int):
    limit = parse_reject_limit(str(count))
    assert limit == RejectLimit(count=count)
    assert str(limit) == str(count)


@given(st.integers(0, 1000))
def test_shares_come_through(tenths: int):
    limit = parse_reject_limit(f"{tenths / 10}%")
    assert limit is not None
    assert limit.share == pytest.approx(tenths / 1000)


@given(st.text(max_size=6))
def test_any_text_is_a_limit_or_a_config_error(text: str):
    try:
        limit = parse_reject_limit(text)
    except ConfigError:
        return
    assert limit is not None
    assert limit.exceeded(10**10, 10**10) == (limit.share != 1.0)
