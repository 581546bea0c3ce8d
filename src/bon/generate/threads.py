"""Drives a blocking iterator in a thread, for async code to read; what it iterates over is not its business."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import Executor
from contextlib import closing
from threading import Event
from typing import TypeVar

__all__ = ["iterate_in"]

T = TypeVar("T")


async def iterate_in(executor: Executor, iterate: Callable[[], Generator[T, None, None]]) -> AsyncGenerator[T, None]:
    """The items of `iterate()`, which is called and driven in the executor.

    An exception ends the iteration with itself. Closing this early lets the iterator stop at its next item, and does
    not wait for that: the event loop must not hang on a long step. What has not begun by then never begins.
    """
    loop = asyncio.get_running_loop()
    landed: asyncio.Queue[T | _Ended] = asyncio.Queue()
    closed = Event()

    def land(item: T | _Ended) -> None:
        try:
            loop.call_soon_threadsafe(landed.put_nowait, item)
        except RuntimeError:  # the event loop is gone, and with it whoever was to read this
            closed.set()

    def drive() -> None:
        try:
            with closing(iterate()) as items:
                for item in items:
                    if closed.is_set():
                        return
                    land(item)
        except BaseException as error:  # noqa: BLE001  # whatever it is, it belongs to whoever reads
            land(_Ended(error))
        else:
            land(_Ended(None))

    job = executor.submit(drive)
    try:
        while not isinstance(item := await landed.get(), _Ended):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        closed.set()
        job.cancel()


class _Ended:
    """Marks in the queue that there are no more items, and why."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException | None) -> None:
        self.error = error
