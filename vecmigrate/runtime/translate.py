"""What redis-py raises, as one line that says what to do.

Nothing here repeats a text of redis-py that may hold what a URL held: its texts about connections quote
them, a server that does not know HELLO or AUTH quotes their arguments, and sentinels quote their settings.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import redis
from redis.sentinel import MasterNotFoundError, SlaveNotFoundError

from vecmigrate.errors import (
    LeaseLostError,
    ReadOnlyServerError,
    ServerError,
    ServerWentBackError,
    VecmigrateError,
)

# The last is the answer to RESP3's greeting.
_NO_PASSWORD_GIVEN = ("NOAUTH", "Authentication required", "HELLO must be called")
_ARGUMENTS = re.compile(r",? with args beginning with.*", re.DOTALL)
_USER = re.compile(r"\bUser \S+ has\b", re.IGNORECASE)
_OUR_USER = "this user has"


@contextmanager
def translate_redis_errors(where: object) -> Iterator[None]:
    """Turn whatever redis-py raises into one line; `where` is the address that it came from."""
    try:
        yield
    except Exception as error:
        if not from_redis(error):
            raise
        told = explain(error, f"Redis at {where}")
        shown = None if _quotes_settings(error) else error
        raise told from shown


def from_redis(error: BaseException) -> bool:
    """Whether `error` is one of redis-py's; not all of them derive from RedisError."""
    return isinstance(error, redis.RedisError) or any(
        base.__module__.partition(".")[0] == "redis" for base in type(error).__mro__
    )


def redis_error_behind(error: BaseException) -> BaseException | None:
    """What redis-py raised and `error` was made from, or None."""
    at: BaseException | None = error
    while at is not None and not from_redis(at):
        at = at.__cause__ or at.__context__
    return at


def server_text(error: BaseException) -> str:
    """What the server or redis-py says, without what a URL may have held."""
    text = " ".join(_USER.sub(_OUR_USER, _ARGUMENTS.sub("", str(error))).split())
    return text or type(error).__name__


def explain(error: BaseException, where: str = "Redis") -> VecmigrateError:
    """`error`, which redis-py raised, as one of ours.

    `passing` is set on it where waiting may be all that is needed.
    """
    # Derived classes first: an AuthenticationError is a ConnectionError, and so is a server that is loading.
    if isinstance(error, redis.exceptions.AuthenticationError):
        return _authentication(error, where)
    if isinstance(error, redis.exceptions.AuthorizationError):
        return ServerError(f"{where} refuses us", hint="put user and password into the URL")
    if isinstance(error, redis.exceptions.BusyLoadingError):
        return _passing(f"{where} is still loading its data")
    if isinstance(error, redis.exceptions.ReadOnlyError):
        told = ReadOnlyServerError(
            f"{where} takes no writes: it is a replica (a primary)",
            hint="give the URL of the primary, or of its sentinels (redis+sentinel://)",
        )
        told.passing = True
        return told
    if isinstance(error, redis.exceptions.NoPermissionError):
        return ServerError(
            f"{where} does not allow this user all that is needed ({server_text(error)})",
            hint="docs/security.md lists the rights",
        )
    if isinstance(error, redis.exceptions.OutOfMemoryError):
        return ServerError(
            f"{where} is at its maxmemory and refuses writes",
            hint="raise maxmemory, or free memory: `vecmigrate complete` drops what is kept for a rollback",
        )
    if isinstance(error, redis.exceptions.TimeoutError):
        return _passing(f"{where} does not answer in time")
    if isinstance(error, redis.exceptions.ConnectionError):
        return _connection(error, where)
    if isinstance(error, redis.exceptions.InvalidResponse):
        return ServerError(
            f"what answers as {where} is no Redis (expected the Redis protocol)",
            hint="look at host and port; a server that speaks TLS needs rediss://",
        )
    if isinstance(error, redis.exceptions.ResponseError):
        return _response(error, where)
    return ServerError(f"{where}: {type(error).__name__}: {server_text(error)}")


def _authentication(error: BaseException, where: str) -> ServerError:
    text = str(error)
    if text.startswith(_NO_PASSWORD_GIVEN):
        return _password_wanted(where)
    if "without any password configured" in text or "no password is set" in text:
        return ServerError(f"{where} knows no password (one is given)", hint="take it out of the URL")
    return ServerError(
        f"{where} refuses us (user or password is wrong)", hint="put user and password into the URL"
    )


def _password_wanted(where: str) -> ServerError:
    return ServerError(f"{where} wants a password (none is given)", hint="put user and password into the URL")


def _connection(error: BaseException, where: str) -> ServerError:
    if isinstance(error, (MasterNotFoundError, SlaveNotFoundError)):
        return _passing(
            f"the sentinels know no primary that is up (asked as {where})",
            "look at the sentinels, their password (sentinel_password) and the name of the service",
        )
    if isinstance(error, redis.exceptions.MaxConnectionsError) or "max number of clients" in str(error):
        return _passing(f"{where} takes no more connections")
    if "previous master is now a slave" in str(error):
        return _passing(f"{where} became a replica: a failover took place")
    if from_tls := _cause(error, ssl.SSLError):
        return ServerError(
            f"no TLS connection to {where} ({_tls_reason(from_tls)})",
            hint="rediss:// wants TLS at that port, redis:// none; ssl_ca_certs names the authority's file",
        )
    reason = _cause(error, OSError)
    said = (reason.strerror if isinstance(reason, OSError) else None) or "the connection was closed"
    place = where.removeprefix("Redis at ")
    told = f"no Redis to be reached at {place} ({said})" if place != where else f"{where} is gone ({said})"
    return _passing(told, "start one, or give --redis URL; `embedded:` needs none")


def _response(error: BaseException, where: str) -> VecmigrateError:
    text = server_text(error)
    if text.startswith("FENCED"):
        return LeaseLostError()
    if text.startswith("WENTBACK"):
        return ServerWentBackError(text)
    if text.startswith(_NO_PASSWORD_GIVEN):
        return _password_wanted(where)
    if text.startswith(("BUSY ", "Redis is busy running a script")):
        return _passing(f"{where} is busy with a script that somebody runs", "SCRIPT KILL ends it")
    if text.startswith("LOADING"):
        return _passing(f"{where} is still loading its data")
    if text.startswith(("MASTERDOWN", "Link with MASTER is down", "UNBLOCKED", "READONLY")):
        return _passing(
            f"{where} is a replica, or became one", "give the URL of the primary, or of its sentinels"
        )
    if text.startswith(("MISCONF", "Errors writing to the AOF")):
        return ServerError(f"{where} refuses writes because it cannot save", hint="look at its disk and log")
    if text.startswith("NOREPLICAS"):
        return _passing(f"{where} refuses writes: too few replicas are in step (NOREPLICAS)")
    if text.startswith("OOM"):
        return explain(redis.exceptions.OutOfMemoryError(text), where)
    if text.startswith("NOPERM"):
        return explain(redis.exceptions.NoPermissionError(text), where)
    if "NOPROTO" in text or ("unknown command" in text and "HELLO" in text.upper()):
        return ServerError(f"{where} does not speak RESP3 (no HELLO)", hint="add ?protocol=2 to the URL")
    return ServerError(f"{where} says: {text}")


def _passing(message: str, hint: str | None = None) -> ServerError:
    told = ServerError(message, hint=hint)
    told.passing = True
    return told


def _quotes_settings(error: BaseException) -> bool:
    return (
        isinstance(error, (MasterNotFoundError, SlaveNotFoundError))
        or _ARGUMENTS.search(str(error)) is not None
    )


def _cause(error: BaseException, kind: type[BaseException]) -> BaseException | None:
    """The first of `kind` among `error` and what caused it."""
    at: BaseException | None = error
    while at is not None:
        if isinstance(at, kind):
            return at
        at = at.__cause__ or at.__context__
    return None


def _tls_reason(error: BaseException) -> str:
    told = getattr(error, "verify_message", None) or getattr(error, "reason", None) or "it failed"
    return str(told).replace("_", " ").lower()
