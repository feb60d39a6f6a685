"""`review` on git repositories: a small one made for the purpose, and this one's own history."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
import yaml

from vecmigrate.cli import run

ROOT = Path(__file__).parents[3]
WORKFLOW = ROOT / "docs" / "ci" / "github-actions.yml"

SPEC = """\
version: 1
name: cat
index: {name: "idx:cat", prefix: "cat:"}
key: cat_id
fields:
  label: {type: tag}
  embedding:
    type: vector
    dims: 4
    metric: cosine
    algorithm: hnsw
    m: 16
"""
CREATE = '''\
"""Create the index of cats."""

revision = "0001"
down_revision = None


def upgrade(op):
    op.create_index(
        "cat",
        index={"name": "idx:cat", "prefix": "cat:"},
        key="cat_id",
        fields={
            "label": {"type": "tag"},
            "embedding": {"type": "vector", "dims": 4, "metric": "cosine", "algorithm": "hnsw", "m": 16},
        },
    )


def downgrade(op):
    op.revert(upgrade)
'''
CHANGE = '''\
"""Change it."""

revision = "{revision}"
down_revision = "0001"


def upgrade(op):
    {upgrade}


def downgrade(op):
    {downgrade}
'''
CONFIG = '[tool.vecmigrate]\nspecs = "specs"\nmigrations = "migrations"\noutput = "indexes"\n'


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    def finding(self, code: str) -> dict[str, object]:
        found = [item for item in json.loads(self.out)["findings"] if item["code"] == code]
        assert len(found) == 1, self.out
        return found[0]

    def codes(self) -> list[str]:
        return sorted(item["code"] for item in json.loads(self.out)["findings"])


Vecmigrate = Callable[..., Ran]


@pytest.fixture
def vecmigrate(capsys: pytest.CaptureFixture[str]) -> Vecmigrate:
    def call(*words: str) -> Ran:
        capsys.readouterr()
        code = run(words)
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return call


def git(*words: str) -> str:
    done = subprocess.run(["git", *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(message: str) -> str:
    git("add", "--all")
    git("commit", "--quiet", "--allow-empty", "--message", message)
    return git("rev-parse", "HEAD")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vecmigrate: Vecmigrate) -> Path:
    """A repository on a branch that is as main is: one spec, its migration and its generated code."""
    for name in ("VECMIGRATE_CONFIG", "VECMIGRATE_REDIS_URL", "REDIS_URL", "GIT_DIR", "GIT_WORK_TREE"):
        monkeypatch.delenv(name, raising=False)
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "somebody")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "somebody@example.org")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "specs").mkdir()
    (tmp_path / "migrations").mkdir()
    (tmp_path / "pyproject.toml").write_text(CONFIG)
    (tmp_path / "specs" / "cat.yaml").write_text(SPEC)
    (tmp_path / "migrations" / "0001_create.py").write_text(CREATE)
    assert vecmigrate("generate").code == 0
    git("init", "--quiet", "--initial-branch", "main")
    commit("first")
    git("checkout", "--quiet", "-b", "work")
    return tmp_path


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def script(
    project: Path, upgrade: str, downgrade: str = "op.revert(upgrade)", revision: str = "0002"
) -> Path:
    path = project / "migrations" / f"{revision}_change.py"
    path.write_text(CHANGE.format(revision=revision, upgrade=upgrade, downgrade=downgrade))
    return path


def review(vecmigrate: Vecmigrate, *words: str) -> Ran:
    return vecmigrate("review", "--base", "main", "--format", "json", *words)


def test_nothing_changed(project, vecmigrate):
    done = vecmigrate("review", "--base", "main")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[-2:] == ["unchanged: cat", "no findings"]


def test_a_change_with_all_that_belongs_to_it(project, vecmigrate):
    edit(project / "specs" / "cat.yaml", "m: 16", "m: 32")
    script(project, 'op.rebuild_index("cat", embedding={"m": 32})')
    assert vecmigrate("generate").code == 0
    done = review(vecmigrate, "--fail-on", "info")
    assert (done.code, done.codes()) == (0, [])
    (index,) = json.loads(done.out)["indexes"]
    assert (index["name"], index["type"]) == ("cat", "rebuild")
    (step,) = index["steps"]
    commands = [" ".join(words) for words in step["commands"]]
    assert any(line.startswith("FT.CREATE idx:cat@0002") and "M 32" in line for line in commands)
    assert any(line.startswith("FT.ALIASUPDATE idx:cat idx:cat@0002") for line in commands)
    assert [stage["name"] for stage in index["order"]] == ["expand", "deploy", "contract"]


def test_a_change_with_nothing_that_belongs_to_it(project, vecmigrate):
    edit(project / "specs" / "cat.yaml", "metric: cosine", "metric: ip")
    done = review(vecmigrate)
    assert done.code == 3
    assert done.codes() == ["generated-stale", "metric-changed", "state-differs"]
    assert done.finding("state-differs")["location"] == {"file": "specs/cat.yaml", "line": 10, "column": 5}
    assert vecmigrate("review", "--base", "main", "--fail-on", "never").code == 0


def test_what_autogenerate_refuses_is_not_sent_to_it(project, vecmigrate):
    edit(project / "specs" / "cat.yaml", "label: {type: tag}", 'label: {type: tag, separator: "|"}')
    refused = vecmigrate("revision", "--autogenerate", "-m", "x")
    assert refused.code == 3
    done = review(vecmigrate)
    fix = str(done.finding("state-differs")["fix"])
    assert fix in refused.err
    assert "--autogenerate" not in fix
    assert done.finding("not-rewritten")["level"] == "error"
    (problem,) = [line for line in vecmigrate("check").out.splitlines() if "separator" in line]
    assert fix in problem
    # What it says to do by hand is done, and nothing is left to find but what was decided.
    call = fix.partition("and then ")[2].partition("; where")[0]
    script(project, f"op.run(print, undo=print)\n    {call}")
    assert vecmigrate("generate").code == 0
    assert review(vecmigrate).codes() == []
    assert vecmigrate("check").code == 0


def test_from_hnsw_to_flat_and_back(project, vecmigrate):
    edit(project / "specs" / "cat.yaml", "    algorithm: hnsw\n    m: 16\n", "    algorithm: flat\n")
    assert vecmigrate("revision", "--autogenerate", "-m", "flat", "--rev-id", "0002").code == 0
    order, back = orders(review(vecmigrate))
    assert [name for name, _ in order] == ["deploy", "contract", "contract"]
    assert "they send EF_RUNTIME, which FLAT refuses" in order[0][1]
    assert back[0].startswith("`vecmigrate rollback cat`")
    commit("flat")
    git("branch", "--force", "main")
    edit(project / "specs" / "cat.yaml", "    algorithm: flat\n", "    algorithm: hnsw\n    m: 16\n")
    assert vecmigrate("revision", "--autogenerate", "-m", "hnsw", "--rev-id", "0003").code == 0
    order, back = orders(review(vecmigrate))
    assert [name for name, _ in order] == ["expand", "deploy", "contract"]
    assert back[0].startswith("deploy the older services")
    text = vecmigrate("review", "--base", "main").out
    assert "  to go back: deploy the older services, everywhere; then `vecmigrate rollback cat`" in text


def orders(done: Ran) -> tuple[list[tuple[str, str]], list[str]]:
    (index,) = json.loads(done.out)["indexes"]
    return [(stage["name"], stage["action"]) for stage in index["order"]], index["back"]


HOSTILE = "cat:\n::add-mask::x\n##[add-mask]y\u202e\x85<img src=x>|@everybody|`"


def test_what_a_pull_request_says_is_only_shown(project, vecmigrate):
    edit(project / "specs" / "cat.yaml", '"cat:"', json.dumps(HOSTILE))
    script(project, f"op.execute('SET', {HOSTILE!r}, '\\x1b[31m')", f"op.execute('DEL', {HOSTILE!r})")
    comment = "  # vecmigrate: allow[metric-changed] \u202e ##[group]z"
    edit(project / "specs" / "cat.yaml", "metric: cosine", f"metric: ip{comment}")
    for words in ((), ("--format", "markdown"), ("--format", "json"), ("--format", "github")):
        done = vecmigrate("review", "--base", "main", *words)
        assert done.code == 3
        assert len(done.out) > 200
        for line in done.out.split("\n"):
            assert line.isprintable(), ascii(line)
            assert "##[" not in line
            if "github" in words:
                assert not line or re.match(r"::(error|warning|notice) file=", line)
            else:
                assert not line.lstrip().startswith("::")
    text = vecmigrate("review", "--base", "main", "--format", "markdown").out
    outside = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", text.partition("<details>")[0])
    assert "<img" not in outside.replace("\\<", "")
    assert "@everybody" not in outside


def test_a_reference_that_is_no_name(project, vecmigrate):
    done = vecmigrate("review", "--base", "x\n::add-mask::x\x1b[31m")
    assert done.code == 2
    assert len(done.err.splitlines()) == 1
    assert done.err.strip().isprintable()


def test_levels_decide_the_exit_code(project, vecmigrate):
    edit(project / "specs" / "cat.yaml", "metric: cosine", "metric: ip")
    path = script(project, 'op.rebuild_index("cat", embedding={"metric": "ip"})')
    assert vecmigrate("generate").code == 0
    assert review(vecmigrate).codes() == ["metric-changed"]
    assert review(vecmigrate).code == 0
    assert review(vecmigrate, "--fail-on", "warning").code == 3
    edit(path, "def upgrade", "# vecmigrate: allow[metric-changed] measured anew\ndef upgrade")
    done = review(vecmigrate, "--fail-on", "info")
    assert (done.code, done.finding("metric-changed")["allowed"]) == (0, "measured anew")
    commit("merged")
    git("branch", "--force", "main")
    edit(project / "specs" / "cat.yaml", "m: 16", "m: 17")
    assert "unused-suppression" not in review(vecmigrate).codes()


def test_what_counts_is_where_the_branch_began(project, vecmigrate):
    git("checkout", "--quiet", "main")
    script(project, "pass", "pass", revision="0003")
    commit("somebody else's")
    git("checkout", "--quiet", "work")
    assert review(vecmigrate).codes() == []
    git("merge", "--quiet", "main")
    script(project, "pass", "pass")
    assert review(vecmigrate).codes() == ["several-heads"]


def test_history_that_was_altered(project, vecmigrate):
    edit(project / "migrations" / "0001_create.py", "Create the", "Make the")
    found = review(vecmigrate).finding("migration-edited")
    assert found["location"] == {"file": "migrations/0001_create.py", "line": 7, "column": 1}
    (project / "migrations" / "0001_create.py").unlink()
    assert "migration-removed" in review(vecmigrate).codes()


def test_scripts_without_a_way_back(project, vecmigrate):
    path = script(project, 'op.execute("SET", "a", "1")')
    assert "execute SET" in str(review(vecmigrate).finding("irreversible-downgrade")["message"])
    path.write_text(path.read_text().replace("    op.revert(upgrade)", "    pass"))
    assert "does nothing" in str(review(vecmigrate).finding("irreversible-downgrade")["message"])
    path.write_text(path.read_text().partition("def downgrade")[0])
    assert "no function `downgrade`" in str(review(vecmigrate).finding("irreversible-downgrade")["message"])


def test_a_downgrade_that_goes_elsewhere(project, vecmigrate):
    edit(project / "specs" / "cat.yaml", "m: 16", "m: 32")
    back = 'op.execute("PING")'
    script(project, 'op.rebuild_index("cat", embedding={"m": 32})', back)
    assert "m 32 → 16" in str(review(vecmigrate).finding("downgrade-differs")["message"])


def test_a_dropped_index(project, vecmigrate):
    (project / "specs" / "cat.yaml").rename(project / "specs" / "cat.txt")
    script(project, 'op.drop_index("cat")')
    done = review(vecmigrate)
    found = done.finding("index-dropped")
    assert found["location"]["file"] == "migrations/0002_change.py"
    (index,) = json.loads(done.out)["indexes"]
    assert (index["type"], index["alias"]) == ("drop", "idx:cat")


def test_a_script_that_fails_is_named_with_its_line(project, vecmigrate):
    script(project, 'op.drop_index("dog")')
    found = review(vecmigrate).finding("migrations-broken")
    assert found["location"] == {"file": "migrations/0002_change.py", "line": 8, "column": 1}
    assert "'dog'" in str(found["message"])


def test_scripts_of_the_base_are_not_executed(project, vecmigrate):
    marker = project / "executed"
    path = script(project, f"open({str(marker)!r}, 'w').close()")
    commit("on the base")
    git("branch", "--force", "main")
    path.unlink()
    assert "migration-removed" in review(vecmigrate).codes()
    assert not marker.exists()


def test_nothing_is_written_into_the_repository(project, vecmigrate):
    edit(project / "specs" / "cat.yaml", "m: 16", "m: 32")
    before = {path: path.stat().st_mtime_ns for path in sorted(project.rglob("*"))}
    review(vecmigrate)
    assert {path: path.stat().st_mtime_ns for path in sorted(project.rglob("*"))} == before


def test_a_base_that_was_laid_out_in_another_way(project, vecmigrate):
    git("mv", "specs", "descriptions")
    edit(project / "pyproject.toml", '"specs"', '"descriptions"')
    assert vecmigrate("generate").code == 0
    assert review(vecmigrate).codes() == []
    assert json.loads(review(vecmigrate).out)["unchanged"] == ["cat"]


def test_from_a_folder_inside(project, vecmigrate, monkeypatch):
    edit(project / "specs" / "cat.yaml", "metric: cosine", "metric: ip")
    monkeypatch.chdir(project / "specs")
    assert review(vecmigrate).finding("metric-changed")["location"]["file"] == "cat.yaml"


def test_links_in_the_base_are_not_followed(project, vecmigrate):
    (project / "specs" / "dog.yaml").symlink_to("/etc/passwd")
    commit("a link")
    git("branch", "--force", "main")
    (project / "specs" / "dog.yaml").unlink()
    assert review(vecmigrate).codes() == []


@pytest.mark.parametrize("ref", ["nowhere", "--help", "--upload-pack=touch x", "", "main:specs"])
def test_a_base_that_is_none(project, vecmigrate, ref):
    done = vecmigrate("review", f"--base={ref}")
    assert done.code == 2
    assert "names no commit" in done.err
    assert len(done.err.splitlines()) == 1


def test_no_repository(project, vecmigrate):
    shutil.rmtree(project / ".git")
    done = vecmigrate("review")
    assert done.code == 2
    assert "no git work tree" in done.err


def test_without_a_base_it_is_the_main_branch(project, vecmigrate):
    first = git("rev-parse", "main")
    script(project, "pass", "pass")
    commit("more")
    assert json.loads(vecmigrate("review", "--format", "json").out)["commit"] == first


def test_github_and_markdown(project, vecmigrate):
    edit(project / "specs" / "cat.yaml", "metric: cosine", "metric: ip")
    lines = vecmigrate("review", "--base", "main", "--format", "github").out.splitlines()
    assert lines[0].startswith("::error file=specs/cat.yaml,title=vecmigrate state-differs,line=10,col=5::")
    assert lines[1].startswith("::error file=indexes/")
    assert any(
        line.startswith("::warning file=specs/cat.yaml,title=vecmigrate metric-changed,line=10")
        for line in lines
    )
    text = vecmigrate("review", "--base", "main", "--format", "markdown").out
    assert text.startswith("<!-- vecmigrate review -->\n## Vector indexes: 2 errors, 1 warning\n")
    assert "| `cat` | **rebuild** |" in text


def test_a_server_tells_documents_memory_and_time(project, vecmigrate, client: redis.Redis, emptied_url):
    client.execute_command(
        *"FT.CREATE idx:cat PREFIX 1 cat: SCHEMA embedding VECTOR HNSW 6".split(),
        *"TYPE FLOAT32 DIM 4 DISTANCE_METRIC COSINE".split(),
    )
    for number in range(50):
        client.hset(f"cat:{number}", "embedding", bytes([0, 0, 128, 63] * 4))
    edit(project / "specs" / "cat.yaml", "m: 16", "m: 32")
    done = vecmigrate("--redis", emptied_url, "review", "--base", "main", "--format", "json")
    found = json.loads(done.out)["indexes"][0]["cost"]
    assert found["documents"] == 50
    assert found["memory"] > 50 * 2 * 32 * 4
    assert found["seconds"] > 0
    assert done.finding("hnsw-small")["level"] == "info"


class TestThisRepository:
    @pytest.fixture(autouse=True)
    def here(self, monkeypatch):
        if not (ROOT / ".git").exists() or shutil.which("git") is None:
            pytest.skip("not a git work tree")
        monkeypatch.chdir(ROOT)
        if git("rev-parse", "--is-shallow-repository") == "true":
            pytest.skip("a shallow clone has no first commit")
        monkeypatch.delenv("VECMIGRATE_CONFIG", raising=False)

    def test_since_the_first_commit(self, vecmigrate):
        first = git("rev-list", "--max-parents=0", "HEAD").splitlines()[-1]
        done = vecmigrate("review", "--base", first, "--format", "json")
        found = json.loads(done.out)
        assert found["commit"] == first
        assert {(item["name"], item["type"]) for item in found["indexes"]} >= {
            (name, "create") for name in ("benign_tech", "dangerous_cmd", "skill", "tool")
        }
        assert "errors-hidden" in done.codes()

    def test_since_the_first_commit_that_has_specs(self, vecmigrate):
        first = git("log", "--diff-filter=A", "--format=%H", "--", "specs/tool.yaml").splitlines()[-1]
        done = vecmigrate("review", "--base", first, "--format", "markdown")
        assert done.out.startswith("<!-- vecmigrate review -->")
        assert "### `tool`" in done.out


class TestWorkflow:
    @pytest.fixture
    def workflow(self):
        return yaml.safe_load(WORKFLOW.read_text())

    def test_uses_only_what_github_makes(self, workflow):
        used = {
            step["uses"].partition("@")[0]
            for job in workflow["jobs"].values()
            for step in job["steps"]
            if "uses" in step
        }
        assert used == {"actions/checkout", "actions/setup-python", "actions/github-script"}

    def test_what_runs_a_pull_requests_code_can_write_nothing(self, workflow):
        # YAML 1.1 reads the key `on` as true.
        assert set(workflow[True]) == {"pull_request"}
        assert workflow["permissions"] == {}
        assert workflow["jobs"]["review"]["permissions"] == {"contents": "read"}
        assert "checkout" not in json.dumps(workflow["jobs"]["comment"])

    def test_its_steps_work(self, workflow, project, tmp_path_factory):
        """Run by bash on a merge commit, as GitHub checks one out."""
        edit(project / "specs" / "cat.yaml", "metric: cosine", "metric: ip")
        commit("a pull request")
        git("checkout", "--quiet", "main")
        git("merge", "--quiet", "--no-ff", "--message", "merge", "work")
        runner = tmp_path_factory.mktemp("runner")
        program = runner / "vecmigrate"
        program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m vecmigrate "$@"\n')
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        environment = os.environ | {
            "PATH": f"{runner}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "RUNNER_TEMP": str(runner),
            "GITHUB_OUTPUT": str(runner / "output"),
            "GITHUB_STEP_SUMMARY": str(runner / "summary"),
        }
        done = {}
        for step in workflow["jobs"]["review"]["steps"]:
            if "vecmigrate" in step.get("run", "") and "pip" not in step["run"]:
                words = ["bash", "-e", "-o", "pipefail", "-c", step["run"]]
                done[step["name"]] = subprocess.run(
                    words, env=environment, capture_output=True, text=True, check=False
                )
        assert done["write the report"].returncode == 0, done["write the report"].stderr
        assert done["review"].returncode == 3
        assert "title=vecmigrate metric-changed" in done["review"].stdout
        assert done["check"].returncode == 3
        report = (runner / "summary").read_text()
        assert report.startswith("<!-- vecmigrate review -->")
        output = (runner / "output").read_text()
        first, _, rest = output.partition("\n")
        assert first.startswith("text<<end-")
        assert rest == report + first.removeprefix("text<<") + "\n"
        mark = next(step for step in workflow["jobs"]["comment"]["steps"])["with"]["script"]
        assert report.splitlines()[0] in mark
