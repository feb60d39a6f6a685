from __future__ import annotations

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from vecmigrate.errors import ConfigError
from vecmigrate.runtime.keys import LedgerKeys

NAMESPACES = st.from_regex(r"[A-Za-z0-9_.\-]{1,64}", fullmatch=True)


def keys_of(namespace: str) -> list[str]:
    keys = LedgerKeys(namespace)
    revision = "a1"
    return [
        *(keys.lease, keys.fence, keys.revisions, keys.log),
        *(keys.steps(revision), keys.rejects(revision), keys.items(revision, 0), keys.items(revision, 1)),
    ]


def test_their_names():
    assert keys_of("default") == [
        "vecmigrate:{default}:lease",
        "vecmigrate:{default}:fence",
        "vecmigrate:{default}:revisions",
        "vecmigrate:{default}:log",
        "vecmigrate:{default}:steps:a1",
        "vecmigrate:{default}:rejects:a1",
        "vecmigrate:{default}:items:a1:0",
        "vecmigrate:{default}:items:a1:1",
    ]


@given(NAMESPACES)
def test_all_of_a_namespace_share_a_slot(namespace: str):
    slots = {redis.crc.key_slot(key.encode()) for key in keys_of(namespace)}
    assert len(slots) == 1


@given(NAMESPACES, NAMESPACES)
def test_two_namespaces_share_no_key(one: str, other: str):
    assert one == other or not {*keys_of(one)} & {*keys_of(other)}


@pytest.mark.parametrize("namespace", ["", "a b", "a}", "{a", "a:b", "a*", "é", "x" * 65])
def test_what_would_break_the_hash_tag_is_refused(namespace: str):
    with pytest.raises(ConfigError, match="namespace"):
        LedgerKeys(namespace)
