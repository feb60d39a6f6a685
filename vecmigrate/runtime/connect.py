"""Connecting to a server, and looking at what it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from vecmigrate.errors import ConfigError, ReadOnlyServerError, ServerError
from vecmigrate.runtime.translate import translate_redis_errors
from vecmigrate.runtime.urls import Address, parse_url
from vecmigrate.search.versions import ServerVersion, parse_module_version

# A URL may say otherwise: ?socket_connect_timeout=SECONDS, ?socket_timeout=SECONDS.
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 60.0
POLL_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Server:
    """What a server is. `run_id` changes with each start of its process; SCAN cursors die with it."""

    version: ServerVersion
    run_id: str


def connect(url: str | Address, *, answer_seconds: float = ANSWER_SECONDS) -> redis.Redis:
    """A client for `url` that answers bytes and never retries by itself.

    A retry would hide that the server was restarted, and with it that every stored cursor is void. Behind
    sentinels each new connection goes to the primary of that moment.

    Args:
        url: The server; nothing is sent to it yet.
        answer_seconds: How long an answer is waited for, unless the URL says.

    Raises:
        ConfigError: The URL cannot be read.
    """
    address = parse_url(url) if isinstance(url, str) else url
    settings: dict[str, Any] = {
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_timeout": answer_seconds,
        **address.options,
        "retry": Retry(NoBackoff(), 0),
        "decode_responses": False,
        "db": 0,
    }
    if address.username:
        settings["username"] = address.username
    if address.password:
        settings["password"] = address.password
    if address.kind == "sentinel":
        return _behind_sentinels(address, settings)
    if address.kind == "unix":
        pool = redis.ConnectionPool(redis.UnixDomainSocketConnection, path=address.path, **settings)
    else:
        host, port = address.hosts[0]
        kind = redis.SSLConnection if address.tls else redis.Connection
        pool = redis.ConnectionPool(kind, host=host, port=port, **settings)
    client = redis.Redis(connection_pool=pool)
    client.auto_close_connection_pool = True
    return client


def _behind_sentinels(address: Address, settings: dict[str, Any]) -> redis.Redis:
    # The sentinels share what is about the network with the servers, and have names of their own.
    shared = ("socket_connect_timeout", "socket_timeout", "socket_keepalive", "protocol", "retry")
    asked = {name: value for name, value in settings.items() if name in shared or name.startswith("ssl_")}
    asked["socket_timeout"] = min(settings["socket_timeout"], CONNECT_SECONDS)
    asked["ssl"] = settings["ssl"] = address.tls
    if address.sentinel_username:
        asked["username"] = address.sentinel_username
    if address.sentinel_password:
        asked["password"] = address.sentinel_password
    sentinel = Sentinel(list(address.hosts), sentinel_kwargs=asked, **settings)
    client: redis.Redis = sentinel.master_for(address.service)
    return client


def reach(
    address: Address, connected: Callable[[], redis.Redis], *, wait: float | None
) -> tuple[redis.Redis, Server]:
    """A client and what its server is; a server that will answer in a while is waited for.

    Args:
        address: For messages.
        connected: Makes the client.
        wait: For how many seconds at the most; None where the caller has no option to say so.

    Raises:
        ServerError: The server cannot be reached, or vecmigrate cannot work with it.
    """
    began = time.monotonic()
    while True:
        client = connected()
        try:
            with translate_redis_errors(address):
                return client, inspect_server(client)
        except ServerError as error:
            client.close()
            if not error.passing:
                raise
            if wait is None or time.monotonic() - began + POLL_SECONDS > wait:
                raise _still(error, wait) from error.__cause__
        except BaseException:
            client.close()
            raise
        time.sleep(POLL_SECONDS)


def _still(error: ServerError, wait: float | None) -> ServerError:
    """`error` with what is known of waiting."""
    if wait is None:
        hint = error.hint or "try again in a while"
    elif wait:
        hint = f"it was waited for {wait:g} s (--wait)" + (f"; {error.hint}" if error.hint else "")
    else:
        hint = (f"{error.hint}, or " if error.hint else "") + "let --wait SECONDS wait for it"
    told = type(error)(error.message, hint=hint)
    told.passing = True
    return told


def inspect_server(client: redis.Redis) -> Server:
    """What the server is; raises ServerError where vecmigrate cannot work with it."""
    database = int(client.connection_pool.connection_kwargs.get("db") or 0)
    if database:
        raise ConfigError(f"RediSearch indexes database 0 only (expected database 0, found {database})")
    info: dict[str, Any] = client.info()
    if int(info.get("loading") or 0):
        loading = ServerError("this server is still loading its data")
        loading.passing = True
        raise loading
    # MODULE LIST says the same, and is a right more.
    modules = {str(item["name"]): item for item in info.get("modules", ())}
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
        replica = ReadOnlyServerError(
            f"this server is a replica of {info.get('master_host')}:{info.get('master_port')} "
            "(a server that takes writes)",
            hint="give the URL of the primary, or of its sentinels",
        )
        replica.passing = True  # a failover may be under way
        raise replica
    found = modules["search"]
    return Server(
        version=ServerVersion(
            redis=_version(str(info["redis_version"])),
            search=parse_module_version(int(found.get("ver", 0))),
        ),
        run_id=str(info["run_id"]),
    )


def _version(text: str) -> tuple[int, int, int]:
    numbers = [int(part) for part in text.split(".")[:3]]
    return (numbers[0], numbers[1], numbers[2])
