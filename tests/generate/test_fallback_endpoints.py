"""Fallback over real endpoints that die and come back: what each of them got is read from its own ledger."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from random import Random
from typing import Any

import pytest

import bon
from bon.events import Event, Switched, listening
from bon.generate.breaker import Tolerance
from bon.generate.fallback import Fallback
from bon.generate.mixture import Mixture
from bon.generate.openai import OpenAIGenerator
from bon.generate.request import draw_seed
from bon.testing import Fault, FaultServer
from bon.testing.faults import Faults
from bon.transport import Endpoint, Limits, Retries, Timeouts
from bon.types import Candidate, Draw, Prompt, as_messages

PROMPT = Prompt(id="p", messages=as_messages("Why?"), request={"seed": 3})
QUICK = Retries(attempts=3, base=0.02, random=Random(1))


def say(request: Mapping[str, Any], _: int) -> str:
    """The same model on every server: its text depends on the seed alone."""
    return f"text of {request['seed']}"


def serving(port: int = 0, *, faults: Faults = None) -> FaultServer:
    return FaultServer(answers=say, faults=faults, port=port)


def generator(
    name: str, server: FaultServer, *, slots: int = 64, retries: Retries = QUICK, **options: Any
) -> OpenAIGenerator:
    timeouts = Timeouts(first_byte=20.0)
    endpoint = Endpoint(server.url, retries=retries, limits=Limits(slots=slots), timeouts=timeouts)
    return OpenAIGenerator("m", url=endpoint, name=name, **options)


@asynccontextmanager
async def fallback(*generators: OpenAIGenerator, **tolerance: float) -> AsyncIterator[Fallback]:
    one = Fallback(generators, tolerance=Tolerance(**{"pause": 0.2, **tolerance}), random=Random(0))
    try:
        yield one
    finally:
        one.close()


async def drawn(one: Any, n: int, start: int = 0) -> list[Candidate]:
    draws: list[Draw] = [draw async for draw in one(PROMPT, n, start=start)]
    draws.sort(key=lambda draw: draw.index or 0)
    assert [draw.index for draw in draws] == list(range(start, start + n)), "each draw once"
    failed = [draw for draw in draws if not isinstance(draw, Candidate)]
    assert not failed, f"every draw arrives: {failed[:1]}"
    made = [draw for draw in draws if isinstance(draw, Candidate)]
    assert [draw.text for draw in made] == [f"text of {draw_seed(3, 'p', draw.index)}" for draw in made]
    return made


def makers(draws: Sequence[Candidate]) -> list[str]:
    return [draw.generator for draw in draws]


def by(draws: Sequence[Candidate], maker: str) -> list[int]:
    """The seeds of the draws that a generator made, as its endpoint was sent them."""
    return sorted(draw_seed(3, "p", draw.index) for draw in draws if draw.generator == maker)


def answered(server: FaultServer) -> list[int]:
    return sorted(call.request["seed"] for call in server.ledger.finished if call.status == 200)


async def test_the_primary_is_killed_in_mid_run_and_revived() -> None:
    """Promise 18."""
    events: list[Event] = []
    async with AsyncExitStack() as stack:
        spare = await stack.enter_async_context(serving())
        first = await serving(faults=Fault(delay=0.05)).__aenter__()
        a, b = generator("openai:a", first, slots=8), generator("openai:b", spare)
        both = await stack.enter_async_context(fallback(a, b))
        with listening(events.append):
            made = await drawn(both, 8)
            assert makers(made) == ["openai:a"] * 8
            assert len(spare.ledger) == 0, "while the first works nobody else is asked"

            task = asyncio.ensure_future(drawn(both, 64, start=8))
            await first.ledger.until(started=32)
            await first.__aexit__()
            made += await task
            assert set(makers(made[8:])) == {"openai:a", "openai:b"}
            assert answered(first) == by(made, "openai:a")
            assert answered(spare) == by(made, "openai:b")
            before = len(spare.ledger)
            assert makers(await drawn(both, 1, start=72)) == ["openai:b"]
            assert len(spare.ledger) == before + 1

            port = int(first.url.removesuffix("/v1").rpartition(":")[2])
            revived = await stack.enter_async_context(serving(port))
            await asyncio.sleep(max(both.breakers[0].due - asyncio.get_running_loop().time(), 0.0))
            back = await drawn(both, 8, start=100)
            assert makers(back) == ["openai:a"] + ["openai:b"] * 7, "one draw is the probe"
            back += await drawn(both, 8, start=108)
            assert makers(back[8:]) == ["openai:a"] * 8
            assert answered(revived) == by(back, "openai:a")
    switched = [(event.generator, event.state) for event in events if isinstance(event, Switched)]
    assert switched == [("openai:a", "open"), ("openai:a", "closed")]


async def test_a_dead_endpoint_gets_a_handful_of_requests_and_not_one_a_draw() -> None:
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(serving(faults=Fault(status=503)))
        spare = await stack.enter_async_context(serving())
        a = generator("openai:a", first, slots=4, retries=Retries(attempts=1))
        b = generator("openai:b", spare)
        both = await stack.enter_async_context(fallback(a, b, pause=30.0))
        made = await drawn(both, 200)
        assert makers(made) == ["openai:b"] * 200
        assert len(spare.ledger) == 200
        assert 5 <= len(first.ledger) <= 5 + 4, "those that waited for a slot were not sent"
        before = len(first.ledger)
        await drawn(both, 50, start=200)
        assert len(first.ledger) == before


async def test_a_draw_between_two_attempts_moves_on_once_the_circuit_is_open() -> None:
    """It need not sit out its retries; and the probe of a dead endpoint is one request."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(serving(faults=Fault(status=503)))
        spare = await stack.enter_async_context(serving())
        patient = Retries(attempts=50, base=0.05, cap=0.05, random=Random(1))
        a, b = generator("openai:a", first, retries=patient), generator("openai:b", spare)
        both = await stack.enter_async_context(fallback(a, b, pause=0.1))
        task = asyncio.ensure_future(drawn(both, 20))
        await first.ledger.until(started=40)
        for _ in range(5):  # five other draws have failed for good
            both.breakers[0].failed(both.breakers[0].admit(0.0) or 0, asyncio.get_running_loop().time(), "Unavailable")
        assert makers(await task) == ["openai:b"] * 20
        await asyncio.sleep(0.1)
        before = len(first.ledger)
        assert makers(await drawn(both, 1)) == ["openai:b"]
        assert len(first.ledger) == before + 1


async def test_several_draws_in_one_request_move_on_in_one_request() -> None:
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(serving(faults=Fault(status=503)))
        spare = await stack.enter_async_context(FaultServer())
        a, b = generator("openai:a", first, retries=Retries(attempts=1)), generator("openai:b", spare)
        both = await stack.enter_async_context(fallback(a, b))
        draws = [draw async for draw in both(Prompt(id="p", messages=PROMPT.messages), 8)]
        assert {draw.generator for draw in draws if isinstance(draw, Candidate)} == {"openai:b"}
        assert len(draws) == 8
        assert [call.request.get("n") for call in (*first.ledger.calls, *spare.ledger.calls)] == [8, 8]


async def test_a_request_that_is_wrong_goes_once_to_each_and_closes_nobody() -> None:
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(serving(faults=Fault(status=413)))
        spare = await stack.enter_async_context(serving(faults=Fault(status=400)))
        a, b = generator("openai:a", first), generator("openai:b", spare)
        both = await stack.enter_async_context(fallback(a, b))
        (draw, *others) = [draw async for draw in both(PROMPT, 8)]
        assert not isinstance(draw, Candidate)
        assert "openai:a: Rejected: " in draw.message
        assert "answered 413" in draw.message
        assert "openai:b: Rejected: " in draw.message
        assert len(others) == 7
        assert [one.state for one in both.breakers] == ["closed", "closed"]
        assert (len(first.ledger), len(spare.ledger)) == (8, 8)


async def test_cancelling_ends_the_calls_on_both() -> None:
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(
            serving(faults=lambda number: Fault(status=400) if number < 3 else Fault(delay=60.0))
        )
        spare = await stack.enter_async_context(serving(faults=Fault(delay=60.0)))
        a, b = generator("openai:a", first), generator("openai:b", spare)
        both = await stack.enter_async_context(fallback(a, b))
        task = asyncio.ensure_future(drawn(both, 8))
        await first.ledger.until(started=8)
        await spare.ledger.until(started=3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await first.ledger.until()
        await spare.ledger.until()
        assert (len(first.ledger.aborted), len(spare.ledger.aborted)) == (5, 3)


async def test_a_stream_falls_back_and_leaving_it_ends_it_upstream() -> None:
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(serving(faults=Fault(status=503)))
        spare = await stack.enter_async_context(FaultServer(answers=["one two three four"], pace=0.05))
        a, b = generator("openai:a", first), generator("openai:b", spare)
        both = await stack.enter_async_context(fallback(a, b))
        deltas = [delta async for delta in both.stream(PROMPT, 0)]
        assert "".join(delta.text for delta in deltas) == "one two three four"
        assert deltas[-1].candidate is not None
        assert deltas[-1].candidate.generator == "openai:b"
        async with aclosing(both.stream(PROMPT, 1)) as left:
            assert (await anext(left)).text
        await spare.ledger.until()
        assert [call.end for call in spare.ledger.calls] == ["finished", "aborted"]


async def test_a_mixture_of_fallbacks() -> None:
    async with AsyncExitStack() as stack:
        down = await stack.enter_async_context(serving(faults=Fault(status=401)))
        x = await stack.enter_async_context(serving())
        y = await stack.enter_async_context(serving())
        one = await stack.enter_async_context(fallback(generator("openai:a", down), generator("openai:x", x)))
        other = await stack.enter_async_context(fallback(generator("openai:y", y), generator("openai:b", down)))
        made = await drawn(Mixture([one, other]), 12)
        assert makers(made) == ["openai:x", "openai:y"] * 6
        assert (len(x.ledger), len(y.ledger)) == (6, 6)
        assert len(down.ledger) <= 6


async def test_a_cap_of_the_ledger_is_kept_across_both_and_sends_nobody_elsewhere() -> None:
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(
            serving(faults=lambda number: Fault(status=400) if number < 2 else None)
        )
        spare = await stack.enter_async_context(serving())
        a, b = generator("openai:a", first), generator("openai:b", spare)
        both = await stack.enter_async_context(fallback(a, b))
        with bon.Ledger(bon.Caps(calls=6)) as ledger:
            draws = [draw async for draw in both(PROMPT, 20)]
        made = [draw for draw in draws if isinstance(draw, Candidate)]
        failed = [draw for draw in draws if not isinstance(draw, Candidate)]
        assert len(made) + len(failed) == 20
        assert {draw.error for draw in failed} == {"CapReached"}
        assert ledger.spent.calls == len(made) == 6, "what is refused by its status costs nothing"
        assert len(first.ledger.calls) + len(spare.ledger.calls) == 8
        assert [one.state for one in both.breakers] == ["closed", "closed"]


async def test_a_run_on_specs_counts_and_names_what_each_made() -> None:
    async with FaultServer(faults=Fault(status=404)) as first, FaultServer(answers=["4"]) as spare:
        specs = [f"openai:big@{first.url}", f"openai:small@{spare.url}"]
        with bon.generator("fallback", generators=specs, failures=2, pause=30, patience=0.5) as both:
            assert both.breakers[0].tolerance == Tolerance(failures=2, pause=30.0)
            plan = bon.Plan(generator=both, budget=bon.Fixed(8))
            pools = [await bon.run(bon.prompt("2 + 2?"), plan) for _ in range(3)]
        assert {candidate.generator for pool in pools for candidate in pool.candidates} == {"openai:small"}
        assert all(len(pool) == 8 and not pool.failures for pool in pools)
        assert sum(call.request.get("n", 1) for call in spare.ledger.calls) == 24
        assert len(first.ledger) <= 8
