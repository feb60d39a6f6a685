"""What `make demo` runs: a legacy deployment is migrated while it is being used, and then put to work.

Everything printed is measured in this run. What is expected is computed from the texts and embeddings in
`data/`; where something differs the demo says so and ends with exit code 1.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from statistics import median

import legacy_deployment
from classifiers.dangerous_command_guard import Verdict, decide, judge_command
from classifiers.legacy_hash import SKILLS, TOOLS, legacy_names
from classifiers.redis_vector_index import (
    SKILL_EMB_INDEX,
    TOOL_EMB_INDEX,
    BenignTechItem,
    DangerousCmdItem,
    ToolItem,
    get_skill,
    get_tool,
    redisearch_index_doc_count,
    scan_tool_names,
    store_many_benign_tech,
    store_many_dangerous_cmds,
)
from classifiers.update_tool_embeddings import update_tool_embeddings
from classifiers.vector_classifier import (
    MIN_SCORE,
    ToolClassifier,
)
from data.corpus import load_corpus, load_embeddings
from legacy_deployment import Damage
from redis.asyncio import Redis
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from stage import Asked, Report, Stage, ask, contents, mark, nearest, rejects, vecmigrate

from vecmigrate.embedded import EmbeddedRedis
from vecmigrate.errors import EmbeddedError

WIDTH_WITHOUT_TERMINAL = 120

# The tool that is withdrawn at the end, and the tools that every answer offers besides the matches.
RETIRED_TOOL = "search_patents"
ALWAYS_OFFERED = ("task_", "note_create")


async def main() -> int:
    """Run the demo; the exit code."""
    started = time.perf_counter()
    console = Console(width=None if sys.stdout.isatty() else WIDTH_WITHOUT_TERMINAL, highlight=False)
    report = Report(console)
    corpus = load_corpus()
    try:
        server = EmbeddedRedis()
    except EmbeddedError as error:
        console.print(escape(str(error)))
        return error.exit_code
    with server:
        async with Redis.from_url(server.url) as redis:
            stage = Stage(server.url, redis, corpus, load_embeddings(corpus), report)
            damage = await fill(stage)
            await migrate(stage)
            await inspect(stage, damage)
            await store_categories(stage)
            await route(stage)
            await guard(stage)
            await upgrade_again(stage)
            await retire_a_tool(stage)
    return 0 if report.summary(time.perf_counter() - started) else 1


async def fill(stage: Stage) -> Damage:
    """Fill the server, show what is in it, and ask it something."""
    damage = await legacy_deployment.fill(stage.redis, stage.corpus, stage.embeddings)
    stage.report.chapter(
        "1  A deployment from before",
        f"A private Redis runs at {stage.url}. Its embeddings lie in monolithic hashes of JSON, a few of\n"
        "them damaged, and there is no index.",
    )
    table = Table("key", "entries", "size", box=box.SIMPLE_HEAD)
    for legacy in (TOOLS, SKILLS):
        for key in (legacy.embeddings_key, legacy.metadata_key):
            entries = await stage.redis.execute_command("HLEN", key)
            size = await stage.redis.execute_command("MEMORY", "USAGE", key, "SAMPLES", 0)
            table.add_row(key, str(entries), f"{size / 1024:.0f} KiB")
    stage.console.print(table)
    for key, damaged in ((TOOLS.embeddings_key, damage.tools), (SKILLS.embeddings_key, damage.skills)):
        for name, what in damaged.items():
            stage.console.print(f"  {key} [yellow]{name}[/]: {what}")
    answer = await ToolClassifier(stage.redis).classify(stage.of(stage.corpus.tool_queries[0]))
    stage.report.check(
        "before the upgrade answers come from the legacy hash", found=answer.source, expected="legacy hash"
    )
    return damage


async def migrate(stage: Stage) -> None:
    """Run the upgrade, and put questions to the classifiers for as long as it runs."""
    stage.report.chapter("2  The upgrade", "Meanwhile the classifiers go on answering.")
    upgrade = asyncio.create_task(vecmigrate(stage, "upgrade"))
    asked: list[Asked] = []
    while not upgrade.done():
        async for one in ask(stage):
            asked.append(one)
            if upgrade.done():
                break
    stage.report.check("`vecmigrate upgrade` succeeds", found=await upgrade, expected=0)
    stage.console.print("\nMeanwhile:")
    for source in sorted({one.answer.source for one in asked}, reverse=True):
        seconds = [one.seconds for one in asked if one.answer.source == source]
        stage.console.print(
            f"  {len(seconds)} answers from the {source}, {median(seconds) * 1000:.1f} ms each (median)"
        )
    stage.report.check(
        f"none of {len(asked)} answers during the upgrade is wrong",
        found=[one.query.text for one in asked if not one.right],
        expected=[],
    )


async def inspect(stage: Stage, damage: Damage) -> None:
    """Show where the database stands and what was set aside; compare with what was put in."""
    stage.report.chapter("3  What the ledger knows", "Where the database stands, and what was set aside.")
    report, redis = stage.report, stage.redis
    for command in ("status", "rejects"):
        report.check(f"`vecmigrate {command}` succeeds", found=await vecmigrate(stage, command), expected=0)
        stage.console.print()
    for kind, index, expected in (
        ("tools", TOOL_EMB_INDEX, len(stage.corpus.tools)),
        ("skills", SKILL_EMB_INDEX, len(stage.corpus.skills)),
    ):
        count = await redisearch_index_doc_count(redis, index)
        report.check(f"all {expected} sound {kind} are in the index", found=count, expected=expected)
    damaged = [
        *((TOOLS.embeddings_key, name) for name in damage.tools),
        *((SKILLS.embeddings_key, name) for name in damage.skills),
        (TOOLS.metadata_key, legacy_deployment.TOOL_WITH_CUT_METADATA),
    ]
    report.check(
        f"exactly the {len(damaged)} damaged entries are listed as such",
        found=sorted(await rejects(stage)),
        expected=sorted(damaged),
    )
    tool = await get_tool(redis, legacy_deployment.TOOL_WITH_CUT_METADATA)
    report.check(
        "a tool whose metadata was cut off keeps its name",
        found=tool and tool["metadata"],
        expected={"name": legacy_deployment.TOOL_WITH_CUT_METADATA},
    )
    skill = await get_skill(redis, legacy_deployment.SKILL_WITHOUT_METADATA)
    report.check(
        "a skill without metadata keeps its id",
        found=skill and skill["metadata"],
        expected={"skill_id": legacy_deployment.SKILL_WITHOUT_METADATA},
    )


async def store_categories(stage: Stage) -> None:
    """Store the categories of commands: new data, written by the generated helpers."""
    stage.report.chapter(
        "4  New data through the generated helpers",
        "The guard's categories were in no legacy hash. Until they are stored it says that it cannot check.",
    )
    judgement = await judge_command(stage.redis, stage.of(stage.corpus.command_queries[0]))
    stage.report.check(
        "the guard says when it cannot check", found=judgement.verdict, expected=Verdict.UNCHECKED
    )
    embeddings = stage.embeddings
    dangerous: list[DangerousCmdItem] = [
        {
            "category_id": category.category_id,
            "centroid": embeddings.dangerous[category.category_id],
            "metadata": category.metadata,
        }
        for category in stage.corpus.dangerous
    ]
    benign: list[BenignTechItem] = [
        {
            "category_id": category.category_id,
            "centroid": embeddings.benign[category.category_id],
            "metadata": category.metadata,
        }
        for category in stage.corpus.benign
    ]
    for name, count, stored in (
        (
            "store_many_dangerous_cmds",
            len(dangerous),
            await store_many_dangerous_cmds(stage.redis, dangerous),
        ),
        ("store_many_benign_tech", len(benign), await store_many_benign_tech(stage.redis, benign)),
    ):
        stage.console.print(f"  {name}: {stored['stored']} stored, {len(stored['failed'])} failed")
        stage.report.check(f"{name} stores {count} categories", found=stored["stored"], expected=count)


async def route(stage: Stage) -> None:
    """Route the labelled requests; hold the answers against the labels and against an exact search."""
    stage.report.chapter(
        "5  Routing requests",
        "✓: the best match is what a person would have chosen; otherwise that is named.",
    )
    table = Table("", "request", "best match", "score", "expected", box=box.SIMPLE_HEAD)
    right = possible = 0
    sources = Counter[str]()
    differing: list[str] = []
    async for one in ask(stage):
        best, expected = one.answer.best, one.query.expected
        hit = best is not None and best.name == expected
        right += hit
        possible += one.exact.name == expected and one.exact.score >= MIN_SCORE
        sources[one.answer.source] += 1
        if not one.right:
            differing.append(one.query.text)
        found = (best.name, f"{best.score:.2f}") if best else ("nothing", "")
        table.add_row(mark(hit), escape(one.query.text), *found, "" if hit else expected)
    stage.console.print(table)
    total = sources.total()
    stage.console.print(f"{right} of {total} right ({right / total:.0%}).")
    stage.report.check("every answer comes from the index", found=dict(sources), expected={"index": total})
    stage.report.check("every best match and score is that of an exact search", found=differing, expected=[])
    stage.report.check(
        f"{right} of {total} requests are routed as labelled, as many as the embeddings allow",
        found=right,
        expected=possible,
    )

    classifier = ToolClassifier(stage.redis, always=ALWAYS_OFFERED)
    answer = await classifier.classify(stage.of(stage.corpus.tool_queries[0]), top_k=3)
    stage.console.print(
        f"Always offered, by the prefixes {', '.join(ALWAYS_OFFERED)}: {', '.join(answer.always)}"
    )
    stage.report.check(
        "name prefixes stand for all tools that begin so",
        found=list(answer.always),
        expected=sorted(tool.name for tool in stage.corpus.tools if tool.name.startswith(ALWAYS_OFFERED)),
    )


async def guard(stage: Stage) -> None:
    """Judge the labelled commands."""
    stage.report.chapter(
        "6  Guarding commands",
        "Flagged if it resembles a dangerous category, cleared if it resembles a benign one clearly more.",
    )
    table = Table(
        "", "command", "verdict", "most like (dangerous)", "most like (benign)", box=box.SIMPLE_HEAD
    )
    right = possible = 0
    differing: list[str] = []
    for query in stage.corpus.command_queries:
        embedding = stage.of(query)
        judgement = await judge_command(stage.redis, embedding)
        exact = decide(
            nearest(stage.embeddings.dangerous, embedding), nearest(stage.embeddings.benign, embedding)
        )
        if judgement.verdict is not exact.verdict:
            differing.append(query.text)
        should_flag = query.expected == "dangerous"
        hit = judgement.needs_approval() == should_flag
        right += hit
        possible += exact.needs_approval() == should_flag
        colour = "red" if judgement.needs_approval() else "green"
        likes = (
            f"{match.score:.2f} {match.name}" if match else ""
            for match in (judgement.dangerous, judgement.benign)
        )
        table.add_row(mark(hit), escape(query.text), f"[{colour}]{judgement.verdict}[/]", *likes)
    stage.console.print(table)
    total = len(stage.corpus.command_queries)
    stage.report.check("every verdict is that of an exact search", found=differing, expected=[])
    stage.report.check(
        f"{right} of {total} commands are judged as labelled, as many as the embeddings allow",
        found=right,
        expected=possible,
    )


async def upgrade_again(stage: Stage) -> None:
    """Run the upgrade once more; it must change nothing."""
    stage.report.chapter("7  A second upgrade", "As the next deploy will run it.")
    before = await contents(stage.redis)
    stage.report.check("a second upgrade succeeds", found=await vecmigrate(stage, "upgrade"), expected=0)
    stage.report.check("it changes nothing", found=await contents(stage.redis), expected=before)


async def retire_a_tool(stage: Stage) -> None:
    """Withdraw a tool: the update stores what there is and prunes the rest, the damaged entries too."""
    stage.report.chapter(
        "8  Day to day", f"update_tool_embeddings, after the tool {RETIRED_TOOL} was withdrawn."
    )
    items: list[ToolItem] = [
        {"tool_name": tool.name, "centroid": stage.embeddings.tools[tool.name], "metadata": tool.metadata}
        for tool in stage.corpus.tools
        if tool.name != RETIRED_TOOL
    ]
    update = await update_tool_embeddings(stage.redis, items)
    stage.console.print(f"  {update.stored} stored, {len(update.failed)} failed")
    stage.console.print(f"  pruned: {', '.join(update.pruned)}")
    expected = sorted(item["tool_name"] for item in items)
    stage.report.check(
        "only the tools that exist are stored", found=await scan_tool_names(stage.redis), expected=expected
    )
    left = set(await legacy_names(stage.redis, TOOLS)) - set(expected)
    stage.report.check("orphans are gone from the legacy hash too", found=left, expected=set())


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
