"""What `init` lays out: the templates and their files."""

from __future__ import annotations

import difflib
import re
from dataclasses import asdict, dataclass
from typing import Any

from vecmigrate.config import DEFAULT_NAMESPACE
from vecmigrate.errors import ConfigError

DEFAULT_TEMPLATE = "generic"

_SETTINGS = """\
namespace = "{namespace}"    # its ledger in Redis: services that share a server have one each
specs = "specs"              # folder of the index specs
migrations = "migrations"    # folder of the migration scripts
output = "vector_indexes"    # package that `vecmigrate generate` writes
# redis = "redis://localhost:6379/0"    # --redis, VECMIGRATE_REDIS_URL and REDIS_URL come before it
"""


def settings(folder: str) -> str:
    """The settings of a new project in the folder called `folder`.

    Services that share a Redis need a ledger each, so the namespace is not left to a default that all have.
    """
    namespace = re.sub(r"[^A-Za-z0-9_.-]+", "-", folder).strip("-.")[:64]
    return _SETTINGS.format(namespace=namespace or DEFAULT_NAMESPACE)


_HASH_SPEC = """\
version: 1
name: document                  # singular; the generated functions are called after it
description: One embedding per document.
index:
  name: idx:document            # what applications query: an alias
  prefix: "document:"           # keys of the indexed hashes: this and the document_id
key: document_id
fields:
  title:    {type: text, default_from: key}
  category: {type: tag, default: ""}
  metadata: {type: json}        # stored beside the vector, not indexed
  embedding:
    type: vector
    dims: 384
    datatype: float32
    metric: cosine
    algorithm: hnsw
"""

_JSON_SPEC = """\
version: 1
name: document                  # singular; the generated functions are called after it
description: One embedding per document, in a JSON document with its text.
index:
  name: idx:document            # what applications query: an alias
  prefix: "document:"           # keys of the indexed documents: this and the document_id
  storage: json
key: document_id
fields:
  title:    {type: text, default_from: key}
  category: {type: tag, default: ""}
  author:   {type: tag, path: $.meta.author}
  embedding:
    type: vector                # an array of numbers at $.embedding
    dims: 384
    datatype: float32
    metric: cosine
    algorithm: hnsw
"""

_README = """\
Migration scripts of vecmigrate, one file a revision.

    vecmigrate revision -m "create the document index"    add one
    vecmigrate history                                    list them
    vecmigrate upgrade                                    apply what is pending

Files that start with "_" or "." are not read as migrations.
"""


@dataclass(frozen=True, slots=True)
class Template:
    """A layout of a project: the texts of its files, by their paths inside of it."""

    name: str
    description: str
    files: dict[str, str]


@dataclass(frozen=True, slots=True)
class TemplatesResult:
    """The templates that `init` knows."""

    templates: tuple[Template, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON shows it."""
        return asdict(self)


_TEMPLATES = (
    Template(
        DEFAULT_TEMPLATE,
        "Documents are hashes; with an example spec.",
        {"specs/document.yaml": _HASH_SPEC, "migrations/README": _README},
    ),
    Template(
        "json",
        "Documents are JSON; with an example spec.",
        {"specs/document.yaml": _JSON_SPEC, "migrations/README": _README},
    ),
    Template(
        "empty",
        "For a running system whose specs come from `introspect` or `import-redisvl`; no example.",
        {"migrations/README": _README},
    ),
)


def list_templates() -> TemplatesResult:
    """The templates, the default one first."""
    return TemplatesResult(_TEMPLATES)


def find_template(name: str) -> Template:
    """The template called `name`; raises ConfigError where there is none."""
    known = {template.name: template for template in _TEMPLATES}
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        raise ConfigError(
            f"there is no template {name!r} (one of: {', '.join(known)})",
            hint=f"did you mean {close[0]!r}?" if close else None,
        )
    return known[name]
