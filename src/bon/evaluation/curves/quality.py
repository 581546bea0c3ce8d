"""How well scores follow the truth: ranking within a prompt, ranking over all, honesty of probabilities; pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bon.evaluation.curves.sheet import Floats, Sheet
from bon.stats import auc, auc_within, expected_calibration_error, spearman

__all__ = ["Quality", "quality_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Of one scorer on one sheet; None where there is nothing to tell apart."""

    pools: str
    group: str
    scorer: str
    unscored: int
    """Draws without a score."""
    draws: int
    within: float | None
    """AUC among the draws of one prompt, mean over prompts with both right and wrong ones: what best-of-N lives on."""
    prompts: int
    """How many prompts those are."""
    pooled: float | None
    """AUC over all draws: it flatters a scorer that knows easy prompts from hard ones."""
    spearman: float | None
    """Rank correlation of scores and truth over all draws."""
    calibration: float | None
    """Expected calibration error, where the scores are probabilities and the truth is right or wrong."""


def quality_of(sheet: Sheet, scorer: str) -> Quality:
    """What a sheet says of a scorer."""
    inside = np.arange(sheet.truth.shape[1]) < sheet.drawn[:, None]
    scores, truth = sheet.scores[scorer][inside], sheet.truth[inside]
    real = np.isfinite(scores)
    within, prompts = _within(sheet, scorer) if sheet.binary else (None, 0)
    honest = sheet.binary and real.any() and bool(((scores[real] >= 0) & (scores[real] <= 1)).all())
    return Quality(
        pools=sheet.pools,
        group=sheet.group,
        scorer=scorer,
        unscored=int((~real).sum()),
        draws=int(real.size),
        within=within,
        prompts=prompts,
        pooled=auc(scores, truth) if sheet.binary and truth.size else None,
        spearman=spearman(scores, truth) if truth.size > 1 else None,
        calibration=expected_calibration_error(scores[real], truth[real]) if honest else None,
    )


def _within(sheet: Sheet, scorer: str) -> tuple[float | None, int]:
    """Prompts of each length by themselves, then their mean."""
    total, count = 0.0, 0
    for drawn in np.unique(sheet.drawn).tolist():
        rows = sheet.drawn == drawn
        scores: Floats = sheet.scores[scorer][rows, :drawn]
        mean, prompts = auc_within(scores, sheet.truth[rows, :drawn])
        if mean is not None:
            total, count = total + mean * prompts, count + prompts
    return (total / count if count else None), count
