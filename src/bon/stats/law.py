"""The law of best-of-N: how likely it gives a response, from how its reward stands under the reference; pure."""

from __future__ import annotations

from math import lgamma

import numpy as np
import numpy.typing as npt

from bon.errors import UsageError
from bon.stats.subsets import Floats

__all__ = ["log_law", "log_weight", "rho"]


def log_law(log_p: npt.ArrayLike, below: npt.ArrayLike, upto: npt.ArrayLike, n: npt.ArrayLike) -> Floats:
    """The log-probability that best-of-n gives a response, equal rewards decided at random; nats.

    `log_p` is log pi_ref of the response, `below` P(r' < r) and `upto` P(r' <= r) under the reference, `n` is how many
    are drawn (1 or more, whole or not); all broadcast. The best of n i.i.d. draws has this reward with probability
    upto^n - below^n, and is then any of the equal ones in proportion to pi_ref:

        pi_bon = pi_ref (upto^n - below^n) / (upto - below)

    which sums to 1 whether rewards tie or not, and is Eq. 4 of Amini et al. 2025 ("Variational Best-of-N Alignment",
    (F + pi_ref)^n - F^n) where they do not. Raises `UsageError` unless 0 <= below <= upto <= 1, log_p <= 0, n >= 1.
    """
    logs = np.asarray(log_p, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        return np.where(np.isneginf(logs), -np.inf, logs + log_weight(logs, below, upto, n))


def log_weight(log_p: npt.ArrayLike, below: npt.ArrayLike, upto: npt.ArrayLike, n: npt.ArrayLike) -> Floats:
    """Log pi_bon - log pi_ref of a response: log[(upto^n - below^n) / (upto - below)], arguments as for `log_law`.

    A response ties with itself, so upto is taken to be below + pi_ref at the least. That is what makes it exact where
    `below` and `upto` are estimates that hold no sample of this reward: it is then Eq. 4, and n F^(n-1) as soon as
    pi_ref is beneath rounding, as it is for any real text. Nothing underflows: powers are taken in logarithms.
    """
    logs, least, most, draws = _arguments(log_p, below, upto, n)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        log_below = np.log(least)
        # The gap log(upto / below) >= 0, from the masses themselves and not from a difference of two logarithms.
        tied = np.where(most > least, -np.log1p(-(most - least) / most), 0.0)
        itself = np.where(least > 0, np.log1p(np.exp(logs - log_below)), np.where(np.isneginf(logs), 0.0, np.inf))
        gap = np.maximum(tied, itself)
        log_upto = np.maximum(np.log(most), np.logaddexp(log_below, logs))
        series = np.where(gap > 0, np.log(np.expm1(-draws * gap) / np.expm1(-gap)), np.log(draws))
        return np.where(draws == 1, 0.0, (draws - 1) * np.minimum(log_upto, 0.0) + series)


def rho(log_p: npt.ArrayLike, log_f: npt.ArrayLike, n: int) -> Floats:
    """Log pi_bon - log pi_ref by Eq. 4 of Amini et al. 2025, for rewards that do not tie; nats.

    `log_p` (log pi_ref) and `log_f` (log F) broadcast, and so does the result; `n` is a whole number, 1 or more:

        rho = logsumexp_{i=1..n} [log C(n, i) + (n - i) log F + (i - 1) log pi_ref]

    0 at n = 1, and (n - 1) log pi_ref where F = 0. Where rewards tie pi_ref exp(rho) does not sum to 1: `log_weight`
    does that. Raises `UsageError` for an n that is not whole, and for positive logarithms.
    """
    if int(n) != n or n < 1:
        raise UsageError(f"Eq. 4 is a sum over i = 1 to N, with N whole and at least 1, not {n!r}")
    logs, share = np.broadcast_arrays(np.asarray(log_p, dtype=np.float64), np.asarray(log_f, dtype=np.float64))
    if not ((logs <= 0).all() and (share <= 0).all()):
        raise UsageError("log pi_ref and log F are at most 0, and -inf is the least of them")
    i = np.arange(1, int(n) + 1)
    choose = np.array([lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) for k in i.tolist()])
    with np.errstate(invalid="ignore"):
        powers = np.where(i == n, 0.0, (n - i) * share[..., None])  # the last term holds no F, were it 0
        powers = powers + np.where(i == 1, 0.0, (i - 1) * logs[..., None])
        terms: Floats = choose + powers
    top = terms.max(axis=-1, keepdims=True)
    with np.errstate(divide="ignore"):
        summed = np.log(np.exp(terms - np.where(np.isneginf(top), 0.0, top)).sum(axis=-1))
    return np.asarray(summed + top[..., 0])


def _arguments(
    log_p: npt.ArrayLike, below: npt.ArrayLike, upto: npt.ArrayLike, n: npt.ArrayLike
) -> tuple[Floats, Floats, Floats, Floats]:
    """The four arguments as float64, broadcast and within their bounds."""
    given = (np.asarray(each, dtype=np.float64) for each in (log_p, below, upto, n))
    logs, least, most, draws = np.broadcast_arrays(*given)
    if not ((least >= 0) & (least <= most) & (most <= 1)).all():
        raise UsageError("P(r' < r) and P(r' <= r) are probabilities, and the first is at most the second")
    if not (logs <= 0).all():
        raise UsageError("log-probabilities are at most 0, and -inf is the least of them")
    if not ((draws >= 1) & np.isfinite(draws)).all():
        raise UsageError(f"N is at least 1, not {n!r}")
    return logs, least, most, draws
