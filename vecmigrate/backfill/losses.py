"""How much of a source may be gone before a backfill stops, instead of removing what it wrote."""

from __future__ import annotations

from dataclasses import dataclass

from vecmigrate.errors import TooManyDeletesError
from vecmigrate.operations.base import RejectLimit

# A source that goes away as a whole is more often a deleted, evicted or renamed key than what was wanted.
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
        """Raise TooManyDeletesError where too much is gone; called before anything is removed.

        What was gone before it was copied leaves no document to remove. Services delete items all the time,
        so there the step stops only where most of the source is gone.

        Args:
            removing: How many documents of ours would be removed.
            written: How many items are in the accounts.
            items: How many items the source has now.
            stripped: How many documents would lose their metadata.
            metadata: How many items have metadata now.
        """
        known, lost = max(self.items, written), self.items - items
        if self.exceeded(removing, known) or self._mostly_gone(lost, known):
            raise self._error(max(removing, lost), known, "items", self.embeddings_key, removing)
        known = max(self.metadata, stripped)
        if self.exceeded(stripped, known) or self._mostly_gone(self.metadata - metadata, known):
            gone = max(stripped, self.metadata - metadata)
            raise self._error(gone, known, "texts of metadata", self.metadata_key, stripped)

    def exceeded(self, gone: int, known: int) -> bool:
        """Whether so many of what was known are too many."""
        return self.limit.exceeded(gone, known)

    def _mostly_gone(self, gone: int, known: int) -> bool:
        return self.limit.exceeded(gone, known) and 2 * gone > known

    def _error(self, gone: int, known: int, what: str, key: str, doomed: int) -> TooManyDeletesError:
        return TooManyDeletesError(
            f"{gone:,} of {known:,} {what} are gone from {key!r} since the backfill began, or cannot be read "
            f"any more (expected at most {self.limit}, by --max-deletes); {doomed:,} documents would have "
            "been removed or stripped, and all were left as they are",
            hint="restore the source and run upgrade again, or say --max-deletes 100% if they are to go",
        )
