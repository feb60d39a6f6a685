"""Types, clients, and the bookkeeping of many items: what the other modules of the helpers stand on."""

from __future__ import annotations

import itertools
import logging
import operator
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from typing import Any, Final, Protocol, TypeAlias, TypedDict, TypeVar

import numpy.typing as npt

logger = logging.getLogger(__name__)


# Real numbers, shape (dims,): a list, a tuple, or an array of any integer or floating dtype.
Vector: TypeAlias = Sequence[float] | npt.NDArray[Any]


# Several of them, or an array of shape (n, dims).
Vectors: TypeAlias = Iterable[Vector] | npt.NDArray[Any]


# The words of one command, as redis-py's `execute_command` takes them.
Command: TypeAlias = tuple[str | bytes | int | float, ...]


# One label, or several of which any will do.
TagFilter: TypeAlias = str | Iterable[str]


# Smallest and largest value, both included; None for no limit.
NumericFilter: TypeAlias = tuple[float | None, float | None]


T = TypeVar("T")


# Any iterable, asynchronous or not.
Items: TypeAlias = Iterable[T] | AsyncIterable[T]


# What the server takes at most, unless MAXSEARCHRESULTS says otherwise, and for counts of other kinds.
RESULTS_MAX: Final = 1_000_000


WHOLE_MAX: Final = 2**63 - 1


# Keys that one SCAN looks at.
SCAN_COUNT: Final = 500


class AsyncPipeline(Protocol):
    """What the helpers ask of a pipeline of `redis.asyncio`."""

    def execute_command(self, *args: Any, **options: Any) -> Any: ...

    def execute(self, raise_on_error: bool = ...) -> Awaitable[list[Any]]: ...


class AsyncRedis(Protocol):
    """What the helpers ask of a client: `redis.asyncio.Redis` and `RedisCluster` have it."""

    def execute_command(self, *args: Any, **options: Any) -> Awaitable[Any]: ...

    def pipeline(self, transaction: bool = ...) -> AsyncPipeline: ...

    def scan_iter(self, **options: Any) -> AsyncIterator[Any]: ...


class BlockingPipeline(Protocol):
    """What the blocking helpers ask of a pipeline of `redis`."""

    def execute_command(self, *args: Any, **options: Any) -> Any: ...

    def execute(self, raise_on_error: bool = ...) -> list[Any]: ...


class BlockingRedis(Protocol):
    """What the blocking helpers ask of a client: `redis.Redis` and `RedisCluster` have it."""

    def execute_command(self, *args: Any, **options: Any) -> Any: ...

    def pipeline(self, transaction: bool = ...) -> BlockingPipeline: ...

    def scan_iter(self, **options: Any) -> Iterator[Any]: ...


class StoreFailure(TypedDict):
    """An item that was not stored: its place in the input (from 0), its key, and why."""

    index: int
    key: str | None
    reason: str


class StoreReport(TypedDict):
    """How many items were stored, and which were not."""

    stored: int
    failed: list[StoreFailure]


class StoreMany:
    """The state of one `store_many…`: a batch of commands, and the report so far.

    Whoever does the I/O calls `add` with each item, sends `commands` whenever `add` returns True and
    once more at the end, and hands the replies to `settle`.
    """

    def __init__(
        self,
        encode: Callable[[Any], Sequence[Command]],
        key_name: str,
        batch_size: int,
    ) -> None:
        self._batch_size = whole_number("batch_size", batch_size, WHOLE_MAX)
        self.report: StoreReport = {"stored": 0, "failed": []}
        self.commands: list[Command] = []
        self._encode = encode
        self._key_name = key_name
        self._seen = 0
        # Of each item in the batch: its place in the input, its key, how many commands it takes.
        self._batch: list[tuple[int, object, int]] = []

    def add(self, item: Any) -> bool:
        """Take one item into the batch, or into the report if it is at fault; True: the batch is full."""
        index = self._seen
        self._seen += 1
        key: object = None
        try:
            if not isinstance(item, Mapping):
                raise TypeError(
                    f"the item is {type(item).__name__} (expected a mapping)",
                )
            key = item.get(self._key_name)
            commands = self._encode(item)
        except KeyError as error:
            self._fail(index, key, f"the item has no {error}")
        except Exception as error:
            # Whatever is wrong with one item must not stop the others.
            self._fail(index, key, str(error) or type(error).__name__)
        else:
            self.commands.extend(commands)
            self._batch.append((index, key, len(commands)))
        return len(self._batch) >= self._batch_size

    def settle(self, replies: Sequence[Any]) -> None:
        """Enter the replies to `commands` into the report, and begin the next batch."""
        if not any(issubclass(kind, Exception) for kind in set(map(type, replies))):
            self.report["stored"] += len(self._batch)
            self.commands = []
            self._batch = []
            return
        remaining = iter(replies)
        for index, key, count in self._batch:
            found = list(itertools.islice(remaining, count))
            error = next((one for one in found if isinstance(one, Exception)), None)
            if error is not None:
                self._fail(index, key, str(error))
            else:
                self.report["stored"] += 1
        self.commands = []
        self._batch = []

    def _fail(self, index: int, key: object, reason: str) -> None:
        name = key if isinstance(key, str) else None
        self.report["failed"].append({"index": index, "key": name, "reason": reason})


def whole_number(name: str, value: Any, largest: int) -> int:
    """`value` as an int, whatever integers it is of.

    Raises:
        TypeError: It is no whole number; True and False are none.
        ValueError: It is less than 1, or more than `largest`.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(
            f"{name} is {type(value).__name__} (expected a whole number of at least 1)",
        )
    number = operator.index(value)
    if number < 1:
        raise ValueError(f"{name} is {number} (expected at least 1)")
    if number > largest:
        raise ValueError(f"{name} is {number} (expected at most {largest})")
    return number


def check_many(name: str, items: Any) -> None:
    """Raise TypeError for one where several are meant: texts and mappings can be iterated over too."""
    if isinstance(items, str | bytes | bytearray | memoryview | Mapping):
        raise TypeError(
            f"{name} is {type(items).__name__} (expected an iterable of several; put one into a list)",
        )


def as_bytes(words: Iterable[str | bytes | int | float]) -> Command:
    """The words of a command with its texts in UTF-8, whatever encoding the client has."""
    return tuple(word.encode() if isinstance(word, str) else word for word in words)


def batches(name: str, items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items in lists of `size`, the last one shorter; `name`: what messages call them."""
    check_many(name, items)
    remaining = iter(items)
    count = whole_number("batch_size", size, WHOLE_MAX)
    while batch := list(itertools.islice(remaining, count)):
        yield batch
