"""Merging async iterators: nothing lost, nothing left running."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator

import pytest

from bon.concurrency import Merged, as_landed, merge, until_broken


async def numbers(start: int, count: int, ended: list[int], *, wait: float = 0.0) -> AsyncGenerator[int, None]:
    try:
        for number in range(start, start + count):
            await asyncio.sleep(wait)
            yield number
    finally:
        ended.append(start)


async def test_everything_arrives_and_everything_ends() -> None:
    ended: list[int] = []
    seen = [item async for item in merge([numbers(0, 5, ended), numbers(100, 3, ended), numbers(200, 0, ended)])]
    assert sorted(seen) == [0, 1, 2, 3, 4, 100, 101, 102]
    assert sorted(ended) == [0, 100, 200]


async def test_items_of_one_source_keep_their_order() -> None:
    seen = [item async for item in merge([numbers(0, 50, []), numbers(100, 50, [])])]
    assert [item for item in seen if item < 100] == list(range(50))


async def test_leaving_early_ends_the_rest_and_waits_for_it() -> None:
    ended: list[int] = []
    merged = merge([numbers(0, 1, ended), numbers(100, 10**6, ended, wait=0.001)])
    async for _ in merged:
        break
    await merged.aclose()
    assert sorted(ended) == [0, 100]


async def test_one_more_may_join_while_the_others_run() -> None:
    merged: Merged[int] = Merged([numbers(0, 1, [])])
    seen = []
    async for item in merged:
        seen.append(item)
        if item == 0:
            merged.add(numbers(100, 2, []))
    assert seen == [0, 100, 101]


async def test_what_has_landed_is_known_before_it_is_taken_and_an_end_is_no_item() -> None:
    merged: Merged[int] = Merged([numbers(0, 3, [])])
    known = []
    async for item in merged:
        await asyncio.sleep(0.01)  # it goes on, and ends, meanwhile
        known.append((item, merged.landed))
    assert known == [(0, True), (1, True), (2, False)]


async def test_cancelling_one_leaves_the_others() -> None:
    ended: list[int] = []
    merged: Merged[int] = Merged()
    endless = merged.add(numbers(0, 10**6, ended, wait=0.001))
    merged.add(numbers(100, 3, ended, wait=0.002))
    seen = []
    async for item in merged:
        seen.append(item)
        if item == 100:
            endless.cancel()
    assert [item for item in seen if item >= 100] == [100, 101, 102]
    assert sorted(ended) == [0, 100]


async def test_an_exception_is_raised_and_ends_the_rest() -> None:
    ended: list[int] = []

    async def broken() -> AsyncGenerator[int, None]:
        yield 1
        raise LookupError("gone")

    merged = merge([broken(), numbers(100, 10**6, ended, wait=0.001)])
    with pytest.raises(LookupError, match="gone"):
        async for _ in merged:
            pass
    assert ended == [100]


async def test_cancellation_from_outside_ends_the_sources() -> None:
    ended: list[int] = []

    async def consume() -> None:
        async for _ in merge([numbers(0, 10**6, ended, wait=0.001)]):
            pass

    task = asyncio.ensure_future(consume())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0)
    assert ended == [0]


async def test_as_landed_yields_in_the_order_of_landing() -> None:
    async def after(seconds: float) -> float:
        await asyncio.sleep(seconds)
        return seconds

    assert [item async for item in as_landed([after(0.03), after(0.01), after(0.02)])] == [0.01, 0.02, 0.03]


async def test_as_landed_cancels_what_is_left_when_one_fails() -> None:
    cancelled = []

    async def endless() -> int:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise
        return 0

    async def fails() -> int:
        await asyncio.sleep(0)
        raise LookupError("gone")

    with pytest.raises(LookupError):
        async for _ in as_landed([endless(), fails()]):
            pass
    assert cancelled == [True]


async def test_until_broken_passes_items_on_until_they_end() -> None:
    async def three() -> AsyncGenerator[int, None]:
        for item in range(3):
            await asyncio.sleep(0)
            yield item

    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    assert [item async for item in until_broken(three(), never)] == [0, 1, 2]


async def test_until_broken_raises_at_once_and_ends_what_it_waits_for() -> None:
    broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    ended = []

    async def endless() -> AsyncGenerator[int, None]:
        try:
            yield 0
            broken.set_exception(LookupError("gone"))
            await asyncio.sleep(60)
        finally:
            ended.append(True)

    with pytest.raises(LookupError, match="gone"):
        async for _ in until_broken(endless(), broken):
            pass
    assert ended == [True]


async def two_fail(wait: asyncio.Event, ended: asyncio.Event) -> None:
    """A merge of which two fail in one moment, and one does not end before it may."""

    async def fails() -> AsyncGenerator[int, None]:
        await wait.wait()
        raise LookupError("gone")
        yield 0

    async def slow_to_end() -> AsyncGenerator[int, None]:
        try:
            await asyncio.sleep(60)
            yield 0
        finally:
            await ended.wait()

    async for _ in merge([fails(), fails(), slow_to_end()]):
        pass


async def test_a_merge_that_is_cancelled_while_it_ends_has_looked_at_all_that_failed() -> None:
    unseen: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unseen.append(context["message"]))
    wait, ended = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(two_fail(wait, ended))
    await asyncio.sleep(0)
    wait.set()
    for _ in range(5):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    del task
    gc.collect()
    assert unseen == []


async def test_as_landed_cancelled_while_it_ends_has_looked_at_all_that_failed() -> None:
    unseen: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unseen.append(context["message"]))
    wait, ended = asyncio.Event(), asyncio.Event()

    async def fails() -> None:
        await wait.wait()
        raise LookupError("gone")

    async def slow_to_end() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await ended.wait()

    async def all_three() -> None:
        async for _ in as_landed([fails(), fails(), slow_to_end()]):
            pass

    task = asyncio.create_task(all_three())
    await asyncio.sleep(0)
    wait.set()
    for _ in range(5):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    del task
    gc.collect()
    assert unseen == []
