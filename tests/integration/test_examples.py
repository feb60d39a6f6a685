"""The example classifiers over a real server, and the demo from beginning to end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis
import redis.asyncio

from vecmigrate.search.ddl import ft_create
from vecmigrate.spec.load import load_specs

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
sys.path.insert(0, str(EXAMPLES))

# The examples are no part of the package; the line above is what an application's own folder does.
from classifiers import dangerous_command_guard as guard  # noqa: E402
from classifiers.legacy_hash import TOOLS, LegacyHash, legacy_search  # noqa: E402
from classifiers.match import Match  # noqa: E402
from classifiers.redis_vector_index import (  # noqa: E402
    scan_tool_names,
    store_many_benign_tech,
    store_many_dangerous_cmds,
    store_many_tools,
    store_skill_embedding_hash,
    store_tool_embedding_hash,
)
from classifiers.update_tool_embeddings import update_tool_embeddings  # noqa: E402
from classifiers.vector_classifier import SkillClassifier, ToolClassifier  # noqa: E402
from data.corpus import Corpus, load_corpus, load_embeddings  # noqa: E402
from legacy_deployment import fill  # noqa: E402

CORPUS = load_corpus()
EMBEDDINGS = load_embeddings(CORPUS)
Client = redis.asyncio.Redis


async def create_index(client: Client, name: str) -> None:
    (spec,) = load_specs([ROOT / "specs" / f"{name}.yaml"]).specs
    await client.execute_command(*ft_create(spec))


def tool_items(names: list[str]) -> list[dict[str, Any]]:
    return [
        {"tool_name": name, "centroid": EMBEDDINGS.tools[name], "metadata": {"name": name}} for name in names
    ]


def query(text_start: str) -> np.ndarray:
    (found,) = [vector for text, vector in EMBEDDINGS.queries.items() if text.startswith(text_start)]
    return found


# Texts and embeddings


def test_every_name_has_a_unit_vector_of_384_float32() -> None:
    for group, names in CORPUS.texts().items():
        vectors = getattr(EMBEDDINGS, group)
        assert list(vectors) == list(names)
        matrix = np.stack(list(vectors.values()))
        assert matrix.shape == (len(names), 384)
        assert matrix.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(matrix, axis=1), 1, atol=1e-6)


def test_the_corpus_is_as_large_as_the_demo_says() -> None:
    assert len(CORPUS.tools) >= 200
    assert len(CORPUS.skills) == 60
    assert min(len(CORPUS.dangerous), len(CORPUS.benign)) >= 25
    assert len(CORPUS.queries) >= 40


def test_labels_name_tools_and_skills_that_exist_and_queries_are_no_copies() -> None:
    assert {item.expected for item in CORPUS.tool_queries} <= set(EMBEDDINGS.tools)
    assert {item.expected for item in CORPUS.skill_queries} <= set(EMBEDDINGS.skills)
    assert {item.expected for item in CORPUS.command_queries} == {"dangerous", "benign"}
    groups = CORPUS.texts()
    known = {
        text for group in groups if group != "queries" for texts in groups[group].values() for text in texts
    }
    assert not known & {item.text for item in CORPUS.queries}


def test_embeddings_of_other_texts_are_refused() -> None:
    changed = Corpus(
        **{
            **{field: getattr(CORPUS, field) for field in Corpus.__dataclass_fields__},
            "skills": CORPUS.skills[1:],
        }
    )
    with pytest.raises(ValueError, match="other texts"):
        load_embeddings(changed)


# The legacy hash


async def test_legacy_search_is_exact_and_leaves_out_what_is_damaged(any_async_client: Client) -> None:
    await fill(any_async_client, CORPUS, EMBEDDINGS)
    vector = query("Unzip the archive")
    found = await legacy_search(any_async_client, TOOLS, vector, top_k=1000)
    assert len(found) == len(CORPUS.tools)
    scores = {name: float(tool @ vector) for name, tool in EMBEDDINGS.tools.items()}
    assert [match.name for match in found[:3]] == sorted(scores, key=lambda name: -scores[name])[:3]
    assert found[0].score == pytest.approx(scores[found[0].name], abs=1e-6)
    assert found[0].metadata["category"] == "files"


async def test_legacy_search_survives_what_old_services_wrote(async_client: Client) -> None:
    legacy = LegacyHash("v", "m")
    sound = EMBEDDINGS.tools["git_blame"].tolist()
    bad = [
        "",
        "null",
        "{}",
        '"text"',
        "[[1]]",
        "[1, 2]",
        f"[{'1e999, ' * 383}1]",
        json.dumps([10**400] * 384),
    ]
    await async_client.hset(
        "v", mapping={f"bad{i}": text for i, text in enumerate(bad)} | {"ok": json.dumps(sound)}
    )
    await async_client.hset("m", mapping={"ok": "[1]"})
    found = await legacy_search(async_client, legacy, EMBEDDINGS.tools["git_blame"], top_k=5)
    assert found == [Match("ok", pytest.approx(1.0, abs=1e-6), {})]


# Routing


async def test_tools_come_from_the_legacy_hash_while_the_index_is_missing(any_async_client: Client) -> None:
    await fill(any_async_client, CORPUS, EMBEDDINGS)
    answer = await ToolClassifier(any_async_client).classify(query("Unzip the archive"))
    assert answer.source == "legacy hash"
    assert answer.best is not None
    assert answer.best.name == "file_extract_archive"


async def test_tools_come_from_the_legacy_hash_while_the_index_is_empty(async_client: Client) -> None:
    await fill(async_client, CORPUS, EMBEDDINGS)
    await create_index(async_client, "tool")
    answer = await ToolClassifier(async_client).classify(query("Unzip the archive"))
    assert (answer.source, answer.matches[0].name) == ("legacy hash", "file_extract_archive")


async def test_index_and_legacy_hash_give_the_same_answers(any_async_client: Client) -> None:
    await fill(any_async_client, CORPUS, EMBEDDINGS)
    classifier = ToolClassifier(any_async_client)
    before = [await classifier.classify(EMBEDDINGS.queries[item.text]) for item in CORPUS.tool_queries]
    await create_index(any_async_client, "tool")
    await store_many_tools(any_async_client, tool_items(list(EMBEDDINGS.tools)))
    after = [await classifier.classify(EMBEDDINGS.queries[item.text]) for item in CORPUS.tool_queries]
    assert {answer.source for answer in before} == {"legacy hash"}
    assert {answer.source for answer in after} == {"index"}
    for old, new in zip(before, after, strict=True):
        assert [match.name for match in new.matches] == [match.name for match in old.matches]
        assert [match.score for match in new.matches] == pytest.approx(
            [match.score for match in old.matches], abs=1e-5
        )


async def test_nothing_at_all_is_no_answer_and_no_error(async_client: Client) -> None:
    for classifier in (ToolClassifier(async_client), SkillClassifier(async_client)):
        answer = await classifier.classify(query("Unzip the archive"))
        assert (answer.best, answer.matches) == (None, ())


async def test_matches_below_min_score_are_left_out(async_client: Client) -> None:
    await create_index(async_client, "tool")
    await store_many_tools(async_client, tool_items(["file_extract_archive", "music_play"]))
    vector = query("Unzip the archive")
    classifier = ToolClassifier(async_client)
    assert [m.name for m in (await classifier.classify(vector)).matches] == ["file_extract_archive"]
    assert len((await classifier.classify(vector, min_score=-1)).matches) == 2
    assert len((await classifier.classify(vector, min_score=-1, top_k=1)).matches) == 1


async def test_prefixes_stand_for_all_tools_that_begin_so(async_client: Client) -> None:
    await fill(async_client, CORPUS, EMBEDDINGS)
    expected = sorted(name for name in EMBEDDINGS.tools if name.startswith(("timer_", "home_lock")))
    from_legacy = await ToolClassifier(async_client, always=["timer_", "home_lock"]).classify(query("Unzip"))
    assert list(from_legacy.always) == expected == ["home_lock_door", "timer_start"]
    await store_tool_embedding_hash(async_client, "timer_stop", EMBEDDINGS.tools["timer_start"], {})
    from_documents = ToolClassifier(async_client)
    assert await from_documents.expand(["timer_", "home_lock"]) == ("timer_stop",)
    await store_tool_embedding_hash(async_client, "timer_pause", EMBEDDINGS.tools["timer_start"], {})
    assert await from_documents.expand(["timer_"]) == ("timer_stop",), "names are kept for a while"
    assert await ToolClassifier(async_client).expand(["timer_"]) == ("timer_pause", "timer_stop")


async def test_skills_come_from_the_index_with_their_metadata(any_async_client: Client) -> None:
    await create_index(any_async_client, "skill")
    for skill in CORPUS.skills:
        vector = EMBEDDINGS.skills[skill.skill_id]
        await store_skill_embedding_hash(any_async_client, skill.skill_id, vector, skill.metadata)
    answer = await SkillClassifier(any_async_client).classify(query("Write up why the site"))
    assert (answer.source, answer.matches[0].name) == ("index", "postmortem")
    assert answer.matches[0].metadata["name"] == "Post-mortem"


async def test_a_query_of_another_size_is_refused(async_client: Client) -> None:
    await create_index(async_client, "tool")
    await store_many_tools(async_client, tool_items(["music_play"]))
    with pytest.raises(ValueError, match="384"):
        await ToolClassifier(async_client).classify(np.ones(3, dtype=np.float32))


# The guard


async def fill_guard(client: Client, *, dangerous: bool = True, benign: bool = True) -> None:
    await create_index(client, "dangerous_cmd")
    await create_index(client, "benign_tech")
    for wanted, store, vectors in (
        (dangerous, store_many_dangerous_cmds, EMBEDDINGS.dangerous),
        (benign, store_many_benign_tech, EMBEDDINGS.benign),
    ):
        if wanted:
            items: Any = [{"category_id": n, "centroid": v, "metadata": {}} for n, v in vectors.items()]
            report = await store(client, items)
            assert report == {"stored": len(vectors), "failed": []}


async def test_a_dangerous_command_is_flagged_and_its_look_alike_cleared(any_async_client: Client) -> None:
    await fill_guard(any_async_client)
    dangerous = await guard.judge_command(any_async_client, query("sudo rm -rf /var"))
    assert dangerous.verdict == "dangerous"
    assert dangerous.needs_approval()
    assert dangerous.dangerous is not None
    assert dangerous.dangerous.name == "delete_system_files"
    look_alike = await guard.judge_command(any_async_client, query("rm -rf frontend/node_modules"))
    assert look_alike.verdict == "cleared"
    assert not look_alike.needs_approval()
    assert look_alike.benign is not None
    assert look_alike.benign.name == "delete_dependencies"


async def test_a_request_that_is_no_command_is_unsuspicious(async_client: Client) -> None:
    await fill_guard(async_client)
    judgement = await guard.judge_command(async_client, query("What should I cook"))
    assert judgement.verdict == "unsuspicious"


@pytest.mark.parametrize("index_exists", [False, True])
async def test_without_dangerous_categories_nothing_is_checked(
    async_client: Client, index_exists: bool
) -> None:
    if index_exists:
        await fill_guard(async_client, dangerous=False)
    judgement = await guard.judge_command(async_client, query("sudo rm -rf /var"))
    assert judgement.verdict == "unchecked"
    assert not judgement.needs_approval()
    assert judgement.needs_approval(fail_open=False)


async def test_without_benign_categories_nothing_is_cleared(async_client: Client) -> None:
    await fill_guard(async_client, benign=False)
    judgement = await guard.judge_command(async_client, query("rm -rf frontend/node_modules"))
    assert judgement.verdict == "dangerous"
    assert judgement.benign is None


@pytest.mark.parametrize(
    ("dangerous", "benign", "verdict"),
    [
        (None, None, "unchecked"),
        (None, 0.99, "unchecked"),
        (guard.FLAG_FROM - 0.01, None, "unsuspicious"),
        (guard.FLAG_FROM, None, "dangerous"),
        (guard.FLAG_FROM, guard.CLEAR_FROM - 0.01, "dangerous"),
        (guard.FLAG_FROM, guard.CLEAR_FROM, "cleared"),
        (0.80, 0.80 + guard.CLEAR_MARGIN - 0.01, "dangerous"),
        (0.80, 0.80 + guard.CLEAR_MARGIN + 0.01, "cleared"),
    ],
)
def test_thresholds(dangerous: float | None, benign: float | None, verdict: str) -> None:
    matches = [None if score is None else Match("it", score, {}) for score in (dangerous, benign)]
    assert guard.decide(*matches).verdict == verdict


# Updating


async def test_an_update_stores_what_exists_and_prunes_the_rest(any_async_client: Client) -> None:
    client = any_async_client
    await fill(client, CORPUS, EMBEDDINGS)
    await store_many_tools(client, tool_items(["git_log", "git_blame", "music_play"]))
    await client.set("tool_embedding_of_something_else", "1")
    update = await update_tool_embeddings(client, tool_items(["git_log", "git_diff"]))
    assert (update.stored, update.failed) == (2, ())
    assert {"git_blame", "music_play", "fax_send", "untitled"} <= set(update.pruned)
    assert await scan_tool_names(client) == ["git_diff", "git_log"]
    kept = {
        name if isinstance(name, str) else name.decode() for name in await client.hkeys(TOOLS.embeddings_key)
    }
    assert kept == {"git_diff", "git_log"}
    assert await client.hlen(TOOLS.metadata_key) == 2
    assert await client.exists("tool_embedding_of_something_else")


async def test_an_update_with_a_failure_prunes_nothing(async_client: Client) -> None:
    await store_many_tools(async_client, tool_items(["git_log", "git_blame"]))
    items = tool_items(["git_log", "git_diff"])
    items[1]["centroid"] = np.zeros(384, dtype=np.float32)
    update = await update_tool_embeddings(async_client, items)
    assert (update.stored, update.pruned) == (1, ())
    assert [failure["key"] for failure in update.failed] == ["git_diff"]
    assert await scan_tool_names(async_client) == ["git_blame", "git_log"]


async def test_an_update_without_tools_is_refused(async_client: Client) -> None:
    await store_many_tools(async_client, tool_items(["git_log"]))
    with pytest.raises(ValueError, match="no tools"):
        await update_tool_embeddings(async_client, [])
    assert await scan_tool_names(async_client) == ["git_log"]


# The demo


def run_demo(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(EXAMPLES / "demo.py")],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.embedded
def test_the_demo_runs_without_a_terminal_and_finds_everything_as_it_should_be() -> None:
    started = time.monotonic()
    result = run_demo()
    assert result.returncode == 0, result.stdout + result.stderr
    assert time.monotonic() - started < 60
    assert "Traceback" not in result.stderr
    assert "\x1b" not in result.stdout
    _, summary = result.stdout.split("Summary")
    assert summary.count("✓") >= 15
    assert "✗" not in summary
    assert "delete_system_files" in result.stdout


@pytest.mark.embedded
def test_the_demo_ends_with_an_error_where_the_upgrade_does_not_do_its_work() -> None:
    # With other keys the migration finds no legacy hash, so nothing is moved.
    result = run_demo(VECMIGRATE_VAR_TOOL_EMBEDDINGS_KEY="elsewhere")
    assert result.returncode == 1
    assert "✗ all" in result.stdout
