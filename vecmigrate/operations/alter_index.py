"""alter_index: fields that an index learns in place, from values that are stored already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from vecmigrate.errors import IndexConflictError, OperationError, VerificationError
from vecmigrate.operations import checked, indexes
from vecmigrate.operations.base import Command, Context, Operation
from vecmigrate.operations.state import State
from vecmigrate.search import ddl
from vecmigrate.search.introspect import differences
from vecmigrate.spec.change import change_spec, changes_between
from vecmigrate.spec.model import Field, IndexSpec, VectorField

if TYPE_CHECKING:
    from vecmigrate.verify.check import DocumentCheck


@dataclass(frozen=True, slots=True)
class AlterIndex(Operation):
    """Add fields to the schema of the live index with FT.ALTER, which reads the documents once more.

    Answers about the other fields stay right meanwhile; the new ones can be asked for when it is done.
    """

    kind: ClassVar[str] = "alter_index"
    name: str
    add: Mapping[str, Mapping[str, Any]]

    @property
    def target(self) -> str:
        """The name of the spec."""
        return self.name

    def apply(self, state: State, revision: str) -> State:
        """The state with the fields; raises OperationError for one that FT.ALTER had better not add."""
        old = state.get(self.name)
        return state.with_changed(self.name, replace(old, spec=self._after(old.spec)))

    def describe(self, state: State, revision: str) -> Sequence[Command]:
        """FT.ALTER for each field."""
        index = state.get(self.name)
        return tuple(
            ddl.ft_alter_add(index.physical, item, index.spec.index.storage)
            for item in self._added(self._after(index.spec))
        )

    def run(self, context: Context) -> None:
        """Add what is not there yet, and wait until the documents were read."""
        index = context.state.get(self.name)
        spec = self._after(index.spec)
        context.search.require(spec)
        record = indexes.require_there(context, index)
        # What a rollback would go back to, or a release cut over to again, learns the fields as well.
        others = [
            item.what
            for item in context.kept.all().values()
            if item.name == self.name and item.kind != "alias" and self._is_there(context, item.what)
        ]
        checked.require_updates_seen(context, spec)
        indexes.wait_until_indexed(context, record.physical, record.physical)
        found_there = self._found(context, record.physical)
        new = [item.name for item in self._added(spec) if item.attribute not in found_there]
        checked.refuse_unfit(context, record.physical, spec, new)
        if context.step.get("missing") is None and new:
            before = checked.check(context, record.physical, index.spec)
            context.step.put({"missing": before.missing if before is not None else 0})
        for name in (record.physical, *others):
            indexes.wait_until_indexed(context, name, name)
            self._alter(context, spec, name)
        found = checked.check(context, record.physical, spec)
        self._refuse_lost(context, record.physical, found)
        context.step.put({"outcome": ", ".join([f"{', '.join(self.add)} added", *checked.told(found)])})

    def _refuse_lost(self, context: Context, physical: str, found: DocumentCheck | None) -> None:
        """Values that services wrote while FT.ALTER was on its way may not fit after all."""
        before = int(context.step.get("missing") or 0)
        if found is None or found.missing <= before:
            return
        raise VerificationError(
            f"{found.missing - before:,} documents left index {physical!r} over {', '.join(self.add)} "
            f"(expected at most {before:,} that cannot be indexed, as before; found {found.missing:,}): "
            f"{', '.join(found.rejected)}",
            hint="correct these values, which puts the documents back, and upgrade again",
        )

    def _alter(self, context: Context, spec: IndexSpec, live: str) -> None:
        for item in self._added(spec):
            found = self._found(context, live)
            if item.attribute not in found:
                context.search.change(*ddl.ft_alter_add(live, item, spec.index.storage))
        indexes.wait_until_indexed(context, live, live)
        # Looked at, not assumed: the server may have come back from a state before the change.
        info = context.search.info(live) or {}
        for item in self._added(spec):
            wrong = [found for found in differences(spec, info) if found.field == item.attribute]
            if wrong and wrong[0].option == "field":
                raise OperationError(
                    f"field {item.name!r} is not in index {live!r} although it was added (expected it to be "
                    "there); the server may have come back from an older state",
                    hint="upgrade again: it looks at what is there",
                )
            if wrong:
                raise IndexConflictError(
                    f"index {live!r} has a field {item.name!r} already, and it is another one ({wrong[0]})",
                    hint="rebuild_index gives it another definition",
                )

    def _found(self, context: Context, live: str) -> set[str]:
        info = context.search.info(live)
        if info is None:
            raise OperationError(
                f"there is no index {live!r} to add fields to (expected the index of {self.name!r})",
                hint="`vecmigrate heal` builds it anew",
            )
        return {str(attribute["attribute"]) for attribute in info.get("attributes", ())}

    @staticmethod
    def _is_there(context: Context, name: str) -> bool:
        return indexes.live_name(context, name) == name and context.registry.is_ours(name)

    def revert(self, step: int, state: State) -> Operation:
        """The spec without the fields: FT.ALTER takes nothing away, so the index keeps them, unused."""
        spec = state.get(self.name).spec
        return ForgetFields(self.name, tuple(self.add), changes_between(self._after(spec), spec))

    def _after(self, spec: IndexSpec) -> IndexSpec:
        after = change_spec(spec, {"fields": self.add})
        for item in self._added(after):
            if isinstance(item, VectorField) or not item.indexed:
                raise OperationError(
                    f"alter_index cannot add field {item.name!r} (an indexed field that is no vector)",
                    hint="rebuild_index adds vectors without a moment of incomplete answers",
                )
        return after

    def _added(self, spec: IndexSpec) -> list[Field]:
        return [spec.field(name) for name in self.add]


@dataclass(frozen=True, slots=True)
class ForgetFields(Operation):
    """Take fields out of the spec. They stay in the index until it is rebuilt.

    `changes` is what makes the spec what it was: a field may have been stored before it was indexed.
    """

    kind: ClassVar[str] = "forget_fields"
    name: str
    fields: tuple[str, ...]
    changes: Mapping[str, Any]

    @property
    def target(self) -> str:
        """The name of the spec."""
        return self.name

    def apply(self, state: State, revision: str) -> State:
        """The state without the fields."""
        old = state.get(self.name)
        spec = change_spec(old.spec, self.changes)
        return state.with_changed(self.name, replace(old, spec=spec))

    def describe(self, state: State, revision: str) -> Sequence[Command]:
        """A comment: there is no such command."""
        return ((f"# {', '.join(self.fields)} stay in the index, unused, until it is rebuilt",),)

    def run(self, context: Context) -> None:
        """Nothing can be done on the server."""
        context.step.put({"outcome": f"{', '.join(self.fields)} unused from now on"})
