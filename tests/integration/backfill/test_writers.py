"""Services write while a backfill runs: nothing comes back or is stale, nobody's document is touched."""

from __future__ import annotations

import contextlib
import json
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
import redis

from tests import legacy
from tests.legacy import BACKFILL, KEYS, REVISION, Item, documents, expected, fill, make_items
from vecmigrate.backfill import verify as verifying
from vecmigrate.backfill.engine import Backfill
from vecmigrate.backfill.undo import Remover
from vecmigrate.commands.migrate import downgrade, upgrade
from vecmigrate.operations.progress import Silent

STEP = BACKFILL["tool"]
OLD = make_items("tool", 200, seed=10, damaged=False)
NEW = make_items("tool", 200, seed=11, damaged=False)
BROKEN = Item(b"[1, 2", None, b'{"name": "broken"}')
THEIRS = {"name": b"theirs", "meta_json": b"{}", "embedding": legacy.blob(range(1, 9))}


@dataclass
class BeforeVerifying(Silent):
    """Calls `act` between the copying and the verifying pass of the tools."""

    act: Callable[[], None]

    def start(self, label: str, total: int | None, unit: str = "items") -> None:
        if label.startswith("verify tool"):
            self.act()


def once(act: Callable[[], None], original: Callable[..., Any], *, after: bool = True) -> Callable[..., Any]:
    """`original`, with `act` called behind its first call, or before it."""
    done = False

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        nonlocal done
        first, done = not done, True
        if first and not after:
            act()
        answer = original(*args, **kwargs)
        if first and after:
            act()
        return answer

    return wrapped


@pytest.fixture
def project(tmp_path):
    return legacy.write_project(tmp_path / "project")


def store(client, name, fields):
    client.hset(b"tool_emb:" + name, mapping=fields)


def document(name, item):
    return expected("tool", name, item)


# What somebody does to the item `name`, and what the document has to be at the end: as at first (OLD), as the
# source is then (NEW), as somebody else wrote it (THEIRS), or none.
ACTIONS: dict[str, tuple[Callable[[redis.Redis, bytes], object], str]] = {
    "nothing": (lambda client, name: None, "old"),
    "source_changed": (lambda client, name: legacy.put(client, "tool", name, NEW[name]), "new"),
    "metadata_changed": (
        lambda client, name: client.hset("tool_metadata", name, NEW[name].metadata + b" "),
        "spaced",
    ),
    "metadata_gone": (lambda client, name: client.hdel("tool_metadata", name), "bare"),
    "source_deleted": (lambda client, name: legacy.remove(client, "tool", name), "none"),
    "source_deleted_and_new": (
        lambda client, name: (
            legacy.remove(client, "tool", name),
            legacy.put(client, "tool", name, NEW[name]),
        ),
        "new",
    ),
    "source_broken": (lambda client, name: legacy.put(client, "tool", name, BROKEN), "rejected"),
    "destination_written": (lambda client, name: store(client, name, THEIRS), "theirs"),
    "both_written": (
        lambda client, name: (
            legacy.put(client, "tool", name, NEW[name]),
            store(client, name, document(name, NEW[name])),
        ),
        "new",
    ),
    "both_written_otherwise": (
        lambda client, name: (legacy.put(client, "tool", name, NEW[name]), store(client, name, THEIRS)),
        "theirs",
    ),
    "broken_and_destination_written": (
        lambda client, name: (legacy.put(client, "tool", name, BROKEN), store(client, name, THEIRS)),
        "theirs",
    ),
    "both_deleted": (
        lambda client, name: (client.delete(b"tool_emb:" + name), legacy.remove(client, "tool", name)),
        "none",
    ),
    "deleted_and_destination_written": (
        lambda client, name: (legacy.remove(client, "tool", name), store(client, name, THEIRS)),
        "theirs",
    ),
}


def wanted(name: bytes, what: str) -> dict[str, bytes] | None:
    old = OLD[name]
    return {
        "old": document(name, old),
        "new": document(name, NEW[name]),
        "spaced": document(name, Item(old.text, old.numbers, NEW[name].metadata + b" ")),
        "bare": document(name, Item(old.text, old.numbers, None)),
        "theirs": THEIRS,
    }.get(what)


def check_accounts(client):
    """Every item of the source is counted once by verifying, and the accounts add up."""
    values = legacy.step_values(client, STEP)
    numbers = {name: int(text) for name, text in values.items() if name.startswith("verified_")}
    of_source = sum(numbers.values()) - numbers["verified_removed"]
    assert of_source == client.hlen("tool_embeddings")
    assert numbers["verified_missing"] == 0
    counted = sum(int(values.get(name, 0)) for name in ("done", "skipped", "rejected"))
    marks = client.hgetall(KEYS.items(REVISION, STEP))
    assert counted == len(marks)
    told = [(fields[b"kind"], fields[b"field"]) for _, fields in client.xrange(KEYS.rejects(REVISION))]
    assert len(told) == len(set(told))
    rejected = {name for kind, name in told if kind == b"rejected"}
    assert rejected == {name for name, mark in marks.items() if mark.startswith(b"r")}
    assert len(rejected) == int(values.get("rejected", 0))
    legacy.accounts(client)
    return numbers


def act_on_all(client, places, *, at_destination: bool = True):
    for action, names in places.items():
        for name in names:
            ACTIONS[action][0](client, name)


def names_by_action() -> dict[str, list[bytes]]:
    names = list(OLD)
    return {action: names[place :: len(ACTIONS)] for place, action in enumerate(ACTIONS)}


@pytest.mark.parametrize("moment", ["before", "between reading and writing", "before verifying"])
def test_what_others_do_is_right_at_any_moment(client, emptied_url, project, monkeypatch, moment):
    fill(client, "tool", OLD)
    places = names_by_action()
    act = partial(act_on_all, client, places)
    progress = Silent()
    if moment == "before":
        act()
    elif moment == "before verifying":
        progress = BeforeVerifying(act)
    else:
        # The first batch has been read by then: at least half of what there is.
        monkeypatch.setattr(Backfill, "convert", once(act, Backfill.convert))
    with legacy.session(project, emptied_url) as session:
        upgrade(session, progress=progress, max_deletes="100%")
    found = documents(client, "tool")
    for action, names in places.items():
        what = ACTIONS[action][1]
        for name in names:
            assert found.get(name) == wanted(name, what), (action, name)
    check_accounts(client)
    rejects = {
        fields[b"field"]
        for _, fields in client.xrange(KEYS.rejects(REVISION))
        if fields[b"kind"] == b"rejected"
    }
    assert rejects >= set(places["source_broken"])

    # And a downgrade takes back what is still as it was written, and nothing else.
    with legacy.session(project, emptied_url) as session:
        downgrade(session, "base")
    left = documents(client, "tool")
    assert {name for name, fields in left.items() if fields == THEIRS} == {
        name for action in places if ACTIONS[action][1] == "theirs" for name in places[action]
    }
    assert set(places["both_written"]) >= {name for name, fields in left.items() if fields != THEIRS}


@pytest.mark.parametrize("ledger", [True, False])
def test_a_batch_is_never_written_stale_not_even_for_a_moment(
    client, emptied_url, project, monkeypatch, ledger
):
    # Verifying would mend it later; here is looked before.
    fill(client, "tool", OLD)
    places = names_by_action()
    monkeypatch.setattr(Backfill, "convert", once(partial(act_on_all, client, places), Backfill.convert))
    found: dict[bytes, Any] = {}
    with legacy.session(project, emptied_url) as session:
        if ledger:
            progress = BeforeVerifying(lambda: found.update(documents(client, "tool")))
            upgrade(session, progress=progress, max_deletes="100%")
        else:
            spec = session.history().state(REVISION).get("tool").spec
            with Backfill(client, spec, "tool_embeddings", "tool_metadata", books=None) as backfill:
                list(backfill.copy())
            found.update(documents(client, "tool"))
    for action, names in places.items():
        for name in names:
            assert found.get(name) == wanted(name, ACTIONS[action][1]), (action, name)


def test_verifying_tells_what_became_of_each(client, emptied_url, project):
    fill(client, "tool", OLD)
    places = names_by_action()
    with legacy.session(project, emptied_url) as session:
        upgrade(session, progress=BeforeVerifying(partial(act_on_all, client, places)), max_deletes="100%")
    numbers = check_accounts(client)

    def count(*actions: str) -> int:
        return sum(len(places[action]) for action in actions)

    assert numbers == {
        "verified_equal": count("nothing", "both_written"),
        "verified_newer": count(
            "destination_written", "both_written_otherwise", "broken_and_destination_written"
        ),
        "verified_deleted": 0,
        "verified_evicted_or_deleted": 0,
        "verified_refreshed": count(
            "source_changed", "metadata_changed", "metadata_gone", "source_deleted_and_new"
        ),
        "verified_late": 0,
        "verified_rejected": count("source_broken"),
        "verified_missing": 0,
        "verified_removed": count("source_deleted"),
    }


def test_an_item_that_is_back_before_its_document_is_removed_keeps_it(
    client, emptied_url, project, monkeypatch
):
    fill(client, "tool", OLD)
    gone = list(OLD)[:20]
    back = partial(fill, client, "tool", {name: OLD[name] for name in gone[:10]})
    monkeypatch.setattr(Remover, "_attempt", once(back, Remover._attempt, after=False))
    progress = BeforeVerifying(lambda: client.hdel("tool_embeddings", *gone))
    with legacy.session(project, emptied_url) as session:
        upgrade(session, progress=progress)
    assert set(documents(client, "tool")) == set(OLD) - set(gone[10:])


def test_deleted_at_the_destination_after_it_was_written_stays_deleted(client, emptied_url, project):
    fill(client, "tool", OLD)
    names = list(OLD)[:30]
    progress = BeforeVerifying(lambda: client.delete(*(b"tool_emb:" + name for name in names)))
    with legacy.session(project, emptied_url) as session:
        upgrade(session, progress=progress)
    assert set(documents(client, "tool")) == set(OLD) - set(names)
    assert check_accounts(client)["verified_deleted"] == len(names)


def test_an_item_mended_after_it_was_set_aside_is_written_and_listed_no_more(client, emptied_url, project):
    fill(client, "tool", OLD)
    names = list(OLD)[:30]
    for name in names:
        legacy.put(client, "tool", name, BROKEN)

    def mend():
        for name in names[:10]:
            legacy.put(client, "tool", name, NEW[name])
        for name in names[10:20]:
            legacy.remove(client, "tool", name)

    with legacy.session(project, emptied_url) as session:
        upgrade(session, progress=BeforeVerifying(mend))
    found = documents(client, "tool")
    assert {name: found.get(name) for name in names} == {
        name: document(name, NEW[name]) if place < 10 else None for place, name in enumerate(names)
    }
    check_accounts(client)
    assert int(legacy.step_values(client, STEP)["rejected"]) == 10


def test_metadata_mended_after_it_was_remarked_on(client, emptied_url, project):
    fill(client, "tool", OLD)
    name, other = list(OLD)[:2]
    client.hset("tool_metadata", mapping={name: b"{cut", other: b"{cut"})
    mend = partial(legacy.put, client, "tool", name, OLD[name])
    with legacy.session(project, emptied_url) as session:
        upgrade(session, progress=BeforeVerifying(mend))
    assert documents(client, "tool")[name] == document(name, OLD[name])
    assert [fields[b"field"] for _, fields in client.xrange(KEYS.rejects(REVISION))] == [other]
    assert legacy.step_values(client, STEP)["remarks"] == "1"
    check_accounts(client)


def test_as_many_come_as_go(client, emptied_url, project, monkeypatch):
    # The lengths of the source and of the accounts are the same; still those that went are to be removed.
    fill(client, "tool", OLD)
    gone = list(OLD)[:20]
    more = {b"more-" + name: item for name, item in list(NEW.items())[:20]}

    def replace_items():
        client.hdel("tool_embeddings", *gone)

    monkeypatch.setattr(
        verifying, "_prune", once(partial(fill, client, "tool", more), verifying._prune, after=False)
    )
    with legacy.session(project, emptied_url) as session:
        upgrade(session, progress=BeforeVerifying(replace_items))
    assert client.hlen("tool_embeddings") == len(OLD)
    assert not set(documents(client, "tool")) & set(gone)


@pytest.mark.parametrize("action", sorted(set(ACTIONS) - {"nothing", "metadata_gone", "metadata_changed"}))
def test_what_happens_while_one_item_is_settled(client, emptied_url, project, monkeypatch, action):
    # A late item: it is looked at alone, and something happens before it is written.
    fill(client, "tool", OLD)
    name = next(iter(OLD))
    late = client.hget("tool_embeddings", name)
    client.hdel("tool_embeddings", name)
    add = partial(client.hset, "tool_embeddings", name, late)
    act = partial(ACTIONS[action][0], client, name)
    monkeypatch.setattr(verifying, "_decide", once(act, verifying._decide))
    with legacy.session(project, emptied_url) as session:
        upgrade(session, progress=BeforeVerifying(add))
    assert documents(client, "tool").get(name) == wanted(name, ACTIONS[action][1])


def test_a_document_that_changes_while_it_is_being_removed_stays(client, emptied_url, project, monkeypatch):
    fill(client, "tool", OLD)
    with legacy.session(project, emptied_url) as session:
        upgrade(session)
    name = next(iter(OLD))
    touch = partial(store, client, name, THEIRS)

    original = Remover.doomed
    looked = 0

    def doomed(self, lane, marks):
        nonlocal looked
        looked += 1
        found = original(self, lane, marks)
        if looked == 1:
            touch()
        return found

    monkeypatch.setattr(Remover, "doomed", doomed)
    with legacy.session(project, emptied_url) as session:
        downgrade(session, "base")
    assert looked > 1
    assert documents(client, "tool") == {name: THEIRS}


# Expiry


def expiries(client):
    return {key.removeprefix(b"tool_emb:"): client.pexpiretime(key) for key in client.scan_iter("tool_emb:*")}


def test_documents_expire_when_the_legacy_hash_would(client, emptied_url, project):
    fill(client, "tool", OLD)
    at = int(time.time() * 1000) + 3_600_000
    client.pexpireat("tool_embeddings", at)
    with legacy.session(project, emptied_url) as session:
        upgrade(session)
    assert expiries(client) == dict.fromkeys(OLD, at)


def test_documents_expire_when_their_field_would(client, emptied_url, project):
    fill(client, "tool", OLD)
    now = int(time.time() * 1000)
    soon, later, whole = now + 600_000, now + 9_000_000, now + 3_600_000
    names = list(OLD)
    client.pexpireat("tool_embeddings", whole)
    client.hpexpireat("tool_embeddings", soon, *names[:20])
    client.hpexpireat("tool_embeddings", later, *names[20:40])
    with legacy.session(project, emptied_url) as session:
        upgrade(session)
    assert expiries(client) == {name: soon if place < 20 else whole for place, name in enumerate(names)}


@pytest.mark.parametrize("way", ["field", "hash"])
def test_an_expiry_set_between_reading_and_writing_is_kept(client, emptied_url, project, monkeypatch, way):
    fill(client, "tool", OLD)
    at = int(time.time() * 1000) + 3_600_000

    def expire():
        if way == "field":
            client.hpexpireat("tool_embeddings", at, *OLD)
        else:
            client.pexpireat("tool_embeddings", at)

    monkeypatch.setattr(Backfill, "convert", once(expire, Backfill.convert))
    with legacy.session(project, emptied_url) as session:
        upgrade(session)
    assert expiries(client) == dict.fromkeys(OLD, at)


@pytest.mark.parametrize("way", ["field", "hash"])
def test_what_expires_between_reading_and_writing_is_not_resurrected(
    client, emptied_url, project, monkeypatch, way
):
    fill(client, "tool", OLD)
    names = list(OLD)[:50] if way == "field" else list(OLD)

    def expire():
        if way == "field":
            client.hpexpire("tool_embeddings", 1, *names)
        else:
            client.pexpire("tool_embeddings", 1)
        time.sleep(0.01)

    monkeypatch.setattr(Backfill, "convert", once(expire, Backfill.convert))
    with legacy.session(project, emptied_url) as session:
        upgrade(session, max_deletes="100%")
    assert set(documents(client, "tool")) == set(OLD) - set(names)


def test_a_document_keeps_its_expiry_when_it_is_brought_up_to_date(client, emptied_url, project):
    fill(client, "tool", OLD)
    at = int(time.time() * 1000) + 3_600_000
    client.pexpireat("tool_embeddings", at)
    name = next(iter(OLD))
    change = partial(legacy.put, client, "tool", name, NEW[name])
    with legacy.session(project, emptied_url) as session:
        upgrade(session, progress=BeforeVerifying(change))
    assert documents(client, "tool")[name] == document(name, NEW[name])
    assert expiries(client) == dict.fromkeys(OLD, at)


# Everything at once, at random


@dataclass
class Writers:
    """Two threads of services. Each item belongs to one kind of behaviour and to one thread."""

    url: str
    items: dict[bytes, Item]
    seed: int
    stop: threading.Event = field(default_factory=threading.Event)
    source: dict[bytes, Item | None] = field(default_factory=dict)
    stored: dict[bytes, dict[str, bytes] | None] = field(default_factory=dict)
    versions: dict[bytes, int] = field(default_factory=dict)
    operations: int = 0
    failure: BaseException | None = None

    KINDS = (
        "change",
        "delete",
        "store",
        "delete_stored",
        "change_both",
        "change_both_other_way",
        "delete_both",
        "delete_both_other_way",
        "damage",
        "add",
        "nothing",
    )

    def kind(self, name: bytes) -> str:
        return self.KINDS[int(name.split(b"-")[1]) % len(self.KINDS)]

    def names(self, *kinds: str) -> list[bytes]:
        return [name for name in self.items if self.kind(name) in kinds]

    def begin(self) -> None:
        self.source = {name: item for name, item in self.items.items() if self.kind(name) != "add"}
        self._threads = [threading.Thread(target=self._work, args=(number,)) for number in range(2)]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self.stop.set()
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()
        if self.failure is not None:
            raise self.failure

    def _work(self, number: int) -> None:
        chance = random.Random(self.seed * 2 + number)
        mine = [name for place, name in enumerate(self.items) if place % 2 == number]
        try:
            with contextlib.closing(redis.Redis.from_url(self.url)) as client:
                while not self.stop.is_set():
                    self._operate(client, chance.choice(mine))
                    self.operations += 1
        except BaseException as error:
            self.failure = error

    def _next(self, name: bytes) -> Item:
        version = self.versions.get(name, 0) + 1
        numbers = [float(version), *self.items[name].numbers[1:]]
        metadata = json.dumps({"name": "n", "version": version}).encode()
        return Item(legacy.vector_text(numbers), numbers, metadata)

    def _operate(self, client: redis.Redis, name: bytes) -> None:
        kind = self.kind(name)
        new = self._next(name)
        version = self.versions.get(name, 0) + 1
        key = b"tool_emb:" + name
        if kind in ("change", "add"):
            legacy.put(client, "tool", name, new)
            self.source[name] = new
        elif kind == "delete":
            legacy.remove(client, "tool", name)
            self.source[name] = None
        elif kind == "store":
            fields = document(name, new)
            client.hset(key, mapping=fields)
            self.stored[name] = fields
        elif kind == "delete_stored":
            if client.delete(key):
                self.stored[name] = None
        elif kind in ("change_both", "change_both_other_way"):
            fields = document(name, new)
            writes = [
                partial(legacy.put, client, "tool", name, new),
                partial(client.hset, key, mapping=fields),
            ]
            for write in writes if kind == "change_both" else reversed(writes):
                write()
            self.source[name], self.stored[name] = new, fields
        elif kind in ("delete_both", "delete_both_other_way"):
            deletes = [partial(legacy.remove, client, "tool", name), partial(client.delete, key)]
            for delete in deletes if kind == "delete_both" else reversed(deletes):
                delete()
            self.source[name] = self.stored[name] = None
        elif kind == "damage":
            broken = Item(b"[" + str(version).encode(), None, None)
            legacy.put(client, "tool", name, broken)
            self.source[name] = broken
        self.versions[name] = version


def version_of(fields: dict[str, bytes]) -> int:
    return json.loads(fields["meta_json"]).get("version", 0)


@pytest.mark.parametrize("until", ["verifying", "the end"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_busy_writers(client, emptied_url, project, seed, until):
    items = make_items("tool", 4000, seed=100 + seed, damaged=False)
    writers = Writers(emptied_url, items, seed)
    fill(client, "tool", {name: item for name, item in items.items() if writers.kind(name) != "add"})
    at_verifying: dict[str, Any] = {}

    def before_verifying() -> None:
        if until == "verifying":
            writers.end()
        at_verifying.update(
            versions=dict(writers.versions), source=dict(writers.source), operations=writers.operations
        )

    writers.begin()
    try:
        with legacy.session(project, emptied_url) as session:
            upgrade(session, progress=BeforeVerifying(before_verifying))
    finally:
        writers.end()
    assert at_verifying["operations"] > 100
    found = documents(client, "tool")

    # What others wrote or deleted at the destination is as they left it.
    for name in writers.names("store", "delete_stored", "change_both", "change_both_other_way"):
        as_left = writers.stored[name] if name in writers.stored else document(name, items[name])
        assert found.get(name) == as_left, (writers.kind(name), name)
    for name in writers.names("nothing"):
        assert found[name] == document(name, items[name])
    # What was gone or broken at the source before verifying is not there, whatever was copied before.
    for name in writers.names("delete", "delete_both", "delete_both_other_way", "damage"):
        then = at_verifying["source"][name]
        if then is None or then.numbers is None:
            assert name not in found, (writers.kind(name), name)
    # What changed before verifying is not stale.
    for name in writers.names("change", "add"):
        if name in at_verifying["versions"]:
            assert version_of(found[name]) >= at_verifying["versions"][name], name
            assert version_of(found[name]) <= writers.versions[name]
    if until == "verifying":
        for name, item in writers.source.items():
            if name not in writers.stored:
                assert found.get(name) == (document(name, item) if item else None), writers.kind(name)
        check_accounts(client)
