"""Structured concurrency for async iterators: the one place below the engine that starts tasks, and ends them all."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterable, Iterator
from typing import Any, Generic, TypeVar

__all__ = ["Merged", "as_landed", "cancel", "close", "merge", "until_broken"]

T = TypeVar("T")


async def close(iterator: AsyncIterator[Any]) -> None:
    """Close an async iterator that can be closed; one that cannot has nothing to let go of."""
    aclose = getattr(iterator, "aclose", None)
    if aclose is not None:
        await aclose()


async def cancel(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait until each has ended; whatever they raise while ending is dropped."""
    pending = [task for task in tasks if not task.done()]
    for task in pending:
        task.cancel()
    if pending:
        await asyncio.gather(*pending, return_exceptions=True)


class Merged(Generic[T]):
    """Async iterators that run together, their items in the order of landing; more may join while they run.

    An exception in one of them is raised by the iteration. Close it (`aclose`) to end whatever still runs.
    """

    def __init__(self, iterators: Iterable[AsyncIterator[T]] = ()) -> None:
        self._landed: _Landed[T | _Ended] = _Landed()
        self._tasks: set[asyncio.Task[None]] = set()
        for iterator in iterators:
            self.add(iterator)

    def add(self, iterator: AsyncIterator[T]) -> asyncio.Task[None]:
        """Start one more; cancelling the returned task takes this one out and nothing else."""
        task = asyncio.get_running_loop().create_task(self._drain(iterator))
        self._tasks.add(task)
        task.add_done_callback(self._end)
        return task

    async def _drain(self, iterator: AsyncIterator[T]) -> None:
        try:
            async for item in iterator:
                self._landed.put(item)
        finally:
            await close(iterator)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._landed.put(_Ended(task))

    @property
    def landed(self) -> bool:
        """Whether the next item is here already."""
        return any(not isinstance(item, _Ended) for item in self._landed)

    def __aiter__(self) -> Merged[T]:
        return self

    async def __anext__(self) -> T:
        while self._tasks or self._landed:
            item = await self._landed.get()
            if not isinstance(item, _Ended):
                return item
            self._tasks.discard(item.task)
            if not item.task.cancelled():
                item.task.result()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """End whatever still runs, and wait until it has."""
        try:
            await cancel(self._tasks)
        finally:  # who waits here may be cancelled too
            for task in self._tasks:
                if task.done() and not task.cancelled():
                    task.exception()  # seen here, so that asyncio does not warn that nobody looked
            self._tasks.clear()


class _Landed(Generic[T]):
    """What has landed, for the one who takes it: asyncio's own queue serves many, which costs more."""

    __slots__ = ("_items", "_taker")

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._taker: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[T]:
        return iter(self._items)

    def put(self, item: T) -> None:
        self._items.append(item)
        if self._taker is not None and not self._taker.done():
            self._taker.set_result(None)

    async def get(self) -> T:
        while not self._items:
            self._taker = asyncio.get_running_loop().create_future()
            await self._taker
        return self._items.popleft()


class _Ended:
    """Marks in the queue that a task has come to its end: its items lie before it."""

    __slots__ = ("task",)

    def __init__(self, task: asyncio.Task[None]) -> None:
        self.task = task


async def until_broken(iterator: AsyncIterator[T], broken: asyncio.Future[None]) -> AsyncGenerator[T, None]:
    """The items of an iterator; what `broken` raises is raised at once, and ends the iterator and what it waits for."""

    async def step() -> list[T]:
        async for item in iterator:
            return [item]
        return []

    next_: asyncio.Task[list[T]] | None = None
    try:
        while True:
            next_ = asyncio.ensure_future(step())
            await asyncio.wait((next_, broken), return_when=asyncio.FIRST_COMPLETED)
            if broken.done():
                broken.result()
            found = await next_
            if not found:
                return
            yield found[0]
    finally:
        if next_ is not None:
            await cancel([next_])
            if not next_.cancelled():
                next_.exception()  # seen here, so that asyncio does not warn that nobody looked
        await close(iterator)


async def merge(iterators: Iterable[AsyncIterator[T]]) -> AsyncGenerator[T, None]:
    """Run async iterators together and yield their items as they land.

    The first exception ends the iteration; leaving it early ends the rest and waits for them.
    """
    merged = Merged(iterators)
    try:
        async for item in merged:
            yield item
    finally:
        await merged.aclose()


async def as_landed(coroutines: Iterable[Coroutine[Any, Any, T]]) -> AsyncGenerator[T, None]:
    """Run coroutines together and yield each result as it lands; the same promises as `merge`."""
    landed: _Landed[asyncio.Task[T]] = _Landed()
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(coroutine) for coroutine in coroutines]
    for task in tasks:
        task.add_done_callback(landed.put)
    try:
        for _ in tasks:
            yield (await landed.get()).result()
    finally:
        try:
            await cancel(tasks)
        finally:
            for task in tasks:
                if task.done() and not task.cancelled():
                    task.exception()
