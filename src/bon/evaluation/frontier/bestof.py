"""Best-of-N as samples of the reference show it, and as theory has it: what policies are held against; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bon.errors import UsageError
from bon.stats import best_at_k, kl_best_of_n, kl_bound
from bon.stats.law import log_weight
from bon.stats.ranks import counts
from bon.stats.subsets import Floats, Ints

__all__ = ["BestOfN", "analytic", "best_of_n", "sizes_below"]


@dataclass(frozen=True, kw_only=True, eq=False)
class BestOfN:
    """What best-of-N is worth on each of `P` prompts, at each of `K` sizes."""

    n: Ints
    """Shape `(K,)`, rising."""
    value: Floats
    """Shape `(P, K)`: the mean reward of the best of N."""
    win: Floats
    """Shape `(P, K)`: the chance that it beats one more sample of the reference, ties counted half."""
    kl: Floats
    """Shape `(P, K)`: terms whose mean over prompts is KL(best-of-N || reference), in nats; see `estimated`."""
    estimated: bool
    """Whether `kl` is an estimate from the reference's probabilities; else it is the bound, which lies above, but where
    samples tie."""


def best_of_n(
    scores: Sequence[npt.ArrayLike],
    n: npt.ArrayLike,
    *,
    gold: Sequence[npt.ArrayLike] | None = None,
    log_ref: Sequence[npt.ArrayLike] | None = None,
) -> BestOfN:
    """Measure best-of-N on the reference's own samples, over all subsets of N of them: no sampling.

    `scores` choose: one array a prompt, of shape `(M,)`, M at least 2. `gold` is what is measured, of the same shapes;
    by default the scores themselves. `log_ref` is the log-probability of each sample under the reference as it was
    drawn from, in nats; with it the KL is estimated (Beirami et al. 2024; `bon.stats.kl_best_of_n`) and else bounded.
    Where samples tie neither is asked: best-of-N chooses a reward and then any response that has it, so that its KL is
    that of the law of rewards, and the shares of the samples say what that is.

    The win rate is that of the best of N against a sample that is not among the N, the mean over all such choices:
    where the same scores choose and measure it is N / (N + 1) less what ties take, and no sample is held against
    itself. Raises UsageError for shapes that differ, and for an N of which a prompt has no more than N samples.
    """
    sizes = np.asarray(n)
    chosen = [np.asarray(row, dtype=np.float64) for row in scores]
    truth = chosen if gold is None else [np.asarray(row, dtype=np.float64) for row in gold]
    least = min((row.size for row in chosen), default=0)
    if least < 2 or sizes.ndim != 1 or not sizes.size or sizes.max() >= least:
        raise UsageError(
            f"best-of-N is measured for N below the samples a prompt has, {least} at the least, not for {n!r}: "
            "draw more"
        )
    if any(one.shape != other.shape for one, other in zip(chosen, truth, strict=True)):
        raise UsageError("scores and gold differ in shape: wanted is one of each a sample")
    pairs = list(zip(chosen, truth, strict=True))
    said = [None] * len(chosen) if log_ref is None else log_ref
    kl = np.stack([_kl(*pair, sizes) for pair in zip(chosen, said, strict=True)])
    return BestOfN(
        n=sizes.astype(np.int64),
        value=np.stack([best_at_k(by, worth, sizes) for by, worth in pairs]),
        win=np.stack([_wins(by, worth, sizes) for by, worth in pairs]),
        kl=kl,
        estimated=log_ref is not None,
    )


def analytic(n: npt.ArrayLike) -> tuple[Floats, Floats]:
    """KL and win rate of best-of-N where no two samples tie and none has a probability to speak of, shape of `n`.

    log N - (N - 1) / N and N / (N + 1): a model whose responses are atoms stays below both.
    """
    draws = np.asarray(n, dtype=np.float64)
    return kl_bound(draws), draws / (draws + 1)


def sizes_below(samples: int) -> list[int]:
    """The N that a curve is drawn at, given how many samples a prompt has: 1, 2, 3, 4, 6, 8, 12, 16 ... below that."""
    powers = [2**power for power in range(samples.bit_length())]
    return sorted(size for power in powers for size in {power, 3 * power // 2} if size < samples)


def _wins(scores: Floats, gold: Floats, sizes: npt.NDArray[np.generic]) -> Floats:
    """The chance that the best of N beats a sample that is not among them, shape `(K,)`."""
    others = np.arange(scores.size)[None, :].repeat(scores.size, axis=0)
    others = others[~np.eye(scores.size, dtype=np.bool_)].reshape(scores.size, -1)
    against = np.sign(gold[others] - gold[:, None]) / 2 + 0.5
    return np.asarray(best_at_k(scores[others], against, sizes).mean(axis=0))


def _kl(scores: Floats, log_ref: npt.ArrayLike | None, sizes: npt.NDArray[np.generic]) -> Floats:
    """The expected term of the best of N, shape `(K,)`."""
    below, upto = counts(np.sort(scores), scores)
    found = []
    for size in sizes:
        alone = kl_bound(size) if log_ref is None else kl_best_of_n(log_ref, size)
        level = log_weight(-np.inf, below / scores.size, upto / scores.size, size)
        terms = np.where(upto - below > 1, level, alone)
        found.append(best_at_k(scores, terms, size))
    return np.asarray(found, dtype=np.float64)
