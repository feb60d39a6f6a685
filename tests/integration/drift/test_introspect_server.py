"""From a spec to an index on the real server and back to a spec."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings

from tests.strategies import OLD_ALGORITHMS, OLD_DATATYPES, specs
from vecmigrate.search import ddl, from_info, reply
from vecmigrate.search.introspect import differences
from vecmigrate.spec.build import spec_from_mapping
from vecmigrate.spec.load import load_specs
from vecmigrate.spec.model import IndexSpec
from vecmigrate.spec.write import spec_text


def introspected(client: redis.Redis, index: str, **names: Any) -> tuple[IndexSpec, reply.Info]:
    info = reply.parse_info(client.execute_command("FT.INFO", index))
    proposal = from_info.propose(info, index=index, **names)
    return spec_from_mapping(proposal.mapping), info


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(spec=specs(algorithms=OLD_ALGORITHMS, datatypes=OLD_DATATYPES))
def test_what_can_be_seen_of_any_index_comes_back(client: redis.Redis, tmp_path, spec: IndexSpec) -> None:
    client.flushall()
    client.execute_command(*ddl.ft_create(spec))
    found, info = introspected(client, spec.index.name)
    assert differences(found, info) == ()
    # The other way round too: what the spec's own index would show is the same.
    client.flushall()
    client.execute_command(*ddl.ft_create(found))
    again = reply.parse_info(client.execute_command("FT.INFO", found.index.name))
    assert differences(spec, again) == ()
    path = tmp_path / "found.yaml"
    path.write_text(spec_text(from_info.propose(info, index=spec.index.name).mapping, ["a comment"]))
    assert load_specs([path]).specs == (found,)


def test_an_alias_gives_its_own_name_to_the_spec(client: redis.Redis) -> None:
    words = "ON HASH PREFIX 1 skill_emb: SCHEMA e VECTOR FLAT 6 TYPE FLOAT32 DIM 2 DISTANCE_METRIC L2"
    client.execute_command("FT.CREATE", "idx:skill_emb@a1", *words.split())
    client.execute_command("FT.ALIASADD", "idx:skill_emb", "idx:skill_emb@a1")
    for given_name in ("idx:skill_emb", "idx:skill_emb@a1"):
        spec, _ = introspected(client, given_name)
        assert (spec.index.name, spec.name, spec.key) == ("idx:skill_emb", "skill", "skill_id")


@pytest.mark.parametrize("storage", ["hash", "json"])
def test_attributes_that_no_field_can_be_called_get_a_name_and_a_note(
    client: redis.Redis, storage: str
) -> None:
    if storage == "hash":
        schema = "doc-id TAG score NUMERIC SORTABLE 9 TEXT"
        wanted = {"doc_id": ("doc-id", "doc-id"), "thing_score": ("score", "score"), "field_9": ("9", "9")}
    else:
        schema = "$.doc.id TAG $.score AS score NUMERIC SORTABLE"
        wanted = {"doc_id": ("$.doc.id", "$.doc.id"), "thing_score": ("score", "$.score")}
    vector = "$.e AS e VECTOR FLAT 6 TYPE FLOAT32 DIM 2 DISTANCE_METRIC L2"
    words = f"FT.CREATE thing ON {storage} PREFIX 1 t: SCHEMA {schema} {vector}"
    client.execute_command(*words.split())
    info = reply.parse_info(client.execute_command("FT.INFO", "thing"))
    proposal = from_info.propose(info, index="thing")
    spec = spec_from_mapping(proposal.mapping)
    found = {item.name: (item.attribute, item.path) for item in spec.fields if item.name != "e"}
    assert found == wanted
    assert len(proposal.notes) == len(wanted)
    # A name in Python is no matter of the index.
    assert [item for item in differences(spec, info) if item.field != "e"] == []


def test_options_that_random_specs_seldom_have(client: redis.Redis) -> None:
    given_fields = {
        "folded": {"type": "text", "sortable": True},
        "plain": {"type": "text", "sortable": True, "unf": True},
        "tag": {"type": "tag", "sortable": True, "unf": True},
        "cased": {"type": "tag", "sortable": True, "case_sensitive": True},
        "lines": {"type": "tag", "separator": "\n"},
        "back": {"type": "tag", "separator": "\\"},
        "e": {"type": "vector", "dims": 2},
    }
    spec = spec_from_mapping(
        {
            "name": "cat",
            "index": {"name": "idx:cat", "prefix": "cat:"},
            "key": "cat_id",
            "fields": given_fields,
        }
    )
    client.execute_command(*ddl.ft_create(spec))
    found, info = introspected(client, "idx:cat")
    assert differences(found, info) == ()
    seen = {item.name: item for item in found.fields}
    assert [seen[name].unf for name in ("folded", "plain", "tag", "cased")] == [False, True, True, False]
    assert (seen["lines"].separator, seen["back"].separator) == ("\n", "\\")
