"""Everything vecmigrate raises on purpose.

    VecmigrateError                  exit 1   fault
    ├── ConfigError                  exit 2   the configuration or a command-line value is wrong
    ├── SpecError                    exit 3   one or more specs have problems (carries all of them)
    ├── StaleCodeError               exit 3   generated code differs from what the specs say
    ├── CodegenError                 exit 1   generated code cannot be written
    ├── RevisionError                exit 1   the revision graph or an identifier does not resolve
    │   ├── AutogenerateError        exit 3   somebody has to decide before a script can be written
    │   └── ScriptError              exit 1   a migration script cannot be read or recorded
    ├── HistoryAlteredError          exit 5   an applied script was changed or is gone
    ├── LedgerFormatError            exit 5   a newer release wrote the ledger in a format unknown here
    ├── ServerError                  exit 1   Redis cannot be reached or cannot do what is asked
    │   ├── ServerTooOldError        exit 1   a newer Redis or RediSearch is needed
    │   ├── ServerWentBackError      exit 1   the server came back from an older state
    │   ├── ServerChangedError       exit 1   the server was restarted or replaced while a function ran
    │   └── ReadOnlyServerError      exit 1   the server is a read-only replica
    ├── EmbeddedError                exit 1   the embedded server cannot run here
    ├── OperationError               exit 1   an operation refuses to go on
    │   ├── IndexConflictError       exit 1   an index or alias in the way is another one, or not ours
    │   ├── MissingIndexError        exit 1   an index that the ledger calls applied is gone
    │   ├── IrreversibleError        exit 1   an operation has no way back
    │   ├── MemoryLimitError         exit 1   a second index does not fit into the memory allowed
    │   ├── VerificationError        exit 1   a rebuilt index is not as good as it must be
    │   ├── TooManyRejectsError      exit 6   more items rejected than allowed
    │   └── TooManyDeletesError      exit 6   more of a source is gone than allowed
    ├── LockedError                  exit 4   another runner holds the lease
    │   └── LeaseLostError           exit 4   the lease lapsed, so this runner must stop
    └── PartialError                 exit 6   a revision stopped half-way; `upgrade` goes on from there

An error is one line, `what is wrong (what was expected); hint`, and the class says the exit code. The
command line prints it without a traceback.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

Severity = Literal["error", "warning"]

EXIT_DONE = 0
EXIT_FAULT = 1
EXIT_USAGE = 2
EXIT_FINDINGS = 3
EXIT_LOCKED = 4
EXIT_HISTORY = 5
EXIT_PARTIAL = 6


class VecmigrateError(Exception):
    """The base of every error that vecmigrate raises on purpose.

    Args:
        message: What is wrong, in one line, with what was expected in parentheses.
        hint: What the reader can do about it.
    """

    exit_code: ClassVar[int] = EXIT_FAULT

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class ConfigError(VecmigrateError):
    """The configuration, an environment variable or a command-line value is wrong."""

    exit_code = EXIT_USAGE


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding in a text file, with the place where it was found.

    `line` and `column` count from 1. Both are 0 for a value that came from no file: `file` is then its path
    in the mapping, such as `fields.embedding.dims`.
    """

    file: str
    line: int
    column: int
    code: str
    message: str
    expected: str | None = None
    hint: str | None = None
    severity: Severity = "error"

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        expected = f" (expected {self.expected})" if self.expected else ""
        hint = f"; {self.hint}" if self.hint else ""
        label = "warning: " if self.severity == "warning" else ""
        return printable(f"{place}: {label}{self.message}{expected}{hint}")


def printable(text: str, *, but: str = "") -> str:
    """`text` as one line that says something, and does nothing to whoever shows it.

    Specs, scripts, names of files and answers of servers are written by others. So what would end the line,
    move a cursor, change a colour or turn the reading direction is written out as an escape, as in `\\x1b`.
    So is what the runner of GitHub Actions takes for a command: `::` where a line begins, and `##[` anywhere.
    The letters in `but` stay as they are.
    """
    shown = "".join(
        letter if letter.isprintable() or letter in but else repr(letter)[1:-1] for letter in text
    )
    begin = len(shown) - len(shown.lstrip())
    if shown.startswith("::", begin):
        shown = f"{shown[:begin]}\\x3a{shown[begin + 1 :]}"
    return shown.replace("##[", "#\\x23[")


def printable_lines(text: str) -> str:
    """The same of a text whose line ends and tabs are meant."""
    return "\n".join(printable(line, but="\t") for line in text.split("\n"))


class SpecError(VecmigrateError):
    """One or more specs have problems; `problems` holds all of them, in file order."""

    exit_code = EXIT_FINDINGS

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class StaleCodeError(VecmigrateError):
    """Generated code on disk differs from what the specs say now; `diff` is a unified diff."""

    exit_code = EXIT_FINDINGS

    def __init__(self, message: str, *, diff: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.diff = diff


class CodegenError(VecmigrateError):
    """Generated code cannot be written where it is asked to go."""


class RevisionError(VecmigrateError):
    """The revision graph is broken, or an identifier names no revision or several."""


class AutogenerateError(RevisionError):
    """What the specs want cannot be written as a script until somebody decides; `problems` says what."""

    exit_code = EXIT_FINDINGS

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        things = "one thing has" if count == 1 else f"{count} things have"
        super().__init__(f"no script was written: {things} to be decided first")


class ScriptError(RevisionError):
    """A migration script cannot be read, or recording its operations failed."""


class HistoryAlteredError(VecmigrateError):
    """A script was changed or removed after it was applied."""

    exit_code = EXIT_HISTORY


class LedgerFormatError(VecmigrateError):
    """A newer release wrote the ledger, in a format that this one does not know."""

    exit_code = EXIT_HISTORY


class ServerError(VecmigrateError):
    """Redis cannot be reached, refuses us, or cannot do what is asked of it.

    `passing` says whether waiting may be all that is needed: it loads its data, or a failover is under way.
    """

    passing: bool = False


class ServerTooOldError(ServerError):
    """The connected server lacks something; the message names the version that has it."""


class ServerWentBackError(ServerError):
    """The server came back from an older state, so that writes of this run are lost."""

    def __init__(self, reply: str = "") -> None:
        numbers = reply.split()[1:3]
        told = f" (expected write {numbers[1]} or later, found {numbers[0]})" if len(numbers) == 2 else ""
        super().__init__(
            f"the server came back from an older state: writes of this run are lost{told}",
            hint="run it again: it looks at what is there and goes on from the ledger",
        )


class ServerChangedError(ServerError):
    """The server was restarted, or another one took its place, while a function worked on it."""

    def __init__(self) -> None:
        super().__init__(
            "the server was restarted or replaced while the function ran, and may have lost writes "
            "(the server that the step began on)",
            hint="run it again: it goes on at the cursor that the server has now",
        )


class ReadOnlyServerError(ServerError):
    """The connected server is a replica and takes no writes."""


class EmbeddedError(VecmigrateError):
    """The embedded server is not available on this machine, or did not start."""


class OperationError(VecmigrateError):
    """An operation of a migration refuses to go on."""


class IndexConflictError(OperationError):
    """An index or an alias in the way has another definition, or belongs to somebody else."""


class MissingIndexError(OperationError):
    """An index that the ledger calls applied is gone, or its alias leads nowhere."""


class IrreversibleError(OperationError):
    """An operation has no way back, so a downgrade cannot be recorded."""


class MemoryLimitError(OperationError):
    """A second index does not fit under `maxmemory` or `--max-memory`; nothing was begun."""


class VerificationError(OperationError):
    """A rebuilt index failed a check; it was removed, and the alias is where it was."""


class TooManyRejectsError(OperationError):
    """More items were set aside than `--max-rejects` allows."""

    exit_code = EXIT_PARTIAL


class TooManyDeletesError(OperationError):
    """More of the source is gone than `--max-deletes` allows; nothing was removed."""

    exit_code = EXIT_PARTIAL


class LockedError(VecmigrateError):
    """Another runner holds the lease."""

    exit_code = EXIT_LOCKED


class LeaseLostError(LockedError):
    """This runner's lease lapsed or was taken over, so it may not write any more."""

    def __init__(self) -> None:
        super().__init__(
            "the lease was lost: it lapsed while this runner was held up, or somebody unlocked it",
            hint="nothing was written since; run upgrade again, it goes on where the ledger says",
        )


class PartialError(VecmigrateError):
    """A revision stopped half-way; the ledger knows where the next `upgrade` goes on."""

    exit_code = EXIT_PARTIAL
