"""What best-of-N bought: from pools to curves at every k, their gains and costs, and what more draws would buy."""

from __future__ import annotations

from bon.evaluation.curves.advice import Advice
from bon.evaluation.curves.costs import CostRow
from bon.evaluation.curves.equal import EqualRow
from bon.evaluation.curves.estimators import PLAIN
from bon.evaluation.curves.gains import GainRow
from bon.evaluation.curves.gathering import Gatherer
from bon.evaluation.curves.knee import Knee
from bon.evaluation.curves.measuring import Curves, Prediction, measure
from bon.evaluation.curves.quality import Quality
from bon.evaluation.curves.rows import CurveRow, powers
from bon.evaluation.curves.sheet import UNITS, Sheet
from bon.evaluation.curves.subsampling import Rule

__all__ = [
    "PLAIN",
    "UNITS",
    "Advice",
    "CostRow",
    "CurveRow",
    "Curves",
    "EqualRow",
    "GainRow",
    "Gatherer",
    "Knee",
    "Prediction",
    "Quality",
    "Rule",
    "Sheet",
    "measure",
    "powers",
]
