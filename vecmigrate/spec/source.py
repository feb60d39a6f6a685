"""YAML text to plain values, with the place of every key and value.

PyYAML's node graph is read directly: nothing is ever constructed from a tag, and what the graph shows is
also what messages point at. Values are those of a mapping literal in Python: dict, list, str, int, float,
bool, None.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import yaml
from yaml.constructor import ConstructorError, SafeConstructor
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.reader import ReaderError

from vecmigrate.files import read_file
from vecmigrate.spec.model import Location
from vecmigrate.spec.problems import Findings, KeyPath

MAX_BYTES: Final = 524_288
MAX_DEPTH: Final = 20
# After aliases are resolved. The largest useful spec, 1024 fields with every option, stays below.
MAX_VALUES: Final = 30_000
# Letters of a number. Every number that a spec can need is far shorter.
MAX_DIGITS: Final = 100

T = TypeVar("T")

_TAG: Final = "tag:yaml.org,2002:"
_MERGE: Final = f"{_TAG}merge"
_OCTAL: Final = re.compile(r"[-+]?0[0-7_]+")
_SEXAGESIMAL: Final = re.compile(r"[-+]?[0-9_]+(:[0-5]?[0-9])+(\.[0-9_]*)?")


class _TooDeepError(Exception):
    """Values are nested deeper than MAX_DEPTH; `mark` says where."""

    def __init__(self, mark: yaml.Mark | None) -> None:
        super().__init__()
        self.mark = mark


class _TooManyError(Exception):
    """More than MAX_VALUES values; the file is not read further."""


class _Loader(yaml.SafeLoader):
    """SafeLoader that stops at MAX_DEPTH, before Python's own limit on recursion."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.depth = 0
        self.nodes = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        """The next node, as SafeLoader composes it."""
        self.depth += 1
        self.nodes += 1
        if self.depth > MAX_DEPTH:
            raise _TooDeepError(_next_mark(self))
        if self.nodes > MAX_VALUES:
            raise _TooManyError
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


def _next_mark(loader: _Loader) -> yaml.Mark | None:
    mark: yaml.Mark | None = loader.peek_event().start_mark  # type: ignore[no-untyped-call]  # the stubs lack it
    return mark


@dataclass(slots=True)
class Source:
    """One file: its plain value (None where it has none), and where in the text each part stands."""

    file: str
    value: Any = None
    values: dict[KeyPath, tuple[int, int]] = field(default_factory=dict)
    keys: dict[KeyPath, tuple[int, int]] = field(default_factory=dict)
    # The text of scalars as written, for messages about what YAML made of them.
    raw: dict[KeyPath, str] = field(default_factory=dict)

    def locate(self, path: KeyPath) -> Location:
        """The place of the value at `path`, or of the nearest value around it."""
        while path and path not in self.values:
            path = path[:-1]
        line, column = self.values.get(path, (1, 1))
        return Location(self.file, line, column)

    def locate_key(self, path: KeyPath) -> Location:
        """The place of the key at `path`; of the value where it has no key of its own."""
        if path not in self.keys:
            return self.locate(path)
        return Location(self.file, *self.keys[path])


def read_source(path: Path, file: str) -> tuple[Source, Findings]:
    """The content of a file, which messages call `file`; every problem goes to the findings."""
    source = Source(file)
    findings = Findings(file, source.locate, source.locate_key)
    try:
        data = read_file(path, MAX_BYTES + 1)
    except OSError as error:
        findings.add("unreadable-file", (), f"cannot be read: {error.strerror or error}")
        return source, findings
    if len(data) > MAX_BYTES:
        findings.add("too-large", (), "the file is larger than 512 KiB", f"at most {MAX_BYTES} bytes")
        return source, findings
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        source.values[()] = _position(data, error.start)
        findings.add(
            "not-utf8",
            (),
            f"byte 0x{data[error.start]:02x} is not UTF-8",
            "UTF-8 text",
            "save the file as UTF-8",
        )
        return source, findings
    read_text(text, source, findings)
    return source, findings


def read_text(text: str, source: Source, findings: Findings) -> None:
    """Parse `text` into `source`."""
    try:
        node = _compose(text, source, findings)
        if node is not None:
            source.value = _Reader(source, findings).read(node, ())
    except _TooDeepError as error:
        source.values[()] = _mark(error.mark)
        findings.add("too-deep", (), "values are nested too deeply", f"at most {MAX_DEPTH} levels")
    except _TooManyError:
        hint = "use fewer aliases" if "*" in text else None
        findings.add("too-many-values", (), "the file holds too many values", f"at most {MAX_VALUES}", hint)
    except ReaderError as error:
        before = text[: error.position]
        source.values[()] = (before.count("\n") + 1, len(before) - before.rfind("\n"))
        findings.add(
            "yaml-syntax", (), f"the character U+{ord(text[error.position]):04X} is not allowed in YAML"
        )
    except yaml.MarkedYAMLError as error:
        _syntax_error(error, source, findings)


def _compose(text: str, source: Source, findings: Findings) -> Node | None:
    loader = _Loader(text)
    try:
        if not loader.check_node():
            findings.add("empty-file", (), "the file is empty", "one YAML mapping with the keys of a spec")
            return None
        node = loader.get_node()
        if loader.check_node():
            source.values[()] = _mark(_next_mark(loader))
            findings.add(
                "several-documents",
                (),
                "a second YAML document begins here",
                "one spec in one file",
                "split the file",
            )
            return None
        return node
    finally:
        loader.dispose()


def _syntax_error(error: yaml.MarkedYAMLError, source: Source, findings: Findings) -> None:
    mark = error.problem_mark or error.context_mark
    source.values[()] = _mark(mark)
    problem = (error.problem or error.context or "cannot be read").replace("\n", " ")
    if "'\\t'" in problem:
        findings.add("tab", (), "a tab stands here", "spaces", "YAML allows no tabs for indentation")
        return
    # The context says what was being read, for which the problem alone is often too terse.
    context = f"{error.context.strip()}: " if error.context and error.context is not problem else ""
    hint = None
    if "undefined alias" in problem:
        hint = "quote a text that begins with *"
    elif "mapping values are not allowed" in problem:
        hint = 'quote a text that holds ": "'
    findings.add("yaml-syntax", (), f"not YAML: {context}{problem}", None, hint)


class _Reader:
    """Nodes to plain values."""

    def __init__(self, source: Source, findings: Findings) -> None:
        self._source = source
        self._findings = findings
        self._constructor = SafeConstructor()
        self._left = MAX_VALUES
        self._open: set[int] = set()

    def read(self, node: Node, path: KeyPath) -> Any:
        self._left -= 1
        if self._left < 0:
            raise _TooManyError
        self._source.values[path] = _mark(node.start_mark)
        if isinstance(node, ScalarNode):
            return self._scalar(node, path)
        if id(node) in self._open:
            self._findings.add("recursive-alias", path, "the alias refers to a value that contains it")
            return None
        self._open.add(id(node))
        try:
            if isinstance(node, MappingNode) and self._has_tag(node, path, "map"):
                return self._mapping(node, path)
            if isinstance(node, SequenceNode) and self._has_tag(node, path, "seq"):
                return [self.read(item, (*path, number)) for number, item in enumerate(node.value)]
            return None
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: MappingNode, path: KeyPath) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: list[Node] = []
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                merged.append(value_node)
                continue
            key = self._key(key_node, path)
            if key is None:
                continue
            if key in found:
                self._duplicate(key, key_node, (*path, key))
                continue
            self._source.keys[*path, key] = _mark(key_node.start_mark)
            found[key] = self.read(value_node, (*path, key))
        for value_node in merged:
            self._merge(value_node, path, found)
        return found

    def _duplicate(self, key: str, node: Node, path: KeyPath) -> None:
        first = self._source.keys[path]
        # Point at the second one, and put the place of the first back.
        self._source.keys[path] = _mark(node.start_mark)
        message = f"the key `{key}` is given twice"
        self._findings.add(
            "duplicate-key", path, message, "once", f"the first is in line {first[0]}", at_key=True
        )
        self._source.keys[path] = first

    def _merge(self, node: Node, path: KeyPath, found: dict[str, Any]) -> None:
        mappings = node.value if isinstance(node, SequenceNode) else [node]
        own = self._source.values[path]
        for item in mappings:
            if not isinstance(item, MappingNode):
                self._source.values[path] = _mark(item.start_mark)
                self._findings.add(
                    "bad-merge", path, "`<<` is not given a mapping", "a mapping or a list of them"
                )
                continue
            # Read for itself, so that its duplicates and aliases are judged like any other mapping's; then
            # what is taken from it, and where that stands, is entered beside the rest.
            source = self._source
            values, keys, raw = source.values, source.keys, source.raw
            source.values, source.keys, source.raw = {}, {}, {}
            merged = self.read(item, path)
            taken = merged.keys() - found.keys()
            depth = len(path)
            values.update(_taken(source.values, taken, depth))
            keys.update(_taken(source.keys, taken, depth))
            raw.update(_taken(source.raw, taken, depth))
            source.values, source.keys, source.raw = values, keys, raw
            found.update((key, value) for key, value in merged.items() if key in taken)
        self._source.values[path] = own

    def _key(self, node: Node, path: KeyPath) -> str | None:
        if isinstance(node, ScalarNode) and node.tag == f"{_TAG}str":
            return str(node.value)
        self._source.keys[*path, "?"] = _mark(node.start_mark)
        what = f"the key `{node.value}`" if isinstance(node, ScalarNode) else "a key"
        hint = f'quote it: "{node.value}"' if isinstance(node, ScalarNode) else None
        self._findings.add("wrong-type", (*path, "?"), f"{what} is {_kind(node)}", "text", hint, at_key=True)
        return None

    def _scalar(self, node: ScalarNode, path: KeyPath) -> Any:
        self._source.raw[path] = node.value
        kind = node.tag.removeprefix(_TAG)
        plain = node.style is None
        if kind in {"str", "value", "merge"} or (kind == "timestamp" and plain):
            return node.value
        if kind == "null":
            return None
        if kind not in {"bool", "int", "float"}:
            self._has_tag(node, path, "str")
            return None
        if plain and kind != "bool" and (_SEXAGESIMAL.fullmatch(node.value) or _OCTAL.fullmatch(node.value)):
            return self._surprise(node, path, kind)
        return self._construct(node, path, kind)

    def _construct(self, node: ScalarNode, path: KeyPath, kind: str) -> Any:
        try:
            if len(node.value) > MAX_DIGITS:
                raise ValueError
            if kind == "bool":
                return self._constructor.construct_yaml_bool(node)
            if kind == "int":
                return self._constructor.construct_yaml_int(node)
            return self._constructor.construct_yaml_float(node)
        except (ValueError, KeyError, IndexError, ConstructorError):
            names = {"bool": "a boolean", "int": "an integer", "float": "a number"}
            self._findings.add("wrong-type", path, f"{_shown(node.value)} cannot be read as {names[kind]}")
            return None

    def _surprise(self, node: ScalarNode, path: KeyPath, kind: str) -> Any:
        value = self._construct(node, path, kind)
        if value is None:
            return None
        base = "sexagesimal" if ":" in node.value else "octal"
        self._findings.add(
            "yaml-surprise",
            path,
            f"YAML reads `{node.value}` as the {base} number {value}",
            "a decimal number or a quoted text",
            f'write {value} or "{node.value}"',
        )
        return value

    def _has_tag(self, node: Node, path: KeyPath, kind: str) -> bool:
        if node.tag == f"{_TAG}{kind}":
            return True
        tag = node.tag.replace(_TAG, "!!")
        self._findings.add(
            "unknown-tag", path, f"the tag `{tag}` is not allowed", "plain values", "remove the tag"
        )
        return False


def _taken(places: Mapping[KeyPath, T], taken: Set[str], depth: int) -> Iterator[tuple[KeyPath, T]]:
    """Those of `places` that are at or below a key in `taken`, `depth` keys from the top."""
    return ((path, place) for path, place in places.items() if len(path) > depth and path[depth] in taken)


def _kind(node: Node) -> str:
    kind = node.tag.removeprefix(_TAG)
    names = {
        "bool": "a boolean in YAML",
        "int": "a number in YAML",
        "float": "a number in YAML",
        "null": "null in YAML",
        "timestamp": "a date in YAML",
    }
    if isinstance(node, MappingNode):
        return "a mapping"
    if isinstance(node, SequenceNode):
        return "a list"
    return names.get(kind, "not text in YAML")


def _shown(text: str, limit: int = 40) -> str:
    return f"`{text}`" if len(text) <= limit else f"`{text[:limit]}…`"


def _mark(mark: yaml.Mark | None) -> tuple[int, int]:
    return (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)


def _position(data: bytes, offset: int) -> tuple[int, int]:
    before = data[:offset]
    return before.count(b"\n") + 1, len(before) - before.rfind(b"\n")
