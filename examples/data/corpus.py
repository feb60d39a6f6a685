"""The demo's texts as values, and the embeddings that were made of them.

`load_corpus` reads the YAML files of this folder; `load_embeddings` reads `embeddings.npz`, which
`make_embeddings` writes. The .npz carries a digest of the texts, so embeddings of other texts than these
are refused instead of silently giving odd answers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import yaml

FOLDER = Path(__file__).resolve().parent
EMBEDDINGS = FOLDER / "embeddings.npz"
DIMS = 384

Vector: TypeAlias = npt.NDArray[np.float32]
Vectors: TypeAlias = Mapping[str, Vector]


@dataclass(frozen=True, slots=True)
class Tool:
    """Something that the assistant can do."""

    name: str
    category: str
    description: str

    @property
    def text(self) -> str:
        """What is embedded: a name like `git_blame` says much, once it is made of words."""
        return f"{self.name.replace('_', ' ')}: {self.description}"

    @property
    def metadata(self) -> dict[str, str]:
        """What is stored beside the embedding."""
        return {"name": self.name, "category": self.category, "description": self.description}


@dataclass(frozen=True, slots=True)
class Skill:
    """A longer procedure that the assistant has learnt."""

    skill_id: str
    name: str
    description: str

    @property
    def text(self) -> str:
        """What is embedded."""
        return f"{self.name}: {self.description}"

    @property
    def metadata(self) -> dict[str, str]:
        """What is stored beside the embedding."""
        return {"skill_id": self.skill_id, "name": self.name, "description": self.description}


@dataclass(frozen=True, slots=True)
class Category:
    """A kind of shell command, dangerous or benign; its embedding is the mean of its examples'."""

    category_id: str
    description: str
    examples: tuple[str, ...]

    @property
    def metadata(self) -> dict[str, Any]:
        """What is stored beside the embedding."""
        return {"description": self.description, "examples": list(self.examples)}


@dataclass(frozen=True, slots=True)
class Query:
    """What somebody asks, and the answer that a person would expect."""

    text: str
    expected: str


@dataclass(frozen=True, slots=True)
class Corpus:
    """All texts of the demo."""

    tools: tuple[Tool, ...]
    skills: tuple[Skill, ...]
    dangerous: tuple[Category, ...]
    benign: tuple[Category, ...]
    tool_queries: tuple[Query, ...]
    skill_queries: tuple[Query, ...]
    command_queries: tuple[Query, ...]

    @property
    def queries(self) -> tuple[Query, ...]:
        """The queries of all three kinds."""
        return self.tool_queries + self.skill_queries + self.command_queries

    def texts(self) -> dict[str, dict[str, tuple[str, ...]]]:
        """Group → name → the texts whose mean is the embedding of that name.

        The groups are those of `Embeddings`; a query is its own name.
        """
        return {
            "tools": {tool.name: (tool.text,) for tool in self.tools},
            "skills": {skill.skill_id: (skill.text,) for skill in self.skills},
            "dangerous": {category.category_id: category.examples for category in self.dangerous},
            "benign": {category.category_id: category.examples for category in self.benign},
            "queries": {query.text: (query.text,) for query in self.queries},
        }

    def digest(self) -> str:
        """SHA-256 over every text that is embedded, in hexadecimal."""
        return hashlib.sha256(repr(self.texts()).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Unit vectors of shape (384,) and dtype float32, by name."""

    tools: Vectors
    skills: Vectors
    dangerous: Vectors
    benign: Vectors
    queries: Vectors


def load_corpus(folder: Path = FOLDER) -> Corpus:
    """Read the texts.

    Raises:
        OSError: A file cannot be read.
        KeyError, TypeError, yaml.YAMLError: A file does not have the shape described at its top.
    """
    tools = _read(folder / "tools.yaml")
    skills = _read(folder / "skills.yaml")
    queries = _read(folder / "queries.yaml")
    return Corpus(
        tools=tuple(
            Tool(name, category, description)
            for category, members in tools.items()
            for name, description in members.items()
        ),
        skills=tuple(Skill(skill_id, **texts) for skill_id, texts in skills.items()),
        dangerous=_categories(folder / "dangerous_commands.yaml"),
        benign=_categories(folder / "benign_commands.yaml"),
        tool_queries=tuple(Query(**query) for query in queries["tools"]),
        skill_queries=tuple(Query(**query) for query in queries["skills"]),
        command_queries=tuple(Query(**query) for query in queries["commands"]),
    )


def load_embeddings(corpus: Corpus, path: Path = EMBEDDINGS) -> Embeddings:
    """Read the embeddings of `corpus`.

    Raises:
        OSError: The file cannot be read.
        ValueError: The file was made of other texts.
    """
    with np.load(path, allow_pickle=False) as arrays:
        if str(arrays["digest"]) != corpus.digest():
            raise ValueError(
                f"{path} was made of other texts than the YAML files hold now; "
                "run `python -m data.make_embeddings` in examples/"
            )
        groups = {
            group: dict(zip(map(str, arrays[f"{group}_names"]), arrays[f"{group}_vectors"], strict=True))
            for group in corpus.texts()
        }
    return Embeddings(**groups)


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


def _categories(path: Path) -> tuple[Category, ...]:
    return tuple(
        Category(category_id, entry["description"], tuple(entry["examples"]))
        for category_id, entry in _read(path).items()
    )
