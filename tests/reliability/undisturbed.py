"""What the others are compared with: each change where nothing happens."""

from __future__ import annotations

from tests.reliability.changes import CHANGES, settle_on
from tests.reliability.faults import EndedWrongError, fault
from tests.reliability.world import World

# FT.ALTER takes nothing away, so a downgrade leaves the field in the index, and `drift` says so.
STAYS = {"downgrade_alter": ["item: idx:item@0001: field 'size': field is 'NUMERIC' (expected absent)"]}


@fault(
    "none: each change by itself",
    "`drift` finds nothing afterwards but a field whose alter_index was taken back",
    runs=1,
    full=1,
)
def each_change(world: World) -> None:
    """A comparison with a run that ended wrong by itself would prove nothing."""
    wrong = []
    for name, change in CHANGES.items():
        try:
            messages = settle_on(change).ledger["drift"]
        except EndedWrongError as error:
            messages = [str(error)]
        if messages != STAYS.get(name, []):
            wrong.append(f"{name}: {', '.join(messages)}")
    if wrong:
        raise EndedWrongError(f"{len(wrong)} of {len(CHANGES)}: {'; '.join(wrong)}")
