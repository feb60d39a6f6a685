"""How generated code stores, reads and filters by one field that is no vector: expressions ready to print."""

from __future__ import annotations

from dataclasses import dataclass

from vecmigrate.codegen.layout import call, prose, quote
from vecmigrate.spec.model import (
    Field,
    GeoField,
    GeoShapeField,
    IndexSpec,
    JsonField,
    NumericField,
    TagField,
)
from vecmigrate.spec.paths import json_keys


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
        entry = call(function, arguments, indent=indent, before=before, after=f"{after},")
        if after and "\n" in entry:
            arguments = (f"{function}({', '.join(arguments)})", "default=key")
            return call("_core.first_text", arguments, indent=indent, before=before, after=",")
        return entry

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

    @property
    def returned(self) -> tuple[str, ...]:
        """The words of RETURN that ask for the field under its name."""
        is_known = self.field.indexed and not isinstance(self.field, JsonField)
        there = self.field.attribute if is_known else self.path
        return (there,) if there == self.name else (there, "AS", self.name)

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
    """How the field is read from `fields`, `metadata` and `key`, and the type of what comes out."""
    name = quote(field.name)
    default = "" if field.default is None else quote(str(field.default))
    text = f"fields.get({name}, {default})" if default else f"fields.get({name})"
    if isinstance(field, JsonField):
        return ("_core.parse_json", (f"fields.get({name})",), ""), "Any"
    if isinstance(field, NumericField):
        return ("_core.as_number", (text,), ""), "float | None"
    if field.source == "key" or field.default_from_key:
        default = "key"
    if field.source == "metadata" and spec.metadata_field is not None and default:
        texts = (f"fields.get({name})", f"metadata.get({name})", f"default={default}")
        return ("_core.first_text", texts, ""), "str"
    if default == "key":
        return ("fields.get", (name,), " or key"), "str"
    return ("fields.get", (name, default), "") if default else ("fields.get", (name,), ""), (
        "str" if default else "str | None"
    )
