"""pause and resume: hold back whoever is at work in a namespace, from anywhere."""

from __future__ import annotations

import socket

from vecmigrate.backfill.throttle import Pause, read_pause
from vecmigrate.commands.database import Session
from vecmigrate.commands.results import PauseResult
from vecmigrate.runtime.lease import whoami
from vecmigrate.runtime.ledger import now


def pause(session: Session) -> PauseResult:
    """Let whoever is at work in this namespace wait until `resume`, and whoever comes next too.

    The step that is at work stops within a second, and keeps its lease. A pause that is there already stays
    as it is.
    """
    keys = session.ledger.keys
    wanted = Pause(f"{whoami()}@{socket.gethostname()}", now())
    # In this order, so that a pause always has both once anybody sees `since`.
    with session.client.pipeline(transaction=True) as pipe:
        pipe.hsetnx(keys.pause, "who", wanted.who)
        pipe.hsetnx(keys.pause, "since", wanted.since)
        made = bool(pipe.execute()[1])
    if made:
        _log(session, "pause", wanted.who)
    return PauseResult(read_pause(session.client, keys.pause), changed=made)


def resume(session: Session) -> PauseResult:
    """End a pause; what waits goes on within a second."""
    keys = session.ledger.keys
    before = read_pause(session.client, keys.pause)
    ended = bool(session.client.delete(keys.pause))
    if ended:
        _log(session, "resume", f"{whoami()}@{socket.gethostname()}")
    return PauseResult(before, changed=ended)


def _log(session: Session, event: str, who: str) -> None:
    session.client.xadd(session.ledger.keys.log, {"event": event, "revision": "", "by": who, "error": ""})
