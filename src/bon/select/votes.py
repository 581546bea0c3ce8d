"""Selectors that go by votes: each candidate votes for its own answer; truncated and unreadable ones abstain."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from bon.protocols import Weights
from bon.select.common import ballots, values, voters
from bon.types import Pool

__all__ = ["majority", "weighted"]


def majority(pool: Pool) -> Weights:
    """Self-consistency (Wang et al. 2023): the answer given most often, its weight spread evenly over who gave it.

    Answers with equally many votes share equally. Raises `Undecided` when nobody votes.
    """
    found = ballots(pool, voters(pool))
    return _elected(len(pool), found, {answer: len(positions) for answer, positions in found.items()})


def weighted(pool: Pool, *, by: str | None = None) -> Weights:
    """Weighted vote: the answer with the largest sum of scores (Li et al. 2023), spread evenly over who gave it.

    Scores are summed as they are where none is negative, as with probabilities of being right. Where one is, they are
    rewards on a scale without a zero, under which a vote could count against its own answer: exp(score - highest) is
    summed then, each candidate's strength in the model of Bradley and Terry (1952). Candidates without a score do not
    vote. Answers with equal sums share equally. Raises `Undecided` when nobody votes.
    """
    scores = values(pool, by)
    found = ballots(pool, voters(pool) & np.isfinite(scores))
    votes = np.concatenate([scores[positions] for positions in found.values()])
    if votes.min() < 0:
        with np.errstate(over="ignore"):
            scores = np.exp(scores - votes.max())
    # fsum rounds once, so that the order of the candidates cannot break a tie.
    return _elected(len(pool), found, {answer: math.fsum(scores[positions]) for answer, positions in found.items()})


def _elected(n: int, found: Mapping[str, Sequence[int]], totals: Mapping[str, float]) -> Weights:
    """The weights, shape `(n,)`, of those whose answer has the highest total."""
    highest = max(totals.values())
    winners = [positions for answer, positions in found.items() if totals[answer] == highest]
    weights: Weights = np.zeros(n)
    for positions in winners:
        weights[positions] = 1 / (len(winners) * len(positions))
    return weights
