"""Where a reward stands among M reference samples of its prompt: counts, F-hat and win shares, of ranks alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from bon.errors import UsageError
from bon.stats.subsets import Floats, Ints

__all__ = ["ESTIMATORS", "Estimator", "alike", "below_and_upto", "counts", "log_f", "win_share"]

Estimator: TypeAlias = Literal["add_one", "plugin", "jeffreys", "expfit"]
"""How P(r' < r) is estimated from k of M samples below r.

- `add_one`: (k + 1) / (M + 1), what the released code of Amini et al. (2025) runs; never 0.
- `plugin`: k / M, but at least half a sample, 1 / 2M: the logarithm of 0 is no reward.
- `jeffreys`: (k + 1/2) / (M + 1), the mean of the posterior of a share under Jeffreys' prior.
- `expfit`: log F(r) = -a exp(-b r) fitted to the samples, which is smooth and goes beyond them; it reads the rewards
  themselves, so of the four it alone changes where rewards are mapped by an increasing function.
"""

ESTIMATORS: tuple[Estimator, ...] = get_args(Estimator)
_OFFSETS = {"add_one": (1.0, 1.0), "plugin": (0.0, 0.0), "jeffreys": (0.5, 1.0)}


def counts(samples: npt.ArrayLike, r: npt.ArrayLike) -> tuple[Ints, Ints]:
    """How many of the samples lie below r, and how many at or below it: two arrays of the shape of `r`.

    `samples` are the rewards of one prompt's reference samples in increasing order, shape `(M,)`. Raises `UsageError`
    unless M is 1 or more and everything is finite and in order: what has no reward has no rank either.
    """
    known, asked = _checked(samples), np.asarray(r, dtype=np.float64)
    if not np.isfinite(asked).all():
        raise UsageError("a reward to be ranked is not finite; leave out what has no reward")
    return known.searchsorted(asked, "left"), known.searchsorted(asked, "right")


def below_and_upto(samples: npt.ArrayLike, r: npt.ArrayLike, how: Estimator = "add_one") -> tuple[Floats, Floats]:
    """Estimates of P(r' < r) and P(r' <= r) under the reference, each of the shape of `r`, in (0, 1].

    They are equal where no sample has this reward, as for almost every continuous one, and everywhere for `expfit`,
    whose law has no atoms. Arguments and errors as for `counts`; also `UsageError` for an estimator there is not.
    """
    if how == "expfit":
        smooth = np.exp(_exponential(samples, r))
        return smooth, smooth
    if how not in _OFFSETS:
        raise UsageError(f"there is no estimator {how!r} of F; there are {', '.join(ESTIMATORS)}")
    lt, le = counts(samples, r)
    size = np.asarray(samples).shape[0]
    more, of = _OFFSETS[how]
    floor = 0.5 / size if how == "plugin" else 0.0
    return np.maximum((lt + more) / (size + of), floor), np.maximum((le + more) / (size + of), floor)


def log_f(samples: npt.ArrayLike, r: npt.ArrayLike, how: Estimator = "add_one") -> Floats:
    """Log F-hat(r), the logarithm of the estimated P(r' < r), of the shape of `r`: finite and at most 0.

    Amini et al. 2025, "Variational Best-of-N Alignment", section 4, but estimated for each prompt by itself.
    """
    if how == "expfit":  # exp and log would lose what lies far above the samples
        return _exponential(samples, r)
    below, _ = below_and_upto(samples, r, how)
    logs: Floats = np.log(below)
    return logs


def alike(samples: Sequence[npt.ArrayLike]) -> list[list[int]]:
    """The rows of `samples` that are one and the same array, row by row: their rewards can be looked up together."""
    rows: dict[int, list[int]] = {}
    for row, known in enumerate(samples):
        rows.setdefault(id(known), []).append(row)
    return list(rows.values())


def win_share(samples: npt.ArrayLike, r: npt.ArrayLike) -> Floats:
    """The share of the M samples that r beats, those equal to it counted half: the shape of `r`, in [0, 1]."""
    lt, le = counts(samples, r)
    share: Floats = (lt + le) / (2 * np.asarray(samples).shape[0])
    return share


def _exponential(samples: npt.ArrayLike, r: npt.ArrayLike) -> Floats:
    """-a exp(-b r), at most 0, by least squares on Gumbel's probability paper; `add_one` where all samples are equal.

    log F = -a exp(-b r) is Gumbel's law of maxima, whose rewards lie on a line over z = -log(-log F): the line is
    fitted at the plotting positions i / (M + 1), which gives b > 0 whenever two samples differ.
    """
    known, asked = _checked(samples), np.asarray(r, dtype=np.float64)
    if known[0] == known[-1]:
        return log_f(known, asked)
    places = np.arange(1, known.size + 1) / (known.size + 1)
    reduced = -np.log(-np.log(places))
    spread = reduced - reduced.mean()
    slope = float(spread @ (known - known.mean())) / float(spread @ spread)
    standard = reduced.mean() + (asked - known.mean()) / slope
    with np.errstate(over="ignore"):
        fitted: Floats = np.maximum(-np.exp(-standard), -np.finfo(np.float64).max)
    return fitted


def _checked(samples: npt.ArrayLike) -> Floats:
    known = np.asarray(samples, dtype=np.float64)
    if known.ndim != 1 or known.size == 0:
        raise UsageError(f"reference samples have shape (M,) with M at least 1, not {known.shape}")
    if not np.isfinite(known).all():
        raise UsageError("a reference sample's reward is not finite; score all of them, or leave it out")
    if (known[1:] < known[:-1]).any():
        raise UsageError("reference samples are sorted, least reward first: sort them once, not at every step")
    return known
