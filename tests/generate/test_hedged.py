"""Slow draws get a spare: when, how many, who wins, and what becomes of the loser, upstream and in the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from random import Random

import pytest

from bon.budgets import Fixed
from bon.concurrency import cancel
from bon.engine import Plan, run
from bon.errors import StoreError
from bon.events import Event, Spending, listening
from bon.generate.hedged import Hedged
from bon.generate.openai import OpenAIGenerator
from bon.generate.request import draw_seed
from bon.ledger import Caps, Ledger
from bon.registry import Builder, Config
from bon.testing import check_generator, virtual_time
from bon.testing.faults import Fault
from bon.testing.server import FaultServer
from bon.types import Candidate, Draw, Failure, Prompt, Usage

PROMPT = Prompt(id="p", messages=({"role": "user", "content": "one two three"},), request={"seed": 1, "max_tokens": 9})


@dataclass
class Timed:
    """Draws that take as long as `seconds` says of each call, in the order of the calls; it knows who was ended."""

    seconds: Callable[[int], float] = lambda _: 1.0
    fails: Callable[[int], bool] = lambda _: False
    name: str = "timed"
    queued: bool = False
    calls: list[int] = field(default_factory=list)
    """The index of each call's draw."""
    ended: list[int] = field(default_factory=list)
    """The numbers of the calls that were closed before they were done."""

    async def __call__(self, prompt: Prompt, n: int, *, start: int = 0) -> AsyncGenerator[Draw, None]:
        assert n == 1
        number = len(self.calls)
        self.calls.append(start)
        try:
            await asyncio.sleep(self.seconds(number))
        except asyncio.CancelledError:
            self.ended.append(number)
            raise
        if self.fails(number):
            yield Failure(stage="generate", error="Unavailable", message=f"call {number}", index=start)
        else:
            yield Candidate(
                index=start, text=f"call {number}", usage=Usage(completion_tokens=number), generator="timed"
            )


@dataclass
class Together(Timed):
    """The calls 20 and 21 land in the same moment."""

    landing: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, prompt: Prompt, n: int, *, start: int = 0) -> AsyncGenerator[Draw, None]:
        number = len(self.calls)
        if number >= 20:
            self.calls.append(start)
            await self.landing.wait()
            yield Candidate(index=start, text=f"call {number}", usage=Usage(completion_tokens=number))
            return
        async for draw in super().__call__(prompt, n, start=start):
            yield draw


async def draws(generator: Hedged, n: int = 1, start: int = 0) -> list[Draw]:
    return [draw async for draw in generator(PROMPT, n, start=start)]


def slow(*numbers: int, seconds: float = 100.0) -> Callable[[int], float]:
    return lambda number: seconds if number in numbers else 1.0


async def warm(generator: Hedged, count: int = 20) -> None:
    for index in range(count):
        await draws(generator, start=index)


def now() -> float:
    return asyncio.get_running_loop().time()


def test_a_slow_draw_gets_a_spare_and_the_first_candidate_wins() -> None:
    async def main() -> None:
        events: list[Event] = []
        inner = Timed(slow(20))
        generator = Hedged(inner, hook=events.append)
        await warm(generator)
        assert not events
        began = now()
        (draw,) = await draws(generator, start=20)
        assert now() - began == pytest.approx(2.0), "one second until it is slow, one for the spare"
        assert isinstance(draw, Candidate)
        assert (draw.text, draw.index) == ("call 21", 20)
        assert inner.calls[20:] == [20, 20]
        assert inner.ended == [20]
        (told,) = [event for event in events if isinstance(event, Spending)]
        assert (told.prompt_id, told.by, told.usage, told.calls) == ("p", "timed", None, 1)

    virtual_time(main())


def test_where_the_first_is_faster_after_all_the_spare_is_ended() -> None:
    async def main() -> None:
        inner = Timed(lambda number: {20: 1.5, 21: 9.0}.get(number, 1.0))
        generator = Hedged(inner, hook=lambda _: None)
        await warm(generator)
        (draw,) = await draws(generator, start=20)
        assert isinstance(draw, Candidate)
        assert (draw.text, inner.ended) == ("call 20", [21])

    virtual_time(main())


@pytest.mark.parametrize(("failing", "wins"), [((20,), 21), ((21,), 20)])
def test_a_failure_of_one_waits_for_the_other(failing: Sequence[int], wins: int) -> None:
    async def main() -> None:
        times = {20: 5.0, 21: 9.0} if 20 in failing else {20: 9.0, 21: 1.0}
        inner = Timed(lambda number: times.get(number, 1.0), fails=lambda number: number in failing)
        generator = Hedged(inner, hook=lambda _: None)
        await warm(generator)
        (draw,) = await draws(generator, start=20)
        assert isinstance(draw, Candidate)
        assert draw.text == f"call {wins}"
        assert not inner.ended

    virtual_time(main())


def test_where_both_fail_it_is_one_failure() -> None:
    async def main() -> None:
        events: list[Event] = []
        inner = Timed(slow(20, seconds=5.0), fails=lambda number: number >= 20)
        generator = Hedged(inner, hook=events.append)
        await warm(generator)
        (draw,) = await draws(generator, start=20)
        assert isinstance(draw, Failure)
        assert (draw.index, draw.message, len(inner.calls)) == (20, "call 20", 22)
        assert [event.calls for event in events if isinstance(event, Spending)] == [1]

    virtual_time(main())


def test_two_that_land_at_once_are_both_paid_for() -> None:
    async def main() -> None:
        events: list[Event] = []
        landing = asyncio.Event()
        generator = Hedged(Together(landing=landing), hook=events.append)
        await warm(generator)
        asyncio.get_running_loop().call_later(9, landing.set)
        (draw,) = await draws(generator, start=20)
        assert isinstance(draw, Candidate)
        assert draw.text == "call 20"
        assert [event.usage for event in events if isinstance(event, Spending)] == [Usage(completion_tokens=21)]

    virtual_time(main())


@pytest.mark.parametrize("known", [0, 19])
def test_nothing_is_called_slow_before_twenty_are_known(known: int) -> None:
    async def main() -> None:
        inner = Timed(slow(known, seconds=1000.0))
        generator = Hedged(inner, hook=lambda _: None)
        await warm(generator, known)
        await draws(generator, start=known)
        assert len(inner.calls) == known + 1

    virtual_time(main())


def test_what_is_slow_slides_with_the_last_hundred() -> None:
    async def main() -> None:
        inner = Timed(lambda number: 1.0 if number < 100 else 10.0)
        generator = Hedged(inner, hook=lambda _: None)
        await warm(generator, 100)
        await warm(generator, 150)
        spares = len(inner.calls) - 250
        assert 1 <= spares <= 20, "until a draw of ten seconds is nothing special"
        before = len(inner.calls)
        await warm(generator, 100)
        assert len(inner.calls) == before + 100

    virtual_time(main())


def test_failures_do_not_make_the_rest_look_slow() -> None:
    async def main() -> None:
        inner = Timed(lambda number: 0.001 if number % 2 else 1.0, fails=lambda number: bool(number % 2))
        generator = Hedged(inner, hook=lambda _: None)
        await warm(generator, 100)
        assert len(inner.calls) == 100

    virtual_time(main())


@pytest.mark.parametrize("seed", range(5))
def test_at_most_a_tenth_gets_a_spare(seed: int) -> None:
    async def main() -> None:
        random = Random(seed)
        inner = Timed(lambda number: random.choice([0.1, 1.0, 50.0]) * (1 + number))  # slower and slower
        generator = Hedged(inner, hook=lambda _: None)
        for start in range(0, 400, 8):
            await draws(generator, 8, start)
            assert len(inner.calls) - (start + 8) <= 0.1 * (start + 8)
        assert len(inner.calls) > 420

    virtual_time(main())


def test_no_spare_while_calls_queue() -> None:
    async def main() -> None:
        inner = Timed(slow(20))
        generator = Hedged(inner, hook=lambda _: None)
        await warm(generator)
        inner.queued = True
        await draws(generator, start=20)
        assert len(inner.calls) == 21

    virtual_time(main())


def test_leaving_ends_both() -> None:
    async def main() -> None:
        inner = Timed(slow(20, 21))
        generator = Hedged(inner, hook=lambda _: None)
        await warm(generator)
        task = asyncio.create_task(draws(generator, start=20))
        await asyncio.sleep(10)
        await cancel([task])
        assert inner.ended == [20, 21]

    virtual_time(main())


def test_what_is_raised_is_raised_and_nothing_goes_on() -> None:
    class Broken(Timed):
        async def __call__(self, prompt: Prompt, n: int, *, start: int = 0) -> AsyncGenerator[Draw, None]:
            async for draw in super().__call__(prompt, n, start=start):
                if len(self.calls) == 22:
                    raise StoreError("the disk is full")
                yield draw

    async def main() -> None:
        inner = Broken(slow(20))
        generator = Hedged(inner, hook=lambda _: None)
        await warm(generator)
        with pytest.raises(StoreError):
            await draws(generator, start=20)
        assert inner.ended == [20]

    virtual_time(main())


@pytest.mark.parametrize("quantile", [0.0, 1.0, 95])
def test_a_quantile_is_a_share(quantile: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        Hedged(Timed(), quantile=quantile)


# On an endpoint


class Stuck:
    """Faults: the request of one number hangs."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __call__(self, number: int) -> Fault | None:
        return Fault(delay=30) if number == self.number else None


async def test_the_loser_is_aborted_upstream_and_counted_in_full() -> None:
    events: list[Event] = []
    async with FaultServer(answers=["four or five"], faults=Stuck(20)) as server:
        generator = Builder(Config()).generator(f"openai:m@{server.url}?hedge=true")
        with generator, Ledger(Caps(calls=1000)) as ledger, listening(events.append):
            for index in range(20):
                assert [draw async for draw in generator(PROMPT, 1, start=index)]
            settled = ledger.spent
            (draw,) = [draw async for draw in generator(PROMPT, 1, start=20)]
        await server.ledger.until()
        first, spare = server.ledger.calls[20:]
        assert (first.end, spare.end) == ("aborted", "finished")
        assert first.request == spare.request, "the same draw: prompt, seed and all"
        assert isinstance(draw, Candidate)
        assert (draw.seed, draw.index) == (draw_seed(1, "p", 20), 20)
        assert ledger.spent.calls == settled.calls + 2
        most = ledger.spent.usage.completion_tokens - settled.usage.completion_tokens
        assert most == 3 + 9, "what was written, and all that the loser could have written"
        assert ledger.reserved.calls == 0
        (told,) = [event for event in events if isinstance(event, Spending)]
        assert (told.calls, told.usage, told.by) == (1, None, "openai:m")


async def test_the_pool_counts_the_spare() -> None:
    events: list[Event] = []
    async with FaultServer(answers=["four"], faults=Stuck(24)) as server:
        with Builder(Config()).generator(f"openai:m@{server.url}?hedge=true") as generator:
            plan = Plan(generator=generator, budget=Fixed(8), hook=events.append)
            pools = [await run(Prompt(id=str(i), messages=PROMPT.messages), plan) for i in range(4)]
        spares = sum(event.calls for event in events if isinstance(event, Spending))
        assert [len(pool) for pool in pools] == [8] * 4
        assert spares >= 1
        assert sum(pool.spent.calls for pool in pools) == 32 + spares
        assert len(server.ledger.aborted) >= 1


async def test_it_is_a_generator_like_any_other() -> None:
    async with FaultServer() as server:
        inner = OpenAIGenerator("m", url=server.url)
        generator = Hedged(inner)
        assert (generator.name, generator.model, generator.charges) == ("openai:m", "m", True)
        await check_generator(generator)
        shown = [delta async for delta in generator.stream(PROMPT, 3)]
        assert shown[-1].candidate is not None
        assert shown[-1].candidate.index == 3
        generator.close()
