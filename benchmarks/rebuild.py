"""Changing M from 16 to 32 under readers and writers: ours, a bare FT.CREATE, and RedisVL's migrator."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from redisvl.index import SearchIndex
from redisvl.migration.executor import MigrationExecutor
from redisvl.migration.models import FieldUpdate, SchemaPatch, SchemaPatchChanges
from redisvl.migration.planner import MigrationPlanner

from benchmarks.helpers import DIMS, INDEX, PREFIX, SPEC, redisvl_schema, tool_items
from benchmarks.measure import Aim, Comparison, compare_values
from benchmarks.server import Server
from benchmarks.traffic import Seen, under_traffic
from examples.classifiers.redis_vector_index import sync
from vecmigrate.commands.database import Session, open_session
from vecmigrate.commands.kept import complete
from vecmigrate.commands.migrate import downgrade, upgrade
from vecmigrate.config import Config, load_config
from vecmigrate.operations.state import physical_name
from vecmigrate.search import memory
from vecmigrate.search.ddl import ft_create
from vecmigrate.search.reply import is_indexing, parse_info
from vecmigrate.spec.build import spec_to_mapping
from vecmigrate.spec.change import change_spec
from vecmigrate.spec.load import load_specs
from vecmigrate.spec.model import IndexSpec

OURS = "vecmigrate upgrade, verified"
BARE = "bare FT.CREATE"
REDISVL = "rvl migrate apply"
ESTIMATE, MEASURED = "estimated by the memory guard", "measured, in used_memory"

AT_MOST_BARE = 1.10
WITHIN = 0.20
MB = 1024 * 1024
CHANGE = {"embedding": {"m": 32}}

_SCRIPT = '''"""{message}."""

revision = {revision!r}
down_revision = {down!r}


def upgrade(op):
    {body}


def downgrade(op):
    op.revert(upgrade)
'''


@dataclass
class Found:
    """What was measured, by row."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    right: dict[str, list[float]] = field(default_factory=dict)
    told: dict[str, str] = field(default_factory=dict)
    megabytes: dict[str, list[float]] = field(default_factory=dict)

    def note(self, row: str, seconds: float, seen: Seen) -> None:
        """Take one measurement down."""
        self.seconds.setdefault(row, []).append(seconds)
        self.right.setdefault(row, []).append(seen.right)
        self.told[row] = seen.say()


def run(server: Server, *, quick: bool) -> list[Comparison]:
    """Time, answers and memory, over the same documents."""
    count, rounds = (300, 1) if quick else (20_000, 1)
    (spec,) = load_specs([SPEC]).specs
    found = Found()
    sync.store_many_tools(server.client, tool_items(count))
    try:
        with tempfile.TemporaryDirectory() as folder:
            config = _project(Path(folder), spec)
            with open_session(config, redis_url=server.url) as session:
                for _ in range(rounds):
                    _round(server, session, spec, count, found)
                    _redisvl(server, count, found)
    finally:
        server.delete(key.decode() for key in server.client.scan_iter(f"{PREFIX}*", count=1000))
    title = f"M 16 → 32 over {count:,} documents of {DIMS} dimensions, under 2 readers and a writer"
    answers = "; ".join(f"{row}: {told}" for row, told in found.told.items())
    return [
        compare_values(
            "rebuild",
            f"{title}: time",
            found.seconds,
            "s",
            against=[BARE],
            aims=[Aim(OURS, BARE, "at most", AT_MOST_BARE)],
            note="FT.CREATE of the same index until it is scanned; ours also verifies and cuts over",
        ),
        compare_values(
            "rebuild",
            f"{title}: right answers meanwhile",
            found.right,
            "% right",
            against=[BARE],
            aims=[Aim(OURS, BARE, "at least", 1.0)],
            note=f"in the last round, {answers}",
        ),
        compare_values(
            "rebuild",
            f"Memory of the second index, {count:,} documents of {DIMS} dimensions, M 32",
            found.megabytes,
            "MB",
            against=[MEASURED],
            aims=[
                Aim(ESTIMATE, MEASURED, "at least", 1 - WITHIN),
                Aim(ESTIMATE, MEASURED, "at most", 1 + WITHIN),
            ],
        ),
    ]


def _project(folder: Path, spec: IndexSpec) -> Config:
    mapping = spec_to_mapping(spec)
    create = (
        f"op.create_index({spec.name!r}, index={mapping['index']!r}, key={spec.key!r}, "
        f"fields={mapping['fields']!r})"
    )
    change = f"op.rebuild_index({spec.name!r}, **{CHANGE!r})"
    (folder / "migrations").mkdir()
    for revision, down, message, body in (
        ("0001", None, "Create", create),
        ("0002", "0001", "Rebuild", change),
    ):
        text = _SCRIPT.format(message=message, revision=revision, down=down, body=body)
        (folder / "migrations" / f"{revision}.py").write_text(text)
    file = folder / "vecmigrate.toml"
    file.write_text('migrations = "migrations"\n')
    return load_config(file)


def _round(server: Server, session: Session, spec: IndexSpec, count: int, found: Found) -> None:
    """Ours and the bare FT.CREATE, each beside the index that is live."""
    client = server.client
    upgrade(session, "0001")
    found.note(OURS, *_measured(server, count, lambda: upgrade(session, "head")))
    downgrade(session, "0001")
    complete(session)
    wanted = change_spec(spec, CHANGE)
    bare = physical_name(INDEX, "bare")
    live = parse_info(client.execute_command("FT.INFO", INDEX))
    before = int(client.info("memory")["used_memory"])

    def create() -> None:
        client.execute_command(*ft_create(wanted, bare))
        while is_indexing(parse_info(client.execute_command("FT.INFO", bare))):
            time.sleep(0.02)

    found.note(BARE, *_measured(server, count, create))
    used = int(client.info("memory")["used_memory"]) - before
    found.megabytes.setdefault(ESTIMATE, []).append(memory.estimate(wanted, live) / MB)
    found.megabytes.setdefault(MEASURED, []).append(used / MB)
    client.execute_command("FT.DROPINDEX", bare)
    downgrade(session, "base")


def _redisvl(server: Server, count: int, found: Found) -> None:
    """RedisVL's migrator on the same documents, under the name that it gives its index."""
    index = SearchIndex.from_dict(redisvl_schema(), redis_client=server.client)
    index.create(overwrite=True)
    while is_indexing(parse_info(server.client.execute_command("FT.INFO", INDEX))):
        time.sleep(0.02)
    changes = SchemaPatchChanges(update_fields=[FieldUpdate(name="embedding", attrs={"m": 32})])
    plan = MigrationPlanner().create_plan_from_patch(
        INDEX, schema_patch=SchemaPatch(changes=changes), redis_client=server.client
    )

    def apply() -> None:
        with tempfile.TemporaryDirectory() as backup:
            report = MigrationExecutor().apply(plan, redis_client=server.client, backup_dir=backup)
        # While others write, the number of documents is another one afterwards, which it takes for a failure.
        info = parse_info(server.client.execute_command("FT.INFO", INDEX))
        if info["attributes"][-1]["M"] != CHANGE["embedding"]["m"]:
            raise RuntimeError(f"RedisVL did not rebuild the index: {report.result}")

    found.note(REDISVL, *_measured(server, count, apply))
    server.client.execute_command("FT.DROPINDEX", INDEX)


def _measured(server: Server, count: int, work: Callable[[], object]) -> tuple[float, Seen]:
    with under_traffic(server.url, INDEX, PREFIX, count, DIMS) as seen:
        began = time.perf_counter()
        work()
        seconds = time.perf_counter() - began
    return seconds, seen[0]
