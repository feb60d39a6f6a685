"""Whatever a migration's code raises or returns, no command ends as if all were well."""

from __future__ import annotations

import json

import pytest

from vecmigrate import commands
from vecmigrate.config import load_config
from vecmigrate.errors import PartialError
from vecmigrate.operations.progress import Silent
from vecmigrate.runtime.keys import LedgerKeys

KEYS = LedgerKeys("default")
ENDS = [
    "sys.exit(0)",
    "sys.exit()",
    "raise SystemExit",
    "exit()",
    "raise GeneratorExit",
    "raise KeyboardInterrupt",
    "raise type('Mine', (KeyboardInterrupt,), {})('mine')",
    "raise asyncio.CancelledError",
    "raise type('Mine', (BaseException,), {})('mine')",
    "raise BaseExceptionGroup('several', [SystemExit(0)])",
]
TOP = """
import asyncio, sys

def ends(*_):
    {}

def works(client, progress, cursor):
    client.set("done", 1)
"""
SPEC = """
version: 1
name: cat
index: {name: "idx:cat", prefix: "cat:"}
key: cat_id
fields: {embedding: {type: vector, dims: 2}}
"""
LOADING = [
    ["upgrade"],
    ["upgrade", "--dry-run"],
    ["downgrade", "base"],
    ["status"],
    ["check"],
    ["revision", "--autogenerate", "-m", "x"],
]


def line_of(path, text):
    return next(n for n, line in enumerate(path.read_text().splitlines(), 1) if line.strip() == text)


@pytest.mark.parametrize("ends", ENDS)
class TestEnds:
    def test_a_function_leaves_the_step_partial(self, project, client, ends):
        path = project.script("a1", "op.run(ends, undo=works)", top=TOP.format(ends))
        ran = project("upgrade")
        assert (ran.code, ran.out) == (6, "")
        assert f"(at migrations/a1.py:{line_of(path, ends)})" in ran.last
        assert "Traceback" not in ran.err
        status = project("status", "--format", "json").json
        assert [item["status"] for item in status["partial"]] == ["partial"]
        assert status["lease"] is None

    def test_undo_leaves_it_reverting(self, project, client, ends):
        project.script("a1", "op.run(works, undo=ends)", top=TOP.format(ends))
        assert project("upgrade").code == 0
        ran = project("downgrade", "base")
        assert (ran.code, ran.out) == (6, "")
        assert "(at migrations/a1.py:" in ran.last
        assert project("status", "--format", "json").json["partial"][0]["status"] == "reverting"

    @pytest.mark.parametrize("words", LOADING, ids=" ".join)
    def test_a_script_that_is_recorded(self, project, client, ends, words):
        (project.folder / "specs").mkdir()
        (project.folder / "specs" / "cat.yaml").write_text(SPEC)
        path = project.script("a1", ends, top="import asyncio, sys")
        ran = project(*words)
        if words == ["status"] and ran.code == 0:
            return  # it needs to load no script
        if words[0] == "downgrade" and ran.code == 0:
            return  # likewise, with nothing applied
        assert ran.code in (1, 3), (ran.out, ran.err)
        assert f"migrations/a1.py:{line_of(path, ends)}: " in ran.out + ran.err
        assert "Traceback" not in ran.err
        assert client.hgetall(KEYS.lease) == {}

    def test_a_script_that_is_loaded(self, project, client, ends):
        path = project.script("a1", "pass", top=f"import asyncio, sys\n{ends}")
        ran = project("upgrade")
        assert (ran.code, ran.out) == (1, "")
        assert f"migrations/a1.py:{line_of(path, ends)}: " in ran.last

    def test_downgrade(self, project, client, ends):
        project.script("a1", "pass", downgrade=ends, top="import asyncio, sys")
        assert project("upgrade").code == 0
        ran = project("downgrade", "base")
        assert (ran.code, ran.out) == (1, "")
        assert "migrations/a1.py:" in ran.last
        assert project("current").out.startswith("a1")


UNFINISHED = {
    "async def": "async def work(client, progress, cursor):\n    pass",
    "generator": "def work(client, progress, cursor):\n    yield",
    "async generator": "async def work(client, progress, cursor):\n    yield",
    "partial": "import functools\nasync def own(a, client, progress, cursor):\n    pass\n"
    "work = functools.partial(own, 1)",
    "object": "class Work:\n    async def __call__(self, *arguments):\n        pass\nwork = Work()",
    "number": "work = 5",
    "nothing": "work = None",
    "too few": "def work(client):\n    pass",
    "too many": "def work(client, progress, cursor, more):\n    pass",
    "keyword": "def work(client, progress, cursor, *, more):\n    pass",
}
RETURNED = {
    "lambda": "async def own(c):\n    pass\nwork = lambda client, progress, cursor: own(client)",
    "wrapper": "async def own(c):\n    pass\ndef work(client, progress, cursor):\n    return [own(client)]",
    "scan": "def work(client, progress, cursor):\n    return client.scan_iter()",
    "map": "def work(client, progress, cursor):\n    return map(client.delete, ['k'])",
}


@pytest.mark.parametrize("top", UNFINISHED.values(), ids=UNFINISHED)
@pytest.mark.parametrize("body", ["op.run(work)", "op.run(int, undo=work)"])
def test_functions_that_cannot_work_are_refused_when_recorded(project, client, top, body):
    if top == UNFINISHED["nothing"] and "undo" in body:
        return  # no undo
    before = project.script("a1", body.replace("int", "lambda client, progress, cursor: None"), top=top)
    ran = project("upgrade")
    assert (ran.code, ran.out) == (1, "")
    assert f"migrations/{before.name}:" in ran.last
    assert "expected a function that is called with client, progress and cursor" in ran.last
    assert not client.exists(KEYS.revisions)


@pytest.mark.parametrize("top", RETURNED.values(), ids=RETURNED)
@pytest.mark.filterwarnings("error")
def test_work_that_was_not_done_fails_the_step(project, top):
    project.script("a1", "op.run(work)", top=top)
    ran = project("upgrade")
    assert (ran.code, ran.out) == (6, "")
    assert "so its work was not done" in ran.last
    assert "(at migrations/a1.py:" in ran.last
    assert "never awaited" not in ran.err


def test_the_plain_function_that_the_hint_asks_for_works(project, client, emptied_url):
    top = f"""
    import asyncio
    import redis.asyncio

    async def own():
        async with redis.asyncio.Redis.from_url({emptied_url!r}) as client:
            await client.set("done", 1)

    def work(client, progress, cursor):
        asyncio.run(own())
    """
    project.script("a1", "op.run(work)", top=top)
    assert project("upgrade").code == 0
    assert client.get("done") == b"1"


@pytest.mark.parametrize("kind", ["async def {}(op):\n    pass", "def {}(op):\n    yield", "{} = 5"])
@pytest.mark.parametrize("name", ["upgrade", "downgrade"])
def test_upgrade_and_downgrade_are_plain_functions(project, kind, name):
    path = project.script("a1", "op.run(lambda client, progress, cursor: None)", downgrade="pass")
    path.write_text(path.read_text() + "\n\n" + kind.format(name) + "\n")
    codes = [project("upgrade").code, project("downgrade", "base").code]
    ran = project(name, *(["base"] if name == "downgrade" else []))
    assert 1 in codes or ran.code == 1
    if ran.code:
        assert "migrations/a1.py:" in ran.last


@pytest.mark.parametrize("kind", ["async def all(op):\n    pass", "def all(op):\n    yield", "all = 5"])
def test_what_revert_is_given_likewise(project, kind):
    project.script("a1", "pass", downgrade="op.revert(all)", top=kind)
    assert project("upgrade").code == 0
    ran = project("downgrade", "base")
    assert (ran.code, ran.out) == (1, "")
    assert "migrations/a1.py:" in ran.last


@pytest.mark.parametrize("error", [SystemExit(0), GeneratorExit(), RuntimeError("x")])
@pytest.mark.parametrize("method", ["message", "start", "advance", "finish"])
def test_a_progress_callback(project, client, emptied_url, error, method):
    top = """
    def work(client, progress, cursor):
        progress.start("work", 1)
        progress.advance(1)
        progress.finish("done")
    """
    project.script("a1", "op.run(work)", top=top)

    class Listener(Silent):
        pass

    def fails(self, *_args, **_counts):
        raise error

    setattr(Listener, method, fails)
    from vecmigrate.errors import VecmigrateError

    with commands.open_session(load_config(project.folder / "vecmigrate.toml")) as session:
        with pytest.raises(VecmigrateError, match=type(error).__name__) as caught:
            commands.upgrade(session, progress=Listener())
        if method != "message":
            assert isinstance(caught.value, PartialError)
    assert client.hgetall(KEYS.lease) == {}
    record = json.loads(client.hget(KEYS.revisions, "a1"))
    assert record["status"] in ("partial", "running")
    assert project("upgrade").code == 0
