"""Those who wait for something on event loops of their own, and how they are told of it from wherever it happens."""

from __future__ import annotations

import asyncio
from contextlib import suppress

__all__ = ["Waiters"]


class Waiters:
    """Futures that are all settled at once. Calls are serialized by the one who owns it."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []

    def add(self, loop: asyncio.AbstractEventLoop) -> asyncio.Future[None]:
        """What somebody on this loop may wait for."""
        future = loop.create_future()
        self._waiting.append(future)
        return future

    def tell(self, error: Exception | None) -> None:
        """Tell all who wait how it went, each on its own loop."""
        waiting, self._waiting = self._waiting, []
        here = _running_loop() if waiting else None
        for future in waiting:
            loop = future.get_loop()
            if loop is here:
                _settle(future, error)
            else:
                with suppress(RuntimeError):  # that loop is closed: nobody waits
                    loop.call_soon_threadsafe(_settle, future, error)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _settle(future: asyncio.Future[None], error: Exception | None) -> None:
    if future.done():
        return  # nobody waits any more
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
