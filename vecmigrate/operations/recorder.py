"""The `op` that a migration is called with: it writes down operations and touches no server."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vecmigrate.errors import OperationError
from vecmigrate.operations.alter_index import AlterIndex
from vecmigrate.operations.backfill_legacy_hash import BackfillLegacyHash
from vecmigrate.operations.base import Operation
from vecmigrate.operations.complete import Complete
from vecmigrate.operations.create_index import CreateIndex
from vecmigrate.operations.drop_index import DropIndex
from vecmigrate.operations.execute import Execute
from vecmigrate.operations.publish_index import PublishIndex
from vecmigrate.operations.rebuild_index import RebuildIndex
from vecmigrate.operations.redis_command import redis_command
from vecmigrate.operations.rename_index import RenameIndex
from vecmigrate.operations.rollback import Rollback
from vecmigrate.operations.run import Function, Run, check_function
from vecmigrate.operations.set_aliases import SetAliases
from vecmigrate.operations.state import State
from vecmigrate.revisions.user_code import check_unfinished, name_of
from vecmigrate.spec.build import spec_from_mapping

ENVIRONMENT_PREFIX = "VECMIGRATE_VAR_"


@dataclass(frozen=True, slots=True)
class Recorded:
    """One operation and the state before it."""

    operation: Operation
    state: State


@dataclass
class Variables:
    """The values of migration variables: `-x name=value`, then the environment, then the configuration.

    The variable `tool_key` is `VECMIGRATE_VAR_TOOL_KEY` in the environment. `asked` collects the names that
    migrations asked for, so that a misspelt `-x` can be told.
    """

    given: Mapping[str, str] = field(default_factory=dict)
    configured: Mapping[str, str] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)

    def get(self, name: str, default: str | None) -> str:
        """The value of `name`; raises OperationError where there is none and no default."""
        self.asked.add(name)
        if name in self.given:
            return self.given[name]
        environment = os.environ.get(ENVIRONMENT_PREFIX + name.upper())
        if environment is not None:
            return environment
        if name in self.configured:
            return self.configured[name]
        if default is None:
            raise OperationError(
                f"variable {name!r} has no value (one given by -x {name}=VALUE)",
                hint=f"or set {ENVIRONMENT_PREFIX}{name.upper()}, or [tool.vecmigrate.variables]",
            )
        return default

    def unknown(self) -> list[str]:
        """The names given by -x that no migration asked for, each with a like one where there is one."""
        listed = []
        for name in sorted(set(self.given) - self.asked):
            near = difflib.get_close_matches(name, sorted(self.asked), n=1)
            listed.append(f"{name} (did you mean {near[0]}?)" if near else name)
        return listed


class Recorder:
    """Records operations in the order in which a migration names them.

    Args:
        revision: The revision that is recorded.
        state: The state before the first operation.
        base: The state before the revision's upgrade; for recording a downgrade.
        variables: Where `variable` finds its values.
    """

    def __init__(
        self, revision: str, state: State, *, base: State | None = None, variables: Variables | None = None
    ) -> None:
        self.revision = revision
        self.state = state
        self.recorded: list[Recorded] = []
        self._base = state if base is None else base
        self._variables = Variables() if variables is None else variables

    def variable(self, name: str, *, default: str | None = None) -> str:
        """The value of a migration variable; raises OperationError where there is none and no default."""
        return self._variables.get(name, default)

    def create_index(
        self,
        name: str,
        *,
        index: Mapping[str, Any],
        key: str,
        fields: Mapping[str, Mapping[str, Any]],
        description: str = "",
        publish: bool = True,
    ) -> None:
        """Create an index, given as a spec gives it.

        The physical index is `<index.name>@<revision>`; `index.name` becomes an alias to it. Where a plain
        index of that name exists and is the same, it is adopted as it is. With `publish=False` the alias
        waits for `publish_index`.

        Raises:
            SpecError: The description has problems.
        """
        mapping = {
            "version": 1,
            "name": name,
            "description": description,
            "index": index,
            "key": key,
            "fields": fields,
        }
        self._add(CreateIndex(spec_from_mapping(mapping, names=False), publish))

    def publish_index(self, name: str) -> None:
        """Let the alias lead to an index that `create_index(…, publish=False)` built, once it is complete."""
        self._add(PublishIndex(name))

    def rebuild_index(self, name: str, **changes: Any) -> None:
        """Build the index `name` anew with `changes` while the old one answers, and cut over to it.

            op.rebuild_index("tool", embedding={"m": 32})

        What can be changed, and how that is said, stands in `vecmigrate.spec.change`. The new index is
        verified before the alias leads to it, and the old one is kept until `complete`.

        Raises:
            SpecError: The changes name no field, or what comes out is no spec.
            OperationError: Documents would have to be written anew.
        """
        self._add(RebuildIndex(name, changes))

    def alter_index(self, name: str, *, add: Mapping[str, Mapping[str, Any]]) -> None:
        """Let the index `name` know fields whose values are stored already, by FT.ALTER. No vectors."""
        self._add(AlterIndex(name, add))

    def rename_index(self, name: str, *, to: str | None = None, index_name: str | None = None) -> None:
        """Give the spec another name, or its index another alias; the old alias stays until `complete`."""
        self._add(RenameIndex(name, to, index_name))

    def set_aliases(self, name: str, aliases: Sequence[str]) -> None:
        """Let exactly `aliases`, beside `index.name`, lead to the index `name`.

        What leads there by another hand may be named too: it is then taken along by rebuilds.

        Raises:
            SpecError: One of them cannot be a name, or is listed twice.
            OperationError: Another index has one of them.
        """
        if isinstance(aliases, str):
            raise OperationError(f"set_aliases got the text {aliases!r} (expected a list of names)")
        self._add(SetAliases(name, tuple(aliases)))

    def complete(self, name: str) -> None:
        """Drop what is kept of the index `name`: there is no rollback by an alias update after that."""
        self._add(Complete(name))

    def rollback(self, name: str) -> None:
        """Go back to the index that the last rebuild of `name` replaced; where it is gone, build it anew."""
        self._add(Rollback(name))

    def drop_index(self, name: str, *, documents: bool = False) -> None:
        """Drop the index behind the alias. Documents stay, unless `documents` is true and `--yes` is said."""
        self._add(DropIndex(name, documents=documents))

    def backfill_legacy_hash(self, name: str, *, embeddings_key: str, metadata_key: str) -> None:
        """Write one document for each item of a legacy monolithic hash into the index `name`.

        `embeddings_key` is a hash of field → JSON vector (shape `(dims,)`), `metadata_key` one of field →
        JSON metadata. Documents that exist stay as they are; what cannot be converted is set aside with its
        reason.
        """
        self._add(BackfillLegacyHash(name, embeddings_key, metadata_key))

    def run(self, function: Function, *, name: str | None = None, undo: Function | None = None) -> None:
        """Call `function(client, progress, cursor)`, and `undo` the same way when the step is reverted.

        Both are plain functions that have done their work when they return.

        Raises:
            OperationError: One of them cannot be called so, or is an async or a generator function.
        """
        check_function(function, "function")
        if undo is not None:
            check_function(undo, "undo")
        self._add(Run(function, name or name_of(function), undo))

    def execute(
        self, *words: str | int | float | bytes, undo: Sequence[str | int | float | bytes] | None = None
    ) -> None:
        """Send one Redis command, once, and `undo` when the step is reverted.

        Raises:
            OperationError: A word has another type, or a migration may not send that command.
        """
        back = None if undo is None else redis_command(undo, "undo of execute")
        self._add(Execute(redis_command(words), back))

    def revert(self, upgrade: Callable[[Recorder], object]) -> None:
        """Take back what `upgrade` does: each of its operations reverted, the last first.

        Raises:
            IrreversibleError: One of them has no way back.
        """
        forward = Recorder(self.revision, self._base, variables=self._variables)
        check_unfinished(upgrade, upgrade(forward))
        for step, item in reversed(list(enumerate(forward.recorded))):
            self._add(item.operation.revert(step, item.state))

    def _add(self, operation: Operation) -> None:
        self.recorded.append(Recorded(operation, self.state))
        self.state = operation.apply(self.state, self.revision)
