"""URLs: what is read from them, what is shown of them, and what is refused."""

from __future__ import annotations

import contextlib
import string
import traceback
from pathlib import Path
from urllib.parse import quote

import pytest
import redis
from hypothesis import assume, example, given
from hypothesis import strategies as st

from vecmigrate.errors import ConfigError
from vecmigrate.runtime import urls
from vecmigrate.runtime.connect import connect, inspect_server
from vecmigrate.runtime.urls import parse_url, secrets_of

SECRETS = st.text(string.ascii_letters + string.digits + "/?#@:%&=[]!*-,; é℀\uff1a", min_size=12, max_size=24)
FORMS = [
    "redis://bob:{}@localhost:6379/0",
    "redis://:{}@localhost:6379/0",
    "redis://{}@localhost:6379",
    "redis//bob:{}@localhost",
    "bob:{}@localhost",
    "http://bob:{}@localhost",
    "unix://bob:{}@/run/redis.sock",
    "unix:///run/redis.sock?password={}",
    "redis://localhost?password={}&protocol=3",
    "redis://localhost?username={}",
    "redis://localhost?pasword={}",
    "redis://localhost?{}=1",
    "rediss://localhost?ssl_password={}",
    "rediss://localhost?ssl_keyfile={}",
    "redis+sentinel://bob:{}@localhost:26379,other:26380/mymaster/0",
    "redis+sentinel://localhost/mymaster?sentinel_password={}",
    "redis+sentinel://localhost/mymaster?sentinel_username={}",
]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://localhost:6379/0", "redis://localhost:6379/0"),
        ("redis://localhost", "redis://localhost:6379/0"),
        ("redis://", "redis://localhost:6379/0"),
        ("redis://:7000", "redis://localhost:7000/0"),
        (" redis://h:1/ \n", "redis://h:1/0"),
        ("redis://[::1]:7000/0", "redis://[::1]:7000/0"),
        ("redis://:s3cret@localhost:6379/0", "redis://localhost:6379/0"),
        ("rediss://bob:s3cret@db.example/0", "rediss://db.example:6379/0"),
        ("redis://bob@h", "redis://h:6379/0"),
        ("unix://bob:s3cret@/run/redis.sock?db=0", "unix:///run/redis.sock"),
        ("unix:///run/my%20redis.sock", "unix:///run/my redis.sock"),
        ("redis://h?db=0&password=s3cret&protocol=3", "redis://h:6379/0"),
        ("rediss://h?ssl_password=s3cret", "rediss://h:6379/0"),
        # A password that redis-py would refuse, and that can be read all the same.
        ("redis://:x[s3cret]y@h", "redis://h:6379/0"),
        ("redis://:s3cret℀@h", "redis://h:6379/0"),
        ("redis://:s3@cret@h", "redis://h:6379/0"),
        ("redis+sentinel://bob:s3cret@a:1,b/main/0", "redis+sentinel://a:1,b:26379/main/0"),
        ("rediss+sentinel://a/main?sentinel_password=s3cret", "rediss+sentinel://a:26379/main/0"),
    ],
)
def test_what_is_shown(url: str, shown: str):
    address = parse_url(url)
    assert str(address) == shown
    assert "s3cret" not in repr(address)


def test_what_is_read():
    address = parse_url(
        "redis://b%6Fb:p%40ss%2Fw%3Ard@h:7/0?socket_timeout=2.5&client_name=x&socket_keepalive=yes"
    )
    assert (address.username, address.password) == ("bob", "p@ss/w:rd")
    assert (address.hosts, address.tls) == ((("h", 7),), False)
    assert address.options == {"socket_timeout": 2.5, "client_name": "x", "socket_keepalive": True}
    address = parse_url("redis://h?username=bob&password=p%20w")
    assert (address.username, address.password, address.options) == ("bob", "p w", {})
    address = parse_url("rediss+sentinel://u:p@a:1,[::2]:3/main?sentinel_username=su&sentinel_password=sp")
    assert (address.service, address.hosts) == ("main", (("a", 1), ("::2", 3)))
    assert (address.sentinel_username, address.sentinel_password) == ("su", "sp")
    assert (address.username, address.password, address.tls) == ("u", "p", True)


# A traceback shows lines of these files, and where they are.
OUR_WORDS = "\n".join(
    [
        *FORMS,
        f"{__file__} test_no_part_of_a_secret_is_in_any_message told = str(parse_url(form.format(written)))",
        *(f"{path}\n{Path(path).read_text()}" for path in (urls.__file__, contextlib.__file__)),
    ]
)


@given(SECRETS, st.sampled_from(FORMS))
@example("a/b@c:d#e?f=g", FORMS[0])
@example("pa/ssword123", FORMS[0])
@example("vecmig/00000", FORMS[0])
@example("12/34@56:789", FORMS[0])
@example("12345/67890@1", FORMS[1])
@example("6379/0?s3cret-word=1", FORMS[1])
@example("s3cret/0?db=7777777", FORMS[2])
@example("s3cret/77777777777", FORMS[1])
def test_no_part_of_a_secret_is_in_any_message(secret: str, form: str):
    for written in (secret, quote(secret, safe="")):
        try:
            told = str(parse_url(form.format(written)))
        except ConfigError as error:
            told = "".join(traceback.format_exception(error)) + str(error)
            assert error.__context__ is None
        # What a password shares with our own words tells nothing.
        pieces = [part for part in written.replace("%", "/").replace("#", "/").split("/") if len(part) > 5]
        assume(not any(part in OUR_WORDS for part in pieces))
        for part in (secret, written, *pieces):
            assert part not in told


@given(SECRETS, st.sampled_from(FORMS))
@example("é" * 12, FORMS[0])
def test_what_others_print_of_it_can_be_found(secret: str, form: str):
    url = form.format(quote(secret, safe=""))
    assert any(quote(secret, safe="") in part for part in secrets_of(url))


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://localhost", "no Redis URL (expected redis://"),
        ("localhost:6379", "no Redis URL"),
        ("REDIS//localhost", "no Redis URL"),
        ("redis://h:port/0", "its port is no port (expected a number from 1 to 65535); in user and password"),
        ("redis://h:0", "its port"),
        ("redis://h:65536", "its port"),
        ("redis://h:", "its port"),
        ("redis://:s3/cret@h:1", "an @ behind the host"),
        ("redis://:s3#cret@h:1", "a # in it"),
        ("redis://:s3?cret@h:1", "parameter 1 behind the ? is unknown"),
        ("redis://[::1", "its host is no host name"),
        ("redis://a..b", "its host is no host name"),
        (f"redis://{'a' * 64}", "its host is no host name"),
        ("redis://a b", "its host is no host name"),
        ("redis://h/first", "what stands behind host and port is no database"),
        ("redis://h?db=first", "the value of its parameter 'db' cannot be used (expected 0)"),
        ("redis://h?databse=1", "parameter 1 behind the ? is unknown (expected one of db, username"),
        ("redis://h?socket_timeout=0", "'socket_timeout' cannot be used (expected seconds)"),
        ("redis://h?protocol=4", "(expected 2 or 3)"),
        ("redis://h?ssl_keyfile=x", "need rediss://"),
        (
            "rediss://h?ssl_ca_certs=/no/such/file",
            "'ssl_ca_certs' cannot be used (expected a file that is there)",
        ),
        ("unix://run/redis.sock", "it names no socket"),
        ("unix://", "it names no socket"),
        ("redis+sentinel://h", "it names no service"),
        ("redis+sentinel://,h/main", "its host is no host name"),
        ("redis+sentinel://h/main/x", "it names no service"),
        ("redis://h?sentinel_password=x", "parameter 1"),
    ],
)
def test_what_is_refused(url: str, said: str):
    with pytest.raises(ConfigError) as caught:
        connect(url)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://h/5",
        "redis://h?db=5",
        "redis://h/0?db=5",
        "redis://h/5?db=0",
        "rediss://h/5",
        "unix:///run/redis.sock?db=5",
        "redis+sentinel://h/main/5",
        "redis+sentinel://h/main?db=5",
    ],
)
def test_another_database_is_refused(url: str):
    with pytest.raises(ConfigError) as caught:
        parse_url(url, "REDIS_URL")
    assert "RediSearch indexes database 0 only (expected database 0, found 5 in REDIS_URL)" in str(
        caught.value
    )


def test_a_client_of_another_database_is_refused_too(emptied_url: str):
    with redis.Redis.from_url(emptied_url.replace("/0", "/5")) as client:
        with pytest.raises(ConfigError, match="database 0 only"):
            inspect_server(client)
        assert client.info("keyspace") == {}


def test_replies_are_bytes_whatever_the_url_asks_for():
    with connect("redis://localhost?decode_responses=true&encoding=latin-1&protocol=2") as client:
        settings = client.connection_pool.make_connection()
        assert settings.encoder.decode_responses is False
        assert settings.encoder.encoding == "utf-8"
        assert settings.protocol == 2


def test_how_long_an_answer_is_waited_for():
    with connect("redis://localhost", answer_seconds=7) as client:
        assert client.connection_pool.connection_kwargs["socket_timeout"] == 7
    with connect("redis://localhost?socket_timeout=2", answer_seconds=7) as client:
        assert client.connection_pool.connection_kwargs["socket_timeout"] == 2
