from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bon.errors import UsageError
from bon.generate.request import draw_seed
from bon.generate.variations import DEFAULT_VARIATIONS, Variations, varied
from bon.protocols import StreamingGenerator
from bon.types import Candidate, Delta, Draw, Failure, Prompt, as_messages

PROMPT = Prompt(id="p", messages=as_messages("Why?"), request={"seed": 5}, reference="42", metadata={"a": 1})


class Echo:
    """Answers with the prompt it was given; remembers its calls."""

    def __init__(self) -> None:
        self.name = "echo"
        self.defaults = {"temperature": 0.7}
        self.prompts: list[Prompt] = []
        self.calls: list[tuple[int, int]] = []
        self.closed = 0

    async def __call__(self, prompt: Prompt, n: int, *, start: int = 0) -> AsyncGenerator[Draw, None]:
        self.prompts.append(prompt)
        self.calls.append((start, n))
        for index in range(start, start + n):
            yield self._answer(prompt, index)

    async def stream(self, prompt: Prompt, index: int) -> AsyncGenerator[Delta, None]:
        yield Delta(text="so: ")
        yield Delta(text="x", candidate=self._answer(prompt, index))

    def close(self) -> None:
        self.closed += 1

    def _answer(self, prompt: Prompt, index: int) -> Candidate:
        seed = draw_seed(prompt.request["seed"], prompt.id, index)
        return Candidate(index=index, text=prompt.text, generator=self.name, seed=seed)


async def _drawn(generator: Any, n: int, start: int = 0, prompt: Prompt = PROMPT) -> list[Any]:
    return sorted([draw async for draw in generator(prompt, n, start=start)], key=lambda draw: draw.index)


async def test_draws_go_round_the_variations_and_record_theirs() -> None:
    draws = await _drawn(Variations(Echo(), ["", "Be brief.", "Shout: {prompt}!"]), 5)
    assert [(draw.text, draw.variation) for draw in draws] == [
        ("Why?", None),
        ("Why?\n\nBe brief.", "Be brief."),
        ("Shout: Why?!", "Shout: {prompt}!"),
        ("Why?", None),
        ("Why?\n\nBe brief.", "Be brief."),
    ]


async def test_each_draw_keeps_its_own_index_and_seed() -> None:
    draws = await _drawn(Variations(Echo(), ["a", "b", "c"]), 8)
    assert [draw.index for draw in draws] == list(range(8))
    assert [draw.seed for draw in draws] == [draw_seed(5, "p", index) for index in range(8)]
    assert {draw.generator for draw in draws} == {"echo"}


async def test_more_draws_extend_fewer() -> None:
    whole = await _drawn(Variations(Echo()), 15)
    parts = [await _drawn(Variations(Echo()), n, start) for start, n in [(0, 4), (4, 10), (14, 1)]]
    assert [*parts[0], *parts[1], *parts[2]] == whole


async def test_consecutive_draws_of_one_variation_are_one_call() -> None:
    one, pairs = Echo(), Echo()
    await _drawn(Variations(one, ["Be brief."]), 8, start=2)
    assert one.calls == [(2, 8)]
    await _drawn(Variations(pairs, ["a", "a", "b"]), 6)
    assert sorted(pairs.calls) == [(0, 2), (2, 1), (3, 2), (5, 1)]


async def test_the_prompt_itself_is_not_changed() -> None:
    message = {"role": "user", "content": [{"type": "text", "text": "Why?"}]}
    prompt = Prompt(id="p", messages=({"role": "system", "content": "S"}, message), request={"seed": 1})
    before = copy.deepcopy(prompt)
    echo = Echo()
    await _drawn(Variations(echo, ["x", "{prompt} y"]), 4, prompt=prompt)
    assert prompt == before
    assert all((seen.id, seen.request) == (prompt.id, prompt.request) for seen in echo.prompts)


def test_only_the_last_user_message_is_varied() -> None:
    messages = (
        {"role": "system", "content": "S"},
        {"role": "user", "content": "first", "name": "Ann"},
        {"role": "assistant", "content": "A"},
        {"role": "user", "content": "last", "name": "Ann"},
        {"role": "tool", "content": "T", "tool_call_id": "t"},
    )
    after = varied(Prompt(id="p", messages=messages), "Be brief.")
    assert after.messages[3] == {"role": "user", "content": "last\n\nBe brief.", "name": "Ann"}
    assert [*after.messages[:3], after.messages[4]] == [*messages[:3], messages[4]]


@pytest.mark.parametrize(
    ("variation", "before", "after"),
    [
        ("Be brief.", [], ["\n\nBe brief."]),
        ("Shout: {prompt}", ["Shout: "], []),
        ("Q: {prompt} A: {prompt}?", ["Q: "], [" A: Why?\nNow!?"]),
    ],
)
def test_images_stay_where_they_are(variation: str, before: list[str], after: list[str]) -> None:
    parts = [
        {"type": "text", "text": "Why?"},
        {"type": "image_url", "image_url": {"url": "u"}},
        {"type": "text", "text": "Now!"},
    ]
    prompt = varied(Prompt(id="p", messages=({"role": "user", "content": parts},)), variation)

    def text(texts: list[str]) -> list[Any]:
        return [{"type": "text", "text": one} for one in texts]

    assert prompt.messages[0]["content"] == [*text(before), *parts, *text(after)]


@given(st.text(), st.text())
def test_any_question_survives_any_instruction(question: str, instruction: str) -> None:
    text = varied(Prompt(id="p", messages=as_messages(question)), instruction).text
    if not instruction:
        assert text == question
    elif "{prompt}" in instruction:
        assert text == instruction.replace("{prompt}", question)
    else:
        assert text == f"{question}\n\n{instruction}"


def test_braces_are_text() -> None:
    assert varied(PROMPT, "Use \\boxed{} and {x}.").text == "Why?\n\nUse \\boxed{} and {x}."


async def test_failures_pass_through() -> None:
    async def failing(prompt: Prompt, n: int, *, start: int = 0) -> AsyncGenerator[Draw, None]:
        for index in range(start, start + n):
            yield Failure(stage="generate", error="TimedOut", message="", index=index)

    draws = await _drawn(Variations(failing, ["a", "b"]), 3)
    assert [(draw.error, draw.index) for draw in draws] == [("TimedOut", 0), ("TimedOut", 1), ("TimedOut", 2)]


async def test_what_the_generator_raises_is_raised() -> None:
    def refuse(prompt: Prompt, n: int, *, start: int = 0) -> Any:
        raise UsageError("no such model")

    with pytest.raises(UsageError, match="no such model"):
        await _drawn(Variations(refuse, ["a", "b"]), 3)
    with pytest.raises(UsageError, match="'p' has no user message"):
        await _drawn(Variations(Echo(), ["a"]), 3, prompt=Prompt(id="p", messages=({"role": "system", "content": ""},)))


class Endless:
    """Never comes to an end by itself; keeps what it handed out, so that no garbage collector does closing's work."""

    def __init__(self) -> None:
        self.held: list[Any] = []
        self.ended: list[int] = []

    def __call__(self, prompt: Prompt, n: int, *, start: int = 0) -> Any:
        self.held.append(self._draw(start))
        return self.held[-1]

    def stream(self, prompt: Prompt, index: int) -> Any:
        self.held.append(self._grow(index))
        return self.held[-1]

    async def _draw(self, start: int) -> AsyncGenerator[Draw, None]:
        try:
            yield Candidate(index=start, text="")
            await asyncio.Event().wait()
        finally:
            self.ended.append(start)

    async def _grow(self, index: int) -> AsyncGenerator[Delta, None]:
        try:
            while True:
                yield Delta(text="x")
        finally:
            self.ended.append(index)


async def test_closing_ends_every_draw_under_way() -> None:
    endless = Endless()
    async with aclosing(Variations(endless, ["a", "b", "c"])(PROMPT, 9)) as draws:
        async for _ in draws:
            break
    assert sorted(endless.ended) == list(range(9))


async def test_closing_a_stream_ends_its_draw() -> None:
    endless = Endless()
    async with aclosing(Variations(endless, ["a", "b"]).stream(PROMPT, 3)) as deltas:
        async for _ in deltas:
            break
    assert endless.ended == [3]


async def test_a_draw_is_streamed_with_its_variation() -> None:
    variations = Variations(Echo(), ["a", "b"])
    assert isinstance(variations, StreamingGenerator)
    first, last = [delta async for delta in variations.stream(PROMPT, 3)]
    assert first == Delta(text="so: ")
    assert last.candidate is not None
    assert (last.candidate.index, last.candidate.variation, last.candidate.text) == (3, "b", "Why?\n\nb")


async def test_a_generator_that_cannot_stream_gives_one_piece() -> None:
    async def whole(prompt: Prompt, n: int, *, start: int = 0) -> AsyncGenerator[Draw, None]:
        yield Candidate(index=start, text=prompt.text, reasoning="hm")

    (delta,) = [delta async for delta in Variations(whole, ["a", "b"]).stream(PROMPT, 1)]
    assert delta == Delta(
        text="Why?\n\nb",
        reasoning="hm",
        candidate=Candidate(index=1, text="Why?\n\nb", reasoning="hm", variation="b"),
    )


def test_name_defaults_and_close_are_the_inner_ones() -> None:
    echo = Echo()
    variations = Variations(echo)
    assert (variations.name, variations.defaults) == ("echo", {"temperature": 0.7})
    variations.close()
    assert echo.closed == 1


def test_the_built_in_list_is_of_different_instructions() -> None:
    assert len(set(DEFAULT_VARIATIONS)) == len(DEFAULT_VARIATIONS) >= 10
    assert {"", "Use bullet points.", "Be very concise."} <= set(DEFAULT_VARIATIONS)


@pytest.mark.parametrize("variations", [[], "Be brief."])
def test_no_variations_are_refused(variations: Any) -> None:
    with pytest.raises(UsageError, match="a list of at least one text"):
        Variations(Echo(), variations)
