"""Limits as they are stated, and the width that an endpoint's own refusals teach."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bon.errors import RateLimited
from bon.testing import virtual_time
from bon.transport import Limits
from bon.transport.attempt import Attempt
from bon.transport.limits import Concurrency, strictest
from bon.transport.pace import Pace


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"slots": 0}, "slots is 0"),
        ({"slots": None}, "slots is None"),
        ({"rpm": 0}, "rpm is 0"),
        ({"tpm": 1.5}, "tpm is 1.5"),
        ({"rpm": True}, "rpm is True"),
        ({"tpm": "30k"}, "tpm is '30k'"),
        ({"adaptive": 1}, "adaptive is 1"),
    ],
)
def test_limits_that_are_none_are_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Limits(**given)


def test_the_strictest_of_several() -> None:
    assert strictest([]) == Limits()
    assert strictest([Limits(slots=128)]) == Limits(slots=128)
    several = [Limits(slots=9, rpm=100), Limits(slots=4, tpm=7), Limits(rpm=50, adaptive=False)]
    assert strictest(several) == Limits(slots=4, rpm=50, tpm=7, adaptive=False)


@given(st.integers(1, 100), st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(1, 200)), max_size=200))
def test_the_width_stays_between_one_and_the_most_and_falls_once_an_era(
    most: int, news: list[tuple[bool, bool, int]]
) -> None:
    width = Concurrency(most)
    assert width.limit == most
    for overloaded, current, under_way in news:
        before, era = width.limit, width.era
        told = era if current else era - 1
        (width.overloaded if overloaded else width.succeeded)(told, under_way=under_way)
        assert 1 <= width.limit <= most
        if not current:
            assert (width.limit, width.era) == (before, era), "news of calls from before the last decrease is old"
        elif overloaded:
            assert width.limit == max(1, min(before, under_way) // 2)
        else:
            assert before <= width.limit <= before + 1


def test_it_widens_by_one_for_each_window_of_successes_that_used_it() -> None:
    width = Concurrency(64)
    width.overloaded(0, under_way=8)
    assert width.limit == 4
    for _ in range(1000):
        width.succeeded(1, under_way=3)
    assert width.limit == 4, "what was not used proves nothing"
    widths = []
    for _ in range(4 + 5 + 6):
        width.succeeded(1, under_way=width.limit)
        widths.append(width.limit)
    assert widths == [4] * 3 + [5] * 5 + [6] * 6 + [7]


def test_another_bound_moves_a_width_that_was_at_it() -> None:
    width = Concurrency(8)
    width.bound(16)
    assert width.limit == 16
    width.overloaded(0, under_way=16)
    width.bound(32)
    assert width.limit == 8
    width.bound(4)
    assert width.limit == 4


class Endpoint:
    """An endpoint in virtual time that serves `capacity` calls at once and refuses the others."""

    def __init__(self, capacity: int, *, seed: int) -> None:
        self.capacity = capacity
        self.served = self.refused = self.under_way = 0
        self._random = Random(seed)

    async def answer(self) -> None:
        if self.under_way >= self.capacity:
            await asyncio.sleep(0.01)
            self.refused += 1
            raise RateLimited("too many at once")
        self.under_way += 1
        await asyncio.sleep(self._random.uniform(0.5, 1.5))
        self.under_way -= 1
        self.served += 1


async def keep_calling(pace: Pace, endpoint: Endpoint, *, seconds: float, callers: int) -> None:
    """Callers that want one answer after another and come back after a refusal, as the retry loop does."""
    clock = asyncio.get_running_loop().time
    end = clock() + seconds

    async def caller(number: int) -> None:
        random = Random(number)
        while clock() < end:
            entry, _ = await pace.turn(600.0, most=None, spread=lambda: 0.0)
            try:
                with Attempt(pace, entry, 600.0, None) as attempt:
                    attempt.start()
                    await endpoint.answer()
            except RateLimited:
                await asyncio.sleep(random.uniform(0, 0.5))

    await asyncio.gather(*(caller(number) for number in range(callers)))


@pytest.mark.parametrize("capacity", [1, 4, 10, 30])
def test_it_converges_to_what_the_endpoint_bears_and_widens_when_that_grows(capacity: int) -> None:
    async def main() -> None:
        pace, endpoint = Pace("virtual"), Endpoint(capacity, seed=capacity)
        await keep_calling(pace, endpoint, seconds=60, callers=80)
        assert 1 <= pace.slots.limit <= capacity + 1
        endpoint.served = endpoint.refused = 0
        await keep_calling(pace, endpoint, seconds=200, callers=80)
        most = 200 * capacity  # a call takes a second on average
        assert endpoint.served >= 0.65 * most, "additive increase keeps the endpoint busy"
        assert endpoint.refused <= 0.5 * endpoint.served / capacity + 20, "and it is rarely asked for too much"
        endpoint.capacity = 1000
        await keep_calling(pace, endpoint, seconds=200, callers=80)
        assert pace.slots.limit == 64, "an endpoint that got better is used in full again"

    virtual_time(main())


def test_without_adaptation_the_slots_stay() -> None:
    async def main() -> None:
        pace, endpoint, caller = Pace("virtual"), Endpoint(2, seed=1), Limits(slots=16, adaptive=False)
        holder = Endpoint(0, seed=0)
        pace.join(holder, caller)
        await keep_calling(pace, endpoint, seconds=20, callers=20)
        assert pace.slots.limit == 16
        assert endpoint.refused > 100

    virtual_time(main())
