"""One HTTP endpoint: the only place that sends a call, waits for its turn, gives up on it, and sends it again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

import aiohttp
import msgspec
from yarl import URL

from bon.errors import BadReply, DrawError, RateLimited, Retryable, TimedOut, Truncated, Unreachable, UsageError
from bon.events import Hook, Retried, tell
from bon.transport.address import Address
from bon.transport.policy import LONGEST_WISH, Retries, Timeouts, retry_after
from bon.transport.refusals import BREAKS, broken, refusal, said
from bon.transport.sessions import Sessions
from bon.transport.slots import Slots
from bon.transport.sse import EventReader

__all__ = ["Endpoint"]

T = TypeVar("T")

_STRAGGLERS = 0.25
"""Seconds that a stream is given to end after its last event, so that its connection can be used again."""
_IN_ONE_PIECE = frozenset({"application/json", "text/html"})
"""Content types that say that a stream is none; others are not believed, for endpoints misname streams."""
_EXACT_TIMERS = 60.0
"""Seconds: longer deadlines may be rounded up to whole seconds, which spares the loop timers."""


def _nothing() -> None:
    pass


class Endpoint:
    """An HTTP endpoint that takes JSON and gives JSON or server-sent events.

    `url` is the base that paths are added to; `key` is sent as a bearer token; `headers` go with every call. At most
    `slots` calls are under way at once, over all threads and event loops that share this object. A call that fails
    with 408, 409, 429, 5xx, a broken connection or a passed deadline is sent again as `retries` says; its slot is free
    while it waits. When the endpoint states how long it wants to be left alone (at most 120 s), every caller obeys.

    Keys, header values and passwords never show in errors or in the repr. Redirects are not followed: a key must not
    travel to an address that nobody named. Proxies are read from HTTP_PROXY, HTTPS_PROXY and NO_PROXY once, here, and
    never used for this machine itself; `.netrc` is not read.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        slots: int = 64,
        timeouts: Timeouts | None = None,
        retries: Retries | None = None,
        hook: Hook = tell,
    ) -> None:
        self._address = Address.read(url, key=key, headers=headers)
        self.name = self._address.name
        """The URL without credentials and query: what errors and hooks call this endpoint."""
        self.slots = Slots(slots)
        self._limits = timeouts or Timeouts()
        self._retries = retries or Retries()
        self._hook = hook
        self._whole_timeout = self._timeout(self._limits.total)
        self._not_before = 0.0
        self._urls: dict[str, URL] = {}
        self._sessions = Sessions(self._session)

    def __repr__(self) -> str:
        return f"Endpoint({self.name!r}, {self.slots!r})"

    async def post(
        self,
        path: str,
        body: bytes | Mapping[str, Any],
        *,
        read: Callable[[bytes], T],
        before: Callable[[], None] = _nothing,
    ) -> T:
        """Send `body` (JSON, or a mapping that becomes it) and return what `read` makes of the answer's body.

        `read` may raise a DrawError of its own: one that is Retryable sends the call again. A ValueError, which
        msgspec's errors are, becomes BadReply. `before` runs each time the call has a slot and is about to be sent:
        what it raises ends the call, so that one which has become pointless while it queued is never sent.

        Raises a DrawError: RateLimited, Unavailable, Unreachable, TimedOut, Rejected or BadReply.
        """
        data, url = _encoded(body), self._url(path)

        async def once(left: float) -> T:
            try:
                before()
                response = await self._send(url, data, left)
                try:
                    self._silence(response, self._limits.between_bytes)
                    answer = await response.read()
                except BREAKS as error:
                    raise self._broken(error, begun=True) from error
            finally:
                self.slots.release()
            if response.status >= 300:
                raise self._refused(response, answer)
            try:
                return read(answer)
            except ValueError as error:
                raise self.unreadable(answer, error) from error

        return await self._retrying(once)

    async def stream(
        self, path: str, body: bytes | Mapping[str, Any], *, last: bytes | None = None
    ) -> AsyncGenerator[bytes, None]:
        """Send `body` and yield the data of each server-sent event; an answer of JSON or HTML is one event.

        `last` is the data that ends the stream; it is yielded too. Nothing is sent again once the answer has begun.
        Closing this generator closes the connection, which tells the endpoint to stop.

        Raises the errors of `post`, and Truncated where the connection breaks after the answer has begun.
        """
        response = await self._open(self._url(path), _encoded(body))
        begun = False
        try:
            if response.content_type in _IN_ONE_PIECE:
                yield await response.read()
                return
            reader = EventReader()
            async for chunk in response.content.iter_any():
                if not begun:
                    begun = True
                    self._silence(response, self._limits.between_bytes)
                for event in reader.feed(chunk):
                    yield event
                    if event == last:
                        await _drain(response)
                        return
        except BREAKS as error:
            failure = self._broken(error, begun=begun)
            raise failure if isinstance(failure, TimedOut) else Truncated(str(failure)) from error
        finally:
            response.close()
            self.slots.release()

    def error(self, status: int, message: str) -> DrawError:
        """The error that the endpoint reported inside of an answer of its own; `status` as it would be in HTTP."""
        return refusal(status, f"{self.name} reported an error: {self._address.clean(message)}")

    def unreadable(self, body: bytes, error: Exception) -> BadReply:
        """The error of an answer that is not what it should be."""
        begins = self._address.clean(body[:2000].decode("utf-8", errors="replace")) or "nothing"
        return BadReply(f"{self.name} gave an answer that cannot be read ({self._address.clean(str(error))}): {begins}")

    def close(self) -> None:
        """Close the connections, from any thread; calls under way end as Unreachable, later ones are refused."""
        self._sessions.close()

    # One call, until it is done or given up

    async def _retrying(self, once: Callable[[float], Awaitable[T]]) -> T:
        """Call `once` with a slot taken and the seconds left; it gives the slot back when it fails."""
        if self._sessions.closed:
            raise UsageError(f"{self!r} is closed; make a new one")
        left, failed = self._limits.total, 0
        while True:
            left = await self._turn(left)
            started = time.monotonic()
            try:
                return await once(left)
            except Retryable as error:
                failed += 1
                left -= time.monotonic() - started
                wait = self._wait(error, failed)
                if failed >= self._retries.attempts or wait >= left or self._sessions.closed:
                    if failed > 1:
                        error.args = (f"{error} (attempt {failed})",)
                    raise
                self._hook(Retried(endpoint=self.name, attempt=failed, error=type(error).__name__, wait=wait))
            await asyncio.sleep(wait)
            left -= wait

    async def _turn(self, left: float) -> float:
        """Wait for a slot, and for the end of the pause that the endpoint asked for; what is left of `left` then."""
        while True:
            await self.slots.acquire()
            pause = self._not_before - time.monotonic()
            if pause <= 0:
                return left
            self.slots.release()
            pause += self._retries.wait(1)  # not all at once
            if pause >= left:
                message = f"{self.name} asked to be left alone for longer than the {left:.3g} s that this call has left"
                raise RateLimited(message, retry_after=pause)
            await asyncio.sleep(pause)
            left -= pause

    def _wait(self, error: Retryable, failed: int) -> float:
        """Seconds until the next attempt; a wish of the endpoint binds all callers."""
        wish = error.retry_after
        if wish is None or not 0 < wish <= LONGEST_WISH:
            return self._retries.wait(failed)
        self._not_before = max(self._not_before, time.monotonic() + wish)
        return wish + self._retries.wait(1)

    # One attempt

    async def _send(self, url: URL, data: bytes, left: float) -> aiohttp.ClientResponse:
        """Send a call and wait for the headers of its answer."""
        timeout = self._whole_timeout if left == self._limits.total else self._timeout(left)
        try:
            session = await self._sessions.current()
            return await session.post(url, data=data, timeout=timeout, allow_redirects=False)
        except BREAKS as error:
            raise self._broken(error, begun=False) from error

    async def _open(self, url: URL, data: bytes) -> aiohttp.ClientResponse:
        """Open a stream; its slot stays taken."""

        async def once(left: float) -> aiohttp.ClientResponse:
            opened = False
            try:
                response = await self._send(url, data, left)
                if response.status >= 300:
                    raise self._refused(response, await response.read())
                opened = True
            except BREAKS as error:
                raise self._broken(error, begun=True) from error
            finally:
                if not opened:
                    self.slots.release()
            return response

        return await self._retrying(once)

    def _refused(self, response: aiohttp.ClientResponse, body: bytes) -> DrawError:
        words = self._address.clean(said(body)) or "no more than that"
        if location := response.headers.get("Location"):
            words = f"it redirects to {self._address.clean(location)!r}, so name that URL"
        message = f"{self.name} answered {response.status} {response.reason}: {words}"
        return refusal(response.status, message, wish=retry_after(response.headers, now=time.time()))

    def _broken(self, error: Exception, *, begun: bool) -> Retryable:
        failure = (
            Unreachable("closed here") if self._sessions.closed else broken(error, begun=begun, limits=self._limits)
        )
        failure.args = (f"{self.name}: {self._address.clean(str(failure))}",)
        return failure

    # Connections

    def _session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),  # the slots are the limit
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=self._address.headers,
            proxy=self._address.proxy,
            timeout=self._whole_timeout,
        )

    def _timeout(self, left: float) -> aiohttp.ClientTimeout:
        limits = self._limits
        return aiohttp.ClientTimeout(
            total=left, connect=limits.connect, sock_read=limits.first_byte, ceil_threshold=_EXACT_TIMERS
        )

    def _silence(self, response: aiohttp.ClientResponse, seconds: float) -> None:
        """From now on, how long the answer may pause; nothing to do where all of it is here."""
        connection = response.connection
        if connection is not None and connection.protocol is not None:
            connection.protocol.read_timeout = seconds
            connection.protocol.start_timeout()

    def _url(self, path: str) -> URL:
        url = self._urls.get(path)
        if url is None:
            url = self._urls[path] = self._address.at(path)
        return url


def _encoded(body: bytes | Mapping[str, Any]) -> bytes:
    return body if isinstance(body, bytes) else msgspec.json.encode(body)


async def _drain(response: aiohttp.ClientResponse) -> None:
    """Read over what comes after the last event."""
    with suppress(*BREAKS):
        async with asyncio.timeout(_STRAGGLERS):
            await response.content.read()
