"""Fallback on scripted generators and virtual time: who draws, who is left alone, what is said when nobody can."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from random import Random
from typing import Any

import pytest

from bon.errors import (
    BadReply,
    CapReached,
    Denied,
    ModelError,
    RateLimited,
    Rejected,
    StoreError,
    TimedOut,
    Unavailable,
    Unreachable,
    UsageError,
)
from bon.events import Event, Retried, Switched, listening, tell
from bon.generate.breaker import Tolerance
from bon.generate.composing import still_wanted
from bon.generate.fallback import Fallback
from bon.generate.mixture import Mixture
from bon.generate.request import draw_seed
from bon.protocols import StreamingGenerator
from bon.testing import Scripted, check_generator, virtual_time
from bon.types import Candidate, Delta, Draw, Failure, Prompt, as_messages

PROMPT = Prompt(id="p", messages=as_messages("Why?"), request={"seed": 7})
DOWN = Unavailable("503")


class Switchable(Scripted):
    """A generator whose `trouble` befalls each draw that ends while it is set; it counts its calls."""

    charges = True

    def __init__(self, name: str, *, trouble: Exception | None = None, delay: float = 0.0) -> None:
        super().__init__(lambda prompt, index: self.trouble or f"{prompt.text} {index}", delay=delay, name=name)
        self.defaults = {"temperature": 0.7, "stop": name}
        self.trouble = trouble
        self.calls: list[tuple[int, int]] = []
        self.closed = 0

    def __call__(self, prompt: Prompt, n: int, *, start: int = 0) -> AsyncIterator[Draw]:
        self.calls.append((start, n))
        return super().__call__(prompt, n, start=start)

    def close(self) -> None:
        self.closed += 1


def fallback(*generators: Any, patience: float = 30.0, **tolerance: float) -> Fallback:
    return Fallback(generators, tolerance=Tolerance(**tolerance), patience=patience, random=Random(0))


async def drawn(generator: Any, n: int = 4, start: int = 0) -> list[Draw]:
    draws = [draw async for draw in generator(PROMPT, n, start=start)]
    draws.sort(key=lambda draw: draw.index)
    assert [draw.index for draw in draws] == list(range(start, start + n)), "each draw once"
    return draws


def makers(draws: Sequence[Draw]) -> list[str]:
    return [draw.generator if isinstance(draw, Candidate) else draw.error for draw in draws]


def run(test: Callable[[], Any]) -> list[Switched]:
    """Run a test in virtual time; what it was told of switches."""
    events: list[Event] = []

    async def heard() -> None:
        with listening(events.append):
            await test()

    virtual_time(heard())
    return [event for event in events if isinstance(event, Switched)]


def test_while_it_works_the_first_draws_all_in_one_call() -> None:
    async def test() -> None:
        a, b = Switchable("a"), Switchable("b")
        assert makers(await drawn(fallback(a, b), 8)) == ["a"] * 8
        assert (a.calls, b.calls) == ([(0, 8)], [])

    assert run(test) == []


def test_only_the_failed_draws_move_on_under_their_own_index_and_with_the_same_text() -> None:
    async def test() -> None:
        a = Scripted(lambda prompt, index: DOWN if index in (1, 2, 5) else f"{prompt.text} {index}", name="a")
        b = Switchable("b")
        draws = await drawn(fallback(a, b), 8)
        assert makers(draws) == ["a", "b", "b", "a", "a", "b", "a", "a"]
        assert [draw.text for draw in draws if isinstance(draw, Candidate)] == [f"Why? {i}" for i in range(8)]
        assert [draw.seed for draw in draws if isinstance(draw, Candidate)] == [draw_seed(7, "p", i) for i in range(8)]
        assert sorted(b.calls) == [(1, 2), (5, 1)], "those that failed together are one call, where they follow"

    run(test)


def test_a_circuit_that_is_open_is_not_asked_and_a_probe_brings_it_back() -> None:
    async def test() -> None:
        a, b = Switchable("a", trouble=DOWN), Switchable("b")
        both = fallback(a, b, pause=8.0)
        assert makers(await drawn(both, 5)) == ["b"] * 5
        assert [one.state for one in both.breakers] == ["open", "closed"]
        a.calls.clear()
        assert makers(await drawn(both, 8)) == ["b"] * 8
        assert a.calls == [], "no draw waits for the dead one"
        await asyncio.sleep(8.0)
        a.trouble = None
        assert makers(await drawn(both, 4)) == ["a", "b", "b", "b"], "exactly one is the probe"
        assert a.calls == [(0, 1)]
        assert makers(await drawn(both, 4)) == ["a"] * 4

    name = "fallback(a, b)"
    why = "5 failures in a row, the last Unavailable"
    assert run(test) == [
        Switched(by=name, generator="a", state="open", reason=why, drawing="b"),
        Switched(by=name, generator="a", state="closed", reason="", drawing="a"),
    ]


def test_a_probe_that_fails_leaves_it_alone_for_longer_and_its_draw_goes_on() -> None:
    async def test() -> None:
        a, b = Switchable("a", trouble=DOWN), Switchable("b")
        both = fallback(a, b, pause=1.0)
        await drawn(both, 5)
        a.calls.clear()
        for _ in range(100):
            assert makers(await drawn(both, 1)) == ["b"]
            await asyncio.sleep(1.0)
        assert 4 <= len(a.calls) <= 8, "1, 2, 4 ... 60 s apart, and not 100 times"

    assert len(run(test)) == 1


def test_draws_that_wait_for_a_slot_or_an_attempt_move_on_when_the_circuit_opens() -> None:
    """And what is under way is let end: it is paid for."""

    class Queue:
        name = "a"
        sent = 0

        async def __call__(self, prompt: Prompt, n: int, *, start: int = 0) -> AsyncGenerator[Draw, None]:
            for index in range(start, start + n):
                try:
                    still_wanted()
                except Exception as error:  # noqa: BLE001
                    yield Failure.of(error, stage="generate", index=index, by="a")
                    continue
                Queue.sent += 1
                await asyncio.sleep(1.0 if start else 30.0)  # the first draw is being answered, slowly
                if start == 0:
                    yield Candidate(index=index, text="late", generator="a")
                else:
                    yield Failure.of(DOWN, stage="generate", index=index, by="a")

    async def test() -> None:
        loop = asyncio.get_running_loop()
        both = fallback(Queue(), Switchable("b"), pause=60.0)
        first = asyncio.ensure_future(drawn(both, 1))
        await asyncio.sleep(1.0)
        assert makers(await drawn(both, 100, start=1)) == ["b"] * 100
        assert loop.time() == 6.0, "five failed, a second each; 95 were never sent"
        assert makers(await first) == ["a"]
        assert Queue.sent == 6

    run(test)


def test_a_probe_does_not_wait_for_the_retries_of_a_dead_endpoint() -> None:
    class Stubborn:
        name = "a"

        async def __call__(self, prompt: Prompt, n: int, *, start: int = 0) -> AsyncGenerator[Draw, None]:
            for index in range(start, start + n):
                for attempt in range(1, 6):
                    try:
                        still_wanted()
                    except Exception as error:  # noqa: BLE001
                        yield Failure.of(error, stage="generate", index=index, by="a")
                        break
                    await asyncio.sleep(0.01)
                    tell(Retried(endpoint="a", attempt=attempt, error="Unreachable", wait=10.0))
                    await asyncio.sleep(10.0 * (attempt > 1))
                else:
                    yield Failure.of(Unreachable("gone"), stage="generate", index=index, by="a")

    async def test() -> None:
        both = fallback(Stubborn(), Switchable("b"), failures=1, pause=1.0)
        await drawn(both, 1)
        await asyncio.sleep(1.0)
        before = asyncio.get_running_loop().time()
        assert makers(await drawn(both, 1)) == ["b"]
        assert asyncio.get_running_loop().time() - before < 1.0
        assert both.breakers[0].reason == "the probe failed: Unreachable"

    run(test)


@pytest.mark.parametrize("error", [Rejected("too long", status=400), Denied("no", status=401), RateLimited("slow")])
def test_what_is_held_against_a_generator(error: Exception) -> None:
    """A request that is wrong says nothing of the endpoint; a wrong key and a full queue do."""

    async def test() -> None:
        a, b = Switchable("a", trouble=error), Switchable("b")
        both = fallback(a, b)
        assert makers(await drawn(both, 8)) == ["b"] * 8
        assert both.breakers[0].state == ("closed" if type(error) is Rejected else "open")

    run(test)


def test_a_probe_whose_request_was_wrong_leaves_the_place_to_another() -> None:
    async def test() -> None:
        a, b = Switchable("a", trouble=DOWN), Switchable("b")
        both = fallback(a, b)
        await drawn(both, 5)
        await asyncio.sleep(2.0)
        a.trouble = Rejected("too long")
        assert makers(await drawn(both, 1)) == ["b"]
        a.trouble = None
        assert makers(await drawn(both, 1)) == ["a"]

    run(test)


def test_a_cap_is_nobodys_failure_and_no_reason_to_pay_elsewhere() -> None:
    async def test() -> None:
        a, b = Switchable("a", trouble=CapReached("2 dollars are spent")), Switchable("b")
        both = fallback(a, b)
        draws = await drawn(both, 8)
        assert draws[0] == Failure(stage="generate", error="CapReached", message="2 dollars are spent", index=0, by="a")
        assert makers(draws) == ["CapReached"] * 8
        assert b.calls == []
        assert both.breakers[0].state == "closed"

    run(test)


@pytest.mark.parametrize("error", [ModelError("no such model"), UsageError("no key")])
def test_one_that_raises_outright_is_out_for_good_and_named_once(error: Exception) -> None:
    async def test() -> None:
        a, b = Switchable("a", trouble=error), Switchable("b")
        both = fallback(a, b)
        with pytest.warns(UserWarning, match="a is out of use: .*no"):
            draws = await drawn(both, 4)
        a.trouble = None
        await asyncio.sleep(1e5)
        assert makers([*draws, *await drawn(both, 4)]) == ["b"] * 8, "a second warning would be an error here"
        assert len(a.calls) == 1

    (switched,) = run(test)
    assert (switched.state, switched.generator, switched.drawing) == ("out", "a", "b")
    assert switched.reason == f"it raised {type(error).__name__}"


def test_two_calls_under_way_when_it_raises_say_so_once() -> None:
    async def test() -> None:
        both = fallback(Switchable("a", trouble=ModelError("gone"), delay=1.0), Switchable("b"))
        with pytest.warns(UserWarning, match="a is out of use") as warned:
            await asyncio.gather(drawn(both, 2), drawn(both, 2))
        assert len(warned) == 1

    assert [event.state for event in run(test)] == ["out"]


@pytest.mark.filterwarnings("ignore:.*out of use")
def test_when_all_raise_outright_the_run_fails_with_the_last_error() -> None:
    async def test() -> None:
        both = fallback(Switchable("a", trouble=ModelError("first")), Switchable("b", trouble=UsageError("second")))
        for _ in range(2):
            with pytest.raises(UsageError, match="second"):
                await drawn(both, 4)
        with pytest.raises(UsageError, match="second"):
            [delta async for delta in both.stream(PROMPT, 0)]

    run(test)


def test_a_full_disk_is_raised_and_nobodys_failure() -> None:
    async def test() -> None:
        b = Switchable("b")
        both = fallback(Switchable("a", trouble=StoreError("the disk is full")), b)
        with pytest.raises(StoreError):
            await drawn(both, 4)
        with pytest.raises(StoreError):
            [delta async for delta in both.stream(PROMPT, 0)]
        assert both.breakers[0].state == "closed"
        assert b.calls == []

    run(test)


def test_when_all_failed_the_failure_says_what_each_said() -> None:
    async def test() -> None:
        both = fallback(Switchable("a", trouble=TimedOut("10 s")), Switchable("b", trouble=BadReply("a page of HTML")))
        (draw,) = await drawn(both, 1)
        message = "a: TimedOut: 10 s; b: BadReply: a page of HTML"
        assert draw == Failure(stage="generate", error="BadReply", message=message, index=0, by="fallback(a, b)")

    run(test)


def test_when_all_circuits_are_open_a_draw_waits_for_the_probe_if_that_is_soon() -> None:
    async def test() -> None:
        loop = asyncio.get_running_loop()
        a, b = Switchable("a", trouble=DOWN), Switchable("b", trouble=DOWN, delay=1.0)
        both = fallback(a, b, pause=20.0, patience=30.0)
        await drawn(both, 5)
        assert [one.state for one in both.breakers] == ["open", "open"]
        a.trouble = b.trouble = None
        started = loop.time()
        draws = await drawn(both, 6)
        assert all(isinstance(draw, Candidate) for draw in draws)
        assert 5.0 < loop.time() - started < 22.0

    run(test)


def test_when_all_circuits_are_open_for_long_a_draw_fails_at_once_and_says_why() -> None:
    async def test() -> None:
        loop = asyncio.get_running_loop()
        a, b = Switchable("a", trouble=DOWN), Switchable("b", trouble=TimedOut("10 s"))
        both = fallback(a, b, pause=100.0, longest=100.0, patience=30.0)
        await drawn(both, 5)
        started = loop.time()
        (draw,) = await drawn(both, 1)
        assert loop.time() == started
        assert isinstance(draw, Failure)
        assert draw.error == "Unavailable"
        assert draw.message.startswith("a: left alone for ")
        assert "s more (5 failures in a row, the last Unavailable); b: left alone for " in draw.message

    run(test)


def test_a_draw_waits_no_longer_than_its_patience_for_somebody_elses_probe() -> None:
    async def test() -> None:
        loop = asyncio.get_running_loop()
        a = Switchable("a", trouble=DOWN)
        alone = fallback(a, pause=1.0, patience=5.0)
        await drawn(alone, 5)
        await asyncio.sleep(1.0)
        a.delay, a.trouble = 100.0, None
        probe = asyncio.ensure_future(drawn(alone, 1))
        await asyncio.sleep(0.0)
        await asyncio.sleep(0.0)
        started = loop.time()
        (draw,) = await drawn(alone, 1, start=1)
        assert isinstance(draw, Failure)
        assert "until its probe is back" in draw.message
        assert 4.9 <= loop.time() - started <= 5.1
        assert makers(await probe) == ["a"]

    run(test)


def test_cancelling_ends_the_calls_of_both_and_frees_the_probe() -> None:
    async def test() -> None:
        a, b = Switchable("a", trouble=DOWN), Switchable("b", delay=100.0)
        both = fallback(a, b, failures=1)
        task = asyncio.ensure_future(drawn(both, 3))
        await asyncio.sleep(5.0)
        a.trouble, a.delay = None, 100.0
        probing = asyncio.ensure_future(drawn(both, 2, start=3))
        await asyncio.sleep(1.0)
        assert both.breakers[0].state == "half-open"
        for one in (task, probing):
            one.cancel()
            with pytest.raises(asyncio.CancelledError):
                await one
        assert a.aborted == [("p", 3)]
        assert sorted(b.aborted) == [("p", 0), ("p", 1), ("p", 2), ("p", 4)]
        assert len(asyncio.all_tasks()) == 1
        a.delay = 0.0
        assert makers(await drawn(both, 1)) == ["a"], "the next draw is the probe"

    run(test)


def test_closing_early_ends_what_is_under_way() -> None:
    async def test() -> None:
        a = Scripted(["x"], delay=lambda prompt, index: 0.0 if index == 0 else 100.0, name="a")
        async with aclosing(fallback(a, Switchable("b"))(PROMPT, 4)) as draws:
            async for draw in draws:
                assert draw.index == 0
                break
        assert sorted(a.aborted) == [("p", 1), ("p", 2), ("p", 3)]
        assert len(asyncio.all_tasks()) == 1

    run(test)


def test_the_cache_says_nothing_of_the_endpoint() -> None:
    class Cached:
        name = "a"

        async def __call__(self, prompt: Prompt, n: int, *, start: int = 0) -> AsyncGenerator[Draw, None]:
            for index in range(start, start + n):
                if index % 2:
                    yield Candidate(index=index, text="known", generator="a", cached=True)
                else:
                    yield Failure.of(DOWN, stage="generate", index=index, by="a")

    async def test() -> None:
        both = fallback(Cached(), Switchable("b"))
        assert makers(await drawn(both, 10)) == ["b", "a"] * 5
        assert both.breakers[0].state == "open"

    run(test)


def test_an_answer_without_an_end_and_one_that_never_came_move_on() -> None:
    async def cut(prompt: Prompt, n: int, *, start: int = 0) -> AsyncGenerator[Draw, None]:
        yield Candidate(index=start, text="half an", finish_reason=None)
        yield Candidate(index=start + 99, text="not asked for")

    async def test() -> None:
        assert makers(await drawn(fallback(cut, Switchable("b")), 3)) == ["b"] * 3
        first, second, _ = await drawn(fallback(cut), 3)
        assert isinstance(first, Failure)
        assert isinstance(second, Failure)
        assert (first.error, second.error) == ("Truncated", "BadReply")

    run(test)


def test_any_other_exception_is_a_failure_of_each_draw_still_owed() -> None:
    async def broken(prompt: Prompt, n: int, *, start: int = 0) -> AsyncGenerator[Draw, None]:
        yield Candidate(index=start, text="fine", generator="broken")
        raise ZeroDivisionError("a bug")

    async def test() -> None:
        b = Switchable("b")
        both = fallback(broken, b)
        assert makers(await drawn(both, 4)) == ["broken", "b", "b", "b"]
        assert b.calls == [(1, 3)]

    run(test)


def test_a_mixture_of_fallbacks_and_a_fallback_of_mixtures() -> None:
    async def test() -> None:
        a, b, c = Switchable("a", trouble=DOWN), Switchable("b"), Switchable("c")
        mixture = Mixture([fallback(a, b), c])
        assert makers(await drawn(mixture, 4)) == ["b", "c", "b", "c"]
        nested = fallback(Mixture([a, b]), fallback(a, c))
        assert makers(await drawn(nested, 4)) == ["c", "b", "c", "b"]

    run(test)


def test_a_stream_falls_back_until_its_first_piece() -> None:
    class Breaking(Switchable):
        async def stream(self, prompt: Prompt, index: int) -> AsyncGenerator[Delta, None]:
            yield Delta(text="half")
            raise Unreachable("it broke")

    async def test() -> None:
        a, b = Switchable("a", trouble=DOWN), Switchable("b")
        both = fallback(a, b)
        assert isinstance(both, StreamingGenerator)
        deltas = [delta async for delta in both.stream(PROMPT, 2)]
        assert "".join(delta.text for delta in deltas) == "Why? 2"
        assert deltas[-1].candidate is not None
        assert deltas[-1].candidate.generator == "b"
        for _ in range(4):
            [delta async for delta in both.stream(PROMPT, 0)]
        assert both.breakers[0].state == "open", "a stream's failures count too"
        b.started.clear()
        async with aclosing(fallback(Breaking("a"), b).stream(PROMPT, 0)) as broken:
            assert (await anext(broken)).text == "half"
            with pytest.raises(Unreachable, match="it broke"):
                await anext(broken)
        assert b.started == []

    run(test)


def test_a_stream_that_nobody_gives_raises_what_each_said() -> None:
    async def plain(prompt: Prompt, n: int, *, start: int = 0) -> AsyncGenerator[Draw, None]:
        yield Failure.of(RateLimited("later"), stage="generate", index=start, by="plain")

    async def test() -> None:
        both = fallback(Switchable("a", trouble=DOWN), plain)
        with pytest.raises(RateLimited, match="a: Unavailable: 503; plain: RateLimited: later"):
            [delta async for delta in both.stream(PROMPT, 0)]
        with pytest.raises(CapReached):
            [d async for d in fallback(Switchable("a", trouble=CapReached("spent")), plain).stream(PROMPT, 0)]
        with pytest.warns(UserWarning, match="out of use"):
            deltas = [
                d async for d in fallback(Switchable("a", trouble=ModelError("x")), Switchable("b")).stream(PROMPT, 0)
            ]
        assert deltas[-1].candidate is not None

    run(test)


def test_leaving_a_stream_ends_it_and_frees_the_probe() -> None:
    async def test() -> None:
        a, b = Switchable("a", trouble=DOWN), Switchable("b")
        both = fallback(a, b, failures=1)
        await drawn(both, 1)
        await asyncio.sleep(2.0)
        a.trouble, a.delay = None, 10.0
        async with aclosing(both.stream(PROMPT, 0)) as deltas:
            async for _ in deltas:
                assert both.breakers[0].state == "half-open"
                break
        assert a.aborted == [("p", 0)]
        assert both.breakers[0].state == "open"
        a.delay = 0.0
        assert makers(await drawn(both, 1)) == ["a"]

    run(test)


def test_a_fallback_keeps_the_promises_of_a_generator() -> None:
    async def test() -> None:
        broken = Scripted(lambda prompt, index: DOWN if index % 3 else f"{index}", name="a")
        await check_generator(fallback(broken, Scripted(lambda prompt, index: f"{index}", name="b")), n=8)

    run(test)


def test_two_of_a_name_are_told_apart_in_what_is_said() -> None:
    class At(Switchable):
        def __init__(self, url: str) -> None:
            super().__init__("m", trouble=DOWN)
            self.endpoint = Switchable(url)

    async def test() -> None:
        (draw,) = await drawn(fallback(At("http://x/v1"), At("http://y/v1"), Switchable("m", trouble=DOWN)), 1)
        assert isinstance(draw, Failure)
        assert draw.message == "m@http://x/v1: Unavailable: 503; m@http://y/v1: Unavailable: 503; m: Unavailable: 503"
        (draw,) = await drawn(fallback(Switchable("m", trouble=DOWN), Switchable("m", trouble=DOWN)), 1)
        assert isinstance(draw, Failure)
        assert draw.message == "m #1: Unavailable: 503; m #2: Unavailable: 503"

    run(test)


def test_name_defaults_charges_and_close_are_those_of_all() -> None:
    a, b = Switchable("a"), Switchable("b")
    both = Fallback([a, b, a])
    assert both.name == "fallback(a, b, a)"
    assert both.defaults == {"temperature": 0.7}
    assert both.charges is True
    both.close()
    assert (a.closed, b.closed) == (1, 1)
    with pytest.raises(UsageError, match="at least one generator"):
        Fallback([])
    with pytest.raises(UsageError, match="patience"):
        Fallback([a], patience=-1.0)
