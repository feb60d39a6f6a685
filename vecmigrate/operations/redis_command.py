"""The words of a Redis command that a migration names: which are refused, how they are sent and shown.

Pure: nothing here talks to a server.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from vecmigrate.errors import OperationError
from vecmigrate.revisions.user_code import clean_error

Word: TypeAlias = str | bytes
MOST_WORDS = 7000  # a Lua script can hand some 8,000 words to one command
HIDDEN = "***"

_BLOCKS = "it waits, and the lease would lapse meanwhile"
_CONNECTION = "it changes the connection, which is not the migration's alone"
_TRANSACTION = "each command runs in one step with the check of the lease, so a transaction has no place"
_WIPES = "it would wipe the ledger and every index"
_SCRIPTS = "it ends scripts of others, and those that vecmigrate works with"
_SERVER = "it changes the server itself, which can be neither fenced nor repeated"
_SECRETS = "users and passwords do not belong into a script that is kept in version control"
_ELSEWHERE = "it acts on another server, which no lease guards"
_LEDGER = "that is vecmigrate's own ledger"

# Commands, or a command and its subcommand joined by "_", and why they are refused.
_REFUSALS = (
    (
        _CONNECTION,
        "SUBSCRIBE PSUBSCRIBE SSUBSCRIBE UNSUBSCRIBE PUNSUBSCRIBE SUNSUBSCRIBE MONITOR SYNC PSYNC REPLCONF "
        "AUTH HELLO SELECT QUIT RESET CLIENT READONLY READWRITE ASKING",
    ),
    (_TRANSACTION, "MULTI EXEC DISCARD WATCH UNWATCH"),
    (_BLOCKS, "BLPOP BRPOP BRPOPLPUSH BLMOVE BLMPOP BZPOPMIN BZPOPMAX BZMPOP WAIT WAITAOF SAVE"),
    (_WIPES, "FLUSHALL FLUSHDB SWAPDB"),
    (_SCRIPTS, "SCRIPT_FLUSH SCRIPT_KILL SCRIPT_DEBUG FUNCTION_FLUSH FUNCTION_KILL FUNCTION_RESTORE"),
    (
        _SERVER,
        "SHUTDOWN DEBUG REPLICAOF SLAVEOF FAILOVER CLUSTER SENTINEL MODULE_LOAD MODULE_LOADEX MODULE_UNLOAD "
        "RESTORE-ASKING PFDEBUG",
    ),
    (_SECRETS, "ACL"),
    (_ELSEWHERE, "MIGRATE"),
)
_REFUSED = {name.replace("_", " "): reason for reason, names in _REFUSALS for name in names.split()}
_SECRET_SETTINGS = re.compile(r"requirepass|masterauth|masteruser|.*pass|.*password", re.IGNORECASE)
# Names of secrets: their value is the next word, or stands behind them in the same one.
_SECRET_NAME = re.compile(
    r"password|passwd|passphrase|secret|credential|requirepass|masterauth|"
    r"(?:api|access|private|secret)[-_ ]?key|(?<![a-z])(?:auth2?|pass|pwd)(?![a-z])|tokens?(?![a-z])",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(
    r"(?:sk|pk|rk|ghp|gho|ghs|glpat|xox[abp]|hf)[-_][\w-]{8,}|AKIA[0-9A-Z]{12,}|eyJ[\w-]+\.[\w-]+|"
    r"-----BEGIN|[a-z][a-z0-9+.-]*://[^/\s]*:[^/\s]*@"
)
_VALUE_BEHIND = re.compile(r"[\"']?\s*[:=]\s*\S")


@dataclass(frozen=True, slots=True)
class RedisCommand:
    """Words as they are sent. `shown` is what may be printed: text, without secrets."""

    words: tuple[Word, ...]

    @property
    def name(self) -> str:
        """The command's name, as it was written."""
        return _text(self.words[0])

    @property
    def shown(self) -> tuple[str, ...]:
        """The words for reading: bytes as escapes, and `***` for what looks like a secret."""
        texts = [_text(word) for word in self.words]
        secret = self._secret()
        return tuple(HIDDEN if place in secret else text for place, text in enumerate(texts))

    @property
    def has_secrets(self) -> bool:
        """Whether something in it looks like a secret."""
        return bool(self._secret())

    def clean(self, error: str) -> str:
        """An error text of the server's in one line, without what it repeats of this command's words."""
        text = clean_error(error)
        secrets = {_text(self.words[place]) for place in self._secret()}
        for secret in sorted(secrets, key=len, reverse=True):
            if secret:
                text = text.replace(secret, HIDDEN)
        return text

    def _secret(self) -> set[int]:
        found = set()
        texts = [_text(word) for word in self.words]
        for place, text in enumerate(texts[1:], 1):
            named = _SECRET_NAME.search(text)
            if named is not None and place + 1 < len(texts):
                found.add(place + 1)
            if named is not None and _VALUE_BEHIND.match(text, named.end()):
                found.add(place)
            if _SECRET_VALUE.search(text):
                found.add(place)
        return found


def redis_command(words: Sequence[object], what: str = "execute") -> RedisCommand:
    """The command that `words` (str, int, float or bytes) make.

    Raises:
        OperationError: A word is of another type, or the command is one that a migration may not send. The
            message repeats no word but the command's name.
    """
    if isinstance(words, str | bytes) or not isinstance(words, Sequence) or not words:
        raise OperationError(
            f'{what} got no command (at least its name, as in op.execute("SET", "k", "v"))',
            hint="undo is a tuple or list of words" if what != "execute" else None,
        )
    command = RedisCommand(tuple(_word(word, place, what) for place, word in enumerate(words)))
    name = command.name
    if len(name.split()) != 1 or name != name.strip():
        first = f"{name.split()[0]} …" if name.split() else ""
        raise OperationError(
            f"{what} got {first!r} as the command's name (expected one word, such as 'SET')",
            hint='give each word by itself, as in op.execute("SET", "k", "v")',
        )
    if len(command.words) > MOST_WORDS:
        raise OperationError(
            f"{what} got {len(command.words):,} words (expected {MOST_WORDS:,} at the most)",
            hint="split the command, or use op.run with a function",
        )
    _refuse(command, what)
    return command


def _refuse(command: RedisCommand, what: str) -> None:
    texts = [_text(word).upper() for word in command.words]
    for length in (1, 2):
        name = " ".join(texts[:length])
        if name in _REFUSED:
            raise OperationError(f"{what} does not take {name}: {_REFUSED[name]}", hint=_hint(name))
    if texts[0] in ("XREAD", "XREADGROUP") and "BLOCK" in texts[: _place(texts, "STREAMS")]:
        raise OperationError(f"{what} does not take {texts[0]} BLOCK: {_BLOCKS}", hint="leave BLOCK out")
    if texts[:2] == ["CONFIG", "SET"]:
        for setting in texts[2::2]:
            if _SECRET_SETTINGS.fullmatch(setting):
                raise OperationError(f"{what} does not take CONFIG SET {setting.lower()}: {_SECRETS}")
    if any(text.startswith(("VECMIGRATE:{", "VECMIGRATE:OWNERS")) for text in texts[1:]):
        raise OperationError(f"{what} does not touch keys of `vecmigrate:{{…}}`: {_LEDGER}")


def _hint(name: str) -> str | None:
    if name in ("MULTI", "EXEC", "DISCARD", "WATCH", "UNWATCH"):
        return 'several commands in one step go into a Lua script: op.execute("EVAL", …)'
    if name in ("FLUSHALL", "FLUSHDB", "SWAPDB"):
        return "delete keys by name in a function for op.run"
    if name.startswith("B") and name[1] in "LRZ":
        return "use the command of that kind that does not wait, or op.run with a function"
    return None


def _place(texts: list[str], word: str) -> int:
    return texts.index(word) if word in texts else len(texts)


def _word(word: object, place: int, what: str) -> Word:
    if isinstance(word, bytes):
        return bytes(word)
    if isinstance(word, str):
        text = str.__str__(word)
        try:
            text.encode()
        except UnicodeEncodeError:
            raise OperationError(
                f"{what}: word {place + 1} cannot be encoded in UTF-8", hint="give bytes as bytes"
            ) from None
        return text
    if isinstance(word, float):
        return float.__repr__(word)
    if isinstance(word, int) and not isinstance(word, bool):
        return int.__repr__(word)
    raise OperationError(
        f"{what}: word {place + 1} is of type {type(word).__name__} (expected str, int, float or bytes)",
        hint='a boolean goes as 0 or 1, an array as array.tobytes(), nothing as ""',
    )


def _text(word: Word) -> str:
    return word if isinstance(word, str) else word.decode("utf-8", "backslashreplace")
