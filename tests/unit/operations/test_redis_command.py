"""The words that op.execute takes, refuses, shows and hides."""

from __future__ import annotations

import enum

import numpy as np
import pytest

from vecmigrate.errors import OperationError
from vecmigrate.operations.execute import Execute
from vecmigrate.operations.redis_command import HIDDEN, MOST_WORDS, redis_command
from vecmigrate.operations.state import State


class Name(enum.StrEnum):
    FIRST = "first"


class Text(str, enum.Enum):  # noqa: UP042 - the older way is the point
    FIRST = "first"


class Number(enum.IntEnum):
    TWO = 2


def test_words_are_sent_as_what_they_are():
    words = ["SET", "k", b"\x00\xff", 3, 1.5, 1e-7, Name.FIRST, Text.FIRST, Number.TWO, np.float64(0.1)]
    sent = redis_command(words).words
    assert sent == ("SET", "k", b"\x00\xff", "3", "1.5", "1e-07", "first", "first", "2", "0.1")
    assert [type(word) for word in sent] == [str, str, bytes, *[str] * 7]
    assert redis_command([b"SET", b"k", b"\xff"]).shown == ("SET", "k", "\\xff")


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        (None, "NoneType"),
        (True, "bool"),
        ([1], "list"),
        ({}, "dict"),
        (np.int64(1), "int64"),
        (np.zeros(2), "ndarray"),
        (bytearray(b"x"), "bytearray"),
        (1j, "complex"),
    ],
)
def test_other_types_are_refused_by_place_and_name(word, kind):
    with pytest.raises(
        OperationError, match=rf"word 3 is of type {kind} \(expected str, int, float or bytes"
    ):
        redis_command(["SET", "k", word])


def test_a_text_that_cannot_be_encoded():
    with pytest.raises(OperationError, match="word 3 cannot be encoded"):
        redis_command(["SET", "k", "\ud800"])


@pytest.mark.parametrize("words", [[], "SET k v", b"PING", None, 5])
def test_what_is_no_command(words):
    with pytest.raises(OperationError, match="got no command"):
        redis_command(words, "undo of execute")


@pytest.mark.parametrize(
    "name", ["SET k hunter2", "", " ", "SET\thunter2", " SET", b"SET k hunter2", "CONFIG SET"]
)
def test_a_name_of_several_words_is_refused_without_repeating_them(name):
    with pytest.raises(OperationError, match="as the command's name") as caught:
        redis_command([name])
    assert "hunter2" not in str(caught.value)
    assert 'op.execute("SET", "k", "v")' in str(caught.value.hint)


REFUSED = """
SUBSCRIBE c;PSUBSCRIBE c;SSUBSCRIBE c;UNSUBSCRIBE;MONITOR;MULTI;EXEC;DISCARD;WATCH k;UNWATCH;BLPOP k 0
BRPOP k 0
BLMOVE a b LEFT LEFT 0;BRPOPLPUSH a b 0;BLMPOP 0 1 k LEFT;BZPOPMIN k 0;BZPOPMAX k 0;BZMPOP 0 1 k MIN
XREAD BLOCK 0 STREAMS s $;XREADGROUP GROUP g c COUNT 1 BLOCK 0 STREAMS s >;WAIT 1 0;WAITAOF 1 0 0;SAVE
CLIENT REPLY OFF;CLIENT TRACKING ON;CLIENT PAUSE 1000;AUTH p;HELLO 3;SELECT 1;QUIT;RESET;SHUTDOWN NOSAVE
DEBUG SLEEP 1;FLUSHALL;FLUSHDB ASYNC;SWAPDB 0 1;SCRIPT FLUSH;SCRIPT KILL;REPLICAOF NO ONE;SLAVEOF NO ONE
FAILOVER;CLUSTER RESET;MIGRATE h 6379 k 0 1000 AUTH p;ACL SETUSER bob >p;CONFIG SET requirepass p
CONFIG SET maxmemory 1gb masterauth p;CONFIG SET tls-key-file-pass p;MODULE UNLOAD search;FUNCTION FLUSH
SYNC;PSYNC ? -1;DEL vecmigrate:{default}:lease;SET vecmigrate:owners x
"""


@pytest.mark.parametrize("line", REFUSED.replace("\n", ";").strip(";").split(";"))
@pytest.mark.parametrize("form", [str, str.lower, str.encode], ids=["str", "lower", "bytes"])
def test_refused_commands(line, form):
    with pytest.raises(OperationError, match=r"^execute does not (take|touch)") as caught:
        redis_command([form(word) for word in line.split()])
    assert len(str(caught.value).splitlines()) == 1


TAKEN = """
XREAD COUNT 1 STREAMS BLOCK 0;SCRIPT LOAD x;CONFIG SET maxmemory 1gb;LPOP k;SET auth 1;MODULE LIST
HSET select k v;BITCOUNT k;FT.ALTER i SCHEMA ADD t TEXT;EVAL x 0
"""


@pytest.mark.parametrize("line", TAKEN.replace("\n", ";").strip(";").split(";"))
def test_commands_that_are_taken(line):
    assert redis_command(line.split()).shown[0] == line.split()[0]


def test_more_words_than_a_script_can_hand_on():
    redis_command(["DEL", *map(str, range(MOST_WORDS - 1))])
    with pytest.raises(OperationError, match=r"got 7,001 words \(expected 7,000 at the most\)"):
        redis_command(["DEL", *map(str, range(MOST_WORDS))])


@pytest.mark.parametrize(
    "words",
    [
        ["SET", "app:password", "hunter2"],
        ["HSET", "user:1", "name", "bob", "Password", "hunter2"],
        ["HSET", "user:1", "apiKey", b"hunter2"],
        ["HSET", "user:1", "access_token", "hunter2"],
        ["SET", "url", "redis://bob:hunter2@host/0"],
        ["JSON.SET", "doc", "$", '{"name": "bob", "secret": "hunter2"}'],
        ["SET", "k", "sk-hunter2hunter2"],
        ["SET", "k", "password=hunter2"],
        ["X.CALL", "AUTH", "hunter2"],
    ],
)
def test_what_looks_like_a_secret_is_not_shown(words):
    command = redis_command(words)
    operation = Execute(command)
    (shown,) = operation.describe(State(), "a1")
    assert HIDDEN in shown
    assert "hunter2" not in f"{shown} {operation.title}"
    # What the server repeats of it is not either.
    assert "hunter2" not in command.clean(
        f"ERR cannot parse {words[-1]!s} here".replace("b'", "").replace("'", "")
    )


@pytest.mark.parametrize(
    "words", [["SET", "author", "ann"], ["HSET", "h", "tokenizer", "x"], ["SET", "a", "b:c"]]
)
def test_what_does_not_is_shown(words):
    assert redis_command(words).shown == tuple(words)


def test_the_fingerprint_tells_other_words_also_those_that_are_hidden():
    def fingerprint(*words):
        return Execute(redis_command(words)).fingerprint(State(), "a1")

    assert fingerprint("SET", "k", "a") != fingerprint("SET", "k", "b")
    assert fingerprint("SET", "password", "a") == fingerprint("SET", "password", "a")
    assert fingerprint("SET", "password", "a") != fingerprint("SET", "password", "b")
    assert fingerprint("SET", "k", b"\xff") != fingerprint("SET", "k", "\\xff")
