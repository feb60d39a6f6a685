"""What the others are compared with: each change where nothing happens."""

from __future__ import annotations

from tests.reliability.changes import CHANGES, settle_on
from tests.reliability.faults import EndedWrongError, fault
from tests.reliability.world import World


@fault("none: each change by itself", "`drift` finds nothing afterwards", runs=1, full=1)
def each_change(world: World) -> None:
    """A comparison with a run that ended wrong by itself would prove nothing."""
    wrong = []
    for name, change in CHANGES.items():
        try:
            messages = settle_on(change).ledger["drift"]
        except EndedWrongError as error:
            messages = [str(error)]
        if messages:
            wrong.append(f"{name}: {', '.join(messages)}")
    if wrong:
        raise EndedWrongError(f"{len(wrong)} of {len(CHANGES)}: {'; '.join(wrong)}")
