# ruff: noqa: E501 - a message stands on one line, as a user sees it

"""Files as a whole: what cannot be read, and what two specs cannot both have."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from vecmigrate.errors import SpecError
from vecmigrate.spec.load import check_specs, load_specs, spec_files
from vecmigrate.spec.source import MAX_BYTES

TOOL = """\
version: 1
name: tool
index: {name: "idx:tool", prefix: "tool:"}
key: tool_name
fields:
  embedding: {type: vector, dims: 3}
"""
SKILL = TOOL.replace("tool", "skill")


def write(folder: Path, **files: str | bytes) -> Path:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def lines(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(folder)
    return [f"{problem.code} {problem}" for problem in check_specs([folder]).problems]


def only(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str | bytes) -> str:
    (line,) = lines(write(folder, a=text), monkeypatch)
    return line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "",
            "empty-file a.yaml:1:1: the file is empty (expected one YAML mapping with the keys of a spec)",
        ),
        (
            "# only a comment\n",
            "empty-file a.yaml:1:1: the file is empty (expected one YAML mapping with the keys of a spec)",
        ),
        ("- version: 1\n", "wrong-type a.yaml:1:1: the spec is a list (expected a mapping)"),
        ("~\n", "wrong-type a.yaml:1:1: the spec is empty (expected a mapping)"),
        (
            f"{TOOL}---\n{SKILL}",
            "several-documents a.yaml:7:1: a second YAML document begins here (expected one spec in one file);"
            " split the file",
        ),
        (
            "version:\n\t- 1\n",
            "tab a.yaml:2:1: a tab stands here (expected spaces); YAML allows no tabs for indentation",
        ),
        (
            b"version: 1\nname: \xe4\n",
            "not-utf8 a.yaml:2:7: byte 0xe4 is not UTF-8 (expected UTF-8 text); save the file as UTF-8",
        ),
        ("name: a\x07b\n", "yaml-syntax a.yaml:1:8: the character U+0007 is not allowed in YAML"),
        (
            "a: {b: c\n",
            "yaml-syntax a.yaml:2:1: not YAML: while parsing a flow mapping: expected ',' or '}', but got"
            " '<stream end>'",
        ),
        (
            "name: a: b\n",
            'yaml-syntax a.yaml:1:8: not YAML: mapping values are not allowed here; quote a text that holds ": "',
        ),
        (
            "filter: *star\n",
            "yaml-syntax a.yaml:1:9: not YAML: found undefined alias 'star'; quote a text that begins with *",
        ),
        ("[" * 5000, "too-deep a.yaml:1:21: values are nested too deeply (expected at most 20 levels)"),
        (
            "#" + "x" * MAX_BYTES,
            "too-large a.yaml:1:1: the file is larger than 512 KiB (expected at most 524288 bytes)",
        ),
    ],
)
def test_what_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | bytes, expected: str
):
    assert only(tmp_path, monkeypatch, text) == expected


def test_aliases_that_explode_are_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    text = "a: &a [x, x, x, x, x, x, x, x, x]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True):
        text += f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    started = time.monotonic()
    assert only(tmp_path, monkeypatch, text) == (
        "too-many-values a.yaml:1:1: the file holds too many values (expected at most 30000); use fewer aliases"
    )
    assert time.monotonic() - started < 5


def test_a_large_file_of_many_values_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert only(tmp_path, monkeypatch, "[" + "1," * 60_000 + "1]") == (
        "too-many-values a.yaml:1:1: the file holds too many values (expected at most 30000)"
    )


LONG = {
    "entries that are merged": (
        "x: &x {" + ", ".join(f"k{n}: 1" for n in range(7_000)) + "}\n<<: *x\n",
        "unknown-key",
    ),
    "a merged mapping, often": ("a: &a {k: 1}\nb: {<<: [" + "*a, " * 9_000 + "*a]}\n", "unknown-key"),
    "entries, one twice": (
        TOOL.replace("prefix:", "stopwords: [" + "".join(f"w{n}, " for n in range(20_000)) + "w9], prefix:"),
        "duplicate-value",
    ),
    "hexadecimal digits": (TOOL.replace("dims: 3", "dims: 0x" + "9" * 400_000), "wrong-type"),
    "decimal digits": (TOOL.replace("dims: 3", "dims: " + "9" * 5_000), "wrong-type"),
    "octal digits": (TOOL.replace("dims: 3", "dims: 0" + "7" * 5_000), "wrong-type"),
    "base-60 parts": (TOOL.replace("dims: 3", "dims: 1" + ":1" * 200_000), "wrong-type"),
    "base-60 parts of a fraction": (TOOL.replace("dims: 3", "dims: 1" + ":1" * 200_000 + ".5"), "wrong-type"),
    "unknown keys": ("".join(f"unknown_key_{n}: 1\n" for n in range(13_000)), "too-many-problems"),
    "unknown keys of fields": (
        "fields:\n"
        + "".join(f"  f{n}: {{type: tag, a: 1, b: 1, c: 1, d: 1, e: 1, f: 1}}\n" for n in range(1_000)),
        "too-many-problems",
    ),
    "fields": ("fields:\n" + "".join(f"  f{n}: {{type: tagg}}\n" for n in range(7_000)), "too-many-fields"),
}


@pytest.mark.parametrize("name", LONG)
def test_what_is_long_takes_no_long_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    """Each took from half a minute to many minutes, or ended as a fault."""
    text, code = LONG[name]
    path = write(tmp_path, a=text)
    began = time.process_time()
    found = lines(path, monkeypatch)
    assert time.process_time() - began < 20
    assert code in {line.split()[0] for line in found}
    assert len(found) <= 201


def test_what_is_merged_is_where_it_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    text = TOOL + "x: &x {key: 1, index: 2, nope: {a: 3}}\n<<: [*x, {other: 4}]\n"
    last = len(TOOL.splitlines())
    found = [line.split(":")[:3] for line in lines(write(tmp_path, a=text), monkeypatch)]
    assert [f"{last + 1}", f"{last + 2}"] == sorted({line[1] for line in found})


def test_an_alias_to_itself_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    text = TOOL.replace("{type: vector, dims: 3}", "&e {type: vector, dims: 3, path: *e}")
    assert lines(write(tmp_path, a=text), monkeypatch) == [
        "recursive-alias a.yaml:6:14: the alias refers to a value that contains it"
    ]


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.getcwd", "!!binary", "!own", "!!set"])
def test_tags_are_refused_and_nothing_is_made_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tag: str
):
    text = TOOL.replace("dims: 3", f"dims: 3, path: {tag} x")
    assert lines(write(tmp_path, a=text), monkeypatch) == [
        f"unknown-tag a.yaml:6:44: the tag `{tag}` is not allowed (expected plain values); remove the tag"
    ]


def test_merge_keys_merge(tmp_path: Path):
    text = (
        TOOL
        + "  other: {<<: &b {type: vector, dims: 5, m: 8}, m: 9}\n  third: {<<: [*b, {path: x, dims: 6}]}\n"
    )
    (spec,) = load_specs([write(tmp_path, a=text)]).specs
    assert [vector.dims for vector in spec.vectors] == [3, 5, 5]
    assert [vector.algorithm.m for vector in spec.vectors] == [16, 9, 8]
    assert spec.vectors[2].path == "x"


def test_a_merge_of_no_mapping_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    text = TOOL + "  other: {type: tag, <<: [1]}\n"
    assert lines(write(tmp_path, a=text), monkeypatch) == [
        "bad-merge a.yaml:7:27: `<<` is not given a mapping (expected a mapping or a list of them)"
    ]


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path):
    assert load_specs([write(tmp_path, a=b"\xef\xbb\xbf" + TOOL.encode())]).specs[0].name == "tool"


def test_no_file_hides_the_problems_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(
        tmp_path,
        a="{",
        b=TOOL.replace("dims: 3", "dims: 0"),
        c=b"\xff",
        d=SKILL,
        e=SKILL.replace("vector", "x"),
    )
    found = lines(tmp_path, monkeypatch)
    assert [line.split(":")[0] for line in found] == [
        "yaml-syntax a.yaml",
        "out-of-range b.yaml",
        "not-utf8 c.yaml",
        "duplicate-name e.yaml",
        "duplicate-index e.yaml",
        "prefix-shared e.yaml",
        "bad-value e.yaml",
    ]
    assert [spec.name for spec in check_specs([tmp_path]).specs] == ["skill"]
    with pytest.raises(SpecError) as caught:
        load_specs([tmp_path])
    assert str(caught.value).count("\n") == len(found) - 1
    assert caught.value.exit_code == 3


def test_a_path_that_does_not_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpecError) as caught:
        load_specs([Path("none.yaml")])
    assert str(caught.value) == "none.yaml:1:1: cannot be read: No such file or directory"


def test_an_empty_folder_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "specs").mkdir()
    loaded = load_specs([Path("specs")])
    assert loaded.specs == ()
    assert [str(problem) for problem in loaded.problems] == [
        "specs:1:1: warning: the folder holds no specs (expected files that end in .yaml or .yml)"
    ]


def test_files_are_taken_once_and_in_order(tmp_path: Path):
    write(tmp_path, b=SKILL, a=TOOL)
    (tmp_path / "notes.txt").write_text("no spec")
    (tmp_path / "c.yml").write_text(TOOL)
    found = spec_files([tmp_path / "b.yaml", tmp_path])
    assert [path.name for path in found] == ["b.yaml", "a.yaml", "c.yml"]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "name: skill\n",
            "name: tool\n",
            ["duplicate-name b.yaml:2:7: the name `tool` is already taken in a.yaml:2"],
        ),
        (
            'name: "idx:skill"',
            'name: "idx:tool"',
            ["duplicate-index b.yaml:3:15: the index name `idx:tool` is already taken in a.yaml:3"],
        ),
        (
            "key:",
            "helpers: {get: {name: get_tool}}\nkey:",
            ["name-collision b.yaml:4:23: the function name `get_tool` is already taken in a.yaml:2"],
        ),
    ],
)
def test_what_two_specs_cannot_both_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, expected: list[str]
):
    write(tmp_path, a=TOOL, b=SKILL.replace(old, new))
    assert lines(tmp_path, monkeypatch) == [
        f"{line} (expected a different one in each spec)" for line in expected
    ]


@pytest.mark.parametrize(
    ("first", "second", "why"),
    [
        (
            TOOL,
            SKILL.replace('prefix: "skill:"', 'prefix: "tool:", storage: json'),
            "one has hashes and the other JSON documents, and a key holds only one of them",
        ),
        (
            TOOL,
            SKILL.replace('prefix: "skill:"', 'prefix: ["skill:", "tool:"]').replace("dims: 3", "dims: 4"),
            "`dims` is not the same in both under `embedding`, and what one stores there the other cannot read",
        ),
        (
            TOOL + "  size: {type: numeric}\n",
            SKILL.replace('"skill:"', '"tool:"') + "  length: {type: text, path: size}\n",
            "one has a numeric and the other a text field under `size`, and what one stores there the other cannot read",
        ),
        (
            TOOL + "  labels: {type: tag}\n",
            SKILL.replace('"skill:"', '"tool:"') + "  labels: {type: tag, separator: ;}\n",
            "`separator` is not the same in both under `labels`, and what one stores there the other cannot read",
        ),
        (
            TOOL.replace('"tool:"', '"tool:", storage: json'),
            SKILL.replace('"skill:"', '"tool:", storage: json') + "  title: {type: text}\n",
            "helpers replace a JSON document as a whole, so that storing with one of them drops `$.title`, which only the other stores",
        ),
    ],
)
def test_two_specs_over_one_prefix_where_they_cannot_have_the_same_documents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str, second: str, why: str
):
    (line,) = lines(write(tmp_path, a=first, b=second), monkeypatch)
    assert line.startswith("duplicate-prefix b.yaml:3:")
    assert line.endswith(
        f"the prefix `tool:` is already taken in a.yaml:3: {why} (expected a different one in each spec)"
    )


def test_two_specs_over_one_prefix_where_they_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    other = SKILL.replace('"skill:"', '"tool:"').replace("embedding:", "vec:") + "  title: {type: text}\n"
    (line,) = lines(write(tmp_path, a=TOOL + "  title: {type: tag}\n", b=other), monkeypatch)
    assert line == (
        "prefix-shared b.yaml:3:36: warning: the prefix `tool:` is also in a.yaml:3, so both indexes hold the"
        " same documents (expected a different one, where that is not meant); what helpers of one delete is gone"
        " from both"
    )
    assert len(load_specs([tmp_path]).specs) == 2


def test_an_open_prefix_with_another_for_storing_may_swallow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first = TOOL.replace('"tool:"', '"tool", store_prefix: "tool:"')
    assert lines(write(tmp_path, a=first, b=SKILL.replace('"skill:"', '"tool2:"')), monkeypatch) == []


def test_classes_of_two_specs_can_collide_where_their_names_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    first, second = (TOOL.replace("tool", name).replace("key: ", "key: x_") for name in ("a_1b", "a1b"))
    assert lines(write(tmp_path, a=first, b=second), monkeypatch) == [
        f"name-collision b.yaml:2:7: the class name `A1b{kind}` is already taken in a.yaml:2"
        " (expected a different one in each spec)"
        for kind in ("Hit", "Item", "Document", "Fields")
    ]


def test_a_prefix_that_swallows_anothers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first, second = TOOL.replace('"tool:"', "user"), SKILL.replace('"skill:"', '"user_profile:"')
    assert lines(write(tmp_path, a=first, b=second), monkeypatch) == [
        "prefix-overlap a.yaml:3:35: the prefix `user` also matches the keys of `user_profile:` in b.yaml:3"
        " (expected prefixes of which none begins another); end it with a separator: `user:`"
    ]


def test_locations_point_into_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(write(tmp_path, a=TOOL))
    (spec,) = load_specs([Path("a.yaml")]).specs
    location = spec.vector.location
    assert location is not None
    assert (location.file, location.line, location.column) == ("a.yaml", 6, 3)
