"""Servers that evict: documents, legacy hashes and the lease may vanish there, and nobody is told."""

from __future__ import annotations

from typing import Protocol

from vecmigrate.errors import OperationError
from vecmigrate.operations.base import RunOptions, ServerMemory


class _Searching(Protocol):
    def memory(self) -> ServerMemory:
        """How much memory the server uses, and may."""


class _Context(Protocol):
    @property
    def options(self) -> RunOptions:
        """What the operator asked for."""

    @property
    def search(self) -> _Searching:
        """The server."""


def may_evict(memory: ServerMemory) -> bool:
    """Whether the server may evict keys: it has a limit, and a policy that is not to refuse writes."""
    return memory.maximum is not None and memory.policy != "noeviction"


def refuse_eviction(context: _Context) -> None:
    """Raise OperationError where the server may evict keys and the operator did not allow that."""
    check_eviction(context.search.memory(), context.options)


def check_eviction(memory: ServerMemory, options: RunOptions) -> None:
    """As `refuse_eviction`, for whoever has no context yet."""
    if options.allow_eviction or not may_evict(memory):
        return
    doomed = (
        "documents and legacy hashes"
        if memory.policy.startswith("allkeys")
        else "keys that expire: the lease that guards this run, and documents whose source expires"
    )
    raise OperationError(
        f"the server may evict keys (maxmemory-policy {memory.policy}, maxmemory {memory.maximum or 0:,} "
        f"bytes; expected noeviction): {doomed} would go, and nobody would be told",
        hint="CONFIG SET maxmemory-policy noeviction, at least while this runs, or say --allow-eviction",
    )
