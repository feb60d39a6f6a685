"""Scripts that were generated, carried out and taken back on a real server."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis

from vecmigrate import commands
from vecmigrate.config import Config, load_config
from vecmigrate.search.introspect import differences
from vecmigrate.search.reply import num_docs, parse_info
from vecmigrate.spec.build import spec_from_mapping

DIMS = 16
DOCUMENTS = 300


def project(folder: Path) -> Config:
    for name in ("specs", "migrations"):
        (folder / name).mkdir()
    (folder / "vecmigrate.toml").write_text('specs = "specs"\nmigrations = "migrations"\n')
    return load_config(folder / "vecmigrate.toml")


def write(config: Config, mapping: dict[str, Any]) -> None:
    # JSON is YAML too.
    (config.specs / "item.yaml").write_text(json.dumps(mapping, ensure_ascii=False))


def base() -> dict[str, Any]:
    return {
        "version": 1,
        "name": "item",
        "index": {"name": "idx:item", "prefix": "item:"},
        "key": "item_id",
        "fields": {
            "item_id": {"type": "tag", "from": "key"},
            "title": {"type": "text", "path": "title"},
            "colour": {"type": "tag", "index": False},
            "price": {"type": "numeric", "sortable": True},
            "embedding": {"type": "vector", "dims": DIMS, "m": 8, "ef_construction": 50},
        },
    }


def step(mapping: dict[str, Any], which: str) -> None:
    """One change, made in place."""
    fields, index = mapping["fields"], mapping["index"]
    vector = fields["embedding"]
    match which:
        case "graph":
            vector |= {"algorithm": "hnsw", "m": 12, "ef_construction": 80}
            vector.pop("block_size", None)
        case "exact":
            fields["embedding"] = {
                key: value
                for key, value in vector.items()
                if key not in ("m", "ef_construction", "ef_runtime")
            } | {"algorithm": "flat"}
        case "metric":
            vector["metric"] = "l2" if vector.get("metric", "cosine") == "cosine" else "cosine"
        case "add":
            fields["year"] = {"type": "numeric"}
        case "drop":
            fields.pop("price", None)
        case "index a stored field":
            fields["colour"] = {"type": "tag"}
        case "rename":
            name = "headline" if "title" in fields else "title"
            (before,) = {"headline", "title"} & fields.keys()
            fields[name] = {**fields.pop(before), "path": "title", "renamed_from": before}
        case "stopwords":
            index["stopwords"] = [] if index.get("stopwords") is None else ["the", "an"]
        case "alias":
            index["name"] = f"{index['name']}2"


CHANGES = (
    "graph",
    "exact",
    "metric",
    "add",
    "drop",
    "index a stored field",
    "rename",
    "stopwords",
    "alias",
)


def fill(client: redis.Redis) -> None:
    numbers = np.random.default_rng(5).normal(size=(DOCUMENTS, DIMS)).astype("<f4")
    pipeline = client.pipeline(transaction=False)
    for place, vector in enumerate(numbers):
        values = {"title": f"title {place}", "colour": "red", "price": place, "year": 2000 + place % 20}
        pipeline.hset(
            f"item:{place}", mapping={**values, "item_id": str(place), "embedding": vector.tobytes()}
        )
    pipeline.execute()


def assert_is(client: redis.Redis, mapping: dict[str, Any]) -> None:
    """The alias leads to an index that has what the spec says, over every document."""
    spec = spec_from_mapping(mapping)
    info = parse_info(client.execute_command("FT.INFO", spec.index.name))
    assert differences(spec, info) == ()
    assert num_docs(info) == DOCUMENTS


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_history_of_generated_scripts_goes_up_and_down(
    client: redis.Redis, emptied_url: str, tmp_path: Path, seed: int
) -> None:
    config = project(tmp_path)
    choose = random.Random(seed)
    mapping = base()
    states: list[dict[str, Any]] = []
    fill(client)
    write(config, mapping)
    commands.autogenerate(config, "create", rev_id="r0")
    states.append(json.loads(json.dumps(mapping)))
    # In an order of its own, and some together.
    order = choose.sample(CHANGES, len(CHANGES))
    while order:
        for _ in range(choose.choice([1, 2])):
            if order:
                step(mapping, order.pop())
        write(config, mapping)
        made = commands.autogenerate(config, "change", rev_id=f"r{len(states)}")
        assert made.script is not None
        states.append(json.loads(json.dumps(mapping)))
    assert commands.check(config).problems == ()
    with commands.open_session(config, redis_url=emptied_url) as session:
        for number, state in enumerate(states):
            commands.upgrade(session, f"r{number}")
            assert_is(client, state)
            assert commands.drift(session).drift == ()
        assert commands.check(config, session).problems == ()
        for number in reversed(range(len(states) - 1)):
            commands.downgrade(session, f"r{number}")
            spec = spec_from_mapping(states[number])
            info = parse_info(client.execute_command("FT.INFO", spec.index.name))
            # A field that FT.ALTER added stays in the index until it is rebuilt, and does no harm.
            assert [found for found in differences(spec, info) if found.wanted is not None] == []
            assert num_docs(info) == DOCUMENTS
        commands.upgrade(session, "head")
        assert_is(client, states[-1])


def test_check_with_a_server_notices_a_script_that_was_changed(
    emptied_url: str, client: redis.Redis, tmp_path: Path
) -> None:
    config = project(tmp_path)
    write(config, base())
    made = commands.autogenerate(config, "create", rev_id="r0")
    assert made.script is not None
    path = made.script.script.path
    with commands.open_session(config, redis_url=emptied_url) as session:
        commands.upgrade(session)
        assert commands.check(config, session).ok
        path.write_text(path.read_text().replace("create", "make", 1))
        (found,) = commands.check(config, session).problems
        assert (found.code, Path(found.file).name) == ("script-changed", "r0_create.py")
        shutil.move(path, tmp_path / "away.py")
        codes = {item.code for item in commands.check(config, session).problems}
        assert codes == {"script-missing", "pending-change"}
    assert commands.check(config).ok is False


def test_from_the_command_line_the_server_is_asked_only_where_it_is_given(
    emptied_url: str, client: redis.Redis, tmp_path: Path
) -> None:
    config = project(tmp_path)
    write(config, base())
    commands.autogenerate(config, "create", rev_id="r0")

    def run(*words: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "vecmigrate", "-c", str(tmp_path / "vecmigrate.toml"), *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout

    assert run("check") == (0, "checked specs, migrations, state: no problems\n")
    assert run("--redis", emptied_url, "check") == (
        0,
        "checked specs, migrations, state, applied scripts: no problems\n",
    )
    assert run("--redis", "redis://127.0.0.1:1", "check")[0] == 1
