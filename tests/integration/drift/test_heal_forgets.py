"""`heal` after indexes went away: the registry keeps no claim to names of which nothing is there."""

from __future__ import annotations

import pytest
import redis

from tests.reliability.changes import CHANGES
from tests.reliability.world import World

pytestmark = pytest.mark.embedded


@pytest.mark.parametrize("name", ["create", "rebuild"])
def test_names_of_indexes_that_are_gone_are_free_again(tmp_path, name):
    change = CHANGES[name]
    with World(1, tmp_path) as world:
        change.set_up(world)
        world.must(*change.command)
        with redis.Redis(port=world.server.port, db=5) as other:
            other.flushdb()
        assert world.indexes() == []
        world.must("heal")
        owned = sorted(key.decode() for key in world.client.hkeys("vecmigrate:owners"))
        assert owned == world.indexes() == [world.leads_to("idx:item")]
        world.must("upgrade")


def test_a_rebuild_whose_old_index_went_away_keeps_no_claim_to_it(tmp_path):
    change = CHANGES["rebuild"]
    with World(1, tmp_path) as world:
        change.set_up(world)
        world.client.execute_command("FT.DROPINDEX", "idx:item@0001")
        world.must(*change.command)
        owned = sorted(key.decode() for key in world.client.hkeys("vecmigrate:owners"))
        assert owned == world.indexes() == [world.leads_to("idx:item")]


def test_a_downgrade_goes_back_to_the_kept_index_where_the_live_one_went_away(tmp_path):
    change = CHANGES["downgrade_rebuild"]
    with World(1, tmp_path) as world:
        change.set_up(world)
        world.client.execute_command("FT.DROPINDEX", "idx:item@0002")
        world.must(*change.command)
        owned = sorted(key.decode() for key in world.client.hkeys("vecmigrate:owners"))
        assert owned == world.indexes() == [world.leads_to("idx:item")] == ["idx:item@0001"]
