"""Ways of choosing at equal cost: what each can buy for the same tokens, money or seconds; pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bon.errors import UsageError
from bon.evaluation.curves.costs import each_draw
from bon.evaluation.curves.estimators import Estimator, worth_of
from bon.evaluation.curves.rows import CurveRow, powers, rows_of
from bon.evaluation.curves.sheet import UNITS, Sheet

__all__ = ["EqualRow", "at_equal_cost"]

_SLACK = 1e-9
"""What a budget may be missed by through rounding, as a share of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EqualRow:
    """What a way of choosing reaches within a budget."""

    budget: float
    """A prompt, in the unit of the comparison."""
    cost: float
    """What its draws and scores take of that: k draws are bought whole."""
    point: CurveRow
    """At the largest k that the budget buys."""


def at_equal_cost(
    sheets: Sequence[Sheet], ways: Sequence[Sequence[Estimator]], *, unit: str = "tokens", seed: int = 0
) -> list[EqualRow]:
    """Every way of every sheet at budgets of 1, 2, 4 ... draws of the dearest one, the scorer's cost included.

    A way is left out of a budget that would buy more draws than there are: what it would reach is not known. Raises
    `UsageError` where a cost is not known, which would make a way seem free.
    """
    priced: list[tuple[Sheet, Estimator, float]] = []
    for sheet, estimators in zip(sheets, ways, strict=True):
        for estimator in estimators:
            cost = each_draw(sheet, estimator, unit)
            if cost is None or cost <= 0:
                raise UsageError(_unknown(sheet, estimator, unit))
            priced.append((sheet, estimator, cost))
    if not priced:
        return []
    dearest = max(cost for *_, cost in priced)
    budgets = [dearest * size for size in powers(max(sheet.width for sheet in sheets))]
    return [row for budget in budgets for each in priced for row in _bought(*each, budget, seed)]


def _unknown(sheet: Sheet, estimator: Estimator, unit: str) -> str:
    """Whose cost is not known, and by what one could compare instead."""
    missing = "prices" if unit == "money" else unit
    others = [other for other in UNITS if (each_draw(sheet, estimator, other) or 0.0) > 0]
    instead = (
        f"compare by another unit ({', '.join(others)})"
        if others
        else "nothing is known of what they took: leave this file out of --equal, or draw anew with bon sample"
    )
    return (
        f"{sheet.pools}{sheet.group and ' ' + sheet.group}: not all of its draws and scores have {missing}, so there "
        f"is no equal cost; {instead}"
    )


def _bought(sheet: Sheet, estimator: Estimator, cost: float, budget: float, seed: int) -> list[EqualRow]:
    k = math.floor(budget / cost * (1 + _SLACK))
    if not 1 <= k <= sheet.width:
        return []
    points = rows_of(sheet, estimator, worth_of(sheet, estimator, [k]), [k], seed=seed)
    return [EqualRow(budget=budget, cost=k * cost, point=point) for point in points]
