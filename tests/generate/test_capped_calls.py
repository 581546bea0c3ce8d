"""Caps over HTTP: whatever goes wrong upstream, the endpoint never bills more than the cap; and what a bill says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import msgspec
import pytest

from bon.budgets import Fixed
from bon.engine import Plan, run
from bon.errors import CapReached
from bon.generate.openai import OpenAIGenerator
from bon.ledger import Caps, Ledger, Price
from bon.testing.faults import Fault, Faults, by_chance
from bon.testing.server import FaultServer
from bon.transport import Endpoint, Limits, Retries, Timeouts
from bon.types import Candidate, Delta, Draw, Failure, Prompt, Usage

MESSAGES = ({"role": "user", "content": "one two three"},)
REQUEST = {"max_tokens": 6}
PROMPT = Prompt(id="p", messages=MESSAGES, request=REQUEST)
SEEDED = Prompt(id="p", messages=MESSAGES, request={**REQUEST, "seed": 1})
PRICE = Price(prompt=0.001, completion=0.01, call=0.002)
TROUBLE = (
    (0.05, Fault(status=429)),
    (0.05, Fault(status=500)),
    (0.04, Fault(status=400)),
    (0.05, Fault(reset="before")),
    (0.05, Fault(reset="after")),
    (0.05, Fault(cut=50)),
    (0.05, Fault(no_finish=True)),
    (0.03, Fault(body=b'{"choices": [')),
    (0.03, Fault(stall=(40, 30))),
    (0.3, Fault(delay=0.01)),
)


@asynccontextmanager
async def drawing(faults: Faults = None, **options: Any) -> AsyncIterator[tuple[FaultServer, OpenAIGenerator]]:
    limits = options.pop("limits", None)
    async with FaultServer(answers=lambda _, i: "word " * (i % 9), faults=faults) as server:
        endpoint = Endpoint(
            server.url,
            limits=limits,
            retries=Retries(attempts=3, base=0.005, random=Random(1)),
            timeouts=Timeouts(first_byte=2, between_bytes=0.2),
        )
        generator = OpenAIGenerator("m", url=endpoint, price=PRICE, **options)
        try:
            yield server, generator
        finally:
            generator.close()


async def draws(generator: OpenAIGenerator, prompt: Prompt = SEEDED, n: int = 8, start: int = 0) -> list[Draw]:
    return [draw async for draw in generator(prompt, n, start=start)]


async def shown(generator: OpenAIGenerator, prompt: Prompt) -> list[Delta]:
    return [delta async for delta in generator.stream(prompt, 0)]


# Promise 12


def money_of(server: FaultServer) -> float:
    """What the endpoint bills at PRICE: every answer that it began to write."""
    return sum(PRICE.of(call.billed) for call in server.ledger.calls if call.billed != Usage())


Billed = Callable[[FaultServer], float]
CAPS: dict[str, tuple[Caps, Billed]] = {
    "tokens": (Caps(tokens=6000), lambda server: server.ledger.billed.total_tokens),
    "money": (Caps(money=6), money_of),
    "calls": (Caps(calls=100), lambda server: sum(call.billed != Usage() for call in server.ledger.calls)),
    "all": (Caps(tokens=9000, money=6, calls=150), lambda server: server.ledger.billed.total_tokens),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("cap", CAPS)
async def test_256_requests_at_once_at_a_cap_are_never_billed_more(cap: str, seed: int) -> None:
    caps, billed = CAPS[cap]
    random = Random(seed)
    async with drawing(by_chance(seed, *TROUBLE), limits=Limits(slots=256)) as (server, generator):
        with Ledger(caps) as ledger:

            async def client(number: int) -> object:
                prompt = Prompt(id=str(number), messages=MESSAGES, request={**REQUEST, "seed": seed})
                ask = draws(generator, prompt, n=1) if number % 4 else shown(generator, prompt)
                return await asyncio.wait_for(ask, random.choice([0.05, 30.0, 30.0, 30.0]))  # some leave

            ends = await asyncio.gather(*(client(number) for number in range(256)), return_exceptions=True)
            again = await draws(generator, n=2)
        await server.ledger.until()
        limit = getattr(caps, cap, caps.tokens)
        assert 0 < billed(server) <= limit
        spent = ledger.spent
        assert server.ledger.billed.total_tokens <= spent.usage.total_tokens <= (caps.tokens or 10**9)
        assert money_of(server) <= (spent.money or 0.0) + 1e-9
        assert (spent.money or 0.0) <= (caps.money or 10**9)
        assert spent.calls <= (caps.calls or 10**9)
        assert (ledger.reserved.calls, generator.endpoint.pace.slots.taken) == (0, 0)
        assert isinstance(ledger.reached, CapReached)
        refused = [draw for end in (*ends, again) if isinstance(end, list) for draw in end if isinstance(draw, Failure)]
        assert any(failure.error == "CapReached" for failure in refused)
        assert any(isinstance(draw, Candidate) for end in ends if isinstance(end, list) for draw in end)


async def test_a_cap_fails_the_draws_it_has_no_room_for_and_no_others() -> None:
    async with drawing() as (server, generator):
        ledger = Ledger(Caps(calls=5))
        pool = await run(SEEDED, Plan(generator=generator, budget=Fixed(8), ledger=ledger))
        assert len(pool) == 5
        assert [(failure.error, failure.by) for failure in pool.failures] == [("CapReached", "openai:m")] * 3
        assert "Caps(calls=...)" in pool.failures[0].message
        assert len(server.ledger.calls) == 5
        pool = await run(pool, Plan(generator=generator, budget=Fixed(8), ledger=Ledger(Caps(calls=9))))
        assert len(pool) == 5, "failures have landed: the budget is asked for no more"


async def test_where_there_is_no_room_for_all_in_one_request_there_may_be_for_some() -> None:
    async with drawing() as (server, generator):
        room = 4 * (256 + 16 + len("user") + len("one two three") + 6)
        with Ledger(Caps(tokens=room)) as ledger:
            landed = await draws(generator, PROMPT, n=64)
        made = [draw for draw in landed if isinstance(draw, Candidate)]
        assert len(made) >= 4
        assert len(made) + len([draw for draw in landed if isinstance(draw, Failure)]) == 64
        assert server.ledger.billed.total_tokens == ledger.spent.usage.total_tokens <= room


# What a bill says


async def test_several_draws_in_one_request_are_one_call() -> None:
    async with drawing() as (server, generator):
        with Ledger(Caps(calls=1)) as ledger:
            landed = await draws(generator, PROMPT, n=4)
        assert [call.request.get("n") for call in server.ledger.calls] == [4]
        total = sum((draw.usage for draw in landed if isinstance(draw, Candidate) and draw.usage), Usage())
        assert (total.prompt_tokens, total.completion_tokens) == (3, ledger.spent.usage.completion_tokens)
        assert total.money == pytest.approx(PRICE.of(server.ledger.billed))
        assert ledger.spent.money == pytest.approx(total.money)
        assert ledger.spent.calls == 1


@pytest.mark.parametrize("way", ["draw", "stream"])
async def test_money_is_what_the_endpoint_states_else_what_the_price_makes_of_it(way: str) -> None:
    async def one(generator: OpenAIGenerator) -> Candidate:
        if way == "draw":
            (draw,) = await draws(generator, n=1)
            assert isinstance(draw, Candidate)
            return draw
        last = (await shown(generator, SEEDED))[-1].candidate
        assert last is not None
        return last

    usage = {"prompt_tokens": 3, "completion_tokens": 2, "cost": 0.25}
    stated = {"choices": [{"message": {"content": "four"}, "finish_reason": "stop"}], "usage": usage}
    async with drawing([Fault(body=msgspec.json.encode(stated))]) as (_, generator):
        with Ledger() as ledger:
            first, second = await one(generator), await one(generator)
        assert first.usage == Usage(prompt_tokens=3, completion_tokens=2, money=0.25)
        assert second.usage is not None
        assert second.usage.money == pytest.approx(PRICE.of(second.usage))
        assert ledger.spent.money == pytest.approx(0.25 + second.usage.money)
    async with drawing() as (_, generator):
        generator.price = None
        unpriced = await one(generator)
        assert unpriced.usage is not None
        assert unpriced.usage.money is None


async def test_a_refusal_costs_nothing_and_a_lost_answer_what_it_took() -> None:
    async with drawing([Fault(status=401)]) as (_, generator):
        with Ledger() as ledger:
            (draw,) = await draws(generator, n=1)
        assert isinstance(draw, Failure)
        assert (ledger.spent.calls, ledger.spent.money) == (0, None)
    async with drawing([Fault(no_finish=True)]) as (server, generator):
        with Ledger() as ledger:
            await draws(generator, n=1)
        assert ledger.spent.usage == server.ledger.billed, "both answers said what they took"
        assert ledger.spent.calls == 2


async def test_without_max_tokens_a_cap_on_tokens_cannot_be_kept() -> None:
    endless = Prompt(id="p", messages=MESSAGES, request={"max_tokens": None})
    async with drawing() as (server, generator):
        with Ledger(Caps(tokens=10**6)), pytest.raises(Exception, match="give max_tokens"):
            await draws(generator, endless, n=2)
        with Ledger(Caps(calls=2)):
            assert all(isinstance(draw, Candidate) for draw in await draws(generator, endless, n=2))
        assert len(server.ledger.calls) <= 2
