"""New migration scripts: their ids, their file names, their text, and writing them to disk."""

from __future__ import annotations

import os
import re
import secrets
import tempfile
import unicodedata
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path

from vecmigrate.errors import RevisionError

_LONGEST_SLUG = 40

_TEMPLATE = '''\
"""{{ message | docstring }}
{%- if details %}

{{ details | docstrings }}
{%- endif %}

Revision ID: {{ revision }}
Revises: {{ down_revision | join(", ") or "base" }}
{%- if depends_on %}
Depends on: {{ depends_on | join(", ") }}
{%- endif %}
Create Date: {{ created }}
"""

from __future__ import annotations

from vecmigrate.operations import Recorder

revision = {{ revision | python }}
down_revision = {{ down_revision | identifiers }}
branch_labels = {{ branch_labels | identifiers }}
depends_on = {{ depends_on | identifiers }}


def upgrade(op: Recorder) -> None:
{%- if statements %}
{{ statements }}
{%- else %}
    """Record what this revision changes."""
{%- endif %}


def downgrade(op: Recorder) -> None:
{%- if not statements %}
    """Record how to take it back."""
{%- endif %}
    op.revert(upgrade)
'''


def new_revision_id(taken: Collection[str] = ()) -> str:
    """A random id of 12 hex digits that is not among `taken`, nor the start of one of them."""
    while True:
        revision = secrets.token_hex(6)
        if not any(other.startswith(revision) for other in taken):
            return revision


def file_name(revision: str, message: str) -> str:
    """`{revision}_{slug}.py`: the slug is the message in lower-case ASCII words, 40 characters at most."""
    plain = unicodedata.normalize("NFKD", message).encode("ascii", "ignore").decode().lower()
    slug = ""
    for word in re.findall(r"[a-z0-9]+", plain):
        if slug and len(slug) + len(word) >= _LONGEST_SLUG:
            break
        slug = f"{slug}_{word}" if slug else word[:_LONGEST_SLUG]
    return f"{revision}_{slug}.py" if slug else f"{revision}.py"


def render_script(
    *,
    revision: str,
    down_revision: Sequence[str],
    message: str,
    branch_labels: Sequence[str] = (),
    depends_on: Sequence[str] = (),
    created: datetime | None = None,
    details: str = "",
    statements: str = "",
) -> str:
    """The text of a new migration script; `created` is now (in UTC) where it is not given.

    `details` are lines for the docstring, below the message; `statements` is what `upgrade` does, indented.
    """
    import jinja2

    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - the output is Python, for which the filters quote
    )
    environment.filters |= {
        "docstring": _in_docstring,
        "docstrings": _lines_in_docstring,
        "python": _quoted,
        "identifiers": _identifiers,
    }
    moment = created or datetime.now(UTC)
    return environment.from_string(_TEMPLATE).render(
        revision=revision,
        down_revision=tuple(down_revision),
        message=message,
        branch_labels=tuple(branch_labels),
        depends_on=tuple(depends_on),
        created=moment.isoformat(sep=" ", timespec="seconds"),
        details=details,
        statements=statements,
    )


def write_new(path: Path, text: str) -> None:
    """Write a file that appears at once and whole, or not at all; folders above it are made.

    Raises:
        RevisionError: There is a file of that name already, or the folder cannot be written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=path.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
                os.fchmod(file.fileno(), 0o666 & ~_umask())
            # A link, unlike a rename, fails where the name is taken.
            os.link(temporary, path)
        finally:
            Path(temporary).unlink()
    except FileExistsError as error:
        raise RevisionError(
            f"{path} exists already", hint="nothing was overwritten; remove it first"
        ) from error
    except OSError as error:
        raise RevisionError(f"cannot write {path} ({error.strerror})") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _in_docstring(text: str) -> str:
    one_line = " ".join(text.split())
    escaped = one_line.replace("\\", "\\\\").replace('"""', r"\"\"\"")
    return f'{escaped[:-1]}\\"' if escaped.endswith('"') else escaped


def _lines_in_docstring(text: str) -> str:
    # The last quotes of the docstring follow on a line of their own.
    return text.replace("\\", "\\\\").replace('"""', r"\"\"\"")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _identifiers(names: Sequence[str]) -> str:
    if not names:
        return "None"
    if len(names) == 1:
        return _quoted(names[0])
    return f"({', '.join(_quoted(name) for name in names)})"
