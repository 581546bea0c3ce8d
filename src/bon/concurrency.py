"""Structured concurrency for async iterators: the one place below the engine that starts tasks, and ends them all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import aclosing
from typing import Any, TypeVar

__all__ = ["as_landed", "cancel", "merge"]

T = TypeVar("T")


async def cancel(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait until each has ended; whatever they raise while ending is dropped."""
    pending = [task for task in tasks if not task.done()]
    for task in pending:
        task.cancel()
    if pending:
        await asyncio.gather(*pending, return_exceptions=True)


async def as_landed(coroutines: Iterable[Coroutine[Any, Any, T]]) -> AsyncIterator[T]:
    """Run coroutines together and yield each result as it lands.

    The first exception ends the iteration; leaving it early (closing, an exception, cancellation) cancels the rest
    and waits for them.
    """
    landed: asyncio.Queue[asyncio.Task[T]] = asyncio.Queue()
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    for task in tasks:
        task.add_done_callback(landed.put_nowait)
    try:
        for _ in tasks:
            yield (await landed.get()).result()
    finally:
        await cancel(tasks)


async def merge(iterators: Iterable[AsyncIterator[T]]) -> AsyncIterator[T]:
    """Run async iterators together and yield their items as they come; the same promises as `as_landed`."""
    items: asyncio.Queue[T] = asyncio.Queue()

    async def drain(iterator: AsyncIterator[T]) -> None:
        async with aclosing(iterator) as open_iterator:  # type: ignore[type-var]  # every one we are given can be closed
            async for item in open_iterator:
                items.put_nowait(item)

    tasks = {asyncio.ensure_future(drain(iterator)) for iterator in iterators}
    getter: asyncio.Task[T] | None = None
    try:
        while tasks or not items.empty():
            while not items.empty():
                yield items.get_nowait()
            if not tasks:
                continue
            getter = getter or asyncio.ensure_future(items.get())
            done, _ = await asyncio.wait({getter, *tasks}, return_when=asyncio.FIRST_COMPLETED)
            for task in done & tasks:
                tasks.discard(task)
                task.result()
            if getter.done():
                item, getter = getter.result(), None
                yield item
    finally:
        await cancel([*tasks, *([getter] if getter else [])])
