"""What all callers of an endpoint share: slots, rates, its pauses, and the retries that are left."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from random import Random
from typing import Any

import msgspec
import pytest

from bon.errors import RateLimited, Unavailable
from bon.events import Event, Retried
from bon.testing import virtual_time
from bon.testing.faults import Fault
from bon.testing.server import FaultServer
from bon.transport import Endpoint, Limits, Retries, Timeouts
from bon.transport.pace import Pace
from bon.transport.policy import RetryBudget
from bon.transport.rates import MINUTE
from bon.types import Usage

PATH = "/chat/completions"
BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
QUICK = Retries(attempts=4, base=0.01, random=Random(1))
URL = "http://127.0.0.1:9/v1"


@contextmanager
def endpoints(*options: dict[str, Any]) -> Iterator[list[Endpoint]]:
    opened = [Endpoint(**{"url": URL, **given}) for given in options]
    try:
        yield opened
    finally:
        for endpoint in opened:
            endpoint.close()


async def post(endpoint: Endpoint) -> Any:
    return await endpoint.post(PATH, BODY, read=msgspec.json.decode)


# Who shares what


def test_one_pace_for_one_url_and_key() -> None:
    with endpoints({"key": "aaaa"}, {"key": "aaaa", "url": URL + "/"}, {"key": "bbbb"}, {}) as (one, same, other, none):
        assert one.pace is same.pace
        assert len({one.pace, other.pace, none.pace}) == 3
    with endpoints({"headers": {"Api-Key": "aaaa"}}, {"headers": {"api-key": "bbbb", "X-Title": "t"}}) as (one, other):
        assert one.pace is not other.pace
    with endpoints({"headers": {"X-Title": "t"}}, {}) as (one, same):
        assert one.pace is same.pace, "a header that is no key does not buy a second quota"


def test_no_pace_outlives_its_endpoints() -> None:
    with endpoints({"limits": Limits(slots=3)}, {}) as opened:
        pace = weakref.ref(opened[0].pace)
    opened.clear()
    assert pace() is None


def test_the_strictest_limits_hold_for_as_long_as_their_endpoint_is_there() -> None:
    with endpoints({"limits": Limits(slots=128, rpm=500)}, {}) as (wide, plain):
        slots = plain.pace.slots
        assert (slots.limit, slots.rates.rpm, slots.rates.tpm) == (128, 500, None), "who states nothing takes theirs"
        strict = Endpoint(URL, limits=Limits(slots=4, rpm=900, tpm=1000))
        assert (slots.limit, slots.rates.rpm, slots.rates.tpm) == (4, 500, 1000)
        del strict  # nobody called close()
        asyncio.run(take_one(wide))
        assert (slots.limit, slots.rates.rpm, slots.rates.tpm) == (128, 500, None)
        wide.close()
        asyncio.run(take_one(plain))
        assert (slots.limit, slots.rates.rpm) == (64, None)


async def take_one(endpoint: Endpoint) -> None:
    entry, _ = await endpoint.pace.turn(1.0, most=None, spread=lambda: 0.0)
    endpoint.pace.give_back(entry)


async def test_two_objects_share_slots() -> None:
    async with FaultServer(faults=Fault(delay=0.02)) as server:
        limited = {"url": server.url, "limits": Limits(slots=3)}
        with endpoints(limited, limited) as both:
            await asyncio.gather(*(post(both[i % 2]) for i in range(16)))
        assert server.ledger.most_at_once == 3


@pytest.mark.parametrize("headers", [{"Retry-After": "0.3"}, {"retry-after-ms": "300"}])
async def test_retry_after_told_to_one_object_holds_every_other_too(headers: dict[str, str]) -> None:
    async with FaultServer(faults=[Fault(status=429, headers=headers)]) as server:
        with endpoints({"url": server.url, "retries": QUICK}, {"url": server.url, "retries": QUICK}) as (one, other):
            told = asyncio.create_task(post(one))
            await server.ledger.until(started=1)
            await asyncio.sleep(0.05)
            elsewhere = asyncio.to_thread(asyncio.run, post(other))
            await asyncio.gather(told, elsewhere, *(post(other) for _ in range(5)))
        first, *later = server.ledger.calls
        assert len(later) == 7
        assert all(call.started - first.started >= 0.295 for call in later)


async def test_another_key_is_not_held() -> None:
    async with FaultServer(faults=[Fault(status=429, headers={"Retry-After": "2"})]) as server:
        quick = Timeouts(total=1.0)
        with endpoints({"url": server.url, "key": "aaaa", "timeouts": quick}, {"url": server.url}) as (told, other):
            with pytest.raises(RateLimited):
                await post(told)
            await asyncio.wait_for(post(other), 1)


# Rates


def test_calls_over_an_endpoint_keep_the_rate() -> None:
    """As `Endpoint` uses it: an entry for each attempt, corrected by its bill, dropped where it was never sent."""

    async def main() -> None:
        pace, caller = Pace("virtual"), object.__new__(Caller)
        pace.join(caller, Limits(rpm=10, tpm=1000))
        clock, begun = asyncio.get_running_loop().time, []

        async def call() -> None:
            most = Usage(prompt_tokens=30, completion_tokens=390)
            entry, _ = await pace.turn(600.0, most=most, spread=lambda: 0.0)
            begun.append(clock())
            await asyncio.sleep(1)
            pace.give_back(entry, used=20)

        await asyncio.gather(*(call() for _ in range(40)))
        # 400 are taken for each, so two go at a time and the next two when these have taken 20: ten in a minute.
        assert begun[:10] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
        for first, eleventh in zip(begun, begun[10:], strict=False):
            assert eleventh - first >= MINUTE
        assert max(later - earlier for earlier, later in pairwise(begun)) <= MINUTE

    virtual_time(main())


class Caller:
    """Somebody who states limits."""


async def test_a_call_that_waits_for_the_rate_holds_no_slot_and_its_deadline_stands_still() -> None:
    async with FaultServer() as server:
        limited = {"url": server.url, "limits": Limits(slots=1, rpm=2), "timeouts": Timeouts(total=0.2)}
        with endpoints(limited) as (endpoint,):
            for _ in range(2):
                await post(endpoint)
            waiting = asyncio.create_task(post(endpoint))
            await asyncio.sleep(0.4)
            slots = endpoint.pace.slots
            assert (slots.taken, slots.waiting) == (0, 1)
            assert not waiting.done()
            waiting.cancel()
            await asyncio.wait([waiting])
            assert (slots.taken, slots.waiting) == (0, 0)
            assert len(server.ledger.calls) == 2


async def test_what_was_refused_or_never_sent_takes_no_tokens() -> None:
    async with FaultServer(faults=Fault(status=400)) as server:
        with endpoints({"url": server.url, "limits": Limits(tpm=1000)}) as (endpoint,):
            for _ in range(5):  # each is taken for 1000, since nothing bounds it
                with pytest.raises(Exception, match="400"):
                    await asyncio.wait_for(post(endpoint), 5)
    with endpoints({"limits": Limits(tpm=1000), "retries": Retries(attempts=1)}) as (endpoint,):
        for _ in range(3):
            with pytest.raises(Exception, match="no answer"):
                await asyncio.wait_for(post(endpoint), 5)


# Retries


def test_a_retry_budget_is_a_stock_and_a_share() -> None:
    budget = RetryBudget(stock=3, share=0.25)
    assert [budget.spend() for _ in range(5)] == [True, True, True, False, False]
    for _ in range(4):
        budget.earn()
    assert [budget.spend(), budget.spend()] == [True, False]
    for _ in range(100):
        budget.earn()
    assert (budget.left, budget.full) == (3, True)


async def test_an_endpoint_that_is_down_is_not_sent_five_times_the_calls() -> None:
    calls, eager = 400, Retries(attempts=5, base=0.0, cap=0.0)
    async with FaultServer(faults=Fault(status=500)) as server:
        with endpoints({"url": server.url, "retries": eager}, {"url": server.url, "retries": eager}) as both:
            ends = await asyncio.gather(*(post(both[i % 2]) for i in range(calls)), return_exceptions=True)
        assert all(isinstance(end, Unavailable) for end in ends)
        assert len(server.ledger.calls) <= 1.2 * calls + 100
        assert len(server.ledger.calls) >= calls + 100, "what there is is used"
        said = [str(end) for end in ends if "the retries they share are used up" in str(end)]
        assert "(attempt 1; not tried again" in said[-1]


@pytest.mark.parametrize("fault", [Fault(status=429), Fault(status=503, headers={"retry-after-ms": "1"})])
async def test_what_the_endpoint_asks_for_is_free(fault: Fault) -> None:
    events: list[Event] = []
    sure = Retries(attempts=3, base=0.0, cap=0.0)
    async with FaultServer(faults=[fault, fault, None]) as server:
        with endpoints({"url": server.url, "retries": sure, "hook": events.append}) as (endpoint,):
            endpoint.pace.retries.left = 0.0
            await post(endpoint)
        assert len([event for event in events if isinstance(event, Retried)]) == 2
        assert len(server.ledger.calls) == 3


# Width


async def test_an_endpoint_that_refuses_is_called_less_at_once_and_more_again_when_it_bears_it() -> None:
    patient = Retries(attempts=50, base=0.02, cap=0.05, random=Random(3))
    async with FaultServer(faults=Fault(delay=0.01), capacity=6) as server:
        with endpoints({"url": server.url, "retries": patient, "limits": Limits(slots=32)}) as (endpoint,):
            await asyncio.gather(*(post(endpoint) for _ in range(300)))
            assert endpoint.pace.slots.limit <= 9
            refused = sum(call.status == 429 for call in server.ledger.calls[-150:])
            assert refused <= 60, "few calls are made in vain once it is known"
            server.capacity = None
            await asyncio.gather(*(post(endpoint) for _ in range(800)))
            assert endpoint.pace.slots.limit >= 30
            assert endpoint.pace.slots.taken == 0


async def test_timeouts_are_a_sign_of_overload_and_wrong_requests_are_none() -> None:
    async with FaultServer(faults=Fault(delay=5)) as server:
        silent = {"url": server.url, "timeouts": Timeouts(first_byte=0.1), "retries": Retries(attempts=1)}
        with endpoints(silent) as (endpoint,):
            await asyncio.gather(*(post(endpoint) for _ in range(8)), return_exceptions=True)
            assert endpoint.pace.slots.limit == 4, "eight were under way, and the first of them halved it, once"
    async with FaultServer(faults=Fault(status=400)) as server:
        with endpoints({"url": server.url}) as (endpoint,):
            await asyncio.gather(*(post(endpoint) for _ in range(8)), return_exceptions=True)
            assert endpoint.pace.slots.limit == 64


def test_loops_in_several_threads_keep_one_rate() -> None:
    pace, caller, begun = Pace("threads"), Caller(), []
    pace.join(caller, Limits(rpm=20))

    async def call() -> None:
        entry, _ = await pace.turn(1.0, most=None, spread=lambda: 0.0)
        begun.append(entry)
        pace.give_back(entry)

    async def calls() -> None:
        tasks = [asyncio.create_task(call()) for _ in range(10)]
        await asyncio.sleep(0.3)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    threads = [threading.Thread(target=asyncio.run, args=(calls(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(begun) == 20
    assert (pace.slots.taken, pace.slots.waiting) == (0, 0)
