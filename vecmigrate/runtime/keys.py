"""The names of the ledger's keys. All share one hash tag, so one Lua call can guard and write them."""

from __future__ import annotations

from dataclasses import dataclass

from vecmigrate.config import check_namespace

# Hash, one for all namespaces of a server: physical name of an index → the namespace that owns it.
OWNERS = "vecmigrate:owners"


@dataclass(frozen=True, slots=True)
class LedgerKeys:
    """The ledger of one namespace: services that share a Redis have one each."""

    namespace: str

    def __post_init__(self) -> None:
        check_namespace(self.namespace)

    def _key(self, name: str) -> str:
        return f"vecmigrate:{{{self.namespace}}}:{name}"

    @property
    def lease(self) -> str:
        """Hash: who runs; it expires by itself."""
        return self._key("lease")

    @property
    def fence(self) -> str:
        """Counter: the last token given out."""
        return self._key("fence")

    @property
    def revisions(self) -> str:
        """Hash: revision → JSON record."""
        return self._key("revisions")

    @property
    def log(self) -> str:
        """Stream: every run, append-only."""
        return self._key("log")

    @property
    def meta(self) -> str:
        """Hash: `format` of the ledger, an integer, and `written_by`, the version that wrote last."""
        return self._key("meta")

    @property
    def indexes(self) -> str:
        """Hash: name of a spec → JSON of its index: physical name, how it came, aliases."""
        return self._key("indexes")

    @property
    def builds(self) -> str:
        """Hash: physical name of an index that is being built → JSON of who builds it."""
        return self._key("builds")

    @property
    def kept(self) -> str:
        """Hash: an index that was replaced, or an old alias → JSON of what is known of it."""
        return self._key("kept")

    @property
    def pause(self) -> str:
        """Hash: who paused the runs of this namespace, and since when."""
        return self._key("pause")

    def steps(self, revision: str) -> str:
        """Hash: what is known of each step of `revision`."""
        return self._key(f"steps:{revision}")

    def rejects(self, revision: str) -> str:
        """Stream: what was set aside, and why."""
        return self._key(f"rejects:{revision}")

    def items(self, revision: str, step: int) -> str:
        """Hash: what became of each item of a backfill; what downgrade goes by."""
        return self._key(f"items:{revision}:{step}")
