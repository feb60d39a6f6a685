"""The one place where code of the user's is called: scripts, their functions, `op.run`, progress callbacks.

Such code may raise anything. SystemExit, GeneratorExit, CancelledError or a KeyboardInterrupt of its own must
not end vecmigrate as if all were well, nor as if somebody had pressed Ctrl-C; and a coroutine or a generator
that comes back means that nothing was done.
"""

from __future__ import annotations

import inspect
import io
import re
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import CodeType
from typing import Any

from vecmigrate import interruption
from vecmigrate.errors import OperationError, VecmigrateError

# What Redis repeats of a command that it does not know, and where a script of ours called it.
_REPEATED = re.compile(r"[,;]? *with args beginning with:?.*", re.IGNORECASE | re.DOTALL)
_CALLED_FROM = re.compile(r"(?:,? *script: [0-9a-f]{40})?,? *(?:on )?@?user_script:\d+\.?", re.IGNORECASE)
_PACKAGE = str(Path(__file__).parent.parent)
SYNC_HINT = "write a plain function; it may call asyncio.run(…) on an async one that makes its own client"


class UserCodeFault(Exception):  # noqa: N818 - what it carries is the error
    """Code of the user's raised `error`, or returned what is not done yet."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error


def call_user_code(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call it, and return what it returns.

    Raises:
        UserCodeFault: It raised something, whatever that was, or returned unfinished work.
        KeyboardInterrupt: Somebody really asked this process to end.
    """
    interruption.enter_user_code()
    try:
        result = function(*arguments)
        check_unfinished(function, result)
    except BaseException as error:
        if _is_interruption(error):
            raise
        interruption.check()
        raise UserCodeFault(error) from error
    finally:
        interruption.leave_user_code()
    # It may have swallowed what the signal raised.
    interruption.check()
    return result


def check_unfinished(function: object, result: object) -> None:
    """Raise OperationError where `function` returned work that nobody has done yet, and drop that."""
    problem = unfinished(result)
    if problem is None:
        return
    _drop(result)
    raise OperationError(
        f"`{name_of(function)}` returned {problem}, so its work was not done "
        "(expected a function that has done its work when it returns)",
        hint=SYNC_HINT,
    )


def name_of(function: object) -> str:
    """What to call it: the name of the function, under any `partial`, or of its class."""
    while isinstance(function, partial):
        function = function.func
    return str(getattr(function, "__name__", type(function).__name__))


def unfinished(result: object) -> str | None:
    """What kind of work that nobody has done yet `result` is; None where it is a value."""
    kind = _unfinished(result)
    if kind is not None:
        return kind
    items: list[object] = []
    if isinstance(result, list | tuple | set | frozenset):
        items = list(result)
    elif isinstance(result, Mapping):
        with suppress(Exception):
            items = list(result.values())
    found = next((kind for kind in map(_unfinished, items) if kind is not None), None)
    return None if found is None else f"a {type(result).__name__} with {found} in it"


def asynchronous(function: object) -> str | None:
    """What kind of function that does nothing when it is called `function` is; None where it is none."""
    if isinstance(function, partial):
        return asynchronous(function.func)
    candidates = [function]
    if not inspect.isroutine(function) and not inspect.isclass(function):
        candidates.append(_call_method(function))
    for candidate in candidates:
        if inspect.isasyncgenfunction(candidate):
            return "an async generator function"
        if inspect.iscoroutinefunction(candidate):
            return "an async function"
        if inspect.isgeneratorfunction(candidate):
            return "a generator function (it has a `yield`)"
    return None


def what_happened(error: BaseException) -> str:
    """The error's class and text in one line, also where its text cannot be had."""
    name = "Redis" if is_redis_error(error) else type(error).__name__
    try:
        text = clean_error(str(error)) if name == "Redis" else " ".join(str(error).split())
    except Exception:
        return name
    return f"{name}: {text}" if text else name


def is_redis_error(error: BaseException) -> bool:
    """Whether redis-py raised it, which what records and plans does not import."""
    return any(
        kind.__name__ == "RedisError" and kind.__module__.partition(".")[0] == "redis"
        for kind in type(error).__mro__
    )


def clean_error(error: str) -> str:
    """An error text of the server's in one line, without the arguments that it repeats."""
    text = _CALLED_FROM.sub("", _REPEATED.sub("", error))
    return " ".join(text.split()).rstrip(" ,;:")


def place_in(error: BaseException, function: object) -> tuple[Path, int] | None:
    """The last line in the file of `function` that `error` passed through, or outside of vecmigrate.

    Where it passed none, the line where `function` begins; None where that is not known either.
    """
    code = _code(function)
    inside = outside = None
    traceback = error.__traceback__
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        if code is not None and file == code.co_filename:
            inside = (Path(file), traceback.tb_lineno)
        elif not file.startswith((_PACKAGE, "<")):
            outside = (Path(file), traceback.tb_lineno)
        traceback = traceback.tb_next
    return inside or outside or (None if code is None else (Path(code.co_filename), code.co_firstlineno))


def _is_interruption(error: BaseException) -> bool:
    if isinstance(error, interruption.Interrupted):
        return interruption.asked() is not None
    # Without handlers of ours, Ctrl-C is what Python makes of it.
    return (
        type(error) is KeyboardInterrupt
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        and threading.current_thread() is threading.main_thread()
    )


def _unfinished(result: object) -> str | None:
    if inspect.isasyncgen(result) or isinstance(result, AsyncIterator):
        return "an async generator"
    if inspect.iscoroutine(result):
        return "a coroutine"
    if isinstance(result, Awaitable | Future):
        return f"an awaitable ({type(result).__name__})"
    if inspect.isgenerator(result):
        return "a generator"
    if isinstance(result, Iterator) and not isinstance(result, io.IOBase):
        return f"an iterator ({type(result).__name__})"
    if inspect.isroutine(result) or isinstance(result, partial):
        return "a function"
    return None


def _drop(result: object) -> None:
    """Close what was never begun, so that Python does not warn of it."""
    found = result
    if isinstance(result, Mapping):
        found = list(result.values())
    for item in found if isinstance(found, list | tuple | set | frozenset) else [found]:
        for name in ("close", "cancel"):
            end = getattr(item, name, None)
            if callable(end):
                end()
                break


def _call_method(function: object) -> object:
    return getattr(type(function), "__call__", None)  # noqa: B004 - the method is wanted, not whether there is one


def _code(function: object) -> CodeType | None:
    while isinstance(function, partial):
        function = function.func
    if not inspect.isroutine(function) and not inspect.isclass(function):
        function = _call_method(function)
    code = getattr(inspect.unwrap(function) if callable(function) else function, "__code__", None)
    return code if isinstance(code, CodeType) else None


def fault_of(error: BaseException, function: object, display: Callable[[Path], str]) -> VecmigrateError:
    """The error to raise for what `function` raised at run time: what happened, and where.

    What vecmigrate itself raises passes through as it is.
    """
    if isinstance(error, VecmigrateError) and type(error) is not OperationError:
        return error
    place = place_in(error, function)
    where = f" (at {display(place[0])}:{place[1]})" if place else ""
    if isinstance(error, VecmigrateError):
        return OperationError(f"{error.message}{where}", hint=error.hint)
    return OperationError(
        f"{what_happened(error)}{where}", hint=None if isinstance(error, Exception) else ENDS
    )


ENDS = "a migration ends by returning, and fails by raising an exception"
