"""RediSearch as operations see it: reading is free, changing goes through the lease."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import redis

from vecmigrate.operations.base import ServerMemory
from vecmigrate.runtime.connect import Server
from vecmigrate.runtime.lease import Lease
from vecmigrate.search import ddl, reply, versions
from vecmigrate.spec.model import IndexSpec

RETRY_SECONDS = 0.2

# Commands that may not run in a script, and those of an engine of several shards.
_NOT_IN_SCRIPTS = ("not allowed from script", "Cannot block")

# What RediSearch answers where there is no such index: 2.x, then 8.x.
_UNKNOWN = ("unknown index name", "no such index", "index not found", "search_index_not_found")


class FencedSearch:
    """`operations.base.SearchServer` over a client and a lease."""

    def __init__(self, client: redis.Redis, lease: Lease, server: Server) -> None:
        self._client = client
        self._lease = lease
        self._server = server

    def info(self, name: str, *, patient: bool = False) -> dict[str, Any] | None:
        """FT.INFO as plain values, or None where there is no index and no alias of that name.

        With `patient` a server that is being restarted is waited for, as long as the lease lasts.
        """
        while True:
            try:
                return index_info(self._client, name)
            except redis.AuthenticationError:
                raise
            except (redis.ConnectionError, redis.TimeoutError):
                # Loading its data counts among them. Whether we may go on afterwards, the lease tells.
                if not patient:
                    raise
                self._lease.check()
                time.sleep(RETRY_SECONDS)

    def names(self) -> list[str]:
        """The names of all indexes."""
        return [reply.text(name) for name in self._client.execute_command("FT._LIST")]

    def setting(self, name: str) -> str | None:
        """A setting of RediSearch such as TIMEOUT, or None where this server does not tell it."""
        return search_setting(self._client, name)

    def memory(self) -> ServerMemory:
        """How much memory the server uses, and may."""
        info: Any = self._client.info("memory")
        return ServerMemory(
            int(info["used_memory"]),
            int(info.get("maxmemory") or 0) or None,
            str(info.get("maxmemory_policy", "noeviction")),
        )

    def change(self, *words: str | bytes) -> None:
        """Run one command that changes something, in one step with the check of the lease."""
        run_together(self._client, self._lease, [words], grows=True)

    def touch(self, spec: IndexSpec, documents: Sequence[bytes]) -> list[int]:
        """Let the server index `documents` of `spec` again; 1 for each that was there, else 0."""
        # With PARTIAL_INDEXED_DOCS only a field whose attribute is its path counts.
        fields = sorted(ddl.indexed_fields(spec), key=lambda item: item.attribute != item.path)
        return self._lease.touch(documents, spec.index.storage, [item.path for item in fields])

    def aliases_of(self, physical: str) -> list[str] | None:
        """Every alias that leads to the index `physical`; None where the server does not list them."""
        return alias_list(self._client, physical)

    def require(self, spec: IndexSpec) -> None:
        """Raise ServerTooOldError where the server lacks something that `spec` asks for."""
        versions.require(spec, self._server.version)


def run_together(
    client: redis.Redis,
    lease: Lease,
    commands: Sequence[Sequence[str | bytes | int]],
    *,
    keys: Sequence[str] = (),
    grows: bool = False,
) -> None:
    """Run `commands` in one atomic step with the check of the lease; `keys` are those that they touch.

    With `grows` a server that is out of memory refuses them.
    """
    try:
        lease.guarded(*commands, keys=keys, grows=grows)
    except redis.ResponseError as error:
        if not any(text in str(error) for text in _NOT_IN_SCRIPTS):
            raise
        # Some commands may not run in a script; then the check comes first, and a moment later the
        # command.
        for words in commands:
            lease.guarded(("TIME",))
            client.execute_command(*words)


def alias_list(client: redis.Redis, index: str) -> list[str] | None:
    """Every alias that leads to `index`, in order; None where the server does not tell.

    FT.ALIASLIST came with RediSearch 8.10, a user may lack the right to it, and the index may be gone.
    """
    try:
        found: Any = client.execute_command("FT.ALIASLIST", index)
    except redis.ResponseError as error:
        unknown = str(error).lower().startswith("unknown command") or _is_unknown(error)
        if unknown or isinstance(error, redis.exceptions.NoPermissionError):
            return None
        raise
    return sorted(map(reply.text, found))


def infos(client: redis.Redis, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """FT.INFO of every index or alias of `names` that there is, in one round trip."""
    pipe = client.pipeline(transaction=False)
    for name in names:
        pipe.execute_command("FT.INFO", name)
    found = {}
    for name, answer in zip(names, pipe.execute(raise_on_error=False), strict=True):
        if not isinstance(answer, Exception):
            found[name] = reply.parse_info(answer)
        elif not _is_unknown(answer):
            raise answer
    return found


def search_setting(client: redis.Redis, name: str) -> str | None:
    """A setting of RediSearch, or None where this server does not tell it."""
    try:
        found: Any = client.execute_command("FT.CONFIG", "GET", name)
    except redis.ResponseError:
        # Gone from Redis 8 in cluster mode, and a user may not be allowed to ask.
        return None
    pairs = list(found.items()) if isinstance(found, dict) else found
    return reply.text(pairs[0][1]) if pairs else None


def index_info(client: redis.Redis, name: str) -> dict[str, Any] | None:
    """FT.INFO of an index or alias as plain values, or None where there is none of that name."""
    try:
        return reply.parse_info(client.execute_command("FT.INFO", name))
    except redis.ResponseError as error:
        if _is_unknown(error):
            return None
        raise


def _is_unknown(error: Exception) -> bool:
    return isinstance(error, redis.ResponseError) and any(text in str(error).lower() for text in _UNKNOWN)
