"""Rebuilding, altering, renaming: what the state is afterwards, what is refused, and the way back."""

from __future__ import annotations

from typing import Any

import pytest

from vecmigrate.errors import IrreversibleError, OperationError, SpecError
from vecmigrate.operations.recorder import Recorder
from vecmigrate.operations.state import State
from vecmigrate.spec.model import Hnsw


def created(**vector: Any) -> State:
    op = Recorder("r1", State())
    op.create_index(
        "cat",
        index={"name": "idx:cat", "prefix": "cat:"},
        key="cat_id",
        fields={"name": {"type": "tag"}, "embedding": {"type": "vector", "dims": 4, **vector}},
    )
    return op.state


def recorder(state: State, revision: str = "r2") -> Recorder:
    return Recorder(revision, state)


def commands(op: Recorder) -> list[tuple[str, ...]]:
    return [words for item in op.recorded for words in item.operation.describe(item.state, op.revision)]


def test_a_rebuild_changes_the_spec_and_the_physical_index_only():
    before = created()
    op = recorder(before)
    op.rebuild_index("cat", embedding={"m": 32})
    index = op.state.get("cat")
    assert isinstance(index.spec.vector.algorithm, Hnsw)
    assert index.spec.vector.algorithm.m == 32
    assert index.spec.index == before.get("cat").spec.index
    assert (index.physical, index.revision, index.published) == ("idx:cat@r2", "r2", True)
    assert index.previous == before.get("cat")
    words = commands(op)
    assert words[0][:2] == ("FT.CREATE", "idx:cat@r2")
    assert ("FT.ALIASUPDATE", "idx:cat", "idx:cat@r2") in words
    assert all(word[0] != "FT.DROPINDEX" for word in words)


def test_taken_back_the_state_is_what_it_was():
    before = created()
    op = Recorder("r2", before)

    def upgrade(op: Recorder) -> None:
        op.rebuild_index("cat", embedding={"m": 32})
        op.alter_index("cat", add={"age": {"type": "numeric"}})
        op.rename_index("cat", to="lion", index_name="idx:lion")
        op.complete("lion")

    upgrade(op)
    assert [item.spec.name for item in op.state] == ["lion"]
    assert op.state.get("lion").physical == "idx:cat@r2"
    back = Recorder("r2", op.state, base=before)
    back.revert(upgrade)
    assert back.state == before


def test_a_rollback_goes_to_what_was_rebuilt_and_can_be_taken_back():
    op = recorder(created())
    op.rebuild_index("cat", embedding={"m": 32})
    rebuilt = op.state
    later = recorder(rebuilt, "r3")
    later.rollback("cat")
    assert later.state == created()
    back = Recorder("r3", later.state, base=rebuilt)
    back.revert(lambda op: op.rollback("cat"))
    assert back.state == rebuilt


def test_there_is_nothing_to_roll_back_without_a_rebuild():
    with pytest.raises(OperationError, match="'cat' was not rebuilt so far"):
        recorder(created()).rollback("cat")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"index": {"prefix": "dog:"}}, "cannot change the prefix of 'cat'"),
        ({"index": {"storage": "json"}}, "cannot change the storage of 'cat'"),
        ({"embedding": {"dims": 8}}, "cannot make 8 × float32 of field 'embedding'"),
        ({"embedding": {"datatype": "float64"}}, "cannot make 4 × float64 of field 'embedding'"),
    ],
)
def test_what_documents_would_have_to_be_written_anew_for(changes, message):
    with pytest.raises(OperationError, match=message):
        recorder(created()).rebuild_index("cat", **changes)


def test_another_stored_vector_may_be_of_another_size():
    op = recorder(created())
    op.rebuild_index("cat", embedding={"dims": 8, "path": "embedding_v2"})
    assert op.state.get("cat").spec.vector.dims == 8


def test_a_field_that_is_not_there_is_told():
    with pytest.raises(SpecError, match="there is no field `embeding`"):
        recorder(created()).rebuild_index("cat", embeding={"m": 32})


def test_once_an_index_and_revision():
    op = recorder(created(), "r1")
    with pytest.raises(OperationError, match="is built in this revision already"):
        op.rebuild_index("cat", embedding={"m": 32})


def test_alter_adds_no_vectors_and_nothing_that_is_not_indexed():
    for field in ({"type": "vector", "dims": 4}, {"type": "tag", "index": False}, {"type": "json"}):
        with pytest.raises(OperationError, match="alter_index cannot add field 'more'"):
            recorder(created()).alter_index("cat", add={"more": field})


def test_altered_in_place():
    op = recorder(created())
    op.alter_index("cat", add={"age": {"type": "numeric", "sortable": True}})
    assert commands(op) == [("FT.ALTER", "idx:cat@r1", "SCHEMA", "ADD", "age", "NUMERIC", "SORTABLE")]
    assert op.state.get("cat").physical == "idx:cat@r1"


def test_a_renamed_index_keeps_its_physical_name_until_it_is_rebuilt():
    op = recorder(created())
    op.rename_index("cat", index_name="idx:lion")
    assert commands(op)[0] == ("FT.ALIASADD", "idx:lion", "idx:cat@r1")
    assert op.state.get("cat").physical == "idx:cat@r1"
    later = recorder(op.state, "r3")
    later.rebuild_index("cat", embedding={"m": 32})
    assert later.state.get("cat").physical == "idx:lion@r3"


def test_names_that_are_taken():
    op = recorder(created())
    op.create_index(
        "dog",
        index={"name": "idx:dog", "prefix": "dog:"},
        key="dog_id",
        fields={"embedding": {"type": "vector", "dims": 4}},
    )
    with pytest.raises(OperationError, match="'dog' was created already"):
        op.rename_index("cat", to="dog")
    with pytest.raises(OperationError, match="alias 'idx:dog' belongs to index 'dog'"):
        op.rename_index("cat", index_name="idx:dog")
    with pytest.raises(OperationError, match="got no new name"):
        op.rename_index("cat")


def test_deleted_documents_do_not_come_back():
    op = recorder(created())
    op.drop_index("cat", documents=True)
    (item,) = op.recorded
    assert item.operation.deletes_documents
    assert commands(op) == [("FT.DROPINDEX", "idx:cat@r1", "DD")]
    with pytest.raises(IrreversibleError):
        item.operation.revert(0, item.state)
