"""URLs: what is shown of them, and what is refused."""

from __future__ import annotations

import string
from urllib.parse import quote

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from vecmigrate.errors import ConfigError
from vecmigrate.runtime.connect import connect, redact

SECRETS = st.text(string.ascii_letters + string.digits + "/?#@:%&=[]!*- é", min_size=12, max_size=24)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://localhost:6379/0", "redis://localhost:6379/0"),
        ("redis://:s3cret@localhost:6379/0", "redis://:***@localhost:6379/0"),
        ("rediss://bob:s3cret@db.example/2", "rediss://bob:***@db.example/2"),
        ("unix://bob:s3cret@/run/redis.sock?db=1", "unix://bob:***@/run/redis.sock?db=1"),
        ("redis://h?db=1&password=s3cret&protocol=3", "redis://h?db=1&password=***&protocol=3"),
        ("rediss://h?ssl_password=s3cret", "rediss://h?ssl_password=***"),
        ("redis://bob@h", "redis://bob@h"),
        ("embedded:data", "embedded:data"),
        ("localhost:6379", "localhost:6379"),
        # Not readable, and still without the password.
        ("redis://:s3/cret@h:1", "redis://:***@h:1"),
        ("redis//:s3cret@h", "***@h"),
        ("bob:s3cret@h:6379", "***@h:6379"),
        ("redis://[::1:s3cret@h", "redis://[:***@h"),
    ],
)
def test_what_is_shown(url: str, shown: str):
    assert redact(url) == shown


@given(
    SECRETS,
    st.sampled_from(["redis://{}:{}@host:6379/0", "redis//{}:{}@host", "{}:{}@host", "http://{}:{}@host"]),
)
@example("a/b@c:d#e?f=g", "redis://{}:{}@host:6379/0")
def test_no_password_is_ever_shown_quoted_or_not(secret: str, form: str):
    for written in (secret, quote(secret, safe="")):
        # What a password shares with the rest of the URL tells nothing.
        assume(written not in "redis://bob:***@host:6379/0")
        assert written not in redact(form.format("bob", written))


@given(SECRETS)
@example("pa/ssword123")
@example("12/34@56:78")
def test_neither_does_a_refusal_show_it(secret: str):
    try:
        connect(f"redis://bob:{secret}@localhost:6379/0").close()
    except ConfigError as error:
        told = str(error)
        assert secret not in told
        # Nor its beginning, which is taken for a port where a slash follows.
        start = secret.partition("/")[0].partition("?")[0].partition("#")[0]
        assert len(start) < 6 or start not in told


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://localhost", "no Redis URL"),
        ("localhost:6379", "no Redis URL"),
        ("redis://h:port/0", "percent-encoded"),
        ("redis://[::1", "Invalid IPv6 URL"),
        ("redis://h?db=first", "'db'"),
        ("redis://h?databse=1", "a parameter that redis-py does not know: 'databse'"),
    ],
)
def test_what_is_refused(url: str, said: str):
    with pytest.raises(ConfigError) as caught:
        connect(url)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_replies_are_bytes_whatever_the_url_asks_for():
    with connect("redis://localhost?decode_responses=true&protocol=2") as client:
        settings = client.connection_pool.make_connection()
        assert settings.encoder.decode_responses is False
        assert settings.protocol == 2
