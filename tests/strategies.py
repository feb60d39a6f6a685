"""Random specs: mappings as a YAML file would give them, all of them valid.

`spec_mappings()` draws over every field type and option of the format; its arguments leave out what a
server or a test cannot take. `specs()` builds them.
"""

from __future__ import annotations

import string
from typing import Any

from hypothesis import strategies as st

from vecmigrate.spec.build import spec_from_mapping
from vecmigrate.spec.check import load_schema
from vecmigrate.spec.model import IndexSpec

# What RediSearch 2.10 has; INT8, UINT8 and SVS-VAMANA came with Redis 8.
OLD_DATATYPES = ("float32", "float64", "float16", "bfloat16")
ALL_DATATYPES = (*OLD_DATATYPES, "int8", "uint8")
OLD_ALGORITHMS = ("flat", "hnsw")
ALL_ALGORITHMS = (*OLD_ALGORITHMS, "svs_vamana")

_WORDS = ("price", "title", "body", "colour", "year", "shop", "place", "area", "extra", "code", "id", "type")
_TEXTS = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=8
)
_FLAG = st.booleans()


def _options(**choices: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A mapping with any of the keys, each with a drawn value."""
    return st.fixed_dictionaries({}, optional=choices)


@st.composite
def _value_field(draw: st.DrawFn, kind: str) -> dict[str, Any]:
    field: dict[str, Any] = {"type": kind}
    indexed = draw(st.sampled_from([True, True, True, False]))
    if not indexed:
        field["index"] = False
    elif kind == "text":
        field |= draw(
            _options(
                weight=st.sampled_from([0.5, 1, 2, 10.25]),
                nostem=_FLAG,
                phonetic=st.sampled_from(["dm:en", "dm:fr", "dm:pt", "dm:es"]),
            )
        )
    elif kind == "tag":
        field |= draw(_options(separator=st.sampled_from([";", ",", "|", " ", "\\"]), case_sensitive=_FLAG))
    elif kind == "geoshape":
        field |= draw(_options(coord_system=st.sampled_from(["spherical", "flat"])))
    if indexed:
        field |= draw(_attributes(kind))
    field |= draw(_where_from(kind))
    return field


@st.composite
def _attributes(draw: st.DrawFn, kind: str) -> dict[str, Any]:
    choices: dict[str, st.SearchStrategy[Any]] = {"index_missing": _FLAG}
    if kind != "geoshape":
        choices["sortable"] = _FLAG
    if kind in {"text", "tag"}:
        choices |= {"with_suffix_trie": _FLAG, "index_empty": _FLAG}
    field = draw(_options(**choices))
    if kind in {"text", "tag"} and field.get("sortable"):
        field |= draw(_options(unf=_FLAG))
    if not field.get("index_missing"):
        field |= draw(_options(noindex=_FLAG))
    return field


@st.composite
def _where_from(draw: st.DrawFn, kind: str) -> dict[str, Any]:
    default = {
        "text": st.text(string.ascii_letters, max_size=5),
        "tag": st.text(string.ascii_letters, max_size=5),
        "numeric": st.one_of(st.integers(-1000, 1000), st.floats(-1e6, 1e6)),
        "geo": st.sampled_from(["13.4,52.5", "-0.1,51"]),
        "geoshape": st.sampled_from(["POINT (1 2)", "POLYGON ((0 0, 0 1, 1 1, 0 0))"]),
    }[kind]
    choices = [
        st.just({}),
        st.fixed_dictionaries({"default": default}),
        st.fixed_dictionaries({"from": st.sampled_from(["metadata", "argument"])}),
        st.fixed_dictionaries({"from": st.just("argument"), "default": default}),
    ]
    if kind in {"text", "tag"}:
        choices += [st.just({"from": "key"}), st.just({"default_from": "key"})]
    found: dict[str, Any] = draw(st.one_of(choices))
    return found


@st.composite
def _vector_field(
    draw: st.DrawFn, datatypes: tuple[str, ...], algorithms: tuple[str, ...], max_dims: int
) -> dict[str, Any]:
    algorithm = draw(st.sampled_from(algorithms))
    dims = draw(st.integers(1, max_dims))
    field: dict[str, Any] = {"type": "vector", "dims": dims, "algorithm": algorithm}
    if algorithm == "hnsw" and draw(_FLAG):
        del field["algorithm"]
    if algorithm == "svs_vamana":
        datatypes = ("float32", "float16")
    small = st.integers(1, 64)
    parameters = {
        "flat": {"block_size": st.integers(1, 2048), "initial_cap": st.integers(0, 100)},
        "hnsw": {
            "m": st.integers(2, 64),
            "ef_construction": st.integers(1, 4096),
            "ef_runtime": st.integers(1, 4096),
            "epsilon": st.sampled_from([0.001, 0.01, 1]),
            "initial_cap": st.integers(0, 100),
        },
        "svs_vamana": {
            "construction_window_size": small,
            "graph_max_degree": small,
            "search_window_size": small,
            "epsilon": st.sampled_from([0.001, 0.01]),
        },
    }[algorithm]
    field |= draw(
        _options(
            datatype=st.sampled_from(datatypes),
            metric=st.sampled_from(["cosine", "l2", "ip"]),
            index_missing=_FLAG,
            **parameters,
        )
    )
    if algorithm == "svs_vamana" and draw(_FLAG):
        field["compression"] = draw(st.sampled_from(["LVQ8", "LVQ4x4", "LeanVec4x8", "LeanVec8x8"]))
        field |= draw(_options(training_threshold=st.integers(1024, 4096)))
        if field["compression"].startswith("LeanVec") and dims > 1:
            field |= draw(_options(reduce=st.integers(1, dims - 1)))
    return field


@st.composite
def _index(draw: st.DrawFn, name: str, storage: str) -> dict[str, Any]:
    stems = draw(
        st.lists(st.sampled_from(["a", "b", "c d", "é", "{t}"]), min_size=1, max_size=3, unique=True)
    )
    prefixes = [f"{name}:{stem}:" for stem in stems]
    index: dict[str, Any] = {
        "name": draw(st.sampled_from([f"idx:{name}", f"{name}-index", f"{name}'s"])),
        "prefix": prefixes[0] if len(prefixes) == 1 else prefixes,
    }
    if storage == "json" or draw(_FLAG):
        index["storage"] = storage
    root = "$." if storage == "json" else ""
    languages = load_schema()["$defs"]["index"]["properties"]["language"]["enum"]
    index |= draw(
        _options(
            alias=_FLAG,
            aliases=st.lists(st.sampled_from([f"live:{name}", f"{name}/all", f"é{name}"]), unique=True),
            filter=st.sampled_from(["@year > 2000", "exists(@title)", "'a b' != @code"]),
            language=st.sampled_from(languages),
            language_field=st.just(f"{root}lang"),
            score=st.sampled_from([0, 0.25, 0.5, 1]),
            score_field=st.just(f"{root}rank"),
            payload_field=st.just(f"{root}load"),
            max_text_fields=_FLAG,
            temporary=st.integers(3600, 2**31 - 1),
            no_offsets=_FLAG,
            no_highlight=_FLAG,
            no_fields=_FLAG,
            no_freqs=_FLAG,
            stopwords=st.lists(
                st.text(string.ascii_lowercase, min_size=1, max_size=4), max_size=3, unique=True
            ),
            skip_initial_scan=_FLAG,
        )
    )
    return index


def _helpers(name: str) -> st.SearchStrategy[dict[str, Any]]:
    return _options(
        on_error=st.sampled_from(["raise", "empty"]),
        plural=st.sampled_from([name, f"{name}s", f"{name}_list"]),
        store=_options(
            name=st.just(f"put_{name}"), vector=st.just("vec"), metadata=st.sampled_from(["meta", "metadata"])
        ).filter(bool),
        knn=_options(
            name=st.just(f"nearest_{name}"), query=st.sampled_from(["probe", "query_embedding"])
        ).filter(bool),
        scan=st.just({"name": f"all_{name}_keys"}),
        migrate_legacy=st.just({"name": f"migrate_{name}"}),
    )


@st.composite
def spec_mappings(
    draw: st.DrawFn,
    *,
    name: str | None = None,
    storages: tuple[str, ...] = ("hash", "json"),
    datatypes: tuple[str, ...] = ALL_DATATYPES,
    algorithms: tuple[str, ...] = ALL_ALGORITHMS,
    max_dims: int = 16,
    helpers: bool = True,
) -> dict[str, Any]:
    """A valid mapping with one to three vectors and up to eight other fields of any type, in any order."""
    name = name or draw(st.sampled_from(["item", "skill", "dangerous_cmd", "a1"]))
    storage = draw(st.sampled_from(storages))
    fields: list[tuple[str, dict[str, Any]]] = []
    for word in draw(st.lists(st.sampled_from(_WORDS), max_size=6, unique=True)):
        kind = draw(st.sampled_from(["text", "tag", "numeric", "geo", "geoshape"]))
        fields.append((word, draw(_value_field(kind))))
    for number in range(draw(st.integers(0, 2))):
        fields.append((f"json_{number}", {"type": "json", **draw(_options(**{"from": st.just("argument")}))}))
    for number in range(draw(st.integers(1, 3))):
        fields.append((f"embedding_{number}", draw(_vector_field(datatypes, algorithms, max_dims))))
    fields = draw(st.permutations(fields))
    for field_name, field in fields:
        if draw(st.sampled_from([False, False, True])):
            field["path"] = draw(_paths(field_name, field, storage))
        if (
            field["type"] != "json"
            and field.get("index", True)
            and draw(st.sampled_from([False, False, True]))
        ):
            field["attribute"] = draw(_attribute_names(field_name, storage))
    mapping: dict[str, Any] = {
        "version": 1,
        "name": name,
        "index": draw(_index(name, storage)),
        "key": draw(st.sampled_from(["item_key", f"{name}_id"])),
        "fields": dict(fields),
    }
    mapping |= draw(_options(description=_TEXTS))
    if helpers and draw(_FLAG):
        mapping["helpers"] = draw(_helpers(name))
    return mapping


def _attribute_names(name: str, storage: str) -> st.SearchStrategy[str]:
    """Attributes that no other field has, as itself, as its attribute, or where it lies."""
    choices = [f"{name}.x", f"{name}-x", f"__{name}", f"é {name}", f"{{{name}}}"]
    return st.sampled_from([*choices, f"$.x.{name}"] if storage == "json" else choices)


def _paths(name: str, field: dict[str, Any], storage: str) -> st.SearchStrategy[str]:
    if storage == "hash":
        return st.sampled_from([f"{name}_v2", f"stored {name}", f"{name}-é"])
    choices = [f"$.inner.{name}", f"$.other_{name}"]
    # What a wildcard finds is written by something else, so nothing can be said about how it is stored.
    if (
        field["type"] in {"tag", "text", "numeric"}
        and not {"from", "default", "default_from", "index"} & field.keys()
    ):
        choices.append(f"$.list[*].{name}")
    return st.sampled_from(choices)


def specs(**limits: Any) -> st.SearchStrategy[IndexSpec]:
    """Specs; the arguments are those of `spec_mappings`."""
    return spec_mappings(**limits).map(spec_from_mapping)
