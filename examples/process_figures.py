"""What models are worth at choosing among solutions, and when each sees that something is wrong: figures alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bon.score.process.aggregate import THRESHOLD
from bon.stats import (
    auc,
    auc_within,
    best_at_k,
    bootstrap_curve,
    majority_at_k,
    paired_bootstrap,
    pass_at_k,
    spearman,
)
from bon.types import Pool

__all__ = ["SIZES", "Mean", "Sight", "chosen", "commonest_wrong", "curves", "follows", "gains", "sight"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

SIZES = (8, 32)


@dataclass(frozen=True, kw_only=True)
class Mean:
    """Over problems, with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Sight:
    """When a model says of a step that it is wrong (less than 0.5), of flawed solutions; steps count from 1."""

    flawed: int
    happens: float
    """The mean step of the first error, in the solutions in which it is seen."""
    seen: float | None
    """The mean step, from the error on, that the model first calls wrong; None where it never does."""
    exact: float
    """Share of the flawed solutions in which the first step it calls wrong is the first that is."""
    early: float
    """Share in which it calls a step wrong before any is."""
    missed: float
    """Share in which it calls no step wrong from the error on."""
    alarms: float
    """Share of the flawless solutions in which it calls a step wrong."""


def table(pools: Sequence[Pool], by: str) -> Floats:
    """The values of a scorer, a problem a row; what has none is never chosen."""
    return np.array([[-np.inf if value is None else value for value in pool.values(by)] for pool in pools])


def votes(pools: Sequence[Pool]) -> npt.NDArray[np.int64]:
    return np.array([[int(one.answer or -1) for one in pool.candidates] for pool in pools])


def commonest_wrong(pools: Sequence[Pool]) -> Bools:
    """Of which problems the answer that most draws give is wrong (or shares its place with a wrong one)."""
    return np.asarray(majority_at_k(votes(pools), table(pools, "correct"), len(pools[0])) < 1.0)


def curves(pools: Sequence[Pool], scorers: Sequence[str]) -> dict[str, Floats]:
    """What each rule's choice among k draws is worth, over all subsets of them: a problem a row, a k a column.

    Asserts that no choice among k is right more often than any of the k is.
    """
    gold = table(pools, "correct")
    best = {"random": np.repeat(gold.mean(1, keepdims=True), len(SIZES), axis=1)}
    best["majority"] = majority_at_k(votes(pools), gold, SIZES)
    best |= {scorer: best_at_k(table(pools, scorer), gold, SIZES) for scorer in scorers}
    best["oracle"] = pass_at_k(gold.sum(1).astype(np.int64), gold.shape[1], SIZES)
    for rule, found in best.items():
        assert (found <= best["oracle"] + 1e-9).all(), f"{rule}: best@k is above pass@k"
    return best


def chosen(best: Mapping[str, Floats], among: Bools) -> dict[str, dict[int, Mean]]:
    """The worth of every rule at each k, over some of the problems."""
    found = {}
    for rule, worth in best.items():
        low, high = bootstrap_curve(worth[among], rng=np.random.default_rng(0))
        columns = zip(worth[among].mean(0), low, high, strict=True)
        means = [Mean(value=float(value), low=float(one), high=float(other)) for value, one, other in columns]
        found[rule] = dict(zip(SIZES, means, strict=True))
    return found


def gains(best: Mapping[str, Floats], rule: str, among: Bools) -> dict[str, dict[int, Mean]]:
    """How much more often a rule is right than each other, on the same draws: paired by problem."""
    found: dict[str, dict[int, Mean]] = {}
    for other in best:
        if other != rule:
            found[other] = {}
            for place, k in enumerate(SIZES):
                left, right = best[rule][among, place], best[other][among, place]
                one = paired_bootstrap(left, right, rng=np.random.default_rng(0))
                found[other][k] = Mean(value=one.mean, low=one.low, high=one.high)
    return found


def follows(pools: Sequence[Pool], scorer: str) -> dict[str, float | None]:
    """How a scorer's values follow whether the answer is right; `auc_within`: among the draws of one problem."""
    gold, values = table(pools, "correct"), table(pools, scorer)
    return {
        "spearman": spearman(values.reshape(-1), gold.reshape(-1)),
        "auc": auc(values.reshape(-1), gold.reshape(-1)),
        "auc_within": auc_within(values, gold)[0],
    }


def sight(pools: Sequence[Pool], scorer: str) -> Sight:
    """At which step a scorer first sees an error, beside where it is."""
    said = np.array([score.steps for pool in pools for score in pool.scores[scorer]]) < THRESHOLD
    wrong = np.array([label.steps for pool in pools for label in pool.scores["correct"]]) < THRESHOLD
    flawed = wrong.any(1)
    said, wrong, alarms = said[flawed], wrong[flawed], said[~flawed].any(1)
    first = wrong.argmax(1)
    from_error = said & (np.arange(said.shape[1]) >= first[:, None])
    seen, early = from_error.any(1), (said & ~from_error).any(1)
    return Sight(
        flawed=len(said),
        happens=float(first[seen].mean()) + 1 if seen.any() else float(first.mean()) + 1,
        seen=float(from_error[seen].argmax(1).mean()) + 1 if seen.any() else None,
        exact=float((seen & ~early & (from_error.argmax(1) == first)).mean()),
        early=float(early.mean()),
        missed=float((~seen).mean()),
        alarms=float(alarms.mean()),
    )
