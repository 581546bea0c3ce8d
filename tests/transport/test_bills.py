"""What a call does to the ledger: reserved before it is sent, settled or released as it ends; no cap is passed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import msgspec
import pytest

from bon.errors import BadReply, CapReached, DrawError, RateLimited, Rejected, TimedOut, Unavailable, UsageError
from bon.ledger import Bill, Caps, Ledger, Price
from bon.testing.faults import Fault, Faults
from bon.testing.server import FaultServer
from bon.transport import Endpoint, Limits, Retries, Timeouts
from bon.types import Usage

PATH = "/chat/completions"
BODY = {"model": "m", "messages": [{"role": "user", "content": "one two three"}], "max_tokens": 5}
MOST = Usage(prompt_tokens=20, completion_tokens=5)
PRICE = Price(prompt=0.001, completion=0.01)
PAID = Usage(prompt_tokens=3, completion_tokens=2)
ONCE = Retries(attempts=1)


def new_bill() -> Bill:
    return Bill(most=MOST, price=PRICE, by="g")


@asynccontextmanager
async def serving(faults: Faults = None, **options: Any) -> AsyncIterator[tuple[FaultServer, Endpoint]]:
    async with FaultServer(faults=faults) as server:
        endpoint = Endpoint(server.url, **{"retries": ONCE, **options})
        try:
            yield server, endpoint
        finally:
            endpoint.close()


async def post(endpoint: Endpoint, bill: Bill) -> Any:
    def read(body: bytes) -> Any:
        reply = msgspec.json.decode(body)
        usage = reply["usage"]
        bill.paid = Usage(prompt_tokens=usage["prompt_tokens"], completion_tokens=usage["completion_tokens"])
        return reply

    return await endpoint.post(PATH, BODY, read=read, bill=bill)


async def events_of(endpoint: Endpoint, bill: Bill) -> list[bytes]:
    body = {**BODY, "stream": True}
    return [event async for event in endpoint.stream(PATH, body, last=b"[DONE]", bill=bill)]


async def test_an_answer_is_settled_with_what_it_took() -> None:
    async with serving() as (server, endpoint):
        with Ledger() as ledger:
            await post(endpoint, new_bill())
        assert ledger.spent.usage == PAID == server.ledger.billed
        assert (ledger.spent.calls, ledger.reserved.calls) == (1, 0)
        assert ledger.spent.money == pytest.approx(3 * 0.001 + 2 * 0.01)


async def test_nothing_is_counted_without_a_ledger_or_without_a_bill() -> None:
    async with serving() as (_, endpoint):
        await post(endpoint, new_bill())
        with Ledger() as ledger:
            await endpoint.post(PATH, BODY, read=msgspec.json.decode)
        assert ledger.spent.calls == 0


FREE = [Fault(status=status) for status in (400, 401, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 529)]
IN_FULL = [
    Fault(reset="before"),
    Fault(reset="after"),
    Fault(cut=0),
    Fault(cut=40),
    Fault(delay=5),
    Fault(stall=(10, 5)),
    Fault(body=b'{"choices": ['),
    Fault(body=b"<html>"),
]


@pytest.mark.parametrize("fault", FREE, ids=repr)
@pytest.mark.parametrize("call", [post, events_of])
async def test_what_a_status_refuses_costs_nothing(fault: Fault, call: Any) -> None:
    async with serving(fault) as (_, endpoint):
        with Ledger() as ledger, pytest.raises(DrawError):
            await call(endpoint, new_bill())
        assert (ledger.spent.usage, ledger.spent.calls, ledger.reserved.calls) == (Usage(), 0, 0)


@pytest.mark.parametrize("fault", IN_FULL, ids=repr)
async def test_what_broke_or_cannot_be_read_counts_in_full(fault: Fault) -> None:
    async with serving(fault, timeouts=Timeouts(first_byte=0.2, between_bytes=0.2)) as (_, endpoint):
        with Ledger() as ledger, pytest.raises(DrawError):
            await post(endpoint, new_bill())
        assert (ledger.spent.usage, ledger.spent.calls, ledger.reserved.calls) == (MOST, 1, 0)


@pytest.mark.parametrize("fault", [fault for fault in IN_FULL if fault.body is None], ids=repr)
async def test_so_does_a_stream_that_broke(fault: Fault) -> None:
    async with serving(fault, timeouts=Timeouts(first_byte=0.2, between_bytes=0.2)) as (_, endpoint):
        with Ledger() as ledger, pytest.raises(DrawError):
            await events_of(endpoint, new_bill())
        assert (ledger.spent.usage, ledger.spent.calls, ledger.reserved.calls) == (MOST, 1, 0)


async def test_what_was_never_sent_costs_nothing() -> None:
    async with FaultServer() as server:
        url = server.url
    endpoint = Endpoint(url, retries=ONCE)
    with Ledger() as ledger:
        for call in (post, events_of):
            with pytest.raises(DrawError, match="no answer"):
                await call(endpoint, new_bill())

        def before() -> None:
            raise Rejected("no longer wanted")

        with pytest.raises(Rejected, match="no longer wanted"):
            await endpoint.post(PATH, BODY, read=msgspec.json.decode, before=before, bill=new_bill())
    assert (ledger.spent.calls, ledger.reserved.calls) == (0, 0)
    assert endpoint.pace.slots.taken == 0
    endpoint.close()


async def test_what_is_cancelled_counts_in_full_once_it_was_sent() -> None:
    async with serving(Fault(delay=30), limits=Limits(slots=1)) as (server, endpoint):
        with Ledger() as ledger:
            sent = asyncio.create_task(post(endpoint, new_bill()))
            await server.ledger.until(started=1)
            queued = asyncio.create_task(post(endpoint, new_bill()))
            await asyncio.sleep(0.02)
            for task in (queued, sent):
                task.cancel()
            await asyncio.wait([sent, queued])
        assert (ledger.spent.usage, ledger.spent.calls, ledger.reserved.calls) == (MOST, 1, 0)
        assert endpoint.pace.slots.taken == 0


async def test_a_stream_that_is_left_counts_in_full_and_a_whole_one_as_it_was() -> None:
    async with serving() as (_, endpoint):
        with Ledger() as ledger:
            async with aclosing(endpoint.stream(PATH, {**BODY, "stream": True}, bill=new_bill())) as events:
                async for _event in events:
                    break
            assert ledger.spent.usage == MOST
            bill = new_bill()
            async with aclosing(endpoint.stream(PATH, {**BODY, "stream": True}, last=b"[DONE]", bill=bill)) as events:
                async for _event in events:
                    bill.paid = PAID
            assert ledger.spent.usage == MOST + PAID
        assert (ledger.spent.calls, ledger.reserved.calls) == (2, 0)


async def test_each_attempt_is_a_call_of_its_own() -> None:
    twice = Retries(attempts=3, base=0.0, cap=0.0)
    async with serving([Fault(cut=10), Fault(status=500), None], retries=twice) as (server, endpoint):
        with Ledger() as ledger:
            await post(endpoint, new_bill())
        assert len(server.ledger.calls) == 3
        assert (ledger.spent.calls, ledger.spent.usage) == (2, MOST + PAID)


async def test_what_a_broken_attempt_said_is_not_the_next_ones() -> None:
    bill = new_bill()

    def read(body: bytes) -> None:
        if bill.paid is None:
            bill.paid = PAID
            raise Unavailable("an error inside of an answer")
        raise AssertionError("the bill of the first attempt is settled")

    async with serving(retries=Retries(attempts=2, base=0.0, cap=0.0)) as (_, endpoint):
        with Ledger() as ledger, pytest.raises(Unavailable):
            await endpoint.post(PATH, BODY, read=read, bill=bill)
        assert (ledger.spent.calls, ledger.spent.usage) == (2, PAID + PAID)


async def test_a_cap_refuses_what_it_has_no_room_for_and_nothing_is_sent() -> None:
    async with serving() as (server, endpoint):
        with Ledger(Caps(tokens=24)) as ledger:
            with pytest.raises(CapReached, match="cap on tokens"):
                await post(endpoint, new_bill())
            with pytest.raises(UsageError, match="give max_tokens"):
                await post(endpoint, Bill(most=None, price=PRICE, by="g"))
        assert not server.ledger.calls
        assert (ledger.spent.calls, endpoint.pace.slots.taken) == (0, 0)


async def test_calls_wait_for_room_that_others_may_leave() -> None:
    async with serving(Fault(delay=0.02)) as (server, endpoint):
        with Ledger(Caps(tokens=50)) as ledger:  # two at a time; each takes five
            ends = await asyncio.gather(*(post(endpoint, new_bill()) for _ in range(20)), return_exceptions=True)
        assert server.ledger.most_at_once == 2
        assert sum(isinstance(end, dict) for end in ends) == 6
        assert {type(end) for end in ends} == {dict, CapReached}
        assert server.ledger.billed.total_tokens == ledger.spent.usage.total_tokens == 30


@pytest.mark.parametrize("call", [post, events_of])
async def test_the_seconds_of_the_ledger_cut_a_call_off(call: Any) -> None:
    faults = {post: Fault(delay=30), events_of: Fault(stall=(30, 30))}
    async with serving(faults[call], retries=Retries(attempts=5)) as (server, endpoint):
        began = time.monotonic()
        with Ledger(Caps(seconds=0.3)) as ledger, pytest.raises(CapReached, match="seconds"):
            await call(endpoint, new_bill())
        assert time.monotonic() - began < 3
        await server.ledger.until()
        assert len(server.ledger.aborted) == len(server.ledger.calls) == 1
        assert (ledger.spent.calls, ledger.spent.usage) == (1, MOST)
        assert isinstance(ledger.reached, CapReached)
        assert endpoint.pace.slots.taken == 0


async def test_they_also_end_the_waits_for_a_slot_for_the_rate_and_for_the_next_attempt() -> None:
    began = time.monotonic()
    async with serving(Fault(delay=30), limits=Limits(slots=1)) as (server, endpoint):
        blocking = asyncio.create_task(post(endpoint, new_bill()))
        await server.ledger.until(started=1)
        with Ledger(Caps(seconds=0.2)), pytest.raises(CapReached):
            await post(endpoint, new_bill())
        blocking.cancel()
        await asyncio.wait([blocking])
    async with serving(limits=Limits(rpm=1)) as (_, endpoint):
        await post(endpoint, new_bill())
        with Ledger(Caps(seconds=0.2)), pytest.raises(CapReached):
            await post(endpoint, new_bill())
    limited = Fault(status=429, headers={"Retry-After": "20"})
    async with serving(limited, retries=Retries(attempts=2)) as (_, endpoint):
        with Ledger(Caps(seconds=0.2)), pytest.raises(CapReached):
            await post(endpoint, new_bill())
    assert time.monotonic() - began < 5


async def test_a_deadline_of_the_endpoint_is_still_its_own() -> None:
    async with serving(Fault(delay=30), timeouts=Timeouts(first_byte=0.1)) as (_, endpoint):
        with Ledger(Caps(seconds=30)) as ledger, pytest.raises(TimedOut):
            await post(endpoint, new_bill())
        assert ledger.reached is None
    async with serving(Fault(status=429)) as (_, endpoint):
        with Ledger(Caps(seconds=30)), pytest.raises(RateLimited):
            await post(endpoint, new_bill())


async def test_a_reader_that_breaks_settles_too() -> None:
    def read(_: bytes) -> None:
        raise BadReply("no chat completion")

    async with serving() as (_, endpoint):
        with Ledger() as ledger, pytest.raises(BadReply):
            await endpoint.post(PATH, BODY, read=read, bill=new_bill())
        assert (ledger.spent.usage, ledger.reserved.calls) == (MOST, 0)
