"""The ledger in Redis: what was applied, how far each step came, what was set aside, and who ran.

Reading needs nothing; writing goes through a lease, so a runner that lost it changes nothing.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

import redis

from vecmigrate import __version__
from vecmigrate.backfill.books import Books
from vecmigrate.errors import LedgerFormatError
from vecmigrate.runtime.keys import LedgerKeys
from vecmigrate.runtime.lease import Lease, whoami
from vecmigrate.runtime.records import dump_record, load_record

# 1: what an index is called was derived from the names of revisions.
# 2: the ledger records it, and who owns it.
FORMAT = 2

# "running" is written first; a runner that is killed leaves it so, which reads as partial once the lease is
# gone.
Status: TypeAlias = Literal["running", "partial", "applied", "reverting", "rolled back"]
Direction: TypeAlias = Literal["u", "d"]
RejectKind: TypeAlias = Literal["rejected", "remark"]

PAGE = 500
# What a step remembers in order not to do again what it has done.
_OF_ONE_RUN = frozenset({"status", "cursor", "run_id", "stage"})


@dataclass(frozen=True, slots=True)
class RevisionRecord:
    """What the ledger knows of one revision. Times are ISO 8601 in UTC.

    `down_revision` is what the script revised: a release that lacks the script can tell by it that the ledger
    is ahead. None where an older release wrote the record. `unknown` are fields that a newer release wrote.
    """

    revision: str
    status: Status
    checksum: str
    message: str = ""
    started_at: str = ""
    finished_at: str | None = None
    seconds: float | None = None
    by: str = ""
    version: str = __version__
    error: str | None = None
    step: int = 0
    down_revision: tuple[str, ...] | None = None
    unknown: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class StepView:
    """What the ledger knows of one step, for showing."""

    number: int
    direction: Direction
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Reject:
    """One item that was set aside (`rejected`), or written although something was amiss (`remark`)."""

    revision: str
    step: int
    kind: RejectKind
    source: str
    field: str
    reason: str
    at: str


def now() -> str:
    """The time, in ISO 8601 and UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class Ledger:
    """One namespace's ledger, for reading."""

    def __init__(self, client: redis.Redis, namespace: str) -> None:
        self.client = client
        self.keys = LedgerKeys(namespace)

    def revisions(self) -> dict[str, RevisionRecord]:
        """Every revision that was begun, by its id.

        Raises:
            LedgerFormatError: A newer release wrote the ledger in a format that is unknown here.
        """
        with self.client.pipeline(transaction=False) as pipe:
            pipe.hmget(self.keys.meta, "format", "written_by")
            pipe.hgetall(self.keys.revisions)
            (stored, by), texts = pipe.execute()
        self._check_format(stored, by)
        records = (load_record(RevisionRecord, text) for text in texts.values())
        return {record.revision: record for record in records}

    def format(self) -> int:
        """The format of the ledger: 1 where none is noted, or nothing is there.

        Raises:
            LedgerFormatError: It is newer than what is known here.
        """
        found: Any = self.client.hmget(self.keys.meta, "format", "written_by")
        return self._check_format(*found)

    def _check_format(self, stored: bytes | None, by: bytes | None) -> int:
        number = int(stored) if stored is not None and stored.isdigit() else 1
        if number > FORMAT:
            version = by.decode(errors="replace") if by else "unknown"
            raise LedgerFormatError(
                f"the ledger of namespace {self.keys.namespace!r} has format {number}, written by vecmigrate "
                f"{version} (expected at most {FORMAT}, which vecmigrate {__version__} knows)",
                hint="install a newer vecmigrate",
            )
        return number

    def steps(self, revision: str) -> list[StepView]:
        """The steps of `revision`, in order."""
        stored: Any = self.client.hgetall(self.keys.steps(revision))
        found: dict[tuple[str, int], dict[str, str]] = {}
        for key, value in stored.items():
            place, _, name = key.decode().partition(":")
            found.setdefault((place[0], int(place[1:])), {})[name] = value.decode()
        ordered = sorted(found, key=lambda place: (place[0] != "u", place[1]))
        return [StepView(number, _direction(way), found[way, number]) for way, number in ordered]

    def rejects(self, revision: str) -> Iterator[Reject]:
        """What was set aside or remarked on by `revision`, oldest first, in pages."""
        start = "-"
        while page := self._page(self.keys.rejects(revision), start):
            for entry, fields in page:
                text = {
                    key.decode(): value.decode(errors="backslashreplace") for key, value in fields.items()
                }
                at = datetime.fromtimestamp(int(entry.split(b"-")[0]) / 1000, UTC).isoformat(
                    timespec="seconds"
                )
                kind: RejectKind = "remark" if text["kind"] == "remark" else "rejected"
                yield Reject(
                    revision, int(text["step"]), kind, text["source"], text["field"], text["reason"], at
                )
            start = "(" + page[-1][0].decode()

    def _page(self, stream: str, start: str) -> Any:
        return self.client.xrange(stream, min=start, count=PAGE)

    def last_errors(self) -> list[dict[str, str]]:
        """The log entries that tell of an error, the newest first, as far back as one page goes."""
        found: list[dict[str, str]] = []
        newest: Any = self.client.xrevrange(self.keys.log, count=PAGE)
        for entry, fields in newest:
            text = {key.decode(): value.decode() for key, value in fields.items()}
            if text.get("error"):
                found.append({"id": entry.decode(), **text})
        return found


class LedgerWriter:
    """One namespace's ledger, for the runner that holds the lease."""

    def __init__(self, ledger: Ledger, lease: Lease) -> None:
        self.ledger = ledger
        self.keys = ledger.keys
        self.lease = lease

    def put(self, record: RevisionRecord, event: str) -> None:
        """Store `record` and log `event`, in one step."""
        self.lease.guarded(
            self.stored(record),
            self.log_entry(event, record.revision, record.error),
            keys=[self.keys.revisions, self.keys.log],
        )

    def stored(self, record: RevisionRecord) -> tuple[str | bytes, ...]:
        """The words that store `record`; to be run with `lease.guarded`."""
        return ("HSET", self.keys.revisions, record.revision, dump_record(record))

    def begin(
        self,
        revision: str,
        checksum: str,
        message: str,
        status: Status,
        *,
        down_revision: Sequence[str] | None,
        before: RevisionRecord | None = None,
    ) -> RevisionRecord:
        """Write that `revision` is being worked on; `before` is what stood there of it."""
        record = RevisionRecord(
            revision=revision,
            status=status,
            checksum=checksum,
            message=message,
            started_at=now(),
            by=f"{whoami()}@{socket.gethostname()}",
            down_revision=None if down_revision is None else tuple(down_revision),
            unknown={} if before is None else before.unknown,
        )
        self.put(record, "begin" if status == "running" else "begin downgrade")
        return record

    def write_format(self, *commands: Sequence[str | bytes]) -> None:
        """Write the format of this release and its version, and run `commands`: in one step."""
        keys = self.keys
        meta = ("HSET", keys.meta, "format", str(FORMAT), "written_by", __version__)
        self.lease.guarded(meta, *commands, keys=[keys.meta, keys.revisions, keys.indexes])

    def forget(self, revision: str, event: str) -> None:
        """Take `revision` out of the ledger; its log entries stay."""
        self.lease.guarded(*self.forgetting(revision, event), keys=[self.keys.revisions, self.keys.log])

    def forgetting(self, revision: str, event: str) -> list[tuple[str, ...]]:
        """The commands that take `revision` out of the ledger; to be run with `lease.guarded`."""
        doomed = [self.keys.steps(revision), self.keys.rejects(revision)]
        # One hash of items for each backfill of the revision.
        pattern = _escaped(self.keys, revision)
        doomed += [key.decode() for key in self.ledger.client.scan_iter(pattern, count=500)]
        return [
            ("HDEL", self.keys.revisions, revision),
            ("UNLINK", *doomed),
            self.log_entry(event, revision, None),
        ]

    def reopen(self, revision: str) -> None:
        """Let every step of the upgrade be run again; what it wrote stays known, the downgrade does not."""
        stored: Any = self.ledger.client.hkeys(self.keys.steps(revision))
        names = [key.decode() for key in stored]
        doomed = [name for name in names if name.startswith("d") or name.partition(":")[2] in _OF_ONE_RUN]
        commands = [("HDEL", self.keys.steps(revision), *doomed)] if doomed else []
        log = self.log_entry("upgrade after a partial downgrade", revision, None)
        self.lease.guarded(*commands, log, keys=[self.keys.steps(revision), self.keys.log])

    def clear_steps(self, revision: str, direction: Direction) -> None:
        """Forget how far the steps of one direction came."""
        stored: Any = self.ledger.client.hkeys(self.keys.steps(revision))
        doomed = [key.decode() for key in stored if key.decode().startswith(direction)]
        if doomed:
            self.lease.guarded(("HDEL", self.keys.steps(revision), *doomed), keys=[self.keys.steps(revision)])

    def log_entry(self, event: str, revision: str, error: str | None) -> tuple[str, ...]:
        """The words that append an entry to the log; to be run with `lease.guarded`."""
        return (
            "XADD", self.keys.log, "*", "event", event, "revision", revision,
            "by", f"{whoami()}@{socket.gethostname()}", "token", self.lease.identity.partition(":")[0],
            "version", __version__, "error", error or "",
        )  # fmt: skip  # the pairs of field and value read best side by side


class Step:
    """One step of one revision in the ledger: `operations.base.StepRecord` over Redis."""

    def __init__(
        self,
        writer: LedgerWriter,
        revision: str,
        number: int,
        direction: Direction,
        *,
        client: redis.Redis | None = None,
    ) -> None:
        self._writer = writer
        self._client = client
        self._key = writer.keys.steps(revision)
        self._number = number
        self.prefix = f"{direction}{number}:"

    @property
    def number(self) -> int:
        """Its place among the steps of the revision, from 0."""
        return self._number

    def get(self, name: str) -> str | None:
        """The stored value called `name`."""
        value: Any = (self._client or self._writer.ledger.client).hget(self._key, self.prefix + name)
        return None if value is None else value.decode()

    def put(self, values: Mapping[str, str | int], *commands: Sequence[str | bytes | int]) -> None:
        """Store `values`; raises LeaseLostError where this runner may not write any more.

        `commands` are run before, in the same atomic step: both happen, or neither.
        """
        self._writer.lease.guarded(
            *commands, self.stored(values), keys=[self._key], grows=bool(commands), client=self._client
        )

    def stored(self, values: Mapping[str, str | int]) -> tuple[str, ...]:
        """The words that store `values`; to be run with `lease.guarded`."""
        words = [word for name, value in values.items() for word in (self.prefix + name, str(value))]
        return ("HSET", self._key, *words)

    def over(self, client: redis.Redis) -> Step:
        """The same step, read and written over another client."""
        direction = _direction(self.prefix[0])
        revision = self._key.removeprefix(self._writer.keys.steps(""))
        return Step(self._writer, revision, self._number, direction, client=client)

    def clear(self, stored: Iterable[str]) -> None:
        """Forget what is `stored` for this step, the accounts of a backfill but for its items included."""
        names = [self.prefix + name for name in stored]
        if names:
            self._writer.lease.guarded(("HDEL", self._key, *names), keys=[self._key])

    def all(self) -> dict[str, str]:
        """Everything stored for this step."""
        stored: Any = self._writer.ledger.client.hgetall(self._key)
        start = self.prefix.encode()
        return {
            key[len(start) :].decode(): value.decode()
            for key, value in stored.items()
            if key.startswith(start)
        }


def books(writer: LedgerWriter, revision: str, step: int) -> Books:
    """Where the backfill in upgrade step `step` of `revision` keeps its accounts."""
    keys = writer.keys
    return Books(
        lease=keys.lease,
        identity=writer.lease.identity,
        steps=keys.steps(revision),
        items=keys.items(revision, step),
        rejects=keys.rejects(revision),
        prefix=f"u{step}:",
        step=step,
        fence=writer.lease.fence,
    )


def _direction(way: str) -> Direction:
    return "u" if way == "u" else "d"


def _escaped(keys: LedgerKeys, revision: str) -> str:
    start = keys.items(revision, 0)[:-1]
    return "".join("\\" + letter if letter in "*?[]\\^" else letter for letter in start) + "*"
