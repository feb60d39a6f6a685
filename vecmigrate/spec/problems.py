"""What can be wrong with a spec: the codes, and the collector that knows where in a file a value stands."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from vecmigrate.errors import Problem, Severity
from vecmigrate.spec.model import Location

# Where in a mapping something is: ("fields", "embedding", "dims").
KeyPath: TypeAlias = tuple[str | int, ...]
Locate: TypeAlias = Callable[[KeyPath], Location | None]

# Stable: tools and comments may name them. Warnings are the codes in WARNINGS.
CODES: Final[dict[str, str]] = {
    "unreadable-file": "The file cannot be opened.",
    "no-files": "A folder holds no spec.",
    "too-large": "The file is larger than 512 KiB.",
    "not-utf8": "The file is not UTF-8.",
    "yaml-syntax": "The text is not YAML.",
    "tab": "A tab stands where YAML wants spaces.",
    "too-deep": "Values are nested too deeply.",
    "too-many-values": "The file holds too many values, counted after its aliases are resolved.",
    "too-many-problems": "The file has more problems than are listed.",
    "recursive-alias": "An alias refers to a value that contains it.",
    "unknown-tag": "A YAML tag other than those of plain values is used.",
    "empty-file": "The file holds no value.",
    "several-documents": "The file holds more than one YAML document.",
    "bad-merge": "A merge key `<<` is given something other than mappings.",
    "duplicate-key": "A mapping has one key twice.",
    "yaml-surprise": "YAML 1.1 reads a value as something else than it looks like.",
    "wrong-type": "A value has another type than the key needs.",
    "bad-text": "A text holds control characters or half a surrogate pair.",
    "unknown-key": "A key that the format does not know, or that does not belong to this type or algorithm.",
    "missing-key": "A key that is needed is not there.",
    "bad-value": "A value is none of those allowed.",
    "bad-version": "The version of the format is not 1.",
    "out-of-range": "A number is too small or too large.",
    "empty-value": "A text, list or mapping is empty.",
    "too-many-fields": "A spec has more fields than RediSearch takes.",
    "too-many-entries": "A list is too long.",
    "duplicate-value": "A list holds a value twice.",
    "bad-identifier": "A name does not have the form that names need.",
    "bad-separator": "The separator of a tag field is not one ASCII character.",
    "bad-default": "A default does not fit the type of its field.",
    "bad-path": "A JSON path does not begin with $.",
    "reserved-word": "A name is a Python keyword or one that generated code needs for itself.",
    "name-collision": "Two things in generated code would have one name.",
    "missing-vector": "The spec has no vector field.",
    "missing-primary": "Several vector fields, and none is primary. A warning; for `validate` and `check` an"
    " error.",
    "several-primary": "More than one vector field is primary.",
    "several-metadata": "More than one json field holds the whole metadata.",
    "conflicting-keys": "Two options exclude each other.",
    "needs-sortable": "`unf` is given without `sortable`.",
    "needs-compression": "An option is given without the compression that it belongs to.",
    "not-indexed": "A field that is not indexed has options of the index.",
    "not-stored": "A field that is only indexed says how it is stored, or cannot be stored but has to be.",
    "path-overlap": "Two fields would be written to one place.",
    "bad-rename": "`renamed_from` gives a name that something still has, or that two things say they had.",
    "duplicate-field": "Two fields index one path in the same way.",
    "duplicate-name": "Two specs have one name.",
    "duplicate-index": "Two indexes have one name or alias, or one index has it twice.",
    "duplicate-prefix": "Two specs have one prefix, and cannot have the same documents.",
    "prefix-shared": "Two specs have one prefix, and so the same documents.",
    "prefix-overlap": "A prefix of one spec begins with a prefix of another.",
    "prefix-open": "A prefix ends without a separator, so that it matches longer names too.",
    "prefix-redundant": "A prefix of a spec begins with another prefix of the same spec.",
    "useless-field": "A field is not searchable and not sortable, but part of the index.",
}
# More are of use to nobody, and each takes time to word.
MAX_PROBLEMS: Final = 200
_DIGITS: Final = re.compile(r"\d+")
WARNINGS: Final = frozenset(
    {
        *("missing-primary", "no-files", "prefix-open", "prefix-redundant", "prefix-shared"),
        "useless-field",
    }
)


class Findings:
    """Collects the problems of one spec.

    Args:
        file: What the problems are said to be in; empty for mappings that come from no file: there each
            problem names the path of the value instead, such as `fields.embedding.dims`.
        locate: The place of a value in the file.
        locate_key: The place of the key that a value has.
    """

    def __init__(self, file: str, locate: Locate, locate_key: Locate) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self._locate = locate
        self._locate_key = locate_key
        self._seen: set[tuple[KeyPath, str, str]] = set()
        self._faulty: set[KeyPath] = set()
        # Every path that has an error at it or below it.
        self._around: set[KeyPath] = set()

    @property
    def is_full(self) -> bool:
        """Whether as many problems are noted as are listed of one file."""
        return len(self.problems) > MAX_PROBLEMS

    def add(
        self,
        code: str,
        path: KeyPath,
        message: str,
        expected: str | None = None,
        hint: str | None = None,
        *,
        at_key: bool = False,
    ) -> None:
        """Note a problem with the value at `path` (or with its key); the same one twice is noted once.

        Of more than MAX_PROBLEMS only that there are more is noted.
        """
        severity: Severity = "warning" if code in WARNINGS else "error"
        if severity == "error":
            self._faulty.add(path)
            self._around.update(path[:length] for length in range(len(path) + 1))
        if (path, code, message) in self._seen or self.is_full:
            return
        self._seen.add((path, code, message))
        if len(self.problems) == MAX_PROBLEMS:
            code, severity = "too-many-problems", "error"
            message, expected, hint = f"there are more than {MAX_PROBLEMS} problems", None, None
        place = (self._locate_key if at_key else self._locate)(path)
        file, line, column = self.file, 1, 1
        if place is not None:
            file, line, column = place.file, place.line, place.column
        elif not file:
            file, line, column = dotted(path), 0, 0
        self.problems.append(Problem(file, line, column, code, message, expected, hint, severity))

    def is_bad(self, path: KeyPath) -> bool:
        """Whether an error was noted for exactly the value at `path`."""
        return path in self._faulty

    def is_clean(self, path: KeyPath) -> bool:
        """Whether no error was noted at `path`, inside it or around it."""
        if path in self._around:
            return False
        return not any(path[:length] in self._faulty for length in range(len(path)))

    def place(self, path: KeyPath) -> str:
        """Where the value at `path` is, as other messages point at it: `file:line`, or its path."""
        found = self._locate(path)
        return f"{found.file}:{found.line}" if found is not None else dotted(path)

    @property
    def failed(self) -> bool:
        """Whether an error was noted; warnings do not count."""
        return any(problem.severity == "error" for problem in self.problems)


def dotted(path: KeyPath) -> str:
    """`fields.embedding.dims` for ("fields", "embedding", "dims"); `spec` for the whole mapping."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".") or "spec"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """A hint at the known word that is most like `word`, or None where none is."""
    # Words that differ in their numbers only, such as float64 and float16, are no slips of the pen.
    letters = _DIGITS.sub("", word.lower())
    others = [
        other for other in known if not _DIGITS.search(other) or _DIGITS.sub("", other.lower()) != letters
    ]
    found = difflib.get_close_matches(word.lower(), others, n=1, cutoff=0.6)
    return f"did you mean `{found[0]}`?" if found else None
