"""What more draws would buy, in words with figures: raise N, change the scorer, change the model, or stop; pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bon.evaluation.curves.gains import GainRow
from bon.evaluation.curves.knee import Knee
from bon.evaluation.curves.rows import CurveRow
from bon.evaluation.curves.sheet import Sheet
from bon.stats import Forecast, forecast_pass_at_k

__all__ = ["Advice", "advice_on", "forecast_of"]

_WORTH = 0.02
"""Of the range of the truth: a gain of less than two points is nobody's reason to change a run."""
_TIMES = 4
"""How far beyond the draws there are coverage is forecast: what may still be tried, and a law may still hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """On one way of choosing."""

    pools: str
    group: str
    scorer: str
    selector: str
    action: str
    """"raise N", "change the scorer", "change the model" or "stop"."""
    n: int
    """How many draws to use."""
    text: str


def forecast_of(sheet: Sheet, *, seed: int = 0) -> Forecast | None:
    """Coverage at the number of draws there are, twice and four times it; None where the truth is graded."""
    if not sheet.binary or not sheet.ids:
        return None
    inside = np.arange(sheet.truth.shape[1]) < sheet.drawn[:, None]
    right = np.where(inside, sheet.truth, 0.0).sum(axis=1).astype(np.int64)
    k = sheet.width * np.array([1, 2, _TIMES])
    return forecast_pass_at_k(right, sheet.drawn, k, rng=np.random.default_rng(seed))


def advice_on(gain: GainRow, knee: Knee, forecast: Forecast | None, last: CurveRow) -> Advice:
    """What to do about one way of choosing: the largest thing that can still be won decides.

    `gain` and `last` are of that way at the largest k, `forecast` is of coverage, None where the truth is graded.
    """
    action, n, why = _decided(gain, knee, forecast)
    way = f"{knee.selector} by {knee.scorer}" if knee.scorer else knee.selector
    interval = "" if last.low is None or last.high is None else f" [{_number(last.low)}, {_number(last.high)}]"
    bought = (
        f"{last.k} draws chosen by {way} are worth {_number(last.value)}{interval}, one draw {_number(gain.first)}, "
        f"the best of the {last.k} by the truth {_number(gain.first + gain.coverage)}."
    )
    hurt = ""
    if knee.lost is not None and knee.hurts:
        less = f"{_number(-knee.lost.mean)} less [{_number(-knee.lost.high)}, {_number(-knee.lost.low)}]"
        hurt = f" More than {knee.best} hurt: at {knee.last} it is {less}."
    return Advice(
        pools=knee.pools,
        group=knee.group,
        scorer=knee.scorer,
        selector=knee.selector,
        action=action,
        n=n,
        text=f"{bought} {why}{hurt}",
    )


def _decided(gain: GainRow, knee: Knee, forecast: Forecast | None) -> tuple[str, int, str]:
    """What to do, with how many draws, and why."""
    scale = 1.0 if forecast is not None else gain.coverage
    unsolved = 1.0 - gain.first - gain.coverage
    worth, beyond, lost = _WORTH * scale, min(_beyond(forecast), unsolved), gain.abstention + gain.selection
    enough = _enough(knee)
    if lost > max(worth, beyond):
        by = f", {_number(gain.abstention)} of it by draws without a score or a vote" if gain.abstention > 0 else ""
        text = f"Change the scorer: {_number(lost)} is lost where a better draw is there and not chosen{by}; {enough}."
        return "change the scorer", knee.knee, text
    doubled = knee.doubled
    if doubled is not None and doubled.low > 0 and doubled.mean > worth / 2:
        brought = f"{_number(doubled.mean)} [{_number(doubled.low)}, {_number(doubled.high)}]"
        more = f"; {_TIMES * knee.last} draws are forecast to cover {_number(beyond)} more" if beyond > 0 else ""
        step = "the last doubling" if knee.last == 2 * knee.half else f"going from {knee.half} to {knee.last}"
        return "raise N", 2 * knee.last, f"Raise N to {2 * knee.last}: {step} brought {brought}{more}."
    if forecast is not None and unsolved > worth > beyond:
        told = forecast.value is not None
        rest = f"{_TIMES * knee.last} are forecast to solve {_number(beyond)} more" if told else forecast.reason
        text = f"Change the model: errors are systematic. {_number(unsolved)} of the prompts have no right draw; {rest}"
        return "change the model", knee.knee, f"{text}; {enough}."
    return "stop", knee.knee, f"Stop: more draws bring next to nothing; {enough}."


def _enough(knee: Knee) -> str:
    if knee.gain <= 0:
        return "no number of draws is better than one"
    share = "has" if knee.knee == 1 else "of them have"
    return f"{knee.knee} {share} nine tenths of the gain"


def _beyond(forecast: Forecast | None) -> float:
    """What coverage is forecast to gain with four times the draws."""
    if forecast is None or forecast.value is None:
        return 0.0
    return float(forecast.value[-1] - forecast.value[0])


def _number(value: float) -> str:
    return f"{value:.3f}"
