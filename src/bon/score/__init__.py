"""Scorers: what says how good a candidate is. This room judges; it neither draws nor selects."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bon.protocols import Scorer
from bon.score.certainty import SelfCertainty
from bon.score.combine import cascade, composite, ensemble, fallback, gate, weighted
from bon.score.consensus import agreement
from bon.score.heuristics import heuristic
from bon.score.lift import ScorerLike, as_scorer, failure_of, listwise, pointwise
from bon.score.maths import MathVerifier, math
from bon.score.records import recorded
from bon.types import Prompt

__all__ = [
    "SCORERS",
    "MathVerifier",
    "ScorerLike",
    "SelfCertainty",
    "agreement",
    "as_scorer",
    "cascade",
    "composite",
    "default_scorer",
    "ensemble",
    "failure_of",
    "fallback",
    "gate",
    "heuristic",
    "listwise",
    "math",
    "pointwise",
    "recorded",
    "selfcertainty",
    "weighted",
]

selfcertainty = SelfCertainty()

SCORERS: Mapping[str, Scorer] = MappingProxyType(
    {"heuristic": heuristic, "selfcertainty": selfcertainty, "agreement": agreement, "math": math}
)
"""Those that need no argument, by name."""


def default_scorer(prompt: Prompt) -> Scorer:
    """What scores a prompt when nobody says: `math` where the right answer is known, else `heuristic`."""
    return heuristic if prompt.reference is None else math
