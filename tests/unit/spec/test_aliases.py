"""`index.alias` and `index.aliases`: what a spec may say of the names that lead to its index."""

from __future__ import annotations

from pathlib import Path

import pytest

from vecmigrate.errors import SpecError
from vecmigrate.search import ddl
from vecmigrate.spec.build import spec_from_mapping, spec_to_mapping
from vecmigrate.spec.change import change_spec, changes_between, same_index
from vecmigrate.spec.load import check_specs, load_specs
from vecmigrate.spec.model import IndexSpec

ENTRY = "6:13: entry 1 of `aliases`"
TEXT = """\
version: 1
name: {name}
index:
  name: idx:{name}
  prefix: "{name}:"
  {more}
key: {name}_id
fields:
  embedding: {{type: vector, dims: 4}}
"""


def spec(**index: object) -> IndexSpec:
    return spec_from_mapping(
        {
            "name": "doc",
            "index": {"name": "idx:doc", "prefix": "doc:", **index},
            "key": "doc_id",
            "fields": {"embedding": {"type": "vector", "dims": 4}},
        }
    )


def problems(folder: Path, monkeypatch: pytest.MonkeyPatch, **more: str) -> list[str]:
    monkeypatch.chdir(folder)
    for name, line in more.items():
        (folder / f"{name}.yaml").write_text(TEXT.format(name=name, more=line))
    return [str(item) for item in check_specs([Path(f"{name}.yaml") for name in more]).problems]


def test_not_known_is_not_the_same_as_none():
    assert spec().index.aliases is None
    assert spec(aliases=[]).index.aliases == ()
    assert spec(aliases=["live"]).index.names == ("idx:doc", "live")
    for said in (spec(), spec(aliases=[]), spec(aliases=["b", "a"], alias=False)):
        assert spec_from_mapping(spec_to_mapping(said)) == said
    assert "aliases" not in spec_to_mapping(spec())["index"]
    assert spec_to_mapping(spec(aliases=[]))["index"]["aliases"] == []


def test_the_words_of_ft_create_do_not_know_of_aliases():
    assert ddl.ft_create(spec(alias=False, aliases=["live"])) == ddl.ft_create(spec())


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            "aliases: [live, idx:doc]",
            "6:19: the alias `idx:doc` is what `index.name` says already (expected further names only)",
        ),
        ("aliases: [live, live]", '6:19: "live" is listed twice (expected once)'),
        (
            "aliases: [a b]",
            f'{ENTRY} "a b" does not fit (expected no white space and no @); for example `a_b`',
        ),
        (
            "aliases: [a@b]",
            f'{ENTRY} "a@b" does not fit (expected no white space and no @); for example `a_b`',
        ),
        ("aliases: ['']", f'{ENTRY} "" does not fit (expected no white space and no @)'),
        ("aliases: [1]", f'{ENTRY} is `1`, which YAML reads as a number (expected text); quote it: "1"'),
        ("aliases: live", '6:12: `aliases` is "live" (expected a list or null)'),
        ("aliases: {a: b}", "6:12: `aliases` is a mapping (expected a list or null)"),
        ("alias: live", '6:10: `alias` is "live" (expected true or false)'),
    ],
)
def test_what_is_no_further_name(tmp_path, monkeypatch, line: str, told: str):
    (found,) = problems(tmp_path, monkeypatch, doc=line)
    assert found == f"doc.yaml:{told}"


@pytest.mark.parametrize("line", ["aliases:", "aliases: null", "aliases: ~"])
def test_null_asks_for_them(tmp_path, monkeypatch, line: str):
    assert problems(tmp_path, monkeypatch, doc=line) == []
    said = load_specs([tmp_path / "doc.yaml"]).specs[0]
    assert (said.index.aliases, said.index.ask_aliases) == (None, True)
    assert spec_from_mapping(spec_to_mapping(said)) == said
    assert not spec().index.ask_aliases
    assert not spec(aliases=[]).index.ask_aliases


def test_two_specs_cannot_have_one_name_in_any_role(tmp_path, monkeypatch):
    taken = "(expected a different one in each spec)"
    assert problems(tmp_path, monkeypatch, cat="aliases: [live]", dog="aliases: [all, live]") == [
        f"dog.yaml:6:18: the index name `live` is already taken in cat.yaml:6 {taken}"
    ]
    assert problems(tmp_path, monkeypatch, cat="alias: false", dog="aliases: [idx:cat]") == [
        f"dog.yaml:6:13: the index name `idx:cat` is already taken in cat.yaml:4 {taken}"
    ]
    assert problems(tmp_path, monkeypatch, cat="aliases: [idx:dog]", dog="alias: false") == [
        f"dog.yaml:4:9: the index name `idx:dog` is already taken in cat.yaml:6 {taken}"
    ]


def test_the_order_of_aliases_is_nothing():
    one, other = spec(aliases=["a", "b"]), spec(aliases=["b", "a"])
    assert same_index(one, other)
    assert changes_between(one, other) == {}
    assert not same_index(spec(), spec(aliases=[]))


def test_an_index_without_alias_is_renamed_by_being_built_anew():
    old = spec(alias=False)
    changes = changes_between(old, spec(name="idx:doc_2", alias=False))
    assert changes == {"index": {"name": "idx:doc_2"}}
    assert change_spec(old, changes).index.name == "idx:doc_2"
    gone = changes_between(spec(), spec(name="idx:doc_2", alias=False))
    assert gone == {"index": {"name": "idx:doc_2", "alias": False}}
    assert change_spec(spec(), gone).index.alias is False
    back = changes_between(old, spec())
    assert back == {"index": {"alias": None}}
    with pytest.raises(SpecError, match="an index is not renamed along with other changes"):
        change_spec(spec(), {"index": {"name": "idx:doc_2"}})
