"""Requests and tokens a minute: never more in any 60 seconds, and nobody waits longer than that needs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from random import Random

import pytest

from bon.testing import virtual_time
from bon.transport.rates import MINUTE, Rates
from bon.transport.slots import Slots


@dataclass
class Call:
    """One call of a schedule: when it comes, what it is taken for, what it takes, how long it lasts."""

    comes: float
    estimate: int
    tokens: int
    lasts: float
    began: float = field(default=-1.0)

    @property
    def ends(self) -> float:
        return self.began + self.lasts

    def counts(self, moment: float) -> int:
        """The tokens that it counts for at a moment."""
        return self.tokens if moment >= self.ends else self.estimate


@dataclass
class Schedule:
    """Calls in the order of their coming, under limits."""

    calls: list[Call]
    slots: int
    rpm: int | None
    tpm: int | None

    @classmethod
    def at_random(cls, seed: int) -> Schedule:
        random = Random(seed)
        tpm = random.choice([None, 50, 500])
        comes, calls = 0.0, []
        for _ in range(random.randrange(2, 60)):
            comes += random.choice([0.0, 0.0, random.expovariate(0.5), random.uniform(0, 40)])
            estimate = random.randrange(0, 200 if random.random() < 0.1 else 40)
            calls.append(
                Call(
                    comes=comes,
                    estimate=estimate,
                    tokens=random.randrange(estimate + 1),
                    lasts=random.choice([0.0, random.uniform(0, 3), random.uniform(0, 90)]),
                )
            )
        return cls(calls=calls, slots=random.choice([1, 2, 5, 64]), rpm=random.choice([None, 1, 3, 10]), tpm=tpm)

    def run(self) -> None:
        """Let Slots decide when each call begins; `calls` are then in the order in which they asked."""
        asked: list[Call] = []

        async def call(slots: Slots, one: Call) -> None:
            clock = asyncio.get_running_loop().time
            await asyncio.sleep(one.comes - clock())
            one.comes = clock()
            asked.append(one)
            entry = await slots.acquire(one.estimate)
            one.began = clock()
            await asyncio.sleep(one.lasts)
            slots.release()
            if entry is not None:
                slots.correct(entry, one.tokens)

        async def all_of_them() -> None:
            slots = Slots(self.slots, rates=Rates(rpm=self.rpm, tpm=self.tpm))
            await asyncio.gather(*(call(slots, one) for one in self.calls))
            assert (slots.taken, slots.waiting) == (0, 0)

        virtual_time(all_of_them())
        self.calls = asked

    def may(self, one: Call, moment: float, before: list[Call]) -> bool:
        """Whether a call may begin at a moment after those before it: by the definition, and nothing cleverer."""
        under_way = [other for other in before if other.ends > moment]
        minute = [other for other in before if other.began + MINUTE > moment]
        tokens = sum(other.counts(moment) for other in minute)
        return (
            len(under_way) < self.slots
            and (self.rpm is None or len(minute) < self.rpm)
            and (self.tpm is None or tokens + min(one.estimate, self.tpm) <= self.tpm)
        )

    def earliest(self, place: int) -> float:
        """When the call may begin at the earliest, behind those that came before it."""
        one, before = self.calls[place], self.calls[:place]
        since = max([one.comes, *(other.began for other in before)])
        moments = [since, *(m for other in before for m in (other.ends, other.began + MINUTE) if m >= since)]
        return min(moment for moment in moments if self.may(one, moment, before))


@pytest.mark.parametrize("block", range(6))
def test_calls_begin_in_order_at_the_earliest_moment_that_the_limits_allow(block: int) -> None:
    for seed in range(block * 50, block * 50 + 50):
        schedule = Schedule.at_random(seed)
        schedule.run()
        for place, call in enumerate(schedule.calls):
            assert call.began == pytest.approx(schedule.earliest(place), abs=1e-6), (seed, place)


@pytest.mark.parametrize("block", range(5))
def test_no_minute_has_more_than_the_limit(block: int) -> None:
    for seed in range(10_000 + block * 50, 10_000 + block * 50 + 50):
        schedule = Schedule.at_random(seed)
        schedule.run()
        for first in schedule.calls:
            minute = [c for c in schedule.calls if first.began <= c.began < first.began + MINUTE - 1e-6]
            assert schedule.rpm is None or len(minute) <= schedule.rpm
            if schedule.tpm is not None:
                alone = max(c.tokens for c in minute)
                assert sum(c.tokens for c in minute) <= max(schedule.tpm, alone)


def test_a_call_of_more_tokens_than_a_minute_has_goes_alone() -> None:
    rates = Rates(tpm=100)
    rates.take(10, 0.0)
    assert rates.opens(1000, 1.0) == MINUTE
    large = rates.take(1000, MINUTE)
    assert rates.opens(1, MINUTE + 1) == 2 * MINUTE
    assert large is not None
    rates.correct(large, 60)
    assert rates.opens(40, MINUTE + 1) == MINUTE + 1
    assert rates.opens(41, MINUTE + 1) == 2 * MINUTE


def test_what_took_more_than_it_was_taken_for_makes_others_wait() -> None:
    rates = Rates(tpm=100)
    entry = rates.take(10, 0.0)
    assert entry is not None
    rates.correct(entry, 95)
    assert rates.opens(6, 1.0) == MINUTE
    assert rates.opens(5, 1.0) == 1.0


def test_what_was_never_sent_counts_for_nothing_and_late_corrections_do_no_harm() -> None:
    rates = Rates(rpm=1, tpm=100)
    entry = rates.take(50, 0.0)
    assert entry is not None
    rates.drop(entry)
    rates.drop(entry)
    assert rates.opens(100, 0.0) == 0.0
    late = rates.take(100, 0.0)
    assert late is not None
    assert rates.opens(100, MINUTE) == MINUTE
    rates.correct(late, 7)
    rates.drop(late)
    rates.take(100, MINUTE)
    assert rates.opens(0, MINUTE) == 2 * MINUTE
    assert rates.opens(1, 2 * MINUTE) == 2 * MINUTE


def test_without_limits_nothing_is_noted() -> None:
    rates = Rates()
    assert rates.take(10**9, 0.0) is None
    assert not rates.limited


def test_whoever_waits_for_the_rate_is_let_in_by_the_next_when_it_leaves() -> None:
    async def main() -> None:
        slots = Slots(1, rates=Rates(tpm=100))
        clock = asyncio.get_running_loop().time
        await slots.acquire(60)
        slots.release()
        large = asyncio.create_task(slots.acquire(90))
        small = asyncio.create_task(slots.acquire(10))
        await asyncio.sleep(1)
        assert not small.done(), "the large one came first"
        assert slots.taken == 0, "who waits for the rate holds no slot"
        large.cancel()
        await small
        assert clock() == 1

    virtual_time(main())


def test_another_limit_counts_from_now_on() -> None:
    async def main() -> None:
        slots = Slots(2)
        for _ in range(2):
            await slots.acquire()
        third = asyncio.create_task(slots.acquire())
        await asyncio.sleep(1)
        assert not third.done()
        slots.resize(3)
        await third
        slots.resize(1)
        slots.release()
        slots.release()
        assert slots.taken == 1
        last = asyncio.create_task(slots.acquire())
        await asyncio.sleep(1)
        assert not last.done()
        slots.release()
        await last

    virtual_time(main())
