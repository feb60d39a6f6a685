"""Attributes that are no names in Python: said in a spec, asked for in queries, adopted as they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis

from tests.generated import make_package
from vecmigrate.cli import run
from vecmigrate.search import ddl, reply
from vecmigrate.search.introspect import differences
from vecmigrate.spec.build import spec_from_mapping, spec_to_mapping
from vecmigrate.spec.load import load_specs
from vecmigrate.spec.model import IndexSpec, NumericField, TagField

NEAR, FAR = [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]
BLOB = np.array(NEAR, dtype="<f4").tobytes()
VECTOR = "VECTOR HNSW 6 TYPE FLOAT32 DIM 3 DISTANCE_METRIC COSINE".split()
ODD = [
    *("score", "metadata", "from", "user.name", "meta-key", "__key", "knn_k", "limit", "redis", "id"),
    *(
        "a b",
        "x:y",
        "1a",
        "a@b",
        "{a}",
        "a|b",
        "(x)",
        "*",
        "@x",
        "x$",
        "a%b",
        "a;b",
        "ns/x",
        "~a",
        "-a",
        "a=>b",
    ),
    *("é", "große", "名前", "a😀", "a\u00a0b", "or", "Score", "AND"),
    *("a\\b", "\\", "\\x", "x\\", 'a"b', "a'b", "$x"),
]
VECTORS = ["__vec", "vec.tor", "{v}", "v\\v", 'v"', "$v"]


def odd_spec(storage: str) -> IndexSpec:
    """A tag and a number for each attribute, then the vectors."""
    fields: dict[str, dict[str, Any]] = {}
    for number, attribute in enumerate(ODD):
        fields[f"label_{number}"] = {"type": "tag", "attribute": attribute}
        fields[f"size_{number}"] = {"type": "numeric", "attribute": f"s{attribute}", "sortable": True}
    for number, attribute in enumerate(VECTORS):
        fields[f"vec_{number}"] = {"type": "vector", "dims": 3, "attribute": attribute}
    if storage == "json":
        # Neither a path nor a key in quotes can be made of these.
        for name, field in fields.items():
            if set(field["attribute"]) & set("$\"'\\"):
                field["path"] = f"$.{name}"
    index = {"name": "idx:item", "prefix": "item:", "storage": storage}
    return spec_from_mapping({"name": "item", "index": index, "key": "item_id", "fields": fields})


@pytest.mark.parametrize("storage", ["hash", "json"])
def test_every_attribute_is_stored_found_filtered_and_returned_under_the_name(
    any_client: redis.Redis, tmp_path: Path, storage: str
) -> None:
    spec = odd_spec(storage)
    any_client.execute_command(*ddl.ft_create(spec))
    info = reply.parse_info(any_client.execute_command("FT.INFO", "idx:item"))
    assert sorted(item["attribute"] for item in info["attributes"]) == sorted(
        [*ODD, *(f"s{attribute}" for attribute in ODD), *VECTORS]
    )
    assert differences(spec, info) == ()
    package = make_package(tmp_path, spec).sync
    for key, vector in (("a", NEAR), ("b", FAR)):
        values: dict[str, Any] = {f"vec_{number}": vector for number in range(len(VECTORS))}
        for number in range(len(ODD)):
            values |= {f"label_{number}": [f"{key}{number}", "both"], f"size_{number}": number}
        package.store_item(any_client, key, values.pop("vec_0"), **values)
    stored = package.get_item(any_client, "a")
    assert np.array_equal(stored["vec_3"], NEAR)
    assert sorted(package.scan_item_ids(any_client)) == ["a", "b"]
    for number in range(len(VECTORS)):
        knn, near = package.knn_search_items, package.range_search_items
        if number:
            knn, near = (
                getattr(package, f"knn_search_items_by_vec_{number}"),
                getattr(package, f"range_search_items_by_vec_{number}"),
            )
        assert [hit["item_id"] for hit in knn(any_client, NEAR, knn_k=5)] == ["a", "b"]
        assert [hit["item_id"] for hit in near(any_client, FAR, min_score=0.5)] == ["b"]
    for number, attribute in enumerate(ODD):
        wanted = {f"label_{number}": f"b{number}", f"size_{number}": (number, None)}
        (hit,) = package.knn_search_items(any_client, NEAR, knn_k=5, **wanted)
        assert (hit["item_id"], hit[f"size_{number}"]) == ("b", number), attribute
        assert stored[f"size_{number}"] == number
        (hit,) = package.range_search_items(any_client, NEAR, min_score=0, **wanted)
        assert f"b{number}" in hit[f"label_{number}"], attribute
        assert (
            package.knn_search_items(any_client, NEAR, knn_k=5, **{f"size_{number}": (number + 1, None)})
            == []
        )


def test_names_and_attributes_that_are_each_others_stay_apart(client: redis.Redis, tmp_path: Path) -> None:
    fields = {
        "one": {"type": "tag", "attribute": "two", "path": "first"},
        "two": {"type": "tag", "attribute": "one", "path": "second"},
        "first": {"type": "text", "path": "third", "index": False},
        "vec": {"type": "vector", "dims": 3},
    }
    index = {"name": "idx:item", "prefix": "item:"}
    spec = spec_from_mapping({"name": "item", "index": index, "key": "item_id", "fields": fields})
    client.execute_command(*ddl.ft_create(spec))
    package = make_package(tmp_path, spec).sync
    package.store_item(client, "a", NEAR, one="1", two="2", first="3")
    assert client.hget("item:a", "first") == b"1"
    (hit,) = package.knn_search_items(client, NEAR, knn_k=1, one="1", two="2")
    assert (hit["one"], hit["two"], hit["first"]) == ("1", "2", "3")


# What the libraries make, each with one document as the library stores it.
JSON_DOCUMENT = {"content": "hello", "embedding": NEAR, "country": "BG", "meta-key": "x", "year": 2020}
CLIENTS: dict[str, tuple[str, str, Any]] = {
    "spring-ai": (
        f"FT.CREATE spring-ai-index ON JSON PREFIX 1 embedding: SCHEMA $.content AS content TEXT WEIGHT 1 "
        f"$.embedding AS embedding {' '.join(VECTOR)} $.country AS country TAG $.year AS year NUMERIC "
        "$.meta-key AS meta-key TAG",
        "embedding:1",
        JSON_DOCUMENT,
    ),
    "mem0": (
        "FT.CREATE mem0 ON HASH PREFIX 1 mem0:mem0 SCHEMA memory_id TAG hash TAG agent_id TAG run_id TAG "
        "user_id TAG memory TEXT metadata TEXT created_at NUMERIC updated_at NUMERIC "
        f"embedding {' '.join(VECTOR)}",
        "mem0:mem0:1",
        {"memory_id": "1", "hash": "h", "memory": "tea", "metadata": "{}", "embedding": BLOB},
    ),
    "langchain": (
        f"FT.CREATE users ON HASH PREFIX 1 doc:users SCHEMA content TEXT content_vector {' '.join(VECTOR)} "
        "user.name TAG score NUMERIC source TAG",
        "doc:users:1",
        {"content": "hello", "content_vector": BLOB, "user.name": "ann", "score": "1", "source": "web"},
    ),
    "llama-index": (
        "FT.CREATE llama_index ON HASH PREFIX 1 llama_index/vector SCHEMA id TAG doc_id TAG text TEXT "
        f"vector {' '.join(VECTOR)} from TAG",
        "llama_index/vector_1",
        {"id": "1", "doc_id": "d", "text": "hello", "vector": BLOB, "from": "web"},
    ),
    "redisvl": (
        f"FT.CREATE docs ON HASH PREFIX 1 docs SCHEMA __vec {' '.join(VECTOR)} meta-key TAG",
        "docs:1",
        {"__vec": BLOB, "meta-key": "x"},
    ),
    "json without AS": (
        f"FT.CREATE plain ON JSON PREFIX 1 plain: SCHEMA $.content TEXT $.embedding {' '.join(VECTOR)} "
        "$.country TAG $.year NUMERIC SORTABLE $.meta-key TAG",
        "plain:1",
        JSON_DOCUMENT,
    ),
}


@pytest.fixture
def cli(tmp_path: Path, monkeypatch, capsys, emptied_url: str):
    monkeypatch.delenv("VECMIGRATE_REDIS_URL", raising=False)
    monkeypatch.setenv("REDIS_URL", emptied_url)
    monkeypatch.chdir(tmp_path)

    def call(*words: str, code: int = 0) -> str:
        capsys.readouterr()
        found = run(words)
        out, err = capsys.readouterr()
        assert found == code, f"{words}: {out}{err}"
        return out + err

    return call


@pytest.mark.parametrize("library", CLIENTS)
def test_the_index_of_a_library_is_adopted_as_it_is(
    cli, client: redis.Redis, tmp_path: Path, library: str
) -> None:
    create, key, document = CLIENTS[library]
    index = create.split()[1]
    client.execute_command(*create.split())
    if isinstance(document.get("embedding"), list):
        client.execute_command("JSON.SET", key, "$", json.dumps(document))
    else:
        client.hset(key, mapping=document)
    before = client.execute_command("FT.INFO", index)
    cli("init", "-t", "empty")
    cli("introspect", index, "--no-aliases", "--name", "doc")
    cli("validate")
    cli("generate")
    cli("revision", "--autogenerate", "-m", "take over", "--rev-id", "0001")
    assert "adopted" in cli("upgrade")
    assert "no drift in 1 index at 0001" in cli("drift")
    cli("check")
    after = client.execute_command("FT.INFO", index)
    assert after[b"attributes"] == before[b"attributes"]
    (spec,) = load_specs([tmp_path / "specs"]).specs
    package = make_package(tmp_path, spec).sync
    (hit,) = package.knn_search_docs(client, NEAR, knn_k=5)
    stored = package.get_doc(client, hit[spec.key])
    assert stored is not None
    filters: dict[str, Any] = {}
    for item in spec.fields:
        value = document.get(item.path.removeprefix("$."))
        if value is None or item in spec.vectors:
            continue
        if isinstance(item, NumericField):
            value = float(value)
            filters[item.name] = (value, value)
        elif isinstance(item, TagField):
            filters[item.name] = value
        assert (hit[item.name], stored[item.name]) == (value, value)
    assert package.knn_search_docs(client, NEAR, knn_k=5, **filters) == [hit]
    # What helpers store lies where the library looks for it.
    assert list(getattr(package, spec.helpers.scan)(client)) == [hit[spec.key]]
    package.delete_doc(client, hit[spec.key])
    assert not client.exists(key)
    values = {name: value for name, value in stored.items() if name != spec.key and value is not None}
    package.store_doc(client, hit[spec.key], values.pop(spec.vector.name), **values)
    assert client.exists(key)
    assert package.knn_search_docs(client, NEAR, knn_k=5, **filters) == [hit]


def test_an_index_without_a_prefix_is_adopted_and_rebuilt(cli, client: redis.Redis, tmp_path: Path) -> None:
    client.execute_command(*f"FT.CREATE everything SCHEMA user.name TAG vec {' '.join(VECTOR)}".split())
    for number in range(20):
        client.hset(f"docs:{number}", mapping={"user.name": f"u{number}", "vec": BLOB})
    client.hset("settings", "theme", "dark")
    cli("init", "-t", "empty")
    told = cli("introspect", "everything", "--no-aliases", "--name", "doc")
    assert "20 of 20 documents looked at lie under 'docs:', so helpers store there" in told
    cli("revision", "--autogenerate", "-m", "take over", "--rev-id", "0001")
    assert "adopted" in cli("upgrade")
    assert "no drift" in cli("drift")
    path = tmp_path / "specs" / "doc.yaml"
    path.write_text(path.read_text().replace("m: 16", "m: 24"))
    cli("revision", "--autogenerate", "-m", "wider", "--rev-id", "0002")
    cli("upgrade")
    assert "no drift" in cli("drift")
    info = reply.parse_info(client.execute_command("FT.INFO", "everything"))
    assert info["index_definition"]["prefixes"] == [""]
    (spec,) = load_specs([tmp_path / "specs"]).specs
    package = make_package(tmp_path, spec).sync
    assert len(package.knn_search_docs(client, NEAR, knn_k=50)) == 20
    (hit,) = package.knn_search_docs(client, NEAR, knn_k=50, user_name="u7")
    assert hit["doc_id"] == "7"
    package.store_doc(client, "new", FAR, user_name="ann")
    assert client.hget("docs:new", "user.name") == b"ann"
    assert len(package.scan_doc_ids(client)) == 21
    package.delete_doc(client, "new")
    assert client.exists("settings")


def test_two_indexes_over_the_same_documents(cli, client: redis.Redis, tmp_path: Path) -> None:
    cli("init", "-t", "empty")
    for name, vector in (("small", "short_vec"), ("large", "long_vec")):
        dims = 3 if name == "small" else 4
        text = f"""version: 1
name: {name}
index: {{name: "idx:{name}", prefix: "doc:"}}
key: doc_id
fields:
  title: {{type: tag}}
  {vector}: {{type: vector, dims: {dims}}}
"""
        (tmp_path / "specs").mkdir(exist_ok=True)
        (tmp_path / "specs" / f"{name}.yaml").write_text(text)
    assert "both indexes hold the same documents" in cli("validate")
    cli("generate")
    cli("revision", "--autogenerate", "-m", "both", "--rev-id", "0001")
    cli("upgrade")
    package = make_package(tmp_path, *load_specs([tmp_path / "specs"]).specs).sync
    package.store_small(client, "a", NEAR, title="t")
    package.store_large(client, "a", [*NEAR, 0], title="t")
    package.store_small(client, "b", NEAR)
    assert [hit["doc_id"] for hit in package.knn_search_larges(client, [*NEAR, 0], knn_k=5, title="t")] == [
        "a"
    ]
    assert sorted(hit["doc_id"] for hit in package.knn_search_smalls(client, NEAR, knn_k=5)) == ["a", "b"]
    path = tmp_path / "specs" / "large.yaml"
    path.write_text(path.read_text().replace("dims: 4", "dims: 4, m: 32"))
    cli("revision", "--autogenerate", "-m", "wider", "--rev-id", "0002")
    cli("upgrade")
    assert "no drift in 2 indexes" in cli("drift")


@pytest.mark.parametrize(
    ("create", "document", "why"),
    [
        ("SCHEMA AS TAG", {}, "RETURN reads it as its word AS"),
        ("SCHEMA f AS __distance TAG", {}, "searches give the distance that name"),
        ("SCHEMA f AS a\\.b TAG", {}, "the server drops a backslash that stands before a sign"),
        ("SCHEMA f TAG", {"77": {"v": BLOB}}, "nothing says what the keys of documents begin with"),
        ("PREFIX 2 a: b: SCHEMA f AS one TAG f AS two TAG", {}, "indexes `f` just as `one` does"),
    ],
)
def test_what_cannot_be_adopted_says_why_in_the_first_message(
    cli, client: redis.Redis, tmp_path: Path, create: str, document: dict[str, Any], why: str
) -> None:
    client.execute_command(*f"FT.CREATE odd {create} v {' '.join(VECTOR)}".split())
    for key, fields in document.items():
        client.hset(key, mapping=fields)
    cli("init", "-t", "empty")
    told = cli("introspect", "odd", "--no-aliases", code=3)
    assert why in told.splitlines()[0]
    assert not list(tmp_path.rglob("*.yaml"))


def test_a_name_in_python_changes_without_a_migration_and_an_attribute_by_a_rebuild(
    cli, client: redis.Redis, tmp_path: Path
) -> None:
    spec = tmp_path / "specs" / "doc.yaml"
    create, key, document = CLIENTS["langchain"]
    client.execute_command(*create.split())
    client.hset(key, mapping=document)
    cli("init", "-t", "empty")
    told = cli("introspect", "users", "--no-aliases", "--name", "doc")
    assert "the attribute 'user.name' cannot be the name of a field in Python" in told
    assert "user_name: {type: tag, attribute: user.name}" in spec.read_text()
    cli("generate")
    cli("revision", "--autogenerate", "-m", "take over", "--rev-id", "0001")
    cli("upgrade")
    spec.write_text(spec.read_text().replace("user_name:", "author:"))
    cli("generate")
    assert "nothing" in cli("revision", "--autogenerate", "-m", "another name", "--rev-id", "0002")
    cli("check")
    assert "no drift" in cli("drift")
    spec.write_text(
        spec.read_text().replace("attribute: user.name}", "attribute: author.name, path: user.name}")
    )
    # The migrations know the field by its first name, so two changes at once leave a doubt.
    told = cli("revision", "--autogenerate", "-m", "another attribute", "--rev-id", "0003", code=3)
    assert "say `renamed_from: user_name` in doc.author" in told
    spec.write_text(spec.read_text().replace("path: user.name}", "path: user.name, renamed_from: user_name}"))
    cli("generate")
    cli("revision", "--autogenerate", "-m", "another attribute", "--rev-id", "0003")
    (script,) = (tmp_path / "migrations").rglob("*0003*")
    assert "rebuild_index" in script.read_text()
    cli("upgrade")
    assert "no drift" in cli("drift")
    answer = client.execute_command("FT.SEARCH", "users", "@author\\.name:{ann}", "DIALECT", 2)
    assert [hit.id for hit in reply.parse_search(answer).hits] == [key]
    cli("downgrade", "-1")
    answer = client.execute_command("FT.SEARCH", "users", "@user\\.name:{ann}", "DIALECT", 2)
    assert [hit.id for hit in reply.parse_search(answer).hits] == [key]


def test_a_field_with_an_attribute_is_added_in_place(cli, client: redis.Redis, tmp_path: Path) -> None:
    create, key, document = CLIENTS["llama-index"]
    client.execute_command(*create.split())
    client.hset(key, mapping={**document, "file-name": "a.txt"})
    cli("init", "-t", "empty")
    cli("introspect", "llama_index", "--no-aliases", "--name", "doc")
    cli("revision", "--autogenerate", "-m", "take over", "--rev-id", "0001")
    cli("upgrade")
    spec = tmp_path / "specs" / "doc.yaml"
    spec.write_text(spec.read_text().rstrip("\n") + "\n  file: {type: tag, attribute: file-name}\n")
    cli("revision", "--autogenerate", "-m", "file names", "--rev-id", "0002")
    (script,) = (tmp_path / "migrations").rglob("*0002*")
    assert "alter_index" in script.read_text()
    cli("upgrade")
    assert "no drift" in cli("drift")
    answer = client.execute_command("FT.SEARCH", "llama_index", "@file\\-name:{a\\.txt}", "DIALECT", 2)
    assert [hit.id for hit in reply.parse_search(answer).hits] == [key]


def test_the_mapping_of_a_spec_with_attributes_reads_back_as_it() -> None:
    for storage in ("hash", "json"):
        spec = odd_spec(storage)
        assert spec_from_mapping(spec_to_mapping(spec)) == spec
    assert spec_to_mapping(odd_spec("hash"))["fields"]["label_0"] == {"type": "tag", "attribute": "score"}
