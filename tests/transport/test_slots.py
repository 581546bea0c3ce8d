"""Slots: the limit holds, the order is kept, and no permit is lost, whoever is cancelled when."""

from __future__ import annotations

import asyncio
import gc
import threading
from random import Random

import pytest

from bon.transport import Slots


async def test_no_more_than_the_limit_and_in_the_order_of_asking() -> None:
    slots, order, most = Slots(3), [], 0

    async def call(i: int) -> None:
        nonlocal most
        await slots.acquire()
        order.append(i)
        most = max(most, slots.taken)
        await asyncio.sleep(0)
        slots.release()

    await asyncio.gather(*(call(i) for i in range(50)))
    assert order == list(range(50))
    assert most == 3
    assert (slots.taken, slots.waiting) == (0, 0)


async def test_cancelling_leaks_a_concurrency_permit() -> None:
    slots = Slots(1)
    await slots.acquire()
    first = asyncio.create_task(slots.acquire())
    second = asyncio.create_task(slots.acquire())
    await asyncio.sleep(0)
    slots.release()  # handed to the first, who is cancelled before it hears of it
    first.cancel()
    await asyncio.wait_for(second, 1)
    assert slots.taken == 1
    slots.release()
    assert (slots.taken, slots.waiting) == (0, 0)


@pytest.mark.parametrize("seed", range(20))
async def test_no_permit_is_lost_under_random_cancellation(seed: int) -> None:
    random, slots = Random(seed), Slots(4)

    async def call() -> None:
        await slots.acquire()
        try:
            await asyncio.sleep(0.001 * random.random())
        finally:
            slots.release()

    tasks = [asyncio.create_task(call()) for _ in range(60)]
    for _ in range(40):
        await asyncio.sleep(0.0005 * random.random())
        random.choice(tasks).cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (slots.taken, slots.waiting) == (0, 0)


def test_loops_in_several_threads_share_one_limit() -> None:
    slots, lock = Slots(2), threading.Lock()
    inside = most = done = 0

    async def call() -> None:
        nonlocal inside, most, done
        await slots.acquire()
        with lock:
            inside += 1
            most = max(most, inside)
        await asyncio.sleep(0.001)
        with lock:
            inside -= 1
            done += 1
        slots.release()

    async def calls() -> None:
        await asyncio.gather(*(call() for _ in range(20)))

    threads = [threading.Thread(target=asyncio.run, args=(calls(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert (done, most) == (80, 2)
    assert (slots.taken, slots.waiting) == (0, 0)


def test_a_waiter_whose_loop_is_gone_is_passed_over() -> None:
    slots = Slots(1)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(slots.acquire())
    abandoned = loop.create_task(slots.acquire())
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    slots.release()
    assert (slots.taken, slots.waiting) == (0, 0)
    del abandoned
    gc.collect()
    assert slots.taken == 0


def test_there_must_be_a_slot() -> None:
    with pytest.raises(ValueError, match="slots is 0"):
        Slots(0)
