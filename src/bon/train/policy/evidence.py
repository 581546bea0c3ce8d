"""Whether the rewards in pools are those that training will give: some of them, asked for again."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np

from bon.errors import UsageError
from bon.train.policy.online_recipe import Reward
from bon.types import Candidate, Pool

__all__ = ["evenly", "require_rewards"]

T = TypeVar("T")

_REWARDS = 0.02
"""Standard deviations of the samples' rewards that a reward may differ by when it is asked for again: rounding."""


def require_rewards(pools: Sequence[Pool], by: str, reward: Reward, *, few: int = 4) -> str:
    """Ask for the rewards of `few` samples again, ended and cut off ones; a note that says how far they agree.

    Raises UsageError where one differs by more than rounding: the pools were scored by another model, in another
    precision, or by what rollouts do not have.
    """
    values = np.array([value for pool in pools for value in pool.values(by) if value is not None])
    spread = float(values.std()) or 1.0
    chosen = _both_ends(pools, by, few)
    again = reward([(pool.prompt, [_as_rolled(candidate)]) for pool, candidate, _ in chosen])
    worst = 0.0
    for (pool, candidate, was), (now,) in zip(chosen, again, strict=True):
        gap = math.inf if now is None else abs(now - was) / spread
        if gap > _REWARDS:
            cut = "" if candidate.complete else ", which was cut off,"
            raise UsageError(
                f"the scorer gives sample {candidate.index} of {pool.prompt.id!r}{cut} a reward of {now!r} where the "
                f"pools say {was!r}: they were scored by another scorer, in another precision, or by something that "
                "draws in training do not have (an extracted answer, log-probabilities, token ids); score them again "
                "with the one that is trained towards (bon score POOLS --scorer SPEC), or sample them without that"
            )
        worst = max(worst, gap)
    cut_off = sum(not candidate.complete for _, candidate, _ in chosen)
    return (
        f"{len(chosen)} samples were scored again, {cut_off} of them cut off: they differ by {worst:.2g} standard "
        "deviations at the most"
    )


def _both_ends(pools: Sequence[Pool], by: str, count: int) -> list[tuple[Pool, Candidate, float]]:
    """Samples with their rewards: half of `count` ended, half were cut off; where one kind lacks, more of the other."""
    ended, cut = ([*_firsts(pools, by, complete=complete)] for complete in (True, False))
    of_cut = min(len(cut), max(count // 2, count - len(ended)))
    return [*evenly(ended, count - of_cut), *evenly(cut, of_cut)]


def _firsts(pools: Sequence[Pool], by: str, *, complete: bool) -> Iterator[tuple[Pool, Candidate, float]]:
    """The first sample of each pool that has a reward, among those that ended or those that did not."""
    for pool in pools:
        for candidate, value in zip(pool.candidates, pool.values(by), strict=True):
            if value is not None and candidate.complete == complete:
                yield pool, candidate, value
                break


def _as_rolled(candidate: Candidate) -> Candidate:
    """A sample with what a rollout has (`Rollout.candidate`), and with nothing else that a scorer could go by."""
    return Candidate(
        index=candidate.index,
        text=candidate.text,
        reasoning=candidate.reasoning,
        finish_reason=candidate.finish_reason,
        usage=candidate.usage,
    )


def evenly(some: Sequence[T], count: int) -> list[T]:
    """At most `count` of these, which lie evenly over all of them."""
    places = sorted({round(place) for place in np.linspace(0, len(some) - 1, min(count, len(some)))}) if some else []
    return [some[place] for place in places]
