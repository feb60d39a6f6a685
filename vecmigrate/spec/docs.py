"""docs/specs.md, made from schema.json: `python -m vecmigrate.spec.docs > docs/specs.md`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final

from vecmigrate.spec.check import bounds, load_schema
from vecmigrate.spec.problems import CODES, WARNINGS

_Schema = Mapping[str, Any]

_INTRODUCTION: Final = """\
# Specs

<!-- Made from vecmigrate/spec/schema.json by `python -m vecmigrate.spec.docs`; edit that file instead. -->

A spec is a YAML file that describes one vector index. Each has a file of its own, and all files of the
folder that the configuration names are read together.

```yaml
# yaml-language-server: $schema=../vecmigrate/spec/schema.json
version: 1
name: skill
description: One embedding per skill, for the skill classifier.
index:
  name: idx:skill_emb
  prefix: "skill_emb:"
key: skill_id
fields:
  skill_id:    {type: tag, from: key}
  name:        {type: text, default_from: key}
  description: {type: text, default: ""}
  meta_json:   {type: json}
  embedding:   {type: vector, dims: 384, metric: cosine, algorithm: hnsw, m: 16}
```

The first line lets editors complete and check the file. `vecmigrate validate` reports everything that is
wrong in all files at once, each as `file:line:column: what is wrong (expected …); hint`. Keys in **bold**
are needed. Where a key is absent, RediSearch's own default holds.
"""

_SECTIONS: Final = (
    ("index", "index"),
    ("text fields", "text"),
    ("tag fields", "tag"),
    ("numeric fields", "numeric"),
    ("geo fields", "geo"),
    ("geoshape fields", "geoshape"),
    ("json fields", "json"),
    ("vector fields: flat", "vector_flat"),
    ("vector fields: hnsw", "vector_hnsw"),
    ("vector fields: svs_vamana", "vector_svs_vamana"),
    ("helpers", "helpers"),
)

_FIELDS: Final = """\
## fields

{description} A name is {name}. The keys of a field depend on its `type`: {types}.

A value that is missing (not given, or None) and has no default is not stored, and the document lacks the
field. For `default_from: key` an empty text counts as missing too.
"""

_YAML: Final = """\
## What YAML does to values

PyYAML reads YAML 1.1: `no`, `off`, `yes` and `on` are booleans, `010` and `1:30` are the numbers 8 and 90,
and `1e3` is text. Where that matters, the message says so and what to write. Aliases and merge keys (`<<`)
work; a file may not hold more than one document, be larger than 512 KiB, or grow beyond 30,000 values by its
aliases. Tags such as `!!python/object` are refused.
"""


def render_reference(schema: _Schema) -> str:
    """The reference of the spec format, as Markdown."""
    types = schema["$defs"]["field"]["properties"]["type"]["enum"]
    fields = _FIELDS.format(
        description=schema["properties"]["fields"]["description"],
        name=schema["$defs"]["field_name"]["x-expected"],
        types=", ".join(f"`{name}`" for name in types),
    )
    parts = [_INTRODUCTION, "## The spec\n\n" + _table(schema, schema)]
    for title, name in _SECTIONS:
        if name == "text":
            parts.append(fields)
        section = schema["$defs"][name]
        level = "##" if name in {"index", "helpers"} else "###"
        parts.append(f"{level} {title}\n\n{section['description']}\n\n{_table(section, schema)}")
    parts += [_YAML, _codes()]
    return "\n".join(parts)


def _table(section: _Schema, schema: _Schema) -> str:
    lines = ["| key | value | default | meaning |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {key} | {_cell(_values(item))} | {_default(item)} | {_cell(item.get('description', ''))} |"
        for key, item in _rows(section, schema)
    ]
    return "\n".join(lines) + "\n"


def _rows(section: _Schema, schema: _Schema) -> Iterator[tuple[str, _Schema]]:
    for key, item in section["properties"].items():
        resolved = _resolve(item, schema)
        yield (f"**{key}**" if key in section.get("required", ()) else key), resolved
        # Sections of their own have tables of their own; helpers are small enough to be listed here.
        if section is schema["$defs"]["helpers"]:
            yield from ((f"{key}.{name}", inner) for name, inner in resolved.get("properties", {}).items())


def _resolve(item: _Schema, schema: _Schema) -> _Schema:
    while "$ref" in item:
        item = schema["$defs"][item["$ref"].rpartition("/")[2]]
    return item


def _values(item: _Schema) -> str:
    if "const" in item:
        return f"`{json.dumps(item['const']).strip(chr(34))}`"
    if "enum" in item:
        return ", ".join(f"`{value}`" for value in item["enum"])
    if "x-expected" in item:
        return str(item["x-expected"])
    kind = item["type"]
    if kind in ("integer", "number"):
        name = "whole number" if kind == "integer" else "number"
        return f"{name}, {bounds(item)}" if "minimum" in item or "exclusiveMinimum" in item else name
    names = {
        "string": "text",
        "boolean": "`true`, `false`",
        "array": "list of texts",
        "object": "mapping",
        "null": "`null`",
    }
    return " or ".join(names[name] for name in ([kind] if isinstance(kind, str) else kind))


def _default(item: _Schema) -> str:
    return f"`{json.dumps(item['default'])}`" if "default" in item else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _codes() -> str:
    lines = [
        "## Codes of findings",
        "",
        "The codes are stable.",
        "",
        "| code | | meaning |",
        "| --- | --- | --- |",
    ]
    lines += [
        f"| `{code}` | {'warning' if code in WARNINGS else 'error'} | {_cell(meaning)} |"
        for code, meaning in CODES.items()
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(render_reference(load_schema()))
