"""The commands about a database. Each takes a session and returns a result; none prints."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace

import redis

from vecmigrate.backfill.throttle import read_pause
from vecmigrate.commands.results import (
    CurrentResult,
    CurrentRevision,
    HolderStatus,
    KeptStatus,
    PartialStatus,
    PlannedRevision,
    PlannedStep,
    RejectsResult,
    RevisionStatus,
    StampResult,
    StatusResult,
    UnlockResult,
    UpgradeResult,
)
from vecmigrate.config import Config
from vecmigrate.errors import ConfigError, LockedError
from vecmigrate.operations.base import RejectLimit, RunOptions, Verify
from vecmigrate.operations.kept import Kept
from vecmigrate.operations.progress import Progress, Silent
from vecmigrate.operations.recorder import Variables
from vecmigrate.runtime import connect
from vecmigrate.runtime.history import History, Plan
from vecmigrate.runtime.kept import read_kept
from vecmigrate.runtime.lease import Holder, Lease, holder
from vecmigrate.runtime.ledger import Ledger, LedgerWriter, RevisionRecord, now
from vecmigrate.runtime.runner import RevisionOutcome, Runner, outline
from vecmigrate.runtime.search_server import index_info
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
) -> Iterator[Session]:
    """Connect; what redis-py raises inside the block comes out as ServerError in one line.

    The server is `redis_url`, or VECMIGRATE_REDIS_URL, or REDIS_URL, or what the configuration says.

    Raises:
        ConfigError: No URL is known, or it cannot be read.
        ServerError: The server cannot be reached, or vecmigrate cannot work with it.
    """
    url = redis_url or os.environ.get("VECMIGRATE_REDIS_URL") or os.environ.get("REDIS_URL") or config.redis
    if not url:
        raise ConfigError(
            "no Redis is named (a URL such as redis://localhost:6379/0)",
            hint="give --redis URL, set VECMIGRATE_REDIS_URL, or put `redis` into the configuration",
        )
    with ExitStack() as stack:
        if url.startswith(EMBEDDED):
            # Imported only where it is used: the wheels are an extra.
            from vecmigrate.embedded import EmbeddedRedis, parse_embedded_url

            url = stack.enter_context(EmbeddedRedis(parse_embedded_url(url))).url
        stack.enter_context(connect.told(url))
        client = connect.connect(url)
        stack.callback(client.close)
        yield Session(
            config=config,
            url=connect.redact(url),
            client=client,
            server=connect.look(client),
            ledger=Ledger(client, namespace or config.namespace),
            variables=Variables(given=dict(variables or {}), configured=config.variables),
        )


def upgrade(  # one parameter for each option
    session: Session,
    revision: str = "head",
    *,
    dry_run: bool = False,
    wait: float = 0.0,
    accept_changed: bool = False,
    max_rejects: str | None = None,
    max_memory: str | None = None,
    verify: Verify = "recall",
    min_recall: float | None = None,
    yes: bool = False,
    max_deletes: str | None = None,
    allow_eviction: bool = False,
    max_rate: float | None = None,
    max_latency: float | None = None,
    progress: Progress | None = None,
) -> UpgradeResult:
    """Apply what is pending up to `revision`; a revision that stopped half-way goes on where it stopped.

    `max_memory` (such as `2gb`) bounds what the server may use while a rebuilt index is there beside the
    old one; `verify` says how thoroughly it is looked at, `min_recall` what recall@10 it must reach.
    Documents are deleted only with `yes`. `max_deletes` (`10` or `2.5%`) bounds how many documents the
    verifying pass of a backfill may remove; `max_rate` (items a second) and `max_latency` (milliseconds by
    which others are slowed down) hold it back.

    Raises:
        HistoryAlteredError: An applied script was changed, or is gone.
        LockedError: Another runner holds the lease for longer than `wait` seconds.
        PartialError: A step failed. The ledger knows which, and how far it came.
        MemoryLimitError: A second index does not fit.
        VerificationError: A rebuilt index failed a check; the alias is where it was.
    """
    options = RunOptions(
        max_rejects=parse_reject_limit(max_rejects),
        max_memory=parse_memory(max_memory, session.client),
        verify=verify,
        min_recall=min_recall,
        yes=yes,
        max_deletes=parse_reject_limit(max_deletes, "deletes"),
        allow_eviction=allow_eviction,
        max_rate=max_rate,
        max_latency=max_latency,
    )
    history = session.history()
    history.check_variables()
    records = session.ledger.revisions()
    changed = history.changed(records)
    accepting = changed if accept_changed else []
    history.check_unaltered({name: record for name, record in records.items() if name not in accepting})
    path = history.graph.upgrade_path(_applied(records), revision)
    if dry_run:
        return UpgradeResult(
            "upgrade",
            _current(history, records),
            planned=_planned(history, path, "upgrade"),
            dry_run=True,
            accepted=tuple(accepting),
        )
    if not path and not changed:
        return UpgradeResult("upgrade", _current(history, records))
    outcomes: list[RevisionOutcome] = []
    with Lease(session.client, session.ledger.keys, seconds=session.config.lease_seconds, wait=wait) as lease:
        # Read again: another runner may have been at work until now.
        records = session.ledger.revisions()
        accepted = _accept(history, records, LedgerWriter(session.ledger, lease)) if accept_changed else ()
        records = session.ledger.revisions()
        history.check_unaltered(records)
        runner = _runner(session, history, lease, progress, options)
        path = history.graph.upgrade_path(_applied(records), revision)
        _refuse_to_delete([history.upgrade(name) for name in path], options)
        for name in path:
            outcomes.append(runner.upgrade(name))
        records = session.ledger.revisions()
    return UpgradeResult("upgrade", _current(history, records), tuple(outcomes), accepted=accepted)


def downgrade(
    session: Session,
    revision: str,
    *,
    dry_run: bool = False,
    wait: float = 0.0,
    max_memory: str | None = None,
    verify: Verify = "recall",
    min_recall: float | None = None,
    yes: bool = False,
    max_rate: float | None = None,
    max_latency: float | None = None,
    progress: Progress | None = None,
) -> UpgradeResult:
    """Take back what is applied above `revision`, the newest first; the options are those of upgrade.

    Raises:
        HistoryAlteredError, LockedError, PartialError: As upgrade.
    """
    limit = parse_memory(max_memory, session.client)
    options = RunOptions(
        max_memory=limit,
        verify=verify,
        min_recall=min_recall,
        yes=yes,
        max_rate=max_rate,
        max_latency=max_latency,
    )
    history = session.history()
    history.check_variables()
    records = session.ledger.revisions()
    history.check_unaltered(records)
    path = history.graph.downgrade_path(list(records), revision)
    for name in path:
        # What has no way back further down is told before anything is taken back.
        history.downgrade(name)
    if dry_run:
        return UpgradeResult(
            "downgrade",
            _current(history, records),
            planned=_planned(history, path, "downgrade"),
            dry_run=True,
        )
    if not path:
        return UpgradeResult("downgrade", _current(history, records))
    outcomes: list[RevisionOutcome] = []
    seconds = session.config.lease_seconds
    with Lease(session.client, session.ledger.keys, seconds=seconds, wait=wait, command="downgrade") as lease:
        records = session.ledger.revisions()
        history.check_unaltered(records)
        runner = _runner(session, history, lease, progress, options)
        path = history.graph.downgrade_path(list(records), revision)
        _refuse_to_delete([history.downgrade(name) for name in path], options)
        for name in path:
            outcomes.append(runner.downgrade(name))
        records = session.ledger.revisions()
    return UpgradeResult("downgrade", _current(history, records), tuple(outcomes))


def current(session: Session) -> CurrentResult:
    """The revisions that the database is at."""
    history = session.history()
    records = session.ledger.revisions()
    heads = set(history.graph.heads())
    return CurrentResult(
        tuple(
            CurrentRevision(name, name in heads, records[name].message) for name in _current(history, records)
        )
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
    applied = set(_applied(records))
    version = session.server.version
    search = ".".join(map(str, version.search)) if version.search else "none"
    return StatusResult(
        redis=session.url,
        server=f"Redis {'.'.join(map(str, version.redis))}, RediSearch {search}",
        namespace=session.ledger.keys.namespace,
        current=_current(history, records),
        heads=history.graph.heads(),
        pending=tuple(name for name in history.graph.topological() if name not in _applied(records)),
        partial=tuple(_partial(session, record) for record in records.values() if record.status != "applied"),
        # What was mended since is no news.
        last_error=next((item for item in errors if item["revision"] not in applied), None),
        lease=_holder_status(at_work),
        revisions=tuple(listed),
        kept=tuple(kept_status(session.client, item) for item in read_kept(session.ledger).values()),
        paused=read_pause(session.client, session.ledger.keys.pause),
    )


def stamp(session: Session, revision: str, *, purge: bool = False, wait: float = 0.0) -> StampResult:
    """Make the ledger say that the database is at `revision`, without running anything.

    With `purge` every entry is removed first, those of scripts that are gone included.
    """
    history = session.history()
    seconds = session.config.lease_seconds
    with Lease(session.client, session.ledger.keys, seconds=seconds, wait=wait, command="stamp") as lease:
        records = session.ledger.revisions()
        if not purge:
            history.check_unaltered(
                {name: record for name, record in records.items() if name not in history.scripts}
            )
        known = [name for name in records if name in history.scripts]
        wanted = history.graph.resolve(revision, known)
        target = set(wanted) | history.graph.ancestors(*wanted)
        writer = LedgerWriter(session.ledger, lease)
        # Other branches stay as they are.
        above = history.graph.descendants(*wanted) if wanted else set(records)
        doomed = [name for name in records if purge or name in above]
        for name in doomed:
            writer.forget(name, "purged" if purge else "stamped away")
        added = []
        for name in history.graph.topological():
            if name in target and (purge or name not in records or records[name].status != "applied"):
                script = history.scripts[name]
                record = RevisionRecord(
                    name, "applied", script.checksum, script.message, now(), now(), 0.0, by="stamp"
                )
                writer.put(record, "stamped")
                added.append(name)
        records = session.ledger.revisions()
    removed = tuple(name for name in doomed if name not in target)
    return StampResult(_current(history, records), tuple(added), removed)


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
    names = history.graph.resolve(revision, _applied(records)) if revision else tuple(records)
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


def _refuse_to_delete(plans: list[Plan], options: RunOptions) -> None:
    for plan in plans:
        for item in plan.recorded:
            if item.operation.deletes_documents and not options.yes:
                raise ConfigError(
                    f"revision {plan.script.revision} deletes the documents of index "
                    f"{item.operation.target!r} ({item.operation.title}, documents=True); nothing was done",
                    hint="say --yes if that is what you want: nothing brings them back",
                )


def _runner(
    session: Session, history: History, lease: Lease, progress: Progress | None, options: RunOptions
) -> Runner:
    return Runner(
        session.client, session.server, session.ledger, history, lease, progress or Silent(), options
    )


def _applied(records: Mapping[str, RevisionRecord]) -> list[str]:
    return [name for name, record in records.items() if record.status == "applied"]


def _current(history: History, records: Mapping[str, RevisionRecord]) -> tuple[str, ...]:
    return history.graph.current([name for name in _applied(records) if name in history.scripts])


def _planned(history: History, path: list[str], direction: str) -> tuple[PlannedRevision, ...]:
    planned = []
    for name in path:
        plan = history.upgrade(name) if direction == "upgrade" else history.downgrade(name)
        steps = tuple(PlannedStep(title, commands) for title, commands in outline(plan))
        planned.append(PlannedRevision(name, plan.script.message, steps))
    return tuple(planned)


def _accept(history: History, records: Mapping[str, RevisionRecord], writer: LedgerWriter) -> tuple[str, ...]:
    changed = history.changed(records)
    for name in changed:
        writer.put(replace(records[name], checksum=history.scripts[name].checksum), "change accepted")
    return tuple(changed)


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


def kept_status(client: redis.Redis, item: Kept) -> KeptStatus:
    """One kept index or alias, with the memory that it takes now."""
    info = index_info(client, item.what)
    used = memory.used_by(info) if info is not None and item.kind != "alias" else 0
    return KeptStatus(
        item.what, item.kind, item.name, item.alias, item.live, item.by, item.since, used, info is not None
    )


def _holder_status(at_work: Holder | None) -> HolderStatus | None:
    return None if at_work is None else HolderStatus(**asdict(at_work))
