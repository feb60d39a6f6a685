"""The Lua scripts of this package. Another user may empty the server's script cache at any moment."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from hashlib import sha1
from importlib import resources


@dataclass(frozen=True, slots=True)
class Script:
    """A script and the name that the server gives it once it has seen it."""

    text: str
    sha: str

    def words(self, *, by_text: bool) -> tuple[str, str]:
        """How a call of it begins. By its text it works on a server that does not know it."""
        return ("EVAL", self.text) if by_text else ("EVALSHA", self.sha)


@cache
def script(name: str) -> Script:
    """The script in the file `name` beside this module."""
    text = resources.files("vecmigrate.backfill").joinpath(name).read_text()
    # SHA-1 because that is what the server calls scripts by.
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())
