"""From sheets to all there is to say of them: curves, gains, costs, the quality of scores, and what to do; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bon.errors import UsageError
from bon.evaluation.curves.advice import Advice, advice_on, forecast_of
from bon.evaluation.curves.costs import CostRow, costs_of
from bon.evaluation.curves.equal import EqualRow, at_equal_cost
from bon.evaluation.curves.estimators import estimators_of, worth_of
from bon.evaluation.curves.gains import GainRow, gains_of
from bon.evaluation.curves.knee import Knee, knee_of
from bon.evaluation.curves.quality import Quality, quality_of
from bon.evaluation.curves.rows import CurveRow, powers, rows_of
from bon.evaluation.curves.sheet import Sheet
from bon.evaluation.curves.stepping import Stepping, stepping_of
from bon.stats import Forecast

__all__ = ["Curves", "Prediction", "measure"]

_BOUNDS = ("first", "random", "oracle", "all")
"""Rows to compare with: nobody would choose so, or could."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """Coverage to be expected of more draws than there are."""

    pools: str
    group: str
    k: int
    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Curves:
    """What best-of-N bought on the pools that were given."""

    rows: tuple[CurveRow, ...] = ()
    gains: tuple[GainRow, ...] = ()
    costs: tuple[CostRow, ...] = ()
    qualities: tuple[Quality, ...] = ()
    steppings: tuple[Stepping, ...] = ()
    knees: tuple[Knee, ...] = ()
    predictions: tuple[Prediction, ...] = ()
    equal: tuple[EqualRow, ...] = ()
    unit: str | None = None
    """What costs are equal in, where that was asked for."""
    advice: tuple[Advice, ...] = ()
    """On each way of choosing that could be used, those of a sheet in the order of their worth."""
    notes: tuple[str, ...] = ()
    """What was left out, and why."""
    binary: bool = field(default=True)
    """Whether the truth is right or wrong everywhere, so that values are shares of prompts."""

    def row(self, metric: str, k: int, *, scorer: str | None = None, pools: str | None = None) -> CurveRow:
        """The only row of a metric at k, by a scorer, of a file. Raises `UsageError` where there is not one."""
        found = [
            row
            for row in self.rows
            if (row.metric, row.k) == (metric, k) and scorer in (None, row.scorer) and pools in (None, row.pools)
        ]
        if len(found) == 1:
            return found[0]
        there = sorted({(row.pools, row.group, row.metric, row.scorer, row.selector) for row in self.rows})
        raise UsageError(f"{len(found)} rows of {metric!r} at k={k!r} by {scorer!r} of {pools!r}; there are {there}")


def measure(
    sheets: Sequence[Sheet],
    *,
    k: Sequence[int] | None = None,
    selectors: Sequence[str] | None = None,
    equal: str | None = None,
    seed: int = 0,
) -> Curves:
    """Everything about sheets, side by side. `k` defaults to powers of two up to the most draws, and that.

    `selectors` leaves only ways of choosing of these names. `equal` is the unit in which costs are made equal ("cost":
    money where all prices are known, else tokens). The same sheets and seed give the same numbers. Raises `UsageError`
    where there is no prompt to measure, for a k beyond all draws, and as `at_equal_cost` does.
    """
    known = [sheet for sheet in sheets if sheet.ids]
    if not known:
        left = sum(sheet.unknown for sheet in sheets)
        raise UsageError(f"no prompt can be measured: {left} lack the truth of a draw; name its scorer with --gold")
    most = max(sheet.width for sheet in known)
    if k and max(k) > most:
        raise UsageError(f"k is at most the draws of a prompt, and no prompt has {max(k)}: the most are {most}")
    parts = [_one(sheet, sorted(set(k)) if k else powers(sheet.width), selectors, seed) for sheet in known]
    unit = _unit(known) if equal == "cost" else equal
    ways = [[way for way in estimators_of(sheet, selectors) if way.selector not in _BOUNDS] for sheet in known]
    return Curves(
        rows=tuple(row for part in parts for row in part.rows),
        gains=tuple(row for part in parts for row in part.gains),
        costs=tuple(row for part in parts for row in part.costs),
        qualities=tuple(row for part in parts for row in part.qualities),
        steppings=tuple(row for part in parts for row in part.steppings),
        knees=tuple(row for part in parts for row in part.knees),
        predictions=tuple(row for part in parts for row in part.predictions),
        equal=tuple(at_equal_cost(known, ways, unit=unit, seed=seed)) if unit else (),
        unit=unit,
        advice=tuple(row for part in parts for row in part.advice),
        notes=tuple(note for sheet in sheets for note in _notes(sheet)),
        binary=all(sheet.binary for sheet in known),
    )


def _one(sheet: Sheet, k: Sequence[int], selectors: Sequence[str] | None, seed: int) -> Curves:
    """All but comparisons, of one sheet."""
    sizes = [size for size in k if size <= sheet.width]
    forecast = forecast_of(sheet, seed=seed)
    rows: list[CurveRow] = []
    gains: list[GainRow] = []
    costs: list[CostRow] = []
    knees: list[Knee] = []
    advice: list[tuple[float, Advice]] = []
    for estimator in estimators_of(sheet, selectors):
        worth = worth_of(sheet, estimator, sizes)
        curve = rows_of(sheet, estimator, worth, sizes, seed=seed)
        rows += curve
        costs += costs_of(sheet, estimator, sizes)
        if estimator.selector in _BOUNDS:
            continue
        split = gains_of(sheet, estimator, worth, sizes)
        knee = knee_of(sheet, estimator, worth, sizes, seed=seed)
        gains += split
        if knee is not None:
            knees.append(knee)
            advice.append((curve[-1].value, advice_on(split[-1], knee, forecast, curve[-1])))
    return Curves(
        rows=tuple(rows),
        gains=tuple(gains),
        costs=tuple(costs),
        qualities=tuple(quality_of(sheet, scorer) for scorer in sheet.scores),
        steppings=tuple(stepping_of(sheet)),
        knees=tuple(knees),
        predictions=_predictions(sheet, forecast),
        advice=tuple(each for _, each in sorted(advice, key=lambda pair: -pair[0])),
    )


def _unit(sheets: Sequence[Sheet]) -> str:
    every = [costs for sheet in sheets for costs in (sheet.costs, *sheet.scoring.values())]
    return "money" if all("money" in costs.known for costs in every) else "tokens"


def _predictions(sheet: Sheet, found: Forecast | None) -> tuple[Prediction, ...]:
    if found is None or found.value is None or found.low is None or found.high is None:
        return ()
    points = zip(found.k.tolist(), found.value.tolist(), found.low.tolist(), found.high.tolist(), strict=True)
    return tuple(
        Prediction(pools=sheet.pools, group=sheet.group, k=k, value=value, low=low, high=high)
        for k, value, low, high in points
    )


def _notes(sheet: Sheet) -> list[str]:
    """What a reader must know of what was left out."""
    of = f"{sheet.pools}{f' ({sheet.group})' if sheet.group else ''}"
    notes: list[str] = []
    if sheet.unknown:
        notes.append(f"{of}: {sheet.unknown} prompts are left out: the truth of a draw ({sheet.gold}) is not known")
    if sheet.empty:
        notes.append(f"{of}: {sheet.empty} prompts are left out: they have no candidates")
    if sheet.failed:
        notes.append(f"{of}: {sheet.failed} draws failed; they are no draws here")
    if len(set(sheet.drawn.tolist())) > 1:
        fewest, most = int(sheet.drawn.min()), sheet.width
        notes.append(f"{of}: prompts have {fewest} to {most} draws; each k counts those that have as many")
    return notes
