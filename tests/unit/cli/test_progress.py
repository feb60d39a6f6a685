from __future__ import annotations

import io
import json

import pytest

from vecmigrate.cli.progress import JsonLines, Pace, PlainLines, duration, progress_for


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_rate_counts_from_the_first_report_not_from_zero():
    clock = Clock()
    pace = Pace("x", 1000, clock)
    assert pace.rate is None
    pace.advance(400)
    clock.now += 2
    pace.advance(600)
    assert pace.rate == 100
    assert pace.seconds_left == 4


def test_the_rate_is_that_of_the_last_seconds():
    clock = Clock()
    pace = Pace("x", 10_000, clock)
    for second in range(100):
        clock.now += 1
        pace.advance(100 * second if second < 50 else 5000 + 10 * (second - 50))
    assert pace.rate == pytest.approx(10, rel=0.01)


def test_there_is_no_rate_where_nothing_moves():
    clock = Clock()
    pace = Pace("x", 10, clock)
    pace.advance(5)
    clock.now += 1
    pace.advance(5)
    assert pace.rate is None
    assert pace.seconds_left is None


def test_plain_lines_come_at_most_every_two_seconds():
    clock, output = Clock(), io.StringIO()
    lines = PlainLines(output, clock)
    lines.start("copy", 1000)
    for done in range(0, 1001, 100):
        lines.advance(done, written=done, rejected=done // 500)
        clock.now += 0.5
    lines.message("hello")
    lines.finish("1,000 written")
    assert output.getvalue().splitlines() == [
        "copy: 1,000 items",
        "copy: 40% of 1,000, 200/s, 3.0 s left, 400 written",
        "copy: 80% of 1,000, 200/s, 1.0 s left, 800 written, 1 rejected",
        "hello",
        "copy: 1,000 written",
    ]


def test_without_a_total_there_is_no_end_in_sight():
    clock, output = Clock(), io.StringIO()
    lines = PlainLines(output, clock)
    lines.start("scan", None)
    lines.advance(0)
    clock.now += 10
    lines.advance(50)
    assert output.getvalue().splitlines() == ["scan", "scan: 50, 5/s"]


def test_a_share_is_told_as_one_and_not_as_items():
    clock, output = Clock(), io.StringIO()
    lines = PlainLines(output, clock)
    lines.start("indexing", 100, "%")
    lines.advance(20, documents=200)
    clock.now += 4
    lines.advance(60, documents=600)
    lines.finish("1,000 documents indexed")
    assert output.getvalue().splitlines() == [
        "indexing",
        "indexing: 60%, 4.0 s left, 600 documents",
        "indexing: 1,000 documents indexed",
    ]


def test_json_lines():
    clock, output = Clock(), io.StringIO()
    lines = JsonLines(output, clock)
    lines.start("copy", 10)
    lines.advance(1, written=1)
    lines.advance(2, written=2)
    clock.now += 1
    lines.advance(6, written=6)
    lines.message("größer")
    lines.finish("all")
    events = [json.loads(line) for line in output.getvalue().splitlines()]
    assert [event["event"] for event in events] == ["start", "progress", "progress", "message", "finish"]
    assert all("at" in event for event in events)
    assert (events[2]["done"], events[2]["rate"], events[2]["seconds_left"]) == (6, 5.0, 0.8)
    assert (events[4]["done"], events[4]["counts"], events[4]["summary"]) == (6, {"written": 6}, "all")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("options", "output", "expected"),
    [
        ({"quiet": True, "json_lines": False}, Terminal(), ""),
        ({"quiet": True, "json_lines": True}, io.StringIO(), ""),
        ({"quiet": False, "json_lines": False}, io.StringIO(), "copy: 3 items\nnote\ncopy: done\n"),
    ],
)
def test_which_way_is_chosen(options, output, expected):
    with progress_for(**options, stream=output) as progress:
        progress.start("copy", 3)
        progress.message("note")
        progress.finish("done")
    assert output.getvalue() == expected


def test_a_terminal_gets_a_bar_that_goes_away():
    output = Terminal()
    with progress_for(quiet=False, json_lines=False, stream=output) as progress:
        progress.start("copy [bold]x", 200)
        progress.advance(50, written=48, rejected=2)
        progress.message("a note with [brackets]")
        progress.finish("200 written")
    text = output.getvalue()
    assert "25% of 200" in text
    assert "2 rejected" in text
    assert "48" not in text
    assert "a note with [brackets]" in text
    assert "copy [bold]x: 200 written" in text


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.04, "40 ms"),
        (0.9999, "1.0 s"),
        (1.44, "1.4 s"),
        (9.97, "10 s"),
        (59.4, "59 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
    ],
)
def test_durations(seconds, expected):
    assert duration(seconds) == expected
