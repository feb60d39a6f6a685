"""The fault suite itself: its proxy, its table, and that it finds what it is for."""

from __future__ import annotations

import contextlib

import pytest
import redis

from tests.reliability.__main__ import main
from tests.reliability.faults import FAULTS, EndedWrongError, Fault
from tests.reliability.proxy import Proxy, Then, command
from tests.reliability.report import BEGIN, END, Row, rewrite, table

# Without them redis-py sends commands of its own at the beginning, which would be counted.
pytestmark = pytest.mark.filterwarnings("ignore:Call to '__init__':DeprecationWarning")


@pytest.fixture
def port(emptied_url):
    with contextlib.closing(redis.Redis.from_url(emptied_url)) as client:
        if client.connection_pool.connection_kwargs.get("host") not in ("127.0.0.1", "localhost"):
            pytest.skip("the proxy talks to a server on this machine")
        return client.connection_pool.connection_kwargs["port"]


def client_of(proxy):
    return redis.Redis.from_url(proxy.url, protocol=2, lib_name=None, lib_version=None)


@pytest.mark.parametrize("cut", range(30))
def test_a_command_is_read_wherever_its_bytes_are_divided(cut):
    data = b"*2\r\n$4\r\nHGET\r\n$6\r\n\r\na\r\n*\r\n"
    assert command(data) == ([b"HGET", b"\r\na\r\n*"], len(data))
    assert cut >= len(data) or command(data[:cut]) is None


def test_the_nth_command_is_the_one_and_what_came_before_is_done(client, port):
    seen = []

    def act():
        seen.append(client.get("n"))
        return Then.CUT

    with Proxy(port, at=3, act=act) as proxy, contextlib.closing(client_of(proxy)) as through:
        pipe = through.pipeline(transaction=False)
        for number in range(5):
            pipe.set("n", number)
        with pytest.raises(redis.ConnectionError):
            pipe.execute()
    assert (seen, client.get("n")) == ([b"1"], b"1")
    assert proxy.commands == ["SET", "SET", "SET"]


def test_polls_count_once(port):
    with Proxy(port) as proxy, contextlib.closing(client_of(proxy)) as through:
        for name in ("a", "a", "a", "b", "a"):
            through.get(name)
    assert proxy.commands == ["GET"] * 3


def test_a_lost_reply_is_that_of_a_command_that_was_done(client, port):
    with (
        Proxy(port, at=1, act=lambda: Then.LOSE_REPLY) as proxy,
        contextlib.closing(client_of(proxy)) as through,
        pytest.raises(redis.ConnectionError),
    ):
        through.execute_command("INCR", "n")
    assert client.get("n") == b"1"


def test_the_table_replaces_the_one_before(tmp_path):
    document = tmp_path / "reliability.md"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    fault = Fault("family.name", "a | b", "promise", 1, 1, lambda world: None)
    rows = [Row(fault, right=2, wrong=[(7, "why")])]
    for _ in range(2):
        rewrite(document, rows, "Redis 8")
    text = document.read_text()
    assert "| a \\| b | promise | 3 | 2 | 1 (seed 7) |" in text
    assert (text.count("| promise |"), "old" in text) == (2, False)
    assert (text.splitlines()[0], text.splitlines()[-1]) == ("before", "after")
    document.write_text("no markers")
    with pytest.raises(ValueError, match="no place for the table"):
        rewrite(document, rows, "Redis 8")


def test_a_fault_that_never_came_about_is_no_success():
    fault = Fault("family.name", "fault", "promise", 1, 1, lambda world: None)
    assert not Row(fault, missed=3).ok
    assert Row(fault, right=1, missed=1).ok
    assert "it never came about" in table([Row(fault, missed=3)])


@pytest.mark.embedded
@pytest.mark.parametrize("name", ["runner_kills.create", "server_kills.restarted", "network.reply_lost"])
def test_a_fault_is_brought_about_and_ends_right(name, capsys):
    assert main([name, "--count", "1"]) == 0
    assert name in FAULTS
    assert "| 1 | 1 | 0 |" in capsys.readouterr().out


@pytest.mark.embedded
def test_what_ends_wrong_is_told_with_its_seed(monkeypatch, capsys):
    def scenario(world):
        if world.seed == 6:
            raise EndedWrongError("two lines\nof what was seen")

    monkeypatch.setitem(FAULTS, "family.name", Fault("family.name", "fault", "promise", 3, 3, scenario))
    assert main(["family", "--seed", "5"]) == 1
    output = capsys.readouterr().out
    assert "| fault | promise | 3 | 2 | 1 (seed 6) |" in output
    assert "family.name --seed 6 --count 1\n  two lines of what was seen" in output


def test_an_unknown_name_is_told(capsys):
    assert main(["no_such_family"]) == 2
    assert "no_such_family" in capsys.readouterr().err
