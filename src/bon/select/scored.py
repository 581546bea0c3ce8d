"""Selectors that go by scores: the best one, or a softmax of them."""

from __future__ import annotations

import math

import numpy as np

from bon.errors import UsageError
from bon.protocols import Weights
from bon.select.common import gold_of, sampled, values
from bon.types import Pool

__all__ = ["argmax", "oracle", "softmax"]


def argmax(pool: Pool, *, by: str | None = None) -> Weights:
    """Best-of-N: the highest score takes all, equal ones share. `by` defaults to the pool's only scorer."""
    found = values(pool, by)
    best = found == found.max()
    return np.where(best, 1 / np.count_nonzero(best), 0.0)


@sampled
def softmax(pool: Pool, *, by: str | None = None, temperature: float = 1.0) -> Weights:
    """Weights in proportion to exp(score / temperature), `temperature` in score units; the pick is drawn from them.

    Soft best-of-N (Verdun et al. 2025). Raises `UsageError` unless the temperature is positive and finite.
    """
    if not (math.isfinite(temperature) and temperature > 0):
        raise UsageError(f"softmax needs a positive temperature, not {temperature!r}; argmax is its limit at 0")
    found = values(pool, by)
    with np.errstate(over="ignore"):  # a difference beyond all floats weighs nothing
        weights: Weights = np.exp((found - found.max()) / temperature)
    weights /= weights.sum()
    return weights


def oracle(pool: Pool, *, gold: str | None = None) -> Weights:
    """The best candidate by the truth: what selection could reach at most.

    `gold` names the scorer whose value is the truth; by default "correct" if the pool has it, then "math". Raises
    `UsageError` where there is none.
    """
    return argmax(pool, by=gold_of(pool, gold))
