"""The way in for systems that exist: specs from live indexes and from schemas of RedisVL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vecmigrate.config import Config
from vecmigrate.errors import CodegenError, ConfigError, Problem, SpecError
from vecmigrate.revisions.scripts import display_path
from vecmigrate.revisions.template import write_new
from vecmigrate.search import documents, from_info, reply
from vecmigrate.search.introspect import Difference, differences
from vecmigrate.search.reply import Info
from vecmigrate.spec import redisvl
from vecmigrate.spec.build import spec_from_mapping, spec_to_mapping
from vecmigrate.spec.load import check_specs, spec_files
from vecmigrate.spec.model import IndexSpec
from vecmigrate.spec.source import read_source
from vecmigrate.spec.write import Proposal, spec_text

if TYPE_CHECKING:
    from vecmigrate.commands.database import Session

SAMPLE = 100
STDOUT = Path("-")
_UNKNOWN_ALIASES = (
    "FT.INFO does not list aliases: name all that lead to this index (`aliases`, [] for none) before the "
    "first rebuild, because an adopted plain index takes its aliases along when it is dropped"
)


@dataclass(frozen=True, slots=True)
class SpecFileResult:
    """A spec that was made from something else.

    Args:
        path: The file that was written; None where only the text was wanted.
        spec: Its name.
        text: What stands in the file.
        notes: Where the spec differs from what it was made from, and what is remarkable in the documents.
        unseen: What could not be seen, and what the spec says of it.
        differences: What the index has otherwise than the spec; empty unless a note says why.
        problems: What is wrong with the file beside the specs that were there.
    """

    path: Path | None
    spec: str
    text: str
    notes: tuple[str, ...]
    unseen: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the spec fits together with the others; warnings do not count."""
        return all(problem.severity != "error" for problem in self.problems)

    def to_dict(self) -> dict[str, Any]:
        """As JSON shows it."""
        found = asdict(self)
        return found | {"path": None if self.path is None else str(self.path)}


def introspect(
    session: Session,
    index: str,
    *,
    name: str | None = None,
    key: str | None = None,
    output: Path | None = None,
    sample: int = SAMPLE,
    aliases: Sequence[str] | None = None,
) -> SpecFileResult:
    """Write a spec of the live index `index`, which may be an alias.

    Args:
        session: The server.
        index: What applications query.
        name: The spec's name; made from `index` where not given.
        key: The parameter that completes the prefix; `<name>_id` where not given.
        output: The file to write; `<specs>/<name>.yaml` where not given, `-` for none.
        sample: How many documents to look at for what the index does not know.
        aliases: The other names that lead to the index, all of them; None where that is not known. A server
            that lists aliases (8.10) is asked.

    Raises:
        ConfigError: There is no such index, or one of the aliases does not lead to it.
        SpecError: It cannot be said in a spec; nothing was written.
        RevisionError: The file exists; nothing was written.
    """
    from vecmigrate.runtime.live import all_indexes, document_keys, sample_documents
    from vecmigrate.runtime.search_server import alias_list, index_info

    info = index_info(session.client, index)
    if info is None:
        known = ", ".join(sorted(all_indexes(session.client))) or "none"
        raise ConfigError(f"there is no index {index!r} on this server", hint=f"there are: {known}")
    physical = reply.index_name(info)
    for alias in aliases or ():
        _require_alias(alias, physical, index_info(session.client, alias))
    listed = alias_list(session.client, physical)
    if aliases is not None and listed is not None and (unknown := set(listed) - {*aliases, index}):
        raise ConfigError(
            f"{', '.join(sorted(unknown))} leads to index {physical!r} too (expected in the list of aliases)",
            hint="give an --alias for each, or none at all: this server lists them",
        )
    known_aliases = aliases if listed is None else listed
    keys = document_keys(session.client, info, sample)
    proposal = from_info.propose(info, index=index, name=name, key=key, aliases=known_aliases, keys=keys)
    spec = spec_from_mapping(proposal.mapping)
    failures = int(info.get("hash_indexing_failures", 0))
    notes = list(proposal.notes)
    if known_aliases is None:
        notes.append(_UNKNOWN_ALIASES)
    if failures:
        notes.append(f"the server could not index {failures} documents; they are missing from every answer")
    notes += documents.observe(spec, sample_documents(session.client, spec, sample))
    unseen = (*proposal.unseen, *from_info.unseen(spec))
    comments = [f"Made from the index {index} by `vecmigrate introspect`."]
    if notes:
        comments += ["To look at:", *(f"- {note}" for note in notes)]
    comments += ["FT.INFO does not show, so make sure of it:", *(f"- {text}" for text in unseen)]
    return _written(
        session.config,
        spec,
        comments,
        output,
        notes=tuple(notes),
        unseen=unseen,
        found=differences(spec, info),
    )


def import_redisvl(
    config: Config,
    schema: Path,
    *,
    name: str | None = None,
    key: str | None = None,
    output: Path | None = None,
    index_prefix: bool = False,
) -> SpecFileResult:
    """Write a spec of the index that RedisVL makes of a schema; the arguments are those of `introspect`.

    Args:
        config: Says where the specs are.
        schema: RedisVL's YAML file.
        name: As for introspect.
        key: As for introspect.
        output: As for introspect.
        index_prefix: Say the prefix of RedisVL's index, not the one that its documents are under.

    Raises:
        SpecError: The schema cannot be read or said in a spec; nothing was written.
        RevisionError: The file exists; nothing was written.
    """
    source, findings = read_source(schema, display_path(schema))
    proposal: Proposal | None = None
    if not findings.failed:
        proposal = redisvl.propose(source.value, findings, name=name, key=key, index_prefix=index_prefix)
    if proposal is None:
        raise SpecError(findings.problems)
    spec = spec_from_mapping(proposal.mapping)
    comments = [f"Made from the RedisVL schema {schema.name} by `vecmigrate import-redisvl`."]
    if proposal.notes:
        comments += ["To look at:", *(f"- {note}" for note in proposal.notes)]
    return _written(config, spec, comments, output, notes=proposal.notes)


def _written(
    config: Config,
    spec: IndexSpec,
    comments: list[str],
    output: Path | None,
    *,
    notes: tuple[str, ...],
    unseen: tuple[str, ...] = (),
    found: tuple[Difference, ...] = (),
) -> SpecFileResult:
    text = spec_text(spec_to_mapping(spec), comments)
    if output == STDOUT:
        return SpecFileResult(None, spec.name, text, notes, unseen, found)
    path = output or config.specs / f"{spec.name}.yaml"
    write_new(path, text)
    alone = check_specs([path])
    if alone.errors or alone.specs != (spec,):
        told = "; ".join(map(str, alone.errors)) or "it reads back as something else"
        raise CodegenError(f"the spec written to {display_path(path)} is not what was meant ({told})")
    return SpecFileResult(path, spec.name, text, notes, unseen, found, _beside(config, path))


def _require_alias(alias: str, physical: str, info: Info | None) -> None:
    """Raise ConfigError unless `alias`, of which `info` is FT.INFO, is an alias of the index `physical`."""
    if alias == physical:
        raise ConfigError(
            f"{alias!r} is the index itself (expected an alias of it)",
            hint=f"`vecmigrate introspect {alias}` makes it the index.name of the spec",
        )
    if info is None:
        raise ConfigError(f"there is no alias {alias!r} on this server (expected one of {physical!r})")
    if reply.index_name(info) != physical:
        raise ConfigError(f"{alias!r} leads to index {reply.index_name(info)!r} (expected to {physical!r})")


def _beside(config: Config, path: Path) -> tuple[Problem, ...]:
    """What is wrong with the specs of the project, and was not before there was the file `path`."""
    folder = Path(display_path(config.specs))
    others = [file for file in spec_files([folder]) if folder.is_dir() and file.resolve() != path.resolve()]
    before = set(check_specs(others).problems) if others else set()
    after = check_specs([*others, Path(display_path(path))]).problems
    return tuple(problem for problem in after if problem not in before)
