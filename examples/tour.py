"""What `make tour` runs: a team changes an index in production, from the edited spec to the last command.

It all happens in a folder of its own, with a git repository and a private Redis. Clients ask and write
without pause, and know the right answers; what they saw is told at the end, and where anything was wrong the
tour ends with exit code 1.
"""

from __future__ import annotations

import importlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from redis import Redis
from rich.console import Console
from rich.markup import escape
from stage import Report, command_words

from vecmigrate.embedded import EmbeddedRedis
from vecmigrate.errors import EmbeddedError

WIDTH_WITHOUT_TERMINAL = 120
ARTICLES = 6_000
DIMS = 128
ALIAS = "idx:article"
PREFIX = "article:"
SPEC = f"""\
version: 1
name: article
description: One embedding per article, for the search box.
index:
  name: {ALIAS}
  prefix: "{PREFIX}"
key: article_id
fields:
  article_id: {{type: tag, from: key}}
  title:      {{type: text, from: argument}}
  embedding:
    type: vector
    dims: {DIMS}
    metric: cosine
    algorithm: hnsw
    m: 16
    ef_construction: 200
    ef_runtime: 200
"""

Vectors = npt.NDArray[np.float32]


@dataclass
class Tour:
    """Where it happens, and what was found."""

    folder: Path
    url: str
    redis: Redis
    report: Report

    def vecmigrate(self, *words: str, expect: int = 0) -> None:
        """Run the real command before the reader's eyes, and check how it ends."""
        shown = shlex.join(words)
        self.report.console.print(f"[bold cyan]$ vecmigrate {escape(shown)}[/]")
        code = self._run([*command_words(), *words])
        self.report.check(f"`vecmigrate {shown}` ends with {expect}", found=code, expected=expect)

    def git(self, *words: str) -> None:
        """Run git as somebody whom no configuration of the reader's is asked for."""
        settings = ("user.name=tour", "user.email=tour@example.org", "commit.gpgsign=false")
        options = [word for setting in settings for word in ("-c", setting)]
        self._run(["git", *options, *words])

    def _run(self, words: list[str]) -> int:
        self.report.console.file.flush()
        environment = {**os.environ, "VECMIGRATE_REDIS_URL": self.url}
        return subprocess.run(words, cwd=self.folder, env=environment, check=False).returncode

    def live(self) -> str:
        """The index that the alias leads to."""
        found: Any = self.redis.execute_command("FT.INFO", ALIAS)
        if not isinstance(found, dict):
            found = dict(zip(found[::2], found[1::2], strict=True))
        name = found.get(b"index_name") or found.get("index_name")
        return name.decode() if isinstance(name, bytes) else str(name)


@dataclass
class Clients:
    """Two readers and a writer, in threads, through the generated helpers."""

    url: str
    helpers: Any
    vectors: Vectors
    asked: int = 0
    written: int = 0
    wrong: int = 0
    errors: list[str] = field(default_factory=list)
    longest: float = 0.0
    own: dict[str, bytes] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Clients:
        for seed, work in enumerate((self._read, self._read, self._write)):
            thread = threading.Thread(target=self._until_told, args=(work, seed), daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _until_told(self, work: Any, seed: int) -> None:
        random = np.random.default_rng(seed)
        with Redis.from_url(self.url) as client:
            while not self._stop.is_set():
                try:
                    work(client, random)
                except Exception as error:  # whatever a client sees is a finding
                    self.errors.append(repr(error))
                time.sleep(0.002)

    def _read(self, client: Redis, random: np.random.Generator) -> None:
        number = int(random.integers(len(self.vectors)))
        self._ask(client, self.vectors[number], f"a{number}")

    def _write(self, client: Redis, random: np.random.Generator) -> None:
        key = f"new{int(random.integers(200))}"
        vector = random.normal(size=DIMS).astype(np.float32)
        if key in self.own and random.random() < 0.3:
            self.helpers.delete_article(client, key)
            gone = np.frombuffer(self.own.pop(key), np.float32)
            self._ask(client, gone, key, there=False)
        else:
            self.helpers.store_article(client, key, embedding=vector, title=key)
            self.own[key] = vector.tobytes()
            self._ask(client, vector, key)
        self.written += 1

    def _ask(self, client: Redis, vector: Vectors, key: str, *, there: bool = True) -> None:
        began = time.perf_counter()
        found = [hit["article_id"] for hit in self.helpers.knn_search_articles(client, vector, knn_k=1)]
        self.longest = max(self.longest, time.perf_counter() - began)
        self.asked += 1
        self.wrong += (found == [key]) is not there

    def lost(self, client: Redis) -> int:
        """How many of the writer's documents are not as it left them."""
        return sum(client.hget(PREFIX + key, "embedding") != blob for key, blob in self.own.items())


def main() -> int:
    """Run the tour; the exit code."""
    began = time.perf_counter()
    console = Console(width=None if sys.stdout.isatty() else WIDTH_WITHOUT_TERMINAL, highlight=False)
    report = Report(console)
    try:
        server = EmbeddedRedis()
    except EmbeddedError as error:
        console.print(escape(str(error)))
        return error.exit_code
    with server, tempfile.TemporaryDirectory() as folder, Redis.from_url(server.url) as redis:
        tour = Tour(Path(folder), server.url, redis, report)
        vectors, helpers = begin(tour)
        with Clients(server.url, helpers, vectors) as clients:
            change(tour)
            carry_out(tour)
            go_back_and_forth(tour)
        tell(tour, clients)
    return 0 if report.summary(time.perf_counter() - began) else 1


def begin(tour: Tour) -> tuple[Vectors, Any]:
    """A project whose first migration is applied, and documents; the vectors and the helpers."""
    tour.report.chapter(
        "1  A service with an index",
        f"A spec, a migration that autogenerate wrote, generated helpers, {ARTICLES:,} documents of {DIMS} "
        "dimensions.",
    )
    (tour.folder / "specs").mkdir()
    (tour.folder / "migrations").mkdir()
    (tour.folder / "specs" / "article.yaml").write_text(SPEC)
    (tour.folder / "vecmigrate.toml").write_text('output = "articles_index"\n')
    tour.git("init", "--quiet", "--initial-branch", "main")
    tour.vecmigrate("revision", "--autogenerate", "-m", "Create the index of articles", "--rev-id", "0001")
    tour.vecmigrate("generate")
    tour.git("add", ".")
    tour.git("commit", "--quiet", "--message", "Index the articles")
    tour.vecmigrate("upgrade")
    sys.path.insert(0, str(tour.folder))
    helpers = importlib.import_module("articles_index.sync")
    vectors = np.random.default_rng(5).normal(size=(ARTICLES, DIMS)).astype(np.float32)
    helpers.store_many_articles(
        tour.redis,
        [
            {"article_id": f"a{number}", "embedding": vector, "title": f"Article {number}"}
            for number, vector in enumerate(vectors)
        ],
    )
    return vectors, helpers


def change(tour: Tour) -> None:
    """Edit the spec, and go the way of a pull request."""
    tour.report.chapter(
        "2  A better graph", "Recall shall rise, so M goes from 16 to 32. From here on clients are at work."
    )
    spec = tour.folder / "specs" / "article.yaml"
    spec.write_text(spec.read_text().replace("m: 16", "m: 32"))
    tour.git("--no-pager", "diff", "--unified=0", "specs")
    tour.report.console.print(
        "\nWhat does that mean? There is no migration for it yet, and that is a finding:"
    )
    tour.vecmigrate("review", "--base", "HEAD", expect=3)
    tour.vecmigrate("revision", "--autogenerate", "-m", "Link articles more densely", "--rev-id", "0002")
    (script,) = (tour.folder / "migrations").glob("0002*.py")
    tour.report.console.print(f"\n[dim]{escape(script.read_text())}[/]")
    tour.vecmigrate("generate")
    tour.vecmigrate("check")
    tour.vecmigrate("review", "--base", "HEAD")
    tour.git("add", ".")
    tour.git("commit", "--quiet", "--message", "Link articles more densely")


def carry_out(tour: Tour) -> None:
    """Upgrade under load."""
    tour.report.chapter("3  The upgrade", "The clients go on asking and writing.")
    tour.vecmigrate("upgrade")
    tour.report.check("the alias leads to the new index", found=tour.live(), expected=f"{ALIAS}@0002")
    tour.vecmigrate("status")


def go_back_and_forth(tour: Tour) -> None:
    """Roll back, which holds; release it, complete."""
    tour.report.chapter("4  Back, and forth again", "The old index was kept: going back is one alias update.")
    tour.vecmigrate("rollback", "article")
    tour.report.check("the alias leads to the old index again", found=tour.live(), expected=f"{ALIAS}@0001")
    tour.vecmigrate("status")
    tour.vecmigrate("upgrade")
    tour.report.check("the next deploy leaves it so", found=tour.live(), expected=f"{ALIAS}@0001")
    tour.vecmigrate("upgrade", "--release")
    tour.report.check("upgrade --release cuts over again", found=tour.live(), expected=f"{ALIAS}@0002")
    tour.vecmigrate("complete", "article")
    listed = {name.decode() for name in tour.redis.execute_command("FT._LIST")}
    tour.report.check("only the new index is left", found=listed, expected={f"{ALIAS}@0002"})


def tell(tour: Tour, clients: Clients) -> None:
    """What the clients saw."""
    tour.report.chapter("5  What the clients saw", "From the edited spec to the last command.")
    seen = {
        "answers": clients.asked,
        "wrong answers": clients.wrong,
        "errors": len(clients.errors),
        "writes": clients.written,
        "lost writes": clients.lost(tour.redis),
        "slowest answer, ms": round(clients.longest * 1000),
    }
    for what, count in seen.items():
        tour.report.console.print(f"  {what:<20} {count:,}")
    if clients.errors:
        tour.report.console.print(escape(json.dumps(sorted(set(clients.errors)))))
    for what in ("wrong answers", "errors", "lost writes"):
        tour.report.check(f"{what}: none", found=seen[what], expected=0)
    tour.report.check(
        "the clients were at work", found=min(clients.asked, clients.written) > 100, expected=True
    )


if __name__ == "__main__":
    raise SystemExit(main())
