"""The real libraries as clients of an index that they made and that vecmigrate takes over.

Each story adopts the index, rebuilds it, lets pods start as they always did, mends what they broke and goes
back, while a pod asks without pause for what it knows. Two ways to live with such clients are told: services
without the right to create indexes, and `alias: false`.

`make coexist` runs this in an environment for each set of libraries that can be installed together. What a
client of this environment lacks is skipped.
"""

from __future__ import annotations

import importlib
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import redis
import yaml

from tests.coexist.clients import (
    CLIENTS,
    COUNTS,
    Client,
    LangChain,
    LangChainCache,
    LangChainFromExisting,
    LangChainWithSchema,
    LlamaIndex,
    RedisOM,
    RedisVL,
    RedisVLCache,
    RedisVLCacheThatMakesNothing,
)
from tests.project import Project, cli_project

__all__ = ["cli_project"]

pytestmark = [pytest.mark.coexist, pytest.mark.timeout(300)]

TEXTS = [f"text {number}" for number in range(60)]
# As docs/adopting.md gives it.
SERVICE = "on >pw ~* &* +@all -ft.create -ft._createifnx -ft.dropindex -ft._dropindexifx -ft.alter"

# Measured; docs/adopting.md says the same in words. Who makes an index where an alias has its name:
HIDES = (RedisVL, RedisVLCache, LangChain, LangChainWithSchema, LangChainCache, LlamaIndex)
# Whose pods, started on an index of another name over the same documents, …
REFUSES = (RedisVLCache, LangChainCache)  # … do not start
FINDS_NOTHING = (LangChain, LangChainFromExisting)  # … find nothing, and say nothing
# Who asks the index behind the alias by its own name, until the next start.
PINNED = (LangChainFromExisting,)


def exactly(kind: type[Client], kinds: tuple[type[Client], ...]) -> bool:
    return any(kind is other for other in kinds)


def installed(kind: type[Client]) -> bool:
    try:
        importlib.import_module(kind.package)
        return kind.works()
    except ImportError:
        return False


@pytest.fixture(params=CLIENTS, ids=lambda kind: kind.__name__)
def kind(request: pytest.FixtureRequest) -> type[Client]:
    if not installed(request.param):
        pytest.skip(f"{request.param.package} is not installed here in a version that can")
    return request.param


@dataclass
class Asking:
    """A pod that asks for every text again and again, in a thread; what went wrong."""

    pod: Client
    asked: int = 0
    wrong: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def __enter__(self) -> Asking:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)
        COUNTS.append(
            (
                type(self.pod).__name__,
                self.asked - len(self.wrong) - len(self.failed),
                self.wrong,
                self.failed,
            )
        )

    def _ask(self) -> None:
        while not self._stop.is_set():
            for text in TEXTS:
                if self._stop.is_set():
                    return
                self.asked += 1
                try:
                    found = self.pod.nearest(text)
                except Exception as error:
                    self.failed.append(f"{type(error).__name__}: {error}")
                else:
                    if found != text:
                        self.wrong.append(f"{text}: {found}")

    def was_right(self) -> None:
        """Assert that it asked, and that every answer was right."""
        assert self.asked > 0
        assert (self.wrong[:3], self.failed[:3]) == ([], [])


class Story:
    """The project and its server, with the index of one kind of client."""

    def __init__(self, project: Project, kind: type[Client], url: str) -> None:
        self.project, self.kind, self.url = project, kind, url
        self.client = redis.Redis.from_url(url)
        self.client.execute_command("ACL", "SETUSER", "service", "reset", *SERVICE.split())
        self.service_url = url.replace("redis://", "redis://service:pw@")
        project.configure('specs = "specs"\n')
        maker = kind.first or kind
        self.maker = maker(url, kind.index)
        self.maker.store(TEXTS)
        self.wait()

    @property
    def spec(self) -> Path:
        (path,) = (self.project.folder / "specs").iterdir()
        return path

    def wait(self, name: str | None = None) -> None:
        """Until the index `name` has every document."""
        for _ in range(600):
            info = self.client.ft(name or self.kind.index).info()
            if not int(info["indexing"]) and int(info["num_docs"]) >= len(TEXTS):
                return
            threading.Event().wait(0.05)
        raise AssertionError(info)

    def run(self, *words: str, code: int = 0) -> str:
        ran = self.project("-q", *words)
        assert ran.code == code, (words, ran.code, ran.out, ran.err)
        return ran.out + ran.err

    def change(self, **index: object) -> None:
        """Change options of the index in the spec, and with `rebuild` something that needs another one."""
        mapping = yaml.safe_load(self.spec.read_text())
        number = index.pop("rebuild", None)
        mapping["index"].update(index)
        for item in mapping["fields"].values():
            if number is not None and item["type"] == "vector":
                # A cache asks for what is within a radius, which a graph over few vectors may miss.
                flat = item["algorithm"] == "flat"
                item.update({"block_size": 64 * number} if flat else {"m": number, "ef_runtime": 200})
        self.spec.write_text(yaml.safe_dump(mapping, sort_keys=False))

    def adopt(self, **index: object) -> None:
        self.run("introspect", self.kind.index, "--name", "doc", "--no-aliases")
        self.change(**index)
        self.revise("take it over", "0001")
        assert "adopted" in self.run("upgrade") or self.indexes() == [self.kind.index]

    def revise(self, message: str, revision: str) -> None:
        self.run("revision", "--autogenerate", "-m", message, "--rev-id", revision)

    def indexes(self) -> list[str]:
        return sorted(name.decode() for name in self.client.execute_command("FT._LIST"))

    def behind(self) -> str:
        return str(self.client.ft(self.kind.index).info()["index_name"])

    def pod(self, name: str | None = None, *, url: str | None = None) -> Client:
        """A pod that starts, under the rights of a service unless `url` says otherwise."""
        return self.kind(url or self.service_url, name or self.kind.index)

    def finds_all(self, pod: Client) -> bool:
        return [pod.nearest(text) for text in TEXTS] == TEXTS


@pytest.fixture
def story(cli_project: Project, kind: type[Client], emptied_url: str):
    made = Story(cli_project, kind, emptied_url)
    yield made
    made.client.execute_command("ACL", "DELUSER", "service")
    made.client.close()


def test_behind_an_alias_services_may_not_create_indexes(story: Story):
    """Adoption, two rebuilds, pods that start in between, and the way back."""
    story.adopt()
    running = story.pod()
    story.change(rebuild=24)
    story.revise("otherwise", "0002")
    with Asking(running) as asking:
        story.run("upgrade")
    if not exactly(story.kind, PINNED):
        asking.was_right()
    live = story.behind()
    assert live != story.kind.index

    # Pods start as they always did.
    if exactly(story.kind, HIDES):
        with pytest.raises(Exception, match="(?i)permission") as raised:
            story.pod()
        print(f"{story.kind.__name__}: does not start: {raised.value}")
        newer = running
    else:
        newer = story.pod()
        assert story.finds_all(newer)
    assert (story.behind(), story.indexes()) == (live, [live])

    story.change(rebuild=32)
    story.revise("otherwise again", "0003")
    with Asking(newer) as asking:
        story.run("upgrade")
        newer.store(["stored meanwhile"])
        story.run("rollback", "doc")
    asking.was_right()
    assert newer.nearest("stored meanwhile") == "stored meanwhile"
    assert story.behind() == live
    # What starts after the rollback finds it as it is.
    if not exactly(story.kind, HIDES):
        assert story.finds_all(story.pod())
    assert story.behind() == live
    story.run("drift")


def test_a_pod_that_may_create_indexes_hides_the_alias_and_heal_mends_it(story: Story):
    story.adopt()
    story.change(rebuild=24)
    story.revise("otherwise", "0002")
    story.run("upgrade")
    live = story.behind()
    pod = story.pod(url=story.url)
    if not exactly(story.kind, HIDES):
        assert story.behind() == live
        story.run("drift")
        return
    assert story.behind() == story.kind.index
    told = story.run("drift", code=3)
    assert repr(story.kind.index) in told
    assert "hides" in told
    # Ours answers whatever is asked of the library's: so it is dropped without a question, documents stay.
    with Asking(pod) as asking:
        assert "hid the alias" in story.run("heal")
    asking.was_right()
    assert (story.behind(), story.indexes()) == (live, [live])
    assert story.finds_all(pod)
    story.run("drift")
    # The next one is mended by `upgrade`, which has nothing else to do.
    story.pod(url=story.url)
    assert story.behind() == story.kind.index
    assert "hid the alias" in story.run("upgrade")
    assert (story.behind(), story.indexes()) == (live, [live])
    assert story.finds_all(pod)
    assert story.run("heal") == "nothing to mend\n"


def test_with_its_own_name_each_release_asks_its_own_index(story: Story):
    """`alias: false`: adoption, a rebuild under a new name, pods of both releases, and the way back."""
    story.adopt(alias=False)
    old, new = story.kind.index, f"{story.kind.index}_2"
    running = story.pod()
    assert story.indexes() == [old]

    story.change(rebuild=24)
    assert f"name: {new}" in story.run("revision", "--autogenerate", "-m", "otherwise", code=3)
    story.change(name=new)
    story.revise("otherwise", "0002")
    with Asking(running) as asking:
        story.run("upgrade")
        assert story.indexes() == [old, new]
        # Pods of the old release start again, pods of both store.
        assert story.finds_all(story.pod())
        running.store(["stored by the old release"])
    asking.was_right()
    story.run("drift")

    if exactly(story.kind, REFUSES):
        with pytest.raises(ValueError, match="schema does not match"):
            story.pod(new)
    elif exactly(story.kind, FINDS_NOTHING):
        assert {story.pod(new).nearest(text) for text in TEXTS} <= {None}
    else:
        newer = story.pod(new)
        assert story.finds_all(newer)
        assert newer.nearest("stored by the old release") == "stored by the old release"
        newer.store(["stored by the new release"])
        assert running.nearest("stored by the new release") == "stored by the new release"
        # A pod with every right makes nothing: it sees the index.
        story.pod(new, url=story.url)
    assert story.indexes() == [old, new]

    with Asking(running) as asking:
        story.run("rollback", "doc")
        assert story.finds_all(story.pod())
    asking.was_right()
    assert old in story.indexes()
    # A pod that starts makes nothing after the way back either.
    story.pod(url=story.url)
    assert story.finds_all(running)


def test_a_changed_model_of_redis_om_drops_what_the_alias_leads_to(story: Story):
    """Unless it has no right to: then it starts, and all stays as it is."""
    if story.kind is not RedisOM:
        pytest.skip("about one client")
    story.adopt()
    story.change(rebuild=24)
    story.revise("otherwise", "0002")
    story.run("upgrade")
    live = story.behind()
    story.client.delete(f"{story.kind.index}:hash")
    assert story.finds_all(story.pod())
    assert story.indexes() == [live]
    story.client.delete(f"{story.kind.index}:hash")
    story.pod(url=story.url)
    assert story.indexes() == [story.kind.index]
    # Documents are there, so ours can be built again.
    assert "was built anew" in story.run("heal")
    assert story.indexes() == [story.behind()] != [story.kind.index]
    story.run("drift")


def test_the_cache_writes_where_its_name_says(story: Story):
    """What a cache with create_index=False stores after a rebuild lies under the new name; both find it."""
    if story.kind is not RedisVLCacheThatMakesNothing:
        pytest.skip("about one client")
    story.adopt(alias=False)
    story.change(rebuild=24, name="llmcache_2")
    story.revise("otherwise", "0002")
    story.run("upgrade")
    pod = story.pod("llmcache_2")
    pod.store(["new"])
    assert any(key.startswith(b"llmcache_2:") for key in story.client.scan_iter("llmcache_2*"))
    assert story.maker.nearest("new") == "new"
