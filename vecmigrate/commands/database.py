"""The commands about a database. Each takes a session and returns a result; none prints."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass

import redis

from vecmigrate.backfill.throttle import read_pause
from vecmigrate.commands.results import (
    CurrentResult,
    CurrentRevision,
    HolderStatus,
    IndexStatus,
    KeptStatus,
    PartialStatus,
    RejectsResult,
    RevisionStatus,
    StatusResult,
    UnlockResult,
)
from vecmigrate.config import Config
from vecmigrate.errors import ConfigError, LockedError
from vecmigrate.operations.base import RejectLimit
from vecmigrate.operations.kept import Kept
from vecmigrate.operations.recorder import Variables
from vecmigrate.operations.registry import IndexRecord
from vecmigrate.runtime import connect, preflight, rights
from vecmigrate.runtime.carry_over import indexes_of
from vecmigrate.runtime.history import History
from vecmigrate.runtime.kept import read_kept
from vecmigrate.runtime.lease import Holder, holder
from vecmigrate.runtime.ledger import Ledger, RevisionRecord
from vecmigrate.runtime.look import look
from vecmigrate.runtime.search_server import index_info
from vecmigrate.runtime.translate import translate_redis_errors
from vecmigrate.runtime.urls import parse_url
from vecmigrate.search import memory

EMBEDDED = "embedded:"
_MEMORY = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?) ?(?P<unit>b|k|kb|m|mb|g|gb|t|tb|%)?")
_BYTES = {
    "": 1, "b": 1, "k": 10**3, "kb": 2**10, "m": 10**6, "mb": 2**20, "g": 10**9, "gb": 2**30,
    "t": 10**12, "tb": 2**40,
}  # fmt: skip  # reads best in rows
_REJECT_LIMIT = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?)(?P<percent>%?)")


@dataclass(frozen=True, slots=True)
class Session:
    """A server, a ledger in it, and the migrations on disk."""

    config: Config
    url: str
    client: redis.Redis
    server: connect.Server
    ledger: Ledger
    variables: Variables
    # Seconds that the server was waited for: what waits for other runners afterwards has so much less.
    waited: float = 0.0

    def history(self) -> History:
        """The scripts on disk, read anew."""
        return History(self.config.migrations, self.variables)


@contextmanager
def open_session(
    config: Config,
    *,
    redis_url: str | None = None,
    namespace: str | None = None,
    variables: Mapping[str, str] | None = None,
    wait: float | None = None,
) -> Iterator[Session]:
    """Connect; what redis-py raises inside the block comes out as ServerError in one line.

    The server is `redis_url`, or VECMIGRATE_REDIS_URL, or REDIS_URL, or what the configuration says. One that
    loads its data, is busy with a script or cannot be reached for the moment is waited for, up to `wait`
    seconds (None: not at all, and errors name no option for it).

    Raises:
        ConfigError: No URL is known, it cannot be read, or it names another database than 0.
        ServerError: The server cannot be reached, or vecmigrate cannot work with it.
    """
    source, url = _redis_url(config, redis_url)
    began = time.monotonic()
    with ExitStack() as stack:
        if url.startswith(EMBEDDED):
            # Imported only where it is used: the wheels are an extra.
            from vecmigrate.embedded import EmbeddedRedis, parse_embedded_url

            url = stack.enter_context(EmbeddedRedis(parse_embedded_url(url))).url
        address = parse_url(url, source)
        stack.enter_context(translate_redis_errors(address))
        # What takes longer than the lease lives comes too late.
        answer_seconds = min(config.lease_seconds, connect.ANSWER_SECONDS)
        client, server = connect.reach(
            address, lambda: connect.connect(address, answer_seconds=answer_seconds), wait=wait
        )
        stack.callback(client.close)
        ledger = Ledger(client, namespace or config.namespace)
        stack.enter_context(_naming_rights(ledger, changes=wait is not None))
        yield Session(
            config=config,
            url=str(address),
            client=client,
            server=server,
            ledger=ledger,
            variables=Variables(given=dict(variables or {}), configured=config.variables),
            waited=time.monotonic() - began,
        )


@contextmanager
def _naming_rights(ledger: Ledger, *, changes: bool) -> Iterator[None]:
    """Where the user may not even read the ledger, name everything that is missing for it at once."""
    try:
        yield
    except redis.exceptions.NoPermissionError:
        namespace = ledger.keys.namespace
        needs = rights.for_ledger(namespace) if changes else rights.for_reading(namespace)
        preflight.require_rights(ledger.client, needs, "this command")
        raise


def _redis_url(config: Config, given: str | None) -> tuple[str, str]:
    """The URL that counts, and where it comes from; raises ConfigError where there is none."""
    for source, url in (
        ("--redis", given),
        ("VECMIGRATE_REDIS_URL", os.environ.get("VECMIGRATE_REDIS_URL")),
        ("REDIS_URL", os.environ.get("REDIS_URL")),
        ("`redis` in the configuration", config.redis),
    ):
        if url:
            return source, url.strip()
    raise ConfigError(
        "no Redis is named (a URL such as redis://localhost:6379/0)",
        hint="give --redis URL, set VECMIGRATE_REDIS_URL, or put `redis` into the configuration",
    )


def current(session: Session) -> CurrentResult:
    """The revisions that the database is at."""
    history = session.history()
    records = session.ledger.revisions()
    heads = set(history.graph.heads())
    ahead = ahead_revisions(history, records)
    unknown = [records[name] for name in applied_revisions(records) if name not in history.scripts]
    covered = {below for record in unknown for below in record.down_revision or ()}
    return CurrentResult(
        tuple(
            CurrentRevision(name, name in heads, records[name].message)
            for name in current_revisions(history, records)
            # What a newer release went on from is not where the database is.
            if name not in covered
        )
        + tuple(CurrentRevision(name, False, records[name].message, ahead=True) for name in ahead)
    )


def status(session: Session) -> StatusResult:
    """Where the database is, what is pending, what stopped half-way, and who is at work."""
    history = session.history()
    records = session.ledger.revisions()
    at_work = holder(session.client, session.ledger.keys)
    changed = set(history.changed(records))
    listed = [
        _revision_status(history, records, name, changed, at_work) for name in history.graph.topological()
    ]
    listed += [
        RevisionStatus(
            name, record.message, record.status, record.finished_at, record.seconds, record.by, missing=True
        )
        for name, record in records.items()
        if name not in history.scripts
    ]
    errors = session.ledger.last_errors()
    indexes = indexes_of(session.ledger, history)
    applied = set(applied_revisions(records))
    version = session.server.version
    search = ".".join(map(str, version.search)) if version.search else "none"
    return StatusResult(
        redis=session.url,
        server=f"Redis {'.'.join(map(str, version.redis))}, RediSearch {search}",
        namespace=session.ledger.keys.namespace,
        current=current_revisions(history, records),
        heads=history.graph.heads(),
        pending=tuple(
            name
            for name in history.graph.topological()
            if name not in applied and (name not in records or records[name].status != "rolled back")
        ),
        held=tuple(name for name, record in records.items() if record.status == "rolled back"),
        partial=tuple(
            _partial(session, record)
            for record in records.values()
            if record.status not in ("applied", "rolled back")
        ),
        # What was mended since is no news.
        last_error=next((item for item in errors if item["revision"] not in applied), None),
        lease=_holder_status(at_work),
        revisions=tuple(listed),
        kept=tuple(kept_status(session.client, item) for item in read_kept(session.ledger).values()),
        indexes=tuple(_index_status(item) for item in indexes.values()),
        faults=tuple(map(str, look(session.client, indexes))),
        paused=read_pause(session.client, session.ledger.keys.pause),
    )


def unlock(session: Session, *, force: bool) -> UnlockResult:
    """Take the lease from whoever holds it; a runner that still lives stops before its next write.

    Raises:
        LockedError: There is a holder, and `force` is false.
    """
    keys = session.ledger.keys
    with session.client.pipeline(transaction=True) as pipe:
        # Watched, so that only the holder that is named here loses it.
        pipe.watch(keys.lease)
        at_work = holder(session.client, keys)
        if at_work is None:
            return UnlockResult(None, removed=False)
        if not force:
            raise LockedError(f"the lease is held by {at_work}", hint="add --force to take it away")
        pipe.multi()
        pipe.delete(keys.lease)
        pipe.xadd(keys.log, {"event": "unlock", "revision": "", "holder": str(at_work), "error": ""})
        try:
            pipe.execute()
        except redis.WatchError:
            raise LockedError("the lease was renewed or changed hands meanwhile", hint="look again") from None
    return UnlockResult(_holder_status(at_work), removed=True)


def rejects(session: Session, revision: str | None = None) -> RejectsResult:
    """What was set aside or remarked on by `revision`, or by all of them."""
    history = session.history()
    records = session.ledger.revisions()
    names = history.graph.resolve(revision, applied_revisions(records)) if revision else tuple(records)
    items = tuple(item for name in names for item in session.ledger.rejects(name))
    remarks = sum(item.kind == "remark" for item in items)
    return RejectsResult(items, rejected=len(items) - remarks, remarks=remarks)


def parse_reject_limit(text: str | None, what: str = "rejects") -> RejectLimit | None:
    """`10` or `2.5%` as a limit on `what`; raises ConfigError for anything else."""
    if text is None:
        return None
    found = _REJECT_LIMIT.fullmatch(text.strip())
    share = float(found["number"]) / 100 if found and found["percent"] else None
    if found is None or (share is None and "." in found["number"]) or (share is not None and share > 1):
        raise ConfigError(
            f"{text!r} is no limit on {what} (expected a number such as 10, or a share such as 2.5%)"
        )
    return RejectLimit(share=share) if share is not None else RejectLimit(count=int(found["number"]))


def parse_memory(text: str | None, client: redis.Redis) -> int | None:
    """`2gb`, `500mb` or a number of bytes, as redis.conf writes them, or `80%` of the server's memory.

    Raises:
        ConfigError: It is none of these.
    """
    if text is None:
        return None
    found = _MEMORY.fullmatch(text.strip().lower())
    if found is None:
        raise ConfigError(f"{text!r} is no amount of memory (such as 2gb, 500mb or 80%)")
    number, unit = float(found["number"]), found["unit"] or ""
    if unit == "%":
        info = client.info("memory")
        return int(number / 100 * (int(info.get("maxmemory") or 0) or int(info["total_system_memory"])))
    return int(number * _BYTES[unit])


def applied_revisions(records: Mapping[str, RevisionRecord]) -> list[str]:
    """The revisions that are applied, in the order of the ledger."""
    return [name for name, record in records.items() if record.status == "applied"]


def ahead_revisions(history: History, records: Mapping[str, RevisionRecord]) -> tuple[str, ...]:
    """The applied revisions without a script here that no other recorded one stands on."""
    unknown = [name for name in applied_revisions(records) if name not in history.scripts]
    covered = {below for name in unknown for below in records[name].down_revision or ()}
    return tuple(name for name in unknown if name not in covered)


def current_revisions(history: History, records: Mapping[str, RevisionRecord]) -> tuple[str, ...]:
    """The applied revisions, of those that have a script here, that no other applied one stands on."""
    return history.graph.current([name for name in applied_revisions(records) if name in history.scripts])


def _revision_status(
    history: History,
    records: Mapping[str, RevisionRecord],
    name: str,
    changed: set[str],
    at_work: Holder | None,
) -> RevisionStatus:
    record = records.get(name)
    message = history.scripts[name].message
    if record is None:
        return RevisionStatus(name, message, "pending")
    return RevisionStatus(
        name,
        message,
        _told_status(record, at_work),
        record.finished_at,
        record.seconds,
        record.by,
        changed=name in changed,
    )


def _told_status(record: RevisionRecord, at_work: Holder | None) -> str:
    # Nobody is at work: the runner that wrote "running" was killed.
    return "partial" if record.status == "running" and at_work is None else record.status


def _partial(session: Session, record: RevisionRecord) -> PartialStatus:
    direction = "d" if record.status == "reverting" else "u"
    values: dict[str, str] = {}
    for step in session.ledger.steps(record.revision):
        if step.number == record.step and step.direction == direction:
            values = dict(step.values)
    at_work = holder(session.client, session.ledger.keys)
    return PartialStatus(
        revision=record.revision,
        status=_told_status(record, at_work),
        step=record.step,
        operation=values.get("operation", ""),
        cursor=values.get("cursor"),
        values={name: value for name, value in values.items() if name not in ("operation", "fingerprint")},
        error=record.error,
    )


def _index_status(record: IndexRecord) -> IndexStatus:
    return IndexStatus(record.name, record.physical, record.origin, record.revision, record.aliases)


def kept_status(client: redis.Redis, item: Kept) -> KeptStatus:
    """One kept index or alias, with the memory that it takes now."""
    info = index_info(client, item.what)
    used = memory.used_by(info) if info is not None and item.kind != "alias" else 0
    return KeptStatus(
        item.what, item.kind, item.name, item.alias, item.live, item.by, item.since, used, info is not None
    )


def _holder_status(at_work: Holder | None) -> HolderStatus | None:
    return None if at_work is None else HolderStatus(**asdict(at_work))
