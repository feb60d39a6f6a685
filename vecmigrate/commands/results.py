"""What the commands about a database return. `to_dict` gives what `--format json` prints."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from vecmigrate.backfill.throttle import Pause
from vecmigrate.runtime.ledger import Reject
from vecmigrate.runtime.runner import RevisionOutcome


@dataclass(frozen=True, slots=True)
class _Result:
    def to_dict(self) -> dict[str, Any]:
        """As JSON shows it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One operation of a dry run, and the Redis commands that it would send."""

    operation: str
    commands: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class PlannedRevision:
    """One revision of a dry run."""

    revision: str
    message: str
    steps: tuple[PlannedStep, ...]


@dataclass(frozen=True, slots=True)
class UpgradeResult(_Result):
    """Of upgrade and downgrade: what was done, or in a dry run what would be.

    `current` is where the database is afterwards. `ahead` are revisions that a newer release applied, `held`
    those that stay rolled back; `mended` is what was mended of indexes that were there, `warnings` what is
    otherwise than the ledger says and was left alone.
    """

    direction: str
    current: tuple[str, ...]
    revisions: tuple[RevisionOutcome, ...] = ()
    planned: tuple[PlannedRevision, ...] = ()
    dry_run: bool = False
    accepted: tuple[str, ...] = ()
    ahead: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    mended: tuple[Any, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CurrentRevision:
    """One revision that the database is at.

    `ahead` where a newer release applied it and no script here has it.
    """

    revision: str
    is_head: bool
    message: str
    ahead: bool = False


@dataclass(frozen=True, slots=True)
class CurrentResult(_Result):
    """Of current: the applied revisions that no other applied one stands on."""

    revisions: tuple[CurrentRevision, ...]


@dataclass(frozen=True, slots=True)
class RevisionStatus:
    """One revision on disk or in the ledger. `status`: pending, running, partial, reverting or applied."""

    revision: str
    message: str
    status: str
    finished_at: str | None = None
    seconds: float | None = None
    by: str | None = None
    changed: bool = False
    missing: bool = False


@dataclass(frozen=True, slots=True)
class PartialStatus:
    """Where a revision stopped half-way."""

    revision: str
    status: str
    step: int
    operation: str
    cursor: str | None
    values: dict[str, str]
    error: str | None


@dataclass(frozen=True, slots=True)
class HolderStatus:
    """Who holds the lease."""

    token: int
    who: str
    host: str
    pid: int
    since: str
    command: str
    seconds_left: float


@dataclass(frozen=True, slots=True)
class KeptStatus:
    """An index that was replaced and stays for a while, or an alias that an index had before.

    `memory` is in bytes, as far as it can be told; `there` is false where somebody dropped it.
    """

    what: str
    kind: str
    name: str
    alias: str
    live: str
    by: str
    since: str
    memory: int
    there: bool = True


@dataclass(frozen=True, slots=True)
class IndexStatus:
    """The index of one spec: what it is called on the server, how it came, and which aliases lead to it."""

    name: str
    physical: str
    origin: str
    revision: str
    aliases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RollbackResult(_Result):
    """Of rollback: the index that the alias leads to again, and the one that it led to before.

    `warnings` says what readers of the one that was live find otherwise.
    """

    name: str
    alias: str
    live: str
    before: str
    revision: str
    seconds: float
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CompleteResult(_Result):
    """Of complete: what was dropped."""

    dropped: tuple[KeptStatus, ...]


@dataclass(frozen=True, slots=True)
class StatusResult(_Result):
    """Of status: where the database is, what is to come, and who is at work."""

    redis: str
    server: str
    namespace: str
    current: tuple[str, ...]
    heads: tuple[str, ...]
    pending: tuple[str, ...]
    partial: tuple[PartialStatus, ...]
    last_error: dict[str, str] | None
    lease: HolderStatus | None
    revisions: tuple[RevisionStatus, ...]
    kept: tuple[KeptStatus, ...] = ()
    held: tuple[str, ...] = ()
    indexes: tuple[IndexStatus, ...] = ()
    faults: tuple[str, ...] = ()
    paused: Pause | None = None


@dataclass(frozen=True, slots=True)
class PauseResult(_Result):
    """Of pause and resume: the pause that is in force, or was, and whether that is the command's doing."""

    pause: Pause | None
    changed: bool


@dataclass(frozen=True, slots=True)
class StampResult(_Result):
    """Of stamp: what the ledger says now, without anything having been run."""

    current: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UnlockResult(_Result):
    """Of unlock: whose lease was taken away, if there was one."""

    holder: HolderStatus | None
    removed: bool


@dataclass(frozen=True, slots=True)
class RejectsResult(_Result):
    """Of rejects, oldest first: what was set aside and what was written with a remark; how many of each."""

    items: tuple[Reject, ...]
    rejected: int
    remarks: int
