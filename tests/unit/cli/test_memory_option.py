"""--max-memory takes what redis.conf takes."""

from __future__ import annotations

import pytest

from vecmigrate.commands.database import parse_memory
from vecmigrate.errors import ConfigError


class Info:
    """A server's answer to INFO memory."""

    def __init__(self, maximum):
        self.maximum = maximum

    def info(self, section):
        assert section == "memory"
        return {"maxmemory": self.maximum, "total_system_memory": 1000}


@pytest.mark.parametrize(
    ("text", "size"),
    [("100", 100), ("1kb", 1024), ("1k", 1000), ("1.5GB", 3 * 2**29), ("2 mb", 2**21), ("1tb", 2**40)],
)
def test_sizes(text, size):
    assert parse_memory(text, Info(0)) == size


def test_shares_are_of_what_the_server_may_use():
    assert parse_memory("80%", Info(500)) == 400
    assert parse_memory("80%", Info(0)) == 800


@pytest.mark.parametrize("text", ["", "much", "2 pb", "-1", "1,5gb"])
def test_nonsense(text):
    with pytest.raises(ConfigError, match="no amount of memory"):
        parse_memory(text, Info(0))


def test_no_limit():
    assert parse_memory(None, Info(0)) is None
