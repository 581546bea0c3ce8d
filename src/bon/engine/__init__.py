"""The engine: the one place where draws and scorers are started, watched and ended. A Plan and a prompt give a Pool."""

from __future__ import annotations

from bon.engine.lacking import NOT_SCORED, lacking
from bon.engine.plan import Plan
from bon.engine.runs import run, run_many, score_pool, score_pools, scoring

__all__ = ["NOT_SCORED", "Plan", "lacking", "run", "run_many", "score_pool", "score_pools", "scoring"]
