"""RediSearch as operations see it: reading is free, changing goes through the lease."""

from __future__ import annotations

from typing import Any

import redis

from vecmigrate.runtime.connect import Server
from vecmigrate.runtime.lease import Lease
from vecmigrate.search import reply, versions
from vecmigrate.spec.model import IndexSpec

# What RediSearch answers where there is no such index: 2.x, then 8.x.
_UNKNOWN = ("unknown index name", "no such index", "index not found", "search_index_not_found")


class FencedSearch:
    """`operations.base.SearchServer` over a client and a lease."""

    def __init__(self, client: redis.Redis, lease: Lease, server: Server) -> None:
        self._client = client
        self._lease = lease
        self._server = server

    def info(self, name: str) -> dict[str, Any] | None:
        """FT.INFO as plain values, or None where there is no index and no alias of that name."""
        return index_info(self._client, name)

    def change(self, *words: str) -> None:
        """Run one command that changes something, in one step with the check of the lease."""
        try:
            self._lease.guarded(words)
        except redis.ResponseError as error:
            if "not allowed from script" not in str(error):
                raise
            # Some commands may not run in a script; then the check comes first, and a moment later the
            # command.
            self._lease.guarded(("TIME",))
            self._client.execute_command(*words)

    def require(self, spec: IndexSpec) -> None:
        """Raise ServerTooOldError where the server lacks something that `spec` asks for."""
        versions.require(spec, self._server.version)


def index_info(client: redis.Redis, name: str) -> dict[str, Any] | None:
    """FT.INFO of an index or alias as plain values, or None where there is none of that name."""
    try:
        return reply.parse_info(client.execute_command("FT.INFO", name))
    except redis.ResponseError as error:
        if any(text in str(error).lower() for text in _UNKNOWN):
            return None
        raise
