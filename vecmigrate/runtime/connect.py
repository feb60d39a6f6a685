"""Connecting to a server, looking at what it is, and telling its faults in one line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from vecmigrate.errors import (
    ConfigError,
    LeaseLostError,
    ReadOnlyServerError,
    ServerError,
    ServerWentBackError,
)
from vecmigrate.search.versions import ServerVersion, parse_module_version

# An URL may say otherwise: ?socket_timeout=SECONDS.
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 60.0
# As parameters: password, ssl_password.
_PASSWORD = re.compile(r"(password=)[^&#]*", re.IGNORECASE)
# The last is the answer to RESP3's greeting.
_NO_PASSWORD_GIVEN = ("NOAUTH", "Authentication required", "HELLO must be called")


@dataclass(frozen=True, slots=True)
class Server:
    """What a server is. `run_id` changes with each start of its process; SCAN cursors die with it."""

    version: ServerVersion
    run_id: str


def redact(url: str) -> str:
    """`url` without its passwords, for messages.

    It need not be one that can be read: a password with a slash in it is the usual reason why it cannot.
    """
    before, at, host = _PASSWORD.sub(r"\1***", url).rpartition("@")
    if not at:
        return host
    scheme, _, who = before.partition("://")
    if scheme not in ("redis", "rediss", "unix"):
        return f"***@{host}"
    user, colon, _ = who.partition(":")
    return f"{scheme}://{user}{':***' if colon else ''}@{host}"


def connect(url: str, *, answer_seconds: float = ANSWER_SECONDS) -> redis.Redis:
    """A client for `url` that answers bytes and never retries by itself.

    An answer is waited for as long as `answer_seconds`.

    A retry would hide that the server was restarted, and with it that every stored cursor is void.
    """
    try:
        client: redis.Redis = redis.Redis.from_url(
            url,
            decode_responses=False,
            retry=Retry(NoBackoff(), 0),
            socket_connect_timeout=CONNECT_SECONDS,
            socket_timeout=answer_seconds,
        )
        # Not connected yet; only now are the URL's parameters looked at.
        client.connection_pool.make_connection()
    except (ValueError, TypeError) as error:
        # What redis-py says of a port may be half a password.
        hint = "in user and password, write / ? # @ : percent-encoded" if "Port" in str(error) else str(error)
        if isinstance(error, TypeError):
            hint = f"it has a parameter that redis-py does not know: {str(error).rpartition(' ')[2]}"
        raise ConfigError(
            f"{redact(url)!r} is no Redis URL (redis://, rediss://, unix:// or embedded:[DIR])", hint=hint
        ) from None
    # An URL may ask for decoded replies; vectors are bytes.
    client.connection_pool.connection_kwargs["decode_responses"] = False
    return client


def look(client: redis.Redis) -> Server:
    """What the server is; raises ServerError where vecmigrate cannot work with it."""
    info: dict[str, Any] = client.info()
    modules = {_text(item.get(b"name", item.get("name"))): item for item in _modules(client)}
    if "search" not in modules:
        raise ServerError(
            f"Redis {info['redis_version']} has no RediSearch (its module `search`)",
            hint="use Redis 8, Redis Stack, or `embedded:`",
        )
    if info.get("cluster_enabled"):
        raise ServerError(
            "this is a node of a Redis Cluster (a single server, with replicas if you like)",
            hint="docs/migrations.md says what stands in the way",
        )
    if info.get("role") != "master":
        raise ReadOnlyServerError(
            f"this server is a replica of {info.get('master_host')}:{info.get('master_port')} "
            "(a server that takes writes)",
            hint="give the URL of the primary",
        )
    found = modules["search"]
    return Server(
        version=ServerVersion(
            redis=_version(str(info["redis_version"])),
            search=parse_module_version(int(found.get(b"ver", found.get("ver", 0)))),
        ),
        run_id=str(info["run_id"]),
    )


@contextmanager
def told(url: str) -> Iterator[None]:
    """Turn what redis-py raises into one line that says what to do."""
    where = redact(url)
    try:
        yield
    except redis.exceptions.AuthenticationError as error:
        text = str(error)
        if text.startswith(_NO_PASSWORD_GIVEN):
            raise _password_wanted(where) from error
        if "without any password configured" in text:
            raise ServerError(
                f"Redis at {where} knows no password (one is given)", hint="take it out of the URL"
            ) from error
        raise ServerError(
            f"Redis at {where} refuses us ({text})", hint="put user and password into the URL"
        ) from error
    except redis.exceptions.BusyLoadingError as error:
        raise ServerError(
            f"Redis at {where} is still loading its data", hint="try again in a while"
        ) from error
    except redis.exceptions.ReadOnlyError as error:
        raise ReadOnlyServerError(
            f"Redis at {where} takes no writes ({error})", hint="give the URL of the primary"
        ) from error
    except redis.exceptions.NoPermissionError as error:
        raise ServerError(
            f"Redis at {where} does not allow this user all that is needed ({error})"
        ) from error
    except redis.exceptions.TimeoutError as error:
        raise ServerError(f"Redis at {where} does not answer in time ({error})") from error
    except redis.exceptions.ConnectionError as error:
        raise ServerError(
            f"no Redis to be reached at {where} ({error})",
            hint="start one, or give --redis URL; `embedded:` needs none",
        ) from error
    except redis.exceptions.OutOfMemoryError as error:
        raise ServerError(f"Redis at {where} is out of memory ({error})", hint="raise maxmemory") from error
    except redis.exceptions.ResponseError as error:
        text = str(error)
        if text.startswith("FENCED"):
            raise LeaseLostError from error
        if text.startswith("WENTBACK"):
            raise ServerWentBackError(text) from error
        if text.startswith(_NO_PASSWORD_GIVEN):
            raise _password_wanted(where) from error
        if text.startswith("MISCONF"):
            raise ServerError(f"Redis at {where} refuses writes because it cannot save ({text})") from error
        raise ServerError(f"Redis at {where} says: {text}") from error
    except redis.exceptions.RedisError as error:
        raise ServerError(f"Redis at {where}: {error}") from error


def _password_wanted(where: str) -> ServerError:
    return ServerError(
        f"Redis at {where} wants a password (none is given)", hint="put user and password into the URL"
    )


def _modules(client: redis.Redis) -> list[dict[Any, Any]]:
    reply = client.execute_command("MODULE LIST")
    return [
        item if isinstance(item, dict) else dict(zip(item[::2], item[1::2], strict=False)) for item in reply
    ]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _version(text: str) -> tuple[int, int, int]:
    numbers = [int(part) for part in text.split(".")[:3]]
    return (numbers[0], numbers[1], numbers[2])
