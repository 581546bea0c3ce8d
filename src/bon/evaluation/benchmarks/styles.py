"""RM-Bench: every right answer against every wrong one, by style; easy, normal and hard; pure.

Liu et al. 2025, "RM-Bench: Benchmarking Reward Models of Language Models with Subtlety and Style": of the matrix with
the right answer's style in the row and the wrong one's in the column, both from plain to fancy, the diagonal is normal,
what is above it hard (the wrong answer is the fancier one), what is below it easy. Domains count alike, and in safety
each item does, whether to refuse or to respond: as in the benchmark's own code.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from bon.evaluation.benchmarks.family import Family
from bon.evaluation.items import UNSCORED, Item, Outcome, Said
from bon.evaluation.measures import Floats, Found, Measure, by_subset, outcomes, share, weighted
from bon.store.convert.styles import STYLES

__all__ = ["RM_BENCH", "matrix"]

_N = len(STYLES)
_ALL = np.ones((_N, _N))
_LEVELS = {
    "easy": np.tril(_ALL, -1),
    "normal": np.eye(_N),
    "hard": np.triu(_ALL, 1),
}


def matrix(said: Said) -> Floats | None:
    """Shape `(3, 3)`: 1 where the right answer of the row's style is above the wrong one of the column's, else 0.

    None where an answer has no value.
    """
    if None in said.values or len(said.values) != 2 * _N:
        return None
    values = np.array(said.values, dtype=np.float64)
    return np.asarray(values[:_N, None] > values[None, _N:], dtype=np.float64)


def nine_pairs(item: Item, said: Said) -> Outcome | None:
    """The share of the nine pairs in which the right answer is above; a tie where a pair is as high."""
    return _among(_ALL, item, said)


def styles(items: Sequence[Item], scorer: str) -> Iterator[Measure]:
    """Accuracy over the nine pairs and at each level by subset and domain; overall the mean of domains, and each pair.

    A domain's items count alike, also where it has several subsets (safety: refuse and response).
    """
    if not outcomes(items, scorer, nine_pairs):
        return
    for metric, mask in {"accuracy": _ALL, **_LEVELS}.items():
        found = outcomes(items, scorer, partial(_among, mask))
        yield from by_subset(found, metric=metric)
        yield from _by_domain(found, metric)
    for metric, mask in {**_LEVELS, "accuracy": _ALL}.items():
        found = outcomes(items, scorer, partial(_among, mask))
        yield weighted(found, _domain, {_domain(item): 1.0 for item, _ in found}, metric=metric)
    for place in range(_N * _N):
        mask = np.zeros((_N, _N))
        mask.flat[place] = 1.0
        metric = f"{STYLES[place // _N]} right over {STYLES[place % _N]} wrong"
        yield share(outcomes(items, scorer, partial(_among, mask)), metric=metric)


def _among(mask: Floats, item: Item, said: Said) -> Outcome | None:
    """The share won of the pairs that the mask chooses, and whether one of them is as high."""
    if len(item.correct) != 2 * _N:
        return None
    won = matrix(said)
    if won is None:
        return UNSCORED
    values = np.array(said.values, dtype=np.float64)
    level = values[:_N, None] == values[None, _N:]
    return Outcome(float((won * mask).sum() / mask.sum()), tie=bool((level * mask).any()))


def _by_domain(found: Found, metric: str) -> Iterator[Measure]:
    """Each domain that is more than one subset."""
    subsets: dict[str, set[str]] = {}
    for item, _ in found:
        subsets.setdefault(_domain(item), set()).add(item.subset)
    for domain, names in subsets.items():
        if len(names) > 1:
            yield share([one for one in found if _domain(one[0]) == domain], subset=domain, metric=metric)


def _domain(item: Item) -> str:
    return str(item.facts.get("domain"))


RM_BENCH = Family(
    summary="easy, normal and hard of the 3 x 3 matrix of styles; overall: the mean of the domains",
    outcome=nine_pairs,
    measures=styles,
)
