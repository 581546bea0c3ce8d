"""Virtual time: it jumps, it keeps the order, it hears threads, and it says when nothing will ever happen."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from bon.testing import virtual_time


def test_a_day_passes_in_no_time_and_ends_where_it_should() -> None:
    async def day() -> list[float]:
        loop, seen = asyncio.get_running_loop(), []
        for hours in (1, 2, 21):
            await asyncio.sleep(3600 * hours)
            seen.append(loop.time())
        return seen

    started = time.process_time()
    assert virtual_time(day()) == [3600, 3 * 3600, 24 * 3600]
    assert time.process_time() - started < 5


def test_timers_fire_in_their_order_and_at_their_time() -> None:
    async def run() -> list[tuple[float, int]]:
        heard: list[tuple[float, int]] = []
        loop = asyncio.get_running_loop()

        async def sleeper(seconds: int) -> None:
            await asyncio.sleep(seconds)
            heard.append((loop.time(), seconds))

        await asyncio.gather(*map(sleeper, (5, 3, 9, 3, 1_000_000)))
        return heard

    assert virtual_time(run()) == [(3, 3), (3, 3), (5, 5), (9, 9), (1_000_000, 1_000_000)]


def test_deadlines_pass_in_virtual_time_and_not_before() -> None:
    async def run() -> None:
        async with asyncio.timeout(60):
            await asyncio.sleep(59)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await asyncio.Event().wait()
        assert asyncio.get_running_loop().time() == 119

    virtual_time(run())


def test_what_is_ready_runs_before_the_clock_moves() -> None:
    async def run() -> float:
        for _ in range(1000):
            await asyncio.sleep(0)
        return asyncio.get_running_loop().time()

    assert virtual_time(run()) == 0


def test_a_deadlock_is_an_error_and_not_a_hang() -> None:
    async def waits_for_ever() -> None:
        await asyncio.Event().wait()

    with pytest.raises(AssertionError, match="every task waits"):
        virtual_time(waits_for_ever(), patience=0.05)


def test_threads_are_heard() -> None:
    async def run() -> str:
        loop, called = asyncio.get_running_loop(), asyncio.Event()
        threading.Timer(0.02, loop.call_soon_threadsafe, [called.set]).start()
        await called.wait()
        return await asyncio.to_thread(lambda: "done")

    assert virtual_time(run()) == "done"


def test_errors_and_results_come_out_and_the_next_run_starts_at_zero() -> None:
    async def fails() -> None:
        await asyncio.sleep(7)
        raise ValueError("mine")

    async def now() -> float:
        return asyncio.get_running_loop().time()

    with pytest.raises(ValueError, match="mine"):
        virtual_time(fails())
    assert virtual_time(now()) == 0
