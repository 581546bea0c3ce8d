"""What scorers of steps see: errors caught and suspected, where the first one is, and how other scorers agree; pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bon.evaluation.curves.sheet import Floats, Sheet
from bon.stats import spearman

__all__ = ["Stepping", "stepping_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stepping:
    """Of one scorer of steps, over the draws whose steps it scored."""

    pools: str
    group: str
    scorer: str
    draws: int
    caught: float | None
    """Of wrong draws, the share in which it sees an error; None without wrong ones, or where the truth is graded."""
    alarmed: float | None
    """Of right draws, the share in which it sees one all the same."""
    first: float | None
    """Where it sees the first error of wrong draws: the mean step, from 1; None where it sees none."""
    through: float | None
    """The same as a share of the way: 0 is before the first step, 1 the last one."""
    agreement: tuple[tuple[str, float | None], ...] = ()
    """Rank correlation of its score with that of each other scorer, such as an outcome reward, over the draws."""


def stepping_of(sheet: Sheet) -> Iterator[Stepping]:
    """What a sheet says of its scorers of steps."""
    inside = np.arange(sheet.truth.shape[1]) < sheet.drawn[:, None]
    for scorer, steps in sheet.steps.items():
        there = inside & (steps.count > 0)
        seen = there & (steps.first >= 0)
        wrong, right = (there & (sheet.truth == value) for value in (0.0, 1.0))
        caught = seen & wrong
        yield Stepping(
            pools=sheet.pools,
            group=sheet.group,
            scorer=scorer,
            draws=int(there.sum()),
            caught=_share(seen, wrong) if sheet.binary else None,
            alarmed=_share(seen, right) if sheet.binary else None,
            first=float((steps.first[caught] + 1).mean()) if caught.any() else None,
            through=float(((steps.first[caught] + 1) / steps.count[caught]).mean()) if caught.any() else None,
            agreement=tuple(
                (other, _correlation(sheet.scores[scorer][there], values[there]))
                for other, values in sheet.scores.items()
                if other != scorer
            ),
        )


def _share(seen: npt.NDArray[np.bool_], of: npt.NDArray[np.bool_]) -> float | None:
    return float(seen[of].mean()) if of.any() else None


def _correlation(left: Floats, right: Floats) -> float | None:
    """Over the draws that both have scored."""
    both = np.isfinite(left) & np.isfinite(right)
    return spearman(left[both], right[both]) if both.sum() > 1 else None
