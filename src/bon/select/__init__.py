"""Selectors: pure functions from a pool to weights, and what is made of weights; no scores are computed here.

The options of a selector are keywords: `functools.partial(argmax, by="heuristic")` is a selector too.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bon.protocols import Selector
from bon.select.common import GOLD, ballots, gold_of, name_of, sampled, samples, scorer_of, values, voters
from bon.select.decide import pick, rank, weigh
from bon.select.plain import first, random
from bon.select.scored import argmax, oracle, softmax
from bon.select.votes import majority, weighted

__all__ = [
    "GOLD",
    "SELECTORS",
    "argmax",
    "ballots",
    "first",
    "gold_of",
    "majority",
    "name_of",
    "oracle",
    "pick",
    "random",
    "rank",
    "sampled",
    "samples",
    "scorer_of",
    "softmax",
    "values",
    "voters",
    "weigh",
    "weighted",
]

SELECTORS: Mapping[str, Selector] = MappingProxyType(
    {
        "argmax": argmax,
        "softmax": softmax,
        "majority": majority,
        "weighted": weighted,
        "random": random,
        "first": first,
        "oracle": oracle,
    }
)
"""By name."""
