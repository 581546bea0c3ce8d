"""The numbers behind each chart, one row a mark; pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bon.evaluation.curves import Curves, Sheet, powers
from bon.evaluation.curves.sheet import Floats
from bon.stats import overoptimisation_curve

__all__ = ["cost_rows", "curve_rows", "gain_rows", "histogram", "proxy_rows", "score_rows"]

_BINS = 24
_BOUNDS = ("first", "random", "oracle", "all")
"""Nobody would choose so, or could: rows to compare with."""


def curve_rows(found: Curves, sheets: Sequence[Sheet]) -> list[dict[str, Any]]:
    """What each way of choosing is worth at each k, with the ends of its interval."""
    return [
        {
            "k": row.k,
            "value": row.value,
            "low": row.value if row.low is None else row.low,
            "high": row.value if row.high is None else row.high,
            "chosen by": _name(row.selector, row.scorer, row.pools, row.group, sheets),
        }
        for row in found.rows
        if row.selector != "all"
    ]


def gain_rows(found: Curves, sheets: Sequence[Sheet]) -> list[dict[str, Any]]:
    """One draw, and what came to it and was lost at each k, by each way of choosing."""
    return [
        {
            "k": gain.k,
            "way": _name(gain.selector, gain.scorer, gain.pools, gain.group, sheets),
            "part": part,
            "order": order,
            "value": value,
        }
        for gain in found.gains
        for order, (part, value) in enumerate(
            (
                ("one draw", gain.first),
                ("gained by choosing", max(0.0, gain.chosen - gain.first)),
                ("lost by choosing", gain.selection),
                ("lost without a score", gain.abstention),
            )
        )
    ]


def score_rows(sheets: Sequence[Sheet]) -> list[dict[str, Any]]:
    """How many right and wrong draws have which score, by scorer; of sheets whose truth is right or wrong."""
    return [
        {**each, "scorer": f"{scorer}{_suffix(sheet.pools, sheet.group, sheets)}"}
        for sheet in sheets
        if sheet.binary
        for scorer, values in sheet.scores.items()
        for each in _bins(sheet, values)
    ]


def histogram(values: Floats, right: npt.NDArray[np.bool_]) -> list[dict[str, Any]]:
    """At most 24 bins from the lowest to the highest value; those that hold anything, right and wrong apart."""
    if not values.size:
        return []
    low, high = float(values.min()), float(values.max())
    edges = np.linspace(low, high if high > low else low + 1.0, min(_BINS, max(1, len(np.unique(values)))) + 1)
    return [
        {"from": float(start), "to": float(end), "draws": int(count), "truth": name}
        for name, part in (("right", values[right]), ("wrong", values[~right]))
        for start, end, count in zip(edges[:-1], edges[1:], np.histogram(part, edges)[0], strict=True)
        if count
    ]


def proxy_rows(sheets: Sequence[Sheet]) -> list[dict[str, Any]]:
    """What each scorer thinks of its choice and what that is worth, at each k."""
    return [point for sheet in sheets for point in _parting(sheet, sheets)]


def cost_rows(found: Curves, sheets: Sequence[Sheet]) -> list[dict[str, Any]]:
    """In dollars where all prices are known, else in tokens; nothing where these are not."""
    titles = {"money": "US dollars a prompt", "tokens": "tokens a prompt"}
    ways = [cost for cost in found.costs if cost.selector not in _BOUNDS]
    unit = next((unit for unit in titles if ways and all(getattr(cost, unit) for cost in ways)), None)
    if unit is None:
        return []
    values = {(row.pools, row.group, row.scorer, row.selector, row.k): row.value for row in found.rows}
    return [
        {
            "cost": getattr(cost, unit),
            "k": cost.k,
            "unit": titles[unit],
            "value": values[cost.pools, cost.group, cost.scorer, cost.selector, cost.k],
            "chosen by": _name(cost.selector, cost.scorer, cost.pools, cost.group, sheets),
        }
        for cost in ways
        if (cost.pools, cost.group, cost.scorer, cost.selector, cost.k) in values
    ]


def _parting(sheet: Sheet, sheets: Sequence[Sheet]) -> Iterator[dict[str, Any]]:
    """Proxy and truth at each k, for the prompts with all the draws; scores in standard deviations of this sheet."""
    rows = sheet.drawn == sheet.width
    k = powers(sheet.width)
    if len(k) < 2:
        return
    for scorer, scores in sheet.scores.items():
        known = scores[rows][np.isfinite(scores[rows])]
        spread = float(known.std()) if known.size else 0.0
        if spread <= 0:
            continue
        scaled = np.where(np.isfinite(scores), (scores - known.mean()) / spread, -np.inf)
        curve = overoptimisation_curve(scaled[rows], sheet.truth[rows], k)
        if curve is not None:
            name = f"{scorer}{_suffix(sheet.pools, sheet.group, sheets)}"
            for size, kl, proxy, gold in zip(
                curve.k.tolist(), curve.kl.tolist(), curve.proxy.tolist(), curve.gold.tolist(), strict=True
            ):
                yield {"scorer": name, "k": size, "kl": kl, "proxy": proxy, "gold": gold}


def _bins(sheet: Sheet, scores: Floats) -> list[dict[str, Any]]:
    inside = np.arange(sheet.truth.shape[1]) < sheet.drawn[:, None]
    there = inside & np.isfinite(scores)
    return histogram(scores[there], sheet.truth[there] == 1)


def _name(selector: str, scorer: str, pools: str, group: str, sheets: Sequence[Sheet]) -> str:
    way = f"{selector} by {scorer}" if scorer and selector not in _BOUNDS else selector
    return f"{way}{_suffix(pools, group, sheets)}"


def _suffix(pools: str, group: str, sheets: Sequence[Sheet]) -> str:
    """Whose it is, where there are several."""
    files = len({sheet.pools for sheet in sheets}) > 1
    named = [*([pools] if files else []), *([group] if group else [])]
    return f" ({', '.join(named)})" if named else ""
