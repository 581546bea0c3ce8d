from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bon.score import heuristic
from bon.score.heuristics import WEIGHTS
from bon.testing.pools import pool_of


async def scored(*texts: str, finish_reason: str = "stop") -> list[float | None]:
    return [score.value for score in await heuristic(pool_of(texts, finish_reasons=[finish_reason] * len(texts)))]


async def test_known_parts() -> None:
    text = "First we add two and two because they are small, so the sum = 4. I think the answer is 4."
    (score,) = await heuristic(pool_of([text]))
    words = text.split()
    assert score.parts == {
        "length": pytest.approx(len(words) / (len(words) + 20)),
        "reasoning": 1.0,  # first, because, so, =
        "answer": 1.0,
        "variety": 1.0,
        "certainty": 0.5,  # "I think"
    }
    assert score.value == pytest.approx(sum(WEIGHTS[name] * part for name, part in score.parts.items()))
    assert sum(WEIGHTS.values()) == pytest.approx(1)


async def test_repetition_costs() -> None:
    (score,) = await heuristic(pool_of(["one two three " * 10]))
    assert score.parts["variety"] == pytest.approx(3 / 28)


async def test_better_texts_score_higher() -> None:
    good, hedged, looped, bare = await scored(
        "Nine eggs are sold because three are eaten and four are baked, so 9 * 2 = 18. The answer is 18.",
        "Maybe nine eggs are sold, I guess, but I am not sure, so perhaps it is 18. The answer might be 18.",
        "the eggs the eggs the eggs the eggs the eggs the eggs the eggs the eggs the eggs the eggs",
        "18",
    )
    assert good > hedged > looped
    assert good > bare


@given(st.lists(st.text(), min_size=1, max_size=4))
async def test_any_text_scores_in_the_unit_interval_and_alone_as_in_company(texts: list[str]) -> None:
    together = await scored(*texts)
    assert all(value is not None and 0 <= value <= 1 for value in together)
    assert together == [(await scored(text))[0] for text in texts]


async def test_all_identical_candidates_are_scored_on_the_same_scale() -> None:
    text = "The answer is 4, because 2 + 2 = 4."
    assert set(await scored(*[text] * 8)) == set(await scored(text)) == {(await scored("Something else.", text))[1]}


async def test_a_truncated_answer_is_worth_half() -> None:
    text = "The answer is 4."
    assert await scored(text, finish_reason="length") == [pytest.approx(0.5 * (await scored(text))[0])]


async def test_empty_text_is_worth_nothing_and_tool_calls_have_no_score() -> None:
    pool = pool_of(["", ""])
    calls = replace(pool.candidates[1], tool_calls=({"id": "1"},))
    empty, called = await heuristic(replace(pool, candidates=(pool.candidates[0], calls)))
    assert (empty.value, empty.reason) == (0.0, "empty text")
    assert (called.value, called.reason) == (None, "tool calls without text")


async def test_thinking_text_is_not_judged_as_the_answer() -> None:
    pool = pool_of(["The answer is 4."])
    thinking = replace(pool.candidates[0], reasoning="Maybe perhaps maybe perhaps maybe perhaps.")
    assert await heuristic(replace(pool, candidates=(thinking,))) == await heuristic(pool)
