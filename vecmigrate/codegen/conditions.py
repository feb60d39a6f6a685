"""The fields of a spec as generated code names them for conditions: `lang: Final = Tag("lang")`."""

from __future__ import annotations

from typing import Final

from vecmigrate.codegen.layout import call, quote, words_tuple
from vecmigrate.codegen.names import free
from vecmigrate.spec import defaults
from vecmigrate.spec.model import (
    Field,
    GeoField,
    GeoShapeField,
    IndexSpec,
    JsonField,
    NumericField,
    TagField,
    TextField,
    VectorField,
)

_KINDS: Final[dict[type[Field], str]] = {
    TagField: "Tag",
    TextField: "Text",
    NumericField: "Numeric",
    GeoField: "Geo",
    GeoShapeField: "GeoShape",
    VectorField: "Field",
}
# What the declarations say themselves: a field of such a name gets an underscore behind it.
_OWN_NAMES: Final = frozenset({*_KINDS.values(), "Final"})


def condition_fields(spec: IndexSpec) -> dict[str, str]:
    """What conditions can be about: the name of each such field → the assignment that declares it."""
    fields = {item.name: _declaration(spec, item) for item in spec.fields if _has_conditions(item)}
    return {
        name: call(kind, arguments, indent=4, before=f"{free(name, _OWN_NAMES)}: Final = ")
        for name, (kind, arguments) in fields.items()
    }


def _has_conditions(item: Field) -> bool:
    if isinstance(item, JsonField) or not item.indexed:
        return False
    # Of a vector one can ask whether it is there.
    return item.index_missing if isinstance(item, VectorField) else not item.noindex


def _declaration(spec: IndexSpec, item: Field) -> tuple[str, list[str]]:
    arguments = [quote(item.attribute)]
    if isinstance(item, TagField) and item.separator != defaults.TAG_SEPARATOR:
        arguments.append(f"separator={quote(item.separator)}")
    if isinstance(item, TextField) and spec.index.stopwords is not None:
        arguments.append(f"stop_words={_words(spec.index.stopwords)}")
    for option in ("index_missing", "index_empty"):
        if getattr(item, option, False):
            arguments.append(f"{option}=True")
    return _KINDS[type(item)], arguments


def _words(words: tuple[str, ...]) -> str:
    return words_tuple(words, indent=8) if words else "()"
