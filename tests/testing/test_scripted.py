from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from bon.errors import ModelError, RateLimited
from bon.testing.scripted import Scripted
from bon.types import Candidate, Failure, Prompt, as_messages

PROMPT = Prompt(id="p", messages=as_messages("one two"))


async def test_lines_come_in_turn_from_start_on() -> None:
    draws = [draw async for draw in Scripted(["a", "b", "c"])(PROMPT, 4, start=2)]
    assert [(draw.index, draw.text) for draw in draws] == [(2, "c"), (3, "a"), (4, "b"), (5, "c")]
    assert draws[0].generator == "scripted"
    assert draws[0].usage.total_tokens == 3


async def test_a_function_says_texts_candidates_and_errors() -> None:
    lines = {0: "text", 1: Candidate(index=9, text="whole", finish_reason="length"), 2: RateLimited("slow down")}
    generator = Scripted(lambda prompt, index: lines[index], name="mine")
    draws = [draw async for draw in generator(PROMPT, 3)]
    assert draws[1] == Candidate(index=1, text="whole", finish_reason="length")
    assert draws[2] == Failure(stage="generate", error="RateLimited", message="slow down", index=2, by="mine")
    with pytest.raises(ModelError):
        _ = [draw async for draw in Scripted([ModelError("no such model")])(PROMPT, 1)]


async def test_draws_end_in_the_order_of_their_delays_and_are_remembered() -> None:
    generator = Scripted(["a", "b", "c"], delay=lambda prompt, index: 0.02 * (3 - index))
    assert [draw.index async for draw in generator(PROMPT, 3)] == [2, 1, 0]
    assert sorted(generator.started) == sorted(generator.finished) == [("p", 0), ("p", 1), ("p", 2)]
    assert generator.aborted == []


async def test_closing_aborts_what_is_under_way() -> None:
    generator = Scripted(["a", "b", "c"], delay=lambda prompt, index: 60.0 * index)
    async with aclosing(generator(PROMPT, 3)) as draws:
        assert (await anext(draws)).index == 0
    assert generator.finished == [("p", 0)]
    assert sorted(generator.aborted) == [("p", 1), ("p", 2)]


async def test_nothing_ends_before_the_gate_opens() -> None:
    gate = asyncio.Event()
    generator = Scripted(["a"], gate=gate)
    task = asyncio.ensure_future(anext(generator(PROMPT, 1)))
    await asyncio.sleep(0.01)
    assert (generator.started, generator.finished) == ([("p", 0)], [])
    gate.set()
    assert (await task).text == "a"


async def test_a_stream_adds_up_and_closing_it_aborts() -> None:
    generator = Scripted(["  two words \n"])
    deltas = [delta async for delta in generator.stream(PROMPT, 0)]
    assert "".join(delta.text for delta in deltas) == deltas[-1].candidate.text == "  two words \n"
    async with aclosing(generator.stream(PROMPT, 1)) as stream:
        await anext(stream)
    assert generator.finished == [("p", 0)]
    assert generator.aborted == [("p", 1)]


async def test_the_seed_is_the_draws_own() -> None:
    seeded = Prompt(id="p", messages=(), request={"seed": 7})
    first = [draw.seed async for draw in Scripted(["a"])(seeded, 3)]
    assert len(set(first)) == 3
    assert first == [draw.seed async for draw in Scripted(["a"])(seeded, 3)]
