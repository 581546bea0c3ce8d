"""One HTTP endpoint: the only place that sends a call and reads what comes back, whole or event by event."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any, TypeVar

import aiohttp
import msgspec
from yarl import URL

from bon.errors import BadReply, DrawError, Retryable, Truncated, Unreachable
from bon.events import Hook, tell
from bon.ledger import Bill
from bon.transport.address import Address
from bon.transport.attempt import Attempt
from bon.transport.calls import Calls
from bon.transport.limits import Limits
from bon.transport.pace import Pace
from bon.transport.policy import Retries, Timeouts, retry_after
from bon.transport.refusals import BREAKS, broken, refusal, said
from bon.transport.sessions import Sessions, headers_of, session_of, timeout_of
from bon.transport.sse import EventReader

__all__ = ["Endpoint"]

T = TypeVar("T")

_STRAGGLERS = 0.25
"""Seconds that a stream is given to end after its last event, so that its connection can be used again."""
_IN_ONE_PIECE = frozenset({"application/json", "text/html"})
"""Content types that say that a stream is none; others are not believed, for endpoints misname streams."""
_NOT_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
"""What a connection raises that never stood."""


def _nothing() -> None:
    pass


class Endpoint:
    """An HTTP endpoint that takes JSON and gives JSON or server-sent events.

    `url` is the base that paths are added to; `key` is sent as a bearer token; `headers` go with every call. `limits`
    say how hard it may be used: they hold for all objects of this URL and key in the process together, over all
    threads and event loops, and where several state some, the strictest hold. A call that fails with 408, 409, 429,
    5xx, a broken connection or a passed deadline is sent again as `retries` says, as long as not too many calls of the
    endpoint fail. When the endpoint states how long it wants to be left alone (at most 120 s), every caller obeys. A
    call that waits, for the endpoint or for its limits, holds no slot.

    A call with a `bill` is reserved in the ledger of its run (`bon.ledger.charged`) before it is sent and settled
    after, each attempt by itself.

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
        limits: Limits | None = None,
        timeouts: Timeouts | None = None,
        retries: Retries | None = None,
        hook: Hook = tell,
    ) -> None:
        self._address = Address.read(url, key=key, headers=headers)
        self.name = self._address.name
        """The URL without credentials and query: what errors and hooks call this endpoint."""
        self.pace = Pace.shared(self._address.identity, name=self.name)
        self.pace.join(self, limits)
        self._timeouts = timeouts or Timeouts()
        self._calls = Calls(self.pace, retries=retries or Retries(), total=self._timeouts.total, hook=hook)
        self._whole_timeout = timeout_of(self._timeouts, self._timeouts.total)
        self._headers: dict[str, Any] = dict(headers_of(self._address))
        self._urls: dict[str, URL] = {}
        self._sessions = Sessions(partial(session_of, self._address, self._whole_timeout))

    def __repr__(self) -> str:
        return f"Endpoint({self.name!r}, {self.pace!r})"

    async def post(
        self,
        path: str,
        body: bytes | Mapping[str, Any],
        *,
        read: Callable[[bytes], T],
        before: Callable[[], None] = _nothing,
        bill: Bill | None = None,
    ) -> T:
        """Send `body` (JSON, or a mapping that becomes it) and return what `read` makes of the answer's body.

        `read` may raise a DrawError of its own: one that is Retryable sends the call again. A ValueError, which
        msgspec's errors are, becomes BadReply. It notes in `bill.paid` what the answer says it took. `before` runs each
        time the call has a slot and is about to be sent: what it raises ends the call, so that one which has become
        pointless while it queued is never sent.

        Raises a DrawError: RateLimited, Unavailable, Unreachable, TimedOut, Rejected, BadReply or CapReached.
        """
        data, url = _encoded(body), self._url(path)

        async def once(attempt: Attempt) -> T:
            with attempt:
                before()
                await attempt.reserve()
                response = await self._send(url, data, attempt)
                try:
                    self._silence(response, self._timeouts.between_bytes)
                    answer = await response.read()
                except BREAKS as error:
                    raise self._broken(error, begun=True) from None
                if response.status >= 300:
                    raise self._refused(response, answer)
                try:
                    return read(answer)
                except ValueError as error:
                    raise self.unreadable(answer, error) from None

        return await self._calls.make(once, bill)

    async def stream(
        self, path: str, body: bytes | Mapping[str, Any], *, last: bytes | None = None, bill: Bill | None = None
    ) -> AsyncGenerator[bytes, None]:
        """Send `body` and yield the data of each server-sent event; an answer of JSON or HTML is one event.

        `last` is the data that ends the stream; it is yielded too. Nothing is sent again once the answer has begun.
        Closing this generator closes the connection, which tells the endpoint to stop. What the answer says it took is
        to be noted in `bill.paid` before the next event is asked for.

        Raises the errors of `post`, and Truncated where the connection breaks after the answer has begun.
        """
        response, attempt = await self._open(self._url(path), _encoded(body), bill)
        begun = False
        with attempt:
            try:
                if response.content_type in _IN_ONE_PIECE:
                    yield await response.read()
                    return
                reader = EventReader()
                async for chunk in response.content.iter_any():
                    if not begun:
                        begun = True
                        self._silence(response, self._timeouts.between_bytes)
                    for event in reader.feed(chunk):
                        yield event
                        if event == last:
                            await _drain(response)
                            return
            except BREAKS as error:
                failure = attempt.cut_off() or self._broken(error, begun=begun)
                raise Truncated(str(failure)) if isinstance(failure, Unreachable) else failure from None
            finally:
                response.close()

    def error(self, status: int, message: str) -> DrawError:
        """The error that the endpoint reported inside of an answer of its own; `status` as it would be in HTTP."""
        return refusal(status, f"{self.name} reported an error: {self._address.clean(message)}")

    def unreadable(self, body: bytes, error: Exception) -> BadReply:
        """The error of an answer that is not what it should be."""
        begins = self._address.clean(body.decode("utf-8", errors="replace")) or "nothing"
        return BadReply(f"{self.name} gave an answer that cannot be read ({self._address.clean(str(error))}): {begins}")

    def close(self) -> None:
        """Close the connections, from any thread; calls under way end as Unreachable, later ones are refused."""
        self._calls.closed = True
        self.pace.leave(self)
        self._sessions.close()

    # One attempt

    async def _send(self, url: URL, data: bytes, attempt: Attempt) -> aiohttp.ClientResponse:
        """Send a call and wait for the headers of its answer."""
        seconds, limits = attempt.seconds, self._timeouts
        timeout = self._whole_timeout if seconds == limits.total else timeout_of(limits, seconds)
        try:
            session = await self._sessions.current()
            attempt.start()
            response = await session.post(url, data=data, timeout=timeout, allow_redirects=False, **self._headers)
        except BREAKS as error:
            attempt.sent = not isinstance(error, _NOT_SENT)
            raise self._broken(error, begun=False) from None
        attempt.status = response.status
        return response

    async def _open(self, url: URL, data: bytes, bill: Bill | None) -> tuple[aiohttp.ClientResponse, Attempt]:
        """Open a stream; its attempt goes on."""

        async def once(attempt: Attempt) -> tuple[aiohttp.ClientResponse, Attempt]:
            with ExitStack() as ending:
                ending.enter_context(attempt)
                await attempt.reserve()
                response = await self._send(url, data, attempt)
                if response.status >= 300:
                    try:
                        raise self._refused(response, await response.read())
                    except BREAKS as error:
                        raise self._broken(error, begun=True) from None
                ending.pop_all()
                return response, attempt

        return await self._calls.make(once, bill)

    def _refused(self, response: aiohttp.ClientResponse, body: bytes) -> DrawError:
        words = self._address.clean(said(body)) or "no more than that"
        if location := response.headers.get("Location"):
            words = f"it redirects to {self._address.clean(location)!r}, so name that URL"
        reason = self._address.clean(response.reason or "")
        message = f"{self.name} answered {response.status} {reason}: {words}"
        return refusal(response.status, message, wish=retry_after(response.headers, now=time.time()))

    def _broken(self, error: Exception, *, begun: bool) -> Retryable:
        """Our error for what broke; it is raised from None, as aiohttp's hold the request's headers."""
        closed = self._calls.closed
        failure = Unreachable("closed here") if closed else broken(error, begun=begun, limits=self._timeouts)
        failure.args = (f"{self.name}: {self._address.clean(str(failure))}",)
        return failure

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
