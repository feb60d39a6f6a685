"""Runners that are killed after the alias leads back, and before they have dropped what it led to."""

from __future__ import annotations

import pytest

from tests.reliability.changes import CHANGES, ends
from tests.reliability.disturb import disturbed
from tests.reliability.proxy import Then
from tests.reliability.world import World

pytestmark = [pytest.mark.crash, pytest.mark.embedded]


def kill_at_drop(world, words):
    def act(process):
        process.kill()
        return Then.LOSE

    with disturbed(world, words, 1, act, only=b"FT.DROPINDEX") as run:
        assert run.process.end().code == -9


@pytest.mark.parametrize(
    "name", ["downgrade_rebuild", "downgrade_op_rollback", "op_rollback", "downgrade_completed"]
)
def test_going_on_leaves_no_index_over(tmp_path, name):
    change = CHANGES[name]
    with World(1, tmp_path) as world:
        change.set_up(world)
        kill_at_drop(world, change.command)
        world.must(*change.command)
        ends(world, change)


@pytest.mark.parametrize(
    "name", ["downgrade_rebuild", "downgrade_op_rollback", "op_rollback", "downgrade_completed"]
)
def test_turning_round_leaves_no_index_over(tmp_path, name):
    change = CHANGES[name]
    with World(1, tmp_path) as world:
        change.set_up(world)
        kill_at_drop(world, change.command)
        world.must(*change.instead[0])
        world.must(*change.command)
        ends(world, change)
