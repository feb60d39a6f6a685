"""Mappings against schema.json, with messages for people.

The schema says what is allowed; this module runs jsonschema over it and says each finding in our own
words, at the place of the value in the file. Rules that a schema cannot say are in `spec.rules`.
"""

from __future__ import annotations

import functools
import itertools
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from vecmigrate.spec.problems import Findings, KeyPath, nearest

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

_FIELD_DEPTH: Final = 2  # the length of ("fields", name)
_MAX_DEPTH: Final = 20
_SHOWN: Final = 40
# How descriptions in the schema begin that stand for an option of FT.CREATE.
_OPTION_WORD: Final = re.compile(r"^[A-Z_]+: ")

_TYPE_NAMES: Final = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
}


@dataclass(frozen=True, slots=True)
class _Failure:
    """A value that does not fit: the keyword of the schema, what the keyword says, and its schema."""

    keyword: str
    limit: Any
    instance: Any
    schema: Mapping[str, Any]


@functools.cache
def load_schema() -> dict[str, Any]:
    """The JSON Schema of a spec."""
    text = resources.files("vecmigrate.spec").joinpath("schema.json").read_text("utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def plain(value: Any, findings: Findings, path: KeyPath = ()) -> Any:
    """`value` with dicts for mappings and lists for tuples; keys that are not text are noted and left out."""
    if len(path) > _MAX_DEPTH:
        findings.add(
            "too-deep", path[:_MAX_DEPTH], "values are nested too deeply", f"at most {_MAX_DEPTH} levels"
        )
        return None
    if isinstance(value, Mapping):
        found = {}
        for key, item in value.items():
            if isinstance(key, str):
                found[key] = plain(item, findings, (*path, key))
            else:
                findings.add("wrong-type", path, f"the key {key!r} is {_described(key)}", "text")
        return found
    if isinstance(value, list | tuple):
        return [plain(item, findings, (*path, number)) for number, item in enumerate(value)]
    return value


def check_schema(mapping: Any, findings: Findings, raw: Mapping[KeyPath, str]) -> None:
    """Note every difference between a plain mapping and the schema.

    `raw` has scalars as they were written, where they were read from YAML.
    """
    _check_texts(mapping, findings, ())
    mapping = _with_few_fields(mapping, findings)
    # jsonschema goes through a mapping in the order of a set, so that the findings would come in any order.
    places: dict[int, dict[Any, int]] = {}
    found = [
        (_order(mapping, error.absolute_path, places), error) for error in _validator().iter_errors(mapping)
    ]
    for _, error in sorted(found, key=lambda item: item[0]):
        if findings.is_full:
            return
        path = tuple(error.absolute_path)
        # YAML that could not be read as a value was noted where it was read, and is None here.
        if error.instance is None and findings.is_bad(path):
            continue
        keyword = str(error.validator)
        schema = error.schema if isinstance(error.schema, dict) else {}
        _HANDLERS[keyword](
            _Failure(keyword, error.validator_value, error.instance, schema), path, findings, raw
        )


def _with_few_fields(mapping: Any, findings: Findings) -> Any:
    """`mapping` with as many fields as are allowed, since what is wrong with thousands is of no interest."""
    fields = mapping.get("fields") if isinstance(mapping, dict) else None
    most: int = load_schema()["properties"]["fields"]["maxProperties"]
    if not isinstance(fields, dict) or len(fields) <= most:
        return mapping
    findings.add("too-many-fields", ("fields",), f"the spec has {len(fields)} fields", f"at most {most}")
    return {**mapping, "fields": dict(itertools.islice(fields.items(), most))}


def _order(value: Any, path: Iterable[str | int], places: dict[int, dict[Any, int]]) -> list[int]:
    """What sorts paths into the order in which `value` has them; `places` are those of keys seen before."""
    order: list[int] = []
    for part in path:
        if isinstance(value, dict):
            known = places.get(id(value))
            if known is None:
                known = places[id(value)] = {key: number for number, key in enumerate(value)}
            order.append(known[part])
        else:
            order.append(int(part))
        value = value[part]
    return order


@functools.cache
def _validator() -> Validator:
    # Slow to import, and most commands read no specs.
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    checker = Draft202012Validator.TYPE_CHECKER.redefine_many(
        {
            # jsonschema takes 384.0 for an integer, and NaN for a number.
            "integer": lambda _, value: isinstance(value, int) and not isinstance(value, bool),
            "number": lambda _, value: _is_finite(value),
        }
    )
    # jsonschema's own annotation is missing on `extend`.
    validator: Validator = extend(Draft202012Validator, type_checker=checker)(load_schema())  # type: ignore[no-untyped-call]  # as said above
    return validator


def _is_finite(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond every double
        return False


def _check_texts(value: object, findings: Findings, path: KeyPath) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            _check_text(key, findings, (*path, key), at_key=True)
            _check_texts(item, findings, (*path, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            _check_texts(item, findings, (*path, number))
    elif isinstance(value, str):
        _check_text(value, findings, path, at_key=False)


def _check_text(text: str, findings: Findings, path: KeyPath, *, at_key: bool) -> None:
    for character in text:
        code = ord(character)
        if (code < 0x20 and character not in "\n\t") or code == 0x7F or 0xD800 <= code <= 0xDFFF:
            findings.add("bad-text", path, f"the text holds U+{code:04X}", "printable text", at_key=at_key)
            return


# One handler for each keyword of the schema that can fail.


def _wrong_type(failure: _Failure, path: KeyPath, findings: Findings, raw: Mapping[KeyPath, str]) -> None:
    wanted = failure.limit if isinstance(failure.limit, list) else [failure.limit]
    expected = " or ".join(_TYPE_NAMES[name] for name in wanted)
    if not path:
        findings.add("wrong-type", path, f"the spec is {_described(failure.instance)}", "a mapping")
        return
    text = raw.get(path)
    value, hint = failure.instance, None
    if value is None:
        message = f"{_what(path)} has no value"
        hint = "remove the key, or give it a value"
    elif "string" in wanted and text is not None and not isinstance(value, list | dict):
        message = f"{_what(path)} is `{text}`, which YAML reads as {_described(value)}"
        hint = f'quote it: "{text}"'
    else:
        message = (
            f"{_what(path)} is {_shown(value)}"
            if _is_scalar(value)
            else f"{_what(path)} is {_described(value)}"
        )
    if isinstance(value, str) and {"integer", "number"} & set(wanted):
        hint = _number_hint(value, text)
    elif isinstance(value, str) and "boolean" in wanted:
        hint = nearest(value, ("true", "false"))
    elif isinstance(value, float) and not math.isfinite(value):
        expected = expected.replace("a number", "a finite number")
    findings.add("wrong-type", path, message, expected, hint)


def _number_hint(text: str, raw: str | None) -> str | None:
    try:
        value = float(text.replace("_", ""))
    except ValueError:
        return None
    if not math.isfinite(value):
        return None
    if raw is not None and "e" in text.lower():
        return f"YAML 1.1 reads `{text}` as text; write {int(value) if value.is_integer() else value!r}"
    return "remove the quotes"


def _unknown_key(failure: _Failure, path: KeyPath, findings: Findings, raw: Mapping[KeyPath, str]) -> None:
    known = failure.schema["properties"]
    for key in failure.instance:
        if key in known:
            continue
        if findings.is_full:
            return
        hint = nearest(key, known) or _belongs_elsewhere(key, path, failure.instance)
        free = [name for name in known if name not in failure.instance]
        message = f"unknown key `{key}` in {_where(path, failure.instance)}"
        expected = f"one of {', '.join(free)}" if free else "no further key"
        findings.add("unknown-key", (*path, key), message, expected, hint, at_key=True)


def _belongs_elsewhere(key: str, path: KeyPath, instance: Mapping[str, Any]) -> str | None:
    schemas = load_schema()["$defs"]
    if len(path) == _FIELD_DEPTH and path[0] == "fields":
        names = [name for name in schemas if key in schemas[name].get("properties", {})]
        if instance.get("type") == "vector":
            algorithms = [name.removeprefix("vector_") for name in names if name.startswith("vector_")]
            return f"it belongs to {' and '.join(algorithms)}" if algorithms else None
        kinds = [name for name in names if name in _field_types()]
        kinds += ["vector"] if any(name.startswith("vector_") for name in names) else []
        return f"it belongs to {', '.join(kinds)} fields" if kinds else None
    for parent in ("index", "helpers"):
        if key in schemas[parent]["properties"] and path != (parent,):
            return f"it belongs under `{parent}`"
    if key in load_schema()["properties"]:
        return "it belongs to the spec itself, not below it"
    return None


def _field_types() -> list[str]:
    types: list[str] = load_schema()["$defs"]["field"]["properties"]["type"]["enum"]
    return types


def _missing_key(failure: _Failure, path: KeyPath, findings: Findings, raw: Mapping[KeyPath, str]) -> None:
    for key in failure.limit:
        if key in failure.instance:
            continue
        purpose = _OPTION_WORD.sub("", _property(failure.schema, key).get("description", "")).split(". ")[0]
        hint = f"add `{key}`: {purpose[:1].lower()}{purpose[1:].rstrip('.')}" if purpose else None
        findings.add(
            "missing-key", (*path, key), f"{_where(path, failure.instance)} has no `{key}`", None, hint
        )


def _property(schema: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = schema.get("properties", {}).get(key, {})
    while "$ref" in found:
        found = load_schema()["$defs"][found["$ref"].rpartition("/")[2]]
    return found


def _bad_value(failure: _Failure, path: KeyPath, findings: Findings, raw: Mapping[KeyPath, str]) -> None:
    allowed = [failure.limit] if failure.keyword == "const" else failure.limit
    if not isinstance(failure.instance, str) and all(isinstance(item, str) for item in allowed):
        return  # the wrong type is noted for itself
    code = "bad-version" if path == ("version",) else "bad-value"
    words = [json.dumps(item) if not isinstance(item, str) else item for item in allowed]
    expected = f"one of {', '.join(words)}" if len(words) > 1 else words[0]
    hint = nearest(failure.instance, words) if isinstance(failure.instance, str) else None
    if failure.instance in ("1", 1.0) and code == "bad-version":
        hint = "write it as a whole number, without quotes"
    findings.add(code, path, f"{_what(path)} is {_shown(failure.instance)}", expected, hint)


def _out_of_range(failure: _Failure, path: KeyPath, findings: Findings, raw: Mapping[KeyPath, str]) -> None:
    findings.add("out-of-range", path, f"{_what(path)} is {_shown(failure.instance)}", bounds(failure.schema))


def bounds(schema: Mapping[str, Any]) -> str:
    """The range that a schema of a number allows, in words."""
    low, above, high = schema.get("minimum"), schema.get("exclusiveMinimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f"{low} to {high}"
    return f"more than {above}" if above is not None else f"{low} or more"


def _bad_form(failure: _Failure, path: KeyPath, findings: Findings, raw: Mapping[KeyPath, str]) -> None:
    is_name = len(path) == 1 and path[0] == "fields"  # propertyNames: the instance is the name of a field
    target = (*path, failure.instance) if is_name else path
    what = (
        f"the field name {_shown(failure.instance)}"
        if is_name
        else f"{_what(path)} {_shown(failure.instance)}"
    )
    suggestion = _suggested_identifier(failure) if failure.schema["x-code"] == "bad-identifier" else None
    if is_name and suggestion is not None:
        # What an index calls so has to be called otherwise in Python alone.
        suggestion = f"{suggestion[:-1]}: {{attribute: {failure.instance}, …}}`"
    findings.add(
        failure.schema["x-code"],
        target,
        f"{what} does not fit",
        failure.schema["x-expected"],
        suggestion,
        at_key=is_name,
    )


def _suggested_identifier(failure: _Failure) -> str | None:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", failure.instance)
    word = re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")
    return f"for example `{word}`" if re.search(failure.limit, word) else None


def _empty(failure: _Failure, path: KeyPath, findings: Findings, raw: Mapping[KeyPath, str]) -> None:
    expected = {
        "minLength": "some text",
        "minItems": "at least one entry",
        "minProperties": "at least one key",
    }
    findings.add("empty-value", path, f"{_what(path)} is empty", expected[failure.keyword])


def _too_many(failure: _Failure, path: KeyPath, findings: Findings, raw: Mapping[KeyPath, str]) -> None:
    findings.add(
        "too-many-fields",
        path,
        f"the spec has {len(failure.instance)} fields",
        f"at most {failure.limit}",
    )


def _too_long(failure: _Failure, path: KeyPath, findings: Findings, raw: Mapping[KeyPath, str]) -> None:
    message = f"{_what(path)} has {len(failure.instance)} entries"
    findings.add("too-many-entries", path, message, f"at most {failure.limit}")


def _repeated(failure: _Failure, path: KeyPath, findings: Findings, raw: Mapping[KeyPath, str]) -> None:
    seen: set[str] = set()
    for number, item in enumerate(failure.instance):
        # 1, 1.0 and true are equal in Python, and three values in JSON; what is no scalar is noted elsewhere.
        word = f"{type(item).__name__} {item!r}"
        if word not in seen:
            seen.add(word)
        else:
            findings.add("duplicate-value", (*path, number), f"{_shown(item)} is listed twice", "once")


_Handler = Callable[["_Failure", KeyPath, Findings, Mapping[KeyPath, str]], None]
_HANDLERS: Final[dict[str, _Handler]] = {
    "type": _wrong_type,
    "additionalProperties": _unknown_key,
    "required": _missing_key,
    "enum": _bad_value,
    "const": _bad_value,
    "minimum": _out_of_range,
    "exclusiveMinimum": _out_of_range,
    "maximum": _out_of_range,
    "pattern": _bad_form,
    "minLength": _empty,
    "minItems": _empty,
    "minProperties": _empty,
    "maxProperties": _too_many,
    "maxItems": _too_long,
    "uniqueItems": _repeated,
}


def _what(path: KeyPath) -> str:
    last = path[-1]
    if len(path) == _FIELD_DEPTH and path[0] == "fields":
        return f"the field `{last}`"
    return f"`{last}`" if isinstance(last, str) else f"entry {last + 1} of `{path[-2]}`"


def _where(path: KeyPath, instance: Mapping[str, Any]) -> str:
    if not path:
        return "the spec"
    if len(path) == _FIELD_DEPTH and path[0] == "fields":
        kind = instance.get("type")
        algorithm = instance.get("algorithm", "hnsw")
        label = f"{algorithm} vector" if kind == "vector" and isinstance(algorithm, str) else kind
        return f"the {label} field `{path[1]}`" if kind in _field_types() else f"the field `{path[1]}`"
    return f"`{'.'.join(str(part) for part in path)}`"


def _is_scalar(value: object) -> bool:
    return isinstance(value, str | int | float | bool)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return _shortened(
            f"{value!r}" if isinstance(value, float) or abs(value) < 10**_SHOWN else "a huge number"
        )
    if isinstance(value, str):
        return _shortened(json.dumps(value, ensure_ascii=not value.isprintable()))
    return _described(value)


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _described(value: object) -> str:
    names = {
        str: "text",
        bool: "a boolean",
        int: "a number",
        float: "a number",
        list: "a list",
        dict: "a mapping",
        type(None): "empty",
    }
    return names.get(type(value), f"a {type(value).__name__}")
