"""Which runs lie on the front of gain against distance, and which share of it each method has; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bon.errors import UsageError
from bon.stats.resampling import resampled_means
from bon.stats.subsets import Floats

__all__ = ["Share", "front", "front_shares", "resampled_shares"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Of the points on the front, those of one method."""

    method: str
    value: float
    low: float | None
    high: float | None
    """Ends of the interval, of 95 % where no other level was asked for."""
    runs: int
    """How many runs it has; of each method as many are taken as the one with the fewest has."""
    over: str = ""
    """What is drawn anew for the interval: `prompts`, `runs`, or `prompts and runs`."""
    why: str = ""
    """Why there are no ends, where there are none."""


def front(kl: npt.ArrayLike, value: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Which points no other one dominates, shape `(R,)`: none is as near (KL) and as good, or nearer or better.

    Equal points are on it together. Raises UsageError unless both are finite and of one shape.
    """
    near, good = np.asarray(kl, dtype=np.float64), np.asarray(value, dtype=np.float64)
    if near.ndim != 1 or near.shape != good.shape or not (np.isfinite(near).all() and np.isfinite(good).all()):
        raise UsageError(f"points are two finite arrays of one shape (R,), not {near.shape} and {good.shape}")
    nearer, better = near[None, :] <= near[:, None], good[None, :] >= good[:, None]
    truly = (near[None, :] < near[:, None]) | (good[None, :] > good[:, None])
    return np.asarray(~(nearer & better & truly).any(axis=1))


def front_shares(
    kl: npt.ArrayLike,
    value: npt.ArrayLike,
    methods: Sequence[str],
    *,
    draws: int = 2_000,
    level: float = 0.95,
    rng: np.random.Generator,
) -> list[Share]:
    """The share that each method has of the front, with bootstrap intervals over prompts and runs.

    `kl` and `value` have shape `(R, P)`: what each run has on each prompt; a run is the point of its means. A method
    with more runs would have more of the front for that alone, so as many of each are taken as the smallest method has:
    the share is the mean over such choices, without replacement, and is exact where all have as many. For the interval
    prompts and runs of each method are drawn with replacement; one prompt with one run of a method says nothing of
    others, and there is none. Raises UsageError as `front` does.
    """
    far, good, names = _checked(kl, value, methods)
    each = min(names.count(name) for name in set(names))
    even = all(names.count(name) == each for name in set(names))
    means = np.stack([far.mean(axis=1), good.mean(axis=1)])
    chosen = [_taken(names, each, rng, replace=False) for _ in range(1 if even else draws)]
    exact = np.mean([_shares(means[0][runs], means[1][runs], names, runs) for runs in chosen], axis=0)
    spread = resampled_shares(far, good, names, draws=draws, rng=rng)
    low, high = np.quantile(spread, [(1 - level) / 2, (1 + level) / 2], axis=0).tolist()
    over = _over(far.shape[1], names)
    return [
        Share(
            method=name,
            value=float(exact[place]),
            low=low[place] if over else None,
            high=high[place] if over else None,
            runs=names.count(name),
            over=over,
            why="" if over else "one prompt, and a method of one run",
        )
        for place, name in enumerate(dict.fromkeys(names))
    ]


def resampled_shares(
    kl: npt.ArrayLike, value: npt.ArrayLike, methods: Sequence[str], *, draws: int, rng: np.random.Generator
) -> Floats:
    """Shares of the methods, in the order in which they first appear, in each bootstrap: shape `(draws, methods)`.

    Each row sums to 1. Arguments and errors as for `front_shares`.
    """
    far, good, names = _checked(kl, value, methods)
    each = min(names.count(name) for name in set(names))
    means = resampled_means(np.concatenate([far, good]).T, clusters=None, draws=draws, rng=rng)
    rows = []
    for mean in means:
        runs = _taken(names, each, rng, replace=True)
        rows.append(_shares(mean[: len(names)][runs], mean[len(names) :][runs], names, runs))
    return np.asarray(rows)


def _over(prompts: int, names: list[str]) -> str:
    """What an interval is over: what there are several of."""
    counts = [names.count(name) for name in set(names)]
    known = {"prompts": prompts > 1, "runs": max(counts) > 1 if prompts > 1 else min(counts) > 1}
    return " and ".join(what for what, several in known.items() if several)


def _checked(kl: npt.ArrayLike, value: npt.ArrayLike, methods: Sequence[str]) -> tuple[Floats, Floats, list[str]]:
    far, good, names = np.asarray(kl, dtype=np.float64), np.asarray(value, dtype=np.float64), list(methods)
    if far.ndim != 2 or far.shape != good.shape or len(far) != len(names) or not far.size:
        raise UsageError(
            f"a front needs two arrays of shape (runs, prompts) and a method a run, not {far.shape}, {good.shape} and "
            f"{len(names)} methods"
        )
    return far, good, names


def _taken(names: list[str], each: int, rng: np.random.Generator, *, replace: bool) -> npt.NDArray[np.int64]:
    """As many runs of every method: their places."""
    places = np.asarray(names)
    groups = [np.flatnonzero(places == name) for name in dict.fromkeys(names)]
    return np.concatenate([rng.choice(group, size=each, replace=replace) for group in groups])


def _shares(kl: Floats, value: Floats, names: list[str], runs: npt.NDArray[np.int64]) -> Floats:
    """The share of each method, in their order, among these runs: shape `(methods,)`."""
    on = front(kl, value)
    who = np.asarray(names)[runs][on]
    return np.asarray([(who == name).mean() for name in dict.fromkeys(names)])
