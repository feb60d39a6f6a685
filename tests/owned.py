"""Who owns which index: small projects, a kill at any write, and what must be so at the end.

create, rebuild    bodies of migrations
specs              the spec of what `create` makes
fill               documents that the indexes of `create` hold
killed_at          ends a command right before its nth write, as a kill would
tidy               whether server, ledger and registry agree, and nothing is left over
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import redis

from tests.project import Project, Ran
from vecmigrate.runtime.keys import OWNERS, LedgerKeys
from vecmigrate.runtime.lease import Lease
from vecmigrate.runtime.search_server import alias_list, index_info
from vecmigrate.search.reply import index_name, is_indexing

KEYS = LedgerKeys("default")
BLOB = np.array([1, 0], "<f4").tobytes()
DIFFERENT = ("SCHEMA", "other", "TAG")
SAME = (
    *("SCHEMA", "embedding", "VECTOR", "FLAT", "6"),
    *("TYPE", "FLOAT32", "DIM", "2", "DISTANCE_METRIC", "COSINE"),
)
CREATE = "create(op)"


def rebuild(metric: str = "l2", name: str = "cat", **index: Any) -> str:
    """A rebuild that gives the index another metric."""
    extra = f", index={index!r}" if index else ""
    return f"op.rebuild_index({name!r}, embedding={{'metric': {metric!r}}}{extra})"


def specs(project: Project) -> None:
    """A spec of what `create` makes, for commands that look at the specs too."""
    folder = project.folder / "specs"
    folder.mkdir(exist_ok=True)
    (folder / "cat.yaml").write_text(
        "version: 1\nname: cat\nindex: {name: 'idx:cat', prefix: 'cat:'}\nkey: cat_id\n"
        "fields:\n  meta: {type: json}\n"
        "  embedding: {type: vector, dims: 2, metric: cosine, algorithm: flat}\n"
    )


def fill(client: redis.Redis, count: int = 4, prefix: str = "cat:") -> None:
    """Write documents whose vectors are all near (1, 0)."""
    for number in range(count):
        vector = np.array([1, number / 100], "<f4").tobytes()
        client.hset(f"{prefix}{number}", mapping={"embedding": vector, "meta": "{}"})


def plain(client: redis.Redis, name: str, *words: str, prefix: str = "cat:") -> None:
    """Make a plain index, as another library does when a service starts, and wait for its scan."""
    client.execute_command("FT.CREATE", name, "ON", "HASH", "PREFIX", 1, prefix, *(words or SAME))
    while is_indexing(index_info(client, name) or {}):
        time.sleep(0.01)


def at(client: redis.Redis, name: str) -> str | None:
    """The physical index that answers to `name`."""
    info = index_info(client, name)
    return None if info is None else index_name(info)


def lists_aliases(client: redis.Redis, name: str) -> bool:
    """Whether the server lists the aliases of an index, as from RediSearch 8.10 on."""
    return alias_list(client, name) is not None


def count(client: redis.Redis, name: str = "idx:cat") -> int:
    """How many documents a query of `name` finds."""
    return int(search(client, name))


def search(client: redis.Redis, name: str = "idx:cat") -> Any:
    """The number of documents that `name` answers with."""
    found: Any = client.execute_command("FT.SEARCH", name, "*", "LIMIT", 0, 0)
    return found[b"total_results"] if isinstance(found, dict) else found[0]


def names(client: redis.Redis) -> set[str]:
    """All indexes."""
    found = client.execute_command("FT._LIST")
    return {name.decode() if isinstance(name, bytes) else name for name in found}


def records(client: redis.Redis, keys: LedgerKeys = KEYS) -> dict[str, dict[str, Any]]:
    """What the ledger says of the index of each spec."""
    return _hash(client, keys.indexes)


def kept(client: redis.Redis, keys: LedgerKeys = KEYS) -> dict[str, dict[str, Any]]:
    """What the ledger says is kept."""
    return _hash(client, keys.kept)


def status(client: redis.Redis, revision: str, keys: LedgerKeys = KEYS) -> str | None:
    """What the ledger says of a revision."""
    text: Any = client.hget(keys.revisions, revision)
    return None if text is None else json.loads(text)["status"]


def owners(client: redis.Redis) -> dict[str, str]:
    """Which namespace owns which index."""
    found: Any = client.hgetall(OWNERS)
    return {name.decode(): owner.decode() for name, owner in found.items()}


def _hash(client: redis.Redis, key: str) -> dict[str, dict[str, Any]]:
    found: Any = client.hgetall(key)
    return {name.decode(): json.loads(text) for name, text in found.items()}


class Killed(BaseException):
    """The process is gone: nothing runs any more, what was written stays."""


@contextlib.contextmanager
def killed_at(monkeypatch: pytest.MonkeyPatch, number: int) -> Iterator[list[str]]:
    """End the commands in the block right before write `number` of a runner (from 0), as a kill would.

    Gives a list to which each write adds a word or two. The lease is given back, as it would lapse.
    """
    seen: list[str] = []
    original = Lease._fenced

    def fenced(self: Lease, run: Any, keys: Any, first: Any, commands: Any, client: Any = None) -> Any:
        if len(seen) >= number:
            raise Killed
        seen.append("+".join([*first, *(str(words[0]) for words in commands)]))
        return original(self, run, keys, first, commands, client)

    with monkeypatch.context() as patch:
        patch.setattr(Lease, "_fenced", fenced)
        yield seen


def kills(
    monkeypatch: pytest.MonkeyPatch, prepare: Callable[[], None], command: Callable[[], Ran]
) -> Iterator[int]:
    """Run `prepare`, then `command` killed before its first write, then before its second, to the last one.

    Gives the number of writes that were done, once for each kill, to look at what follows.
    """
    number = 0
    while True:
        prepare()
        with killed_at(monkeypatch, number) as seen:
            ran = command()
        if ran.code == 0:
            assert len(seen) <= number
            return
        assert "Killed" in ran.err, ran.err
        yield number
        number += 1
        assert number < 200


def must(project: Project, *words: str) -> Ran:
    """Run a command line that has to end well."""
    ran = project(*words)
    assert ran.code == 0, (words, ran.err)
    return ran


def untidy(project: Project, client: redis.Redis, *also: str, said: Sequence[str] = ()) -> list[str]:
    """What is not as it should be: left-over indexes, notes without an index, drift.

    `also` are indexes that are no leftovers; what holds one of `said` is known.
    """
    wrong = []
    there, ours, aside = names(client), records(client), kept(client)
    indexes = {name for name, item in aside.items() if item["kind"] != "alias"}
    known = {item["physical"] for item in ours.values()} | indexes
    wrong += [f"index {name} belongs to nothing" for name in sorted(there - known - set(also))]
    wrong += [f"index {name} is not there" for name in sorted(known - there)]
    wrong += [f"{name} has no owner" for name in sorted(known - set(owners(client)))]
    wrong += [f"{name} is owned and unknown" for name in sorted(set(owners(client)) - known)]
    wrong += [f"{name} is still noted as being built" for name in _hash(client, KEYS.builds)]
    for item in ours.values():
        for alias in item["aliases"]:
            if at(client, alias) != item["physical"]:
                wrong.append(f"{alias} leads to {at(client, alias)} and not to {item['physical']}")
    told = project("status", "--format", "json").json
    wrong += told["faults"]
    found = project("drift", "--format", "json").json
    wrong += [item["message"] for item in (*found["drift"], *found["neighbours"])]
    return [text for text in wrong if not any(part in text for part in said)]


def tidy(
    project: Project, client: redis.Redis, *also: str, note: object = "", said: Sequence[str] = ()
) -> None:
    """Fail where server, ledger and registry do not agree, or something is left over."""
    wrong = untidy(project, client, *also, said=said)
    assert not wrong, f"{note}: {wrong}"


def wipe(client: redis.Redis, keep: Sequence[str] = ()) -> None:
    """Empty the server: every key, every index and every alias."""
    client.flushall()
    assert names(client) == set(keep)
