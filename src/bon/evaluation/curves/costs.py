"""What k draws and the scores they are chosen by cost, and how long one waits for them; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bon.evaluation.curves.estimators import Estimator
from bon.evaluation.curves.sheet import UNITS, Costs, Floats, Sheet, part_of
from bon.stats import best_at_k

__all__ = ["CostRow", "costs_of", "each_draw"]

_ONE_DRAW = ("first", "random")
"""Selectors that need no more than one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CostRow:
    """Means over prompts of what choosing among k draws takes, the scores it goes by included."""

    pools: str
    group: str
    scorer: str
    selector: str
    k: int
    tokens: float | None
    """None, as below, where it is not known of every draw and score."""
    money: float | None
    """US dollars."""
    seconds: float | None
    """Of drawing and scoring, one after another."""
    latency: float | None
    """Seconds until the slowest of the draws is there and scored, all drawn at once."""


def costs_of(sheet: Sheet, estimator: Estimator, k: Sequence[int]) -> list[CostRow]:
    """What an estimator takes at each size that any prompt has draws for.

    Each of n draws is among k of them with probability k / n, so the mean cost is k times that of a draw. The expected
    slowest of k is exact too: it is best@k with seconds for scores and for truth.
    """
    rows: list[CostRow] = []
    for size in k:
        there = np.flatnonzero(sheet.drawn >= size)
        if not there.size:
            continue
        part = part_of(sheet, there, sheet.width)
        draws = 1 if estimator.selector in _ONE_DRAW else size
        one = {unit: each_draw(part, estimator, unit) for unit in UNITS}
        rows.append(
            CostRow(
                pools=sheet.pools,
                group=sheet.group,
                scorer=estimator.scorer,
                selector=estimator.selector,
                k=size,
                **{unit: None if cost is None else draws * cost for unit, cost in one.items()},
                latency=None if one["seconds"] is None else _slowest(part, estimator, draws),
            )
        )
    return rows


def each_draw(sheet: Sheet, estimator: Estimator, unit: str) -> float | None:
    """The mean over prompts of what a draw and its score take, in "tokens", "money" or "seconds"; None: not known."""
    both = [sheet.costs, *_scoring(sheet, estimator)]
    if not all(unit in costs.known for costs in both):
        return None
    total: Floats = np.sum([getattr(costs, unit) for costs in both], axis=0)
    inside = np.arange(total.shape[1]) < sheet.drawn[:, None]
    return float((np.where(inside, total, 0.0).sum(axis=1) / sheet.drawn).mean())


def _scoring(sheet: Sheet, estimator: Estimator) -> list[Costs]:
    """What scores cost, where the estimator goes by some; the truth is not paid for."""
    return [sheet.scoring[estimator.scorer]] if estimator.scorer in sheet.scoring else []


def _slowest(sheet: Sheet, estimator: Estimator, draws: int) -> float:
    waits = np.sum([costs.seconds for costs in (sheet.costs, *_scoring(sheet, estimator))], axis=0)
    total = 0.0
    for drawn in np.unique(sheet.drawn).tolist():
        rows = sheet.drawn == drawn
        total += float(best_at_k(waits[rows, :drawn], waits[rows, :drawn], draws).sum())
    return total / len(sheet.ids)
