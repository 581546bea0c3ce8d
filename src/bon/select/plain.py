"""Selectors that look at nothing: the baselines that every other one has to beat."""

from __future__ import annotations

import numpy as np

from bon.errors import Undecided
from bon.protocols import Weights
from bon.select.common import sampled
from bon.types import Pool

__all__ = ["first", "random"]


def first(pool: Pool) -> Weights:
    """The candidate with the lowest index: one draw, as if there had been no N."""
    _check(pool)
    lowest = min(candidate.index for candidate in pool.candidates)
    return np.array([float(candidate.index == lowest) for candidate in pool.candidates])


@sampled
def random(pool: Pool) -> Weights:
    """Every candidate alike: the mean draw; the pick is drawn from these weights."""
    _check(pool)
    return np.full(len(pool), 1 / len(pool))


def _check(pool: Pool) -> None:
    if not pool.candidates:
        raise Undecided(f"pool {pool.prompt.id!r} has no candidates")
