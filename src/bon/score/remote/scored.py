"""From the numbers that an endpoint gives for a candidate to its Score; pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bon.errors import UsageError
from bon.score.process.aggregate import aggregate, parts_of
from bon.score.remote.shape import Ask, Numbers, Terms
from bon.types import Score

__all__ = ["score_of"]

_NONE = "the endpoint gave no finite number"
_PARTS = 64
"""Numbers of a candidate that are kept as parts; of more, it is no list of objectives but a vector."""


def score_of(said: Numbers | Score, place: int, ask: Ask) -> Score:
    """The Score of the candidate at this place of a request.

    Raises UsageError where it is not said which of several numbers it is.
    """
    terms = ask.terms
    if isinstance(said, Score):
        return said
    if said is None or isinstance(said, int | float):
        return _of_row([said], terms)
    numbers = [one for one in said if not isinstance(one, Sequence)]
    rows = [one for one in said if isinstance(one, Sequence)]
    if not rows:
        return _of_row(numbers, terms)
    if numbers:
        return Score.missing("the endpoint gave numbers and rows of numbers for one answer")
    if terms.separator is None:
        return _of_row(rows[-1], terms)  # a row a token: the last one has read everything
    return _of_steps(rows, terms.cut(ask.prompt, ask.candidates[place]), terms)


def _of_row(row: Sequence[float | None], terms: Terms) -> Score:
    """Of one number, or of several of which the terms name one."""
    if not row:
        return Score.missing(_NONE)
    place = terms.output
    if place is None and len(row) > 1:
        raise UsageError(
            f"the endpoint gives {len(row)} numbers for an answer: say which is the score, from 0, with output=; "
            "if they are the entries of a vector, serve the model as a classifier"
        )
    if (place or 0) >= len(row):
        raise UsageError(f"output is {place!r}, and the endpoint gives {len(row)} numbers for an answer, from 0")
    value = _finite(row[place or 0])
    parts = {str(i): _finite(number) for i, number in enumerate(row)} if 1 < len(row) <= _PARTS else {}
    return Score(value=value, reason=_NONE if value is None else "", parts=parts)


def _of_steps(rows: Sequence[Sequence[float | None]], cut: Sequence[str], terms: Terms) -> Score:
    """Of a row a step. A score is missing where the endpoint has not seen every step."""
    wanted = len(cut)
    if len(rows) != wanted:
        return Score.missing(
            f"the endpoint gave {len(rows)} rows for {wanted} steps: does it pool at the separator {terms.separator!r}?"
        )
    values = [_of_row(row, terms).value for row in rows]
    steps = [value for value in values if value is not None]
    if len(steps) < wanted or not steps:
        return Score.missing(f"{_NONE} for step {values.index(None)}" if values else "the answer has no steps")
    return Score(value=aggregate(steps, terms.aggregate), parts=parts_of(steps), steps=tuple(steps))


def _finite(number: float | None) -> float | None:
    return float(number) if number is not None and math.isfinite(number) else None
