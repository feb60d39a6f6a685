"""What the generator promises of its output, for the committed package and for random specs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.generated import COMMITTED, ROOT, a_spec, committed_specs, import_package
from tests.strategies import specs
from vecmigrate import __version__
from vecmigrate.codegen.generate import check_package, generate_package, write_package
from vecmigrate.errors import CodegenError
from vecmigrate.spec.build import spec_from_mapping, spec_to_mapping
from vecmigrate.spec.load import load_specs
from vecmigrate.spec.model import IndexSpec

# What the reference module offers, with its parameters; everything else is beyond it.
REFERENCE = {
    "embedding_to_blob": "vec",
    "store_tool_embedding_hash": "redis, tool_name, centroid, metadata",
    "delete_tool_embedding_hash": "redis, tool_name",
    "store_skill_embedding_hash": "redis, skill_id, vec, meta",
    "delete_skill_embedding_hash": "redis, skill_id",
    "store_dangerous_cmd_embedding_hash": "redis, category_id, centroid, metadata",
    "delete_dangerous_cmd_embedding_hash": "redis, category_id",
    "store_benign_tech_embedding_hash": "redis, category_id, centroid, metadata",
    "delete_benign_tech_embedding_hash": "redis, category_id",
    "knn_search_tools": "redis, query_embedding, *, knn_k, ef_runtime=200",
    "knn_search_skills": "redis, query_embedding, *, knn_k, ef_runtime=200",
    "knn_search_dangerous_cmds": "redis, query_embedding, *, knn_k, ef_runtime=200",
    "knn_search_benign_tech": "redis, query_embedding, *, knn_k, ef_runtime=200",
    "redisearch_index_doc_count": "redis, index_name",
    "scan_tool_names": "redis",
    "scan_dangerous_cmd_category_ids": "redis",
    "scan_benign_tech_category_ids": "redis",
    "migrate_legacy_tool_hashes_to_redisearch": "redis, *, embeddings_key, metadata_key",
    "migrate_legacy_skill_hashes_to_redisearch": "redis, *, embeddings_key, metadata_key",
}


def run(*words: object, cwd: Path = ROOT) -> None:
    """Run a tool of this environment; its output is the failure."""
    done = subprocess.run(
        [sys.executable, "-m", *map(str, words)], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """The parameters of a function without their types."""
    bare = ast.parse(f"def f({ast.unparse(function.args)}): ...").body[0]
    assert isinstance(bare, ast.FunctionDef)
    for argument in (*bare.args.args, *bare.args.kwonlyargs):
        argument.annotation = None
    return ast.unparse(bare.args)


def functions(file: Path) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    return {
        node.name: node
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_the_committed_package_is_what_the_specs_give():
    files = generate_package(committed_specs(), package=COMMITTED.name)
    assert check_package(COMMITTED, files) == ""


def test_the_order_of_the_specs_does_not_matter():
    ordered = committed_specs()
    assert generate_package(ordered, package="p") == generate_package(ordered[::-1], package="p")


@pytest.mark.parametrize("width", [88, 100, 110, 120])
def test_the_committed_package_is_formatted_whatever_the_line_length(width: int):
    run("ruff", "format", "--check", "--diff", "--config", f"line-length={width}", COMMITTED)


def test_the_committed_package_passes_this_repositorys_lint():
    run("ruff", "check", COMMITTED)


def test_the_committed_package_is_strictly_typed():
    run("mypy", "--strict", COMMITTED)


@pytest.mark.parametrize("name", [name for name in REFERENCE if name != "embedding_to_blob"])
@pytest.mark.parametrize("folder", [".", "sync"])
def test_parameters_are_those_of_the_reference(folder: str, name: str):
    if name == "redisearch_index_doc_count":
        file, own = "_core.py", name if folder == "." else f"{name}_blocking"
    else:
        spec = next(spec for spec in committed_specs() if f"_{spec.name}" in name)
        file, own = f"{folder}/_{spec.name}.py", name
    function = functions(COMMITTED / file)[own]
    assert isinstance(function, ast.AsyncFunctionDef) == (folder == ".")
    given_parameters = parameters(function)
    # Filters, time limits and a time to live stand behind what the reference has, and may be left out.
    extra = given_parameters.removeprefix(REFERENCE[name]).replace(", *", "")
    assert given_parameters.startswith(REFERENCE[name])
    assert not extra or (name.startswith(("knn", "store")) and extra.count("=") == extra.count(","))


def test_the_package_and_its_blocking_twin_offer_the_same_functions():
    package = import_package(COMMITTED)
    twin = package.sync
    offered = {name for name in package.__all__ if callable(getattr(package, name))}
    assert set(REFERENCE) <= offered
    assert {name for name in offered if name[0].islower()} == {
        name for name in twin.__all__ if name[0].islower()
    }


def test_every_function_and_class_has_a_docstring():
    for file in COMMITTED.rglob("*.py"):
        tree = ast.parse(file.read_text())
        assert ast.get_docstring(tree), file
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                assert ast.get_docstring(node), f"{file.name}: {node.name}"


def test_the_header_names_the_spec_and_a_hash_that_comments_do_not_change(tmp_path: Path):
    first, second = tmp_path / "a" / "tool.yaml", tmp_path / "b" / "tool.yaml"
    text = (ROOT / "specs" / "tool.yaml").read_text()
    for path, content in ((first, text), (second, f"# Another comment.\n\n{text}")):
        path.parent.mkdir()
        path.write_text(content)
    one, other, third = (
        generate_package(load_specs([path]).specs, package="p")["_tool.py"].splitlines()
        for path in (first, second, ROOT / "specs" / "tool.yaml")
    )
    assert third[0] == f"# Generated by vecmigrate {__version__} from specs/tool.yaml, sha256:"
    assert one[1] == other[1] == third[1]
    assert one[2:] == other[2:] == third[2:]


def test_the_hash_changes_with_the_spec():
    spec = committed_specs()[0]
    mapping = spec_to_mapping(spec)
    mapping["description"] = "Something else."
    changed = spec_from_mapping(mapping)
    hashes = {
        generate_package([item], package="p")[f"_{spec.name}.py"].splitlines()[1] for item in (spec, changed)
    }
    assert len(hashes) == 2


def test_no_path_of_this_machine_gets_into_the_output(tmp_path: Path):
    path = tmp_path / "specs" / "tool.yaml"
    path.parent.mkdir()
    path.write_text((ROOT / "specs" / "tool.yaml").read_text())
    files = generate_package(load_specs([path]).specs, package="p")
    assert not any(str(tmp_path) in text for text in files.values())


def test_no_specs_is_an_error():
    with pytest.raises(CodegenError, match="no specs"):
        generate_package([], package="p")


def test_names_that_two_specs_share_are_an_error():
    helpers = {"scan": {"name": "scan_all"}}
    with pytest.raises(CodegenError, match="scan_all"):
        generate_package([a_spec("a", helpers=helpers), a_spec("b", helpers=helpers)], package="p")


def test_a_spec_named_like_the_shared_module_gets_a_module_of_its_own(tmp_path: Path):
    directory = tmp_path / "awkward_names"
    names = ("core", "each", "sync", "run", "init", "importlib")
    files = generate_package([a_spec(name) for name in names], package=directory.name)
    assert {"_core.py", "_core_.py", "_each.py", "_sync.py"} <= set(files)
    write_package(directory, files)
    package = import_package(directory)
    assert (package.CORE_PREFIX, package.EACH_PREFIX) == ("core:", "each:")
    assert package.sync.store_sync.__module__ == "awkward_names.sync._sync"


def test_a_change_of_a_spec_changes_its_own_files_only():
    before = [a_spec(name, embedding={"type": "vector", "dims": 3}) for name in ("cat", "dog")]
    old = generate_package(before, package="p")
    embedding = {"type": "vector", "dims": 3}
    changes: list[dict[str, Any]] = [
        {"embedding": {"type": "vector", "dims": 8}},
        {"embedding": {**embedding, "metric": "l2", "datatype": "float16", "ef_runtime": 99}},
        {"embedding": embedding, "tags": {"type": "tag"}, "meta": {"type": "json"}},
        {"embedding": embedding, "image": {"type": "vector", "dims": 2}},
    ]
    for fields in changes:
        new = generate_package([before[0], a_spec("dog", **fields)], package="p")
        changed = {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
        # A second vector has searches of its own, which is what the package shows.
        shown = {"__init__.py", "sync/__init__.py"} if "image" in fields else set()
        assert changed == {"_dog.py", "sync/_dog.py", *shown}


def test_the_shared_module_is_the_same_whatever_the_specs():
    files = [
        generate_package([spec], package="p")["_core.py"]
        for spec in (a_spec(), a_spec("other", storage="json", tags={"type": "tag"}))
    ]
    assert files[0] == files[1]


def test_vectors_have_functions_and_constants_of_their_own(tmp_path: Path):
    directory = tmp_path / "two_sizes"
    large = a_spec("large", embedding={"type": "vector", "dims": 8}, helpers={"constant": "BIG"})
    write_package(directory, generate_package([a_spec("small"), large], package=directory.name))
    package = import_package(directory)
    assert (package.SMALL_VECTOR_DIM, package.BIG_VECTOR_DIM) == (3, 8)
    assert len(package.small_embedding_to_blob([1, 2, 3])) == 12
    assert len(package.sync.large_embedding_to_blob(range(8))) == 32
    assert not hasattr(package, "embedding_to_blob")


@pytest.mark.parametrize(
    ("prefix", "constant"),
    [
        ("item:", "ITEM"),
        ("item_emb:", "ITEM_EMB"),
        ("items:", "ITEM"),
        ("app:item:", "ITEM"),
        ("item_é:", "ITEM"),
        ("item", "ITEM"),
    ],
)
def test_names_of_constants_come_from_the_prefix_or_the_name(prefix: str, constant: str):
    mapping = spec_to_mapping(a_spec())
    mapping["index"]["prefix"] = prefix
    text = generate_package([spec_from_mapping(mapping)], package="p")["_item.py"]
    assert f"{constant}_PREFIX: Final = " in text


def test_only_the_functions_that_are_wanted_are_generated(tmp_path: Path):
    directory = tmp_path / "wanted"
    some = a_spec("some", helpers={"generate": ["knn", "store"]}, meta={"type": "json"})
    other = a_spec("other", helpers={"generate": ["scan"]}, image={"type": "vector", "dims": 2})
    write_package(directory, generate_package([some, other], package=directory.name))
    package = import_package(directory)
    shown = {name for name in package.__all__ if not name.isupper()}
    shared = {
        "SearchTimeout",
        "SearchWarning",
        "StoreFailure",
        "StoreReport",
        "Vector",
        "Where",
        "sync",
        "redisearch_index_doc_count",
    }
    wanted = {"SomeFields", "SomeHit", "SomeItem", "store_some", "knn_search_somes", "scan_other_ids"}
    assert shown == shared | wanted
    assert set(package.sync.__all__) == (wanted | {"StoreReport", "redisearch_index_doc_count"})
    run("ruff", "check", "--isolated", directory)
    run("ruff", "format", "--check", "--diff", directory)
    run("mypy", "--strict", directory.name, cwd=tmp_path)


NASTY = "\"\"\"\\ ''' {x} {{ y }} {% z %} # %s \u2028 \t end\\"


def test_texts_of_a_spec_stay_texts(tmp_path: Path):
    spec = spec_from_mapping(
        {
            "version": 1,
            "name": "item",
            "description": NASTY.replace("\u2028", " "),
            "index": {"name": "i\"d'x{}\\", "prefix": "p*?[a]\\'\"{}:"},
            "key": "item_id",
            "fields": {
                "body": {"type": "text", "path": "a \"b' {c}\\", "default": 'quo"te\\', "from": "argument"},
                "embedding": {"type": "vector", "dims": 3},
            },
            "helpers": {"migrate_legacy": {"name": "migrate_items"}},
        }
    )
    directory = tmp_path / "nasty_texts"
    write_package(directory, generate_package([spec], package=directory.name))
    run("ruff", "format", "--check", "--diff", directory)
    package = import_package(directory)
    assert spec.index.name == package.ITEM_INDEX
    assert spec.prefix == package.ITEM_PREFIX
    module = sys.modules[f"{directory.name}._item"]
    assert next(module.INDEX.scans)[0] == "p\\*\\?\\[a\\]\\\\'\"{}:*"
    assert spec_to_mapping(spec) == module.SPEC
    (command,) = module.encode_item({"item_id": "k", "embedding": [1, 2, 3]})
    assert command[command.index(b"a \"b' {c}\\") + 1] == b'quo"te\\'


# Names that generated code uses itself, at the top of a module or within a function.
AWKWARD = (
    *("Any", "np", "npt", "json", "Vector", "Mapping", "Sequence", "Command", "TagFilter", "RedisError"),
    *(
        "INDEX",
        "KEY_PREFIX",
        "_core",
        "_item",
        "_pipelined",
        "logger",
        "importlib",
        "itertools",
        "store_command",
    ),
    *("command", "commands", "reply", "replies", "filters", "params", "query", "key", "fields", "metadata_"),
    *("work", "items", "hits", "document", "limit_", "vec", "sum", "map", "print", "id", "type", "object"),
    *("query_embeddings", "embedding_to_blob", "embedding_by_image"),
)


def test_fields_may_be_called_like_anything_in_the_generated_code(tmp_path: Path):
    kinds = ("tag", "numeric", "text", "json")
    for shift in range(len(kinds)):
        fields = {
            name: {"type": kinds[(number + shift) % len(kinds)], "from": "argument"}
            for number, name in enumerate(AWKWARD)
        }
        spec = a_spec(
            **fields,
            meta={"type": "json", "from": "metadata"},
            embedding={"type": "vector", "dims": 3},
            image={"type": "vector", "dims": 2, "metric": "l2"},
        )
        write_package(tmp_path / f"awkward_{shift}", generate_package([spec], package="awkward"))
    run("mypy", "--strict", *(f"awkward_{shift}" for shift in range(len(kinds))), cwd=tmp_path)
    run("ruff", "format", "--check", "--diff", tmp_path)


def random_specs(count: int) -> list[IndexSpec]:
    found: list[IndexSpec] = []

    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(specs())
    def collect(spec: IndexSpec) -> None:
        found.append(spec)

    collect()
    return found


@pytest.fixture(scope="module")
def random_packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages, one for each of many random specs."""
    folder = tmp_path_factory.mktemp("random")
    for number, spec in enumerate(random_specs(60)):
        directory = folder / f"random_{number}"
        write_package(directory, generate_package([spec], package=directory.name))
    return folder


def test_packages_of_random_specs_are_imported(random_packages: Path):
    for directory in sorted(random_packages.iterdir()):
        package = import_package(directory)
        assert all(hasattr(package, name) for name in package.__all__)


@pytest.mark.parametrize("width", [88, 110])
def test_packages_of_random_specs_are_formatted(random_packages: Path, width: int):
    run("ruff", "format", "--check", "--diff", "--config", f"line-length={width}", random_packages)


def test_packages_of_random_specs_have_nothing_unused(random_packages: Path):
    run("ruff", "check", "--isolated", "--select", "F,I,B,W,E7,E9,RUF022,PLE", random_packages)


def test_packages_of_random_specs_are_strictly_typed(random_packages: Path):
    packages = sorted(path.name for path in random_packages.iterdir() if path.is_dir())
    run("mypy", "--strict", *packages, cwd=random_packages)
