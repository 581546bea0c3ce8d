"""The batcher: what is asked together is computed together, and nobody's error, loop or cancelling hurts another."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from bon.errors import ModelError
from bon.models.batcher import Batcher


class Work:
    """Doubles numbers; remembers what it was given, and in which thread; waits at a gate where one is set."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.threads: set[int] = set()
        self.gate = threading.Event()
        self.gate.set()
        self.begun = threading.Event()

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.calls.append(list(items))
        self.threads.add(threading.get_ident())
        self.begun.set()
        assert self.gate.wait(20)
        if any(item < 0 for item in items):
            raise ValueError(f"{min(items)} is negative")
        return [2 * item for item in items]


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
async def batcher(work: Work) -> AsyncIterator[Batcher[int, int]]:
    made = Batcher(work, name="test")
    yield made
    work.gate.set()
    made.close()


async def begun(work: Work) -> None:
    """Wait until the thread is at work, without standing in the way of the loop."""
    assert await asyncio.to_thread(work.begun.wait, 20)


async def holding(batcher: Batcher[int, int], work: Work) -> asyncio.Task[list[int]]:
    """A call that the thread is busy with until the gate opens."""
    work.gate.clear()
    work.begun.clear()
    task = asyncio.create_task(batcher([0]))
    await begun(work)
    return task


async def test_tasks_that_start_together_are_computed_together(batcher: Batcher[int, int], work: Work) -> None:
    assert await asyncio.gather(*(batcher([i, 10 * i]) for i in range(100))) == [[2 * i, 20 * i] for i in range(100)]
    assert len(work.calls) == 1
    assert work.threads != {threading.get_ident()}


async def test_tasks_that_take_a_few_turns_to_begin_are_waited_for(batcher: Batcher[int, int], work: Work) -> None:
    async def late(i: int) -> list[int]:
        await asyncio.sleep(0)
        return await batcher([i])

    async def later(i: int) -> list[int]:
        return await asyncio.create_task(late(i))

    await asyncio.gather(batcher([1]), late(2), later(3))
    assert work.calls == [[1, 2, 3]]


async def test_what_waits_while_the_thread_is_busy_is_one_call(batcher: Batcher[int, int], work: Work) -> None:
    held = await holding(batcher, work)
    tasks = []
    for i in range(5):
        tasks.append(asyncio.create_task(batcher([i])))
        await asyncio.sleep(0.005)
    work.gate.set()
    assert await asyncio.gather(*tasks) == [[2 * i] for i in range(5)]
    assert await held == [0]
    assert work.calls == [[0], [0, 1, 2, 3, 4]]


async def test_an_error_reaches_only_those_that_cause_it(batcher: Batcher[int, int]) -> None:
    done = await asyncio.gather(*(batcher([i]) for i in (1, -2, 3, -4)), return_exceptions=True)
    assert [done[0], done[2]] == [[2], [6]]
    assert [str(done[1]), str(done[3])] == ["-2 is negative", "-4 is negative"]
    assert await batcher([5]) == [10], "it goes on"


async def test_who_is_cancelled_before_the_turn_takes_the_items_away(batcher: Batcher[int, int], work: Work) -> None:
    held = await holding(batcher, work)
    tasks = [asyncio.create_task(batcher([i])) for i in (1, -2, 3)]
    await asyncio.sleep(0.01)
    tasks[1].cancel()
    await asyncio.sleep(0)
    work.gate.set()
    assert await asyncio.gather(tasks[0], tasks[2]) == [[2], [6]]
    await held
    assert work.calls == [[0], [1, 3]]
    assert tasks[1].cancelled()


async def test_who_is_cancelled_during_the_turn_hurts_nobody(batcher: Batcher[int, int], work: Work) -> None:
    work.gate.clear()
    tasks = [asyncio.create_task(batcher([i])) for i in (1, 2)]
    await begun(work)
    tasks[0].cancel()
    await asyncio.sleep(0)
    work.gate.set()
    assert await tasks[1] == [4]
    assert tasks[0].cancelled()
    assert await batcher([7]) == [14]


async def test_all_cancelled_is_no_call(batcher: Batcher[int, int], work: Work) -> None:
    task = asyncio.create_task(batcher([1]))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await batcher([2]) == [4]
    assert work.calls == [[2]]


def test_several_event_loops_share_one_thread(work: Work) -> None:
    batcher = Batcher(work, name="test")

    async def many(base: int) -> list[list[int]]:
        return await asyncio.gather(*(batcher([base + i]) for i in range(20)))

    def one(base: int) -> list[list[int]]:
        return asyncio.run(many(base))

    with ThreadPoolExecutor(4) as pool:
        for base, found in zip(range(0, 400, 100), pool.map(one, range(0, 400, 100)), strict=True):
            assert found == [[2 * (base + i)] for i in range(20)]
    assert len(work.threads) == 1
    assert sorted(item for call in work.calls for item in call) == sorted(
        base + i for base in range(0, 400, 100) for i in range(20)
    )
    batcher.close()


def test_a_loop_that_is_gone_hurts_nobody(work: Work) -> None:
    """Its results have nowhere to go; another loop's do."""
    batcher = Batcher(work, name="test")
    work.gate.clear()

    async def abandoned() -> None:
        task = asyncio.create_task(batcher([1]))
        await begun(work)
        task.cancel()

    asyncio.run(abandoned())
    work.gate.set()
    assert asyncio.run(batcher([2])) == [4]
    batcher.close()


async def test_no_items_are_no_call(batcher: Batcher[int, int], work: Work) -> None:
    assert await batcher([]) == []
    assert work.calls == []


async def test_a_wrong_number_of_results_is_an_error() -> None:
    batcher = Batcher[int, int](lambda items: [1], name="short")
    with pytest.raises(ModelError, match="short gave 1 results for 2 items"):
        await batcher([1, 2])
    batcher.close()


async def test_closing_ends_what_waits_and_finishes_what_runs(batcher: Batcher[int, int], work: Work) -> None:
    held = await holding(batcher, work)
    waiting = asyncio.create_task(batcher([1]))
    await asyncio.sleep(0.01)
    closing = asyncio.create_task(asyncio.to_thread(batcher.close))
    with pytest.raises(ModelError, match="test was closed before its turn"):
        await waiting
    work.gate.set()
    assert await held == [0]
    await closing
    with pytest.raises(ModelError, match="test is closed"):
        await batcher([2])
    batcher.close()  # twice is fine


async def test_asking_costs_little(batcher: Batcher[int, int]) -> None:
    """Far less than any model: under a millisecond a call, of CPU."""
    started = time.process_time()
    await asyncio.gather(*(batcher([i]) for i in range(1000)))
    assert time.process_time() - started < 1.0
