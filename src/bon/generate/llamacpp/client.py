"""Speaks to one llama.cpp server over its socket: counts a prompt's tokens, and reads a group of draws as they grow."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
import msgspec

from bon.errors import BadReply, Rejected, Unavailable, Unreachable
from bon.generate.chat_reply import Choice, Reply, read_reply, reported
from bon.generate.chat_stream import ChatStream
from bon.generate.llamacpp.process import Address
from bon.transport.sse import EventReader
from bon.types import Candidate, Delta, Seconds, Usage

__all__ = ["Client", "connected"]

_SILENCE = 120.0
"""Seconds without a byte after which a server is given up; it sends comments while it reads a prompt."""


@asynccontextmanager
async def connected(address: Address) -> AsyncIterator[Client]:
    """A client of the server that listens there, for as long as the block lasts."""
    # The server closes a connection after a stream without saying so: one must not be used again.
    connector = (
        aiohttp.UnixConnector(address.socket, force_close=True)
        if address.socket
        else aiohttp.TCPConnector(force_close=True)
    )
    async with aiohttp.ClientSession(
        address.url,
        connector=connector,
        headers={"Authorization": f"Bearer {address.key}"},
        timeout=aiohttp.ClientTimeout(total=None, sock_read=_SILENCE),
    ) as session:
        yield Client(session)


class Client:
    """Raises Rejected for what the server refuses, Unavailable for what it fails at, Unreachable where it is gone."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def prompt_tokens(self, body: Mapping[str, Any]) -> int:
        """How many tokens a chat request's prompt has."""
        rendered = await self._json("/apply-template", body)
        text = {"content": rendered["prompt"], "add_special": True, "parse_special": True}
        return len((await self._json("/tokenize", text))["tokens"])

    async def draw(
        self, body: Mapping[str, Any], *, asked: float
    ) -> AsyncGenerator[tuple[int, Delta | Candidate], None]:
        """The draws of a request for `n` of them as they grow: (place in the group, what it adds, or its end).

        `asked` is the time (monotonic) from which seconds count. Candidates have their place as index. Closing this
        closes the connection, and with it the draws.
        """
        body = {**body, "stream": True, "stream_options": {"include_usage": True}}
        group = [_Growing() for _ in range(body["n"])]
        stops = [body["stop"]] if isinstance(body.get("stop"), str) else body.get("stop", ())
        unsent = max((len(stop.encode()) for stop in stops), default=0)
        last = 0
        async with aclosing(self._events(body)) as events:
            async for event in events:
                reply = _read(event)
                for choice in reply.choices or ():
                    last, choice.index = choice.index, 0
                    delta = group[last].add(choice, event, asked)
                    if delta is not None:
                        yield last, delta
                # What a draw has cost follows its finish_reason.
                if reply.tokens is not None and group[last].chat.ended:
                    yield last, group[last].candidate(last, reply.tokens, unsent=unsent, asked=asked)

    async def _json(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        try:
            async with self._session.post(path, json=body) as response:
                await _refuse(response)
                answer: dict[str, Any] = await response.json()
                return answer
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _gone(error) from error

    async def _events(self, body: Mapping[str, Any]) -> AsyncGenerator[bytes, None]:
        reader = EventReader()
        try:
            async with self._session.post("/v1/chat/completions", json=body) as response:
                await _refuse(response)
                async for chunk in response.content.iter_any():
                    for event in reader.feed(chunk):
                        if event != b"[DONE]":
                            yield event
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _gone(error) from error


@dataclass(slots=True)
class _Growing:
    """One draw of a group."""

    chat: ChatStream = field(default_factory=ChatStream)
    ids: list[int] = field(default_factory=list)
    first: float | None = None

    def add(self, choice: Choice, event: bytes, asked: float) -> Delta | None:
        if choice.logprobs is not None:
            self.first = self.first or time.monotonic() - asked
            self.ids += _token_ids(event)
        return self.chat.feed(Reply(choices=[choice]))

    def candidate(self, place: int, usage: Usage, *, unsent: int, asked: float) -> Candidate:
        """The finished draw; `unsent` is how many tokens of a stop string the server may have kept to itself.

        The server also keeps the tokens to itself that end in the middle of a character. What it said of the others
        would be of the wrong tokens then: better nothing.
        """
        clock = Seconds(total=time.monotonic() - asked, first_token=self.first)
        drawn = self.chat.candidate(index=place, seconds=clock, seed=None, generator="")
        if place:  # the first of the group has read the prompt for all
            usage = replace(usage, cached_tokens=usage.prompt_tokens)
        lost = usage.completion_tokens - len(self.ids) - (drawn.finish_reason != "length")  # an end token is never sent
        return replace(
            drawn,
            usage=usage,
            logprobs=drawn.logprobs if lost <= unsent else None,
            token_ids=tuple(self.ids) if lost <= 0 else None,
        )


class _Token(msgspec.Struct):
    id: int


class _Tokens(msgspec.Struct):
    content: list[_Token] | None = None


class _TokenChoice(msgspec.Struct):
    logprobs: _Tokens | None = None


class _TokenChunk(msgspec.Struct):
    choices: list[_TokenChoice]


_TOKENS = msgspec.json.Decoder(_TokenChunk)


def _token_ids(event: bytes) -> list[int]:
    """The ids beside the logprobs, which are llama.cpp's own addition to the format."""
    given = [choice.logprobs.content or [] for choice in _TOKENS.decode(event).choices if choice.logprobs]
    return [token.id for tokens in given for token in tokens]


def _read(event: bytes) -> Reply:
    try:
        reply = read_reply(event)
    except msgspec.DecodeError as error:
        raise BadReply(f"llama.cpp sent no chat completion: {event[:200]!r}") from error
    if reply.error:
        raise Unavailable("llama.cpp: {1} (status {0})".format(*reported(reply.error)))
    return reply


async def _refuse(response: aiohttp.ClientResponse) -> None:
    """Raise for a refusal, in the server's own words."""
    if response.status == 200:
        return
    text = await response.text()
    try:
        status, words = reported(msgspec.json.decode(text).get("error", text))
    except (msgspec.DecodeError, AttributeError):
        status, words = response.status, text[:500]
    if response.status < 500:
        raise Rejected(f"llama.cpp refuses the request: {words}", status=status)
    raise Unavailable(f"llama.cpp: {words} (status {status})")


def _gone(error: Exception) -> Unreachable:
    return Unreachable(f"llama.cpp broke off: {type(error).__name__} {error}".rstrip())
