"""Conditions on fields against a filter in plain Python, over documents that a real server indexes.

    python -m tests.fuzz.where [--queries 20000] [--seed 1]

Each query is made twice, by the same draws: as a `Where`, and as a function of a document. The documents hold
what has gone wrong elsewhere: labels with punctuation, blanks and capitals, neighbouring doubles, words that
are split, stemmed or left out, points on both sides of the date line.

Left out, since the server decides otherwise than one would: a null in JSON, which it takes for present;
capitals outside of ASCII in prefixes; line breaks in texts; circles near the poles, where it misses points;
and phrases that stand in one field while their words are in another.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import redis

from vecmigrate.embedded import EmbeddedRedis
from vecmigrate.helpers.fields import Geo, Numeric, Tag, Text
from vecmigrate.helpers.queries import Filters
from vecmigrate.helpers.values import encode_number, encode_point, encode_tags, encode_text
from vecmigrate.helpers.where import STOP_WORDS, Where

DOCUMENTS = 250
BATCH = 200

LABELS = [
    *(
        "a",
        "A",
        "b",
        "ab",
        "a b",
        "a  b",
        "x-y",
        "x_y",
        "x.y",
        "C++",
        "c#",
        "{x}",
        "{",
        "}",
        "$filter_0",
        "@lang",
    ),
    *(
        "star*",
        "*",
        "%a%",
        "~",
        "'",
        '"',
        "(a)",
        "[1 2]",
        "a:b",
        "-a",
        "=>",
        "back\\slash",
        "\\",
        "\\\\",
        "\\-",
    ),
    *(
        "Ä",
        "ä",
        "ß",
        "é",
        "e\u0301",
        "日本",
        "\u00a0edge\u00a0",
        "\u3000",
        "\x1cedge",
        "😀",
        "null",
        "0",
        "1.0",
    ),
]
NUMBERS = [
    *(0.0, -0.0, 1.0, -1.0, 5e-324, 1e-320, 2.2250738585072014e-308, 0.1, 0.30000000000000004, 0.3),
    *(
        2**53,
        2**53 + 1,
        2**53 + 2,
        -(2**53) - 1,
        1700000000.123456,
        1700000000.1234562,
        1e22,
        1.7976931348623157e308,
    ),
    *(math.nextafter(1.0, 2), math.nextafter(1.0, 0), 1e15, 1e15 + 0.125, 123456789012345678, 7),
]
# RedisJSON 2 reads these as their neighbours.
NOT_IN_JSON = {math.nextafter(1.0, 0), 1e15 + 0.125}
# Titles have words of their own, since servers count the places of words over all fields of a document.
PLAIN = ("alpha", "beta", "gamma", "x_y", "42", "v2", "über", "naïve", "日本語", "straße")
STEMS = ("jump", "jumps", "jumping", "table", "tables")
WORDS = {"body": (*PLAIN, *STEMS), "title": tuple(f"t{word}" for word in (*PLAIN, *STEMS))}
STOPS = ["the", "and", "not"]
BETWEEN = [" ", "  ", "-", ", ", "/", "\t", "'", "$", "@", ":", '"', "*", "|", "(", "%", "=>{", "~", ";"]
UNITS = {"m": 1.0, "km": 1000.0, "mi": 1609.34, "ft": 0.3048}
EARTH = 6372797.560856

LIMITS = ("TIMEOUT", 60_000, "LIMIT", 0, DOCUMENTS, "DIALECT", 2)
REFUSED = "Use `INDEXEMPTY`"

Document = dict[str, Any]
Met = Callable[[Document], bool]


@dataclass(frozen=True)
class Storage:
    """One way to store documents: its index, and its fields."""

    name: str
    tags: Tag = field(init=False)
    exact: Tag = field(init=False)
    number: Numeric = field(init=False)
    title: Text = field(init=False)
    body: Text = field(init=False)
    place: Geo = field(init=False)

    def __post_init__(self) -> None:
        known = {"index_missing": True}
        separator = "," if self.name == "hash" else ""
        for name, made in {
            "tags": Tag("user.tags", separator=separator, **known, index_empty=True),
            "exact": Tag("meta-key", separator=";", **known),
            "number": Numeric("number", **known),
            "title": Text("title", **known, index_empty=True),
            "body": Text("body", **known),
            "place": Geo("place", **known),
        }.items():
            object.__setattr__(self, name, made)

    @property
    def separators(self) -> dict[str, str]:
        return {"tags": "," if self.name == "hash" else "", "exact": ";"}

    def create(self) -> list[str]:
        """FT.CREATE, with names as others choose them."""
        split = ["SEPARATOR", ","] if self.name == "hash" else []
        schema = {
            "tags": ["user.tags", "TAG", *split, "INDEXEMPTY"],
            "exact": ["meta-key", "TAG", "SEPARATOR", ";", "CASESENSITIVE"],
            "number": ["number", "NUMERIC"],
            "title": ["title", "TEXT", "NOSTEM", "INDEXEMPTY"],
            "body": ["body", "TEXT"],
            "place": ["place", "GEO"],
        }
        words = ["FT.CREATE", self.index, "ON", self.name.upper(), "PREFIX", "1", f"{self.name}:", "SCHEMA"]
        for name, (attribute, *options) in schema.items():
            at = f"$.{name}" if self.name == "json" else name
            words += [at, "AS", attribute, *options, "INDEXMISSING"]
        return words

    @property
    def index(self) -> str:
        return f"fuzz:{self.name}"

    def store(self, number: int, document: Document) -> list[Any]:
        """The command that stores a document, each value as the codec has it."""
        key = f"{self.name}:{number}"
        if self.name == "json":
            return ["JSON.SET", key, "$", json.dumps(document)]
        words: list[Any] = ["HSET", key, "nothing", "0"]
        for name, value in document.items():
            if name in self.separators:
                stored = encode_tags(name, value, self.separators[name], index_empty=True)
            elif name == "number":
                stored = encode_number(name, value)
            elif name == "place":
                stored = encode_point(name, value)
            else:
                stored = encode_text(name, value)
            words += [name, stored]
        return words


STORAGES = (Storage("hash"), Storage("json"))


def documents(rng: random.Random, storage: Storage) -> list[Document]:
    """Documents as callers give them; a field in five is missing."""
    found = []
    for _ in range(DOCUMENTS):
        document: Document = {
            "tags": _labels(rng, storage.separators["tags"], empty=True),
            "exact": _labels(rng, ";", empty=False),
            "number": rng.choice([n for n in NUMBERS if storage.name == "hash" or n not in NOT_IN_JSON]),
            "title": "" if rng.random() < 0.1 else _text(rng, "title"),
            "body": _text(rng, "body"),
            "place": f"{rng.uniform(-180, 180):.6f},{rng.uniform(-70, 70):.6f}",
        }
        found.append({name: value for name, value in document.items() if rng.random() > 0.2})
    return found


def _labels(rng: random.Random, separator: str, *, empty: bool) -> str | list[str]:
    if empty and rng.random() < 0.05:
        return ""
    usable = [label for label in LABELS if not separator or separator not in label]
    labels = [_padded(rng, label) for label in rng.sample(usable, rng.choice([1, 1, 2, 3]))]
    return labels[0] if len(labels) == 1 else labels


def _padded(rng: random.Random, label: str) -> str:
    return f" {label}" if rng.random() < 0.1 else f"{label} " if rng.random() < 0.1 else label


def _text(rng: random.Random, name: str) -> str:
    words = [_cased(rng, rng.choice([*WORDS[name], *STOPS])) for _ in range(rng.randint(1, 7))]
    text = words[0]
    for word in words[1:]:
        text += rng.choice(BETWEEN) + word
    return text


def _cased(rng: random.Random, word: str) -> str:
    return word.capitalize() if word.isascii() and rng.random() < 0.3 else word


def conditions(rng: random.Random, storage: Storage, found: list[Document]) -> Iterator[tuple[Where, Met]]:
    """Conditions without end, each with what it means."""
    while True:
        yield _condition(rng, storage, found, rng.choice([0, 1, 1, 2, 3]))


def _condition(rng: random.Random, storage: Storage, found: list[Document], depth: int) -> tuple[Where, Met]:
    if depth == 0:
        kind = rng.choice([_tag, _tag, _number, _number, _words, _near, _known])
        return kind(rng, storage, found)
    how = rng.choice("&&||~")
    left, left_met = _condition(rng, storage, found, depth - 1)
    if how == "~":
        return ~left, lambda document: not left_met(document)
    right, right_met = _condition(rng, storage, found, rng.randint(0, depth - 1))
    if how == "&":
        return left & right, lambda document: left_met(document) and right_met(document)
    return left | right, lambda document: left_met(document) or right_met(document)


def _tag(rng: random.Random, storage: Storage, _: list[Document]) -> tuple[Where, Met]:
    name = rng.choice(["tags", "exact"])
    tag: Tag = getattr(storage, name)
    separator = storage.separators[name]
    usable = [label for label in LABELS if not separator or separator not in label]
    if not separator:
        usable += [" a", "b ", "  C++"]
    labels = rng.sample(usable, rng.randint(1, 4))

    def folded(label: str) -> str:
        label = label.strip(" \t\n\v\f\r") if separator else label
        return label if name == "exact" else "".join(c.lower() if c.isascii() else c for c in label)

    wanted = {folded(label) for label in labels}
    first = folded(labels[0])

    def held(document: Document) -> set[str]:
        value = document.get(name, [])
        return {folded(label) for label in ([value] if isinstance(value, str) else value)}

    match rng.randrange(4):
        case 0:
            return tag == labels[0], lambda document: first in held(document)
        case 1:
            return tag != labels[0], lambda document: first not in held(document)
        case 2:
            return tag.any_of(*labels), lambda document: bool(wanted & held(document))
        case _:
            return tag.none_of(labels), lambda document: not wanted & held(document)


def _number(rng: random.Random, storage: Storage, _: list[Document]) -> tuple[Where, Met]:
    number = storage.number
    value, other = rng.choice(NUMBERS), rng.choice(NUMBERS)
    low, high = sorted((float(value), float(other)))

    def meets(test: Callable[[float], bool]) -> Met:
        return lambda document: "number" in document and test(float(document["number"]))

    bound = float(value)
    match rng.randrange(9):
        case 0:
            return number == value, meets(lambda held: held == bound)
        case 1:
            return number != value, lambda document: not meets(lambda held: held == bound)(document)
        case 2:
            return number < value, meets(lambda held: held < bound)
        case 3:
            return number <= value, meets(lambda held: held <= bound)
        case 4:
            return number > value, meets(lambda held: held > bound)
        case 5:
            return number >= value, meets(lambda held: held >= bound)
        case 6:
            return number.between(low, high), meets(lambda held: low <= held <= high)
        case 7:
            return number.any_of(value, other), meets(lambda held: held in (low, high))
        case _:
            return number >= -math.inf, meets(lambda _: True)


def _split(text: str) -> list[str]:
    """The words of a text that this vocabulary makes, without stop words."""
    for between in sorted(BETWEEN, key=len, reverse=True):
        text = text.replace(between, " ")
    words = ["".join(c.lower() if c.isascii() else c for c in word) for word in text.split(" ")]
    return [word for word in words if word and word not in STOP_WORDS]


def _words(rng: random.Random, storage: Storage, _: list[Document]) -> tuple[Where, Met]:
    name = rng.choice(["title", "body"])
    text: Text = getattr(storage, name)
    words = rng.sample(WORDS[name], rng.randint(1, 3))
    asked = rng.choice(BETWEEN).join(_cased(rng, word) for word in words)
    if rng.random() < 0.3:
        asked = f"the {asked}"

    def held(document: Document) -> list[str]:
        return _split(document.get(name, ""))

    match rng.randrange(3):
        case 0:
            return text.words(asked), lambda document: set(words) <= set(held(document))
        case 1:

            def follows(document: Document) -> bool:
                found = held(document)
                return any(found[at : at + len(words)] == words for at in range(len(found)))

            return text.phrase(asked), follows
        case _:
            word = rng.choice([word for word in WORDS[name] if word.casefold() == word])
            start = word[: rng.randint(2, len(word))]
            begun = _cased(rng, start)
            return text.prefix(begun), lambda document: any(w.startswith(start) for w in held(document))


def _near(rng: random.Random, storage: Storage, found: list[Document]) -> tuple[Where, Met]:
    longitude, latitude = round(rng.uniform(-180, 180), 4), round(rng.uniform(-70, 70), 4)
    unit = rng.choice(list(UNITS))
    radius = 10 ** rng.uniform(4.5, 6.3) / UNITS[unit]

    def away(document: Document) -> float:
        east, north = map(float, document["place"].split(","))
        return _distance(longitude, latitude, east, north)

    places = [away(document) for document in found if "place" in document]
    # The server keeps points as 52 bits, so that whoever lies on the line may be either side of it.
    while any(abs(place - radius * UNITS[unit]) < 1 + 1e-6 * place for place in places):
        radius *= 1.001
    limit = radius * UNITS[unit]
    where = storage.place.within(longitude, latitude, radius, unit)  # type: ignore[arg-type]
    return where, lambda document: "place" in document and away(document) <= limit


def _distance(east: float, north: float, other_east: float, other_north: float) -> float:
    first, second = math.radians(north), math.radians(other_north)
    along = math.sin((second - first) / 2)
    across = math.sin(math.radians(other_east - east) / 2)
    return (
        2 * EARTH * math.asin(math.sqrt(along * along + math.cos(first) * math.cos(second) * across * across))
    )


def _known(rng: random.Random, storage: Storage, _: list[Document]) -> tuple[Where, Met]:
    if rng.random() < 0.3:
        if rng.random() < 0.5:
            return storage.tags.empty(), lambda document: document.get("tags") == ""
        return storage.title.empty(), lambda document: document.get("title") == ""
    name = rng.choice(["tags", "exact", "number", "title", "body", "place"])
    if rng.random() < 0.5:
        return getattr(storage, name).missing(), lambda document: name not in document
    return getattr(storage, name).present(), lambda document: name in document


def command(storage: Storage, where: Where) -> list[Any]:
    """The search for the ids of all documents that meet a condition."""
    filters = Filters()
    filters.where(where)
    params = filters.params
    given = ["PARAMS", len(params), *params] if params else []
    return [
        "FT.SEARCH",
        storage.index,
        filters.query,
        *given,
        "NOCONTENT",
        "LIMIT",
        0,
        DOCUMENTS,
        "DIALECT",
        2,
    ]


def run(client: redis.Redis, storage: Storage, queries: int, seed: int) -> list[str]:
    """Store documents, ask `queries` conditions, and say where the server and Python differ."""
    rng = random.Random(f"{seed} {storage.name}")
    found = documents(rng, storage)
    client.execute_command(*storage.create())
    pipeline = client.pipeline(transaction=False)
    for number, document in enumerate(found):
        pipeline.execute_command(*storage.store(number, document))
    pipeline.execute()
    differences = []
    source = conditions(rng, storage, found)
    for start in range(0, queries, BATCH):
        asked = [next(source) for _ in range(min(BATCH, queries - start))]
        for where, _ in asked:
            pipeline.execute_command(*command(storage, where))
        for (where, met), reply in zip(asked, pipeline.execute(raise_on_error=False), strict=True):
            expected = {number for number, document in enumerate(found) if met(document)}
            if isinstance(reply, Exception):
                if REFUSED in str(reply):  # an empty text behind a tag; see `join_conditions`
                    continue
                differences.append(f"{where}: {reply}")
                continue
            given = {int(key.decode().partition(":")[2]) for key in _ids(reply)}
            for number in sorted(given ^ expected)[:1]:
                side = "not found" if number in expected else "found"
                differences.append(f"{where}: {side} {found[number]}")
    return differences


def _ids(reply: Any) -> list[bytes]:
    if isinstance(reply, dict):
        return [result.get(b"id", result.get("id")) for result in reply.get(b"results", reply.get("results"))]
    return list(reply[1:])


def main() -> None:
    """Run it over a server of its own, and print what differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    with EmbeddedRedis() as server, redis.Redis.from_url(server.url) as client:
        for storage in STORAGES:
            count = chosen.queries // len(STORAGES)
            differences = run(client, storage, count, chosen.seed)
            print(f"{storage.name}: {count} queries over {DOCUMENTS} documents, {len(differences)} differ")
            for line in differences[:20]:
                print(f"    {line}")


if __name__ == "__main__":
    main()
