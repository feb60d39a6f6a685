"""Reading the files that somebody names: specs, scripts, configuration, generated code."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def read_file(path: Path, limit: int | None = None) -> bytes:
    """What is in a file, at most `limit` bytes of it.

    Raises:
        OSError: It cannot be read, or is no regular file: whoever opens a pipe waits for its other end.
    """
    number = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0))
    with open(number, "rb") as stream:  # noqa: PTH123 - it is open
        mode = os.fstat(number).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        return stream.read() if limit is None else stream.read(limit)
