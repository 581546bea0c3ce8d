"""What k of n draws are worth under each way of choosing, prompt by prompt, for every k at once; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from bon.evaluation.curves.sheet import Floats, Ints, Sheet, part_of
from bon.stats import best_at_k, majority_at_k, pass_hat_k, weighted_majority_at_k

__all__ = ["PLAIN", "Estimator", "Worth", "estimators_of", "vote_weights", "worth_of"]

_Of: TypeAlias = Callable[[Sheet, Ints], Floats]
"""A sheet whose rows all have its full width of draws, and k of shape `(K,)`: what it is worth, shape `(m, K)`."""

PLAIN = ("first", "random", "majority", "weighted", "argmax", "oracle")
"""Selectors with a closed form."""


@dataclass(frozen=True, kw_only=True)
class Estimator:
    """One way of choosing."""

    selector: str
    metric: str
    """Named on the grid of `bon.stats`."""
    of: _Of
    scorer: str = ""
    """What it goes by; "" where it goes by none."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Worth:
    """What an estimator makes of a sheet of `m` prompts at each of K sizes."""

    value: Floats
    """Shape `(m, K)`; 0 where a prompt has fewer draws than k."""
    known: npt.NDArray[np.bool_]
    """Shape `(m, K)`: whether the prompt has as many draws."""

    def at(self, column: int) -> Floats:
        """The values at one size, of the prompts that have so many draws."""
        found: Floats = self.value[self.known[:, column], column]
        return found


def estimators_of(sheet: Sheet, selectors: Sequence[str] | None = None) -> list[Estimator]:
    """The ways of choosing that a sheet has something to say to, rows to compare with first.

    `selectors` leaves only those of these names; by default all but pass^k, which is asked for as "all".
    """
    return [
        each for each in _ways(sheet) if (each.selector != "all" if selectors is None else each.selector in selectors)
    ]


def _ways(sheet: Sheet) -> Iterator[Estimator]:
    yield Estimator(selector="first", metric="accuracy", of=_first)
    yield Estimator(selector="random", metric="accuracy", of=_random)
    if sheet.votes:
        yield Estimator(selector="majority", metric="majority_at_k", of=_majority)
    for scorer in sheet.scores:
        yield Estimator(selector="argmax", metric="best_at_k", of=_argmax(scorer), scorer=scorer)
        if sheet.votes:
            yield Estimator(selector="weighted", metric="weighted_majority_at_k", of=_weighted(scorer), scorer=scorer)
    for scorer, selector in sheet.sampled:
        yield Estimator(selector=selector, metric=f"{selector}_at_k", of=_subsampled(scorer, selector), scorer=scorer)
    yield Estimator(
        selector="oracle", metric="pass_at_k" if sheet.binary else "best_at_k", of=_oracle, scorer=sheet.gold
    )
    if sheet.binary:
        yield Estimator(selector="all", metric="pass_hat_k", of=_all, scorer=sheet.gold)


def worth_of(sheet: Sheet, estimator: Estimator, k: Sequence[int]) -> Worth:
    """What the estimator makes of each prompt at each k, from all its draws."""
    sizes = np.asarray(k, dtype=np.int64)
    value = np.zeros((len(sheet.ids), sizes.size))
    known = sheet.drawn[:, None] >= sizes
    for drawn in np.unique(sheet.drawn).tolist():
        rows, columns = np.flatnonzero(sheet.drawn == drawn), np.flatnonzero(sizes <= drawn)
        if columns.size:
            value[np.ix_(rows, columns)] = estimator.of(part_of(sheet, rows, drawn), sizes[columns])
    return Worth(value=value, known=known)


def vote_weights(scores: Floats) -> Floats:
    """Scores as weights of votes, shape `(m, n)`, as `bon.select.weighted` makes them, once a prompt.

    As they are where a prompt has none that is negative; else exp(score - highest). -inf stays: no vote.
    """
    real = np.isfinite(scores)
    lowest = np.where(real, scores, np.inf).min(axis=1, keepdims=True)
    highest = np.where(real, scores, -np.inf).max(axis=1, keepdims=True)
    with np.errstate(over="ignore", invalid="ignore"):
        strengths = np.exp(scores - highest)
    return np.where(real, np.where(lowest < 0, strengths, scores), -np.inf)


def _first(sheet: Sheet, k: Ints) -> Floats:
    return np.repeat(sheet.truth[:, :1], k.size, axis=1)


def _random(sheet: Sheet, k: Ints) -> Floats:
    return np.repeat(sheet.truth.mean(axis=1, keepdims=True), k.size, axis=1)


def _majority(sheet: Sheet, k: Ints) -> Floats:
    return majority_at_k(sheet.answers, sheet.truth, k)


def _oracle(sheet: Sheet, k: Ints) -> Floats:
    return best_at_k(sheet.truth, sheet.truth, k)


def _all(sheet: Sheet, k: Ints) -> Floats:
    return pass_hat_k(sheet.truth.sum(axis=1).astype(np.int64), sheet.width, k)


def _argmax(scorer: str) -> _Of:
    return lambda sheet, k: best_at_k(sheet.scores[scorer], sheet.truth, k)


def _weighted(scorer: str) -> _Of:
    def of(sheet: Sheet, k: Ints) -> Floats:
        weights = vote_weights(sheet.scores[scorer])
        return weighted_majority_at_k(sheet.answers, weights, sheet.truth, k, rng=np.random.default_rng(0)).value

    return of


def _subsampled(scorer: str, selector: str) -> _Of:
    return lambda sheet, k: np.stack([sheet.sampled[scorer, selector][size] for size in k.tolist()], axis=1)
