"""What a fault is to the suite: what brings it about, what is promised, and how often it is tried."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.reliability.world import World

Scenario = Callable[["World"], None]


class EndedWrongError(Exception):
    """A run did not end as promised; the text says what was seen."""


class NothingToTryError(Exception):
    """This release or server has nothing to try the fault on; the text says what is missing."""


class MissedError(Exception):
    """The command was over before the fault came: nothing was shown, and the run does not count."""


@dataclass(frozen=True)
class Fault:
    """One row. `name` is `family.function`; `runs` are made by default and `full` for the published table.

    `kept` asks for a server that can be restarted, `lease_seconds` is what the project is configured with.
    """

    name: str
    fault: str
    promise: str
    runs: int
    full: int
    scenario: Scenario
    kept: bool = False
    lease_seconds: int = 30


FAULTS: dict[str, Fault] = {}


def fault(
    text: str, promise: str, *, runs: int, full: int, kept: bool = False, lease_seconds: int = 30
) -> Callable[[Scenario], Scenario]:
    """Enter a function as a fault of the family that its module is called after."""

    def enter(scenario: Scenario) -> Scenario:
        family = scenario.__module__.rpartition(".")[2]
        name = f"{family}.{scenario.__name__}"
        FAULTS[name] = Fault(name, text, promise, runs, full, scenario, kept, lease_seconds)
        return scenario

    return enter


def chosen(names: list[str]) -> list[Fault]:
    """The faults called by `names`, which are those of families or of single faults; all for none.

    Raises:
        KeyError: There is no such fault and no such family.
    """
    found = {}
    for name in names:
        matching = {key: item for key, item in FAULTS.items() if name in (key, key.partition(".")[0])}
        if not matching:
            raise KeyError(name)
        found.update(matching)
    return list((found if names else FAULTS).values())
