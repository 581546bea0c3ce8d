"""Sums of single digits, worked out step by step by somebody who slips: problems, solutions, and which steps are wrong.

A problem is a digit and a few changes to it (`3+4-2`), every number on the way a digit. A solution says each change as
a sum (`3+4=7`, then `7-2=5`). Three things go wrong, and it is known exactly where:

- a slip: a sum is said to come to another digit nearby;
- a slip of the pen: a sum begins with another digit than the one before came to, and is worked out right from there;
- counting on one hand: where a change crosses from below five to five or beyond, or back, it comes out one too small.
  Who counts so does it in every such step, so that all who do come to the same wrong answer.

Slips scatter over many wrong answers; at a problem that most people count on one hand, the commonest answer is wrong.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import bon
from bon.types import Candidate, Pool, Score

__all__ = ["Habits", "Problem", "Solution", "pools", "problems", "solution"]

HIGHEST = 9
HAND = 5
CHANGES = range(1, 5)


@dataclass(frozen=True, kw_only=True)
class Habits:
    """How those who solve problems err."""

    slip: float = 0.0
    """Chance of a slip in a step."""
    copy: float = 0.0
    """Chance of a slip of the pen in a step."""
    handed: float = 0.0
    """Share of the problems at which people count on one hand."""
    sharing: float = 0.65
    """Share of the solutions of such a problem that do."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A digit to start from, and what is done to it."""

    start: int
    changes: tuple[int, ...]

    @property
    def text(self) -> str:
        return f"{self.start}{''.join(f'{change:+d}' for change in self.changes)}"

    @property
    def answer(self) -> int:
        return self.start + sum(self.changes)


@dataclass(frozen=True, kw_only=True)
class Solution:
    """A problem worked out, a sum a step."""

    steps: tuple[str, ...]
    right: tuple[bool, ...]
    """Whether each step goes on from where the one before came to, and comes to what it says; by itself, so that a step
    after a wrong one may be right."""
    answer: int


def counted(value: int, change: int) -> int:
    """A change that is counted on one hand: one too few where it crosses from the hand to beyond it, or back."""
    crosses = (value < HAND) != (value + change < HAND)
    return value + change - (1 if change > 0 else -1) * crosses


def problems(count: int, *, length: int, seed: int) -> list[Problem]:
    """Different problems of `length` changes, at which counting on one hand leads to another answer.

    Both ways of counting stay among digits.
    """
    rng = random.Random(seed)
    found: dict[Problem, None] = {}
    while len(found) < count:
        start = rng.randint(0, HIGHEST)
        changes = tuple(rng.choice((-1, 1)) * rng.choice(CHANGES) for _ in range(length))
        value = other = start
        passed = [start]
        for change in changes:
            value, other = value + change, counted(other, change)
            passed += [value, other]
        if value != other and all(0 <= one <= HIGHEST for one in passed):
            found[Problem(start=start, changes=changes)] = None
    return list(found)


def solution(asked: Problem, rng: random.Random, habits: Habits, *, handed: bool = False) -> Solution:
    """One way of working it out; drawn again where it would leave the digits."""
    while True:
        value = asked.start
        steps: list[str] = []
        right: list[bool] = []
        for change in asked.changes:
            begun, came = _step(value, change, rng, habits, handed=handed)
            if not (0 <= begun <= HIGHEST and 0 <= came <= HIGHEST):
                break
            steps.append(f"{begun}{change:+d}={came}")
            right.append(begun == value and came == value + change)
            value = came
        else:
            return Solution(steps=tuple(steps), right=tuple(right), answer=value)


def _step(value: int, change: int, rng: random.Random, habits: Habits, *, handed: bool) -> tuple[int, int]:
    """What a step begins with, and what it says that comes to."""
    drawn, off = rng.random(), rng.choice((-3, -2, -1, 1, 2, 3))
    if drawn < habits.slip:
        return value, value + change + off
    if drawn < habits.slip + habits.copy:
        return value + off, value + off + change
    return value, counted(value, change) if handed else value + change


def pools(asked: Sequence[Problem], *, draws: int, habits: Habits, seed: int) -> Iterator[Pool]:
    """Problems with solutions; scores `correct`: whether the answer is right, and of each step whether it is."""
    rng = random.Random(seed)
    for one in asked:
        share = habits.sharing if rng.random() < habits.handed else 0.0
        drawn = [solution(one, rng, habits, handed=rng.random() < share) for _ in range(draws)]
        yield Pool(
            prompt=bon.prompt(one.text, id=one.text, reference=str(one.answer)),
            candidates=tuple(
                Candidate(index=place, text="\n".join(found.steps), answer=str(found.answer))
                for place, found in enumerate(drawn)
            ),
            scores={
                "correct": tuple(
                    Score(value=float(found.answer == one.answer), steps=tuple(map(float, found.right)))
                    for found in drawn
                )
            },
        )
