"""Recording: what `op` writes down, how it is taken back, and where variables come from."""

from __future__ import annotations

from typing import Any

import pytest

from vecmigrate.errors import IrreversibleError, OperationError, SpecError
from vecmigrate.operations.recorder import Recorder, Variables
from vecmigrate.operations.state import State

VECTOR = {"type": "vector", "dims": 2, "metric": "cosine"}


def create(op: Recorder, name: str = "cat", **options: Any) -> None:
    fields = options.pop("fields", {"embedding": VECTOR, "meta": {"type": "json"}})
    index = {"name": f"idx:{name}", "prefix": f"{name}:", **options.pop("index", {})}
    op.create_index(name, index=index, key=f"{name}_id", fields=fields, **options)


def nothing(client: object, progress: object, cursor: object) -> None:
    """A function for `op.run`."""


def recorder(**options: Any) -> Recorder:
    return Recorder("a1", State(), **options)


def commands(op: Recorder) -> list[tuple[str, ...]]:
    return [words for item in op.recorded for words in item.operation.describe(item.state, op.revision)]


class TestRecording:
    def test_operations_come_in_order_each_with_the_state_before_it(self):
        op = recorder()
        create(op)
        op.backfill_legacy_hash("cat", embeddings_key="cats", metadata_key="cats_meta")
        op.drop_index("cat")
        assert [item.operation.title for item in op.recorded] == [
            "create_index cat",
            "backfill_legacy_hash cat",
            "drop_index cat",
        ]
        assert [[index.spec.name for index in item.state] for item in op.recorded] == [[], ["cat"], ["cat"]]
        assert list(op.state) == []

    def test_the_physical_index_carries_the_revision(self):
        op = recorder()
        create(op)
        first, second = commands(op)
        assert first[:2] == ("FT.CREATE", "idx:cat@a1")
        assert second == ("FT.ALIASADD", "idx:cat", "idx:cat@a1")

    def test_an_unpublished_index_gets_its_alias_later(self):
        op = recorder()
        create(op, publish=False)
        assert [words[0] for words in commands(op)] == ["FT.CREATE"]
        assert not op.state.get("cat").published
        op.publish_index("cat")
        assert op.state.get("cat").published
        assert commands(op)[-1] == ("FT.ALIASADD", "idx:cat", "idx:cat@a1")

    def test_execute_takes_numbers_as_words(self):
        op = recorder()
        op.execute("ZADD", "z", 1.5, "m")
        assert commands(op) == [("ZADD", "z", "1.5", "m")]

    def test_a_function_is_a_comment_in_a_dry_run(self):
        op = recorder()
        op.run(nothing)
        op.run(nothing, name="again")
        assert [item.operation.title for item in op.recorded] == ["run nothing", "run again"]
        assert all(words[0].startswith("#") for words in commands(op))


class TestRefusals:
    @pytest.mark.parametrize("words", [{}, {"words": ["GET", "x"], "undo": []}])
    def test_an_empty_command(self, words: dict[str, Any]):
        with pytest.raises(OperationError, match="execute got no command"):
            recorder().execute(*words.get("words", []), undo=words.get("undo"))

    def test_an_index_that_is_not_there(self):
        op = recorder()
        create(op, "tool")
        for act in (op.drop_index, op.publish_index):
            with pytest.raises(OperationError, match=r"no index 'tol' .*did you mean 'tool'\?"):
                act("tol")
        with pytest.raises(OperationError, match="known here: tool"):
            op.backfill_legacy_hash("elephant", embeddings_key="e", metadata_key="m")

    def test_a_name_or_alias_that_is_taken(self):
        op = recorder()
        create(op)
        with pytest.raises(OperationError, match="'cat' was created already, in revision a1"):
            create(op)
        with pytest.raises(OperationError, match="alias 'idx:cat' belongs to index 'cat'"):
            create(op, "dog", index={"name": "idx:cat"})

    def test_a_description_with_problems(self):
        with pytest.raises(SpecError, match="did you mean `metric`"):
            create(recorder(), fields={"embedding": {**VECTOR, "metrc": "l2"}})

    def test_a_backfill_into_json_or_several_vectors(self):
        op = recorder()
        create(op, "doc", index={"storage": "json"})
        create(op, "two", fields={"a": VECTOR, "b": VECTOR})
        for name, said in (("doc", "stores json"), ("two", "has 2 vector fields")):
            with pytest.raises(OperationError, match=said):
                op.backfill_legacy_hash(name, embeddings_key="e", metadata_key="m")


class TestReverting:
    def test_each_operation_is_taken_back_the_last_first(self):
        def upgrade(op: Recorder) -> None:
            create(op, publish=False)
            op.backfill_legacy_hash("cat", embeddings_key="e", metadata_key="m")
            op.execute("SET", "k", "1", undo=["DEL", "k"])
            op.run(nothing, undo=nothing)
            op.publish_index("cat")

        forward = recorder()
        upgrade(forward)
        back = Recorder("a1", forward.state, base=State())
        back.revert(upgrade)
        assert [item.operation.title for item in back.recorded] == [
            "unpublish_index cat",
            "run nothing",
            "execute DEL",
            "remove_backfilled cat",
            "drop_index cat",
        ]
        assert list(back.state) == []

    @pytest.mark.parametrize("published", [True, False])
    def test_a_dropped_index_comes_back_as_it_was(self, published):
        before = recorder()
        create(before, publish=published)
        op = Recorder("b1", State(), base=before.state)
        op.revert(lambda forward: forward.drop_index("cat"))
        (index,) = op.state
        assert (index.spec, index.published) == (before.state.get("cat").spec, published)

    @pytest.mark.parametrize(
        "upgrade",
        [lambda op: op.run(nothing), lambda op: op.execute("SET", "k", "1")],
        ids=["run", "execute"],
    )
    def test_without_undo_there_is_no_way_back(self, upgrade):
        with pytest.raises(IrreversibleError, match="has no way back") as caught:
            recorder().revert(upgrade)
        assert "by hand" in str(caught.value.hint)


class TestFingerprints:
    def test_they_tell_other_variables_and_other_definitions(self):
        def fingerprints(key: str, dims: int) -> list[str]:
            op = recorder()
            create(op, fields={"embedding": {**VECTOR, "dims": dims}})
            op.backfill_legacy_hash("cat", embeddings_key=key, metadata_key="m")
            return [item.operation.fingerprint(item.state, "a1") for item in op.recorded]

        assert fingerprints("cats", 2) == fingerprints("cats", 2)
        assert fingerprints("cats", 2)[0] != fingerprints("cats", 3)[0]
        assert fingerprints("cats", 2)[1] != fingerprints("others", 2)[1]


class TestVariables:
    def test_the_command_line_then_the_environment_then_the_configuration(self, monkeypatch):
        monkeypatch.setenv("VECMIGRATE_VAR_TOOL_KEY", "environment")
        everywhere = Variables(given={"tool_key": "given"}, configured={"tool_key": "configured"})
        assert everywhere.get("tool_key", "default") == "given"
        assert Variables(configured={"tool_key": "configured"}).get("tool_key", "default") == "environment"
        monkeypatch.delenv("VECMIGRATE_VAR_TOOL_KEY")
        assert Variables(configured={"tool_key": "configured"}).get("tool_key", "default") == "configured"
        assert Variables().get("tool_key", "default") == "default"

    def test_an_empty_value_is_a_value(self, monkeypatch):
        assert Variables(given={"a": ""}, configured={"a": "x"}).get("a", "y") == ""
        monkeypatch.setenv("VECMIGRATE_VAR_A", "")
        assert Variables(configured={"a": "x"}).get("a", "y") == ""

    def test_without_value_and_default_it_says_where_to_give_one(self):
        with pytest.raises(OperationError) as caught:
            recorder().variable("tool_key")
        assert "-x tool_key=VALUE" in caught.value.message
        assert "VECMIGRATE_VAR_TOOL_KEY" in str(caught.value.hint)

    def test_a_misspelt_name_is_told_with_the_right_one(self):
        variables = Variables(given={"tol_key": "a", "elephant": "b", "skill_key": "c"})
        variables.get("tool_key", "x")
        variables.get("skill_key", "x")
        assert variables.unknown() == ["elephant", "tol_key (did you mean tool_key?)"]
