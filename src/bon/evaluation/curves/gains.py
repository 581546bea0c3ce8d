"""Where the gain of best-of-k comes from and where it is lost, for each way of choosing; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bon.evaluation.curves.estimators import Estimator, Worth
from bon.evaluation.curves.sheet import Sheet, part_of
from bon.stats import split_gain

__all__ = ["GainRow", "gains_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GainRow:
    """Means over prompts, in units of gold: chosen - first = coverage - abstention - selection."""

    pools: str
    group: str
    scorer: str
    selector: str
    k: int
    first: float
    """One draw, chosen by nothing."""
    chosen: float
    coverage: float
    """What the best of the k draws by the truth is above that."""
    abstention: float
    """What is lost of it because draws had no score or no vote."""
    selection: float
    """What is lost because a worse one was chosen than could have been."""


def gains_of(sheet: Sheet, estimator: Estimator, worth: Worth, k: Sequence[int]) -> list[GainRow]:
    """The split of one estimator at each size that any prompt has draws for."""
    able = _able(sheet, estimator)
    rows: list[GainRow] = []
    for column, size in enumerate(k):
        known = np.flatnonzero(worth.known[:, column])
        if not known.size:
            continue
        totals = np.zeros(5)
        for drawn in np.unique(sheet.drawn[known]).tolist():
            there = known[sheet.drawn[known] == drawn]
            part = part_of(sheet, there, drawn)
            gain = split_gain(part.truth, able[there, :drawn], worth.value[there, column], size)
            totals += [
                float(np.sum(each))
                for each in (gain.first, gain.chosen, gain.coverage, gain.abstention, gain.selection)
            ]
        first, chosen, coverage, abstention, selection = (totals / known.size).tolist()
        rows.append(
            GainRow(
                pools=sheet.pools,
                group=sheet.group,
                scorer=estimator.scorer,
                selector=estimator.selector,
                k=size,
                first=first,
                chosen=chosen,
                coverage=coverage,
                abstention=max(0.0, abstention),
                selection=max(0.0, selection),
            )
        )
    return rows


def _able(sheet: Sheet, estimator: Estimator) -> npt.NDArray[np.bool_]:
    """Shape `(m, n)`: which draws the estimator could choose."""
    scored = (
        np.isfinite(sheet.scores[estimator.scorer]) if estimator.scorer in sheet.scores else sheet.truth == sheet.truth
    )
    voting = sheet.answers >= 0
    if estimator.selector == "majority":
        return voting
    return scored & voting if estimator.selector == "weighted" else scored
