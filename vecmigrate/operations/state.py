"""The state at a revision: which indexes there are and what each looks like.

State is never stored. It is what one gets by folding the operations of a revision and of all its
ancestors, in order, over the empty state; so it can be known without a server.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from vecmigrate.errors import OperationError
from vecmigrate.spec.model import IndexSpec


def physical_name(index_name: str, revision: str) -> str:
    """The name of the index that `revision` builds behind the alias `index_name`."""
    return f"{index_name}@{revision}"


@dataclass(frozen=True, slots=True)
class IndexState:
    """One index: its spec, the revision that built it, and whether the alias leads to it yet.

    `physical` is the index behind the alias, unless a plain index was adopted. It is kept apart from the spec
    because a renamed index keeps the name that it was built under. `previous` is what the last rebuild
    replaced, which is what a rollback goes back to.
    """

    spec: IndexSpec
    revision: str
    published: bool = True
    physical: str = ""
    previous: IndexState | None = None

    def __post_init__(self) -> None:
        if not self.physical:
            object.__setattr__(self, "physical", physical_name(self.spec.index.name, self.revision))

    @property
    def plain(self) -> str:
        """What a plain index that was adopted in the place of `physical` is called."""
        return self.physical.rpartition("@")[0]


@dataclass(frozen=True, slots=True)
class State:
    """Every index at some revision, in the order of creation."""

    indexes: tuple[IndexState, ...] = ()

    def __iter__(self) -> Iterator[IndexState]:
        """The indexes, in the order of creation."""
        return iter(self.indexes)

    def find(self, name: str) -> IndexState | None:
        """The index whose spec is called `name`, or None."""
        return next((item for item in self.indexes if item.spec.name == name), None)

    def get(self, name: str) -> IndexState:
        """The index whose spec is called `name`; raises OperationError where there is none."""
        found = self.find(name)
        if found is None:
            known = [item.spec.name for item in self.indexes]
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known) or 'none'}"
            raise OperationError(
                f"no index {name!r} at this point of the history (the name of an earlier create_index)",
                hint=hint,
            )
        return found

    def with_index(self, spec: IndexSpec, revision: str, *, published: bool) -> State:
        """This state and a new index; raises OperationError where name or alias are taken."""
        for item in self.indexes:
            if item.spec.name == spec.name:
                raise OperationError(
                    f"index {spec.name!r} was created already, in revision {item.revision}",
                    hint="drop_index first, or choose another name",
                )
            if item.spec.index.name == spec.index.name:
                raise OperationError(
                    f"alias {spec.index.name!r} belongs to index {item.spec.name!r} (one alias an index)",
                    hint="choose another index.name",
                )
        return State((*self.indexes, IndexState(spec, revision, published)))

    def with_published(self, name: str) -> State:
        """This state with the alias leading to the index `name`."""
        self.get(name)
        return State(
            tuple(replace(item, published=True) if item.spec.name == name else item for item in self.indexes)
        )

    def with_changed(self, name: str, index: IndexState) -> State:
        """This state with `index` in the place of the index `name`.

        Raises:
            OperationError: There is none, or another index has the new name or alias.
        """
        self.get(name)
        for item in self.indexes:
            if item.spec.name != name and item.spec.name == index.spec.name:
                raise OperationError(
                    f"index {index.spec.name!r} was created already, in revision {item.revision}",
                    hint="choose another name",
                )
            if item.spec.name != name and item.spec.index.name == index.spec.index.name:
                raise OperationError(
                    f"alias {index.spec.index.name!r} belongs to index {item.spec.name!r} "
                    "(one alias an index)",
                    hint="choose another index.name",
                )
        return State(tuple(index if item.spec.name == name else item for item in self.indexes))

    def without_index(self, name: str) -> State:
        """This state less the index `name`; raises OperationError where there is none."""
        self.get(name)
        return State(tuple(item for item in self.indexes if item.spec.name != name))
