"""`upgrade`, `downgrade`, `stamp`, `current`, `status`, `rejects` and `unlock`: what needs a server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import click

from vecmigrate.cli.app import App, Command, format_option, pass_app
from vecmigrate.cli.holding_back import backfill_options, throttle_options
from vecmigrate.cli.progress import duration, progress_for
from vecmigrate.errors import EXIT_FINDINGS

if TYPE_CHECKING:
    from vecmigrate.commands.results import (
        CurrentResult,
        CurrentRevision,
        IndexStatus,
        KeptStatus,
        PartialStatus,
        RejectsResult,
        RevisionStatus,
        StampResult,
        StatusResult,
        UnlockResult,
        UpgradeResult,
    )
    from vecmigrate.operations.base import Verify
    from vecmigrate.runtime.runner import RevisionOutcome, StepOutcome

_dry_run = click.option("--dry-run", is_flag=True, help="Print the Redis commands; change nothing.")
wait_option = click.option(
    "--wait",
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="SECONDS",
    help="Wait so long for another runner to finish, and for a server that loads its data, is busy with a "
    "script or fails over. Default: give up at once.",
)


_rebuild_options = (
    click.option(
        "--max-memory",
        metavar="SIZE",
        help="Refuse a second index that takes Redis beyond this: 2gb, 500mb, 80%. Default: maxmemory.",
    ),
    click.option(
        "--verify",
        type=click.Choice(("none", "counts", "recall")),
        default="recall",
        show_default=True,
        help="How thoroughly a rebuilt index is looked at before it goes live.",
    ),
    click.option(
        "--min-recall",
        type=click.FloatRange(0, 1),
        metavar="SHARE",
        help="Recall@10 that a rebuilt index must reach. Default: 0.95, or the old index's less 0.01.",
    ),
    click.option("--yes", is_flag=True, help="Delete documents where a migration drops them."),
)


def _rebuilding(command: Callable[..., None]) -> Callable[..., None]:
    """The options about rebuilt indexes."""
    for option in reversed(_rebuild_options):
        command = option(command)
    return command


@click.command(cls=Command)
@click.argument("revision", default="head")
@_dry_run
@wait_option
@click.option("--accept-changed", is_flag=True, help="Go on although an applied script was changed.")
@click.option("--release", is_flag=True, help="Apply again what was rolled back.")
@click.option("--max-rejects", metavar="N|P%", help="Fail a step that sets more items aside than this.")
@backfill_options
@_rebuilding
@throttle_options
@format_option()
@pass_app
def upgrade(
    app: App,
    revision: str,
    *,
    dry_run: bool,
    wait: float,
    accept_changed: bool,
    release: bool,
    max_rejects: str | None,
    max_deletes: str | None,
    allow_eviction: bool,
    max_memory: str | None,
    verify: Verify,
    min_recall: float | None,
    yes: bool,
    max_rate: float | None,
    max_latency: float | None,
) -> None:
    """Apply what is pending up to REVISION (default: head).

    A revision that stopped half-way goes on where it stopped; what was rolled back stays so,
    unless --release. Then every index is looked at: a hidden alias is mended, an index that is
    gone is an error.
    """
    from vecmigrate import commands

    with (
        app.session(wait=wait) as session,
        progress_for(json_lines=app.json, quiet=app.quiet) as progress,
    ):
        result = commands.upgrade(
            session,
            revision,
            dry_run=dry_run,
            wait=wait,
            accept_changed=accept_changed,
            release=release,
            max_rejects=max_rejects,
            max_deletes=max_deletes,
            allow_eviction=allow_eviction,
            max_memory=max_memory,
            verify=verify,
            min_recall=min_recall,
            yes=yes,
            max_rate=max_rate,
            max_latency=max_latency,
            progress=progress,
        )
    _warn(app, result)
    app.emit(result, lambda: _upgraded(result))


@click.command(cls=Command)
@click.argument("revision")
@_dry_run
@wait_option
@_rebuilding
@throttle_options
@format_option()
@pass_app
def downgrade(
    app: App,
    revision: str,
    *,
    dry_run: bool,
    wait: float,
    max_memory: str | None,
    verify: Verify,
    min_recall: float | None,
    yes: bool,
    max_rate: float | None,
    max_latency: float | None,
) -> None:
    """Take back what is applied above REVISION.

    `base` takes back everything, `-1` the last revision. Then every index is looked at, as upgrade
    does.
    """
    from vecmigrate import commands

    with (
        app.session(wait=wait) as session,
        progress_for(json_lines=app.json, quiet=app.quiet) as progress,
    ):
        result = commands.downgrade(
            session,
            revision,
            dry_run=dry_run,
            wait=wait,
            max_memory=max_memory,
            verify=verify,
            min_recall=min_recall,
            yes=yes,
            max_rate=max_rate,
            max_latency=max_latency,
            progress=progress,
        )
    _warn(app, result)
    app.emit(result, lambda: _upgraded(result))


@click.command(cls=Command)
@click.argument("revision")
@click.option("--purge", is_flag=True, help="Remove every entry first, those of scripts that are gone too.")
@wait_option
@format_option()
@pass_app
def stamp(app: App, revision: str, *, purge: bool, wait: float) -> None:
    """Say that REVISION is current; run nothing.

    Only the ledger is written.
    """
    from vecmigrate import commands

    with app.session(wait=wait) as session:
        result = commands.stamp(session, revision, purge=purge, wait=wait)
    app.emit(result, lambda: _stamped(result))


@click.command(cls=Command)
@click.option("-v", "--verbose", is_flag=True, help="Show everything about each, and where that is.")
@click.option("--check-heads", is_flag=True, help="Exit with 3 unless every head is applied.")
@format_option()
@pass_app
def current(app: App, *, verbose: bool, check_heads: bool) -> None:
    """Show the revisions that the database is at."""
    from vecmigrate import commands

    with app.session() as session:
        result = commands.current(session)
        if verbose:
            app.note(f"{session.url}, namespace {session.ledger.keys.namespace}")
    if not result.revisions:
        app.note("no revision is applied")
    app.emit(result, lambda: _current(app, result, verbose=verbose))
    if check_heads:
        applied = {item.revision for item in result.revisions}
        missing = [item.revision for item in commands.heads(app.config).items if item.revision not in applied]
        if missing:
            app.note(f"not on all heads: {', '.join(missing)} is not applied")
            click.get_current_context().exit(EXIT_FINDINGS)


@click.command(cls=Command)
@format_option()
@pass_app
def status(app: App) -> None:
    """Show what is applied, pending or half-done.

    Also the last error, and who is at work.
    """
    from vecmigrate import commands

    with app.session() as session:
        result = commands.status(session)
    app.emit(result, lambda: _status(result))


@click.command(cls=Command)
@click.argument("revision", required=False)
@format_option()
@pass_app
def rejects(app: App, revision: str | None) -> None:
    """List the items that backfills set aside, and why.

    Also those that were written although something was amiss. REVISION restricts the list to one revision.
    As text, an item is one line: revision, step, source, field, kind (rejected or remark) and reason,
    separated by tabs.
    """
    from vecmigrate import commands

    with app.session() as session:
        result = commands.rejects(session, revision)
    counts = _listed(("set aside", result.rejected), ("written with a remark", result.remarks))
    app.note(counts or "nothing was set aside")
    app.emit(result, lambda: _rejects(result))


@click.command(cls=Command)
@click.option("--force", is_flag=True, help="Take the lease although somebody holds it.")
@format_option()
@pass_app
def unlock(app: App, *, force: bool) -> None:
    """Take the lease from a runner that is gone.

    A runner that is alive after all stops before its next write. Leases lapse by themselves: this is for
    those who cannot wait.
    """
    from vecmigrate import commands

    with app.session() as session:
        result = commands.unlock(session, force=force)
    app.emit(result, lambda: _unlocked(result))


def _warn(app: App, result: UpgradeResult) -> None:
    """What whoever deploys should know, although it is no error."""
    if result.ahead:
        app.note(
            f"warning: the ledger is ahead: no script here has {', '.join(result.ahead)}; a newer release "
            "applied it, and this one leaves it as it is"
        )
    for revision in result.held:
        app.note(
            f"warning: {revision} stays rolled back; `vecmigrate upgrade --release` applies it again, as "
            "does a newer revision that goes on from it"
        )
    for text in result.warnings:
        app.note(f"warning: {text}; `vecmigrate drift` shows more")


def _upgraded(result: UpgradeResult) -> str:
    if result.dry_run:
        return _planned(result)
    verb = {"upgrade": "applied", "downgrade": "took back"}[result.direction]
    lines = [f"accepted the changed script of {revision}" for revision in result.accepted]
    for outcome in result.revisions:
        lines += _outcome(verb, outcome)
    lines += [f"mended {item}" for item in result.mended]
    if not result.revisions:
        lines.append(f"nothing to {result.direction}")
    return "\n".join([*lines, f"current: {', '.join(result.current) or 'base'}"])


def _outcome(verb: str, outcome: RevisionOutcome) -> list[str]:
    width = max((len(step.operation) for step in outcome.steps), default=0)
    head = f"{verb} {outcome.revision} in {duration(outcome.seconds)}: {outcome.message}"
    return [head, *(f"  {step.operation:<{width}}  {_step(step)}" for step in outcome.steps)]


def _step(step: StepOutcome) -> str:
    if step.resumed:
        return "done before"
    parts = [duration(step.seconds), step.values.get("outcome"), _counts(step.values)]
    return ", ".join(filter(None, parts))


def _counts(values: Mapping[str, str]) -> str:
    """What the ledger counts for a step, in the reader's words: what was done, then what verifying found."""
    done = _listed(*((told, int(values.get(name, 0))) for name, told in _COUNTS.items()))
    verified = _listed(*((told, int(values.get(name, 0))) for name, told in _VERIFIED.items()))
    return "; verified: ".join(filter(None, [done or ("nothing to do" if verified else ""), verified]))


def _listed(*counts: tuple[str, int]) -> str:
    return ", ".join(f"{count:,} {told}" for told, count in counts if count)


_COUNTS = {
    "done": "written",
    "skipped": "existed already",
    "rejected": "set aside",
    "remarks": "written with a remark",
    "removed": "removed",
    "kept": "changed since and kept",
}
# Those that were set aside are told above.
_VERIFIED = {
    "verified_equal": "equal",
    "verified_newer": "newer at the destination",
    "verified_deleted": "deleted at the destination",
    "verified_evicted_or_deleted": "evicted or deleted at the destination",
    "verified_refreshed": "brought up to date",
    "verified_late": "came late",
    "verified_removed": "gone from the source",
}


def _planned(result: UpgradeResult) -> str:
    from vecmigrate.search.ddl import format_command

    lines = [f"# would accept the changed script of {revision}" for revision in result.accepted]
    for revision in result.planned:
        lines.append(f"# {result.direction} {revision.revision}: {revision.message}")
        for number, step in enumerate(revision.steps):
            lines.append(f"# step {number}: {step.operation}")
            for words in step.commands:
                comment = words[:1] and words[0].startswith("#")
                lines.append(" ".join(words) if comment else format_command(words))
    if not result.planned:
        lines.append(f"# nothing to {result.direction}")
    return "\n".join(lines)


def _stamped(result: StampResult) -> str:
    lines = [f"stamped {revision}" for revision in result.added]
    lines += [f"removed {revision}" for revision in result.removed]
    return "\n".join([*lines, f"current: {', '.join(result.current) or 'base'}"])


def _current(app: App, result: CurrentResult, *, verbose: bool) -> str:
    if not verbose:
        return "\n".join(map(_current_line, result.revisions))
    from vecmigrate import commands
    from vecmigrate.cli.scripts import details

    names = [item.revision for item in result.revisions if not item.ahead]
    return "\n\n".join(details(commands.show(app.config, name, applied=names)) for name in names)


def _current_line(item: CurrentRevision) -> str:
    place = " (ahead: no script here)" if item.ahead else " (head)" if item.is_head else ""
    return f"{item.revision}{place}, {item.message}"


def _status(result: StatusResult) -> str:
    lease = result.lease
    rows = [
        ("redis", f"{result.redis} ({result.server})"),
        ("namespace", result.namespace),
        ("current", ", ".join(result.current) or "base"),
        ("heads", ", ".join(result.heads) or "no scripts"),
        ("pending", ", ".join(result.pending) or "nothing"),
        *(("held", f"{revision} stays rolled back until `upgrade --release`") for revision in result.held),
        *(("half-done", _partial(partial)) for partial in result.partial),
        *(("index", _index(index)) for index in result.indexes),
        *(("WRONG", fault) for fault in result.faults),
        *((("held back", f"{result.paused}; `vecmigrate resume` goes on"),) if result.paused else ()),
        *(("kept", told_kept(kept)) for kept in result.kept),
        ("last error", _last_error(result.last_error) if result.last_error else "none"),
        (
            "lease",
            f"{lease.who} on {lease.host} (process {lease.pid}, {lease.command}, since {lease.since})"
            if lease
            else "free",
        ),
    ]
    lines = [f"{name:<10}  {text}" for name, text in rows]
    if result.revisions:
        lines += ["", *map(_revision_line, result.revisions)]
    return "\n".join(lines)


def _index(index: IndexStatus) -> str:
    names = f", {', '.join(index.aliases)} → it" if index.aliases else ""
    return f"{index.name} is {index.physical} ({index.origin} by {index.revision}){names}"


def told_kept(kept: KeptStatus) -> str:
    """One kept index or alias, and what it is good for."""
    if kept.kind == "alias":
        return f"{kept.what}, the alias that {kept.name} had before {kept.alias} (since {kept.since})"
    cost = f"some {kept.memory / 2**20:,.0f} MB" if kept.there else "GONE"
    why = f"{kept.kind} by {kept.live}" if kept.kind == "replaced" else f"rolled back to {kept.live}"
    return f"{kept.what} of {kept.name}, {cost}, {why} (since {kept.since})"


def _partial(partial: PartialStatus) -> str:
    parts = [
        f"{partial.revision} is {partial.status} at step {partial.step} ({partial.operation or 'not begun'})",
        *([f"stage {partial.values['stage']}"] if "stage" in partial.values else []),
        *([f"cursor {partial.cursor}"] if partial.cursor else []),
        *filter(None, [_counts(partial.values), partial.values.get("held")]),
        *([f"error: {partial.error}"] if partial.error else []),
    ]
    return ", ".join(parts)


def _last_error(entry: dict[str, str]) -> str:
    where = f"{entry['revision']}: " if entry.get("revision") else ""
    return f"{where}{entry.get('error', '')}"


def _revision_line(item: RevisionStatus) -> str:
    notes = [f"in {duration(item.seconds)}"] if item.seconds else []
    notes += [f"at {item.finished_at}"] if item.finished_at else []
    notes += [f"by {item.by}"] if item.by else []
    flags = " CHANGED SINCE" if item.changed else " SCRIPT MISSING" if item.missing else ""
    told = f" ({', '.join(notes)})" if notes else ""
    return f"{item.status:<11}{flags}  {item.revision}, {item.message}{told}"


def _rejects(result: RejectsResult) -> str:
    return "\n".join(
        "\t".join((item.revision, str(item.step), item.source, item.field, item.kind, item.reason))
        for item in result.items
    )


def _unlocked(result: UnlockResult) -> str:
    if result.holder is None:
        return "nobody held the lease"
    holder = result.holder
    return f"took the lease from {holder.who} on {holder.host} (process {holder.pid}, {holder.command})"
