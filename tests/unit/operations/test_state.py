"""State is a fold: pure, in order, and the same whichever way branches are put together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecmigrate.errors import OperationError
from vecmigrate.operations.base import RejectLimit
from vecmigrate.operations.state import State, physical_name
from vecmigrate.spec.build import spec_from_mapping
from vecmigrate.spec.model import IndexSpec


def spec(name: str, dims: int = 2) -> IndexSpec:
    return spec_from_mapping(
        {
            "version": 1,
            "name": name,
            "index": {"name": f"idx:{name}", "prefix": f"{name}:"},
            "key": f"{name}_id",
            "fields": {"embedding": {"type": "vector", "dims": dims, "metric": "l2"}},
        }
    )


def state(*names: str, revision: str = "a1") -> State:
    built = State()
    for name in names:
        built = built.with_index(spec(name), revision, published=True)
    return built


def test_indexes_keep_the_order_in_which_they_were_created():
    built = state("b", "a").with_index(spec("c"), "b1", published=False)
    assert [item.spec.name for item in built] == ["b", "a", "c"]
    assert built.get("c").physical == physical_name("idx:c", "b1") == "idx:c@b1"
    assert built.find("d") is None


def test_changes_leave_the_state_before_them_alone():
    before = State().with_index(spec("a"), "a1", published=False)
    after = before.with_published("a")
    assert (before.get("a").published, after.get("a").published) == (False, True)
    assert list(after.without_index("a")) == []
    assert before.find("a") is not None


def test_what_is_not_there_cannot_be_dropped_or_published():
    for act in (State().without_index, State().with_published, State().get):
        with pytest.raises(OperationError, match="no index 'a' at this point"):
            act("a")


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_a_number_is_a_limit_on_the_number(count: int, rejected: int):
    assert RejectLimit(count=count).exceeded(rejected, 10**6) == (rejected > count)


@given(st.floats(0, 1), st.integers(0, 1000), st.integers(0, 1000))
def test_a_share_is_a_limit_on_the_share(share: float, rejected: int, rest: int):
    seen = rejected + rest
    assert RejectLimit(share=share).exceeded(rejected, seen) == (seen > 0 and rejected / seen > share)


def test_a_limit_reads_as_it_was_given():
    assert [str(limit) for limit in (RejectLimit(count=0), RejectLimit(share=0.025))] == ["0", "2.5%"]
