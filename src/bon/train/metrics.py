"""How well rewards tell chosen from rejected, with intervals; pure: numbers in, numbers out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bon.stats import auc, expected_calibration_error, paired_bootstrap, wilson
from bon.stats.resampling import resampled_means

__all__ = ["Figure", "against", "figures_of", "intervals", "measured", "right", "share"]

Floats = npt.NDArray[np.float64]

_DRAWS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A number that was measured, and its 95 % interval where it has one."""

    value: float
    low: float | None = None
    high: float | None = None
    n: int = 0
    """Pairs it is of."""

    def __str__(self) -> str:
        interval = "" if self.low is None or self.high is None else f" [{self.low:.3f}, {self.high:.3f}]"
        return f"{self.value:.3f}{interval}"


def right(chosen: npt.ArrayLike, rejected: npt.ArrayLike) -> Floats:
    """Whether each pair is told apart, shape `(m,)`: 1, 0, and a half where both are equal."""
    difference = np.asarray(chosen, dtype=np.float64) - np.asarray(rejected, dtype=np.float64)
    return np.where(difference == 0, 0.5, (difference > 0).astype(np.float64))


def figures_of(chosen: npt.ArrayLike, rejected: npt.ArrayLike) -> dict[str, float]:
    """Of rewards of shape `(m,)`, m at least 1: the figures that are watched while training.

    `loss` is Bradley and Terry's, without margin and centring, so that it means the same under all settings;
    `accuracy` the share of pairs told apart; `auc` of all chosen against all rejected answers, whichever their prompts;
    `calibration` the expected calibration error of s(|d|) as the probability of being right; `gap` the mean of
    d = chosen - rejected.
    """
    one, other = np.asarray(chosen, dtype=np.float64), np.asarray(rejected, dtype=np.float64)
    d = one - other
    correct = right(one, other)
    separated = auc(np.concatenate([one, other]), np.repeat([1.0, 0.0], d.size))
    promised = expected_calibration_error(1 / (1 + np.exp(-np.minimum(np.abs(d), 700))), correct)
    return {
        "loss": float(np.logaddexp(0, -d).mean()),
        "accuracy": float(correct.mean()),
        "auc": 0.5 if separated is None else separated,
        "calibration": 0.0 if promised is None else promised,
        "gap": float(d.mean()),
    }


def measured(
    chosen: npt.ArrayLike, rejected: npt.ArrayLike, *, groups: Sequence[str], seed: int = 0
) -> dict[str, Figure]:
    """`figures_of` with 95 % intervals, by the bootstrap over groups (prompts); `groups` has shape `(m,)`.

    An accuracy of 0 or 1 has Wilson's interval for as many trials as there are groups.
    """
    one, other = np.asarray(chosen, dtype=np.float64), np.asarray(rejected, dtype=np.float64)
    found = figures_of(one, other)
    ends = intervals(lambda rows: figures_of(one[rows], other[rows]), groups, seed=seed)
    figures = {name: Figure(value=value, n=one.size, **ends.get(name, {})) for name, value in found.items()}
    if found["accuracy"] in (0.0, 1.0):
        count = len(set(groups))
        low, high = wilson(found["accuracy"] * count, count)
        figures["accuracy"] = Figure(value=found["accuracy"], low=low, high=high, n=one.size)
    return figures


def against(left: npt.ArrayLike, right: npt.ArrayLike, *, groups: Sequence[str], seed: int = 0) -> Figure:
    """The mean of left - right over pairs, shapes `(m,)`, with the paired bootstrap over groups."""
    rng = np.random.default_rng(seed)
    found = paired_bootstrap(left, right, clusters=_numbered(groups), rng=rng)
    return Figure(value=found.mean, low=found.low, high=found.high, n=np.size(left))


def share(values: npt.ArrayLike, *, groups: Sequence[str], seed: int = 0) -> Figure:
    """The mean of values in [0, 1], shape `(m,)`, with the bootstrap over groups, or Wilson's where all are alike."""
    table = np.asarray(values, dtype=np.float64)
    clusters = _numbered(groups)
    mean, count = float(table.mean()), int(clusters.max()) + 1
    if mean in (0.0, 1.0):
        low, high = wilson(mean * count, count)
    else:
        rng = np.random.default_rng(seed)
        means = resampled_means(table[:, None], clusters=clusters, draws=_DRAWS, rng=rng)[:, 0]
        low, high = (float(end) for end in np.quantile(means, [0.025, 0.975]))
    return Figure(value=mean, low=low, high=high, n=table.size)


def _numbered(groups: Sequence[str]) -> npt.NDArray[np.int64]:
    return np.unique(np.asarray(groups), return_inverse=True)[1].astype(np.int64)


def intervals(
    figures: Callable[[npt.NDArray[np.int64]], dict[str, float]], groups: Sequence[str], *, seed: int = 0
) -> dict[str, dict[str, float]]:
    """The ends (`low`, `high`) of 95 % intervals of figures that are functions of which rows there are.

    The bootstrap over groups, shape `(m,)`; a figure that a resample does not have is left out of it. Nothing where
    there are fewer than two groups.
    """
    clusters, rng = _numbered(groups), np.random.default_rng(seed)
    order = np.argsort(clusters, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(clusters[order])) + 1)
    if len(parts) < 2:
        return {}
    drawn = [
        figures(np.concatenate([parts[place] for place in rng.integers(len(parts), size=len(parts))]))
        for _ in range(_DRAWS)
    ]
    names = dict.fromkeys(name for one in drawn for name in one)
    ends = {name: np.quantile([one[name] for one in drawn if name in one], [0.025, 0.975]) for name in names}
    return {name: {"low": float(low), "high": float(high)} for name, (low, high) in ends.items()}
