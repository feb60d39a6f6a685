"""Mappings to specs and back.

A mapping is what a YAML file of specs/ says, or what a migration hands to `op.create_index`. It is judged
by `spec.check` first; building then only fills in what was left out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, Final

from vecmigrate.errors import SpecError
from vecmigrate.spec import defaults
from vecmigrate.spec.check import check_schema, plain
from vecmigrate.spec.implied import (
    attribute_of,
    default_path,
    default_source,
    metadata_holder,
    path_of,
    primary_vector,
)
from vecmigrate.spec.model import (
    Algorithm,
    Field,
    Flat,
    GeoField,
    GeoShapeField,
    Hnsw,
    IndexOptions,
    IndexSpec,
    JsonField,
    Location,
    NumericField,
    SvsVamana,
    TagField,
    TextField,
    VectorField,
)
from vecmigrate.spec.naming import helpers_to_mapping, resolve_helpers
from vecmigrate.spec.problems import Findings, KeyPath, Locate
from vecmigrate.spec.rules import check_rules, prune

VERSION: Final = 1

FIELD_CLASSES: Final[dict[str, type[Field]]] = {
    "text": TextField,
    "tag": TagField,
    "numeric": NumericField,
    "geo": GeoField,
    "geoshape": GeoShapeField,
    "json": JsonField,
    "vector": VectorField,
}
ALGORITHM_CLASSES: Final[dict[str, type[Algorithm]]] = {
    "flat": Flat,
    "hnsw": Hnsw,
    "svs_vamana": SvsVamana,
}
_TYPE_NAMES: Final = {cls: name for name, cls in FIELD_CLASSES.items()}
_ALGORITHM_NAMES: Final = {cls: name for name, cls in ALGORITHM_CLASSES.items()}

# Attributes that are numbers with a fraction in the model; a spec may write them as `2`.
_FLOATS: Final = frozenset({"weight", "score", "epsilon"})
# Attributes that the model spells otherwise than the mapping, or that are no keys of their own.
_SPECIAL: Final = frozenset(
    {
        *("name", "path", "attribute", "source", "default_from_key", "indexed", "renamed_from", "location"),
        *("algorithm", "prefixes"),
    }
)
# What decides how a vector is searched is written out even where it is the default, so that a reader of
# a migration sees it.
_ALWAYS: Final = frozenset({"dims", "datatype", "metric", "m", "ef_construction", "ef_runtime"})


def nowhere(path: KeyPath) -> Location | None:
    """The `locate` of mappings that come from no file."""
    return None


def field_type(field: Field) -> str:
    """The `type` that a spec gives this field: `text`, `tag`, … `vector`."""
    return _TYPE_NAMES[type(field)]


def algorithm_name(algorithm: Algorithm) -> str:
    """The `algorithm` that a spec gives: `flat`, `hnsw` or `svs_vamana`."""
    return _ALGORITHM_NAMES[type(algorithm)]


def default_separator(storage: str) -> str:
    """The separator of a tag field that gives none; JSON documents have none, and a text is one tag."""
    return defaults.JSON_TAG_SEPARATOR if storage == "json" else defaults.TAG_SEPARATOR


def build_spec(mapping: Mapping[str, Any], *, locate: Locate = nowhere) -> IndexSpec:
    """The spec that a mapping describes; the mapping must have passed `check_mapping`.

    `locate` gives the place of a key in the file that the mapping was read from.
    """
    name, key = mapping["name"], mapping["key"]
    given = dict(mapping["index"])
    prefix = given.pop("prefix")
    if "aliases" in given and given["aliases"] is None:
        given["ask_aliases"] = True
    for option in ("stopwords", "aliases"):
        if given.get(option) is not None:
            given[option] = tuple(given[option])
    prefixes = (prefix,) if isinstance(prefix, str) else tuple(prefix)
    index = IndexOptions(prefixes=prefixes, **_numbers(given))
    holder = metadata_holder(mapping["fields"])
    fields = tuple(
        _build_field(field_name, field, index.storage, holder, locate(("fields", field_name)))
        for field_name, field in mapping["fields"].items()
    )
    primary = primary_vector(mapping["fields"])
    return IndexSpec(
        name=name,
        key=key,
        index=index,
        fields=fields,
        helpers=resolve_helpers(name, key, primary, mapping.get("helpers", {})),
        description=mapping.get("description", ""),
        renamed_from=mapping.get("renamed_from"),
        location=locate(()),
        places=dict(_places(mapping, locate)),
    )


def _places(mapping: Mapping[str, Any], locate: Locate) -> Iterator[tuple[tuple[str, ...], Location]]:
    """Where each value is that a change can be about: options of the index, of fields, of helpers."""
    paths: list[tuple[str, ...]] = [(key,) for key in mapping]
    paths += [
        (section, key) for section in ("index", "fields", "helpers") for key in mapping.get(section, {})
    ]
    paths += [("fields", name, key) for name, field in mapping["fields"].items() for key in field]
    for path in paths:
        found = locate(path)
        if found is not None:
            yield path, found


def _build_field(
    name: str, mapping: Mapping[str, Any], storage: str, holder: str | None, location: Location | None
) -> Field:
    given = _numbers(mapping)
    kind = given.pop("type")
    for key in ("path", "attribute"):
        given.pop(key, None)
    common: dict[str, Any] = {
        "name": name,
        "path": path_of(name, mapping, storage),
        "attribute": attribute_of(name, mapping),
        "source": given.pop("from", default_source(name, kind, holder)),
        "default_from_key": given.pop("default_from", None) == "key",
        "indexed": given.pop("index", kind != "json"),
        "renamed_from": given.pop("renamed_from", None),
        "location": location,
    }
    if kind == "tag":
        given.setdefault("separator", default_separator(storage))
    if kind == "vector":
        cls = ALGORITHM_CLASSES[given.pop("algorithm", defaults.ALGORITHM)]
        parameters = {
            item.name: given.pop(item.name) for item in dataclasses.fields(cls) if item.name in given
        }
        common["algorithm"] = cls(**parameters)
    return FIELD_CLASSES[kind](**common, **given)


def _numbers(mapping: Mapping[str, Any]) -> dict[str, Any]:
    return {key: float(value) if key in _FLOATS else value for key, value in mapping.items()}


def spec_to_mapping(spec: IndexSpec) -> dict[str, Any]:
    """The canonical mapping of a spec: plain values, fixed order, without what is the default anyway.

    `spec_from_mapping(spec_to_mapping(spec)) == spec` holds for every spec.
    """
    index: dict[str, Any] = {"name": spec.index.name}
    prefixes = spec.index.prefixes
    index["prefix"] = prefixes[0] if len(prefixes) == 1 else list(prefixes)
    index.update(_options(spec.index, skip={"name", "ask_aliases"}))
    if spec.index.ask_aliases and spec.index.aliases is None:
        index["aliases"] = None
    holder = spec.metadata_field.name if spec.metadata_field is not None else None
    first_json = next((field.name for field in spec.fields if isinstance(field, JsonField)), None)
    fields: dict[str, Any] = {}
    for field in spec.fields:
        kind = field_type(field)
        body: dict[str, Any] = {"type": kind}
        # Left out is only what an absent `from` gives back: see `metadata_holder`.
        usual = default_source(field.name, kind, first_json if kind == "json" else holder)
        if field.source != usual:
            body["from"] = field.source
        if field.default_from_key:
            body["default_from"] = "key"
        if field.attribute != field.name:
            body["attribute"] = field.attribute
        if field.path != default_path(field.attribute, spec.index.storage):
            body["path"] = field.path
        if field.renamed_from is not None:
            body["renamed_from"] = field.renamed_from
        if not field.indexed and kind != "json":
            body["index"] = False
        body.update(_options(field))
        if isinstance(field, TagField):
            body.pop("separator", None)
            if field.separator != default_separator(spec.index.storage):
                body["separator"] = field.separator
        if isinstance(field, VectorField):
            body["algorithm"] = algorithm_name(field.algorithm)
            body.update(_options(field.algorithm))
        fields[field.name] = body
    mapping: dict[str, Any] = {"version": VERSION, "name": spec.name}
    if spec.renamed_from is not None:
        mapping["renamed_from"] = spec.renamed_from
    if spec.description:
        mapping["description"] = spec.description
    mapping.update(index=index, key=spec.key, fields=fields)
    helpers = helpers_to_mapping(spec)
    if helpers:
        mapping["helpers"] = helpers
    return mapping


def _options(
    value: Field | Algorithm | IndexOptions, skip: frozenset[str] | set[str] = frozenset()
) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for item in dataclasses.fields(value):
        if item.name in _SPECIAL or item.name in skip:
            continue
        found = getattr(value, item.name)
        if item.name in _ALWAYS or found != item.default:
            options[item.name] = list(found) if isinstance(found, tuple) else found
    return options


def check_mapping(
    mapping: Any, findings: Findings, raw: Mapping[KeyPath, str], *, names: bool = True
) -> dict[str, Any]:
    """Note everything that is wrong with one spec, and return the parts of it that fit the schema.

    `mapping` is made of plain values (see `check.plain`); `raw` has its scalars as written in YAML. Without
    `names`, nothing is said of names that would clash in generated code.
    """
    check_schema(mapping, findings, raw)
    sound = prune(mapping if isinstance(mapping, dict) else {}, findings)
    check_rules(sound, findings, names=names)
    return sound


def spec_from_mapping(mapping: Mapping[str, Any], *, names: bool = True) -> IndexSpec:
    """The spec that a mapping describes, such as a migration gives; `version` may be left out.

    Migrations leave the helpers out, and with them what would keep names in generated code apart: without
    `names` such clashes are no problem.

    Raises:
        SpecError: The mapping is no spec; each problem names the path of the value, such as
            `fields.embedding.dims`.
    """
    findings = Findings("", nowhere, nowhere)
    given = plain(mapping, findings)
    if isinstance(given, dict):
        given = {"version": VERSION, **given}
    check_mapping(given, findings, {}, names=names)
    if findings.failed:
        raise SpecError([problem for problem in findings.problems if problem.severity == "error"])
    return build_spec(given)
