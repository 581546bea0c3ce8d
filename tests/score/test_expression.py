"""Arithmetic expressions: their exact value, the numbers they use, and nothing of them ever run."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bon.errors import UsageError
from bon.score.expression import expression
from bon.store.convert.game24 import game24
from bon.testing.pools import pool_of
from bon.types import Prompt, Score

DATA = Path(os.environ.get("BON_DATA", Path(__file__).parents[3] / "shared" / "data")) / "game24"
PUZZLE = Prompt(id="p", messages=(), metadata={"numbers": [4, 5, 6, 10], "target": 24})


async def verdict(text: str, *, prompt: Prompt = PUZZLE, answer: str | None = None, **options: Any) -> Score:
    return (await expression(**options)(pool_of([text], prompt=prompt, answers=[answer])))[0]


@pytest.mark.parametrize(
    ("text", "value", "reason"),
    [
        ("Answer: (10 - 4) * (6 + 5) = 24", 0, "it is 66, not 24"),
        ("10 - 6 = 4 (left: 4 4 5)\nAnswer: (5 * 4) + (10 - 6) = 24", 1, "it is 24"),
        ("(5 × 4) + (10 − 6)", 1, "it is 24"),
        ("So the answer is (5*4)+(10-6) = 24.", 1, "it is 24"),
        ("**Answer:** 5*4+10-6", 1, "it is 24"),
        ("Answer: $\\boxed{5 \\times 4 + 10 - 6 = 24}$", 1, "it is 24"),
        ("So it is \\boxed{(10 - 4) * (6 + 5)}\nI hope that this helps.", 0, "it is 66, not 24"),
        ("Answer: 5*4 + (10-6) = \\boxed{24}", 1, "it is 24"),
        ("4 * 6 = 24", 0, "it uses 4 6, not 4 5 6 10"),
        ("Answer: 4 * 6 * (10 - 5) / 5 = 24", 0, "it uses 4 5 5 6 10, not 4 5 6 10"),
        ("Answer: 24", 0, "it uses 24, not 4 5 6 10"),
        ("Answer: 4 + (5 + 6", 0, "unparsed"),
        ("Answer: 4 ** 5 + 6 + 10", 0, "unparsed"),
        ("Answer: 10 / (5 - 5) + 4 * 6", 0, "unparsed"),
        ("", 0, "unparsed"),
        ("I give up.", 0, "unparsed"),
        ("Answer: __import__('os').getpid() * 0 + 24", 0, "unparsed"),
        ("Answer: [].__class__", 0, "unparsed"),
    ],
)
async def test_the_value_and_the_numbers_both_count(text: str, value: float, reason: str) -> None:
    assert await verdict(text) == Score(value=value, reason=reason)


async def test_values_are_exact() -> None:
    prompt = replace(PUZZLE, metadata={"numbers": [3, 3, 8, 8], "target": 24})
    assert (await verdict("8 / (3 - 8/3)", prompt=prompt)).value == 1
    assert (await verdict("0.1 + 0.2", prompt=Prompt(id="p", messages=(), reference="0.3"))).value == 1
    assert (await verdict("1/3", target="1/3", prompt=Prompt(id="p", messages=()))).value == 1
    assert (await verdict("0.3333333333333333", target="1/3", prompt=Prompt(id="p", messages=()))).value == 0


async def test_which_numbers_may_be_used_can_be_said() -> None:
    assert (await verdict("4 * 6", use="some")).value == 1
    assert (await verdict("4 * 6 * 1", use="some")).reason == "it uses 1 4 6, not some of 4 5 6 10"
    assert (await verdict("4 * 6 + 5 - 5", use="some")).value == 0
    assert (await verdict("12 + 12", use="any")).value == 1
    with pytest.raises(UsageError, match="must be one of all, some, any"):
        expression(use="none")


async def test_the_target_is_the_option_else_the_prompts_own() -> None:
    prompt = Prompt(id="p", messages=(), reference="#### 7")
    assert (await verdict("3 + 4", prompt=prompt)).value == 1
    assert (await verdict("3 + 4", prompt=prompt, target=8)).value == 0
    assert (await verdict("3 + 4", prompt=replace(prompt, metadata={"target": 8}))).value == 0
    assert (await verdict("3 + 4", prompt=replace(prompt, reference=None))).value is None
    broken = await verdict("3 + 4", prompt=replace(prompt, metadata={"numbers": [3, "x"]}))
    assert broken.value is None
    assert "no list of numbers" in broken.reason
    with pytest.raises(UsageError, match="must be a number"):
        expression(target="x")


async def test_the_answer_that_was_extracted_counts_before_the_text() -> None:
    assert (await verdict("4 + 5", answer="(5*4)+(10-6)=24")).value == 1


async def test_huge_numbers_take_no_time() -> None:
    started = time.process_time()
    score = await verdict(" * ".join(["9" * 190] * 90), use="any")
    assert score == Score(value=0.0, reason="it is a huge number, not 24")
    assert (await verdict("(" * 50_000 + "1", use="any")).reason == "unparsed"
    assert time.process_time() - started < 1


@given(st.text(alphabet="0123456789+-*/(). =x^_eE", max_size=60))
async def test_no_text_raises(text: str) -> None:
    score = await verdict(text)
    assert score.value in (0.0, 1.0)


@pytest.mark.slow
@pytest.mark.parametrize("prompting", ["cot", "io"])
async def test_all_flags_of_the_game_of_24_are_reproduced(prompting: str) -> None:
    path = DATA / f"{prompting}.json"
    if not path.is_file():
        pytest.skip("the Game of 24 samples are not there: set BON_DATA to the folder with the test data")
    verifier, checked = expression(), 0
    for pool in game24(path):
        recorded = pool.values("correct")
        assert tuple(score.value for score in await verifier(pool)) == recorded
        texts = replace(pool, candidates=tuple(replace(candidate, answer=None) for candidate in pool.candidates))
        assert tuple(score.value for score in await verifier(texts)) == recorded
        checked += len(pool)
    assert checked == 10_000
