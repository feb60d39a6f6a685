"""Scripts on disk: state is folded over all ancestors, and what was applied must not change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from vecmigrate.errors import ConfigError, HistoryAlteredError, IrreversibleError, RevisionError, ScriptError
from vecmigrate.operations.recorder import Variables
from vecmigrate.runtime.history import History
from vecmigrate.runtime.ledger import RevisionRecord

HEAD = '''"""{message}."""

revision = {revision!r}
down_revision = {down!r}
depends_on = {depends!r}


def index(op, name, **options):
    op.create_index(
        name,
        index={{"name": f"idx:{{name}}", "prefix": f"{{name}}:"}},
        key="id",
        fields={{"embedding": {{"type": "vector", "dims": 2, "metric": "l2"}}}},
        **options,
    )


'''


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write_script(
        revision: str,
        upgrade: str,
        *,
        down: object = None,
        depends: object = None,
        downgrade: str | None = "op.revert(upgrade)",
    ) -> Path:
        path = tmp_path / f"{revision}.py"
        text = HEAD.format(message=f"Do {revision}", revision=revision, down=down, depends=depends)
        text += f"def upgrade(op):\n    {upgrade}\n"
        if downgrade:
            text += f"\n\ndef downgrade(op):\n    {downgrade}\n"
        path.write_text(text)
        return path

    return write_script


@pytest.fixture
def history(tmp_path: Path) -> Callable[..., History]:
    return lambda **given: History(tmp_path, Variables(given=given))


def names(history: History, revision: str) -> list[str]:
    return [index.physical for index in history.state(revision)]


class TestState:
    def test_it_is_that_of_all_ancestors(self, write, history):
        write("a1", "index(op, 'a')")
        write("b1", "index(op, 'b')", down="a1")
        write("c1", "op.drop_index('a')", down="b1")
        read = history()
        assert names(read, "a1") == ["idx:a@a1"]
        assert names(read, "b1") == ["idx:a@a1", "idx:b@b1"]
        assert names(read, "c1") == ["idx:b@b1"]

    def test_branches_see_their_own_past_and_a_merge_sees_both(self, write, history):
        write("a1", "index(op, 'a')")
        write("b1", "index(op, 'b')", down="a1")
        write("c1", "index(op, 'c')", down="a1")
        write("d1", "pass", down=("b1", "c1"))
        read = history()
        assert names(read, "b1") == ["idx:a@a1", "idx:b@b1"]
        assert names(read, "c1") == ["idx:a@a1", "idx:c@c1"]
        assert names(read, "d1") == ["idx:a@a1", "idx:b@b1", "idx:c@c1"]

    def test_a_dependency_counts_as_past(self, write, history):
        write("a1", "index(op, 'a')")
        write("b1", "index(op, 'b')")
        write("c1", "op.publish_index('a')", down="b1", depends="a1")
        assert set(names(history(), "c1")) == {"idx:a@a1", "idx:b@b1"}

    def test_what_one_branch_drops_is_gone_after_the_merge(self, write, history):
        write("a1", "index(op, 'a')")
        write("b1", "op.drop_index('a')", down="a1")
        write("c1", "index(op, 'c')", down="a1")
        write("d1", "pass", down=("b1", "c1"))
        assert names(history(), "d1") == ["idx:c@c1"]

    def test_what_one_branch_publishes_is_published_after_the_merge(self, write, history):
        write("a1", "index(op, 'a', publish=False)")
        write("b1", "op.publish_index('a')", down="a1")
        write("c1", "pass", down="a1")
        for parents in (("b1", "c1"), ("c1", "b1")):
            write("d1", "pass", down=parents)
            assert history().state("d1").get("a").published

    def test_branches_that_do_not_fit_together_are_told_where_they_meet(self, write, history):
        write("a1", "pass")
        write("b1", "index(op, 'a')", down="a1")
        write("c1", "index(op, 'a')", down="a1")
        path = write("d1", "pass", down=("b1", "c1"))
        with pytest.raises(
            ScriptError, match="meet in d1 do not fit together: in c1, index 'a' was"
        ) as caught:
            history().state("d1")
        assert caught.value.message.startswith(str(path))

    def test_a_long_history_is_no_deep_recursion(self, write, history):
        ids = [f"r{number:04}" for number in range(1200, 0, -1)]
        for revision, down in zip(ids, [None, *ids], strict=False):
            write(revision, "pass", down=down, downgrade=None)
        history().check_variables()


class TestDowngrade:
    def test_it_starts_from_the_state_after_the_upgrade(self, write, history):
        write("a1", "index(op, 'a')")
        write("b1", "op.drop_index('a')", down="a1")
        plan = history().downgrade("b1")
        assert [item.operation.title for item in plan.recorded] == ["create_index a"]

    def test_without_the_function_it_says_so(self, write, history):
        path = write("a1", "pass", downgrade=None)
        with pytest.raises(IrreversibleError, match=f"{path.name} has no function `downgrade`"):
            history().downgrade("a1")

    def test_without_a_way_back_it_names_the_line(self, write, history):
        path = write("a1", "op.execute('SET', 'k', '1')")
        with pytest.raises(ScriptError, match="execute SET has no way back") as caught:
            history().downgrade("a1")
        line = caught.value.message.split(":")[1]
        assert path.read_text().splitlines()[int(line) - 1].strip() == "op.revert(upgrade)"


class TestFaultsInScripts:
    def test_a_fault_names_file_and_line(self, write, history):
        path = write("a1", "op.drop_index('a')")
        with pytest.raises(ScriptError) as caught:
            history().upgrade("a1")
        place, _, said = caught.value.message.partition(": ")
        assert place.startswith(str(path))
        assert (
            path.read_text().splitlines()[int(place.rpartition(":")[2]) - 1].strip() == "op.drop_index('a')"
        )
        assert "no index 'a'" in said

    def test_so_does_any_other_exception(self, write, history):
        write("a1", "1 / 0")
        with pytest.raises(ScriptError, match=r"a1\.py:\d+: ZeroDivisionError"):
            history().upgrade("a1")

    def test_a_parent_that_is_missing(self, write, history):
        write("b1", "pass", down="a1")
        with pytest.raises(RevisionError, match="a1"):
            history()


class TestVariables:
    def test_they_reach_the_operations(self, write, history):
        write("a1", "op.execute('SET', 'k', op.variable('value', default='x'))")
        (item,) = history(value="y").upgrade("a1").recorded
        assert item.operation.describe(item.state, "a1") == (("SET", "k", "y"),)

    def test_a_name_that_no_script_asks_for_is_told(self, write, history):
        write("a1", "op.variable('value', default='x')")
        write("b1", "op.variable('other', default='x')", down="a1")
        history(value="1", other="2").check_variables()
        with pytest.raises(ConfigError, match=r"asks for vlaue \(did you mean value\?\)"):
            history(vlaue="1").check_variables()


class TestAppliedScripts:
    @staticmethod
    def record(read: History, revision: str, status: str = "applied") -> dict[str, RevisionRecord]:
        checksum = read.scripts[revision].checksum
        return {revision: RevisionRecord(revision, status, checksum, "Do it")}  # type: ignore[arg-type]  # str

    def test_a_change_names_both_checksums(self, write, history):
        write("a1", "pass")
        applied = self.record(history(), "a1")
        history().check_unaltered(applied)
        write("a1", "op.execute('PING')")
        read = history()
        assert read.changed(applied) == ["a1"]
        with pytest.raises(HistoryAlteredError) as caught:
            read.check_unaltered(applied)
        assert applied["a1"].checksum in caught.value.message
        assert read.scripts["a1"].checksum in caught.value.message

    def test_a_partial_one_may_be_mended(self, write, history):
        write("a1", "pass")
        applied = self.record(history(), "a1", "partial")
        write("a1", "op.execute('PING')")
        history().check_unaltered(applied)
        assert history().changed(applied) == []

    @pytest.mark.parametrize("status", ["applied", "partial"])
    def test_one_that_is_gone_is_told(self, write, history, status):
        path = write("a1", "pass")
        applied = self.record(history(), "a1", status)
        path.unlink()
        told = r"revision a1 \(Do it\), which no script here has and which does not descend from one"
        with pytest.raises(HistoryAlteredError, match=told) as caught:
            history().check_unaltered(applied)
        assert "`namespace`" in str(caught.value.hint)
        assert "--purge" not in str(caught.value.hint)

    @pytest.mark.parametrize("status", ["applied", "partial", "rolled back"])
    @pytest.mark.parametrize(
        ("below", "ahead"),
        [
            ({"b1": ("a1",)}, ("b1",)),
            ({"b1": ("a1",), "c1": ("b1",)}, ("b1", "c1")),
            ({"b1": ("gone", "a1")}, ("b1",)),  # a merge: one of its parents is here
            ({"b1": ("c1",), "c1": ("b1",)}, None),
            ({"b1": ("gone",)}, None),
            ({"b1": ()}, None),
            ({"b1": None}, None),  # a record of format 1
        ],
    )
    def test_one_that_descends_is_ahead(self, write, history, status, below, ahead):
        write("a1", "pass")
        records = self.record(history(), "a1")
        for name, parents in below.items():
            records[name] = RevisionRecord(name, status, "sha256:x", "Do it", down_revision=parents)
        if ahead is None:
            with pytest.raises(HistoryAlteredError, match="does not descend"):
                history().check_unaltered(records)
        else:
            assert history().check_unaltered(records) == ahead
