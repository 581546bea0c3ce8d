"""What can be said of F-hat, the share of a reference's samples below a reward: curves, tests, bands; numbers alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bon.stats.ranks import log_f

__all__ = ["SIZES", "band", "f_hat_rows", "ks_p", "rejections"]

Floats = npt.NDArray[np.float64]

SIZES = (5, 20, 100, 200, 250)
"""The M of the test of F-hat against all samples."""
_LEVEL = 0.05


def f_hat_rows(samples: Mapping[str, Floats], sizes: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Log F-hat at 60 rewards between the least and the largest of a prompt, from its first M samples for several M."""
    for prompt, values in samples.items():
        grid = np.linspace(values.min(), values.max(), 60)
        for size in sizes:
            logs = log_f(np.sort(values[:size]), grid)
            for reward, value in zip(grid.tolist(), logs.tolist(), strict=True):
                yield {"prompt": prompt, "M": size, "reward": reward, "log_f": value}


def rejections(samples: Sequence[Floats], rng: np.random.Generator, *, controls: int = 4000) -> list[dict[str, float]]:
    """How often a Kolmogorov-Smirnov test at 5 % tells F-hat of M samples from that of all, and what that means.

    The M samples are among those they are compared with, as in Table 1 of Amini et al. (2025), so that few rejections
    say nothing of convergence: `control` is the same share where all samples are drawn from one law, which is all that
    the test's statistic depends on. `independent` compares M samples with others than themselves. `band` is half the
    width of the 95 % band that M samples leave about F.
    """
    whole = min(map(len, samples))
    uniform = [rng.random(whole) for _ in range(controls)]
    return [
        {
            "M": size,
            "rejected": _share([(values[:size], values[:whole]) for values in samples]),
            "control": _share([(values[:size], values) for values in uniform]),
            "independent": _share([(values[:size], values[size:whole]) for values in samples]),
            "prompts": len(samples),
            "all": whole,
            "band": band(size),
        }
        for size in SIZES
        if size < whole
    ]


def band(size: int, level: float = 0.95) -> float:
    """How far off the empirical distribution of so many samples is at the most, with this probability.

    Dvoretzky, Kiefer and Wolfowitz 1956, with the constant of Massart 1990.
    """
    return math.sqrt(math.log(2 / (1 - level)) / (2 * size))


def ks_p(one: Floats, other: Floats) -> float:
    """The p-value of the two-sample Kolmogorov-Smirnov test, by Stephens' (1970) approximation of its law."""
    both = np.sort(np.concatenate([one, other]))
    shares = [np.searchsorted(np.sort(values), both, side="right") / values.size for values in (one, other)]
    size = math.sqrt(one.size * other.size / (one.size + other.size))
    scaled = (size + 0.12 + 0.11 / size) * float(np.abs(shares[0] - shares[1]).max())
    if scaled < 0.2:  # where the series is slow, and the answer is 1
        return 1.0
    terms = [(-1) ** (k - 1) * math.exp(-2 * (k * scaled) ** 2) for k in range(1, 101)]
    return min(1.0, max(0.0, 2 * math.fsum(terms)))


def _share(pairs: Sequence[tuple[Floats, Floats]]) -> float:
    return float(np.mean([ks_p(one, other) < _LEVEL for one, other in pairs]))
