"""The ledger: exact, in order, never deadlocked, nothing lost, and it says what is the matter."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Coroutine
from random import Random
from typing import Any

import pytest

import bon
from bon.errors import CapReached, UsageError
from bon.ledger import FREE, Caps, Ledger, Price, Reservation, charged, charging
from bon.testing import virtual_time
from bon.types import Spent, Usage

DEAR = Price(prompt=1e-6, completion=1e-5, cached=1e-7, call=0.01)


def tokens(prompt: int, completion: int = 0) -> Usage:
    return Usage(prompt_tokens=prompt, completion_tokens=completion)


async def reserve(ledger: Ledger, most: Usage | None = None, price: Price | None = FREE, by: str = "m") -> Reservation:
    return await ledger.reserve(most, price=price, by=by)


async def waiting(*coroutines: Coroutine[Any, Any, Reservation]) -> list[asyncio.Task[Reservation]]:
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    for _ in range(3):
        await asyncio.sleep(0)
    return tasks


def test_a_price_counts_what_is_read_written_and_remembered() -> None:
    usage = Usage(prompt_tokens=1000, completion_tokens=100, cached_tokens=400)
    assert DEAR.of(usage) == pytest.approx(0.01 + 600e-6 + 400e-7 + 100e-5)
    assert Price(prompt=1e-6, completion=1e-5).of(usage) == pytest.approx(1000e-6 + 100e-5)
    assert FREE.of(usage) == 0


@pytest.mark.parametrize("wrong", [-1.0, float("nan"), float("inf")])
def test_prices_and_caps_are_numbers_that_can_be_kept(wrong: float) -> None:
    with pytest.raises(UsageError, match="completion="):
        Price(prompt=1, completion=wrong)
    with pytest.raises(UsageError, match="money="):
        Caps(money=wrong)
    with pytest.raises(UsageError, match="rebate"):
        Price(prompt=1, completion=1, cached=2)


async def test_what_was_reserved_is_settled_for_what_it_was() -> None:
    ledger = Ledger(Caps(tokens=10_000, calls=10, money=1))
    one = await reserve(ledger, tokens(100, 500), DEAR)
    assert ledger.reserved == Spent(usage=tokens(100, 500), calls=1, money=pytest.approx(0.0151))
    assert ledger.spent.calls == 0
    one.settle(Usage(prompt_tokens=80, completion_tokens=20, cached_tokens=30))
    assert ledger.reserved == Spent()
    assert ledger.spent.usage == Usage(prompt_tokens=80, completion_tokens=20, cached_tokens=30)
    assert ledger.spent.money == pytest.approx(0.01 + 50e-6 + 30e-7 + 20e-5)
    (await reserve(ledger, tokens(1), DEAR)).settle(Usage(prompt_tokens=1, money=0.5))
    assert ledger.spent.money == pytest.approx(0.510253), "what the endpoint states counts more than the price"
    assert ledger.spent.calls == 2


async def test_a_call_of_which_nothing_is_known_counts_in_full_and_one_never_made_not_at_all() -> None:
    ledger = Ledger()
    (await reserve(ledger, tokens(100, 500), DEAR)).settle(None)
    assert ledger.spent.usage == tokens(100, 500)
    assert ledger.spent.money == pytest.approx(0.0151)
    (await reserve(ledger, tokens(100, 500), DEAR)).release()
    (await reserve(ledger, None, None)).settle(None)
    assert (ledger.spent.usage, ledger.spent.calls) == (tokens(100, 500), 2)


async def test_a_reservation_ends_once() -> None:
    ledger = Ledger(Caps(calls=5))
    one, two = await reserve(ledger, tokens(1)), await reserve(ledger, tokens(1))
    one.settle(tokens(1))
    one.settle(tokens(1))
    one.release()
    two.release()
    two.settle(None)
    assert (ledger.spent.calls, ledger.spent.usage, ledger.reserved.calls) == (1, tokens(1), 0)


async def test_sums_of_money_are_exact() -> None:
    ledger = Ledger(Caps(money=0.3))
    tenth = Price(prompt=0, completion=0, call=0.1)
    for _ in range(3):
        (await reserve(ledger, None, tenth)).settle(tokens(0))
    assert ledger.spent.money == 0.3
    with pytest.raises(CapReached):
        await reserve(ledger, None, tenth)
    ledger = Ledger()
    for one in [await reserve(ledger, None, tenth) for _ in range(1000)]:
        one.release()
    assert ledger.reserved == Spent()
    assert ledger.spent.money is None, "no call was made, so no price is known"


async def test_a_refusal_says_which_cap_what_is_spent_and_reserved_and_what_to_do() -> None:
    ledger = Ledger(Caps(tokens=1000), spent=Spent(usage=tokens(300, 100)))
    held = await reserve(ledger, tokens(200, 100))
    with pytest.raises(CapReached) as caught:
        await reserve(ledger, tokens(101, 500), by="openai:m")
    said = str(caught.value)
    for part in ("cap on tokens (1,000)", "openai:m", "400 spent", "300 reserved", "take 601", "--max-total-tokens"):
        assert part in said
    assert ledger.reached is caught.value
    with pytest.raises(CapReached):
        await reserve(ledger, tokens(2000))
    assert ledger.reached is caught.value, "the first"
    held.settle(None)
    ledger = Ledger(Caps(money=2, calls=7), spent=Spent(money=1.9987, calls=3))
    with pytest.raises(CapReached, match=r"cap on money \(\$2\).*\$1\.9987 spent, \$0 reserved.*\$0\.0101.*--max-cost"):
        await reserve(ledger, tokens(100), DEAR)
    with pytest.raises(CapReached, match=r"cap on calls \(3\).*3 spent.*take 1; raise.*--max-calls, Caps\(calls="):
        await reserve(Ledger(Caps(calls=3), spent=Spent(calls=3)))


async def test_under_a_cap_that_could_not_be_kept_nothing_is_called() -> None:
    with pytest.raises(UsageError, match="a cap on money, and nothing bounds a call of m: give max_tokens"):
        await reserve(Ledger(Caps(money=1)), None, DEAR)
    with pytest.raises(UsageError, match="a cap on tokens, and nothing bounds"):
        await reserve(Ledger(Caps(tokens=1)), None, FREE)
    with pytest.raises(UsageError, match=r"no price of m is known.*\[prices\].*bon\[prices\].*--allow-unpriced"):
        await reserve(Ledger(Caps(money=1)), tokens(1), None)
    ledger = Ledger(Caps(money=1), allow_unpriced=True)
    (await reserve(ledger, None, None)).settle(tokens(7))
    assert ledger.spent.usage == tokens(7)
    (await reserve(Ledger(Caps(money=1)), None, FREE)).settle(tokens(7))


async def test_one_waits_while_others_may_leave_room_and_is_refused_when_they_do_not() -> None:
    ledger = Ledger(Caps(tokens=1000))
    first = await reserve(ledger, tokens(600))
    second, third = await waiting(reserve(ledger, tokens(500)), reserve(ledger, tokens(500)))
    assert not second.done()
    first.settle(tokens(100))
    (await second).settle(tokens(450))
    with pytest.raises(CapReached, match="550 spent"):
        await third
    fourth = await reserve(ledger, tokens(450))
    assert ledger.reserve_now(tokens(1), price=FREE, by="m") is None
    fourth.release()
    assert ledger.reserve_now(tokens(450), price=FREE, by="m") is not None


async def test_first_come_first_served() -> None:
    ledger, order = Ledger(Caps(tokens=10)), []
    held = await reserve(ledger, tokens(9))

    async def ask(name: str, size: int) -> Reservation:
        one = await reserve(ledger, tokens(size))
        order.append(name)
        return one

    tasks = await waiting(ask("large", 5), ask("small", 1), ask("small too", 1))
    assert order == [], "one that would fit does not overtake one that waits"
    assert ledger.reserve_now(tokens(1), price=FREE, by="m") is None
    held.release()
    for task in tasks:
        (await task).release()
    assert order == ["large", "small", "small too"]


async def test_a_waiter_that_is_cancelled_makes_way_for_those_behind_it() -> None:
    ledger = Ledger(Caps(tokens=10))
    held = await reserve(ledger, tokens(5))
    large, small = await waiting(reserve(ledger, tokens(9)), reserve(ledger, tokens(3)))
    large.cancel()
    (await asyncio.wait_for(small, 1)).release()
    held.release()
    assert ledger.reserved == Spent(money=None)


async def test_cancelled_in_the_moment_of_handover() -> None:
    ledger = Ledger(Caps(calls=1))
    held = await reserve(ledger)
    first, second = await waiting(reserve(ledger), reserve(ledger))
    held.release()  # handed to the first, who is cancelled before it hears of it
    first.cancel()
    (await asyncio.wait_for(second, 1)).settle(tokens(1))
    with pytest.raises(asyncio.CancelledError):
        await first
    assert (ledger.spent.calls, ledger.reserved.calls) == (1, 0)


async def test_a_call_that_took_more_than_its_bound_is_counted_as_it_was() -> None:
    ledger = Ledger(Caps(tokens=100))
    (await reserve(ledger, tokens(90))).settle(tokens(150))
    assert ledger.spent.usage == tokens(150)
    with pytest.raises(CapReached):
        await reserve(ledger, tokens(1))


async def test_earlier_runs_count_and_a_higher_cap_lets_the_run_go_on() -> None:
    ledger = Ledger(Caps(calls=2), spent=Spent(calls=1, usage=tokens(5), money=0.5, seconds=7))
    (await reserve(ledger, tokens(5), DEAR)).settle(tokens(5))
    with pytest.raises(CapReached):
        await reserve(ledger)
    again = Ledger(Caps(calls=3), spent=ledger.spent)
    (await reserve(again)).settle(tokens(1))
    assert again.spent.calls == 3
    assert again.spent.usage == tokens(11)
    assert again.spent.money == pytest.approx(0.510005)
    assert again.spent.seconds >= 7


def test_seconds_pass_from_the_beginning_on_and_earlier_ones_count() -> None:
    async def run() -> None:
        ledger = Ledger(Caps(seconds=100, calls=1), spent=Spent(seconds=40))
        await asyncio.sleep(10)
        held = await reserve(ledger)
        assert ledger.spent.seconds == 50
        assert held.seconds_left == 50
        (late,) = await waiting(reserve(ledger))
        await asyncio.sleep(49)
        assert not late.done()
        with pytest.raises(CapReached, match=r"cap on seconds \(100\).*100 spent; raise it.*--max-seconds"):
            await late
        assert asyncio.get_running_loop().time() == 60
        assert held.seconds_left == 0.001, "never 0, which is no limit to some"
        assert "cap on seconds" in str(held.overdue())
        held.settle(tokens(1))
        with pytest.raises(CapReached):
            await reserve(ledger)

    virtual_time(run())


def test_the_clock_of_a_ledger_made_outside_a_loop_starts_with_its_first_call() -> None:
    ledger = Ledger(Caps(seconds=5))
    assert ledger.seconds == 0

    async def run() -> None:
        await asyncio.sleep(100)
        (await reserve(ledger)).settle(tokens(1))
        await asyncio.sleep(4)

    virtual_time(run())
    assert ledger.spent.seconds == 4


async def test_listeners_hear_of_each_settlement_and_under_caps_of_each_reservation() -> None:
    free, settled = Ledger(), []
    free.listeners.append(lambda one: settled.append(one.spent.calls))
    (await reserve(free)).settle(None)
    assert settled == [1]
    ledger, heard = Ledger(Caps(calls=9)), []
    ledger.listeners.append(lambda one: heard.append((one.spent.calls, one.at_worst.calls)))
    (await reserve(ledger)).settle(None)
    (await reserve(ledger)).release()
    last = await reserve(ledger)
    last.settle(None)
    last.settle(None)
    assert heard == [(0, 1), (1, 1), (1, 2), (1, 2), (2, 2)], "what is given back unused is nothing to hear of"


async def test_256_at_once_at_a_cap_spend_it_to_the_last_call_and_not_more() -> None:
    ledger, made, at_once = Ledger(Caps(tokens=100 * 100)), 0, 0
    random = Random(0)

    async def call() -> bool:
        nonlocal made, at_once
        try:
            one = await reserve(ledger, tokens(100))
        except CapReached:
            return False
        made += 1
        at_once = max(at_once, ledger.reserved.calls)
        await asyncio.sleep(0.001 * random.random())
        one.settle(tokens(100))
        return True

    done = await asyncio.gather(*(call() for _ in range(256)))
    assert sum(done) == made == 100
    assert at_once == 100
    assert ledger.spent.usage == tokens(100 * 100)
    assert ledger.reserved == Spent()


def test_several_threads_at_once_share_one_cap() -> None:
    ledger = Ledger(Caps(tokens=3000, calls=10_000))
    refused, over = [0] * 4, []

    async def call(random: Random, thread: int) -> None:
        try:
            one = await reserve(ledger, tokens(40, 60))
        except CapReached:
            refused[thread] += 1
            return
        try:
            await asyncio.sleep(0.001 * random.random())
            if ledger.spent.usage.total_tokens > 3000:
                over.append(ledger.spent)
            if random.random() < 0.3:
                one.release()
            else:
                one.settle(tokens(random.randrange(41), random.randrange(61)))
        finally:
            one.settle(None)

    async def calls(thread: int) -> None:
        random = Random(thread)
        tasks = [asyncio.create_task(call(random, thread)) for _ in range(60)]
        await asyncio.sleep(0.002)
        for task in random.sample(tasks, 5):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    threads = [threading.Thread(target=asyncio.run, args=(calls(thread),), daemon=True) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)
    assert not over
    assert ledger.spent.usage.total_tokens <= 3000
    assert ledger.reserved == Spent()
    assert sum(refused) > 0


def test_a_waiter_whose_loop_is_gone_is_passed_over() -> None:
    ledger = Ledger(Caps(calls=1))
    loop = asyncio.new_event_loop()
    held = loop.run_until_complete(reserve(ledger))
    abandoned = [loop.create_task(reserve(ledger)) for _ in range(2000)]
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    held.release()
    assert ledger.reserved == Spent()
    del abandoned
    gc.collect()
    assert ledger.reserved == Spent()


def test_who_pays_is_the_innermost() -> None:
    outer, inner = bon.Ledger(), bon.Ledger(bon.Caps(calls=1))
    assert charged() is None
    with outer as entered:
        assert entered is charged() is outer
        with inner, inner:
            assert charged() is inner
            with charging(None):
                assert charged() is None
        assert charged() is outer
    assert charged() is None


async def test_tasks_and_threads_enter_the_same_ledger_without_disturbing_each_other() -> None:
    ledger, other = Ledger(), Ledger()

    async def inside(seconds: float) -> bool:
        with ledger:
            await asyncio.sleep(seconds)
            return charged() is ledger

    with other:
        assert all(await asyncio.gather(inside(0.002), inside(0.001), inside(0.003)))
        assert await asyncio.to_thread(lambda: charged() is other)
        assert charged() is other
