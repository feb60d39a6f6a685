"""How generated code stores, reads and filters by one field that is no vector: expressions ready to print."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from vecmigrate.codegen.layout import call, prose, quote
from vecmigrate.spec.model import (
    Field,
    GeoField,
    GeoShapeField,
    IndexSpec,
    JsonField,
    NumericField,
    TagField,
    TextField,
)
from vecmigrate.spec.paths import json_keys

_FIRST_KEY: Final = re.compile(r"^\$\.([A-Za-z_][A-Za-z0-9_-]*)")
# Names in quotes inside a JSON path, which may hold any character.
_QUOTED: Final = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""")


@dataclass(frozen=True, slots=True)
class ValueView:
    """One field that is no vector: where its value comes from, how it is stored, how it is read.

    `stored` is the function and its arguments that make the stored value, or one expression; `found` the
    function, its arguments and what follows, that read it from `fields`, the texts of a document.
    """

    field: Field
    name: str
    path: str
    keys: tuple[str, ...]
    is_written: bool
    is_metadata: bool
    parameter: str | None
    parameter_type: str
    stored: tuple[str, tuple[str, ...]] | str
    found: tuple[str, tuple[str, ...], str]
    found_type: str
    filter_parameter: str | None
    filter_type: str

    def print_found(self, indent: int) -> str:
        """The entry of a result that holds the value."""
        function, arguments, after = self.found
        before = f"{quote(self.name)}: "
        if not arguments:
            return f"{before}{function}{after},"
        return call(function, arguments, indent=indent, before=before, after=f"{after},")

    @property
    def is_sparse(self) -> bool:
        """Whether a document may lack the field."""
        item = self.field
        return (
            item.source != "key"
            and not self.is_metadata
            and item.default is None
            and not item.default_from_key
        )

    def returned(self, attributes: Collection[str]) -> str:
        """What RETURN is asked for, where the index has these attributes: the path, or the field's attribute.

        RETURN takes a name for an attribute first and for a path then. Asked by its path, a value comes as it
        is stored.
        """
        if self.path not in attributes:
            return self.path
        # An attribute that is called like a JSON path: the same path, written otherwise, is none.
        respelled = _FIRST_KEY.sub(r'$["\1"]', self.path)
        return respelled if respelled != self.path else self.field.attribute

    def is_altered(self, attributes: Collection[str]) -> bool:
        """Whether RETURN cannot give the value of a hash as it is stored.

        It gives 12 digits of a number that it knows as an attribute, and never a value whose path is the
        name of another attribute.
        """
        if self.path not in attributes:
            return False
        return isinstance(self.field, NumericField) or not self.field.indexed

    @property
    def about(self) -> str:
        """What callers should know about the parameter of a store helper."""
        item = self.field
        what = {
            TagField: "one label or several",
            NumericField: "a finite number",
            GeoField: "a point: `longitude,latitude` in degrees, or a pair",
            GeoShapeField: "a shape in well-known text",
            JsonField: "anything that JSON knows",
        }.get(type(item), "a text")
        if item.default_from_key:
            return f"{what}; the key where it is None or blank"
        if item.default is not None:
            return f"{what}; {prose(repr(item.default))} where it is None"
        return f"{what}; not stored where it is None"


def value_view(
    spec: IndexSpec, field: Field, is_written: bool, parameter: str, filter_parameter: str
) -> ValueView:
    """Everything the templates need of one field.

    Args:
        spec: The spec that has the field.
        field: The field, no vector.
        is_written: Whether the store helper writes it.
        parameter: What its parameter in the store helper is called, if it has one.
        filter_parameter: What its parameter in the searches is called, if it has one.
    """
    is_metadata = isinstance(field, JsonField) and field.source == "metadata"
    is_argument = field.source == "argument"
    can_filter = isinstance(field, TagField | NumericField) and field.indexed and not field.noindex
    is_tag = isinstance(field, TagField)
    found, found_type = _found(spec, field)
    return ValueView(
        field=field,
        name=field.name,
        path=field.path,
        keys=json_keys(field.path) or (),
        is_written=is_written,
        is_metadata=is_metadata,
        parameter=parameter if is_argument else None,
        parameter_type=_parameter_type(field),
        stored=_stored(spec, field, parameter if is_argument else None),
        found=found,
        found_type=found_type,
        filter_parameter=filter_parameter if can_filter else None,
        filter_type="TagFilter" if is_tag else "NumericFilter",
    )


def _parameter_type(field: Field) -> str:
    match field:
        case TagField():
            return "str | Sequence[str] | None"
        case NumericField():
            return "float | None"
        case GeoField():
            return "str | tuple[float, float] | None"
        case JsonField():
            return "Any"
        case _:
            return "str | None"


def _stored(spec: IndexSpec, field: Field, parameter: str | None) -> tuple[str, tuple[str, ...]] | str:
    """How a store helper makes the stored value, from `key`, `metadata` and `item`."""
    is_json = spec.index.storage == "json"
    if isinstance(field, JsonField) and field.source == "metadata":
        if is_json:
            return "dict", ("metadata",)
        return "_core.encode_json", (quote(field.name), "metadata")
    value = "key" if field.source == "key" else f"metadata.get({quote(field.name)})"
    if parameter is not None:
        value = f"item.get({quote(parameter)})"
    if field.default_from_key:
        value = f"_core.given({value}, key)"
    if isinstance(field, JsonField):
        return value if is_json else ("_core.encode_json", (quote(field.name), value))
    arguments = [quote(field.name), value]
    match field:
        case TagField():
            function = "json_tags" if is_json else "encode_tags"
            arguments.append(quote(field.separator))
        case NumericField():
            function = "json_number" if is_json else "encode_number"
        case GeoField():
            function = "encode_point"
        case GeoShapeField():
            function = "encode_shape"
        case _:
            function = "encode_text"
    if field.default is not None:
        default = field.default
        arguments.append(quote(default) if isinstance(default, str) else repr(default))
    if isinstance(field, TagField) and field.index_empty:
        arguments.append("index_empty=True")
    if is_json and not isinstance(field, TagField | NumericField):
        encoded = call(f"_core.{function}", arguments, indent=20)
        return "_core.json_string", (quote(field.name), encoded)
    return f"_core.{function}", tuple(arguments)


def _found(spec: IndexSpec, field: Field) -> tuple[tuple[str, tuple[str, ...], str], str]:
    """How the field is read from `fields`, `metadata` and `key`, and the type of what comes out.

    What is not stored is None and not the field's default, which is for storing: a filter would not find it.
    There are two exceptions. A field that holds the key is read from the document's id. And a text that is
    kept beside the metadata that it is taken from (`from: metadata`) reads, where it is blank, as the
    metadata has it, and then as the key (`default_from: key`) or as the empty text (`default: ""`).
    """
    stored = f"fields.get({quote(field.name)})"
    if field.source == "key":
        return ("key", (), ""), "str"
    if has_fallback(spec, field):
        default = "key" if field.default_from_key else quote("")
        texts = (stored, f"metadata.get({quote(field.name)})", f"default={default}")
        return ("_core.first_text", texts, ""), "str"
    if spec.index.storage == "json":
        return _found_in_json(field, stored)
    if isinstance(field, JsonField):
        return ("_core.parse_json", (stored,), ""), "Any"
    if isinstance(field, NumericField):
        return ("_core.as_number", (stored,), ""), "float | None"
    return ("fields.get", (quote(field.name),), ""), "str | None"


def has_fallback(spec: IndexSpec, field: Field) -> bool:
    """Whether a blank value reads as the metadata's: see `_found`."""
    blank = field.default_from_key or field.default == ""
    return (
        isinstance(field, TextField)
        and field.source == "metadata"
        and spec.metadata_field is not None
        and blank
    )


def _found_in_json(field: Field, stored: str) -> tuple[tuple[str, tuple[str, ...], str], str]:
    if is_several(field.path):
        match field:
            case JsonField():
                return ("list", (stored,), ""), "list[Any]"
            case NumericField():
                return ("_core.as_numbers_of", (stored,), ""), "list[float]"
            case _:
                return ("_core.as_json_texts", (stored,), ""), "list[str]"
    match field:
        case JsonField():
            return ("fields.get", (quote(field.name),), ""), "Any"
        case NumericField():
            return ("_core.as_number", (stored,), ""), "float | None"
        case TagField():
            return ("_core.as_json_tags", (stored,), ""), "str | list[str] | None"
        case _:
            return ("_core.as_json_text", (stored,), ""), "str | None"


def is_several(path: str) -> bool:
    """Whether a JSON path may pick out several values: `$.tags[*]`, `$..price`, `$.a[0:2]`."""
    plain = _QUOTED.sub("", path)
    return any(mark in plain for mark in ("*", "..", "?", ":", ","))
