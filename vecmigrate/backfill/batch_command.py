"""The call of write_batch.lua in the Redis protocol's own form.

A batch has thousands of words, nearly all of known shape. One formatting operation for each item costs a
tenth of packing word by word, and that is most of what a backfill's client does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha1

from vecmigrate.backfill.books import Books
from vecmigrate.backfill.convert import DIGEST_BYTES, Aside, Document
from vecmigrate.backfill.scripts import Script

Word = str | bytes | int

_WORD = b"$%d\r\n%b\r\n"
_EMPTY = b"$0\r\n\r\n"
_NAME_AND_DIGEST = _WORD + b"$%d\r\n%%b\r\n" % DIGEST_BYTES
MULTI = b"*1\r\n$5\r\nMULTI\r\n"
EXEC = b"*1\r\n$4\r\nEXEC\r\n"


@dataclass(frozen=True, slots=True)
class BatchCommand:
    """Everything about the call that is the same for each batch.

    Args:
        script: write_batch.lua.
        books: Where accounts are kept, or None.
        embeddings_key: Source of the vectors.
        metadata_key: Source of the metadata.
        prefix: Of the documents.
        paths: Names of the documents' fields, in the order of `Document.values`.
        run_id: Of the server that gives the cursors.
    """

    script: Script
    books: Books | None
    embeddings_key: str
    metadata_key: str
    prefix: str
    paths: tuple[str, ...]
    run_id: str

    def pack(  # the parameters of the script
        self,
        documents: Sequence[Document],
        aside: Sequence[Aside],
        *,
        cursor: int | str = 0,
        compare: bool = False,
        verifying: bool = False,
        replace: Mapping[bytes, bytes] | None = None,
        by_text: bool = False,
    ) -> bytes:
        """The call for one batch. `replace`: name → digest of the document that may be replaced."""
        replace = replace or {}
        extended = compare or bool(replace) or any(item.expires_at or item.remark for item in documents)
        books = self.books
        # Without books the first four are not looked at; a user may have no right to a key called "".
        unused = (self.embeddings_key,) * 4
        keys = (books.lease, books.steps, books.items, books.rejects) if books else unused
        words: list[Word] = [
            *self.script.words(by_text=by_text),
            6,
            *keys,
            self.embeddings_key,
            self.metadata_key,
        ]
        words += [books.identity if books else "", books.prefix if books else "", cursor, self.run_id]
        words += [int(compare), int(verifying), books.step if books else 0, self.prefix]
        words += [len(documents), len(aside), int(extended)]
        words += [books.fence.seq if books else 0, len(self.paths), *self.paths]
        parts = [_packed(words)]
        count = len(words)
        full = _NAME_AND_DIGEST + _EMPTY + _WORD * len(self.paths)
        for document in documents:
            values = document.values
            if extended or None in values:
                row = _row(
                    document, compare=compare, extended=extended, replace=replace.get(document.name, b"")
                )
                parts.append(_packed(row))
                count += len(row)
                continue
            flat: list[int | bytes | None] = [len(document.name), document.name, document.digest]
            for value in values:
                flat += (len(value or b""), value)
            parts.append(full % tuple(flat))
            count += 3 + len(values)
        for item in aside:
            parts.append(_packed((item.name, self.embeddings_key, item.reason)))
            count += 3
        return b"*%d\r\n%b" % (count, b"".join(parts))


def _row(document: Document, *, compare: bool, extended: bool, replace: bytes) -> list[Word]:
    """The words of one document that is not of the plain shape."""
    sparse = None in document.values
    mask = "".join("0" if value is None else "1" for value in document.values) if sparse else ""
    row: list[Word] = [document.name, document.digest, mask]
    if extended:
        sums = (_sum(document.vector), _sum(document.metadata)) if compare else ("", "")
        row += [document.expires_at, replace, *sums, document.remark]
    row += [value for value in document.values if value is not None]
    return row


def packed_command(words: Sequence[Word]) -> bytes:
    """One command in the protocol's form."""
    return b"*%d\r\n%b" % (len(words), _packed(words))


def _packed(words: Iterable[Word]) -> bytes:
    texts = (
        word if isinstance(word, bytes) else str(word).encode(errors="backslashreplace") for word in words
    )
    return b"".join([_WORD % (len(text), text) for text in texts])


def _sum(text: bytes | None) -> str:
    # SHA-1 because that is what the server's Lua has; it guards against change, not against malice.
    return sha1(text or b"", usedforsecurity=False).hexdigest()
