"""Each rule within one spec, by the exact line that a user reads."""

# ruff: noqa: E501 - a message stands on one line, as a user sees it

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vecmigrate.spec.load import check_specs

# The lines that most tests change are numbered in the comments.
BASE = """\
version: 1
name: skill
index:
  name: idx:skill
  prefix: "skill:"
key: skill_id
fields:
  skill_id: {type: tag, from: key}
  title: {type: text}
  price: {type: numeric}
  spot: {type: geo}
  area: {type: geoshape}
  meta_json: {type: json}
  embedding:
    type: vector
    dims: 384
    metric: cosine
    algorithm: hnsw
    m: 16
helpers:
  on_error: empty
"""
JSON = BASE.replace('prefix: "skill:"', 'prefix: "skill:"\n  storage: json')


def findings(tmp_path: Path, text: str | bytes) -> list[str]:
    """`code line:column: message` of each finding, in order."""
    path = tmp_path / "s.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return [
        f"{problem.code} {str(problem).removeprefix(f'{path}:')}" for problem in check_specs([path]).problems
    ]


def changed(old: str, new: str, base: str = BASE) -> str:
    assert base.count(old) == 1, old
    return base.replace(old, new)


@pytest.mark.parametrize("base", [BASE, JSON], ids=["hash", "json"])
def test_the_base_has_no_findings(tmp_path: Path, base: str):
    assert findings(tmp_path, base) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        # keys
        (
            "    m: 16",
            "    ef_runtme: 16",
            "unknown-key 19:5: unknown key `ef_runtme` in the hnsw vector field `embedding` (expected one of attribute, path, datatype, primary, m, ef_construction, ef_runtime, epsilon, initial_cap, index_missing, renamed_from); did you mean `ef_runtime`?",
        ),
        (
            "algorithm: hnsw",
            "algorithm: flat",
            "unknown-key 19:5: unknown key `m` in the flat vector field `embedding` (expected one of attribute, path, datatype, primary, block_size, initial_cap, index_missing, renamed_from); it belongs to hnsw",
        ),
        (
            "{type: numeric}",
            "{type: numeric, separator: ;}",
            "unknown-key 10:26: unknown key `separator` in the numeric field `price` (expected one of attribute, path, from, default, index, index_missing, sortable, noindex, renamed_from); it belongs to tag fields",
        ),
        (
            "key: skill_id",
            "key: skill_id\nstorage: json",
            "unknown-key 7:1: unknown key `storage` in the spec (expected one of description, renamed_from); it belongs under `index`",
        ),
        (
            "  on_error: empty",
            "  fields: empty",
            "unknown-key 21:3: unknown key `fields` in `helpers` (expected one of on_error, timeout_ms, generate, constant, plural, to_blob, store, store_many, get, delete, delete_many, knn, knn_many, range, scan, iterate, count, list, walk, delete_where, migrate_legacy); it belongs to the spec itself, not below it",
        ),
        (
            "    m: 16",
            "    m: 16\n    dims: 385",
            "duplicate-key 20:5: the key `dims` is given twice (expected once); the first is in line 16",
        ),
        (
            "    dims: 384\n",
            "",
            "missing-key 15:5: the hnsw vector field `embedding` has no `dims`; add `dims`: how many numbers a vector has",
        ),
        (
            "key: skill_id\n",
            "",
            "missing-key 1:1: the spec has no `key`; add `key`: the parameter that completes the prefix: the key of a document is the prefix and this",
        ),
        (
            "  on_error: empty",
            "  migrate_legacy: {}",
            "missing-key 21:19: `helpers.migrate_legacy` has no `name`; add `name`: the name of the function",
        ),
        # types
        (
            "dims: 384",
            'dims: "384"',
            'wrong-type 16:11: `dims` is "384" (expected a whole number); remove the quotes',
        ),
        ("dims: 384", "dims: 384.0", "wrong-type 16:11: `dims` is 384.0 (expected a whole number)"),
        ("dims: 384", "dims: true", "wrong-type 16:11: `dims` is true (expected a whole number)"),
        ("dims: 384", "dims: [384]", "wrong-type 16:11: `dims` is a list (expected a whole number)"),
        (
            "dims: 384",
            "dims:",
            "wrong-type 16:10: `dims` has no value (expected a whole number); remove the key, or give it a value",
        ),
        (
            "dims: 384",
            "dims: 1e3",
            'wrong-type 16:11: `dims` is "1e3" (expected a whole number); YAML 1.1 reads `1e3` as text; write 1000',
        ),
        (
            "    m: 16",
            "    epsilon: 1e-2",
            'wrong-type 19:14: `epsilon` is "1e-2" (expected a number); YAML 1.1 reads `1e-2` as text; write 0.01',
        ),
        ("    m: 16", "    epsilon: .inf", "wrong-type 19:14: `epsilon` is inf (expected a finite number)"),
        (
            "{type: text}",
            "{type: text, sortable: ture}",
            'wrong-type 9:33: `sortable` is "ture" (expected true or false); did you mean `true`?',
        ),
        ("{type: text}", "text", 'wrong-type 9:10: the field `title` is "text" (expected a mapping)'),
        (
            'prefix: "skill:"',
            "prefix: {a: b}",
            "wrong-type 5:11: `prefix` is a mapping (expected text or a list)",
        ),
        ("version: 1", "version: 2", "bad-version 1:10: `version` is 2 (expected 1)"),
        (
            "version: 1",
            'version: "1"',
            'bad-version 1:10: `version` is "1" (expected 1); write it as a whole number, without quotes',
        ),
        # YAML 1.1
        (
            "name: skill\n",
            "name: no\n",
            'wrong-type 2:7: `name` is `no`, which YAML reads as a boolean (expected text); quote it: "no"',
        ),
        (
            "name: skill\n",
            "name: 2024\n",
            'wrong-type 2:7: `name` is `2024`, which YAML reads as a number (expected text); quote it: "2024"',
        ),
        (
            "  title:",
            "  on:",
            'wrong-type 9:3: the key `on` is a boolean in YAML (expected text); quote it: "on"',
        ),
        ("  title:", "  ? [a]\n  :", "wrong-type 9:5: a key is a list (expected text)"),
        (
            "m: 16",
            "m: 020",
            "yaml-surprise 19:8: YAML reads `020` as the octal number 16 (expected a decimal number or a quoted text);"
            ' write 16 or "020"',
        ),
        (
            "m: 16",
            "m: 1:30",
            "yaml-surprise 19:8: YAML reads `1:30` as the sexagesimal number 90 (expected a decimal number or a quoted"
            ' text); write 90 or "1:30"',
        ),
        # values
        ("dims: 384", "dims: 0", "out-of-range 16:11: `dims` is 0 (expected 1 to 32768)"),
        ("dims: 384", "dims: 32769", "out-of-range 16:11: `dims` is 32769 (expected 1 to 32768)"),
        ("m: 16", "m: 513", "out-of-range 19:8: `m` is 513 (expected 2 to 512)"),
        (
            "    m: 16",
            "    ef_runtime: 4097",
            "out-of-range 19:17: `ef_runtime` is 4097 (expected 1 to 4096)",
        ),
        ("    m: 16", "    epsilon: 0", "out-of-range 19:14: `epsilon` is 0 (expected more than 0)"),
        ("    m: 16", "    initial_cap: -1", "out-of-range 19:18: `initial_cap` is -1 (expected 0 or more)"),
        ("key:", "  score: 1.5\nkey:", "out-of-range 6:10: `score` is 1.5 (expected 0 to 1)"),
        ("key:", "  temporary: 0\nkey:", "out-of-range 6:14: `temporary` is 0 (expected 1 to 2147483647)"),
        (
            "metric: cosine",
            "metric: cosin",
            'bad-value 17:13: `metric` is "cosin" (expected one of cosine, l2, ip); did you mean `cosine`?',
        ),
        (
            "algorithm: hnsw",
            "algorithm: hsnw",
            'bad-value 18:16: `algorithm` is "hsnw" (expected one of flat, hnsw, svs_vamana); did you mean `hnsw`?',
        ),
        (
            "{type: text}",
            "{type: txt}",
            'bad-value 9:17: `type` is "txt" (expected one of text, tag, numeric, geo, geoshape, json, vector);'
            " did you mean `text`?",
        ),
        (
            "{type: numeric}",
            "{type: numeric, from: key}",
            'bad-value 10:32: `from` is "key" (expected one of metadata, argument)',
        ),
        (
            "{type: text}",
            "{type: text, phonetic: dm:de}",
            'bad-value 9:33: `phonetic` is "dm:de" (expected one of dm:en, dm:fr, dm:pt, dm:es); did you mean `dm:es`?',
        ),
        ("{type: json}", "{type: json, index: true}", "bad-value 13:34: `index` is true (expected false)"),
        (
            'prefix: "skill:"',
            'prefix: ""',
            'missing-key 5:11: the index takes in every key, and nothing says what the keys of documents begin with (expected `store_prefix` beside it, such as `store_prefix: "docs:"`); helpers take every key for a document that begins with it, so keys that begin with nothing in common cannot have helpers: copy these documents under a prefix',
        ),
        (
            'prefix: "skill:"',
            'prefix: "skill:"\n  store_prefix: "skills:"',
            "bad-value 6:17: what is stored under `skills:` would not be in the index, whose prefix is `skill:` (expected a text that begins with a prefix)",
        ),
        (
            "  title:",
            "  title: {type: text, attribute: __distance}\n  other:",
            "reserved-word 9:34: no query can use the attribute `__distance`: searches give the distance that name (expected another attribute)",
        ),
        (
            "  title:",
            "  title: {type: text, attribute: as}\n  other:",
            "reserved-word 9:34: no query can use the attribute `as`: RETURN reads it as its word AS (expected another attribute)",
        ),
        (
            "  title:",
            "  title: {type: text, attribute: 'a\\.b'}\n  other:",
            "reserved-word 9:34: no query can use the attribute `a\\.b`: the server drops a backslash that stands before a sign (expected another attribute)",
        ),
        (
            "  title:",
            "  title: {type: text, attribute: embedding, path: title}\n  other:",
            "duplicate-field 15:3: the fields `title` and `embedding` have one attribute, `embedding` (expected an attribute of its own for each)",
        ),
        (
            "  title:",
            "  title: {type: text, attribute: heading, index: false}\n  other:",
            "not-indexed 9:23: `attribute` is given, and the field `title` is not indexed (expected no options of the index)",
        ),
        (
            "  title:",
            "  user.name: {type: text}\n  title:",
            'bad-identifier 9:3: the field name "user.name" does not fit (expected a letter or _, then letters, digits and _, with no __ in front); for example `user_name: {attribute: user.name, …}`',
        ),
        (
            'prefix: "skill:"',
            "prefix: []",
            "empty-value 5:11: `prefix` is empty (expected at least one entry)",
        ),
        (
            'prefix: "skill:"',
            'prefix: ["a:", ""]',
            "empty-value 5:18: entry 2 of `prefix` is empty (expected some text)",
        ),
        (
            'prefix: "skill:"',
            'prefix: ["a:", "b:", "a:"]',
            'duplicate-value 5:24: "a:" is listed twice (expected once)',
        ),
        ("  on_error: empty", "  get: {}", "empty-value 21:8: `get` is empty (expected at least one key)"),
        (
            "{type: text}",
            '{type: text, default: "a\\0b"}',
            "bad-text 9:32: the text holds U+0000 (expected printable text)",
        ),
        (
            "{type: text}",
            '{type: text, default: "\\ud800"}',
            "bad-text 9:32: the text holds U+D800 (expected printable text)",
        ),
        # identifiers
        (
            "name: skill\n",
            "name: MySkill\n",
            'bad-identifier 2:7: `name` "MySkill" does not fit (expected a lower-case letter, then lower-case letters,'
            " digits and _); for example `my_skill`",
        ),
        (
            "name: skill\n",
            'name: "skill\\n"\n',
            'bad-identifier 2:7: `name` "skill\\n" does not fit (expected a lower-case letter, then lower-case letters,'
            " digits and _); for example `skill`",
        ),
        (
            "  title:",
            "  my title:",
            'bad-identifier 9:3: the field name "my title" does not fit (expected a letter or _, then letters, digits'
            " and _, with no __ in front); for example `my_title: {attribute: my title, …}`",
        ),
        (
            "name: idx:skill",
            "name: idx@1",
            'bad-identifier 4:9: `name` "idx@1" does not fit (expected no white space and no @); for example `idx_1`',
        ),
        (
            "name: skill\n",
            "name: class\n",
            "reserved-word 2:7: `class` is a Python keyword (expected another name); call it `class_`",
        ),
        (
            "  title:",
            "  from:",
            "reserved-word 9:3: `from` is a Python keyword (expected another name); call it `from_` and say `attribute: from`",
        ),
        (
            "  title:",
            "  len:",
            "reserved-word 9:3: `len` cannot be used: generated code needs it for itself (expected another name); call it `len_` and say `attribute: len`",
        ),
        (
            "  on_error: empty",
            "  get: {name: open}",
            "reserved-word 21:15: `open` cannot be used: it is a builtin, or the package has it already (expected another name); call it `open_`",
        ),
        (
            "  on_error: empty",
            "  get: {name: embedding_to_blob}",
            "reserved-word 21:15: `embedding_to_blob` cannot be used: it is a builtin, or the package has it already (expected another name); call it `embedding_to_blob_`",
        ),
        # collisions
        (
            "  on_error: empty",
            "  get: {name: store_skill}",
            "name-collision 21:15: `store_skill` would be the name of two functions: `store` and `get` (expected a name of its own for each); give one under `helpers`",
        ),
        (
            "  title:",
            "  score:",
            "name-collision 9:3: the field `score` would have the name that results use for the similarity (expected another name); call it `skill_score` and say `attribute: score`",
        ),
        (
            "  title:",
            "  metadata:",
            "name-collision 9:3: the field `metadata` would have the name that results use for the metadata (expected another name); call it `skill_metadata` and say `attribute: metadata`",
        ),
        (
            "skill_id: {type: tag, from: key}",
            "skill_id: {type: tag}",
            "name-collision 8:3: the field `skill_id` would have the name that results use for the key (expected another name); or say `from: key`",
        ),
        (
            "  on_error: empty",
            "  store: {vector: metadata}",
            "name-collision 21:3: the store helper would have two parameters `metadata`: the vector `embedding` and the metadata (expected different names); name one of them under `helpers: {store: …}`",
        ),
        (
            "  title: {type: text}",
            "  redis: {type: text, from: argument}",
            "name-collision 9:3: the store helper would have two parameters `redis`: the client and the field `redis` (expected different names); name one of them under `helpers: {store: …}`",
        ),
        (
            "  on_error: empty",
            "  knn: {query: knn_k}",
            "name-collision 21:16: the searches would have two parameters `knn_k` (expected another name)",
        ),
        (
            "  price:",
            "  knn_k:",
            "name-collision 10:3: the field `knn_k` has the name of a parameter of the searches (expected another name)",
        ),
        # options
        (
            "{type: text}",
            "{type: text, unf: true}",
            "needs-sortable 9:28: `unf` of the field `title` has no effect (expected `sortable: true` beside it)",
        ),
        (
            "{type: numeric}",
            "{type: numeric, sortable: true, noindex: true, index_missing: true}",
            "conflicting-keys 10:72: the field `price` has both `noindex` and `index_missing` (expected one of them); RediSearch refuses the pair",
        ),
        (
            "{type: numeric}",
            "{type: numeric, noindex: true}",
            "useless-field 10:35: warning: the field `price` can be neither searched nor sorted by (expected `sortable: true` beside `noindex`); `index: false` stores it without indexing",
        ),
        (
            "{type: text}",
            "{type: text, index: false, nostem: true}",
            "not-indexed 9:37: `nostem` is given, and the field `title` is not indexed (expected no options of the index)",
        ),
        (
            "{type: text}",
            "{type: text, default: x, default_from: key}",
            "conflicting-keys 9:35: the field `title` has both `default` and `default_from` (expected one of them)",
        ),
        (
            "{type: tag, from: key}",
            "{type: tag, from: key, default: x}",
            "conflicting-keys 8:36: the field `skill_id` is the key, which is never missing, and has `default` (expected no default)",
        ),
        (
            "{type: tag, from: key}",
            '{type: tag, from: key, separator: "::"}',
            'bad-separator 8:47: `separator` "::" does not fit (expected a single ASCII character)',
        ),
        (
            "{type: numeric}",
            '{type: numeric, default: "7"}',
            'wrong-type 10:35: `default` is "7" (expected a number); remove the quotes',
        ),
        (
            "{type: geo}",
            "{type: geo, default: Berlin}",
            'bad-default 11:30: `default` "Berlin" does not fit (expected `longitude,latitude` in degrees, such as "13.4,52.5")',
        ),
        (
            "{type: geo}",
            '{type: geo, default: "181,0"}',
            "bad-default 11:30: `default` 181,0 is not a point on the map (expected a longitude within ±180.0 and a latitude within ±85.05112878)",
        ),
        (
            "{type: geoshape}",
            "{type: geoshape, default: CIRCLE(1)}",
            'bad-default 12:35: `default` "CIRCLE(1)" does not fit (expected a POINT or POLYGON in well-known text, such as "POINT (13.4 52.5)")',
        ),
        (
            "  title: {type: text}",
            "  a: {type: json, from: metadata}\n  b: {type: json, from: metadata}",
            "several-metadata 10:25: the field `b` holds the whole metadata, and so does `a` (expected at most one such field); use `from: argument`",
        ),
        (
            'prefix: "skill:"',
            'prefix: ["skill:", "skill:old:"]',
            "prefix-redundant 5:22: warning: the prefix `skill:old:` adds nothing: `skill:` matches its keys too (expected prefixes that do not overlap)",
        ),
        (
            'prefix: "skill:"',
            "prefix: skill",
            "prefix-open 5:11: warning: the prefix `skill` has no separator at its end (expected for example `skill:`); as it stands it also matches keys such as `skill_other:1`",
        ),
        # paths
        (
            "  title: {type: text}",
            "  title: {type: text}\n  heading: {type: text, path: title}",
            "duplicate-field 10:3: the field `heading` indexes `title` just as `title` does (expected another type or other options)",
        ),
        (
            "  title: {type: text}",
            "  title: {type: text}\n  heading: {type: tag, path: title, default: x}",
            "not-stored 10:37: `default` is given, and the field `heading` is only indexed: another field writes its path (expected no such key)",
        ),
        (
            "  title: {type: text}",
            "  title: {type: text}\n  heading: {type: text, path: title, index: false}",
            "not-stored 10:31: the field `heading` is neither indexed nor written: another field writes its path (expected a path of its own)",
        ),
        # svs_vamana
        (
            "hnsw\n    m: 16",
            "svs_vamana\n    datatype: float64",
            'bad-value 19:15: `datatype` is "float64" (expected one of float32, float16)',
        ),
        (
            "hnsw\n    m: 16",
            "svs_vamana\n    training_threshold: 2048",
            "needs-compression 19:5: `training_threshold` is given without `compression` (expected `compression` beside it)",
        ),
        (
            "hnsw\n    m: 16",
            "svs_vamana\n    compression: LVQ8\n    reduce: 64",
            "needs-compression 20:5: `reduce` is given, and the field `embedding` has `LVQ8` (expected a LeanVec compression)",
        ),
        (
            "hnsw\n    m: 16",
            "svs_vamana\n    compression: LeanVec4x8\n    reduce: 384",
            "out-of-range 20:13: `reduce` is 384 (expected 1 to 383)",
        ),
        (
            "hnsw\n    m: 16",
            "svs_vamana\n    compression: LVQ8\n    training_threshold: 1023",
            "out-of-range 20:25: `training_threshold` is 1023 (expected 1024 or more)",
        ),
    ],
)
def test_one_change_gives_one_finding(tmp_path: Path, old: str, new: str, expected: str):
    assert findings(tmp_path, changed(old, new)) == [expected]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "{type: text}",
            "{type: text, path: title}",
            "bad-path 10:29: `path` is `title` (expected a JSON path that begins with $); write $.title",
        ),
        (
            "storage: json",
            "storage: json\n  score_field: .rank",
            "bad-path 7:16: `score_field` is `.rank` (expected a JSON path that begins with $); write $.rank",
        ),
        (
            "    m: 16",
            "    path: $.chunks[*].embedding",
            "not-stored 20:11: the primary vector field `embedding` cannot be written: its path is not its own and plain (expected a path such as $.embedding); say `primary: true` of another vector",
        ),
        (
            "{type: text}",
            "{type: text, path: '$.list[*]', from: metadata}",
            "not-stored 10:42: `from` is given, and the field `title` is only indexed: its path is not its own and plain (expected no such key)",
        ),
        (
            "{type: text}",
            '{type: text, path: "$.price.text"}',
            "path-overlap 10:29: the field `title` lies inside the field `price` ($.price) (expected a path of its own)",
        ),
    ],
)
def test_one_change_of_a_json_spec_gives_one_finding(tmp_path: Path, old: str, new: str, expected: str):
    assert findings(tmp_path, changed(old, new, JSON)) == [expected]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("{type: text}", "{type: text, path: $.meta_json.title}"),
        ("{type: text}", "{type: text, path: '$.list[*].title'}"),
        ("{type: text}", "{type: text, path: $.price}"),
        ("storage: json", "storage: json\n  language_field: $.lang"),
    ],
)
def test_what_a_json_spec_may_say(tmp_path: Path, old: str, new: str):
    assert findings(tmp_path, changed(old, new, JSON)) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  title: {type: text}", "  title: {type: text}\n  title_tag: {type: tag, path: title}"),
        ("key:", "  language_field: lang\n  score_field: rank\nkey:"),
        ("  title:", "  id:"),
        ("  title: {type: text}", "  type: {type: text, from: argument}"),
        ("    m: 16", "    m: 0x10"),
        (
            "    m: 16",
            "    primary: true\n    <<: &shared {m: 16}\n  second: {type: vector, dims: 3, <<: *shared}",
        ),
    ],
)
def test_what_a_spec_may_say(tmp_path: Path, old: str, new: str):
    assert findings(tmp_path, changed(old, new)) == []


def test_a_spec_needs_a_vector(tmp_path: Path):
    text = BASE[: BASE.index("  embedding:")]
    assert findings(tmp_path, text) == [
        "missing-vector 8:3: the spec has no vector field (expected at least one field of type vector)"
    ]


def test_a_field_that_is_no_known_type_is_not_also_a_missing_vector(tmp_path: Path):
    assert [line.split()[0] for line in findings(tmp_path, changed("type: vector", "type: vectr"))] == [
        "bad-value"
    ]


@pytest.mark.parametrize(
    ("kind", "count", "expected"),
    [
        ("text", 129, "too-many-fields 8:3: the spec has 129 text fields (expected at most 128)"),
        ("tag", 1024, "too-many-fields 8:3: the spec has 1025 fields (expected at most 1024)"),
    ],
)
def test_there_is_a_limit_to_fields(tmp_path: Path, kind: str, count: int, expected: str):
    start = BASE.index("  skill_id: {")
    end = BASE.index("  embedding:")
    many = "".join(f"  f{number}: {{type: {kind}}}\n" for number in range(count))
    assert findings(tmp_path, BASE[:start] + many + BASE[end:]) == [expected]


def test_there_is_a_limit_to_prefixes(tmp_path: Path):
    many = ", ".join(f'"p{number}:"' for number in range(1025))
    assert findings(tmp_path, changed('prefix: "skill:"', f"prefix: [{many}]")) == [
        "too-many-entries 5:11: `prefix` has 1025 entries (expected at most 1024)"
    ]


def test_all_findings_of_a_file_come_at_once_and_in_order(tmp_path: Path):
    text = BASE.replace("dims: 384", "dims: 0").replace("name: skill\n", "nmae: skill\n")
    text = text.replace("{type: text}", "{type: text, unf: true, weight: -1}").replace(
        "m: 16", "m: 16\n    m: 17"
    )
    found = findings(tmp_path, text)
    assert [re.match(r"\S+ \d+:\d+", line)[0] for line in found] == [
        "missing-key 1:1",
        "unknown-key 2:1",
        "needs-sortable 9:28",
        "out-of-range 9:42",
        "out-of-range 16:11",
        "duplicate-key 20:5",
    ]
