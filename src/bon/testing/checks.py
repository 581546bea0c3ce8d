"""What every generator, scorer, selector and budget must keep to: call these in the tests of your own.

Each returns nothing, and raises an AssertionError that says what was promised and what happened.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from bon.concurrency import close
from bon.errors import UsageError
from bon.protocols import Budget, Generator, Scorer, Selector, Weights
from bon.select import pick, weigh
from bon.testing.pools import pool_of
from bon.types import Candidate, Draw, Failure, Pool, Prompt, Score, as_messages

__all__ = ["check_budget", "check_generator", "check_scorer", "check_selector"]

_SEED = 20_260_101


async def check_generator(
    generator: Generator,
    *,
    prompt: Prompt | str = "Name a colour.",
    n: int = 4,
    repeatable: bool = False,
    patience: float = 60.0,
) -> None:
    """Exactly `n` draws with the right indexes, from `start` on; closing aborts; `stream`, if any, adds up to a draw.

    With `repeatable` the same request seed must give the same text to the same index, however many are drawn at once.
    Nothing may take longer than `patience` seconds.
    """
    asked = prompt if isinstance(prompt, Prompt) else Prompt(id="check", messages=as_messages(prompt))
    asked = replace(asked, request={"seed": _SEED, **asked.request})
    before = repr(asked)
    drawn = await _drawn(generator, asked, n, start=0, patience=patience)
    await _drawn(generator, asked, 2, start=n, patience=patience)
    texts = {draw.index: draw.text for draw in drawn if isinstance(draw, Candidate)}
    _promise(bool(texts), f"every draw failed, so there is nothing to check: {drawn[:1]}")
    if repeatable:
        for index, text in texts.items():
            (again,) = await _drawn(generator, asked, 1, start=index, patience=patience)
            found = again.text if isinstance(again, Candidate) else again
            _promise(found == text, f"draw {index} was {text!r} among {n}, and {found!r} alone, with the same seed")
    await _closes(generator(asked, n, start=0), patience=patience)
    if hasattr(generator, "stream"):
        await _check_stream(generator, asked, min(texts), patience=patience)
    _promise(repr(asked) == before, "the generator changed the prompt it was given")


async def check_scorer(scorer: Scorer, *, pool: Pool | None = None, tolerance: float = 1e-6) -> None:
    """One Score a candidate; the same whatever their order; if `pointwise`, the same alone as in company.

    `pool` should hold what the scorer reads (references, logprobs); by default it is small and has a bit of everything.
    Values may differ by `tolerance`: a batch can change a model's rounding.
    """
    pool = pool or _example()
    before = repr(pool)
    scores = await _scored(scorer, pool)
    _promise(repr(pool) == before, "the scorer changed the pool it was given")
    for order in (list(range(len(pool))), list(range(len(pool)))[::-1]):
        moved = await _scored(scorer, _permuted(pool, order))
        for position, score in zip(order, moved, strict=True):
            what = "in another order" if order[0] else "asked again"
            _same(scores[position], score, f"candidate {position} {what}", tolerance)
    if getattr(scorer, "pointwise", False):
        for position, score in enumerate(scores):
            (alone,) = await _scored(scorer, _permuted(pool, [position]))
            _same(score, alone, f"candidate {position} alone, though the scorer is pointwise,", tolerance)


def check_selector(selector: Selector, *, by: str = "score", pool: Pool | None = None) -> None:
    """Weights of shape `(n,)` that sum to 1, move with their candidates, and give a candidate without score nothing.

    The default pool has answers, and one scorer called `by`. A selector that gives a candidate the same weight
    whatever its score and answer (random, first) may give one to a candidate that has neither.
    """
    pool = pool or _example(by)
    before = repr(pool)
    weights = _weighed(selector, pool)
    _promise(repr(pool) == before, "the selector changed the pool it was given")
    _promise(weights.tolist() == _weighed(selector, pool).tolist(), "the same pool was given different weights")
    n = len(pool)
    for shift in range(n):
        order = [(position + shift) % n for position in range(n)][:: -1 if shift % 2 else 1]
        moved = _weighed(selector, _permuted(pool, order))
        what = f"weights {weights} became {moved} when candidates moved to {order}"
        _promise(np.allclose(moved, weights[order]), what)
    alone = _weighed(selector, _permuted(pool, [0]))
    _promise(alone.tolist() == [1.0], f"a candidate that is alone was given the weight {alone}")
    nothing = replace(pool, scores={name: (Score.missing("not scored"),) * n for name in pool.scores})
    _weighed(selector, replace(nothing, candidates=tuple(replace(c, answer=None) for c in pool.candidates)))
    if not np.allclose(weights, _weighed(selector, _judged_backwards(pool))):
        _check_unscored(selector, pool, weights)


def check_budget(budget: Budget, *, by: str = "score", limit: int = 1_000) -> None:
    """Whole numbers; the same for the same pool; an end, within `most` (else `limit`) draws; and no draw after the end.

    The pools it is shown grow draw by draw, with equal answers, and with scores by `by` that rise, fall, stay the same
    or are missing; or all draws fail.
    """
    wave, most = getattr(budget, "wave", 0), getattr(budget, "most", None)
    _promise(_is_count(wave) and wave >= 0, f"wave is {wave!r}; it must be a whole number, 0 or more")
    _promise(most is None or (_is_count(most) and most >= 1), f"most is {most!r}; it must be a whole number, 1 or more")
    last = limit if most is None else most
    count = last + 2
    courses: Mapping[str, Sequence[float | None]] = {
        "rising scores": [float(i) for i in range(count)],
        "falling scores": [float(-i) for i in range(count)],
        "equal scores": [0.0] * count,
        "no scores": [None] * count,
    }
    for course, values in courses.items():
        whole = pool_of([f"text {i}" for i in range(count)], scores={by: values}, answers=["42"] * count)
        _run_budget(budget, course, [_permuted(whole, range(n)) for n in range(count)], most)
    failures = [Failure(stage="generate", error="TimedOut", message="no answer", index=i) for i in range(count)]
    empty = pool_of([], scores={by: []})
    _run_budget(budget, "failing draws", [empty.with_failures(*failures[:n]) for n in range(count)], most)


async def _drawn(generator: Generator, prompt: Prompt, n: int, *, start: int, patience: float) -> list[Draw]:
    """All draws of one call, in the order of their index."""
    draws: list[Draw] = []
    async with _within(patience, f"its {n} draws"):
        async for draw in generator(prompt, n, start=start):
            _promise(isinstance(draw, (Candidate, Failure)), f"a draw is a Candidate or a Failure, not {draw!r}")
            draws.append(draw)
    indices = sorted(-1 if draw.index is None else draw.index for draw in draws)
    wanted = list(range(start, start + n))
    _promise(indices == wanted, f"asked for n={n} from start={start}: draws {wanted} are due, {indices} came")
    for draw in draws:
        if isinstance(draw, Failure):
            _promise(draw.stage == "generate", f"the failure of a draw has stage 'generate', not {draw.stage!r}")
        else:
            ended = draw.finish_reason is not None
            _promise(ended, f"draw {draw.index} has no finish_reason: it is a Failure (Truncated)")
    return sorted(draws, key=lambda draw: draw.index or 0)


async def _closes(iterator: AsyncIterator[Any], *, patience: float) -> None:
    """After its first item, an iterator can be closed, and then nothing of it runs any more."""
    others = asyncio.all_tasks()
    async with _within(patience, "its first item and closing it then"):
        await anext(iterator)
        await close(iterator)
    left = asyncio.all_tasks() - others
    _promise(not left, f"closed after its first item, it left {len(left)} tasks running: {left}")


async def _check_stream(generator: Any, prompt: Prompt, index: int, *, patience: float) -> None:
    text, candidate = "", None
    async with _within(patience, "streaming one draw"), aclosing(generator.stream(prompt, index)) as deltas:
        async for delta in deltas:
            _promise(candidate is None, "the stream goes on after the delta with the finished candidate")
            text, candidate = text + delta.text, delta.candidate
    if candidate is None:
        raise AssertionError("the stream ended without a delta that carries the finished candidate")
    _promise(candidate.index == index, f"the stream of draw {index} gave the candidate {candidate.index}")
    _promise(candidate.text == text, f"the pieces add up to {text!r}, the candidate says {candidate.text!r}")
    await _closes(generator.stream(prompt, index), patience=patience)


async def _scored(scorer: Scorer, pool: Pool) -> Sequence[Score]:
    scores = list(await scorer(pool))
    _promise(len(scores) == len(pool), f"{len(pool)} candidates were given {len(scores)} scores")
    for position, score in enumerate(scores):
        _promise(isinstance(score, Score), f"candidate {position} was given {score!r}, which is no Score")
    return scores


def _same(one: Score, other: Score, what: str, tolerance: float) -> None:
    if one.value is None or other.value is None:
        same = one.value is other.value
    else:
        same = abs(one.value - other.value) <= tolerance
    _promise(same, f"{what} is given {other.value!r}, not {one.value!r}")


def _weighed(selector: Selector, pool: Pool) -> Weights:
    try:
        return weigh(pool, selector)[0]
    except UsageError as error:
        raise AssertionError(str(error)) from error


def _check_unscored(selector: Selector, pool: Pool, weights: Weights) -> None:
    index = 1 + max(candidate.index for candidate in pool.candidates)
    more = replace(
        pool,
        candidates=(*pool.candidates, Candidate(index=index, text="a text that nobody judged")),
        scores={name: (*scores, Score.missing("not scored")) for name, scores in pool.scores.items()},
    )
    found = _weighed(selector, more)
    _promise(found[-1] == 0, f"a candidate with neither score nor answer was given the weight {found[-1]}")
    winners = pick(pool, weights, seed=_SEED), pick(more, found, seed=_SEED)
    _promise(winners[0] == winners[1], f"a candidate with neither score nor answer moved the win from {winners}")


def _run_budget(budget: Budget, course: str, pools: Sequence[Pool], most: int | None) -> None:
    """Ask a budget as a pool grows, until it stops; `pools[i]` is the pool when `i` draws have landed."""
    for landed, pool in enumerate(pools[:-1]):
        more = budget(pool)
        _promise(_is_count(more), f"{course}: it asks for {more!r} draws; a whole number is wanted")
        _promise(more == budget(pool), f"{course}: asked twice about the same pool it answers differently")
        if most is not None:
            beyond = more > 0 and more + landed > most
            _promise(not beyond, f"{course}: with {landed} draws it asks for {more}, beyond most={most}")
        if more <= 0:
            after = budget(pools[landed + 1])
            what = f"{course}: it stopped at {landed} draws, and asks for {after} more"
            _promise(after <= 0, f"{what} when one that was in flight lands")
            return
    raise AssertionError(f"{course}: it still asks for draws after {len(pools) - 2}; a budget needs an end")


@asynccontextmanager
async def _within(patience: float, what: str) -> AsyncIterator[None]:
    timer = asyncio.timeout(patience)
    try:
        async with timer:
            yield
    except TimeoutError:
        if not timer.expired():
            raise
        raise AssertionError(f"{what} took longer than {patience} s") from None


def _promise(kept: bool, broken: str) -> None:
    """An assert that also holds under `python -O`."""
    if not kept:
        raise AssertionError(broken)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _example(by: str | None = None) -> Pool:
    """Good and bad, cut off, empty and repeated candidates of a question with a known answer."""
    return pool_of(
        [
            "Six times seven is 42, because 6 * 7 = 42. The answer is 42.",
            "The answer is 41.",
            "I think it might be 42.",
            "Let us add six and six and six and six and",
            "",
            "The answer is 41.",
        ],
        prompt=Prompt(id="check", messages=as_messages("What is six times seven?"), reference="42"),
        answers=["42", "41", "42", None, None, "41"],
        finish_reasons=["stop", "stop", "stop", "length", "stop", "stop"],
        scores={by: [0.5, 0.875, 0.75, None, 0.0, 0.25]} if by else {},
    )


def _permuted(pool: Pool, order: Sequence[int]) -> Pool:
    """The candidates and scores at these positions, in this order."""
    return replace(
        pool,
        candidates=tuple(pool.candidates[i] for i in order),
        scores={name: tuple(scores[i] for i in order) for name, scores in pool.scores.items()},
    )


def _judged_backwards(pool: Pool) -> Pool:
    """The same candidates, each with the scores and the answer of its counterpart from the other end."""
    answers = [candidate.answer for candidate in pool.candidates][::-1]
    return replace(
        pool,
        candidates=tuple(replace(c, answer=answer) for c, answer in zip(pool.candidates, answers, strict=True)),
        scores={name: scores[::-1] for name, scores in pool.scores.items()},
    )
