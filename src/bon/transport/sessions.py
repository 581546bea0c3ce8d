"""One aiohttp session per event loop, closed with its loop, so that one endpoint may be used from several."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import TypeAlias

import aiohttp

from bon.transport.address import Address
from bon.transport.policy import Timeouts

__all__ = ["Sessions", "headers_of", "session_of", "timeout_of"]

_PATIENCE = 5.0
"""Seconds that `close` waits for another thread's loop to let go of its sockets."""

_EXACT_TIMERS = 60.0
"""Seconds: longer deadlines may be rounded up to whole seconds, which spares the loop timers."""
_Keeper: TypeAlias = AsyncGenerator[None, None]
_CLOSING: set[asyncio.Task[None]] = set()
"""Loops hold their tasks weakly."""


class Sessions:
    """The open sessions of one endpoint.

    A session lives inside an async generator of its loop: asyncio closes those before it closes the loop
    (`shutdown_asyncgens`), so that nobody has to remember to, and no socket outlives its loop. Dropped without `close`,
    the sessions are closed by their loops.
    """

    def __init__(self, make: Callable[[], aiohttp.ClientSession]) -> None:
        self._make = make  # must not hold what holds this: it would then be dropped in any order, sessions first
        self._open: dict[asyncio.AbstractEventLoop, aiohttp.ClientSession] = {}
        self._keepers: dict[asyncio.AbstractEventLoop, _Keeper] = {}
        weakref.finalize(self, _let_go, self._keepers).atexit = False

    async def current(self) -> aiohttp.ClientSession:
        """The running loop's session, opened if there is none yet."""
        loop = asyncio.get_running_loop()
        session = self._open.get(loop)
        if session is None or session.closed:
            for old in [old for old in self._open if old.is_closed()]:
                del self._open[old], self._keepers[old]
            session = self._open[loop] = self._make()
            self._keepers[loop] = keeper = _keep(session)
            await anext(keeper)
        return session

    @property
    def open(self) -> int:
        """How many sessions are open."""
        return sum(not session.closed for session in self._open.values())

    def close(self) -> None:
        """Close every session, from any thread; calls under way end with an error.

        Outside of an event loop it returns when the sockets are closed. On a loop, where waiting would block it, the
        sockets are closed in the loop's next rounds.
        """
        _let_go(self._keepers, wait=True)


def session_of(address: Address, timeout: aiohttp.ClientTimeout) -> aiohttp.ClientSession:
    """A session on the running loop, for an address.

    Behind a proxy the headers go with each request (`headers_of`): a session's own are told to the proxy too, which
    would learn the key of the endpoint.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),  # the slots are the limit
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=address.headers if address.proxy is None else None,
        proxy=address.proxy,
        timeout=timeout,
    )


def headers_of(address: Address) -> dict[str, Mapping[str, str]]:
    """What each request of such a session is given, as keyword arguments."""
    return {} if address.proxy is None else {"headers": address.headers, "proxy_headers": address.proxy_headers}


def timeout_of(timeouts: Timeouts, total: float) -> aiohttp.ClientTimeout:
    """The deadlines of a call that has so many seconds left."""
    return aiohttp.ClientTimeout(
        total=total, connect=timeouts.connect, sock_read=timeouts.first_byte, ceil_threshold=_EXACT_TIMERS
    )


async def _keep(session: aiohttp.ClientSession) -> _Keeper:
    try:
        yield
    finally:
        await session.close()


def _let_go(keepers: dict[asyncio.AbstractEventLoop, _Keeper], *, wait: bool = False) -> None:
    """Have every loop close its session; `wait` for other threads' loops, unless that would block a loop here."""
    here = _running_loop()
    for loop, keeper in list(keepers.items()):
        if loop.is_closed():
            continue
        if loop is here:
            task = loop.create_task(_close(keeper))
            _CLOSING.add(task)
            task.add_done_callback(_CLOSING.discard)
        elif wait and here is None and not loop.is_running():
            loop.run_until_complete(_close(keeper))
        else:
            future = asyncio.run_coroutine_threadsafe(_close(keeper), loop)
            if wait and here is None:
                future.result(_PATIENCE)
    keepers.clear()


async def _close(keeper: _Keeper) -> None:
    if not getattr(keeper, "ag_running", False):  # else its loop is closing it already
        await keeper.aclose()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
