"""Specs that are made from something else: the names that fit, and the text of the file.

What already exists, an index or the schema of another library, is called and written otherwise than a spec.
A `Proposal` is the spec that comes of it, with everything that its reader has to know.
"""

from __future__ import annotations

import keyword
import re
import textwrap
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from vecmigrate.errors import printable
from vecmigrate.spec.naming import DEFAULT_QUERY, HIT_KEYS, SEARCH_PARAMETERS, SHADOWING, STORE_PARAMETERS

_LINE: Final = 110
# What the names of indexes have around the name of the thing.
_AROUND: Final = frozenset({"emb", "embedding", "embeddings", "idx", "index"})
_TAKEN: Final = frozenset({*SHADOWING, *STORE_PARAMETERS, *SEARCH_PARAMETERS, DEFAULT_QUERY, *HIT_KEYS})
_FIELD_NAME: Final = re.compile(r"(?!__)[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Proposal:
    """The mapping of a spec, and what to know about it.

    `notes` say where the spec had to differ from what it was made from; `unseen` what that did not tell, and
    what the spec says there now.
    """

    mapping: dict[str, Any]
    notes: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()


def spec_name(index: str) -> str:
    """A name for the spec of the index called `index`: `idx:skill_emb` → `skill`, `7-up` → `index_7_up`."""
    words = re.findall(r"[a-z0-9]+", index.lower())
    while len(words) > 1 and words[0] in _AROUND:
        words = words[1:]
    while len(words) > 1 and words[-1] in _AROUND:
        words = words[:-1]
    name = "_".join(words)
    if not name or not name[0].isalpha():
        name = f"index_{name}".rstrip("_")
    return f"{name}_" if keyword.iskeyword(name) else name


def key_name(spec: str, fields: Collection[str]) -> str:
    """A name for the key's parameter that none of `fields` has: `skill_id`, or else `skill_key`, …"""
    name, number = f"{spec}_id", 1
    while name in fields:
        name = f"{spec}_key{number if number > 1 else ''}"
        number += 1
    return name


def say_key(key: str | None, fields: Mapping[str, dict[str, Any]]) -> None:
    """Where the key that somebody chose is a field too, the field is the key: say so."""
    if key is not None and key in fields and fields[key]["type"] != "vector":
        fields[key]["from"] = "key"


def say_primary(fields: Mapping[str, dict[str, Any]]) -> None:
    """Of several vectors the first is the primary one: say so, for the order of fields decides nothing."""
    vectors = [field for field in fields.values() if field["type"] == "vector"]
    if len(vectors) > 1:
        vectors[0]["primary"] = True


def field_name(attribute: str, spec: str, taken: Collection[str]) -> str:
    """The name nearest to `attribute` that a field of the spec called `spec` can have beside `taken`.

    It is `attribute` itself wherever that is possible; `$.user.age` becomes `user_age`, `score` of `skill`
    becomes `skill_score`.
    """
    name = attribute
    if not _FIELD_NAME.fullmatch(name):
        name = "_".join(re.findall(r"[A-Za-z0-9_]+", name)).lstrip("_")
        if not name or not name[0].isalpha():
            name = f"field_{name}".rstrip("_")
    if keyword.iskeyword(name) or name in _TAKEN:
        name = f"{spec}_{name}"
    free, number = name, 2
    while free in taken:
        free = f"{name}_{number}"
        number += 1
    return free


def spec_text(mapping: Mapping[str, Any], comments: Iterable[str] = ()) -> str:
    """The text of a spec file, which reads back as `mapping`; `comments` stand above it, wrapped.

    A field takes one line where that is short enough.
    """
    lines = []
    for comment in comments:
        lines += textwrap.wrap(
            printable(" ".join(comment.split())),
            _LINE,
            initial_indent="# ",
            subsequent_indent="#   ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    for key, value in mapping.items():
        if isinstance(value, Mapping) and value:
            lines.append(f"{key}:")
            for name, item in value.items():
                lines += textwrap.indent(_entry(name, item), "  ").splitlines()
        else:
            lines += _entry(key, value).splitlines()
    return "\n".join(lines) + "\n"


def _entry(name: str, value: Any) -> str:
    # PyYAML puts a mapping that holds no other collection into braces.
    short = _dump({name: value}, flow=None if isinstance(value, Mapping | list) else False)
    if len(short) + 2 <= _LINE and short.count("\n") == 1:
        return short
    return _dump({name: value}, flow=False)


def _dump(value: Any, *, flow: bool | None) -> str:
    import yaml

    # No width: a folded text would not be the one line that it is. Marks of direction and the like are shown
    # as escapes, as PyYAML shows all that is not ASCII where it is not allowed to.
    def dump(allow_unicode: bool) -> str:
        text: str = yaml.safe_dump(
            value, default_flow_style=flow, sort_keys=False, width=float("inf"), allow_unicode=allow_unicode
        )
        return text

    text = dump(allow_unicode=True)
    return text if text.replace("\n", "").isprintable() else dump(allow_unicode=False)
