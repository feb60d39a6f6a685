"""Redis URLs, taken apart.

A URL may hold passwords, and one that cannot be read may hold one anywhere: what looks like a port, a path
or a parameter may be half of it. So messages are made from the parts that were understood (host, port,
database), and where a URL is not understood no part of it is shown.

    redis://[[user]:password@]host[:port][/0][?parameter=value&…]
    rediss://…                                      the same over TLS
    unix://[[user]:password@]/path/of/socket[?…]
    redis+sentinel://[[user]:password@]host[:port][,host2[:port2]…]/service[/0][?…]
    rediss+sentinel://…                             the same over TLS, the sentinels included

User and password are those of the Redis servers; `sentinel_username` and `sentinel_password` are parameters.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NoReturn
from urllib.parse import unquote, unquote_plus

from vecmigrate.errors import ConfigError

REDIS_PORT = 6379
SENTINEL_PORT = 26379
FORMS = "redis://, rediss://, unix://, redis+sentinel://, rediss+sentinel:// or embedded:[DIR]"
_ENCODE = "in user and password, write / ? # @ : percent-encoded"
_DATABASE = "RediSearch indexes database 0 only"
# Shorter ones would be found in any text.
_SHORTEST_SECRET = 3

_SCHEME = re.compile(r"(?P<scheme>rediss?|unix|rediss?\+sentinel)://(?P<rest>.*)", re.DOTALL)
_HOST = re.compile(
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]+(?:%[\w.\-]+)?)\]|(?P<name>[\w.\-]*))(?::(?P<port>.*))?", re.DOTALL
)
_SERVICE = re.compile(r"/(?P<service>[\w.\-]+)(?:/(?P<database>[0-9]{0,9})/?)?")
_DATABASE_PATH = re.compile(r"/?(?P<database>[0-9]{0,9})/?")

Kind = Literal["tcp", "unix", "sentinel"]


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is and how to log in there; as text, without what nobody is to see.

    `hosts` are one host, or several sentinels; `options` are keyword arguments of redis-py's connections.
    """

    kind: Kind
    tls: bool = False
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    service: str = ""
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    sentinel_username: str | None = field(default=None, repr=False)
    sentinel_password: str | None = field(default=None, repr=False)
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        if self.kind == "unix":
            return f"unix://{self.path}"
        scheme = f"redis{'s' if self.tls else ''}{'+sentinel' if self.kind == 'sentinel' else ''}"
        hosts = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)
        return f"{scheme}://{hosts}{'/' + self.service if self.service else ''}/0"

    def secrets(self) -> tuple[str, ...]:
        """What is never to be shown; a user's name may be a password without its colon."""
        found = (
            self.password or self.username,
            self.sentinel_password or self.sentinel_username,
            self.options.get("ssl_password"),
        )
        return tuple(text for text in found if text)


def _boolean(text: str) -> bool:
    known = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    return known[text.lower()]


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise ValueError
    return value


def _whole(text: str) -> int:
    value = int(text)
    if value < 0:
        raise ValueError
    return value


def _protocol(text: str) -> int:
    return {"2": 2, "3": 3}[text]


def _file(text: str) -> str:
    if not Path(text).exists():
        raise ValueError
    return text


def _requirement(text: str) -> str:
    if text not in ("none", "optional", "required"):
        raise ValueError
    return text


Parser = Callable[[str], Any]
# Parameter: how its value is read, and what is expected where it cannot be.
_PARAMETERS: dict[str, tuple[Parser, str]] = {
    "db": (_whole, "0"),
    "username": (str, "a name"),
    "password": (str, "a password"),
    "protocol": (_protocol, "2 or 3"),
    "client_name": (str, "a name"),
    "socket_timeout": (_seconds, "seconds"),
    "socket_connect_timeout": (_seconds, "seconds"),
    "socket_keepalive": (_boolean, "true or false"),
    "health_check_interval": (_whole, "seconds, a whole number"),
    "max_connections": (_whole, "a whole number"),
}
_TLS_PARAMETERS: dict[str, tuple[Parser, str]] = {
    "ssl_keyfile": (_file, "a file that is there"),
    "ssl_certfile": (_file, "a file that is there"),
    "ssl_ca_certs": (_file, "a file that is there"),
    "ssl_ca_path": (_file, "a folder that is there"),
    "ssl_cert_reqs": (_requirement, "none, optional or required"),
    "ssl_check_hostname": (_boolean, "true or false"),
    "ssl_password": (str, "a password"),
}
_SENTINEL_PARAMETERS: dict[str, tuple[Parser, str]] = {
    "sentinel_username": (str, "a name"),
    "sentinel_password": (str, "a password"),
}
# What redis-py takes and we do without: replies are bytes, commands UTF-8, and nothing is retried.
_IGNORED = (
    "decode_responses",
    "encoding",
    "encoding_errors",
    "retry_on_timeout",
    "retry_on_error",
    "timeout",
)


def parse_url(text: str, source: str = "the URL") -> Address:
    """Read a Redis URL; `source` says in messages where it comes from.

    Raises:
        ConfigError: It cannot be read, or asks for another database than 0. No part of the URL is in the
            message but the number of the database.
    """
    try:
        return _Reader(source).read(text.strip())
    except _UnreadableError as error:
        told = ConfigError(error.message, hint=error.hint)
    # Outside of the block: a traceback would show what could not be read along with it.
    raise told


def secrets_of(text: str) -> tuple[str, ...]:
    """What of a URL is not to be shown: its passwords, as they were written and as they are meant.

    For what others print, such as a traceback: our own messages are made without them to begin with. Where
    a URL has no password, a user's name may be one without its colon; and a URL that has either, or cannot
    be read, is not to be shown as a whole.
    """
    try:
        address = parse_url(text)
    except ConfigError:
        return (text,)
    found = list(address.secrets())
    who = text.partition("://")[2].rpartition("@")[0]
    found += [who.partition(":")[2] or who, *re.findall(r"password=([^&]*)", text.partition("?")[2])]
    if who or any(found):
        found.append(text.strip())
    return tuple(part for part in found if len(part) >= _SHORTEST_SECRET)


class _UnreadableError(Exception):
    """Why a URL cannot be read."""

    def __init__(self, message: str, hint: str | None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class _Reader:
    """Reads one URL; everything that it refuses is refused without the text."""

    def __init__(self, source: str) -> None:
        self._source = source

    def read(self, text: str) -> Address:
        found = _SCHEME.fullmatch(text)
        if found is None:
            raise _UnreadableError(f"{self._source} is no Redis URL (expected {FORMS})", _ENCODE)
        scheme, rest = found["scheme"], found["rest"]
        if "#" in rest:
            self._refuse("there is a # in it", "none", _ENCODE)
        main, mark, query = rest.partition("?")
        slash = main.find("/")
        authority, path = (main, "") if slash < 0 else (main[:slash], main[slash:])
        who, at, hosts = authority.rpartition("@")
        if "@" in path:
            self._refuse("there is an @ behind the host", "one between password and host", _ENCODE)
        kind: Kind = "unix" if scheme == "unix" else "sentinel" if scheme.endswith("+sentinel") else "tcp"
        tls = scheme.startswith("rediss")
        # Everything is looked at before anything is said of the database: it may be half a password too.
        options, given = self._parameters(query if mark else "", kind, tls=tls)
        database, place = self._path(kind, path, hosts)
        addresses = () if kind == "unix" else self._hosts(kind, hosts)
        self._require_database(database, given.get("db", 0))
        username, colon, password = who.partition(":")
        return Address(
            kind=kind,
            tls=tls,
            hosts=addresses,
            path=place if kind == "unix" else "",
            service=place if kind == "sentinel" else "",
            username=(unquote(username) if at else None) or given.get("username"),
            password=(unquote(password) if colon else None) or given.get("password"),
            sentinel_username=given.get("sentinel_username"),
            sentinel_password=given.get("sentinel_password"),
            options=options,
        )

    def _path(self, kind: Kind, path: str, hosts: str) -> tuple[int, str]:
        """The database, and the socket or the service."""
        if kind == "unix":
            if hosts or len(path) < 2:
                self._refuse("it names no socket", "unix:///path/of/socket", _ENCODE)
            return 0, unquote(path)
        found = (_SERVICE if kind == "sentinel" else _DATABASE_PATH).fullmatch(path)
        if found is None and kind == "sentinel":
            self._refuse("it names no service", "/service or /service/0 behind the sentinels", _ENCODE)
        if found is None:
            self._refuse("what stands behind host and port is no database", "/0, or nothing", _ENCODE)
        return int(found["database"] or 0), found["service"] if kind == "sentinel" else ""

    def _hosts(self, kind: Kind, text: str) -> tuple[tuple[str, int], ...]:
        if kind == "tcp":
            return (self._host(text, REDIS_PORT),)
        return tuple(self._host(part, SENTINEL_PORT, required=True) for part in text.split(","))

    def _host(self, text: str, port: int, *, required: bool = False) -> tuple[str, int]:
        found = _HOST.fullmatch(text)
        name = "" if found is None else found["v6"] or found["name"]
        if found is None or not _resolvable(name) or (required and not name):
            self._refuse(
                "its host is no host name", "a name, an IPv4 address, or an IPv6 address in [ ]", _ENCODE
            )
        digits = found["port"]
        if digits is None:
            return name or "localhost", port
        number = int(digits) if re.fullmatch("[0-9]{1,5}", digits) else 0
        if not 1 <= number <= 65535:
            self._refuse("its port is no port", "a number from 1 to 65535", _ENCODE)
        return name or "localhost", number

    def _parameters(self, query: str, kind: Kind, *, tls: bool) -> tuple[dict[str, Any], dict[str, Any]]:
        """What goes to the connection, and what is for us: the database and the names."""
        known = {**_PARAMETERS, **(_TLS_PARAMETERS if tls else {})}
        known |= _SENTINEL_PARAMETERS if kind == "sentinel" else {}
        found: dict[str, Any] = {}
        for number, part in enumerate(query.split("&") if query else [], 1):
            name, equals, value = part.partition("=")
            name = unquote_plus(name)
            if equals and name in _IGNORED:
                continue
            if not equals or name not in known:
                hint = "those that begin with ssl_ need rediss://" if name in _TLS_PARAMETERS else _ENCODE
                self._refuse(
                    f"parameter {number} behind the ? is unknown", f"one of {', '.join(known)}", hint
                )
            parse, expected = known[name]
            text = unquote_plus(value)
            if not text:
                continue
            try:
                found.setdefault(name, parse(text))
            except (ValueError, KeyError):
                found = {}
            if name not in found:
                self._refuse(f"the value of its parameter {name!r} cannot be used", expected, _ENCODE)
        ours = ("db", "username", "password", *_SENTINEL_PARAMETERS)
        given = {name: found.pop(name) for name in ours if name in found}
        return found, given

    def _require_database(self, *numbers: int) -> None:
        for number in numbers:
            if number != 0:
                raise _UnreadableError(
                    f"{_DATABASE} (expected database 0, found {number} in {self._source})",
                    "a project of its own has its own `namespace`, or its own server",
                )

    def _refuse(self, what: str, expected: str, hint: str) -> NoReturn:
        raise _UnreadableError(f"{self._source} is no Redis URL: {what} (expected {expected})", hint)


def _resolvable(name: str) -> bool:
    """Whether the system can be asked for `name`: Python raises for labels that are empty or too long."""
    try:
        name.encode("idna")
    except UnicodeError:
        return False
    return True
