"""What the parts of the demo share: where they print, what they check, and how they ask."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shlex
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from classifiers.match import Match
from classifiers.vector_classifier import (
    MIN_SCORE,
    Answer,
    SkillClassifier,
    ToolClassifier,
)
from data.corpus import Corpus, Embeddings, Query, Vector, Vectors
from redis.asyncio import Redis
from rich.console import Console
from rich.markup import escape

ROOT = Path(__file__).resolve().parent.parent

# Scores pass through float32 on the server and through numpy here; they may differ by rounding only.
SCORE_TOLERANCE = 1e-5


@dataclass
class Report:
    """Where the demo prints, and what it checked."""

    console: Console
    checks: list[tuple[str, bool]] = field(default_factory=list)

    def chapter(self, title: str, text: str) -> None:
        """Begin a part of the demo."""
        self.console.print()
        self.console.rule(f"[bold]{title}", align="left")
        self.console.print(text)
        self.console.print()

    def check(self, what: str, *, found: object, expected: object) -> None:
        """Note whether `found` is what it should be; a surprise is printed at once."""
        right = found == expected
        self.checks.append((what, right))
        if not right:
            self.console.print(f"[red]✗ {escape(what)}[/]: {escape(f'{found!r} (expected {expected!r})')}")

    def summary(self, seconds: float) -> bool:
        """Print all checks; whether all went well."""
        self.chapter("Summary", f"{len(self.checks)} things were checked in {seconds:.1f} s.")
        for what, right in self.checks:
            self.console.print(f"  {mark(right)} {escape(what)}")
        return all(right for _, right in self.checks)


@dataclass(frozen=True, slots=True)
class Stage:
    """What every part of the demo works with."""

    url: str
    redis: Redis
    corpus: Corpus
    embeddings: Embeddings
    report: Report

    @property
    def console(self) -> Console:
        """Where to print."""
        return self.report.console

    def of(self, query: Query) -> Vector:
        """The embedding of a query, shape (384,)."""
        return self.embeddings.queries[query.text]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, its answer and how long that took, and the best match of an exact search."""

    query: Query
    answer: Answer
    seconds: float
    exact: Match

    @property
    def right(self) -> bool:
        """Whether the answer is that of the exact search, which may be that nothing is similar enough."""
        best = self.answer.best
        if best is None:
            return self.exact.score < MIN_SCORE
        return best.name == self.exact.name and abs(best.score - self.exact.score) <= SCORE_TOLERANCE


async def ask(stage: Stage) -> AsyncIterator[Asked]:
    """Put every labelled request to its classifier."""
    tools, skills = ToolClassifier(stage.redis), SkillClassifier(stage.redis)
    for classifier, queries, vectors in (
        (tools, stage.corpus.tool_queries, stage.embeddings.tools),
        (skills, stage.corpus.skill_queries, stage.embeddings.skills),
    ):
        for query in queries:
            started = time.perf_counter()
            answer = await classifier.classify(stage.of(query))
            seconds = time.perf_counter() - started
            yield Asked(query, answer, seconds, nearest(vectors, stage.of(query)))


def nearest(vectors: Vectors, query: Vector) -> Match:
    """The most similar of `vectors`, by comparing with each of them."""
    name, score = max(
        ((name, float(vector @ query)) for name, vector in vectors.items()), key=lambda item: item[1]
    )
    return Match(name, score, {})


async def vecmigrate(stage: Stage, *words: str) -> int:
    """Run the real command before the reader's eyes; its exit code."""
    stage.console.print(f"[bold cyan]$ vecmigrate --redis {stage.url} {shlex.join(words)}[/]")
    stage.console.file.flush()
    process = await asyncio.create_subprocess_exec(*command_words(), "--redis", stage.url, *words, cwd=ROOT)
    return await process.wait()


async def rejects(stage: Stage) -> list[tuple[str, str]]:
    """Key and entry of what `vecmigrate rejects` lists."""
    process = await asyncio.create_subprocess_exec(
        *(*command_words(), "--redis", stage.url, "rejects", "--format", "json"),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    return [(reject["source"], reject["field"]) for reject in json.loads(output)["items"]]


async def contents(redis: Redis) -> str:
    """A digest of every key and its value, the ledger's log of runs left out."""
    digest = hashlib.sha256()
    keys = [key async for key in redis.scan_iter(count=500)]
    for key in sorted(keys):
        digest.update(key + (await redis.dump(key) or b""))
    return digest.hexdigest()


def command_words() -> list[str]:
    """The words that start vecmigrate, installed or not."""
    script = Path(sys.executable).with_name("vecmigrate")
    if script.exists():
        return [str(script)]
    # Not installed, as in a checkout on PYTHONPATH: what the console script does.
    return [sys.executable, "-c", "from vecmigrate.cli import main; main()"]


def mark(right: bool) -> str:
    """A tick or a cross."""
    return "[green]✓[/]" if right else "[red]✗[/]"
