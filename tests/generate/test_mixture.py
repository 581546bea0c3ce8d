from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest

from bon.concurrency import merge
from bon.errors import BadReply, ModelError, RateLimited, UsageError
from bon.generate.mixture import Mixture
from bon.generate.request import draw_seed
from bon.protocols import StreamingGenerator
from bon.types import Candidate, Delta, Draw, Failure, Prompt, as_messages

PROMPT = Prompt(id="p", messages=as_messages("Why?"))


class Maker:
    """Draws its name and the index; remembers its calls, what it started, and what was aborted."""

    def __init__(self, name: str, *, fails_after: int | None = None, seconds: float = 0.0) -> None:
        self.name = name
        self.defaults = {"temperature": 0.7, "stop": name}
        self.fails_after = fails_after
        self.seconds = seconds
        self.calls: list[tuple[int, int]] = []
        self.aborted: list[int] = []
        self.closed = 0

    async def __call__(self, prompt: Prompt, n: int, *, start: int = 0) -> AsyncGenerator[Draw, None]:
        self.calls.append((start, n))
        for count, index in enumerate(range(start, start + n)):
            if self.fails_after is not None and count >= self.fails_after:
                raise ModelError(f"{self.name} is broken")
            try:
                await asyncio.sleep(self.seconds)
            except asyncio.CancelledError:
                self.aborted.append(index)
                raise
            seed = draw_seed(0, prompt.id, index)
            yield Candidate(index=index, text=f"{self.name} {index}", generator=self.name, seed=seed)

    def close(self) -> None:
        self.closed += 1


class Streamer(Maker):
    async def stream(self, prompt: Prompt, index: int) -> AsyncGenerator[Delta, None]:
        yield Delta(text="grow")
        yield Delta(text="ing", candidate=Candidate(index=index, text="growing", generator=self.name))


async def _drawn(generator: Any, n: int, start: int = 0) -> dict[int, Draw]:
    draws = [draw async for draw in generator(PROMPT, n, start=start)]
    assert len({draw.index for draw in draws}) == len(draws)
    return {draw.index: draw for draw in sorted(draws, key=lambda draw: draw.index)}


async def test_draws_go_round_and_keep_their_makers_name() -> None:
    draws = await _drawn(Mixture([Maker("a"), Maker("b"), Maker("c")]), 5)
    assert [draw.generator for draw in draws.values()] == ["a", "b", "c", "a", "b"]
    assert [draw.text for draw in draws.values()] == ["a 0", "b 1", "c 2", "a 3", "b 4"]


async def test_more_draws_extend_fewer() -> None:
    whole = await _drawn(Mixture([Maker("a"), Maker("b"), Maker("c")]), 8)
    parts = [
        await _drawn(Mixture([Maker("a"), Maker("b"), Maker("c")]), n, start) for start, n in [(0, 2), (2, 5), (7, 1)]
    ]
    assert {**parts[0], **parts[1], **parts[2]} == whole


async def test_draws_that_follow_each_other_are_one_call() -> None:
    a, b = Maker("a"), Maker("b")
    await _drawn(Mixture([a]), 8)
    assert a.calls == [(0, 8)]
    a.calls.clear()
    await _drawn(Mixture([a, a, b]), 7)
    assert sorted(a.calls) == [(0, 2), (3, 2), (6, 1)]
    assert sorted(b.calls) == [(2, 1), (5, 1)]


async def test_candidates_are_yielded_as_they_land() -> None:
    mixture = Mixture([Maker("slow", seconds=0.2), Maker("fast")])
    order = [draw.generator async for draw in mixture(PROMPT, 4)]
    assert order == ["fast", "fast", "slow", "slow"]


async def test_one_broken_generator_costs_its_own_draws_only() -> None:
    def refuse(prompt: Prompt, n: int, *, start: int = 0) -> Any:
        raise UsageError("no such model")

    draws = await _drawn(Mixture([Maker("a"), Maker("broken", fails_after=0), refuse]), 7)
    assert [type(draw).__name__ for draw in draws.values()] == ["Candidate", "Failure", "Failure"] * 2 + ["Candidate"]
    assert draws[1] == Failure(stage="generate", error="ModelError", message="broken is broken", index=1, by="broken")
    assert draws[2] == Failure(stage="generate", error="UsageError", message="no such model", index=2, by="refuse")


async def test_what_was_drawn_before_the_break_is_kept() -> None:
    half = Maker("half", fails_after=2)
    draws = await _drawn(Mixture([half, half, half, Maker("b")]), 4)
    assert [type(draw).__name__ for draw in draws.values()] == ["Candidate", "Candidate", "Failure", "Candidate"]


async def test_closing_aborts_what_is_under_way() -> None:
    slow, fast = Maker("slow", seconds=30), Maker("fast")
    async with aclosing(Mixture([slow, fast])(PROMPT, 6)) as draws:
        async for draw in draws:
            assert draw.generator == "fast"
            break
    assert sorted(slow.aborted) == [0, 2, 4]


async def test_cancelling_aborts_what_is_under_way() -> None:
    slow = Maker("slow", seconds=30)
    task = asyncio.ensure_future(_drawn(Mixture([slow, slow, Maker("fast")]), 6))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(slow.aborted) == [0, 3]


async def test_mixtures_nest() -> None:
    inner = Mixture([Maker("a"), Maker("b")])
    draws = await _drawn(Mixture([inner, Maker("c")]), 6)
    assert [draw.generator for draw in draws.values()] == ["a", "c", "a", "c", "a", "c"]


async def test_a_draw_is_streamed_by_its_generator_or_in_one_piece() -> None:
    mixture = Mixture([Streamer("s"), Maker("m"), Maker("broken", fails_after=0)])
    assert isinstance(mixture, StreamingGenerator)
    assert [delta.text async for delta in mixture.stream(PROMPT, 3)] == ["grow", "ing"]
    (delta,) = [delta async for delta in mixture.stream(PROMPT, 4)]
    assert delta == Delta(
        text="m 4", candidate=Candidate(index=4, text="m 4", generator="m", seed=draw_seed(0, "p", 4))
    )
    with pytest.raises(ModelError, match="broken is broken"):
        [delta async for delta in mixture.stream(PROMPT, 5)]


async def test_streaming_a_draw_that_fails_raises() -> None:
    async def failing(prompt: Prompt, n: int, *, start: int = 0) -> AsyncGenerator[Draw, None]:
        yield Failure(stage="generate", error="RateLimited", message="later", index=start)

    async def empty(prompt: Prompt, n: int, *, start: int = 0) -> AsyncGenerator[Draw, None]:
        return
        yield

    with pytest.raises(RateLimited, match="later"):
        [delta async for delta in Mixture([failing]).stream(PROMPT, 0)]
    with pytest.raises(BadReply, match="empty ended before draw 0"):
        [delta async for delta in Mixture([empty]).stream(PROMPT, 0)]


def test_name_defaults_and_close_are_those_of_all() -> None:
    a, b = Maker("a"), Maker("b")

    async def plain(prompt: Prompt, n: int, *, start: int = 0) -> AsyncGenerator[Draw, None]:
        yield Candidate(index=start, text="")

    mixture = Mixture([a, a, b])
    assert mixture.name == "mixture(a, a, b)"
    assert mixture.defaults == {"temperature": 0.7}
    assert Mixture([a, plain]).name == "mixture(a, plain)"
    assert Mixture([a, plain]).defaults == {}
    mixture.close()
    Mixture([b, plain]).close()
    assert (a.closed, b.closed) == (1, 2)


def test_a_mixture_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="at least one generator"):
        Mixture([])


async def test_an_inner_generator_need_not_be_closable() -> None:
    class Bare:
        def __init__(self) -> None:
            self.left = 2

        def __aiter__(self) -> Bare:
            return self

        async def __anext__(self) -> Draw:
            if not self.left:
                raise StopAsyncIteration
            self.left -= 1
            return Candidate(index=1 - self.left, text="")

    def bare(prompt: Prompt, n: int, *, start: int = 0) -> Bare:
        return Bare()

    assert len(await _drawn(Mixture([bare]), 2)) == 2
    assert [item async for item in merge([bare(PROMPT, 2)])]
