"""Benchmarks of reward models and judges: how each counts an item, and how it puts them together."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bon.evaluation.benchmarks.choices import CHOICES, RMB
from bon.evaluation.benchmarks.classes import PANDALM
from bon.evaluation.benchmarks.family import Family
from bon.evaluation.benchmarks.orders import JUDGEBENCH, LLMBAR
from bon.evaluation.benchmarks.processes import PRMBENCH, PROCESSBENCH
from bon.evaluation.benchmarks.rewardbench import REWARDBENCH, REWARDBENCH_2
from bon.evaluation.benchmarks.styles import RM_BENCH

__all__ = ["FAMILIES", "Family", "family_of"]

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "rewardbench": REWARDBENCH,
        "rewardbench-2": REWARDBENCH_2,
        "rm-bench": RM_BENCH,
        "judgebench": JUDGEBENCH,
        "llmbar": LLMBAR,
        "pandalm": PANDALM,
        "rmb": RMB,
        "rmb-bon": RMB,
        "processbench": PROCESSBENCH,
        "mistakes": PROCESSBENCH,
        "stepwise": PROCESSBENCH,
        "prm800k": PROCESSBENCH,
        "math-shepherd": PROCESSBENCH,
        "prmbench": PRMBENCH,
    }
)
"""By the `benchmark` of a pool's metadata."""


def family_of(benchmark: str) -> Family:
    """How to measure on a benchmark; what is none of `FAMILIES` is measured as choices."""
    return FAMILIES.get(benchmark, CHOICES)
