"""Rules across specs: they share one Redis and one generated package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vecmigrate.spec.clashes import functions
from vecmigrate.spec.naming import class_names
from vecmigrate.spec.problems import Findings, KeyPath
from vecmigrate.spec.sharing import apart


@dataclass(frozen=True, slots=True)
class Claims:
    """What one spec takes for itself, as far as it is sound: each value and where the spec says it."""

    findings: Findings
    names: dict[str, KeyPath] = field(default_factory=dict)
    former: dict[str, KeyPath] = field(default_factory=dict)
    indexes: dict[str, KeyPath] = field(default_factory=dict)
    prefixes: dict[str, KeyPath] = field(default_factory=dict)
    functions: dict[str, KeyPath] = field(default_factory=dict)
    classes: dict[str, KeyPath] = field(default_factory=dict)
    mapping: Mapping[str, Any] = field(default_factory=lambda: {"index": {}, "fields": {}})

    @property
    def stores_apart(self) -> bool:
        """Whether the spec says another prefix for storing than that of its index."""
        return "store_prefix" in self.mapping["index"]


def claims_of(mapping: Mapping[str, Any], findings: Findings) -> Claims:
    """The claims of a spec, of which `mapping` has the sound parts (see `rules.prune`)."""
    claims = Claims(findings, mapping=mapping)
    if "name" in mapping:
        claims.names[mapping["name"]] = ("name",)
        claims.classes.update((name, ("name",)) for name in class_names(mapping["name"]))
    if "renamed_from" in mapping:
        claims.former[mapping["renamed_from"]] = ("renamed_from",)
    if "name" in mapping["index"]:
        claims.indexes[mapping["index"]["name"]] = ("index", "name")
    for number, alias in enumerate(mapping["index"].get("aliases") or ()):
        claims.indexes.setdefault(alias, ("index", "aliases", number))
    prefix = mapping["index"].get("prefix", [])
    if isinstance(prefix, str):
        claims.prefixes[prefix] = ("index", "prefix")
    else:
        claims.prefixes.update((text, ("index", "prefix", number)) for number, text in enumerate(prefix))
    claims.functions.update(functions(mapping, findings).values())
    return claims


def check_together(specs: Sequence[Claims]) -> None:
    """Note, at the later one of two specs, what both claim; and prefixes that match too much.

    One prefix for two specs is two indexes over the same documents, where each reads what the other stores.
    """
    for kind, code, claimed in (
        ("name", "duplicate-name", [spec.names for spec in specs]),
        ("index name", "duplicate-index", [spec.indexes for spec in specs]),
        ("function name", "name-collision", [spec.functions for spec in specs]),
        ("class name", "name-collision", [spec.classes for spec in specs]),
    ):
        _check_unique(kind, code, specs, claimed)
    for number, spec in enumerate(specs):
        _check_shared(spec, specs[:number])
    _check_former([spec for spec in specs if spec.former], specs)
    for spec in specs:
        others = [other for other in specs if other is not spec]
        for prefix, path in spec.prefixes.items():
            _check_prefix(prefix, path, spec, others)


def _check_unique(
    kind: str, code: str, specs: Sequence[Claims], claimed: Sequence[dict[str, KeyPath]]
) -> None:
    owners: dict[str, tuple[Claims, str]] = {}
    for spec, values in zip(specs, claimed, strict=True):
        for value, path in values.items():
            owner, place = owners.setdefault(value, (spec, spec.findings.place(path)))
            # Of two specs with one name, the functions and classes collide too: that says nothing new.
            if owner is spec or (code == "name-collision" and owner.names.keys() == spec.names.keys()):
                continue
            message = f"the {kind} `{value}` is already taken in {place}"
            spec.findings.add(code, path, message, "a different one in each spec")


def _check_shared(spec: Claims, before: Sequence[Claims]) -> None:
    for other in before:
        for prefix in spec.prefixes.keys() & other.prefixes.keys():
            path, place = spec.prefixes[prefix], other.findings.place(other.prefixes[prefix])
            why = apart(other.mapping, spec.mapping)
            if why is not None:
                message = f"the prefix `{prefix}` is already taken in {place}: {why}"
                spec.findings.add("duplicate-prefix", path, message, "a different one in each spec")
                continue
            message = f"the prefix `{prefix}` is also in {place}, so both indexes hold the same documents"
            hint = "what helpers of one delete is gone from both"
            spec.findings.add(
                "prefix-shared", path, message, "a different one, where that is not meant", hint
            )


def _check_former(renamed: Sequence[Claims], specs: Sequence[Claims]) -> None:
    claimed: dict[str, str] = {}
    for spec in renamed:
        for name, path in spec.former.items():
            holder = next((other for other in specs if other is not spec and name in other.names), None)
            taken = holder.findings.place(holder.names[name]) if holder is not None else claimed.get(name)
            if taken is not None:
                message = f"the spec was called `{name}`, and that name belongs to {taken}"
                spec.findings.add("bad-rename", path, message, "a name that no other spec has or had")
            claimed.setdefault(name, spec.findings.place(path))


def _check_prefix(prefix: str, path: KeyPath, spec: Claims, others: Sequence[Claims]) -> None:
    swallows = False
    for other in others:
        for longer, place in other.prefixes.items():
            if longer != prefix and longer.startswith(prefix):
                swallows = True
                if spec.stores_apart:
                    continue  # an index as somebody made it; helpers keep to what lies under `store_prefix`
                where = other.findings.place(place)
                message = f"the prefix `{prefix}` also matches the keys of `{longer}` in {where}"
                spec.findings.add(
                    "prefix-overlap", path, message, "prefixes of which none begins another", _ending(prefix)
                )
    # Where the spec says another prefix for storing, the open end is known and meant.
    if not swallows and prefix[-1:].isalnum() and not spec.stores_apart:
        message = f"the prefix `{prefix}` has no separator at its end"
        hint = f"as it stands it also matches keys such as `{prefix}_other:1`"
        spec.findings.add("prefix-open", path, message, f"for example `{prefix}:`", hint)


def _ending(prefix: str) -> str | None:
    return f"end it with a separator: `{prefix}:`" if prefix[-1:].isalnum() else None
