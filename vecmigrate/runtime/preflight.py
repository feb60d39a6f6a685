"""Asking the server for everything that a user may not do, before anything is written.

Redis refuses commands one by one, so a run would stop at the first right that is missing, and then at the
next. Here all are asked for at once, by the first of these means that the user has, and nothing is changed:

    a script    redis.acl_check_cmd judges words for the user that runs the script, and runs none of them
    MULTI       commands are judged when they are queued, and DISCARD forgets them
    a trial     each command in a form that can only fail, or finds no key; rights come before arguments

ACL DRYRUN would tell the same, to users that may look at the rights of all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import redis

from vecmigrate.errors import ServerError
from vecmigrate.runtime.rights import HARMLESS, READS, Key, Need, unique, words

# For each list of words: 1 where the user may, 0 where not, 2 where the server has no such command.
_SCRIPT = """#!lua flags=no-writes
local found = {}
for i, words in ipairs(cjson.decode(ARGV[1])) do
  local asked, may = pcall(redis.acl_check_cmd, unpack(words))
  found[i] = (not asked or type(may) == 'table') and 2 or (may and 1 or 0)
end
return found
"""
_UNKNOWN = 2
_OF_TRANSACTIONS = ("multi", "exec", "discard")
_MAY_NOT_RUN = re.compile(r"permissions? to (run|execute)|can't run", re.IGNORECASE)
_HINT = "docs/security.md has the ACL of each user, and says what each right is for"


def require_rights(client: redis.Redis, needs: Iterable[Need], doing: str) -> None:
    """Raise ServerError, naming every right that is missing, where the user may not do all of `needs`."""
    missing = missing_rights(client, needs)
    if missing:
        raise ServerError(
            f"this Redis user lacks rights that {doing} needs: {' '.join(missing)} (nothing was written)",
            hint=_HINT,
        )


def missing_rights(client: redis.Redis, needs: Iterable[Need]) -> list[str]:
    """What is to be added to the user by `ACL SETUSER`, such as `+ft.create` and `~vecmigrate:{default}:*`.

    Changes nothing, and costs one round trip where the user may run scripts.
    """
    wanted = unique(needs)
    found = _by_script(client, wanted)
    if found is None:
        found = _by_transaction(client, wanted)
    if found is None:
        found = _by_trial(client, wanted)
    return found


@dataclass(frozen=True, slots=True)
class Judged:
    """What the server says of commands on keys.

    `alone` is about commands without keys; `pairs` about commands and keys (samples); `writable` are the keys
    that may be read and written, by some command. What the server does not know is None.
    """

    alone: Mapping[str, bool | None]
    pairs: Mapping[tuple[str, str], bool | None]
    writable: Mapping[str, bool]


def judge(needs: Sequence[Need], judged: Judged) -> list[str] | None:
    """What is missing; None where it cannot be told, because there is no key that may be written."""
    writable = [key for key, may in judged.writable.items() if may]
    refused = [need for need in needs if need.key and judged.pairs[need.command, need.key.sample] is False]
    if refused and not writable:
        return None
    missing = [f"+{need.command}" for need in needs if not need.key and judged.alone[need.command] is False]
    # Refused on every key that is open to other commands: the command itself is.
    closed = {need.command for need in refused}
    closed -= {command for command in closed if any(judged.pairs[command, key] for key in writable)}
    missing += [f"+{need.command}" for need in refused if need.command in closed]
    for key in dict.fromkeys(need.key for need in needs if need.key):
        here = [need for need in refused if need.key == key]
        reads_only = all(need.reads_only for need in needs if need.key == key)
        if here and not _is_open(key, needs, judged, reads_only=reads_only):
            missing.append(f"%R~{key.pattern}" if reads_only else f"~{key.pattern}")
        else:
            # A selector may allow a command on some keys, and not on this one.
            missing += [f"+{need.command} on {key.pattern}" for need in here if need.command not in closed]
    return list(dict.fromkeys(missing))


def _is_open(key: Key, needs: Sequence[Need], judged: Judged, *, reads_only: bool) -> bool:
    """Whether some command may do on `key` what is needed there: write, or with `reads_only` read."""
    if judged.writable[key.sample]:
        return True
    passed = {name for (name, sample), may in judged.pairs.items() if sample == key.sample and may}
    # To RediSearch, names of indexes are keys up to 2.10 and none since: it tells nothing about other keys.
    asked = {need.command for need in needs if need.key == key}
    telling = {name for name in passed if name in asked or not name.startswith("ft.")}
    return bool(telling if reads_only else telling - READS)


def _by_script(client: redis.Redis, needs: Sequence[Need]) -> list[str] | None:
    alone = list(dict.fromkeys(need.command for need in needs if need.key is None))
    keyed = list(dict.fromkeys(need.command for need in needs if need.key is not None))
    samples = list(dict.fromkeys(need.key.sample for need in needs if need.key is not None))
    asked = [words(command, "") for command in alone]
    asked += [words(command, sample) for command in keyed for sample in samples]
    # A script's keys are read and written, whatever it does with them. Last, for every server knows it.
    asked += [("EVALSHA", "0" * 40, "1", sample) for sample in samples]
    try:
        answer: Any = client.eval(_SCRIPT, 0, json.dumps(asked))
    except redis.ResponseError:
        # Not allowed, or no server that knows redis.acl_check_cmd.
        return None
    if answer and int(answer[-1]) == _UNKNOWN:
        return None
    verdicts = iter({0: False, 1: True}.get(int(item)) for item in answer)
    judged = Judged(
        alone={command: next(verdicts) for command in alone},
        pairs={(command, sample): next(verdicts) for command in keyed for sample in samples},
        writable={sample: bool(next(verdicts)) for sample in samples},
    )
    return judge(needs, judged)


def _by_transaction(client: redis.Redis, needs: Sequence[Need]) -> list[str] | None:
    asked = [need for need in needs if need.command not in (*_OF_TRANSACTIONS, "watch") and _is_safe(need)]
    with _connection(client) as connection:
        # Alone: were it refused, what follows would be run. A proxy may refuse it for reasons of its own.
        if _answers(connection, [("MULTI",)]) != [""]:
            return None
        answers = _answers(connection, [*map(_sample, asked), ("DISCARD",)])
    return _from_texts(asked, answers)


def _by_trial(client: redis.Redis, needs: Sequence[Need]) -> list[str]:
    asked = [need for need in needs if need.command != "multi" and _is_safe(need)]
    with _connection(client) as connection:
        answers = _answers(connection, [_sample(need) for need in asked])
    # It is known to be refused, or we would not be here.
    refused = ["+multi"] if any(need.command == "multi" for need in needs) else []
    return [*_from_texts(asked, answers), *refused]


def _is_safe(need: Need) -> bool:
    # A counter would be counted up.
    return need.harmless and need.command != "incr"


@contextmanager
def _connection(client: redis.Redis) -> Iterator[Any]:
    """A connection of its own, which is closed afterwards with whatever was left open on it."""
    pool = client.connection_pool
    connection = pool.connection_class(**pool.connection_kwargs)
    connection.connect()
    try:
        yield connection
    finally:
        connection.disconnect()


def _answers(connection: Any, commands: Sequence[Sequence[str]]) -> list[str]:
    """Send `commands` in one go; for each what was refused, or "" where it was not."""
    connection.send_packed_command(connection.pack_commands(commands), check_health=False)
    answers = []
    for _ in commands:
        answer = ""
        try:
            connection.read_response()
        except redis.exceptions.NoPermissionError as error:
            answer = f"permission: {error}"
        except redis.ResponseError as error:
            answer = str(error)
        answers.append(answer)
    return answers


def _from_texts(needs: Sequence[Need], texts: Sequence[str]) -> list[str]:
    """What is missing by what the server said of each need; it names a command before it looks at keys."""
    missing = []
    for need, text in zip(needs, texts, strict=False):
        if "permission" not in text:
            continue
        if need.key is None or _MAY_NOT_RUN.search(text):
            missing.append(f"+{need.command}")
        else:
            reads_only = all(other.reads_only for other in needs if other.key == need.key)
            missing.append(f"%R~{need.key.pattern}" if reads_only else f"~{need.key.pattern}")
    return list(dict.fromkeys(missing))


def _sample(need: Need) -> tuple[str, ...]:
    return words(need.command, need.key.sample if need.key else "", HARMLESS)
