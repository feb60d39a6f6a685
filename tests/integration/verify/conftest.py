"""The run's server, with what a check of documents is given."""

from __future__ import annotations

import pytest
import redis

from tests.checked import Server
from tests.project import cli_project as project

__all__ = ["project"]


@pytest.fixture
def server(client: redis.Redis) -> Server:
    """The run's server, emptied."""
    return Server(client)
