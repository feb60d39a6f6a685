"""A password is never printed and never written, whatever goes right or wrong."""

from __future__ import annotations

import contextlib
import itertools
import socket
import subprocess
import threading
import time

import pytest
import redis

from tests.project import everything
from vecmigrate.embedded import find_binaries

SECRET = "s3cret-Passw0rd"
COMMANDS = [
    ["status"],
    ["status", "--format", "json"],
    ["upgrade", "--dry-run"],
    ["upgrade"],
    ["upgrade", "--format", "json"],
    ["current", "-v"],
    ["current", "--format", "json"],
    ["history", "-i", "-v"],
    ["show", "current"],
    ["rejects"],
    ["rejects", "--format", "json"],
    ["unlock"],
    ["downgrade", "-1"],
    ["stamp", "head", "--format", "json"],
    ["downgrade", "base"],
]


@pytest.fixture(params=["requirepass", "user"])
def guarded(request, own_server, project):
    """A server that wants a password; its URL with {} for it, and a client that has it."""
    server = own_server()
    user = "" if request.param == "requirepass" else "bob"
    with redis.Redis.from_url(server.url) as client:
        if user:
            client.execute_command("ACL", "SETUSER", user, "on", f">{SECRET}", "~*", "&*", "+@all")
            client.execute_command("ACL", "SETUSER", "default", "resetpass", "off")
        else:
            client.config_set("requirepass", SECRET)
    form = f"redis://{user}:{{}}@127.0.0.1:{server.port}/0"
    with contextlib.closing(redis.Redis.from_url(form.format(SECRET))) as client:
        yield form, client


@pytest.fixture
def filled(project, guarded):
    """Migrations with a backfill that sets aside, and a step that fails once."""
    _, client = guarded
    client.hset("cats", mapping={"tom": "[1, 0]", "bad": "[1"})
    top = """
    def once(client, progress, cursor):
        if not client.set("tried", 1, nx=True):
            return
        raise RuntimeError(f"failed on {client.connection_pool.connection_kwargs['host']}")
    """
    project.script("a1", "create(op)")
    project.script(
        "b1",
        "op.backfill_legacy_hash('cat', embeddings_key='cats', metadata_key='m')\nop.run(once, undo=once)",
        down="a1",
        top=top,
    )
    return project


@pytest.mark.parametrize("place", ["option", "environment", "configuration"])
def test_no_output_and_no_entry_of_the_ledger_holds_it(filled, guarded, monkeypatch, place):
    form, client = guarded
    url = form.format(SECRET)
    before: list[str] = []
    if place == "option":
        before = ["--redis", url]
    elif place == "environment":
        monkeypatch.setenv("VECMIGRATE_REDIS_URL", url)
    else:
        monkeypatch.delenv("REDIS_URL")
        filled.configure(f'redis = "{url}"\n')
    codes = []
    for options, words in itertools.product([["-vv", "--debug"], ["-q"], []], COMMANDS):
        ran = filled(*before, *options, *words)
        codes.append(ran.code)
        assert SECRET not in ran.out, words
        assert SECRET not in ran.err, words
        assert ran.code in (0, 6), (words, ran.err)
    assert codes.count(6) >= 1  # the step that fails once did
    assert SECRET not in everything(client)
    assert "cats" in everything(client, "vecmigrate:*") or client.exists("vecmigrate:{default}:log")


@pytest.mark.parametrize("words", [["status"], ["upgrade"], ["current", "--format", "json"]])
def test_a_wrong_password_is_told_in_one_line_without_it(filled, guarded, words):
    form, client = guarded
    ran = filled("--redis", form.format("wr0ng-Password"), *words)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.count("\n") == 1
    assert "wr0ng" not in ran.err
    assert "refuses us" in ran.err
    assert "put user and password into the URL" in ran.err
    assert client.exists("vecmigrate:{default}:fence") == 0


@pytest.mark.parametrize("protocol", [2, 3])
def test_no_password_is_told_in_one_line(filled, guarded, protocol):
    form, _ = guarded
    ran = filled("--redis", f"redis://{form.rpartition('@')[2]}?protocol={protocol}", "upgrade")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.count("\n") == 1
    assert "wants a password" in ran.err
    assert "Traceback" not in ran.err


def test_a_password_where_none_is_wanted_is_told_too(project, own_server):
    ran = project("--redis", f"redis://:{SECRET}@127.0.0.1:{own_server().port}?protocol=2", "status")
    assert (ran.code, ran.out) == (1, "")
    assert "knows no password" in ran.err
    assert SECRET not in ran.err


@pytest.mark.parametrize("password", ["s3cret/Passw0rd", "s3cret#Passw0rd", "s3cret?Passw0rd"])
def test_a_password_that_breaks_the_url_is_not_shown_for_it(project, password):
    for options in ([], ["--debug"], ["-vv"]):
        ran = project("--redis", f"redis://:{password}@127.0.0.1:6379/0", *options, "status")
        assert ran.code == 2
        assert "percent-encoded" in ran.last
        assert "Passw0rd" not in ran.out + ran.err
        assert "s3cret" not in ran.out + ran.err


def test_a_user_who_may_not_do_all_that_is_needed(filled, own_server):
    server = own_server()
    with redis.Redis.from_url(server.url) as client:
        client.execute_command("ACL", "SETUSER", "eve", "on", f">{SECRET}", "~*", "+@read", "+info", "+hello")
    ran = filled("--redis", f"redis://eve:{SECRET}@127.0.0.1:{server.port}/0", "upgrade")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.count("\n") == 1
    assert "this Redis user lacks rights that upgrade needs: " in ran.err
    for right in ("+evalsha", "+hset", "+ft.create", "+multi"):
        assert right in ran.err
    assert SECRET not in ran.err


BROKEN = [
    "redis://:{s}@127.0.0.1:1/0",
    "redis://{s}@127.0.0.1:1/0",
    "redis://:x@{s}/9@127.0.0.1:1/0",
    "redis://:{s}/9@127.0.0.1:1/0",
    "redis://:12345/{s}@127.0.0.1:1/0",
    "redis://:x[{s}]y@127.0.0.1:1/0",
    "redis://:[{s}@127.0.0.1:1/0",
    "redis://:{s}\u2100@127.0.0.1:1/0",
    "redis://user:pa\uff1a{s}@127.0.0.1:1/0",
    "redis://:x#{s}@127.0.0.1:1/0",
    "redis://:x?{s}=1@127.0.0.1:1/0",
    "redis://:x?db={s}@127.0.0.1:1/0",
    "redis://:{s} @127.0.0.1:1/0",
    "redis://:{s}%zz@127.0.0.1:1/0",
    "redis://127.0.0.1:1/0?password={s}&username=u",
    "redis://127.0.0.1:1/0?username={s}",
    "redis://127.0.0.1:1/0?pasword={s}",
    "redis://127.0.0.1:1/0?socket_timeout={s}",
    "redis://127.0.0.1:1/{s}",
    "redis://127.0.0.1:{s}/0",
    "rediss://127.0.0.1:1/0?ssl_keyfile={s}",
    "rediss://127.0.0.1:1/0?ssl_password={s}",
    "unix:///no/such.sock?password={s}",
    "unix://u:{s}@/no/such.sock",
    "unix://u:{s}/no/such.sock",
    "redis+sentinel://u:{s}@127.0.0.1:1/main",
    "redis+sentinel://127.0.0.1:1/main?sentinel_password={s}",
    "redis+sentinel://u:x/{s}@127.0.0.1:1/main",
    "embedded://u:{s}@127.0.0.1:1/0",
    "http://u:{s}@127.0.0.1:1/0",
    "redis//u:{s}@127.0.0.1:1/0",
    "u:{s}@127.0.0.1:1",
]
OUTPUTS = [[], ["--debug"], ["-vv", "--debug"]]


@pytest.mark.parametrize("url", BROKEN)
def test_no_url_that_leads_nowhere_is_repeated(project, monkeypatch, url):
    """Wherever the URL comes from, and whatever is wrong with it."""
    url = url.format(s=SECRET)
    monkeypatch.delenv("REDIS_URL")
    for place, options in itertools.product(("option", "word", "environment", "configuration"), OUTPUTS):
        before: list[str] = []
        monkeypatch.delenv("VECMIGRATE_REDIS_URL", raising=False)
        project.configure("")
        if place in ("option", "word"):
            before = ["--redis", url] if place == "option" else [f"--redis={url}"]
        elif place == "environment":
            monkeypatch.setenv("VECMIGRATE_REDIS_URL", url)
        else:
            project.configure(f"redis = '{url}'\n")
        for words in (["status"], ["status", "--format", "json"]):
            ran = project(*before, *options, *words)
            assert ran.code in (1, 2), ran
            for part in (SECRET, *SECRET.split("-")):
                assert part not in ran.out + ran.err, (place, options, ran.err)
            if not options:
                assert ran.err.count("\n") == 1, ran.err
            assert "not foreseen" not in ran.err


@pytest.mark.parametrize(
    "words",
    [
        ["{}"],
        ["{}", "upgrade"],
        ["status", "{}"],
        ["upgrade", "head", "{}"],
        ["upgrade", "--wait", "{}"],
        ["upgrade", "--redis", "{}"],
        ["upgrade", "--redis={}"],
        ["--redis-url={}", "upgrade"],
        ["-x", "{}", "upgrade"],
        ["-x", "=" + SECRET, "upgrade"],
        ["-x", SECRET, "upgrade"],
        ["-x", "nobody_asks=" + SECRET, "upgrade"],
    ],
)
def test_no_word_in_a_wrong_place_is_repeated(project, words):
    url = f"redis://bob:{SECRET}@127.0.0.1:1/0"
    for options in ([], ["--debug"]):
        ran = project(*options, *(word.format(url) for word in words))
        assert ran.code != 0
        assert SECRET not in ran.out + ran.err


@contextlib.contextmanager
def answering(*answers: bytes):
    """A server that says these words, one to each request, and then no more."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    accepted, _ = listener.accept()
                    with accepted:
                        for answer in answers:
                            accepted.recv(1 << 16)
                            accepted.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            b"-ERR unknown command 'HELLO', with args beginning with: '3' 'AUTH' 'bob' '%s' \r\n",
            "?protocol=2",
        ),
        (b"-ERR unknown command `AUTH`, with args beginning with: `%s`, \r\n", "unknown command `AUTH`"),
        (b"-ERR no such thing for User bob has %.0s\r\n", "no such thing"),
        (b"HTTP/1.1 400 Bad Request %s\r\n\r\n", "is no Redis (expected the Redis protocol)"),
        (b"-WRONGPASS no %s\r\n", "user or password is wrong"),
        (b"-LOADING Redis is loading the dataset in memory%.0s\r\n", "still loading its data"),
        (b"-BUSY Redis is busy running a script.%.0s\r\n", "busy with a script"),
        (b"-MASTERDOWN Link with MASTER is down%.0s\r\n", "is a replica, or became one"),
        (b"-CLUSTERDOWN Hash slot not served%.0s\r\n", "Hash slot not served"),
        (b"-MOVED 3999 127.0.0.1:1%.0s\r\n", "says: "),
        (b"-ERR max number of clients reached%.0s\r\n", "takes no more connections"),
        (b"-NOREPLICAS Not enough good replicas to write.%.0s\r\n", "too few replicas"),
        (b"-MISCONF Redis is configured to save RDB%.0s\r\n", "cannot save"),
        (b"-OOM command not allowed when used memory > 'maxmemory'.%.0s\r\n", "maxmemory"),
        (
            b"-NOPERM User bob has no permissions to run the 'info' command%.0s\r\n",
            "this user has no permissions",
        ),
        (b"-TRYAGAIN Multiple keys%.0s\r\n", "says: "),
        (b"-NOSCRIPT No matching script%.0s\r\n", "says: "),
        (b"-EXECABORT Transaction discarded%.0s\r\n", "says: "),
        (b"-NOPROTO unsupported protocol version%.0s\r\n", "does not speak RESP3"),
        (b"%.0s", "the connection was closed"),
    ],
)
def test_what_a_server_says_is_told_in_one_line_without_what_it_quotes(project, answer, said):
    with answering(answer % SECRET.encode()) as port:
        for options, protocol in itertools.product(OUTPUTS, (2, 3)):
            url = f"redis://bob:{SECRET}@127.0.0.1:{port}/0?protocol={protocol}"
            ran = project("--redis", url, *options, "status")
            assert ran.code == 1
            assert SECRET not in ran.out + ran.err
            if not options:
                assert "bob" not in ran.err
                assert ran.err.count("\n") == 1
                assert said in ran.err
                assert "not foreseen" not in ran.err


@pytest.mark.embedded
def test_a_server_that_quotes_the_greeting(project, tmp_path):
    """One where HELLO and AUTH were renamed says what they were sent with."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    binary = str(find_binaries().server)
    renamed = ["--rename-command", "HELLO", "", "--rename-command", "AUTH", ""]
    words = [
        binary,
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--dir",
        str(tmp_path),
        *renamed,
    ]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as server:
        try:
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                time.sleep(0.02)
            for options, protocol in itertools.product(OUTPUTS, (2, 3)):
                ran = project(
                    "--redis",
                    f"redis://bob:{SECRET}@127.0.0.1:{port}?protocol={protocol}",
                    *options,
                    "status",
                )
                assert ran.code == 1
                assert SECRET not in ran.out + ran.err
        finally:
            server.terminate()
