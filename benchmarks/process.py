"""A process whose memory is measured: it does the work and writes its peak, in bytes, into FILE.

python -m benchmarks.process FILE (vecmigrate WORDS… | by_hand URL)
"""

from __future__ import annotations

import re
import resource
import sys
from pathlib import Path


def peak_bytes() -> int:
    """The largest resident size of this process.

    On Linux `ru_maxrss` also remembers the process that started this one, so the kernel's own mark is read.
    """
    status = Path("/proc/self/status")
    if status.exists():
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
        if found:
            return int(found[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS


def main() -> int:
    file, kind, *words = sys.argv[1:]
    # Each imports only what the measured program would import.
    if kind == "vecmigrate":
        from vecmigrate.cli import run

        code = run(words)
    else:
        import asyncio

        from benchmarks.by_hand import move_by_hand

        asyncio.run(move_by_hand(words[0]))
        code = 0
    Path(file).write_text(str(peak_bytes()))
    return code


if __name__ == "__main__":
    sys.exit(main())
