"""Draws that are paid for one by one: what is bought is drawn, what is not is a failure, and nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from random import Random
from typing import Any

import pytest

import bon
from bon.errors import CapReached, DrawError, ModelError, NoCandidates, UsageError
from bon.generate.metered import Metered
from bon.generate.mixture import Mixture
from bon.generate.request import at_most
from bon.ledger import FREE, Caps, Ledger, Price, charged
from bon.testing import Scripted, check_generator, virtual_time
from bon.types import Candidate, Draw, Failure, Prompt, Spent, Usage

ASKED = bon.prompt("Why is the sky blue?", max_tokens=10)
MOST = at_most(ASKED, ASKED.request)
assert MOST is not None
A_DRAW = MOST.total_tokens


class Counting(Scripted):
    """A scripted generator that remembers how many draws each of its calls was for."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.calls: list[int] = []

    async def __call__(self, prompt: Prompt, n: int, *, start: int = 0) -> AsyncIterator[Draw]:
        self.calls.append(n)
        async with aclosing(super().__call__(prompt, n, start=start)) as draws:
            async for draw in draws:
                yield draw


async def drawn(generator: Metered, n: int, *, start: int = 0) -> list[Draw]:
    async with aclosing(generator(ASKED, n, start=start)) as draws:
        return sorted([draw async for draw in draws], key=lambda draw: draw.index or 0)


def says(candidates: list[Draw]) -> list[str | None]:
    return [draw.text if isinstance(draw, Candidate) else None for draw in candidates]


@pytest.mark.parametrize("caps", [None, Caps(), Caps(tokens=10**9)])
async def test_it_keeps_every_promise_of_a_generator(caps: Caps | None) -> None:
    generator = Metered(Scripted(["a b", "c"], delay=0.001), price=FREE)
    if caps is None:
        await check_generator(generator, prompt=ASKED, repeatable=True)
        return
    with Ledger(caps) as ledger:
        await check_generator(generator, prompt=ASKED, repeatable=True)
    assert ledger.spent.calls > 0
    assert ledger.reserved == Spent()


async def test_where_there_is_room_for_all_they_are_asked_for_in_one_call() -> None:
    inner = Counting(["a", "b"])
    with Ledger(Caps(tokens=8 * A_DRAW)) as ledger:
        assert says(await drawn(Metered(inner, price=FREE), 8)) == ["a", "b"] * 4
    assert inner.calls == [8]
    assert ledger.spent.usage == Usage(prompt_tokens=8 * 5, completion_tokens=8)
    assert (ledger.spent.calls, ledger.spent.money) == (8, 0)


async def test_as_draws_settle_for_less_there_is_room_for_more() -> None:
    inner = Counting(["a"], delay=lambda prompt, index: 0.001 * index)
    with Ledger(Caps(tokens=3 * A_DRAW)) as ledger:
        assert says(await drawn(Metered(inner, price=FREE), 20)) == ["a"] * 20
    assert inner.calls[0] == 3
    assert sum(inner.calls) == 20
    assert ledger.spent.usage.total_tokens == 20 * 6


async def test_what_cannot_be_bought_is_a_failure_of_each_draw_and_what_can_is_drawn() -> None:
    inner = Scripted(["a"])
    with Ledger(Caps(calls=5)) as ledger:
        draws = await drawn(Metered(inner, price=FREE), 8, start=2)
    assert [draw.index for draw in draws] == list(range(2, 10))
    assert says(draws) == ["a"] * 5 + [None] * 3
    for draw in draws[5:]:
        assert isinstance(draw, Failure)
        assert (draw.stage, draw.error, draw.by) == ("generate", "CapReached", "scripted")
        assert "cap on calls (5)" in draw.message
    assert len(inner.started) == 5
    assert ledger.spent.calls == 5


async def test_what_failed_counts_in_full_and_what_says_what_it_took_counts_that() -> None:
    price = Price(prompt=0.001, completion=0.01)
    lines = ["one", DrawError("broke"), Candidate(index=0, text="c"), Candidate(index=0, text="d", cached=True)]
    with Ledger(Caps(money=1000)) as ledger:
        draws = await drawn(Metered(Scripted(lines), price=price), 4)
    assert says(draws) == ["one", None, "c", "d"]
    assert MOST is not None
    took = Usage(prompt_tokens=5, completion_tokens=1)
    assert ledger.spent.usage == took + MOST + MOST, "the failed, and the one that says nothing; not the cached"
    assert ledger.spent.calls == 3
    assert ledger.spent.money == pytest.approx(price.of(took) + 2 * price.of(MOST))


async def test_closing_aborts_and_settles_what_is_under_way() -> None:
    inner = Scripted(["a"], delay=60)
    with Ledger(Caps(tokens=3 * A_DRAW)) as ledger:
        draws = Metered(inner, price=FREE)(ASKED, 8)
        landing = asyncio.ensure_future(anext(draws))
        await asyncio.sleep(0.01)
        assert ledger.reserved.calls == 3
        landing.cancel()
        with suppress(asyncio.CancelledError):
            await landing
        await draws.aclose()
    assert sorted(inner.aborted) == [(ASKED.id, index) for index in range(3)]
    assert (ledger.reserved, ledger.spent.calls) == (Spent(), 3)
    assert ledger.spent.usage.total_tokens == 3 * A_DRAW


@pytest.mark.parametrize("turns", range(8))
async def test_cancelled_before_it_has_begun_nothing_was_spent_and_nothing_is_held(turns: int) -> None:
    inner = Scripted(["a"], delay=60)
    with Ledger(Caps(tokens=3 * A_DRAW)) as ledger:
        task = asyncio.create_task(drawn(Metered(inner, price=FREE), 8))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert ledger.reserved == Spent()
    assert len(inner.started) <= ledger.spent.calls <= 3


@pytest.mark.parametrize("error", [UsageError("no such field"), ModelError("no such model")])
async def test_what_could_never_be_made_costs_nothing_and_is_raised(error: Exception) -> None:
    with Ledger(Caps(tokens=8 * A_DRAW)) as ledger:
        with pytest.raises(type(error)):
            await drawn(Metered(Scripted([error]), price=FREE), 8)
        with pytest.raises(type(error)):
            await anext(Metered(Scripted([error]), price=FREE).stream(ASKED, 0))
    assert (ledger.spent.calls, ledger.reserved) == (0, Spent())


async def test_a_cap_that_could_not_be_kept_stops_the_run() -> None:
    with Ledger(Caps(money=1)), pytest.raises(UsageError, match="no price of scripted"):
        await drawn(Metered(Scripted(["a"]), price=None), 2)
    with Ledger(Caps(tokens=1000)), pytest.raises(UsageError, match="give max_tokens"):
        async for _ in Metered(Scripted(["a"]), price=FREE)(bon.prompt("Why?"), 1):
            pass


def test_the_cap_on_seconds_cuts_draws_off() -> None:
    async def run() -> None:
        inner = Scripted(["a"], delay=lambda prompt, index: 10.0 * (index + 1))
        with Ledger(Caps(seconds=25)) as ledger:
            draws = await drawn(Metered(inner, price=FREE), 4)
            assert says(draws) == ["a", "a", None, None]
            assert isinstance(draws[2], Failure)
            assert (draws[2].error, draws[2].index) == ("CapReached", 2)
            assert "cap on seconds (25)" in draws[2].message
            assert asyncio.get_running_loop().time() == 25
            assert (ledger.spent.calls, ledger.reserved) == (4, Spent())
            assert len(inner.aborted) == 2
            with pytest.raises(CapReached):
                await anext(Metered(inner, price=FREE).stream(ASKED, 0))

    virtual_time(run())


def test_the_cap_on_seconds_cuts_a_stream_off() -> None:
    async def run() -> None:
        inner, seen = Scripted(["one two three four"], delay=40), ""
        with Ledger(Caps(seconds=25)) as ledger:
            try:
                async for delta in Metered(inner, price=FREE).stream(ASKED, 0):
                    seen += delta.text
            except CapReached as error:
                seen += type(error).__name__
        assert seen == "one two CapReached"
        assert (ledger.spent.usage, ledger.reserved) == (MOST, Spent())
        assert inner.aborted == [(ASKED.id, 0)]

    virtual_time(run())


async def test_a_stream_is_paid_for_too() -> None:
    generator = Metered(Scripted(["one two"]), price=FREE)
    with Ledger(Caps(calls=1)) as ledger:
        deltas = [delta async for delta in generator.stream(ASKED, 0)]
        assert "".join(delta.text for delta in deltas) == "one two"
        assert ledger.spent.usage == Usage(prompt_tokens=5, completion_tokens=2)
        with pytest.raises(CapReached):
            await anext(generator.stream(ASKED, 1))
    ledger = Ledger()
    with ledger:
        left = generator.stream(ASKED, 0)
        await anext(left)
        assert ledger.reserved.calls == 1
        await left.aclose()
    assert (ledger.spent.usage, ledger.reserved) == (MOST, Spent())


async def test_a_draw_is_paid_for_once_whatever_it_calls() -> None:
    paying: list[Ledger | None] = []

    async def thinks_twice(prompt: Prompt, n: int, *, start: int = 0) -> AsyncIterator[Draw]:
        paying.append(charged())
        async with aclosing(Metered(Scripted(["a"]), price=FREE)(prompt, 2 * n)) as thoughts:
            paying.extend([charged() async for _ in thoughts])
        for index in range(start, start + n):
            yield Candidate(index=index, text="thought")

    with Ledger(Caps(calls=1)) as ledger:  # where the inner calls waited for the outer one, this would hang
        (draw,) = await asyncio.wait_for(drawn(Metered(thinks_twice, price=FREE), 1), 5)
        assert charged() is ledger
    assert says([draw]) == ["thought"]
    assert set(paying) == {None}
    assert ledger.spent.calls == 1


async def test_an_error_of_the_generator_is_raised_and_its_draws_count_in_full() -> None:
    async def breaks(prompt: Prompt, n: int, *, start: int = 0) -> AsyncIterator[Draw]:
        yield Candidate(index=start, text="a", usage=Usage(prompt_tokens=1, completion_tokens=1))
        raise RuntimeError("boom")

    with Ledger(Caps(tokens=3 * A_DRAW)) as ledger, pytest.raises(RuntimeError):
        await drawn(Metered(breaks, price=FREE), 3)
    assert (ledger.spent.usage.total_tokens, ledger.reserved) == (2 + 2 * A_DRAW, Spent())


@pytest.mark.parametrize("seed", range(200))
def test_many_prompts_at_one_cap_over_random_failures_and_departures(seed: int) -> None:
    async def run() -> None:
        random = Random(seed)
        lines = ["a", "a b c", DrawError("broke"), Candidate(index=0, text="x", cached=True)]
        inner = Scripted(
            lambda prompt, index: random.choice(lines),
            delay=lambda prompt, index: random.choice([0, 1, random.random()]),
        )
        caps = Caps(
            tokens=random.choice([None, random.randrange(12) * A_DRAW]),
            calls=random.choice([None, random.randrange(20)]),
            seconds=random.choice([None, None, 2.5]),
        )
        with Ledger(caps) as ledger:
            metered = Metered(inner, price=FREE)

            async def ask() -> None:
                async with aclosing(metered(ASKED, n := random.randrange(1, 9))) as draws:
                    indices = []
                    async for draw in draws:
                        indices.append(draw.index)
                        assert caps.tokens is None or (
                            ledger.spent.usage.total_tokens + ledger.reserved.usage.total_tokens <= caps.tokens
                        )
                    assert sorted(index for index in indices if index is not None) == list(range(n))

            asked = [asyncio.create_task(ask()) for _ in range(random.randrange(1, 8))]
            for task in random.sample(asked, len(asked) // 2):
                asyncio.get_running_loop().call_later(random.choice([0, 0.5, 1]), task.cancel)
            for ended in await asyncio.gather(*asked, return_exceptions=True):
                assert ended is None or isinstance(ended, asyncio.CancelledError)
            assert ledger.reserved == Spent()
            assert caps.calls is None or ledger.spent.calls <= caps.calls
            assert len(inner.started) >= ledger.spent.calls

    virtual_time(run())


# Through the front doors: k of N under a cap is a result; nothing is NoCandidates.


def test_best_of_n_under_a_cap_gives_what_arrived() -> None:
    with bon.Ledger(bon.Caps(calls=3)) as ledger:
        r = bon.best_of_n("Why?", n=8, generator=Scripted(["a", "b b", "c"]), scorer="heuristic", max_tokens=10)
    assert len(r.pool) == 3
    assert [failure.error for failure in r.failures] == ["CapReached"] * 5
    assert "--max-calls" in r.failures[0].message
    assert ledger.spent.calls == 3
    assert ledger.reached is not None


async def test_abest_of_n_under_a_cap_gives_what_arrived() -> None:
    with bon.Ledger(bon.Caps(tokens=300)) as ledger:
        r = await bon.abest_of_n("Why?", n=8, generator=Scripted(["a"]), scorer="heuristic", max_tokens=10)
    assert 1 <= len(r.pool) < 8
    assert len(r.pool) + len(r.failures) == 8
    assert ledger.spent.usage.total_tokens <= 300


def test_nothing_that_could_be_bought_is_no_candidates_with_the_reason() -> None:
    with bon.Ledger(bon.Caps(calls=0)), pytest.raises(NoCandidates, match=r"CapReached: the cap on calls \(0\)"):
        bon.best_of_n("Why?", n=8, generator=Scripted(["a"]), scorer="heuristic")
    with bon.Ledger(bon.Caps(money=1)), pytest.raises(UsageError, match="no price of scripted is known"):
        bon.best_of_n("Why?", n=8, generator=Scripted(["a"]), scorer="heuristic")


async def test_one_ledger_for_prompts_threads_and_loops() -> None:
    generator = bon.generator(Scripted(["a"]))

    def blocking() -> int:
        with suppress(NoCandidates):
            return len(bon.best_of_n("Why?", n=4, generator=generator, scorer="heuristic").pool)
        return 0

    with bon.Ledger(bon.Caps(calls=10)) as ledger:
        async_one = bon.abest_of_n("Why?", n=4, generator=generator, scorer="heuristic", min_candidates=0)
        counts = await asyncio.gather(*(asyncio.to_thread(blocking) for _ in range(4)))
        assert sum(counts) == ledger.spent.calls == 10
        with suppress(NoCandidates):
            await async_one
    assert ledger.spent.calls == 10


async def test_a_generator_of_yours_that_nobody_built_is_paid_for_too() -> None:
    async def parrot(prompt: Prompt, n: int, *, start: int = 0) -> AsyncIterator[Draw]:
        for index in range(start, start + n):
            yield Candidate(index=index, text=prompt.text)

    with bon.Ledger(bon.Caps(calls=2)) as ledger:
        pool = await bon.run(ASKED, bon.Plan(generator=parrot, budget=bon.Fixed(4)))
    assert (len(pool), len(pool.failures), ledger.spent.calls) == (2, 2, 2)
    assert pool.failures[0].by == "parrot"


async def test_a_mixture_charges_for_each_of_its_parts() -> None:
    dear = Price(prompt=0, completion=0, call=1)
    parts = [
        Metered(Scripted(["a"], name="free"), price=FREE),
        Metered(Scripted(["b"], name="dear"), price=dear),
    ]
    with bon.Ledger(bon.Caps(money=2)) as ledger:
        plan = bon.Plan(generator=Mixture(parts), budget=bon.Fixed(8))
        pool = await bon.run(ASKED, plan)
    assert [candidate.generator for candidate in pool.candidates] == ["free", "dear", "free", "dear", "free", "free"]
    assert ledger.spent.money == 2
