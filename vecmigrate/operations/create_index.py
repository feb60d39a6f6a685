"""create_index: build an index behind its alias, or adopt one that is there and is the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from vecmigrate.errors import IndexConflictError
from vecmigrate.operations import checked, indexes
from vecmigrate.operations.base import Command, Context, Operation
from vecmigrate.operations.drop_index import DropIndex
from vecmigrate.operations.registry import IndexRecord
from vecmigrate.operations.state import State, proposed_name
from vecmigrate.search import ddl, reply
from vecmigrate.spec.model import IndexSpec


@dataclass(frozen=True, slots=True)
class CreateIndex(Operation):
    """Create the index that `spec` describes.

    With `publish` false the alias is left alone until `publish_index`: applications that fall back while the
    index is missing then never see it half filled.
    """

    kind: ClassVar[str] = "create_index"
    spec: IndexSpec
    publish: bool = True

    @property
    def target(self) -> str:
        """The name of the spec."""
        return self.spec.name

    def apply(self, state: State, revision: str) -> State:
        """The state with the index."""
        return state.with_index(self.spec, revision, published=self.publish)

    def describe(self, state: State, revision: str) -> Sequence[Command]:
        """FT.CREATE, and FT.ALIASADD where it is published at once."""
        physical = proposed_name(self.spec, revision)
        create = ddl.ft_create(self.spec, physical)
        names = indexes.aliases(self.spec) if self.publish else ()
        return (create, *(ddl.ft_alias_add(name, physical) for name in names))

    def run(self, context: Context) -> None:
        """Build or adopt; raises IndexConflictError where another index is in the way."""
        context.search.require(self.spec)
        checked.require_updates_seen(context, self.spec)
        alias = self.spec.index.name
        record = context.registry.get(self.spec.name)
        if record is None and (info := context.search.info(alias)) is not None:
            live = reply.index_name(info)
            if not context.registry.is_ours(live):
                self._adopt(context, live)
                return
        if record is not None and context.search.info(record.physical) is not None:
            # An earlier run of this step, or of the step that takes it back, came as far as this.
            indexes.require_same(self.spec, context.search.info(record.physical) or {}, record.physical)
        else:
            physical = indexes.build(context, self.spec, proposed_name(self.spec, context.revision))
            record = IndexRecord(self.spec.name, physical, "created", context.revision)
        outcome = "created" if record.origin == "created" else "adopted"
        context.step.put({"outcome": outcome, "physical": record.physical})
        if not self.publish:
            context.registry.put(record)
            return
        if record.origin == "created":
            indexes.wait_until_built(context, record.physical, self.spec.name)
            found = checked.check(context, record.physical, self.spec)
            context.step.put({"outcome": ", ".join([outcome, *checked.told(found)])})
        else:
            indexes.wait_until_indexed(context, record.physical, self.spec.name)
        context.registry.point(replace(record, aliases=indexes.aliases(self.spec, record.aliases)))

    def _adopt(self, context: Context, live: str) -> None:
        alias = self.spec.index.name
        if live != alias and not self.spec.index.alias:
            raise IndexConflictError(
                f"{alias!r} is an alias of index {live!r} (expected a name that is free: with `alias: false` "
                "the index itself carries it)",
                hint=f"FT.ALIASDEL {alias}, or give the spec another index.name",
            )
        record = indexes.adopt(context, self.spec, live, context.revision)
        context.step.put({"outcome": "adopted", "physical": live})
        context.progress.message(f"{live}: the index that is there has this definition; adopted as it is")
        missing = [name for name in record.aliases if indexes.live_name(context, name) != live]
        if missing and self.publish:
            context.registry.point(record)

    def revert(self, step: int, state: State) -> Operation:
        """Drop what this step built; an adopted index is only forgotten."""
        return DropIndex(self.spec.name, upgrade_step=step)
