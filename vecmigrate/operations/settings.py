"""What of a server's settings an operator should know before an index is rebuilt under load."""

from __future__ import annotations

from vecmigrate.operations.base import SearchServer

# Documents that the scan takes at a time, on the main thread, before it lets queries in.
GENTLE_GAP = 10
_MILLISECONDS_A_DOCUMENT = 1
_SHORT_TIMEOUT = 100


def remarks(search: SearchServer, documents: int) -> list[str]:
    """One line for each setting that matters for a rebuild of so many documents."""
    found = []
    gap = _number(search.setting("BG_INDEX_SLEEP_GAP"))
    if gap is not None and gap > GENTLE_GAP:
        found.append(
            f"the server scans {gap} documents at a time (BG_INDEX_SLEEP_GAP {gap}): queries may wait up to "
            f"{gap * _MILLISECONDS_A_DOCUMENT} ms meanwhile; RediSearch loaded with BG_INDEX_SLEEP_GAP "
            f"{GENTLE_GAP} lets them in sooner"
        )
    limit = _number(search.setting("MAXDOCTABLESIZE"))
    if limit is not None and documents > limit:
        found.append(
            f"{documents:,} documents are more than the server's table of documents has rows "
            f"(MAXDOCTABLESIZE {limit:,}): looking them up gets slower"
        )
    timeout = _number(search.setting("TIMEOUT"))
    if timeout is not None and 0 < timeout <= _SHORT_TIMEOUT:
        policy = search.setting("ON_TIMEOUT") or "return"
        what = "part of the answer" if policy == "return" else "an error"
        found.append(
            f"queries that take more than {timeout} ms give {what} (TIMEOUT {timeout}, ON_TIMEOUT {policy}): "
            "while the server scans that happens sooner"
        )
    policy = search.memory().policy
    if policy.startswith("allkeys") and search.memory().maximum is not None:
        found.append(
            f"at maxmemory the server evicts documents (maxmemory-policy {policy}): a second index brings "
            "that nearer"
        )
    return found


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.lstrip("-").isdigit() else None
