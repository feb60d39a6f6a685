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


def proposed_name(spec: IndexSpec, revision: str) -> str:
    """What an index that `revision` builds is called; with `alias: false` as the spec says."""
    return physical_name(spec.index.name, revision) if spec.index.alias else spec.index.name


def require_new_name(old: IndexSpec, new: IndexSpec) -> None:
    """Raise OperationError where a new index `new` would need the name that the old one still has.

    With an alias both are there at once under names of their own. Without one (`alias: false`) the new index
    is called `index.name` itself, and so nothing may be called that before.
    """
    if new.index.alias or new.index.name not in old.index.names:
        return
    what = "the index itself" if not old.index.alias else "the alias of the index that is there"
    raise OperationError(
        f"a new index for {old.name!r} cannot be called {new.index.name!r}, for that is {what} (expected "
        "another index.name, as there is no alias: `alias: false`)",
        hint=f"rebuild_index({old.name!r}, …, index={{'name': …}}) with a name that is free",
    )


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
            object.__setattr__(self, "physical", proposed_name(self.spec, self.revision))

    @property
    def plain(self) -> str:
        """What a plain index that was adopted in the place of `physical` is called."""
        return self.physical.rpartition("@")[0] or self.physical


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
            _refuse_taken(item, spec)
        if not published and not spec.index.alias:
            raise OperationError(
                f"index {spec.name!r} cannot wait to be published: it has no alias (`alias: false`)",
                hint="leave publish=False out; whoever asks for the index finds it at once",
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
            if item.spec.name != name:
                _refuse_taken(item, index.spec)
        return State(tuple(index if item.spec.name == name else item for item in self.indexes))

    def without_index(self, name: str) -> State:
        """This state less the index `name`; raises OperationError where there is none."""
        self.get(name)
        return State(tuple(item for item in self.indexes if item.spec.name != name))


def _refuse_taken(item: IndexState, spec: IndexSpec) -> None:
    """Raise OperationError where `spec` has a name or an alias that leads to the index `item`."""
    for alias in spec.index.names:
        if alias in item.spec.index.names:
            where = "index.name" if alias == spec.index.name else "alias in index.aliases"
            raise OperationError(
                f"alias {alias!r} belongs to index {item.spec.name!r} (one alias an index)",
                hint=f"choose another {where}",
            )
