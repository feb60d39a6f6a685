"""What a backfill counts."""

from __future__ import annotations

from dataclasses import dataclass

from vecmigrate.errors import OperationError


@dataclass(slots=True)
class Counts:
    """Of the copying pass: how many items were seen, and what became of them."""

    written: int = 0
    existing: int = 0
    rejected: int = 0
    remarks: int = 0

    @property
    def seen(self) -> int:
        """Items dealt with."""
        return self.written + self.existing + self.rejected

    def outcomes(self) -> dict[str, int]:
        """By outcome, for progress."""
        return {"written": self.written, "existing": self.existing, "rejected": self.rejected}

    def __str__(self) -> str:
        text = f"{self.written} written, {self.existing} existed already, {self.rejected} set aside"
        return text + (f", {self.remarks} with metadata that could not be read" if self.remarks else "")


_OUTCOMES = (
    "equal", "newer", "deleted", "evicted_or_deleted", "refreshed", "late", "rejected", "missing", "removed",
)  # fmt: skip  # reads best in a row


@dataclass(slots=True)
class Verified:
    """Of the verifying pass. Every item of the source is counted once, in any but `removed`.

    `equal` at the destination as at the source; `newer` or `deleted` at the destination by somebody else;
    `evicted_or_deleted`: gone at the destination, on a server that evicted keys meanwhile, so nobody knows
    which; `refreshed` because the source changed after it was copied; `late`: came to the source after the
    copying pass had gone by, and was written now; `rejected`: it cannot be converted, or its key is taken;
    `missing`: changing so fast that it could not be settled. `removed`: gone from the source since it was
    copied, so taken away at the destination too.
    """

    equal: int = 0
    newer: int = 0
    deleted: int = 0
    evicted_or_deleted: int = 0
    refreshed: int = 0
    late: int = 0
    rejected: int = 0
    missing: int = 0
    removed: int = 0

    @property
    def seen(self) -> int:
        """Items of the source that were looked at."""
        return sum(getattr(self, name) for name in _OUTCOMES if name != "removed")

    def blame_eviction(self) -> None:
        """The server evicted keys: what is gone at the destination may have been deleted by nobody."""
        self.evicted_or_deleted += self.deleted
        self.deleted = 0

    def outcomes(self) -> dict[str, int]:
        """By outcome; those that did not occur are left out."""
        return {name: getattr(self, name) for name in _OUTCOMES if name == "equal" or getattr(self, name)}

    def as_record(self) -> dict[str, int]:
        """For the ledger; zeros too, as they replace what an earlier run found."""
        return {f"verified_{name}": getattr(self, name) for name in _OUTCOMES}

    def raise_if_missing(self, name: str) -> None:
        """Raise OperationError where an item is neither there nor accounted for."""
        if self.missing:
            raise OperationError(
                f"{self.missing} items of {name!r} changed faster than they could be copied "
                "(expected each there or rejected)",
                hint="run upgrade again when the source is calmer",
            )

    def __str__(self) -> str:
        return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in self.outcomes().items())
