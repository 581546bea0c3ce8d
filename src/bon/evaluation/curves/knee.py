"""How many draws are enough: where a curve is highest, where most of its gain is made, and whether more hurts; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bon.evaluation.curves.estimators import Estimator, Worth
from bon.evaluation.curves.sheet import Floats, Ints, Sheet
from bon.stats import Difference, paired_bootstrap

__all__ = ["Knee", "knee_of"]

_MOST = 0.9
"""Of the gain: what comes after the knee is the last tenth, which takes as many draws again or more."""
_DRAWS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Knee:
    """Of one curve, over the prompts that have all the draws."""

    pools: str
    group: str
    scorer: str
    selector: str
    best: int
    """The smallest k at which the value is highest."""
    knee: int
    """The smallest k with nine tenths of the gain from one draw to the best."""
    last: int
    """The largest k."""
    half: int
    """The largest k of at most half of it."""
    gain: float
    """At the best k, above one draw."""
    lost: Difference | None
    """Value at the last k less that at the best, where they differ; both are picked from the same data, so that a
    small loss says little even where its interval is below 0."""
    doubled: Difference | None
    """Value at the last k less that at `half`: what the last doubling brought, where k are powers of two."""

    @property
    def hurts(self) -> bool:
        """Whether more draws than the best number are surely worse."""
        return self.lost is not None and self.lost.high < 0


def knee_of(sheet: Sheet, estimator: Estimator, worth: Worth, k: Sequence[int], *, seed: int = 0) -> Knee | None:
    """What there is to say of a curve; None where no prompt has draws enough for any k, or the only k is one draw.

    One draw is compared with whether `k` begins there or not: chosen from itself it is worth the mean of the draws.
    """
    rows = np.flatnonzero(worth.known[:, -1]) if k and k[-1] > 1 else np.zeros(0, dtype=np.int64)
    if not rows.size:
        return None
    values, clusters = worth.value[rows], sheet.clusters[rows]
    if k[0] > 1:
        k, values = [1, *k], np.column_stack([_one_draw(sheet, rows), values])
    means = values.mean(axis=0)
    best = int(np.argmax(means))
    gain = float(means[best] - means[0])
    enough = int(np.argmax(means >= means[0] + _MOST * gain))
    half = max(column for column, size in enumerate(k) if 2 * size <= k[-1])

    def difference(left: int, right: int) -> Difference | None:
        if left == right or len(np.unique(clusters)) < 2:
            return None
        rng = np.random.default_rng(seed)
        return paired_bootstrap(values[:, left], values[:, right], clusters=clusters, draws=_DRAWS, rng=rng)

    return Knee(
        pools=sheet.pools,
        group=sheet.group,
        scorer=estimator.scorer,
        selector=estimator.selector,
        best=k[best],
        knee=k[enough],
        last=k[-1],
        half=k[half],
        gain=gain,
        lost=difference(len(k) - 1, best),
        doubled=difference(len(k) - 1, half),
    )


def _one_draw(sheet: Sheet, rows: Ints) -> Floats:
    """Shape `(m,)`: the mean truth of the draws of each of some prompts."""
    inside = np.arange(sheet.truth.shape[1]) < sheet.drawn[rows, None]
    mean: Floats = np.where(inside, sheet.truth[rows], 0.0).sum(axis=1) / sheet.drawn[rows]
    return mean
