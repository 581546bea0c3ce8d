"""How much a policy lacks to best-of-N at the same distance from the reference; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bon.errors import UsageError
from bon.stats.resampling import resampled_means
from bon.stats.subsets import Floats

__all__ = ["Gap", "gaps", "mean_gap"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Best-of-N's value less a policy's, at the policy's KL; below 0 the policy is the better one."""

    value: float | None
    low: float | None
    high: float | None
    """Ends of the interval, of 95 % where no other level was asked for."""
    runs: int
    """Of how many runs this is the mean."""
    over: str = ""
    """What is drawn anew for the interval: `prompts`, `seeds`, or `prompts and seeds`."""
    why: str = ""
    """Why there is none, or no interval, where there is none."""


def gaps(
    kl: npt.ArrayLike,
    value: npt.ArrayLike,
    *,
    curve_kl: npt.ArrayLike,
    curve_value: npt.ArrayLike,
    draws: int = 2_000,
    level: float = 0.95,
    rng: np.random.Generator,
) -> list[Gap]:
    """The gap of each run, with intervals by the bootstrap over prompts, which both sides share.

    `kl` and `value` have shape `(R, P)`, the curve of best-of-N `(P, K)`, on the same prompts and rising in N. Between
    two N the curve is taken to be straight over the root of the KL, which is how gains begin: a small move of log
    ratios by t moves values by a multiple of t, and the KL by one of t^2. Beyond its last N nothing is known of it, and
    a run that is further away has no gap. Raises UsageError for shapes that do not fit.
    """
    exact, spread = _table(kl, value, curve_kl, curve_value, draws, rng)
    over = "prompts" if np.shape(kl)[1] > 1 else ""
    return [
        _gap(exact[place : place + 1], spread[:, place : place + 1], level, over=over, why="one prompt")
        for place in range(exact.size)
    ]


def mean_gap(
    kl: npt.ArrayLike,
    value: npt.ArrayLike,
    *,
    settings: Sequence[str],
    curve_kl: npt.ArrayLike,
    curve_value: npt.ArrayLike,
    draws: int = 2_000,
    level: float = 0.95,
    rng: np.random.Generator,
) -> Gap:
    """The mean gap of runs of one method that lie within the curve; arguments and errors as for `gaps`.

    `settings` names the setting of each run: runs of one setting differ by their seeds, and are resampled as the
    prompts are. Where a setting has one run nothing is known of its seeds, and it is resampled by prompts alone; where
    there is but one prompt then, there is no interval.
    """
    exact, spread = _table(kl, value, curve_kl, curve_value, draws, rng)
    inside = np.flatnonzero(np.isfinite(exact))
    own = [settings[place] for place in inside.tolist()]
    over = _over(np.shape(kl)[1], own)
    return _gap(exact[inside], _reseeded(spread[:, inside], own, rng), level, over=over, why="one prompt, and one seed")


def _table(
    kl: npt.ArrayLike,
    value: npt.ArrayLike,
    curve_kl: npt.ArrayLike,
    curve_value: npt.ArrayLike,
    draws: int,
    rng: np.random.Generator,
) -> tuple[Floats, Floats]:
    """The gap of each run, `(R,)`, and in each resample, `(draws, R)`; NaN, inside this module, beyond the curve."""
    far, good = np.asarray(kl, dtype=np.float64), np.asarray(value, dtype=np.float64)
    xs, ys = np.asarray(curve_kl, dtype=np.float64), np.asarray(curve_value, dtype=np.float64)
    if far.ndim != 2 or far.shape != good.shape or xs.ndim != 2 or xs.shape != ys.shape or len(xs) != far.shape[1]:
        raise UsageError(
            f"gaps need runs of shape (R, P) twice and a curve of shape (P, K) twice, not {far.shape}, {good.shape}, "
            f"{xs.shape} and {ys.shape}"
        )
    columns = np.concatenate([far.T, good.T, xs, ys], axis=1)
    means = np.concatenate([columns.mean(axis=0)[None], resampled_means(columns, clusters=None, draws=draws, rng=rng)])
    runs, size = len(far), xs.shape[1]
    at = (means[:, :runs], means[:, runs : 2 * runs], means[:, 2 * runs : 2 * runs + size], means[:, 2 * runs + size :])
    found = np.stack([_short(*row) for row in zip(*at, strict=True)])
    return found[0], found[1:]


def _short(kl: Floats, value: Floats, xs: Floats, ys: Floats) -> Floats:
    """The curve at each KL, less the value there; shape `(R,)`."""
    rising, far = (np.sqrt(np.maximum(each, 0.0)) for each in (np.maximum.accumulate(xs), kl))
    return np.asarray(np.interp(far, rising, ys, left=float(ys[0]), right=np.nan) - value)


def _reseeded(spread: Floats, settings: Sequence[str], rng: np.random.Generator) -> Floats:
    """Each resample, of shape `(R,)`, with the runs of every setting drawn again among themselves."""
    found = spread.copy()
    for setting in dict.fromkeys(settings):
        runs = np.flatnonzero([name == setting for name in settings])
        picks = rng.integers(runs.size, size=(len(spread), runs.size))
        found[:, runs] = np.take_along_axis(spread[:, runs], picks, axis=1)
    return found


def _over(prompts: int, settings: Sequence[str]) -> str:
    """What the interval of a method is over: what there are several of."""
    seeds = [settings.count(setting) for setting in set(settings)]
    several = bool(seeds) and (max(seeds) > 1 if prompts > 1 else min(seeds) > 1)
    return " and ".join(what for what, known in (("prompts", prompts > 1), ("seeds", several)) if known)


def _gap(exact: Floats, spread: Floats, level: float, *, over: str, why: str) -> Gap:
    """Of runs within the curve, shapes `(R,)` and `(draws, R)`; resamples that leave it are left out.

    `over` is what was resampled; where that is nothing there is no interval, for the reason `why`.
    """
    if not exact.size or not np.isfinite(exact).all():
        return Gap(
            value=None, low=None, high=None, runs=0, why="further from the reference than the largest N measured"
        )
    if not over:
        return Gap(value=float(exact.mean()), low=None, high=None, runs=exact.size, why=why)
    known = np.isfinite(spread)
    rows = known.any(axis=1)
    means = np.where(known, spread, 0.0)[rows].sum(axis=1) / known[rows].sum(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2]) if means.size else (None, None)
    ends = (None, None) if low is None or high is None else (float(low), float(high))
    return Gap(value=float(exact.mean()), low=ends[0], high=ends[1], runs=exact.size, over=over)
