"""Draws candidates from any OpenAI-compatible endpoint: exactly N separate ones, whatever the endpoint makes of `n`."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from bon.concurrency import as_landed
from bon.errors import BadReply, CapReached, Denied, DrawError, Rejected, Retryable
from bon.events import Hook, Spending, tell
from bon.generate.chat_reply import Choice, Reply, candidate, read_reply, reported, split_usage
from bon.generate.chat_request import Ask
from bon.generate.chat_stream import ChatStream
from bon.generate.endpoints import open_endpoint
from bon.generate.request import DEFAULT_REQUEST
from bon.ledger import Bill, Price
from bon.transport import Endpoint
from bon.types import Candidate, Delta, Draw, Failure, Prompt, Seconds, Usage

__all__ = ["OpenAIGenerator"]

_PATH = "/chat/completions"
_DONE = b"[DONE]"
_MALFORMED = frozenset({400, 422})
"""HTTP statuses that say that a field of the request is not understood; `n`, perhaps."""


class OpenAIGenerator:
    """A Generator (and StreamingGenerator) on the chat completions of an OpenAI-compatible endpoint.

    `url` is the base, usually ending in /v1; without one it is OPENAI_BASE_URL, or OpenAI's own. The key in
    OPENAI_API_KEY belongs to that URL: it is sent there and nowhere else, unless you pass it as `key`. Both variables
    are read once, here. An `Endpoint` of your own (limits, timeouts, retries, headers; see `open_endpoint`) may stand
    in for `url` and `key`.

    `defaults` (temperature 0.7, top_p 0.9, max_tokens 512 unless given) are sent where the prompt does not say
    otherwise, fields such as `chat_template_kwargs` too; every field goes as it is, but for those that are this
    class's business (model, messages, n, stream). A prompt's `seed` is the run's: each draw sends
    its own, made from it, the prompt's id and the draw's index.

    `use_n`: whether several draws may share one request. "auto": they do where the prompt has no seed (all choices of
    a request share one, so a draw could not be made again by itself) until the endpoint is seen to give another number
    of choices than it was asked for. True: with a seed too. False: never. Choices are counted each time: surplus ones
    are dropped, missing ones are drawn singly.

    The usage of the candidates adds up to what the endpoint billed for them, dropped choices included; its money is
    what the endpoint states (`usage.cost`), else what it is at `price`. Each request is reserved in the run's ledger
    before it is sent; one for which there is no room fails its draws (CapReached) and no others. `hook` is told of
    retries (Retried), and of tokens paid for answers of which nothing could be used (Spending).
    """

    charges = True
    """It accounts for its own calls."""

    def __init__(
        self,
        model: str,
        *,
        url: str | Endpoint | None = None,
        key: str | None = None,
        name: str | None = None,
        defaults: Mapping[str, Any] | None = None,
        use_n: Literal["auto"] | bool = "auto",
        price: Price | None = None,
        hook: Hook = tell,
    ) -> None:
        self.endpoint = url if isinstance(url, Endpoint) else open_endpoint(model, url=url, key=key, hook=hook)
        self.model = model
        self.name = name or f"openai:{model}"
        self.defaults: Mapping[str, Any] = DEFAULT_REQUEST if defaults is None else defaults
        self.price = price
        self._use_n = use_n
        self._honours_n = True
        self._streams_usage = True
        self._warned = False
        self._hook = hook

    def __repr__(self) -> str:
        return f"OpenAIGenerator({self.model!r}, url={self.endpoint.name!r}, name={self.name!r})"

    @property
    def queued(self) -> bool:
        """Whether calls wait for a slot of the endpoint, so that another one would only wait longer."""
        return self.endpoint.pace.slots.waiting > 0

    def close(self) -> None:
        """Close the connections, from any thread."""
        self.endpoint.close()

    async def __call__(self, prompt: Prompt, n: int, *, start: int = 0) -> AsyncGenerator[Draw, None]:
        """Draw candidates `start .. start + n - 1`, each yielded as it lands; see `protocols.Generator`.

        A refusal that the other draws would get too (Denied: 401, 403, 404 ...) spares the endpoint those that still
        wait for a slot: each becomes a Failure with the same reason.
        """
        ask = self._ask(prompt, upto=start + n)
        indices, refused_n = range(start, start + n), False
        if n > 1 and self._honours_n and (self._use_n is True or (self._use_n == "auto" and not ask.seeded)):
            together = await self._together(ask, indices)
            for draw in together.draws:
                yield draw
            indices, refused_n = indices[len(together.draws) :], together.refused_n
        if len(indices) == 1:
            yield await self._one(ask, indices[0])
            return
        async with aclosing(as_landed(self._one(ask, index) for index in indices)) as landing:
            async for draw in landing:
                if refused_n and isinstance(draw, Candidate):
                    self._honours_n = False  # without `n` it answers, so it was `n` that it refused
                yield draw

    async def stream(self, prompt: Prompt, index: int) -> AsyncGenerator[Delta, None]:
        """Show one draw as it grows; the last Delta carries the candidate. Closing this ends the draw upstream.

        Raises a DrawError: Truncated where the answer broke off before its finish_reason. Nothing is tried again once
        a Delta was given.
        """
        ask = self._ask(prompt, upto=index + 1)
        seed, bill, chat, started, first = ask.seed(index), ask.bill(), ChatStream(), _now(), None
        options = {"include_usage": True} if self._streams_usage else None
        body = ask.sent(seed=seed, stream=True, stream_options=options)
        try:
            async with aclosing(self.endpoint.stream(_PATH, body, last=_DONE, bill=bill)) as events:
                async for data in events:
                    delta = None if data == _DONE else chat.feed(self._chunk(data))
                    if chat.ended:  # an earlier count is not the whole
                        bill.paid = self._priced(chat.usage)
                    if first is None and chat.begun:
                        first = _now() - started
                    if delta is not None:
                        yield delta
        except Retryable:
            if not chat.ended:  # the answer is whole: what broke off is only what it cost
                raise
        except Rejected as error:
            if not (self._streams_usage and "stream_options" in str(error)):
                raise
            self._streams_usage = False
            async with aclosing(self.stream(prompt, index)) as again:
                async for delta in again:
                    yield delta
            return
        seconds = Seconds(total=_now() - started, first_token=first)
        made = chat.candidate(index=index, seconds=seconds, seed=seed, generator=self.name)
        yield Delta(candidate=replace(made, usage=bill.paid))

    def _ask(self, prompt: Prompt, *, upto: int) -> Ask:
        ask = Ask.of(prompt, model=self.model, defaults=self.defaults, by=self.name, price=self.price)
        if upto > 1 and ask.request.get("temperature") == 0 and not self._warned:
            self._warned = True
            warnings.warn(f"{self.name}: temperature is 0, so all candidates may be the same", stacklevel=2)
        return ask

    async def _one(self, ask: Ask, index: int) -> Draw:
        """One draw with a request of its own."""
        seed, bill, started = ask.seed(index), ask.bill(), _now()

        def read(body: bytes) -> Candidate:
            reply = self._reply(body, bill)
            seconds = Seconds(total=_now() - started)
            try:
                if not reply.choices:
                    raise ValueError("it has no choices")
                return candidate(
                    self._sound(reply.choices[0]),
                    index=index,
                    seconds=seconds,
                    usage=bill.paid,
                    seed=seed,
                    generator=self.name,
                )
            except (DrawError, ValueError):
                self._lost(ask, bill, seconds)
                raise

        try:
            return await self.endpoint.post(_PATH, ask.sent(seed=seed), read=read, before=ask.still, bill=bill)
        except DrawError as error:
            if isinstance(error, Denied):
                ask.refused = error
            return Failure.of(error, stage="generate", index=index, by=self.name)

    async def _together(self, ask: Ask, indices: range) -> _Together:
        """As many of the draws as one request for all of them gives."""
        seed, bill, started = ask.seed(indices[0]), ask.bill(draws=len(indices)), _now()
        body, read = ask.sent(n=len(indices), seed=seed), partial(self._reply, bill=bill)
        try:
            reply = await self.endpoint.post(_PATH, body, read=read, before=ask.still, bill=bill)
        except DrawError as error:
            refused_n = isinstance(error, Rejected) and error.status in _MALFORMED
            if refused_n or isinstance(error, BadReply | CapReached):  # fewer at a time may do
                return _Together(draws=[], refused_n=refused_n)
            return _Together(draws=[Failure.of(error, stage="generate", index=i, by=self.name) for i in indices])
        choices = sorted(reply.choices or (), key=lambda choice: choice.index)
        self._honours_n = len(choices) == len(indices)
        whole = [c for c in choices if c.message and c.finish_reason and not c.failed][: len(indices)]
        seconds = Seconds(total=_now() - started)
        if not whole:
            self._lost(ask, bill, seconds)
        shares = split_usage(bill.paid, [choice.length for choice in whole])
        return _Together(
            draws=[
                candidate(choice, index=i, seconds=seconds, usage=usage, seed=seed, generator=self.name)
                for i, choice, usage in zip(indices, whole, shares, strict=False)
            ]
        )

    def _reply(self, body: bytes, bill: Bill | None = None) -> Reply:
        reply = read_reply(body)
        if bill is not None:
            bill.paid = self._priced(reply.tokens)
        if reply.error:
            raise self.endpoint.error(*reported(reply.error))
        return reply

    def _chunk(self, data: bytes) -> Reply:
        try:
            reply = self._reply(data)
        except ValueError as error:
            raise self.endpoint.unreadable(data, error) from error
        for choice in reply.choices or ():
            self._sound(choice)
        return reply

    def _sound(self, choice: Choice) -> Choice:
        """The choice, unless it is an error that is dressed up as one."""
        if choice.failed:
            raise self.endpoint.error(*reported(choice.error or "finish_reason is 'error'"))
        return choice

    def _priced(self, usage: Usage | None) -> Usage | None:
        """The usage with its money, where the endpoint does not state it and a price is known."""
        if usage is None or usage.money is not None or self.price is None:
            return usage
        return Usage(
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cached_tokens=usage.cached_tokens,
            money=self.price.of(usage),
        )

    def _lost(self, ask: Ask, bill: Bill, seconds: Seconds) -> None:
        if bill.paid is not None:
            self._hook(Spending(prompt_id=ask.prompt.id, by=self.name, usage=bill.paid, seconds=seconds.total))

    @property
    def identity(self) -> dict[str, str]:
        """What tells its draws from those of other models; see `generate.cached`."""
        return {"kind": "openai", "model": self.model, "url": self.endpoint.name}


@dataclass(slots=True, kw_only=True)
class _Together:
    """What one request for several draws gave."""

    draws: list[Draw]
    refused_n: bool = False
    """The request was refused, perhaps for its `n`."""


def _now() -> float:
    return asyncio.get_running_loop().time()
