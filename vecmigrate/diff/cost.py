"""What a change costs: in words where no server is known, in figures where one was asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from vecmigrate.diff.effort import relative_effort
from vecmigrate.diff.model import Kind
from vecmigrate.search.memory import MB, estimate
from vecmigrate.search.reply import Info, num_docs
from vecmigrate.spec.model import IndexSpec

_WORDS: Final[dict[Kind, str]] = {
    "nothing": "no document and no index is touched",
    "in_place": "the server reads each document once more; no second index",
    "create": "the server indexes what is there under the prefix",
    "rebuild": "each document is indexed a second time; both indexes are there until `vecmigrate complete`",
    "drop": "memory is freed; documents stay",
    "rewrite": "each document is written anew, and indexed anew",
    "re_embed": "each vector is computed, written and indexed anew",
}
# What a second index is built for, so that there are two at the peak.
_INDEXING: Final = frozenset({"create", "rebuild", "rewrite", "re_embed"})
_SAMPLE: Final = 10_000


@dataclass(frozen=True, slots=True)
class Cost:
    """What carrying out the changes of one index takes.

    `documents` are those that the server indexes again, `memory` the bytes on top of what is used now, at the
    peak, `seconds` the time of indexing; each None where it is not known. `memory_a_document` is an estimate
    in bytes that needs no server and leaves texts out.
    """

    words: str
    documents: int | None = None
    memory: int | None = None
    seconds: float | None = None
    memory_a_document: int | None = None

    def describe(self) -> str:
        """One line."""
        parts = []
        if self.documents is not None:
            parts.append(f"{self.documents:,} documents")
        if self.memory is not None:
            parts.append(f"about {self.memory / MB:,.1f} MB more memory at the peak")
        elif self.memory_a_document is not None:
            parts.append(f"about {self.memory_a_document:,} bytes a document, texts aside")
        if self.seconds is not None:
            parts.append(f"about {_duration(self.seconds)} at this server's rate so far")
        return "; ".join([self.words, *parts])


def cost(kind: Kind, spec: IndexSpec, live: Info | None = None, *, names_only: bool = False) -> Cost:
    """What changes, the worst of which is `kind`, cost.

    Args:
        kind: The worst kind of the changes.
        spec: What the index becomes; for "drop", what it was.
        live: FT.INFO of the index as it is, where a server is connected.
        names_only: Only a spec or an alias is called otherwise.
    """
    if names_only:
        kind = "nothing"
    if kind in ("nothing", "drop"):
        return Cost(_WORDS[kind])
    second = kind in _INDEXING
    if live is None:
        sample = estimate(spec, {"num_docs": _SAMPLE}) // _SAMPLE if second else None
        return Cost(_WORDS[kind], memory_a_document=sample)
    documents = num_docs(live)
    # Milliseconds, of every document that was ever indexed here: an upper bound where many were changed.
    spent = float(live.get("total_indexing_time", 0)) / 1000
    effort = relative_effort(spec, live) if second else 1.0
    return Cost(
        _WORDS[kind],
        documents=documents,
        memory=estimate(spec, live) if second else None,
        seconds=spent * effort if documents and spent > 0 and effort is not None else None,
    )


def _duration(seconds: float) -> str:
    if seconds < 1:
        return "1 s"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
