from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from bon.budgets import Fixed, Threshold
from bon.protocols import Budget, Generator, Scorer, Selector
from bon.score import SCORERS, SelfCertainty, pointwise
from bon.select import SELECTORS, argmax, softmax
from bon.testing.checks import check_budget, check_generator, check_scorer, check_selector
from bon.testing.pools import pool_of
from bon.testing.scripted import Scripted
from bon.types import Candidate, Delta, Draw, Failure, Pool, Prompt, Score

# Generators


async def test_a_good_generator_passes() -> None:
    await check_generator(Scripted(["red", "green", "blue"]), repeatable=True)
    await check_generator(Scripted(["red", TimeoutError("too slow")], delay=0.01), n=3)


def drawing(draws: Callable[[int, int], list[Draw]]) -> Generator:
    """A generator that ends with whatever `draws(n, start)` gives."""

    async def generate(prompt: Prompt, n: int, *, start: int = 0) -> AsyncIterator[Draw]:
        for draw in draws(n, start):
            yield draw

    return generate


def said(index: int, text: str = "red") -> Candidate:
    return Candidate(index=index, text=text)


def failed(index: int, stage: str) -> Failure:
    return Failure(stage=stage, error="TimedOut", message="no answer", index=index)


async def leaking(prompt: Prompt, n: int, *, start: int = 0) -> AsyncIterator[Draw]:
    tasks = [asyncio.ensure_future(asyncio.sleep(0.05 * i, said(start + i))) for i in range(n)]
    for task in tasks:
        yield await task


async def clinging(prompt: Prompt, n: int, *, start: int = 0) -> AsyncIterator[Draw]:
    try:
        for i in range(n):
            yield said(start + i)
    finally:
        await asyncio.sleep(60 if i < n - 1 else 0)


async def hanging(prompt: Prompt, n: int, *, start: int = 0) -> AsyncIterator[Draw]:
    await asyncio.sleep(60)
    yield said(start)


async def meddling(prompt: Prompt, n: int, *, start: int = 0) -> AsyncIterator[Draw]:
    prompt.request["n"] = n  # type: ignore[index]
    for i in range(n):
        yield said(start + i)


@pytest.mark.parametrize(
    ("generator", "message"),
    [
        (drawing(lambda n, start: [said(start)]), r"draws \[0, 1, 2, 3\] are due, \[0\] came"),  # ignores n
        (drawing(lambda n, start: [said(start + i) for i in range(n + 1)]), "are due"),
        (drawing(lambda n, start: [said(i) for i in range(n)]), r"start=4: draws \[4, 5\] are due, \[0, 1\] came"),
        (drawing(lambda n, start: [said(start)] * n), "are due"),
        (drawing(lambda n, start: ["red"] * n), "a Candidate or a Failure, not 'red'"),
        (
            drawing(lambda n, start: [replace(said(start + i), finish_reason=None) for i in range(n)]),
            "no finish_reason",
        ),
        (drawing(lambda n, start: [failed(start + i, "score") for i in range(n)]), "stage 'generate', not 'score'"),
        (drawing(lambda n, start: [failed(start + i, "generate") for i in range(n)]), "every draw failed"),
        (leaking, "left 3 tasks running"),
        (clinging, "closing it then took longer than 0.3 s"),
        (hanging, "draws took longer than 0.3 s"),
        (meddling, "changed the prompt"),
    ],
)
async def test_a_broken_generator_is_told_what_it_broke(generator: Generator, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        await check_generator(generator, patience=0.3)


async def test_a_generator_that_does_not_repeat_itself_is_found_out() -> None:
    counter = itertools.count()
    changing = Scripted(lambda prompt, index: f"text {next(counter)}")
    await check_generator(drawing(lambda n, start: [said(start + i, f"text {next(counter)}") for i in range(n)]))
    with pytest.raises(AssertionError, match="with the same seed"):
        await check_generator(changing, repeatable=True)


class Streaming(Scripted):
    def __init__(self, *deltas: Delta) -> None:
        super().__init__(["red"])
        self.deltas = deltas

    async def stream(self, prompt: Prompt, index: int) -> AsyncIterator[Delta]:
        for delta in self.deltas:
            yield delta


@pytest.mark.parametrize(
    ("deltas", "message"),
    [
        ([Delta(text="red")], "ended without a delta"),
        ([Delta(text="re"), Delta(candidate=said(0))], "pieces add up to 're'"),
        ([Delta(text="red"), Delta(candidate=said(3))], "stream of draw 0 gave the candidate 3"),
        ([Delta(text="red"), Delta(candidate=said(0)), Delta(text="")], "goes on after"),
    ],
)
async def test_a_stream_that_does_not_add_up_is_found_out(deltas: list[Delta], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        await check_generator(Streaming(*deltas))
    await check_generator(Streaming(Delta(text="red"), Delta(candidate=said(0))))


# Scorers


@pytest.mark.parametrize("scorer", [*SCORERS.values(), SelfCertainty("sampled")], ids=lambda scorer: str(scorer.name))
async def test_the_scorers_of_bon_keep_their_promises(scorer: Scorer) -> None:
    await check_scorer(scorer)


def scoring(fn: Callable[[Pool], Any], **attributes: Any) -> Scorer:
    async def score(pool: Pool) -> Any:
        return fn(pool)

    for name, value in attributes.items():
        setattr(score, name, value)
    return score


def meddle(pool: Pool) -> list[Score]:
    pool.scores["mine"] = ()  # type: ignore[index]
    return [Score(value=1.0)] * len(pool)


numbers = itertools.count()


@pytest.mark.parametrize(
    ("scorer", "message"),
    [
        (scoring(lambda pool: [Score(value=1.0)]), "6 candidates were given 1 scores"),
        (scoring(lambda pool: [0.5] * len(pool)), "candidate 0 was given 0.5, which is no Score"),
        (scoring(lambda pool: [Score(value=float(i)) for i in range(len(pool))]), "in another order"),
        (scoring(lambda pool: [Score(value=float(next(numbers)))] * len(pool)), "asked again"),
        (scoring(lambda pool: [Score(value=1 / len(pool))] * len(pool), pointwise=True), "alone, though the scorer is"),
        (
            scoring(
                lambda pool: [Score(value=1.0) if len(pool) > 1 else Score.missing("alone")] * len(pool), pointwise=True
            ),
            "is given None, not 1.0",
        ),
        (scoring(meddle), "changed the pool"),
    ],
)
async def test_a_broken_scorer_is_told_what_it_broke(scorer: Scorer, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        await check_scorer(scorer)


async def test_a_scorer_may_round_within_the_tolerance() -> None:
    noise = itertools.cycle([1e-8, -1e-8, 0.0])
    scorer = pointwise(lambda prompt, candidate: len(candidate.text) + next(noise), name="noisy")
    await check_scorer(scorer)
    with pytest.raises(AssertionError):
        await check_scorer(scorer, tolerance=1e-12)


async def test_a_pool_of_ones_own_can_be_given() -> None:
    await check_scorer(SCORERS["agreement"], pool=pool_of("abc", answers=["1", "1", "2"]))


# Selectors


@pytest.mark.parametrize("name", SELECTORS)
def test_the_selectors_of_bon_keep_their_promises(name: str) -> None:
    check_selector(SELECTORS[name], by="correct")


def test_a_partial_selector_passes() -> None:
    check_selector(partial(softmax, by="mine", temperature=0.1), by="mine")


def by_position(pool: Pool) -> np.ndarray:
    return np.arange(1, len(pool) + 1) / sum(range(1, len(pool) + 1))


def none_is_best(pool: Pool) -> np.ndarray:
    values = np.array([np.inf if value is None else value for value in pool.values("score")])
    return (values == values.max()) / (values == values.max()).sum()


def none_is_zero(pool: Pool) -> np.ndarray:
    values = np.array([value or 0.0 for value in pool.values("score")])
    return np.exp(values) / np.exp(values).sum()


def meddling_selector(pool: Pool) -> np.ndarray:
    pool.prompt.metadata["seen"] = True  # type: ignore[index]
    return argmax(pool)


def one_short(pool: Pool) -> np.ndarray:
    return argmax(pool) if len(pool) > 1 else np.array([0.0])


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        (lambda pool: np.ones(len(pool)), "sum to 1"),
        (lambda pool: np.ones((len(pool), 1)), "shape"),
        (lambda pool: np.full(len(pool), np.nan), "finite"),
        (lambda pool: np.random.default_rng().dirichlet(np.ones(len(pool))), "different weights"),
        (by_position, "when candidates moved"),
        (none_is_best, "neither score nor answer"),
        (none_is_zero, "neither score nor answer"),
        (one_short, "sum to 1"),
        (meddling_selector, "changed the pool"),
    ],
)
def test_a_broken_selector_is_told_what_it_broke(selector: Selector, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_selector(selector)


# Budgets


@pytest.mark.parametrize(
    "budget", [Fixed(1), Fixed(8), Threshold(3), Threshold(0.5, by="score", most=20, wave=0), Threshold(1e9, most=5)]
)
def test_the_budgets_of_bon_keep_their_promises(budget: Budget) -> None:
    check_budget(budget)


@dataclass
class Counting:
    asked: int = 0

    def __call__(self, pool: Pool) -> int:
        self.asked += 1
        return 10 - self.asked


@dataclass(frozen=True)
class Rule:
    rule: Callable[[Pool], Any]
    most: Any = None
    wave: Any = 0

    def __call__(self, pool: Pool) -> Any:
        return self.rule(pool)


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        (Rule(lambda pool: 1), "it still asks for draws after 1000; a budget needs an end"),
        (Rule(lambda pool: 8 - len(pool)), "failing draws: it still asks"),
        (Rule(lambda pool: 8.0 - pool.landed), "asks for 8.0 draws; a whole number is wanted"),
        (Rule(lambda pool: pool.landed < 8), "a whole number is wanted"),
        (Rule(lambda pool: 5 if pool.landed < 8 else 0, most=8), "beyond most=8"),
        (Rule(lambda pool: int(pool.landed % 4 != 3)), "when one that was in flight lands"),
        (Rule(lambda pool: 0, wave=-1), "wave is -1"),
        (Rule(lambda pool: 0, most=0), "most is 0"),
        (Counting(), "asked twice about the same pool"),
    ],
)
def test_a_broken_budget_is_told_what_it_broke(budget: Budget, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_budget(budget)
