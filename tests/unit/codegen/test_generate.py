"""What the generator promises of its output, for the committed package and for random specs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.generated import COMMITTED, ROOT, a_spec, committed_specs, import_package
from tests.strategies import specs
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
@pytest.mark.parametrize("file", ["_aio.py", "sync.py"])
def test_parameters_are_those_of_the_reference(file: str, name: str):
    function = functions(COMMITTED / file)[name]
    assert isinstance(function, ast.AsyncFunctionDef) == (file == "_aio.py")
    given_parameters = parameters(function)
    # Filters stand behind what the reference has, and may be left out.
    extra = given_parameters.removeprefix(REFERENCE[name])
    assert given_parameters.startswith(REFERENCE[name])
    assert not extra or (name.startswith("knn") and extra.count("=None") == extra.count(","))


def test_the_package_and_its_blocking_twin_offer_the_same_functions():
    package = import_package(COMMITTED)
    twin = package.sync
    offered = {name for name in package.__all__ if callable(getattr(package, name))}
    assert set(REFERENCE) <= offered
    assert {name for name in offered if name[0].islower()} == {
        name for name in twin.__all__ if name[0].islower()
    }


def test_every_function_and_class_has_a_docstring():
    for file in COMMITTED.glob("*.py"):
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
    assert third[0] == "# Generated by vecmigrate from specs/tool.yaml, sha256:"
    assert one[1] == other[1] == third[1]
    assert one[2:] == other[2:] == third[2:]


def test_the_hash_changes_with_the_spec():
    spec = committed_specs()[0]
    mapping = spec_to_mapping(spec)
    mapping["description"] = "Something else."
    changed = spec_from_mapping(mapping)
    hashes = {generate_package([item], package="p")["_core.py"].splitlines()[1] for item in (spec, changed)}
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


def test_specs_named_like_the_shared_modules_get_modules_of_their_own(tmp_path: Path):
    directory = tmp_path / "awkward_names"
    files = generate_package([a_spec("core"), a_spec("aio")], package=directory.name)
    assert {"_core.py", "_core_.py", "_aio.py", "_aio_.py"} <= set(files)
    write_package(directory, files)
    assert import_package(directory).CORE_EMB_PREFIX == "core:"


def test_vectors_of_different_kinds_have_functions_of_their_own(tmp_path: Path):
    directory = tmp_path / "two_sizes"
    large = a_spec("large", embedding={"type": "vector", "dims": 8})
    write_package(directory, generate_package([a_spec("small"), large], package=directory.name))
    package = import_package(directory)
    assert (package.SMALL_EMB_VECTOR_DIM, package.LARGE_EMB_VECTOR_DIM) == (3, 8)
    assert len(package.small_embedding_to_blob([1, 2, 3])) == 12
    assert len(package.large_embedding_to_blob(range(8))) == 32
    assert not hasattr(package, "embedding_to_blob")


def test_nothing_is_generated_that_no_spec_needs():
    plain = generate_package([a_spec(embedding={"type": "vector", "dims": 3})], package="p")["_core.py"]
    for word in ("import json", "encode_tags", "json_tags", "encode_vectors", "search_radius_l2"):
        assert word not in plain
    rich = generate_package(
        [a_spec(tags={"type": "tag"}, vec={"type": "vector", "dims": 3, "datatype": "int8", "metric": "l2"})],
        package="p",
    )["_core.py"]
    for word in ("encode_tags", "search_radius_l2"):
        assert word in rich


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
    assert spec.index.name == package.ITEM_EMB_INDEX
    assert spec.prefix == package.ITEM_EMB_PREFIX
    module = sys.modules[f"{directory.name}._item"]
    assert module.KEY_PATTERN == "p\\*\\?\\[a\\]\\\\'\"{}:*"
    assert spec_to_mapping(spec) == module.SPEC
    command = module.store_command("k", [1, 2, 3])
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
