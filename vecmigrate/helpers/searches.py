"""Searches on their way: which are asked once more, and which replies are no answer."""

from __future__ import annotations

import time
from collections.abc import (
    Iterator,
    Mapping,
    Sequence,
)
from typing import Any, Final

from redis.exceptions import ResponseError

from vecmigrate.helpers.common import Command
from vecmigrate.helpers.index import Search
from vecmigrate.helpers.replies import value_of
from vecmigrate.helpers.values import as_str

# What the server says where a search met the end of its index, as when a rebuild publishes a new one.
DROPPED: Final = "index was dropped before the query"


# What it says of a search that ran out of time, as an error or as a warning beside what was found so far.
TIMED_OUT: Final = "timeout limit was reached"


class SearchWarning(ResponseError):
    """The server gave an answer and a warning: what it found is not all that there is."""


class SearchTimeout(SearchWarning):
    """A search ran out of time: there is no answer, or one that lacks documents."""


class Searches:
    """One search or several, sent together: the commands to send, and in the end their replies.

    Whoever does the I/O sends `commands` as long as there are any, and hands the replies, errors among them,
    to `settle`. Afterwards `replies` has one for each search, or the error that it ended with.

    A reply with a warning is no answer. Under RESP2 the server leaves warnings out, but a search that it gave
    up took at least as long as it was allowed to, seen from here. Whether one that took so long is an answer
    is then asked by FT.PROFILE, which searches anew and says so under RESP2 too.
    """

    def __init__(self, searches: Sequence[Search]) -> None:
        self.searches = searches
        self.commands: list[Command] = [search.command for search in searches]
        self.replies: list[Any] = [None] * len(searches)
        self._places = list(range(len(searches)))
        self._repeated: set[int] = set()
        self._profiled: dict[int, float] = {}
        self._sent = time.monotonic()

    def settle(self, replies: Sequence[Any]) -> None:
        """Take the replies to `commands`, and say in `commands` what is to be sent next, if anything."""
        took_ms = (time.monotonic() - self._sent) * 1000
        places, self._places, self.commands = self._places, [], []
        for place, reply in zip(places, replies, strict=True):
            command = self._judge(place, reply, took_ms)
            if command is not None:
                self._places.append(place)
                self.commands.append(command)
        self._sent = time.monotonic()

    def _judge(self, place: int, reply: Any, took_ms: float) -> Command | None:
        """Enter the reply, or give the command that is to be sent first."""
        if isinstance(reply, Exception):
            if DROPPED in str(reply) and place not in self._repeated:
                self._repeated.add(place)
                self._profiled.pop(place, None)
                return self.searches[place].command
            self.replies[place] = self._error(place, reply)
        elif place in self._profiled:
            results, profile = reply[:2]
            self._enter(place, results, profile_warnings(profile))
        elif isinstance(reply, Mapping):
            self._enter(place, reply, warnings_of(reply))
        elif is_doubtful(self.searches[place], reply, took_ms):
            self._profiled[place] = took_ms
            return profile_command(self.searches[place].command)
        else:
            self.replies[place] = reply
        return None

    def _enter(self, place: int, reply: Any, warnings: Iterator[str]) -> None:
        text = "; ".join(dict.fromkeys(warnings))
        self.replies[place] = search_warning(text) if text else reply

    def _error(self, place: int, error: Exception) -> Exception:
        if TIMED_OUT in str(error).lower():
            return SearchTimeout(str(error))
        if place not in self._profiled or not isinstance(error, ResponseError):
            return error
        return SearchTimeout(
            f"the search took {self._profiled[place]:.0f} ms (expected less than timeout_ms,"
            f" {self.searches[place].timeout_ms}), and RESP2 does not tell whether it was"
            f" cut short ({error});"
            " connect with protocol=3, allow FT.PROFILE, or give it more time",
        )


def is_doubtful(search: Search, reply: Sequence[Any], took_ms: float) -> bool:
    """Whether a reply without a place for warnings may be that of a search which ran out of time."""
    # The clocks of two machines do not run quite alike.
    if took_ms < 0.99 * search.timeout_ms:
        return False
    return search.wanted is None or len(reply) // 2 < search.wanted


def search_warning(text: str) -> SearchWarning:
    """The error for a reply that came with this warning."""
    kind = SearchTimeout if TIMED_OUT in text.lower() else SearchWarning
    return kind(f"the answer of the server is not whole: {text}")


def warnings_of(reply: Mapping[Any, Any]) -> Iterator[str]:
    """The warnings in a reply of RESP3."""
    for text in value_of(reply, "warning") or ():
        yield as_str(text)


def profile_command(search: Command) -> Command:
    """FT.PROFILE of a search: it searches anew, and its reply tells of warnings under RESP2 as well."""
    _, index, *words = search
    return ("FT.PROFILE", index, "SEARCH", "LIMITED", "QUERY", *words)


def profile_warnings(profile: Any) -> Iterator[str]:
    """The warnings in the second part of a reply to FT.PROFILE, flat lists in lists under RESP2."""
    if not isinstance(profile, list | tuple):
        return
    for place, item in enumerate(profile):
        if isinstance(item, list | tuple):
            yield from profile_warnings(item)
        elif as_str(item) == "Warning":
            for text in profile[place + 1 : place + 2]:
                if as_str(text) not in ("None", ""):
                    yield as_str(text)
