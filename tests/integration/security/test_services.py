"""The generated helpers under the rights of a service, which can make and drop no index."""

from __future__ import annotations

import contextlib
import math

import numpy as np
import pytest
import redis
import redis.asyncio

from tests.generated import Helpers, a_spec, make_package
from vecmigrate.runtime import rights
from vecmigrate.runtime.preflight import missing_rights

pytestmark = pytest.mark.embedded


def denied(admin):
    found = []
    for entry in admin.execute_command("ACL", "LOG"):
        pairs = entry if isinstance(entry, dict) else dict(zip(entry[::2], entry[1::2], strict=True))
        if not pairs[b"object"].startswith(b"client|"):
            found.append((pairs[b"object"], pairs[b"reason"]))
    return found


@pytest.mark.parametrize("storage", ["hash", "json"])
@pytest.mark.parametrize("flavour", ["sync", "aio"])
async def test_every_helper(own_server, project, tmp_path, storage, flavour):
    spec = a_spec(storage=storage, meta={"type": "json"}, label={"type": "tag"})
    server = own_server()
    options = f"index={{'name': 'idx:item', 'prefix': 'item:', 'storage': {storage!r}}}, key='item_id'"
    fields = (
        "{'meta': {'type': 'json'}, 'label': {'type': 'tag'}, 'embedding': {'type': 'vector', 'dims': 3}}"
    )
    project.script("a1", f"op.create_index('item', {options}, fields={fields})")
    assert project("--redis", server.url, "upgrade").code == 0
    package = make_package(tmp_path, spec)
    with contextlib.closing(redis.Redis.from_url(server.url)) as admin:
        rules = rights.acl_rules(rights.for_services(spec))
        admin.execute_command("ACL", "SETUSER", "svc", "on", ">pw", "resetkeys", *rules)
        options = {"port": server.port, "username": "svc", "password": "pw"}
        kind = redis.Redis if flavour == "sync" else redis.asyncio.Redis
        client = kind(**options)
        helpers = Helpers(package.sync if flavour == "sync" else package, client)
        admin.execute_command("ACL", "LOG", "RESET")
        vectors = np.eye(3, dtype=np.float32)
        await helpers.store_item("a", vectors[0], {"n": 1, "label": "x"})
        # Fields that it had are removed, and its expiry is set and taken away.
        await helpers.store_item("a", vectors[0], {"n": 1})
        await helpers.store_item("a", vectors[0], {"n": 1, "label": "x"}, ttl=1_000)
        await helpers.store_item("a", vectors[0], {"n": 1, "label": "x"}, ttl=math.inf)
        items = [
            {"item_id": f"b{n}", "embedding": vectors[n], "metadata": {"n": n, "label": "y"}}
            for n in range(3)
        ]
        await helpers.store_many_items(items)
        assert (await helpers.get_item("a")) is not None
        assert len(await helpers.knn_search_items(vectors[0], knn_k=2)) == 2
        assert len(await helpers.knn_search_items(vectors[0], knn_k=2, label="x")) == 1
        assert len(await helpers.knn_many_items(vectors, knn_k=1)) == 3
        assert await helpers.range_search_items(vectors[0], min_score=0.9)
        assert await helpers.redisearch_index_doc_count("idx:item") == 4
        label = package.ItemFields.label
        assert await helpers.count_items(where=label == "y") == 3
        assert len(await helpers.list_items(where=label == "y")) == 3
        assert len(await helpers.listed("iter_items", where=label == "y")) == 3
        assert await helpers.delete_items_where(label == "none") == 0
        await helpers.delete_item("a")
        assert sorted(await helpers.scan_item_ids()) == ["b0", "b1", "b2"]
        assert sorted(await helpers.listed("iter_item_ids")) == ["b0", "b1", "b2"]
        assert await helpers.delete_many_items(["b2"]) == 1
        assert denied(admin) == []
        # What other client libraries do at start would hide the alias, and FT.DROPINDEX would take the index.
        blocking = redis.Redis(**options)
        # Over RESP2 helpers ask so about a search that took as long as it may.
        assert blocking.execute_command("FT.PROFILE", "idx:item", "SEARCH", "LIMITED", "QUERY", "*")
        for words in (
            ("FT.CREATE", "idx:item", "SCHEMA", "f", "TEXT"),
            ("FT.DROPINDEX", "idx:item"),
            ("FT.ALTER", "idx:item", "SCHEMA", "ADD", "f", "TEXT"),
            ("FT.ALIASDEL", "idx:item"),
            ("HSET", "vecmigrate:owners", "idx:item", "me"),
            ("HGETALL", "vecmigrate:{default}:revisions"),
        ):
            with pytest.raises(redis.exceptions.NoPermissionError):
                blocking.execute_command(*words)
        assert project("--redis", server.url, "drift").code == 0
        # None of these rights is there without need.
        assert missing_rights(blocking, rights.for_services(spec)) in (["+evalsha"], [])
        blocking.close()
        closed = client.close() if flavour == "sync" else client.aclose()
        if closed is not None:
            await closed
