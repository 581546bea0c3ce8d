"""Process reward models: how likely each step of a solution is right, and what that makes of the whole."""

from __future__ import annotations

from bon.score.process.aggregate import AGGREGATES, THRESHOLD, aggregate, first_error
from bon.score.process.formats import FORMATS
from bon.score.process.process import Marking, ProcessReward
from bon.score.process.steps import SPLITTERS, Splitter, split, steps_of

__all__ = [
    "AGGREGATES",
    "FORMATS",
    "SPLITTERS",
    "THRESHOLD",
    "Marking",
    "ProcessReward",
    "Splitter",
    "aggregate",
    "first_error",
    "split",
    "steps_of",
]
