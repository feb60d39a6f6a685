"""Types, clients, and the bookkeeping of many items: what the other modules of the helpers stand on."""

from __future__ import annotations

import itertools
import logging
from collections.abc import (
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
from redis.exceptions import ResponseError

logger = logging.getLogger(__name__)


# Real numbers, shape (dims,): a list, a tuple, or an array of any integer or floating dtype.
Vector: TypeAlias = Sequence[float] | npt.NDArray[Any]


# The words of one command, as redis-py's `execute_command` takes them.
Command: TypeAlias = tuple[str | bytes | int | float, ...]


# One label, or several of which any will do.
TagFilter: TypeAlias = str | Sequence[str]


# Smallest and largest value, both included; None for no limit.
NumericFilter: TypeAlias = tuple[float | None, float | None]


T = TypeVar("T")


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

    def scan_iter(
        self, *, match: str, count: int, _type: str
    ) -> AsyncIterator[Any]: ...


class BlockingPipeline(Protocol):
    """What the blocking helpers ask of a pipeline of `redis`."""

    def execute_command(self, *args: Any, **options: Any) -> Any: ...

    def execute(self, raise_on_error: bool = ...) -> list[Any]: ...


class BlockingRedis(Protocol):
    """What the blocking helpers ask of a client: `redis.Redis` and `RedisCluster` have it."""

    def execute_command(self, *args: Any, **options: Any) -> Any: ...

    def pipeline(self, transaction: bool = ...) -> BlockingPipeline: ...

    def scan_iter(
        self,
        *,
        match: str,
        count: int,
        _type: str,
    ) -> Iterator[Any]: ...


class SearchWarning(ResponseError):  # noqa: N818 - it is what the server calls it
    """The server gave an answer and a warning: what it found is not all that there is."""


class SearchTimeout(SearchWarning):
    """A search ran out of time: there is no answer, or one that lacks documents."""


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
        check_count("batch_size", batch_size)
        self.report: StoreReport = {"stored": 0, "failed": []}
        self.commands: list[Command] = []
        self._encode = encode
        self._key_name = key_name
        self._batch_size = batch_size
        self._seen = 0
        # Of each item in the batch: its place in the input, its key, how many commands it takes.
        self._batch: list[tuple[int, str, int]] = []

    def add(self, item: Any) -> bool:
        """Take one item into the batch, or into the report if it is at fault; True: the batch is full."""
        index = self._seen
        self._seen += 1
        key = item.get(self._key_name) if isinstance(item, Mapping) else None
        try:
            commands = self._encode(item)
        except KeyError as error:
            self._fail(index, key, f"the item has no {error}")
        except Exception as error:
            # Whatever is wrong with one item must not stop the others.
            self._fail(index, key, str(error) or type(error).__name__)
        else:
            self.commands.extend(commands)
            self._batch.append((index, str(key), len(commands)))
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


def check_count(name: str, count: int) -> None:
    """Raise ValueError unless `count` is at least 1."""
    if count < 1:
        raise ValueError(f"{name} is {count} (expected at least 1)")


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items in lists of `size`, the last one shorter."""
    check_count("batch_size", size)
    remaining = iter(items)
    while batch := list(itertools.islice(remaining, size)):
        yield batch
