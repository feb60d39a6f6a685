"""A finding as a value, how bad it is, and the rule that it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from vecmigrate.spec.model import Location

Level: TypeAlias = Literal["info", "warning", "error"]

# From the least to the worst.
LEVELS: Final[tuple[Level, ...]] = ("info", "warning", "error")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One thing to look for; the code is stable.

    `example` is what the rule finds, as a diff or in words, `fix` what to do about it.
    """

    code: str
    level: Level
    what: str
    why: str
    example: str
    fix: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule found.

    Args:
        code: That of the rule, or of the problem in a spec.
        level: How bad it is.
        message: What is found, in one line.
        fix: What to do about it, in one line.
        location: Where; a line of 0 means the file as a whole.
        index: The spec that it is about.
        also: Files in which a comment may allow it too: the migrations that carry the change out.
        allowed: The reason that a comment gives for it; such a finding counts no more.
    """

    code: str
    level: Level
    message: str
    fix: str
    location: Location | None
    index: str | None = None
    also: tuple[str, ...] = ()
    allowed: str | None = None

    @property
    def place(self) -> str:
        """`file:line`, as far as they are known."""
        if self.location is None:
            return ""
        return f"{self.location.file}:{self.location.line}" if self.location.line else self.location.file

    def __str__(self) -> str:
        place = f"{self.place}: " if self.place else ""
        return f"{place}{self.level} {self.code}: {self.message}; {self.fix}"


def at_least(level: Level, floor: Level) -> bool:
    """Whether `level` is as bad as `floor`, or worse."""
    return LEVELS.index(level) >= LEVELS.index(floor)
