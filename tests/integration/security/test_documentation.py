"""The lines in docs/security.md are what the list in the code says, and a server takes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from vecmigrate.operations.backfill_legacy_hash import BackfillLegacyHash
from vecmigrate.operations.create_index import CreateIndex
from vecmigrate.operations.recorder import Recorded
from vecmigrate.operations.state import State
from vecmigrate.runtime import rights
from vecmigrate.spec.build import spec_from_mapping

TEXT = (Path(__file__).parents[3] / "docs" / "security.md").read_text()
SPEC = spec_from_mapping(
    {
        "version": 1,
        "name": "tool",
        "index": {"name": "idx:tool", "prefix": "tool:"},
        "key": "tool_id",
        "fields": {"meta": {"type": "json"}, "embedding": {"type": "vector", "dims": 4}},
    }
)


def documented(user: str) -> list[str]:
    """The words of one ACL SETUSER, with its continued lines."""
    start = TEXT.index(f"ACL SETUSER {user} ")
    return TEXT[start : TEXT.index("\n```", start)].replace("\\\n", " ").split()


def migrations() -> list[rights.Need]:
    create = CreateIndex(SPEC)
    state = create.apply(State(), "0001")
    backfill = BackfillLegacyHash("tool", "tool_embeddings", "tool_metadata")
    done = [Recorded(create, State()), Recorded(backfill, state)]
    return [*rights.for_operations("default", done, "0001"), *rights.for_hand("default")]


@pytest.mark.parametrize(
    ("user", "needs"),
    [
        ("migrations", migrations()),
        ("services", rights.for_services(SPEC)),
        ("observer", rights.for_reading("default", [SPEC])),
    ],
)
def test_the_lines_are_those_of_the_list(client, user, needs):
    found = documented(user)
    assert found[:5] == ["ACL", "SETUSER", user, "on", ">PASSWORD"]
    assert sorted(found[6:]) == sorted(rights.acl_rules(needs))
    client.execute_command(*found)
    client.acl_deluser(user)


def test_what_services_lack():
    assert not {"+ft.create", "+ft.dropindex", "+ft.alter", "+ft.aliasupdate"} & set(documented("services"))


def test_every_right_is_explained():
    table = TEXT[TEXT.index("| right |") : TEXT.index("Not needed, and done without")]
    for need in migrations():
        name = need.command.replace("|", "\\|")
        known = need.command in rights.READS or need.command.startswith("ft.") or f"`{name}`" in table
        assert known, need.command
