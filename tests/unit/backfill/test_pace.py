from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vecmigrate.backfill.pace import LARGEST, SMALLEST, TARGET_SECONDS, Pace


@given(st.lists(st.tuples(st.floats(0, 10), st.integers(0, 5000))))
def test_batches_stay_within_bounds_whatever_the_server_does(answers: list[tuple[float, int]]):
    pace = Pace()
    for seconds, items in answers:
        before = pace.items
        pace.took(seconds, items)
        assert SMALLEST <= pace.items <= LARGEST
        # It doubles only where the server has plenty of time left, and near the target grows by little.
        most = 2 * before if seconds < TARGET_SECONDS / 8 else before + 50
        assert pace.items <= most or items > before


def test_a_quick_server_gets_larger_batches_up_to_the_largest():
    pace = Pace()
    for _ in range(20):
        pace.took(TARGET_SECONDS / 10, pace.items)
    assert pace.items == LARGEST


def test_a_slow_server_gets_small_ones_within_a_few_batches():
    pace = Pace()
    for _ in range(4):
        pace.took(pace.items * TARGET_SECONDS / 20, pace.items)
    assert pace.items <= 20


def test_a_batch_that_was_small_by_chance_tells_nothing():
    pace = Pace()
    pace.took(10 * TARGET_SECONDS, 3)
    assert pace.items == 100


def test_it_settles_near_the_target():
    # 1 ms an item, as with a live index.
    pace = Pace()
    sizes = []
    for _ in range(50):
        pace.took(pace.items * 0.001, pace.items)
        sizes.append(pace.items)
    assert all(10 <= size <= 75 for size in sizes[5:])
