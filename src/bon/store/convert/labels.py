"""Recorded answers that somebody has marked right or wrong: a pool with the scorer `correct`."""

from __future__ import annotations

from collections.abc import Sequence

from bon.types import Candidate, Pool, Prompt, Score

__all__ = ["CORRECT", "labelled"]

CORRECT = "correct"
"""The scorer that holds recorded correctness: 1 or 0."""


def labelled(prompt: Prompt, drawn: Sequence[tuple[Candidate, bool]]) -> Pool:
    """The pool of recorded candidates, each with whether it was right."""
    return Pool(
        prompt=prompt,
        candidates=tuple(candidate for candidate, _ in drawn),
        scores={CORRECT: tuple(Score(value=float(right)) for _, right in drawn)},
    )
