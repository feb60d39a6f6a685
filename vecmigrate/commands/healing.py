"""`heal`: indexes and aliases that are not as the ledger says are made so again."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from vecmigrate.commands.database import Session, applied_revisions
from vecmigrate.commands.locked import locked
from vecmigrate.errors import MissingIndexError, OperationError
from vecmigrate.operations import checked, indexes
from vecmigrate.operations.base import RunOptions
from vecmigrate.operations.progress import Progress, Silent
from vecmigrate.operations.registry import IndexRecord
from vecmigrate.operations.state import IndexState, State
from vecmigrate.runtime.context import RunContext
from vecmigrate.runtime.history import History
from vecmigrate.runtime.kept import KeptLedger, read_kept
from vecmigrate.runtime.keys import OWNERS
from vecmigrate.runtime.ledger import LedgerWriter
from vecmigrate.runtime.look import Fault, look
from vecmigrate.runtime.registry import Registry, read_owners
from vecmigrate.runtime.search_server import FencedSearch, index_info
from vecmigrate.search.introspect import missed

# What leads nobody astray for a moment longer once it is mended, and needs no decision.
MENDED_BY_UPGRADE = frozenset({"hidden_alias", "missing_alias"})


@dataclass(frozen=True, slots=True)
class Mended:
    """One thing that was mended: of which spec, what was wrong, and what was done."""

    name: str
    fault: str
    place: str
    action: str

    def __str__(self) -> str:
        return f"{self.name}: {self.action}"


@dataclass(frozen=True, slots=True)
class HealResult:
    """Of heal: what was mended, and what is left for somebody to decide."""

    mended: tuple[Mended, ...]
    left: tuple[Fault, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is left."""
        return not self.left

    def to_dict(self) -> dict[str, Any]:
        """As JSON shows it."""
        left = [{**asdict(fault), "message": str(fault)} for fault in self.left]
        return {"ok": self.ok, "mended": [asdict(item) for item in self.mended], "left": left}


@dataclass
class _Scratch:
    """The step of a command that is no step of a revision: nothing of it is kept."""

    number: int = 0
    values: dict[str, str] = field(default_factory=dict)

    def get(self, name: str) -> str | None:
        """The value that was put."""
        return self.values.get(name)

    def put(self, values: Mapping[str, str | int], *commands: Sequence[str | bytes | int]) -> None:
        """Remember it for the length of the command; such a step runs no commands."""
        assert not commands  # noqa: S101 - only operations that call a user's code pass any
        self.values.update({name: str(value) for name, value in values.items()})


def heal(
    session: Session,
    name: str | None = None,
    *,
    drop_different: bool = False,
    wait: float = 0.0,
    progress: Progress | None = None,
) -> HealResult:
    """Build what is gone, drop plain indexes that hide our aliases, and let every alias lead where it should.

    Args:
        session: The server.
        name: The spec to look at; every one where it is None.
        drop_different: Also drop a hiding index of another definition, after which its readers miss
            something.
        wait: How many seconds to wait for another runner to finish.
        progress: Who listens.

    Raises:
        IndexConflictError: A hiding index has another definition, or belongs to another namespace.
        OperationError: There is no such spec; or an index is gone and no script here knows what it was.
    """
    history = session.history()
    with locked(session, history, "heal", wait, touches_indexes=True) as writer:
        records = Registry(writer).all()
        if name is not None and name not in records:
            raise OperationError(
                f"the ledger has no index for {name!r} (expected one of: {', '.join(records) or 'none'})"
            )
        wanted = {key: record for key, record in records.items() if name in (None, key)}
        mended = mend(session, writer, history, wanted, drop_different=drop_different, progress=progress)
        mended += _forget_gone(session, writer, name)
        mended += _claimed(session, writer, name)
        left = tuple(look(session.client, {key: Registry(writer).all()[key] for key in wanted}))
    return HealResult(tuple(mended), left)


def mend(
    session: Session,
    writer: LedgerWriter,
    history: History,
    records: Mapping[str, IndexRecord],
    *,
    kinds: Collection[str] | None = None,
    drop_different: bool = False,
    progress: Progress | None = None,
) -> list[Mended]:
    """Mend what is wrong with `records`: all of it, or only faults of `kinds`."""
    mended: list[Mended] = []
    for record in records.values():
        faults = [
            item
            for item in look(session.client, {record.name: record})
            if kinds is None or item.kind in kinds
        ]
        gone = [item for item in faults if item.kind in ("missing_index", "incomplete_scan")]
        if gone:
            mended.append(
                _rebuilt(
                    session,
                    writer,
                    history,
                    record,
                    gone[0],
                    drop_different=drop_different,
                    progress=progress,
                )
            )
        elif faults:
            context = _context(session, writer, record, State(), progress)
            mended += _pointed(session, writer, record, faults, context, drop_different=drop_different)
    return mended


def _pointed(
    session: Session,
    writer: LedgerWriter,
    record: IndexRecord,
    faults: Sequence[Fault],
    context: RunContext,
    *,
    drop_different: bool,
) -> list[Mended]:
    hidden = [item.place for item in faults if item.kind == "hidden_alias"]
    if not drop_different:
        _refuse_different(session, record, hidden)
    movable = [item for item in faults if item.kind != "other_alias"]
    registry = Registry(writer)
    for item in faults:
        # An alias that somebody moved to another index of ours is moved back; to anybody else's it is not.
        if item.kind == "other_alias" and registry.is_ours(item.found):
            movable.append(item)
    leave = {item.place for item in faults} - {item.place for item in movable}
    if not movable:
        return []
    # A heal that was cut off may have left it in the middle of its scan, as a restarted server does.
    indexes.wait_until_indexed(context, record.physical, record.physical, complete=False)
    now = tuple(alias for alias in record.aliases if alias not in leave)
    registry.point(
        IndexRecord(record.name, record.physical, record.origin, record.revision, now), over_plain=hidden
    )
    if leave:
        registry.put(record)
    told = {
        "hidden_alias": "a plain index {place} hid the alias; it was dropped, and the alias leads to {to} "
        "again",
        "missing_alias": "alias {place} leads to {to} again",
        "other_alias": "alias {place} leads to {to} again, and no more to {found}",
    }
    return [
        Mended(
            record.name,
            item.kind,
            item.place,
            told[item.kind].format(place=item.place, to=record.physical, found=item.found),
        )
        for item in movable
    ]


def _refuse_different(session: Session, record: IndexRecord, hidden: Sequence[str]) -> None:
    ours = index_info(session.client, record.physical) or {}
    owners = read_owners(session.client, hidden)
    for name in hidden:
        if owners.get(name, session.ledger.keys.namespace) != session.ledger.keys.namespace:
            # Whatever its definition: registry.point says whose it is.
            continue
        wrong = missed(ours, index_info(session.client, name) or {})
        if wrong:
            raise indexes.hiding(name, record.physical, wrong)


def _rebuilt(
    session: Session,
    writer: LedgerWriter,
    history: History,
    record: IndexRecord,
    fault: Fault,
    *,
    drop_different: bool,
    progress: Progress | None,
) -> Mended:
    found = _wanted(session, history, record)
    if found is None:
        raise OperationError(
            f"{fault}, and no script here knows what it was (expected the migrations that made it)",
            hint="run `vecmigrate heal` from the release that applied them",
        )
    state, index = found
    context = _context(session, writer, record, state, progress)
    # It is to hold what is there, whatever the spec says of new indexes.
    spec = replace(index.spec, index=replace(index.spec.index, skip_initial_scan=False))
    wanted = record.physical if index.spec.index.alias and "@" in record.physical else index.physical
    physical = indexes.build(context, spec, wanted)
    indexes.wait_until_built(context, physical, physical)
    told = checked.told(checked.check(context, physical, spec))
    # What a half-done revision has not published yet stays so.
    published = bool(record.aliases) or record.revision in applied_revisions(session.ledger.revisions())
    names = indexes.aliases(index.spec, record.aliases) if index.published and published else ()
    built = IndexRecord(
        record.name, physical, "created", record.revision, tuple(item for item in names if item != physical)
    )
    hidden = indexes.hidden_by(context, built)
    if not drop_different:
        _refuse_different(session, built, hidden)
    superseded = record.physical if physical != record.physical else None
    context.registry.point(built, over_plain=hidden, superseded=superseded)
    if superseded is not None:
        # The server does not take up a scan that it gave up, so that index goes; and of one that is gone the
        # registry would say for good that it is ours.
        context.registry.drop(superseded)
    action = f"{physical} was built anew, from the migrations: {', '.join(told)}"
    return Mended(record.name, fault.kind, record.physical, action)


def _wanted(session: Session, history: History, record: IndexRecord) -> tuple[State, IndexState] | None:
    """What the index of `record` is by the migrations that made it, half-done ones among them."""
    records = {name: item for name, item in session.ledger.revisions().items() if name in history.scripts}
    applied = applied_revisions(records)
    begun = [name for name, item in records.items() if item.status not in ("applied", "rolled back")]
    states = [applied, [*applied, *begun]]
    for revisions in reversed(states) if record.revision in begun else states:
        state = history.state_of(revisions) if revisions else State()
        index = state.find(record.name)
        if index is not None:
            return state, index
    return None


def _context(
    session: Session, writer: LedgerWriter, record: IndexRecord, state: State, progress: Progress | None
) -> RunContext:
    server = FencedSearch(session.client, writer.lease, session.server)
    return RunContext(
        revision=record.revision,
        state=state,
        step=_Scratch(),
        progress=progress or Silent(),
        options=RunOptions(),
        search=server,
        client=session.client,
        writer=writer,
        direction="h",
    )


def _forget_gone(session: Session, writer: LedgerWriter, name: str | None) -> list[Mended]:
    """Forget what is kept for a rollback and was dropped by somebody else."""
    mended = []
    for item in read_kept(session.ledger).values():
        if name in (None, item.name) and index_info(session.client, item.what) is None:
            if item.kind == "alias":
                KeptLedger(writer).forget(item.what)
            else:
                # The registry as well: whoever makes an index of that name makes his own.
                Registry(writer).drop(item.what)
            mended.append(
                Mended(
                    item.name, "kept_gone", item.what, f"{item.what}, which was kept, is gone and forgotten"
                )
            )
    return mended


def _claimed(session: Session, writer: LedgerWriter, name: str | None) -> list[Mended]:
    """Claim what is ours by the ledger and unknown to the registry of the server, as once it was deleted."""
    ours = {record.physical: record.name for record in Registry(writer).all().values()}
    ours |= {item.what: item.name for item in read_kept(session.ledger).values() if item.kind != "alias"}
    owners = read_owners(session.client, ours)
    mended = []
    for physical, spec in ours.items():
        asked = name in (None, spec) and physical not in owners
        if asked and index_info(session.client, physical) is not None:
            words = ("HSETNX", OWNERS, physical, writer.keys.namespace)
            writer.lease.guarded(words, keys=[OWNERS])
            mended.append(Mended(spec, "owner", physical, f"{physical} is ours in the registry again"))
    return mended


def refuse_gone(faults: Sequence[Fault]) -> None:
    """Raise the error for indexes that are gone: a deploy must not go on without them."""
    gone = [item for item in faults if item.kind in ("missing_index", "incomplete_scan")]
    if gone:
        listed = "; ".join(map(str, gone))
        raise MissingIndexError(
            f"{listed} (expected what the ledger calls applied); FLUSHDB of any database drops all indexes",
            hint="`vecmigrate heal` builds them anew from the migrations; documents are not touched",
        )
