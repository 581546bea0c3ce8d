"""How sure a mean or a share is: Wilson's interval and the bootstrap; randomness is an argument."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from bon.errors import UsageError

__all__ = ["bootstrap_mean", "wilson"]

_CELLS = 4_000_000  # resampled values held at a time


def wilson(successes: float, trials: int, *, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval (1927) for a share, as (low, high) in [0, 1]; (0, 1) where nothing was tried.

    `successes` may be fractional: expected ones, where ties share. Raises `UsageError` unless
    0 <= successes <= trials and 0 < level < 1.
    """
    _check_level(level)
    if trials < 0 or not 0 <= successes <= trials:
        raise UsageError(f"{successes!r} successes in {trials!r} trials: wanted 0 <= successes <= trials")
    if trials == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + level) / 2)
    share = successes / trials
    centre = share + z * z / (2 * trials)
    spread = z * ((share * (1 - share) + z * z / (4 * trials)) / trials) ** 0.5
    scale = 1 + z * z / trials
    # At either end the interval touches it exactly; rounding would miss it.
    low = 0.0 if successes == 0 else max(0.0, (centre - spread) / scale)
    high = 1.0 if successes == trials else min(1.0, (centre + spread) / scale)
    return low, high


def bootstrap_mean(
    values: Sequence[float] | npt.NDArray[np.float64],
    *,
    level: float = 0.95,
    draws: int = 2_000,
    rng: np.random.Generator,
) -> tuple[float, float]:
    """The percentile bootstrap (Efron 1979) for the mean of `values`, shape `(m,)`, as (low, high).

    `draws` resamples are taken with `rng`. Raises `UsageError` unless the values are finite and at least one.
    """
    _check_level(level)
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or not sample.size or not np.isfinite(sample).all():
        raise UsageError(f"a bootstrap needs finite numbers, at least one, not {sample.size} of shape {sample.shape}")
    if draws < 1:
        raise UsageError(f"a bootstrap needs at least one resample, not {draws!r}")
    at_once = max(1, _CELLS // sample.size)
    means = np.concatenate(
        [
            sample[rng.integers(sample.size, size=(min(at_once, draws - done), sample.size))].mean(axis=1)
            for done in range(0, draws, at_once)
        ]
    )
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise UsageError(f"a level lies between 0 and 1, not {level!r}")
