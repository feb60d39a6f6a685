"""How much of a source may be gone before a backfill stops, instead of removing what it wrote."""

from __future__ import annotations

from dataclasses import dataclass

from vecmigrate.errors import TooManyDeletesError
from vecmigrate.operations.base import RejectLimit

# A source that goes away as a whole is a deleted, evicted or renamed key more often than what somebody wanted.
DEFAULT_LIMIT = RejectLimit(share=0.1)


@dataclass(frozen=True, slots=True)
class Losses:
    """What the source held when the step began, and how much of that may be gone at its end.

    Args:
        limit: How many documents may be removed, as a number or as a share of what was there.
        items: How many items the source had.
        metadata: How many of them had metadata.
        embeddings_key: Name of the source, for messages.
        metadata_key: Likewise.
    """

    limit: RejectLimit
    items: int
    metadata: int
    embeddings_key: str
    metadata_key: str

    def check(self, *, removing: int, written: int, items: int, stripped: int, metadata: int) -> None:
        """Raise TooManyDeletesError where more is gone than the limit allows; called before anything is removed.

        Args:
            removing: How many documents of ours would be removed.
            written: How many items are in the accounts.
            items: How many items the source has now.
            stripped: How many documents would lose their metadata.
            metadata: How many items have metadata now.
        """
        known = max(self.items, written)
        gone = max(removing, self.items - items)
        if self.limit.exceeded(gone, known):
            raise self._error(gone, known, "items", self.embeddings_key, removing)
        bare = max(stripped, self.metadata - metadata)
        if self.limit.exceeded(bare, max(self.metadata, stripped)):
            raise self._error(bare, max(self.metadata, stripped), "texts of metadata", self.metadata_key, stripped)

    def _error(self, gone: int, known: int, what: str, key: str, doomed: int) -> TooManyDeletesError:
        return TooManyDeletesError(
            f"{gone:,} of {known:,} {what} are gone from {key!r} since the backfill began "
            f"(expected at most {self.limit}, by --max-deletes); {doomed:,} documents would have been removed or "
            "stripped, and all were left as they are",
            hint="restore the source and run upgrade again, or say --max-deletes 100% if they are to go",
        )
