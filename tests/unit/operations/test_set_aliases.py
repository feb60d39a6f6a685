"""set_aliases without a server, and what state and other operations make of names."""

from __future__ import annotations

from typing import Any

import pytest

from vecmigrate.errors import OperationError, SpecError
from vecmigrate.operations.recorder import Recorder
from vecmigrate.operations.state import State

VECTOR = {"type": "vector", "dims": 2, "metric": "cosine"}


def recorder(*names: str, revision: str = "b1", **index: Any) -> Recorder:
    """After a revision a1 that made the indexes `names`."""
    op = Recorder("a1", State())
    for name in names:
        create(op, name, **index)
    return Recorder(revision, op.state)


def create(op: Recorder, name: str, /, *, publish: bool = True, **index: Any) -> None:
    said = {"name": f"idx:{name}", "prefix": f"{name}:", **index}
    op.create_index(name, index=said, key=f"{name}_id", fields={"embedding": VECTOR}, publish=publish)


def commands(op: Recorder) -> list[tuple[str, ...]]:
    return [words for item in op.recorded for words in item.operation.describe(item.state, op.revision)]


def aliases(op: Recorder, name: str = "cat") -> tuple[str, ...] | None:
    return op.state.get(name).spec.index.aliases


def test_added_ones_are_led_there_and_gone_ones_deleted():
    op = recorder("cat")
    op.set_aliases("cat", ["live", "other"])
    assert commands(op) == [
        ("FT.ALIASUPDATE", "live", "idx:cat@a1"),
        ("FT.ALIASUPDATE", "other", "idx:cat@a1"),
    ]
    op.recorded.clear()
    op.set_aliases("cat", ["other", "all"])
    assert commands(op) == [("FT.ALIASUPDATE", "all", "idx:cat@a1"), ("FT.ALIASDEL", "live")]
    assert aliases(op) == ("other", "all")


def test_to_know_that_there_are_none_needs_no_command():
    op = recorder("cat")
    op.set_aliases("cat", [])
    assert [words[0][:1] for words in commands(op)] == ["#"]
    assert aliases(op) == ()


def test_the_way_back_deletes_nothing_that_was_not_known_before():
    def upgrade(op: Recorder) -> None:
        op.set_aliases("cat", ["live"])

    up = recorder("cat")
    upgrade(up)
    down = Recorder("b1", up.state, base=recorder("cat").state)
    down.revert(upgrade)
    assert aliases(down) is None
    assert [words[0][:1] for words in commands(down)] == ["#"]
    known = recorder("cat", aliases=["old"])
    again = Recorder("b1", known.state)
    upgrade(again)
    down = Recorder("b1", again.state, base=known.state)
    down.revert(upgrade)
    assert aliases(down) == ("old",)
    assert commands(down) == [("FT.ALIASUPDATE", "old", "idx:cat@a1"), ("FT.ALIASDEL", "live")]


def test_with_its_own_name_the_index_is_called_as_the_spec_says():
    op = recorder("cat", alias=False)
    assert op.state.get("cat").physical == "idx:cat"
    op.set_aliases("cat", ["live"])
    assert commands(op) == [("FT.ALIASUPDATE", "live", "idx:cat")]
    op.rebuild_index("cat", embedding={"m": 32}, index={"name": "idx:cat_2"})
    assert op.state.get("cat").physical == "idx:cat_2"
    assert op.state.get("cat").previous.physical == "idx:cat"  # type: ignore[union-attr]


def test_one_name_leads_to_one_index():
    op = recorder("cat", "dog")
    op.set_aliases("cat", ["live"])
    for taken in ("live", "idx:cat"):
        with pytest.raises(OperationError, match=f"alias '{taken}' belongs to index 'cat'"):
            op.set_aliases("dog", [taken])
        with pytest.raises(OperationError, match=f"alias '{taken}' belongs to index 'cat'"):
            op.rename_index("dog", index_name=taken)
        with pytest.raises(OperationError, match=f"alias '{taken}' belongs to index 'cat'"):
            create(op, "hen", **{"name": taken})
        with pytest.raises(OperationError, match=f"alias '{taken}' belongs to index 'cat'"):
            create(op, "hen", aliases=[taken])
        with pytest.raises(OperationError, match=f"alias '{taken}' belongs to index 'cat'"):
            op.rebuild_index("dog", index={"aliases": [taken]})
    op.set_aliases("cat", [])
    op.set_aliases("dog", ["live"])


def test_what_is_no_list_of_names():
    op = recorder("cat")
    with pytest.raises(OperationError, match="set_aliases got the text 'live'"):
        op.set_aliases("cat", "live")
    for wrong, told in (
        (["a b"], "does not fit"),
        (["a", "a"], "listed twice"),
        (["idx:cat"], "says already"),
    ):
        with pytest.raises(SpecError, match=told):
            op.set_aliases("cat", wrong)


def test_an_alias_that_becomes_the_name_is_no_further_one():
    op = recorder("cat", aliases=["live", "all"])
    op.rename_index("cat", index_name="live")
    assert (op.state.get("cat").spec.index.name, aliases(op)) == ("live", ("all",))


class TestWithoutAlias:
    @pytest.mark.parametrize(
        ("before", "change", "told"),
        [
            ({"alias": False}, {"embedding": {"m": 32}}, "'idx:cat', for that is the index itself"),
            ({}, {"index": {"alias": False}}, "'idx:cat', for that is the alias of the index"),
            (
                {"aliases": ["live"]},
                {"index": {"alias": False, "name": "live", "aliases": []}},
                "the alias of",
            ),
        ],
    )
    def test_a_rebuild_needs_a_new_name(self, before, change, told):
        op = recorder("cat", **before)
        with pytest.raises(OperationError, match=told) as raised:
            op.rebuild_index("cat", **change)
        assert "index={'name': …}" in str(raised.value.hint)

    def test_an_alias_may_take_the_name_of_the_index_that_had_it(self):
        op = recorder("cat", alias=False)
        op.rebuild_index("cat", index={"alias": True})
        assert op.state.get("cat").physical == "idx:cat@b1"

    def test_it_cannot_be_renamed_but_what_the_hint_says_works(self):
        op = recorder("cat", alias=False)
        with pytest.raises(OperationError, match="has no alias that could be renamed") as raised:
            op.rename_index("cat", index_name="idx:cats")
        call = str(raised.value.hint).partition(" builds")[0]
        exec(call, {"op": op})
        assert op.state.get("cat").physical == "idx:cats"
        op.rename_index("cat", to="kitten")
        assert op.state.get("kitten").physical == "idx:cats"

    def test_it_cannot_wait_to_be_published(self):
        op = recorder()
        with pytest.raises(OperationError, match="cannot wait to be published"):
            create(op, "cat", alias=False, publish=False)
