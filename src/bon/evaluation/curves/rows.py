"""Curves: the mean over prompts at each k, with its interval; pure, seeded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bon.evaluation.curves.estimators import Estimator, Worth
from bon.evaluation.curves.sheet import Ints, Sheet
from bon.stats import bootstrap_curve, wilson

__all__ = ["CurveRow", "powers", "rows_of"]

_DRAWS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveRow:
    """One point of a curve: what choosing among k draws is worth."""

    pools: str
    group: str
    scorer: str
    selector: str
    metric: str
    k: int
    value: float
    """In units of gold: a share of prompts where gold is right or wrong."""
    low: float | None
    """The ends of the 95 % interval, by bootstrap over prompts; None with a single prompt, which knows of no other."""
    high: float | None
    n: int
    """Prompts that have so many draws."""


def powers(most: int) -> list[int]:
    """1, 2, 4 ... up to the most draws there are, and that."""
    sizes = [1 << power for power in range(max(1, most).bit_length())]
    return sorted({size for size in sizes if size <= most} | {most}) if most else []


def rows_of(sheet: Sheet, estimator: Estimator, worth: Worth, k: Sequence[int], *, seed: int = 0) -> list[CurveRow]:
    """The curve of one estimator; sizes that no prompt has draws for are left out."""
    lows, highs = _intervals(sheet, worth, seed)
    return [
        CurveRow(
            pools=sheet.pools,
            group=sheet.group,
            scorer=estimator.scorer,
            selector=estimator.selector,
            metric=estimator.metric,
            k=size,
            value=float(worth.at(column).mean()),
            low=lows[column],
            high=highs[column],
            n=int(worth.known[:, column].sum()),
        )
        for column, size in enumerate(k)
        if worth.known[:, column].any()
    ]


def _intervals(sheet: Sheet, worth: Worth, seed: int) -> tuple[list[float | None], list[float | None]]:
    """Shape `(K,)` each. Columns with the same prompts are resampled together: curves, not points, are uncertain."""
    count = worth.value.shape[1]
    lows: list[float | None] = [None] * count
    highs: list[float | None] = [None] * count
    for rows, columns in _alike(worth):
        values, clusters = worth.value[np.ix_(rows, columns)], sheet.clusters[rows]
        trials = len(np.unique(clusters))
        if trials < 2:
            continue
        low, high = bootstrap_curve(values, clusters=clusters, draws=_DRAWS, rng=np.random.default_rng(seed))
        for place, column in enumerate(columns.tolist()):
            lows[column], highs[column] = float(low[place]), float(high[place])
            mean = float(values[:, place].mean())
            if sheet.binary and mean in (0.0, 1.0):  # the bootstrap knows no other outcome than it has seen
                lows[column], highs[column] = wilson(mean * trials, trials)
    return lows, highs


def _alike(worth: Worth) -> list[tuple[Ints, Ints]]:
    """Rows and columns of each set of sizes that the same prompts have draws for."""
    found: dict[bytes, list[int]] = {}
    for column in range(worth.known.shape[1]):
        if worth.known[:, column].any():
            found.setdefault(worth.known[:, column].tobytes(), []).append(column)
    return [(np.flatnonzero(worth.known[:, columns[0]]), np.array(columns)) for columns in found.values()]
