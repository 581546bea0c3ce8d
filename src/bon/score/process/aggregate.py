"""From the scores of steps to one number, and to the first wrong step: pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from bon.errors import UsageError

__all__ = ["AGGREGATES", "THRESHOLD", "aggregate", "first_error", "parts_of"]

THRESHOLD = 0.5
"""A step less likely right than this is wrong: where it is the more likely of two labels (ProcessBench)."""


def aggregate(steps: Sequence[float], how: str = "min") -> float:
    """One number for the scores of all steps, shape `(k,)`, k >= 1, each in [0, 1].

    `how` is a name of `AGGREGATES`. The product, as Lightman et al. 2023 ("Let's Verify Step by Step") score a
    solution, is summed in logs. Raises `UsageError` for another name, and without steps.
    """
    if how not in AGGREGATES:
        raise UsageError(f"aggregate is {how!r}; it must be one of {', '.join(AGGREGATES)}")
    if not steps:
        raise UsageError("there are no steps to aggregate")
    return AGGREGATES[how](steps)


def first_error(steps: Sequence[float], threshold: float = THRESHOLD) -> int:
    """Which step is the first below the threshold, from 0; -1 where none is."""
    return next((place for place, score in enumerate(steps) if score < threshold), -1)


def parts_of(steps: Sequence[float], threshold: float = THRESHOLD) -> dict[str, float]:
    """All aggregates and the first error, as the parts of a Score: another can be chosen without scoring again."""
    return {**{how: of(steps) for how, of in AGGREGATES.items()}, "first_error": float(first_error(steps, threshold))}


def _product(steps: Sequence[float]) -> float:
    return 0.0 if min(steps) <= 0.0 else math.exp(math.fsum(map(math.log, steps)))


AGGREGATES: Mapping[str, Callable[[Sequence[float]], float]] = MappingProxyType(
    {
        "min": min,
        "prod": _product,
        "last": lambda steps: steps[-1],
        "mean": lambda steps: math.fsum(steps) / len(steps),
        "max": max,
        "sum": math.fsum,
    }
)
"""By name. The sum grows with the number of steps; the others stay in [0, 1]."""
