"""The check of documents that every operation which makes or changes an index ends with.

What is looked at, and how, stands in `verify`; here is what the operations ask of it and say about it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from vecmigrate.errors import OperationError, VerificationError
from vecmigrate.operations.base import Context
from vecmigrate.spec.model import IndexSpec

if TYPE_CHECKING:
    from vecmigrate.verify.check import DocumentCheck
    from vecmigrate.verify.scratch import Scratch

PARTIAL = "PARTIAL_INDEXED_DOCS"


def require_updates_seen(context: Context, spec: IndexSpec) -> None:
    """Raise OperationError where the server would not index updates of some fields, in silence."""
    from vecmigrate.verify.check import updates_missed

    fields = updates_missed(spec, context.search.setting(PARTIAL))
    if fields:
        raise OperationError(
            f"the server runs with {PARTIAL} 1 and would not see updates of {', '.join(map(repr, fields))} "
            "(expected fields whose name is their path: with another name it passes updates over)",
            hint=f"start the server without {PARTIAL}, or name these fields as they are stored",
        )


def check(
    context: Context,
    physical: str,
    spec: IndexSpec,
    old: tuple[str, IndexSpec] | None = None,
    *,
    total: int | None = None,
) -> DocumentCheck | None:
    """Look whether `physical`, built from `spec`, holds every document, and mend what its scan passed over.

    `old` is the index that it takes the place of, by name and spec; `total` how many documents there are, as
    far as that is known. Gives None where the operator wants no
    check (--verify none). What is mended and what cannot be indexed is said; what is lost is for the caller.
    """
    if context.options.verify == "none":
        context.progress.message(f"{physical}: not verified (--verify none)")
        return None
    from vecmigrate.verify.check import check_documents, named
    from vecmigrate.verify.keyspace import Built

    progress = context.progress
    before = Built(old[0], old[1]) if old is not None else None
    progress.start(f"checking the documents of {physical}", total, "documents")
    asking: AbstractContextManager[Scratch | None] = nullcontext()
    if spec.index.filter is not None:
        asking = _scratch(context, spec)
    with asking as scratch:
        found = check_documents(
            context.client,
            Built(physical, spec),
            before,
            lambda seen: _told(context, min(seen, total or seen)),
            touch=lambda keys: context.search.touch(spec, keys),
            scratch=scratch,
        )
    filtered = f", {found.filtered:,} left out by its filter" if found.filtered else ""
    progress.finish(f"{found.held:,} documents, {found.missing:,} missing{filtered}")
    if found.mended:
        progress.message(
            f"{physical}: {found.mended:,} documents that the scan had passed over were indexed afterwards"
        )
    if found.unasked:
        progress.message(
            f"{physical}: {found.unasked:,} keys hold a NUL byte; RediSearch cannot be asked for them"
        )
    if found.rejected_count:
        also = ", nor could they by the old index" if before is not None else ""
        progress.message(
            f"{physical}: {found.rejected_count:,} documents cannot be indexed{also}: "
            f"{named(found.rejected, found.rejected_count)}"
        )
    return found


def told(found: DocumentCheck | None) -> list[str]:
    """What a check found, as parts of an outcome."""
    if found is None:
        return []
    parts = [f"{found.held:,} documents"] if found.seen else []
    if found.filtered:
        parts.append(f"{found.filtered:,} left out by the filter")
    if found.missing:
        parts.append(f"{found.missing:,} cannot be indexed")
    return parts


def refuse_unfit(context: Context, physical: str, spec: IndexSpec, fields: Sequence[str]) -> None:
    """Raise VerificationError where documents of `physical` would leave it if it learned `fields` of `spec`.

    FT.ALTER cannot be taken back, and throws a document whose value does not fit out of the index as a whole.
    """
    if context.options.verify == "none" or not fields:
        return
    from vecmigrate.verify.check import named
    from vecmigrate.verify.keyspace import Built
    from vecmigrate.verify.unfit import unfit_documents

    context.progress.start(f"looking for values that do not fit {', '.join(fields)}", None, "documents")
    with _scratch(context, spec) as scratch:
        found = unfit_documents(
            context.client,
            Built(physical, spec),
            fields,
            scratch,
            lambda seen: _told(context, seen),
            touch=lambda keys: context.search.touch(spec, keys),
        )
    context.progress.finish(f"{found.count:,} documents do not fit")
    if found.count:
        raise VerificationError(
            f"{found.count:,} documents would leave index {physical!r}, as what they store does not fit "
            f"(expected values that {', '.join(map(repr, fields))} can index): "
            f"{named(found.keys, found.count)}; nothing was changed",
            hint="correct these values and upgrade again, or give the field a type that takes them",
        )


def _told(context: Context, seen: int) -> None:
    context.check_lease()
    context.progress.advance(seen)


@contextmanager
def _scratch(context: Context, spec: IndexSpec) -> Iterator[Scratch]:
    """The right to make a small index `<index.name>@check`; a later run knows it, and drops what was left."""
    from vecmigrate.verify.scratch import Scratch

    registry = context.registry
    name = registry.begin_build(f"{spec.name} (check)", f"{spec.index.name}@check")
    try:
        yield Scratch(name, lambda words: registry.create(words, name), lambda: _drop(context, spec, name))
    finally:
        registry.drop(name)


def _drop(context: Context, spec: IndexSpec, name: str) -> None:
    if context.search.info(name) is not None:
        context.registry.drop(name)
        context.registry.begin_build(f"{spec.name} (check)", name)
