from __future__ import annotations

import asyncio
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pytest

from bon.errors import SpecError, UsageError
from bon.score import as_scorer, failure_of, listwise, pointwise
from bon.testing.pools import pool_of
from bon.types import Candidate, Pool, Prompt, Score


def length(prompt: Prompt, candidate: Candidate) -> float:
    return len(candidate.text)


async def test_a_plain_function_becomes_a_pointwise_instant_scorer() -> None:
    scorer = pointwise(length)
    assert (scorer.name, scorer.pointwise, scorer.instant) == ("length", True, True)
    assert [score.value for score in await scorer(pool_of(["a", "bcd", ""]))] == [1, 3, 0]
    assert pointwise(length, name="chars").name == "chars"


async def test_an_async_function_scores_all_candidates_together_and_in_their_order() -> None:
    running = 0
    most = 0

    @pointwise
    async def slow(prompt: Prompt, candidate: Candidate) -> float:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01 * (3 - candidate.index))  # the last one is done first
        running -= 1
        return candidate.index

    assert not slow.instant
    assert [score.value for score in await slow(pool_of("abc"))] == [0, 1, 2]
    assert most == 3


@pytest.mark.parametrize(
    ("said", "value"),
    [
        (True, 1.0),
        (False, 0.0),
        (3, 3.0),
        (np.float32(0.5), 0.5),
        (np.bool_(True), 1.0),
        (Fraction(1, 2), 0.5),
        (Decimal("0.25"), 0.25),
        (np.array(0.5), 0.5),
        (Score(value=0.1, reason="because"), 0.1),
        (None, None),
    ],
)
async def test_numbers_truth_values_scores_and_none_are_judgements(said: Any, value: float | None) -> None:
    (score,) = await pointwise(lambda prompt, candidate: said)(pool_of("a"))
    assert score.value == value
    assert failure_of(score, index=0, by="s") is None


@pytest.mark.parametrize(
    "said", [float("nan"), float("inf"), -np.inf, "8/10", object(), [1.0], 10**400], ids=lambda said: repr(said)[:8]
)
async def test_nan_and_what_is_no_number_become_a_missing_score_with_its_error(said: Any) -> None:
    (score,) = await pointwise(lambda prompt, candidate: said, name="mine")(pool_of("a"))
    assert score.value is None
    failure = failure_of(score, index=4, by="mine")
    assert failure is not None
    assert failure.error in ("ScoreError", "OverflowError")
    assert (failure.stage, failure.index, failure.by) == ("score", 4, "mine")
    assert score.reason == f"{failure.error}: {failure.message}"


@pytest.mark.parametrize("is_async", [False, True])
async def test_an_error_on_one_candidate_leaves_the_others_their_scores(is_async: bool) -> None:
    def fails_on_b(prompt: Prompt, candidate: Candidate) -> float:
        return {"a": 1.0, "c": 3.0}[candidate.text]

    async def also(prompt: Prompt, candidate: Candidate) -> float:
        return fails_on_b(prompt, candidate)

    scores = await pointwise(also if is_async else fails_on_b)(pool_of("abc"))
    assert [score.value for score in scores] == [1, None, 3]
    assert scores[1].reason == "KeyError: 'b'"


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_usage_error_is_raised_because_it_holds_for_every_candidate(is_async: bool) -> None:
    def wrong(prompt: Prompt, candidate: Candidate) -> float:
        raise UsageError("no key")

    async def also(prompt: Prompt, candidate: Candidate) -> float:
        return wrong(prompt, candidate)

    with pytest.raises(UsageError, match="no key"):
        await pointwise(also if is_async else wrong)(pool_of("abc"))


async def test_cancelling_an_async_pointwise_scorer_leaves_nothing_running() -> None:
    ended = []

    @pointwise
    async def forever(prompt: Prompt, candidate: Candidate) -> float:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(candidate.index)
        return 1.0

    task = asyncio.ensure_future(forever(pool_of("abc")))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(ended) == [0, 1, 2]


async def test_listwise_lifts_a_function_of_the_pool() -> None:
    scorer = listwise(lambda pool: [len(pool), None, True], name="mine")
    assert (scorer.name, scorer.pointwise, scorer.instant) == ("mine", False, True)
    assert [score.value for score in await scorer(pool_of("abc"))] == [3, None, 1]


async def of_pool(pool: Pool) -> list[Score]:
    return [Score(value=0.5)] * len(pool)


class OfPool:
    name = "mine"

    async def __call__(self, pool: Pool) -> list[Score]:
        return await of_pool(pool)


class OfCandidate:
    async def __call__(self, prompt: Prompt, candidate: Candidate) -> float:
        return 0.5


def with_option(prompt: Prompt, candidate: Candidate, scale: float = 0.5) -> float:
    return scale


def needs_scale(scale: float, prompt: Prompt, candidate: Candidate) -> float:
    return scale


@pytest.mark.parametrize(
    ("thing", "is_pointwise"),
    [
        (length, True),
        (with_option, True),
        (partial(needs_scale, 0.5), True),
        (OfCandidate(), True),
        (pointwise(length), True),
        (of_pool, False),
        (OfPool(), False),
        (lambda pool: [0.5] * len(pool), False),
    ],
)
async def test_a_scorer_is_told_by_its_signature(thing: Any, is_pointwise: bool) -> None:
    scorer = as_scorer(thing)
    assert getattr(scorer, "pointwise", False) is is_pointwise
    scores = await scorer(pool_of("ab"))
    assert len(scores) == 2
    assert all(isinstance(score, Score) for score in scores)


def test_scorers_stay_what_they_are() -> None:
    lifted = pointwise(length)
    assert as_scorer(lifted) is lifted
    assert as_scorer(of_pool) is of_pool


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        (OfPool, "is a class; a scorer is a function or an instance"),
        (0.5, "cannot be called"),
        (lambda: 1, "takes 0 arguments"),
        (lambda a, b, c: 1, "takes 3 arguments"),
    ],
)
def test_what_is_no_scorer_is_told_what_one_is(thing: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        as_scorer(thing)
