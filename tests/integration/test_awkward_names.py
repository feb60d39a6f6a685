"""One rule for all names: what `validate` accepts gives a package that is imported, typed and works."""

from __future__ import annotations

import builtins
import inspect
import keyword
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import redis.asyncio

from tests.awkward import generated_names, is_accepted, mapping, specs_with_all_fields, specs_with_every_name
from tests.generated import import_package
from vecmigrate.codegen.generate import generate_package, write_package
from vecmigrate.search.ddl import ft_create

# All of it is about the generator, which no server changes; once is enough.
pytestmark = pytest.mark.embedded

NAME = "awkward_package"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package whose specs use every name that generated code uses, for everything that a spec names."""
    folder = tmp_path_factory.mktemp("names") / NAME
    specs = [*specs_with_every_name(), *specs_with_all_fields()]
    write_package(folder, generate_package(specs, package=NAME))
    return folder


@pytest.fixture
def server(emptied_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(emptied_url) as client:
        yield client


def test_few_names_are_refused():
    """Words of Python and what hides a type in an annotation, dunders, and the keys of results."""
    refused = {name for name in generated_names() if not is_accepted(mapping(0, {"second": name}))}
    others = {name for name in refused if not (keyword.iskeyword(name) or name.startswith("__"))}
    assert {name for name in others if not hasattr(builtins, name)} <= {"metadata", "redis"}


@pytest.mark.parametrize("words", ["mypy --strict", "ruff check --isolated", "ruff format --check --diff"])
def test_packages_with_awkward_names_are_typed_and_tidy(directory: Path, words: str):
    done = subprocess.run(
        [sys.executable, "-m", *words.split(), NAME],
        cwd=directory.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


async def test_helpers_with_awkward_names_work(directory: Path, server: redis.Redis, emptied_url: str):
    package = import_package(directory)
    blocking = package.sync
    async with redis.asyncio.Redis.from_url(emptied_url) as client:
        for number, spec in enumerate(specs_with_every_name()):
            server.execute_command(*ft_create(spec))
            helpers = spec.helpers
            first, second, metadata = [1.0, 0.5], [0.5, 1.0], {"colour": "red"}
            store = getattr(blocking, helpers.store)
            # Whatever name the parameter was given in the end.
            (other,) = (
                parameter.name
                for parameter in inspect.signature(store).parameters.values()
                if parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty
            )
            store(server, "a", first, metadata, **{other: second})
            await getattr(package, helpers.store)(client, "b", first, metadata, **{other: second})
            assert getattr(blocking, helpers.scan)(server) == ["a", "b"], spec
            for found in (
                getattr(blocking, helpers.knn)(server, [1, 0.5], knn_k=2),
                await getattr(package, helpers.knn)(client, [1, 0.5], knn_k=2),
                getattr(blocking, f"{helpers.range}_by_{spec.vectors[1].name}")(
                    server, [0.5, 1], min_score=0.9
                ),
            ):
                assert sorted(hit[spec.key] for hit in found) == ["a", "b"], spec
                assert found[0]["metadata"] == metadata
                assert found[0]["score"] == pytest.approx(1)
            for document in (
                getattr(blocking, helpers.get)(server, "a"),
                await getattr(package, helpers.get)(client, "a"),
            ):
                assert document[spec.key] == "a", spec
                assert document[spec.vectors[0].name].tolist() == first
                assert document[spec.vectors[1].name].tolist() == second
            getattr(blocking, helpers.delete)(server, "a")
            await getattr(package, helpers.delete)(client, "b")
            assert server.dbsize() == 0, (number, spec)
            server.execute_command("FT.DROPINDEX", spec.index.name)
