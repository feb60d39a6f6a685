"""Which commands and keys each command of vecmigrate needs of a Redis user.

This is the one place that lists them: the preflight asks the server for them, docs/security.md shows them,
and the tests run every command with exactly these.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from vecmigrate.operations.base import Operation
from vecmigrate.operations.recorder import Recorded
from vecmigrate.operations.state import State
from vecmigrate.runtime.history import Plan
from vecmigrate.runtime.keys import OWNERS, LedgerKeys
from vecmigrate.spec.model import IndexSpec

KEY = "\0key"  # stands for a key in the words of a sample
_NOBODY = "vecmigrate-preflight"

# Words that the server takes for this command; they are looked at by its access control and never run.
SAMPLES: dict[str, tuple[str, ...]] = {
    "del": ("DEL", KEY),
    "discard": ("DISCARD",),
    "eval": ("EVAL", "return 1", "0"),
    "evalsha": ("EVALSHA", "0" * 40, "0"),
    "exec": ("EXEC",),
    "exists": ("EXISTS", KEY),
    "ft._list": ("FT._LIST",),
    "ft.aggregate": ("FT.AGGREGATE", KEY, "*"),
    "ft.aliasadd": ("FT.ALIASADD", KEY, KEY),
    "ft.aliasdel": ("FT.ALIASDEL", KEY),
    "ft.aliasupdate": ("FT.ALIASUPDATE", KEY, KEY),
    "ft.alter": ("FT.ALTER", KEY, "SCHEMA", "ADD", "f", "TEXT"),
    "ft.create": ("FT.CREATE", KEY, "SCHEMA", "f", "TEXT"),
    "ft.cursor": ("FT.CURSOR", "READ", KEY, "1"),
    "ft.dropindex": ("FT.DROPINDEX", KEY),
    "ft.info": ("FT.INFO", KEY),
    "ft.profile": ("FT.PROFILE", KEY, "SEARCH", "QUERY", "*"),
    "ft.search": ("FT.SEARCH", KEY, "*"),
    "hdel": ("HDEL", KEY, _NOBODY),
    "hexists": ("HEXISTS", KEY, "f"),
    "hget": ("HGET", KEY, "f"),
    "hgetall": ("HGETALL", KEY),
    "hincrby": ("HINCRBY", KEY, "f", "1"),
    "hkeys": ("HKEYS", KEY),
    "hlen": ("HLEN", KEY),
    "hmget": ("HMGET", KEY, "f"),
    "hpexpireat": ("HPEXPIREAT", KEY, "1", "FIELDS", "1", "f"),
    "hpexpiretime": ("HPEXPIRETIME", KEY, "FIELDS", "1", "f"),
    "hrandfield": ("HRANDFIELD", KEY),
    "hscan": ("HSCAN", KEY, "0"),
    "hset": ("HSET", KEY, "f", "v"),
    "hsetnx": ("HSETNX", KEY, "f", "v"),
    "hstrlen": ("HSTRLEN", KEY, "f"),
    "incr": ("INCR", KEY),
    "info": ("INFO",),
    "json.arrtrim": ("JSON.ARRTRIM", KEY, "$", "0", "-1"),
    "json.get": ("JSON.GET", KEY),
    "json.merge": ("JSON.MERGE", KEY, "$", "{}"),
    "json.set": ("JSON.SET", KEY, "$", "{}"),
    "json.strappend": ("JSON.STRAPPEND", KEY, "$", '""'),
    "json.type": ("JSON.TYPE", KEY, "$"),
    "multi": ("MULTI",),
    "persist": ("PERSIST", KEY),
    "pexpire": ("PEXPIRE", KEY, "1"),
    "pexpireat": ("PEXPIREAT", KEY, "1"),
    "pexpiretime": ("PEXPIRETIME", KEY),
    "ping": ("PING",),
    "pttl": ("PTTL", KEY),
    "scan": ("SCAN", "0"),
    "script|load": ("SCRIPT", "LOAD", "return 1"),
    "time": ("TIME",),
    "type": ("TYPE", KEY),
    "unlink": ("UNLINK", KEY),
    "unwatch": ("UNWATCH",),
    "watch": ("WATCH", KEY),
    "xadd": ("XADD", KEY, "*", "f", "v"),
    "xdel": ("XDEL", KEY, "0-1"),
    "xrange": ("XRANGE", KEY, "-", "+"),
    "xrevrange": ("XREVRANGE", KEY, "+", "-"),
}
# Those that would change something, in a form that the server refuses once it has looked at rights.
HARMLESS: dict[str, tuple[str, ...]] = {
    "ft.create": ("FT.CREATE", KEY),
    "hincrby": ("HINCRBY", KEY, "f", "no number"),
    "hset": ("HSET", KEY, "f", "v", "a field without value"),
    "xadd": ("XADD", KEY, "no id", "f", "v"),
}
# These ask for reading only; RediSearch wants its index names, which are keys to it, for writing as well.
READS = frozenset({
    "exists", "hexists", "hget", "hgetall", "hkeys", "hlen", "hmget", "hpexpiretime", "hrandfield", "hscan",
    "hstrlen", "json.get", "json.type", "pexpiretime", "pttl", "type", "watch", "xrange", "xrevrange",
})  # fmt: skip  # reads best in rows

_SERVER = ("info", "evalsha", "ping", "script|load", "time")
_LEDGER_READ = ("hget", "hgetall", "hkeys", "hmget", "pttl", "xrange", "xrevrange")
_LEDGER_WRITE = ("del", "exists", "hdel", "hincrby", "hset", "incr", "pexpire", "unlink", "xadd")
_OWNERS = ("hdel", "hmget", "hset", "hsetnx")
_ALIASES = ("ft.aliasadd", "ft.aliasdel", "ft.aliasupdate")
_INDEX = (*_ALIASES, "ft.alter", "ft.create", "ft.dropindex", "ft.info", "ft.search")
# What is read of documents, and how one that a scan passed over is written anew, unchanged.
_HASH_TOUCH = ("evalsha", "hexists", "hget", "hpexpireat", "hpexpiretime", "hrandfield", "hset")
_JSON_TOUCH = ("evalsha", "json.arrtrim", "json.merge", "json.strappend", "json.type")
_HASH_DOCUMENTS = ("hget", "hgetall", "hmget", "hstrlen", "type", *_HASH_TOUCH)
_JSON_DOCUMENTS = ("json.get", "type", *_JSON_TOUCH)
# A backfill: what it does to documents, to its source, and to its own accounts.
_FILLED = ("del", "exists", "hgetall", "hset", "pexpireat", "pexpiretime", "watch")
# A script declares its keys, and Redis then wants them for reading and writing, although ours only reads.
_SOURCE = (
    "evalsha", "hexists", "hget", "hlen", "hmget", "hpexpiretime", "hrandfield", "hscan", "hstrlen",
    "pexpiretime", "watch",
)  # fmt: skip  # reads best in rows
_ACCOUNTS = ("hexists", "hlen", "hscan", "xdel")
# EVAL, where somebody has emptied the cache of scripts meanwhile.
_BACKFILL = ("eval", "multi", "exec", "unwatch")


@dataclass(frozen=True, slots=True)
class Key:
    """A key that stands for all of a pattern, as `ACL SETUSER` takes patterns."""

    sample: str
    pattern: str


@dataclass(frozen=True, slots=True)
class Need:
    """A command, as `ACL SETUSER` names it, and where it has keys, one of those that it is run on."""

    command: str
    key: Key | None = None

    @property
    def reads_only(self) -> bool:
        """Whether reading the key is all that it needs."""
        return self.command in READS

    @property
    def harmless(self) -> bool:
        """Whether nothing changes even if the server runs its words, those of HARMLESS where it has some."""
        nobody = self.key is None or _NOBODY in self.key.sample
        return (
            nobody
            or self.reads_only
            or self.command in (*HARMLESS, "evalsha", "hdel", "ft.info", "ft.search")
        )


def words(command: str, key: str, instead: Mapping[str, tuple[str, ...]] | None = None) -> tuple[str, ...]:
    """Words of `command` on `key`; those of `instead` where it has some."""
    if command == "evalsha" and key:
        return ("EVALSHA", "0" * 40, "1", key)
    return tuple(key if word == KEY else word for word in (instead or {}).get(command, SAMPLES[command]))


def for_ledger(namespace: str) -> list[Need]:
    """What every command that changes the ledger needs, `stamp` and `unlock` among them."""
    ledger = _ledger_key(namespace)
    owners = Key(OWNERS, OWNERS)
    return [
        *(Need(command) for command in (*_SERVER, "scan")),
        *(Need(command, ledger) for command in (*_LEDGER_READ, *_LEDGER_WRITE)),
        *(Need(command, owners) for command in _OWNERS),
    ]


def for_reading(namespace: str, specs: Iterable[IndexSpec] = ()) -> list[Need]:
    """What `status`, `current`, `rejects`, `drift` and `check --server` need."""
    ledger = _ledger_key(namespace)
    found = [Need("info"), Need("ft._list")]
    found += [Need(command, ledger) for command in _LEDGER_READ]
    found.append(Need("hmget", Key(OWNERS, OWNERS)))
    found += [Need("ft.info", key) for spec in specs for key in _index_keys(spec)]
    return found


def for_plans(namespace: str, plans: Iterable[Plan]) -> list[Need]:
    """What it needs to carry out plans: `upgrade` and `downgrade`."""
    found = for_ledger(namespace)
    for plan in plans:
        found += for_operations(namespace, plan.recorded, plan.script.revision)
    return unique(found)


def for_operations(namespace: str, recorded: Iterable[Recorded], revision: str) -> list[Need]:
    """What it needs to carry out the operations of one revision."""
    found = for_ledger(namespace)
    for item in recorded:
        specs = _specs(item.operation, item.state, revision)
        for spec in specs:
            found += for_index(spec)
        found += _of_operation(item.operation, specs, namespace)
    return unique(found)


def for_index(spec: IndexSpec) -> list[Need]:
    """What building, checking, publishing and dropping the index of `spec` needs."""
    found = [Need("ft._list"), Need("scan"), Need("multi"), Need("exec")]
    found += [Need(command, key) for key in _index_keys(spec) for command in _INDEX]
    reads = _JSON_DOCUMENTS if spec.index.storage == "json" else _HASH_DOCUMENTS
    found += [Need(command, key) for key in _document_keys(spec) for command in reads]
    return found


def for_names(names: Iterable[str]) -> list[Need]:
    """What `rollback`, `complete`, `heal` and `abandon` need for these indexes and aliases."""
    commands = (*_ALIASES, "ft.dropindex", "ft.info")
    return [Need(command, Key(name, name)) for name in names for command in commands]


def for_hand(namespace: str) -> list[Need]:
    """What `unlock`, `pause` and `resume` need beside the ledger."""
    ledger = _ledger_key(namespace)
    found = [Need(command) for command in ("multi", "exec", "unwatch")]
    return unique([*found, *(Need(command, ledger) for command in ("hsetnx", "watch"))])


def for_services(spec: IndexSpec) -> list[Need]:
    """What the generated helpers of `spec` need: storing, deleting, searching, listing and going through all.

    FT.PROFILE tells over RESP2 whether a search ran out of time; EVAL stores a document and its expiry.
    """
    asked = ("ft.aggregate", "ft.cursor", "ft.info", "ft.profile", "ft.search")
    stored = ("json.get", "json.set") if spec.index.storage == "json" else ("hdel", "hmget", "hset")
    found = [Need("scan"), Need("eval")]
    found += [Need(command, key) for key in _index_keys(spec)[:1] for command in asked]
    found += [
        Need(command, key)
        for key in _document_keys(spec)
        for command in (*stored, "del", "persist", "pexpire")
    ]
    return found


def acl_rules(needs: Iterable[Need]) -> list[str]:
    """The words for `ACL SETUSER` that give all of `needs` and nothing more."""
    wanted = unique(needs)
    writes = {need.key: False for need in wanted if need.key is not None}
    for need in wanted:
        if need.key is not None and not need.reads_only:
            writes[need.key] = True
    keys = [f"~{key.pattern}" if write else f"%R~{key.pattern}" for key, write in writes.items()]
    commands = sorted({need.command for need in wanted})
    return [*dict.fromkeys(keys), "-@all", *(f"+{command}" for command in commands)]


def unique(needs: Iterable[Need]) -> list[Need]:
    """Each once, in order."""
    return list(dict.fromkeys(needs))


def _of_operation(operation: Operation, specs: Sequence[IndexSpec], namespace: str) -> Iterator[Need]:
    """What goes beyond the index itself."""
    sources = [getattr(operation, name, None) for name in ("embeddings_key", "metadata_key")]
    for source in sources:
        if isinstance(source, str):
            yield from (Need(command, Key(source, source)) for command in _SOURCE)
    if any(sources):
        yield from (Need(command) for command in _BACKFILL)
        yield from (Need(command, _ledger_key(namespace)) for command in _ACCOUNTS)
        keys = [key for spec in specs for key in _document_keys(spec)]
        yield from (Need(command, key) for key in keys for command in _FILLED)


def _specs(operation: Operation, state: State, revision: str) -> list[IndexSpec]:
    """The indexes that an operation is about, as they are before it and afterwards."""
    before = {item.spec.name: item.spec for item in state}
    after = {item.spec.name: item.spec for item in operation.apply(state, revision)}
    found = []
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old != new or name == operation.target:
            found += [spec for spec in (old, new) if spec is not None]
    return found


def _ledger_key(namespace: str) -> Key:
    start = LedgerKeys(namespace).lease.removesuffix("lease")
    return Key(f"{start}{_NOBODY}", f"{start}*")


def _index_keys(spec: IndexSpec) -> list[Key]:
    name = spec.index.name
    further = [Key(alias, alias) for alias in spec.index.aliases or ()]
    return [Key(name, name), *further, Key(f"{name}@{_NOBODY}", f"{name}@*")]


def _document_keys(spec: IndexSpec) -> list[Key]:
    return [Key(f"{prefix}{_NOBODY}", f"{prefix}*") for prefix in spec.index.prefixes]
