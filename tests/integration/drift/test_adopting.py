"""docs/adopting.md, step by step, while the service that owns the index goes on asking."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import redis

from vecmigrate.cli import run
from vecmigrate.search import reply

COUNT, DIMS = 600, 16
CREATE = (
    "FT.CREATE idx:articles ON HASH PREFIX 1 article: SCHEMA article_id TAG title TEXT WEIGHT 2 "
    f"year NUMERIC SORTABLE embedding VECTOR HNSW 10 TYPE FLOAT32 DIM {DIMS} DISTANCE_METRIC COSINE "
    "M 24 EF_RUNTIME 50"
)
VECTORS = np.random.default_rng(7).standard_normal((COUNT, DIMS)).astype("<f4")


@pytest.fixture
def service(client: redis.Redis) -> redis.Redis:
    """A service as it runs before vecmigrate: an index made by hand, documents written by hand."""
    client.execute_command(*CREATE.split())
    for number, vector in enumerate(VECTORS):
        name = f"a{number}"
        client.hset(
            f"article:{name}",
            mapping={
                "article_id": name,
                "title": f"about {number}",
                "year": 2000 + number % 25,
                "meta": json.dumps({"n": number}),
                "embedding": vector.tobytes(),
            },
        )
    return client


@pytest.fixture
def cli(tmp_path: Path, monkeypatch, capsys, emptied_url: str):
    monkeypatch.delenv("VECMIGRATE_REDIS_URL", raising=False)
    monkeypatch.setenv("REDIS_URL", emptied_url)
    monkeypatch.chdir(tmp_path)

    def call(*words: str, code: int = 0) -> str:
        capsys.readouterr()
        found = run(words)
        out, err = capsys.readouterr()
        assert found == code, f"{words}: {out}{err}"
        return out + err

    return call


@contextmanager
def asking(url: str) -> Iterator[list[str]]:
    """Ask without pause for what is nearest to stored vectors; yields what went wrong."""
    wrong: list[str] = []
    asked = 0
    stop = threading.Event()

    def ask() -> None:
        nonlocal asked
        with redis.Redis.from_url(url) as client:
            while not stop.is_set():
                number = asked % COUNT
                try:
                    answer = client.execute_command(
                        "FT.SEARCH", "idx:articles", "*=>[KNN 1 @embedding $v AS d]",
                        "PARAMS", 2, "v", VECTORS[number].tobytes(), "NOCONTENT", "DIALECT", 2,
                    )  # fmt: skip  # a command
                    hits = reply.parse_search(answer, with_content=False).hits
                    if [hit.id for hit in hits] != [f"article:a{number}"]:
                        wrong.append(f"{number}: {hits}")
                except redis.RedisError as error:
                    wrong.append(str(error))
                asked += 1

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield wrong
    finally:
        stop.set()
        thread.join()
    assert asked > 20


def edit(path: Path, *changes: tuple[str, str]) -> None:
    text = path.read_text()
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    path.write_text(text)


def test_a_running_system_is_taken_over_and_changed_without_a_wrong_answer(
    cli, service: redis.Redis, tmp_path: Path, emptied_url: str
) -> None:
    spec = tmp_path / "specs" / "article.yaml"
    with asking(emptied_url) as wrong:
        cli("init", "-t", "empty")
        told = cli("introspect", "idx:articles", "--name", "article", "--key", "article_id")
        assert "100 of 100 documents looked at also hold 'meta' (JSON)" in told
        edit(spec, ("from: key}", "from: key}\n  meta: {type: json}"), ("ef_runtime: 10", "ef_runtime: 50"))
        edit(spec, ("aliases: null", "aliases: []"))
        cli("generate")
        cli("revision", "--autogenerate", "-m", "take over", "--rev-id", "0001")
        assert "adopted" in cli("upgrade")
        assert "no drift in 1 index at 0001" in cli("drift")
        cli("check")
        # From here on it is changed like any other.
        edit(spec, ("m: 24", "m: 32"))
        assert "m 24 → 32 (rebuild)" in cli("revision", "--autogenerate", "-m", "links", "--rev-id", "0002")
        cli("upgrade")
        assert "no drift in 1 index at 0002" in cli("drift")
        cli("current", "--check-heads")
    assert wrong == []
    assert service.execute_command("FT._LIST") == [b"idx:articles@0002"]


def test_stamping_trusts_and_drift_finds_out(cli, service: redis.Redis, tmp_path: Path) -> None:
    cli("init", "-t", "empty")
    cli("introspect", "idx:articles", "--name", "article")
    edit(tmp_path / "specs" / "article.yaml", ("m: 24", "m: 20"))
    cli("revision", "--autogenerate", "-m", "take over", "--rev-id", "0001")
    cli("stamp", "head")
    assert "article: idx:articles: field 'embedding': M is 24 (expected 20)" in cli("drift", code=3)
    # Running the same revision would have refused.
    cli("stamp", "base")
    assert "M is 24 (expected 20)" in cli("upgrade", code=6)


def test_a_service_that_makes_its_index_again_is_found_out(cli, service: redis.Redis, tmp_path: Path) -> None:
    cli("init", "-t", "empty")
    cli("introspect", "idx:articles", "--name", "article")
    cli("revision", "--autogenerate", "-m", "take over", "--rev-id", "0001")
    cli("upgrade")
    edit(tmp_path / "specs" / "article.yaml", ("m: 24", "m: 32"))
    cli("revision", "--autogenerate", "-m", "links", "--rev-id", "0002")
    told = cli("upgrade", code=6)
    assert "this server does not list them (expected a list in `index.aliases`, found null)" in told
    assert service.execute_command("FT._LIST") == [b"idx:articles"]
    # What the hint says.
    edit(tmp_path / "specs" / "article.yaml", ("aliases: null", "aliases: []"))
    (script,) = (tmp_path / "migrations").glob("0002*.py")
    edit(script, ('"article",', '"article",\n        index={"aliases": []},'))
    cli("upgrade")
    cli("generate")
    cli("check")
    service.execute_command(*CREATE.split())
    told = cli("drift", code=3)
    assert (
        "article: a plain index 'idx:articles' hides the alias of that name and 'idx:articles@0002'" in told
    )
    assert "article: idx:articles: field 'embedding': M is 24 (expected 32)" in told
    service.execute_command("FT.DROPINDEX", "idx:articles")
    cli("drift")


def test_what_is_kept_or_rolled_back_is_neither_drift_nor_a_stranger(
    cli, service: redis.Redis, tmp_path: Path
) -> None:
    spec = tmp_path / "specs" / "article.yaml"
    service.execute_command("FT.DROPINDEX", "idx:articles")
    spec.parent.mkdir()
    spec.write_text(
        "version: 1\nname: article\nindex: {name: idx:articles, prefix: 'article:'}\nkey: article_id\n"
        f"fields:\n  embedding: {{type: vector, dims: {DIMS}, m: 24, ef_runtime: 50}}\n"
    )
    cli("init", "-t", "empty")
    cli("revision", "--autogenerate", "-m", "create", "--rev-id", "0001")
    cli("upgrade")
    edit(spec, ("m: 24", "m: 32"))
    cli("revision", "--autogenerate", "-m", "links", "--rev-id", "0002")
    cli("upgrade")
    assert len(service.execute_command("FT._LIST")) == 2
    for command, revision in (
        (None, "0002"),
        (("rollback", "article"), "0001"),
        (("upgrade",), "0001"),
        (("upgrade", "--release"), "0002"),
    ):
        if command:
            cli(*command)
        told = cli("drift")
        assert f"no drift in 1 index at {revision}" in told
        assert "other indexes" not in told
        assert "half-done" not in told
    cli("complete", "article")
    assert "no drift in 1 index at 0002" in cli("drift")
    # What is called as we call ours is not ours for that.
    service.execute_command(*CREATE.replace("idx:articles", "idx:articles@0001").split())
    assert "'idx:articles@0001' is not ours" in cli("drift")
    ours = service.hget("vecmigrate:owners", "idx:articles@0002")
    assert ours is not None
    service.hset("vecmigrate:owners", "idx:articles@0001", ours)
    assert "'idx:articles@0001' is an index of ours that is no longer in use" in cli("drift")
    service.hset("vecmigrate:owners", "idx:articles@0001", "other")
    assert "'idx:articles@0001' belongs to namespace 'other'" in cli("drift")


def test_a_revision_that_stopped_half_way_is_told(cli, service: redis.Redis, tmp_path: Path) -> None:
    cli("init", "-t", "empty")
    cli("introspect", "idx:articles", "--name", "article")
    edit(tmp_path / "specs" / "article.yaml", ("m: 24", "m: 20"))
    cli("revision", "--autogenerate", "-m", "take over", "--rev-id", "0001")
    cli("upgrade", code=6)
    assert "half-done, so that differences may be their work: 0001" in cli("drift")


def test_an_index_of_redisvl_with_an_open_prefix_gets_a_neighbour(
    cli, client: redis.Redis, tmp_path: Path
) -> None:
    (tmp_path / "schema.yaml").write_text(
        "index: {name: users, prefix: user}\n"
        "fields:\n"
        "  - {name: user_id, type: tag}\n"
        "  - {name: v, type: vector, attrs: {algorithm: flat, dims: 2}}\n"
    )
    # What RedisVL makes of it; tests/integration/drift/test_redisvl_server.py holds that against RedisVL.
    client.execute_command(
        *"FT.CREATE users ON HASH PREFIX 1 user SCORE 1.0 SCHEMA user_id TAG SEPARATOR , v VECTOR FLAT 6 "
        "TYPE FLOAT32 DIM 2 DISTANCE_METRIC COSINE".split()
    )
    client.hset("user:7", mapping={"user_id": "7", "v": np.array([1, 0], "<f4").tobytes()})
    cli("init", "-t", "empty")
    assert "give the spec another index.name" in cli("import-redisvl", "schema.yaml", "--key", "user_id")
    cli("revision", "--autogenerate", "-m", "take over", "--rev-id", "0001")
    assert "PREFIX is ('user') (expected ('user:'))" in cli("upgrade", code=6)
    edit(tmp_path / "specs" / "users.yaml", ("name: users\n  prefix", "name: idx:user\n  prefix"))
    (tmp_path / "migrations" / "0001_take_over.py").unlink()
    cli("stamp", "--purge", "base")
    cli("revision", "--autogenerate", "-m", "take over", "--rev-id", "0001")
    cli("upgrade")
    told = cli("drift")
    assert "'users' is not ours and takes in the prefix 'user', and so documents of users" in told
    info = reply.parse_info(client.execute_command("FT.INFO", "idx:user"))
    assert (reply.index_name(info), reply.num_docs(info)) == ("idx:user@0001", 1)
