"""Comments that allow a finding, with the reason.

    # vecmigrate: allow[metric-changed] thresholds were measured anew, see docs/thresholds.md

In a spec it counts for its own line, or, on a line of its own, for the next line that is no comment. In a
migration it counts for the whole script and for every change that the script carries out; in the
configuration for what belongs to no other file. Several codes are separated by commas.
"""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from vecmigrate.diff.findings import Finding
from vecmigrate.spec.model import Location

_COMMENT: Final = re.compile(
    r"(?:^|(?<=\s))#\s*vecmigrate:\s*allow\b\s*(?:\[(?P<codes>[^\]]*)\])?(?P<reason>.*)"
)
_FORM: Final = "write `# vecmigrate: allow[code] reason`"


@dataclass(frozen=True, slots=True)
class Suppression:
    """One comment. `covers` is the line that it counts for, None for the whole file."""

    file: str
    line: int
    codes: tuple[str, ...]
    reason: str
    covers: int | None

    def allows(self, finding: Finding) -> bool:
        """Whether the comment is about that finding."""
        if finding.code not in self.codes:
            return False
        if finding.location is not None and finding.location.file == self.file:
            return self.covers in (None, finding.location.line)
        return self.covers is None and self.file in finding.also


def read_suppressions(file: str, text: str) -> tuple[Suppression, ...]:
    """The comments of one file that allow something."""
    whole = not file.endswith((".yaml", ".yml"))
    lines = text.splitlines()
    found = []
    for number, comment in _python_comments(text) if file.endswith(".py") else enumerate(lines, 1):
        match = _COMMENT.search(comment)
        if match is None:
            continue
        codes = tuple(code.strip() for code in (match["codes"] or "").split(",") if code.strip())
        covers = None if whole else _covered(lines, number)
        found.append(Suppression(file, number, codes, match["reason"].strip(" :-–—"), covers))
    return tuple(found)


def apply_suppressions(
    findings: Iterable[Finding],
    suppressions: Iterable[Suppression],
    *,
    known: Collection[str],
    settled: Collection[str] = (),
) -> tuple[Finding, ...]:
    """The findings, those that comments allow with their reason, and what is wrong with comments.

    Args:
        findings: What the rules found.
        suppressions: The comments.
        known: Codes that can be allowed.
        settled: Files that may not be edited any more: what their comments do not allow now is no finding.
    """
    sound, judged = [], []
    for item in suppressions:
        wrong = _fault(item, known)
        if wrong is None:
            sound.append(item)
        elif item.file not in settled:
            judged.append(wrong)
    used: set[tuple[Suppression, str]] = set()
    for finding in findings:
        by = [item for item in sound if item.allows(finding)]
        used.update((item, finding.code) for item in by)
        judged.append(replace(finding, allowed=by[0].reason) if by else finding)
    for item in sound:
        for code in item.codes:
            if (item, code) not in used and item.file not in settled:
                judged.append(_finding(item, "unused-suppression", f"allows {code}, which is not found here"))
    return tuple(judged)


def suppressions_of(texts: Mapping[str, str]) -> tuple[Suppression, ...]:
    """The comments of several files, file → text."""
    return tuple(item for file, text in texts.items() for item in read_suppressions(file, text))


def _fault(item: Suppression, known: Collection[str]) -> Finding | None:
    if not item.codes:
        return _finding(item, "bad-suppression", "the comment does not say which finding it allows")
    unknown = [code for code in item.codes if code not in known]
    if unknown:
        return _finding(
            item, "bad-suppression", f"no finding that can be allowed has the code {unknown[0]!r}"
        )
    if not item.reason:
        return _finding(item, "bad-suppression", f"the comment gives no reason for allowing {item.codes[0]}")
    return None


def _finding(item: Suppression, code: str, message: str) -> Finding:
    fix = "remove the comment" if code == "unused-suppression" else _FORM
    return Finding(code, "warning", message, fix, Location(item.file, item.line, 1))


def _covered(lines: list[str], number: int) -> int:
    """The line that a comment in line `number` (from 1) counts for."""
    if not lines[number - 1].lstrip().startswith("#"):
        return number
    for later in range(number, len(lines)):
        text = lines[later].strip()
        if text and not text.startswith("#"):
            return later + 1
    return number


def _python_comments(text: str) -> Iterator[tuple[int, str]]:
    """The comments of a script; what strings hold, such as the docstring, is none."""
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string
    except (tokenize.TokenError, SyntaxError):
        # Why the script cannot be read is a finding of its own.
        return
