"""The run's server, with what a check of documents is given."""

from __future__ import annotations

import pytest
import redis

from tests.checked import Server


@pytest.fixture
def server(client: redis.Redis) -> Server:
    """The run's server, emptied."""
    return Server(client)
