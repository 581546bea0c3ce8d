"""Two ways of answering the same prompts: is one better? McNemar's exact test and the paired bootstrap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bon.errors import UsageError
from bon.stats.resampling import resampled_means

__all__ = ["Difference", "mcnemar", "paired_bootstrap"]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Mean of left - right over prompts, in their units, its interval, and how surprising it is."""

    mean: float
    low: float
    high: float
    p: float
    """Two-sided: twice the share of resamples on the other side of no difference; never 0."""


def mcnemar(only_left: int, only_right: int) -> float:
    """Two-sided p-value of McNemar's test (1947) in its exact form: the sign test on prompts where they differ.

    `only_left` prompts were right on the left alone, `only_right` on the right alone; prompts on which both agree say
    nothing. Where they never differ it is 1. Raises `UsageError` for negative counts.
    """
    if only_left < 0 or only_right < 0:
        raise UsageError(f"counts are not negative: {only_left!r}, {only_right!r}")
    differ, fewer = only_left + only_right, min(only_left, only_right)
    if 2 * fewer == differ:
        return 1.0
    i = np.arange(1, fewer + 1, dtype=np.float64)
    logs = np.append(0.0, np.cumsum(np.log((differ - i + 1) / i)))  # of C(differ, i)
    return float(min(1.0, 2 * np.exp(logs - differ * np.log(2)).sum()))


def paired_bootstrap(
    left: npt.ArrayLike,
    right: npt.ArrayLike,
    *,
    clusters: npt.ArrayLike | None = None,
    level: float = 0.95,
    draws: int = 2_000,
    rng: np.random.Generator,
) -> Difference:
    """The paired bootstrap (Efron 1979; Koehn 2004) for the mean of left - right, shapes `(m,)`, prompt by prompt.

    `clusters` as in `bootstrap_curve`. p counts one resample more than there were on either side, so it is at least
    2 / (draws + 1); where left and right never differ it is 1. Raises `UsageError` for shapes that differ, and as
    `bootstrap_curve` does.
    """
    if not 0 < level < 1:
        raise UsageError(f"a level lies between 0 and 1, not {level!r}")
    one, other = np.asarray(left, dtype=np.float64), np.asarray(right, dtype=np.float64)
    if one.ndim != 1 or one.shape != other.shape:
        raise UsageError(f"pairs are two arrays of one shape (m,), not {one.shape} and {other.shape}")
    difference = one - other
    means = resampled_means(difference[:, None], clusters=clusters, draws=draws, rng=rng)[:, 0]
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    beyond = 1 + int(min(np.count_nonzero(means <= 0), np.count_nonzero(means >= 0)))
    return Difference(
        mean=float(difference.mean()), low=float(low), high=float(high), p=min(1.0, 2 * beyond / (draws + 1))
    )
