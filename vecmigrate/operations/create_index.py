"""create_index: build `<name>@<revision>` behind the alias, or adopt a plain index that is the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from vecmigrate.errors import IndexConflictError
from vecmigrate.operations import indexes
from vecmigrate.operations.base import Command, Context, Operation
from vecmigrate.operations.drop_index import DropIndex
from vecmigrate.operations.state import State, physical_name
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
        physical = physical_name(self.spec.index.name, revision)
        create = ddl.ft_create(self.spec, physical)
        return (create, ddl.ft_alias_add(self.spec.index.name, physical)) if self.publish else (create,)

    def run(self, context: Context) -> None:
        """Build or adopt; raises IndexConflictError where another index is in the way."""
        context.search.require(self.spec)
        alias = self.spec.index.name
        physical = physical_name(alias, context.revision)
        info = context.search.info(alias)
        live = None if info is None else reply.index_name(info)
        if info is not None and live == alias:
            indexes.require_same(self.spec, info, alias)
            context.step.put({"outcome": "adopted", "physical": alias})
            context.progress.message(
                f"{alias}: the index that is there has this definition; adopted as it is"
            )
            return
        if info is not None and live != physical:
            if not str(live).startswith(f"{alias}@"):
                raise IndexConflictError(
                    f"alias {alias!r} leads to index {live!r}, which is not ours (an index called {alias}@…)",
                    hint=f"FT.ALIASDEL {alias}, or give the spec another index.name",
                )
            indexes.require_same(self.spec, info, str(live))
            context.step.put({"outcome": "kept", "physical": str(live)})
            return
        # Said before it is done: a runner that is killed in between leaves an index that the next one knows.
        context.step.put({"outcome": "created", "physical": physical})
        indexes.build(context, self.spec, physical)
        if self.publish:
            indexes.publish(context, self.spec, physical)

    def revert(self, step: int, state: State) -> Operation:
        """Drop what this step built; an adopted index is only forgotten."""
        return DropIndex(self.spec.name, upgrade_step=step)
