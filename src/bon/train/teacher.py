"""Soft labels from a teacher: how sure a scorer is of each pair; pure, once its scores are there."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from bon.errors import UsageError
from bon.stats import fit_calibration
from bon.train.preferences import Pair, Preferences
from bon.types import Message, Pool

__all__ = ["softened"]


def softened(
    data: Preferences, taught: Iterable[Pool], *, by: str, scale: float | None = None
) -> tuple[Preferences, float]:
    """The same pairs with the probability that a teacher gives to the chosen answer as their target; and the scale.

    `taught` are pools with the teacher's scores under `by`, of the answers of the pairs. The probability is
    1 / (1 + exp(-scale * d)), d the teacher's value of the chosen answer less that of the other. Without `scale` it is
    fitted to the pairs' own labels (Platt), so that the teacher is as sure as it is right; where it agrees with all of
    them there is nothing to fit, and it is 1: then its values should be in nats, as those of reward models are.
    Pairs without both values are left out and counted. Raises UsageError where none is left.
    """
    values = _values(taught, by)
    gaps = [(pair, _gap(values, pair)) for pair in data.pairs]
    known = [(pair, gap) for pair, gap in gaps if gap is not None]
    if not known:
        raise UsageError(
            f"the teacher {by!r} has no score for both answers of any pair: see why in its scores' reasons"
        )
    factor = _fitted([gap for _, gap in known]) if scale is None else scale
    if not factor > 0:
        raise UsageError(
            f"the teacher {by!r} is wrong about these pairs as often as it is right (scale {factor:.3g}): it cannot "
            "teach what they say; give another teacher, or a scale of your own"
        )
    missing = len(gaps) - len(known)
    left_out = {**data.left_out, **({f"the teacher {by} has no score of it": missing} if missing else {})}
    pairs = tuple(replace(pair, target=_probability(factor * gap)) for pair, gap in known)
    return replace(data, pairs=pairs, left_out=left_out), factor


def _fitted(gaps: Sequence[float]) -> float:
    if all(gap > 0 for gap in gaps):
        return 1.0
    # Each pair both ways round, so that there is no constant to fit.
    factor, _ = fit_calibration([*gaps, *(-gap for gap in gaps)], [*[True] * len(gaps), *[False] * len(gaps)])
    return factor


def _probability(z: float) -> float:
    return 1 / (1 + math.exp(-z)) if z >= 0 else 1 - 1 / (1 + math.exp(z))


def _gap(values: dict[tuple[str, str], float], pair: Pair) -> float | None:
    asked = _key(pair.messages)
    chosen, rejected = values.get((asked, pair.chosen)), values.get((asked, pair.rejected))
    return None if chosen is None or rejected is None else chosen - rejected


def _values(taught: Iterable[Pool], by: str) -> dict[tuple[str, str], float]:
    """(prompt, text) -> value."""
    return {
        (_key(pool.prompt.messages), candidate.text): value
        for pool in taught
        if by in pool.scores
        for candidate, value in zip(pool.candidates, pool.values(by), strict=True)
        if value is not None
    }


def _key(messages: Sequence[Message]) -> str:
    return repr([dict(message) for message in messages])
