"""One aiohttp session per event loop, closed with its loop, so that one endpoint may be used from several."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

import aiohttp

__all__ = ["Sessions"]

_PATIENCE = 5.0
"""Seconds that `close` waits for another thread's loop to let go of its sockets."""


class Sessions:
    """The open sessions of one endpoint.

    A session lives inside an async generator of its loop: asyncio closes those before it closes the loop
    (`shutdown_asyncgens`), so that nobody has to remember to, and no socket outlives its loop.
    """

    def __init__(self, make: Callable[[], aiohttp.ClientSession]) -> None:
        self.closed = False
        self._make = make
        self._open: dict[asyncio.AbstractEventLoop, aiohttp.ClientSession] = {}
        self._keepers: dict[asyncio.AbstractEventLoop, AsyncGenerator[None, None]] = {}
        self._closing: set[asyncio.Task[None]] = set()

    async def current(self) -> aiohttp.ClientSession:
        """The running loop's session, opened if there is none yet."""
        loop = asyncio.get_running_loop()
        session = self._open.get(loop)
        if session is None:
            for old in [old for old in self._open if old.is_closed()]:
                del self._open[old], self._keepers[old]
            session = self._open[loop] = self._make()
            self._keepers[loop] = keeper = self._keep(loop, session)
            await anext(keeper)
        return session

    async def _keep(
        self, loop: asyncio.AbstractEventLoop, session: aiohttp.ClientSession
    ) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            self._open.pop(loop, None)
            self._keepers.pop(loop, None)
            await session.close()

    def close(self) -> None:
        """Close every session, from any thread; calls under way end with an error.

        Outside of an event loop it returns when the sockets are closed. On a loop, where waiting would block it, the
        sockets are closed in the loop's next rounds.
        """
        self.closed = True
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:
            here = None
        for loop, keeper in list(self._keepers.items()):
            if loop.is_closed():
                continue
            if loop is here:
                task = loop.create_task(_close(keeper))
                self._closing.add(task)
                task.add_done_callback(self._closing.discard)
            elif loop.is_running() or here is not None:
                future = asyncio.run_coroutine_threadsafe(_close(keeper), loop)
                if here is None:
                    future.result(_PATIENCE)
            else:
                loop.run_until_complete(_close(keeper))


async def _close(keeper: AsyncGenerator[None, None]) -> None:
    await keeper.aclose()
