"""Code of the user's may raise and return anything: it ends as one error that names file and line."""

from __future__ import annotations

import asyncio
import functools
import signal
import warnings

import pytest

from vecmigrate import interruption
from vecmigrate.errors import OperationError
from vecmigrate.interruption import Interrupted
from vecmigrate.revisions.user_code import (
    UserCodeFault,
    asynchronous,
    call_user_code,
    check_unfinished,
    clean_error,
    unfinished,
    what_happened,
)


class OwnInterrupt(KeyboardInterrupt):
    """What a user may derive."""


async def coroutine(*_):
    return 1


async def async_generator(*_):
    yield 1


def generator(*_):
    yield 1


class Callable:
    async def __call__(self, *_):
        return 1


@pytest.mark.parametrize(
    "error",
    [
        SystemExit(0),
        SystemExit(),
        GeneratorExit(),
        asyncio.CancelledError(),
        OwnInterrupt(),
        Interrupted(signal.SIGTERM),  # raised by nobody but a signal
        BaseExceptionGroup("several", [SystemExit(0)]),
        StopIteration(),
        ValueError("x"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_it_raises_is_a_fault(error):
    def function():
        raise error

    with pytest.raises(UserCodeFault) as caught:
        call_user_code(function)
    assert caught.value.error is error


def test_ctrl_c_is_none_where_python_makes_it(monkeypatch):
    def function():
        raise KeyboardInterrupt

    monkeypatch.setattr(signal, "getsignal", lambda _number: signal.default_int_handler)
    with pytest.raises(KeyboardInterrupt):
        call_user_code(function)
    # Where Ctrl-C would not raise it, the user did.
    monkeypatch.setattr(signal, "getsignal", lambda _number: signal.SIG_IGN)
    with pytest.raises(UserCodeFault):
        call_user_code(function)


def test_a_signal_passes_also_where_it_was_swallowed():
    def swallows():
        try:
            interruption.ask(signal.SIGTERM)
        except BaseException:
            return

    def hides():
        try:
            interruption.ask(signal.SIGTERM)
        except BaseException as error:
            raise RuntimeError from error

    for function in (swallows, hides, lambda: interruption.ask(signal.SIGTERM)):
        try:
            with pytest.raises(Interrupted) as caught:
                call_user_code(function)
            assert (caught.value.number, caught.value.exit_code) == (signal.SIGTERM, 143)
            with pytest.raises(Interrupted):  # as long as user code runs, it is raised again
                call_user_code(lambda: interruption.ask(signal.SIGTERM))
            interruption.ask(signal.SIGTERM)  # but not in what cleans up
        finally:
            interruption.forget()


def test_under_a_shield_a_signal_waits():
    came = []
    try:
        with pytest.raises(Interrupted), interruption.shielded():  # noqa: PT012 - the block is the point
            interruption.ask(signal.SIGINT)
            came.append(1)
        with interruption.shielded():  # raised once
            came.append(2)
    finally:
        interruption.forget()
    assert came == [1, 2]


@pytest.mark.parametrize(
    "make",
    [
        coroutine,
        async_generator,
        generator,
        functools.partial(coroutine),
        lambda: [coroutine(), coroutine()],
        lambda: {"a": coroutine()},
        lambda: map(str, [1]),
        lambda: functools.partial(generator),
        lambda: generator,
        Callable(),
    ],
)
def test_unfinished_work_is_refused_and_closed(make):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserCodeFault, match="so its work was not done") as caught:
            call_user_code(make)
    assert isinstance(caught.value.error, OperationError)
    assert "plain function" in str(caught.value.error.hint)


@pytest.mark.parametrize("value", [None, 0, "text", [1, 2], {"a": 1}, range(3), b"x", object()])
def test_values_are_values(value):
    assert unfinished(value) is None
    check_unfinished(len, value)
    assert call_user_code(lambda: value) is value


@pytest.mark.parametrize(
    "function",
    [coroutine, async_generator, generator, Callable(), Callable().__call__, functools.partial(generator, 1)],
)
def test_functions_that_do_nothing_when_called_are_known(function):
    assert asynchronous(function)


def test_a_plain_wrapper_of_an_async_function_is_plain():
    @functools.wraps(coroutine)
    def wrapper(*_):
        return asyncio.run(coroutine())

    assert asynchronous(wrapper) is None
    assert call_user_code(wrapper) == 1


def test_an_error_without_a_text_is_told_by_its_name():
    class Mute(Exception):  # noqa: N818 - it is mute
        def __str__(self):
            raise RuntimeError

    assert what_happened(Mute()) == "Mute"
    assert what_happened(ValueError("two\nlines")) == "ValueError: two lines"


@pytest.mark.parametrize(
    ("said", "clean"),
    [
        ("unknown command 'X', with args beginning with: 'hunter2' 'b' ", "unknown command 'X'"),
        (
            "value is not an integer script: 0123456789012345678901234567890123456789, on @user_script:9.",
            "value is not an integer",
        ),
        ("Unknown Redis command called from script script: 0123456789012345678901234567890123456789, "
         "on @user_script:9.", "Unknown Redis command called from script"),
        ("WRONGTYPE Operation against a key", "WRONGTYPE Operation against a key"),
    ],
)  # fmt: skip
def test_what_the_server_repeats_is_cut_off(said, clean):
    assert clean_error(said) == clean
