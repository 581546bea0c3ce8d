"""Selectors without a closed form, tried on subsets of a pool: all subsets where there are few, else a sample."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from bon.protocols import Selector
from bon.select import weigh
from bon.types import Pool

__all__ = ["Rule", "subsampled"]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A selector without a closed form."""

    name: str
    make: Callable[[str], Selector]
    """Given the scorer to go by."""
    scored: bool
    """Whether it goes by a scorer."""


_SUBSETS = 100
"""Subsets of one prompt that are tried; over prompts their noise averages out, and the interval holds it."""


def subsampled(
    pool: Pool, rules: Sequence[Rule], truth: Sequence[float], scorers: Sequence[str], sizes: Sequence[int]
) -> dict[tuple[str, str], dict[int, float]]:
    """By scorer ("" for rules that go by none) and rule: k -> the expected truth of what it chooses among k draws.

    `truth` has shape `(n,)`, for the pool's `n` draws. Sizes beyond n are left out. The subsets depend on the prompt's
    id alone, so all rules and scorers see the same ones.
    """
    n = len(pool)
    gold = np.asarray(truth, dtype=np.float64)
    found: dict[tuple[str, str], dict[int, float]] = {}
    for k in sorted({size for size in sizes if size <= n}):
        subsets = [(list(places), _part(pool, places)) for places in _subsets(pool.prompt.id, n, k)]
        for rule in rules:
            for scorer in scorers if rule.scored else ("",):
                selector = rule.make(scorer)
                worth = [float(weigh(part, selector)[0] @ gold[places]) for places, part in subsets]
                found.setdefault((scorer, rule.name), {})[k] = math.fsum(worth) / len(worth)
    return found


def _subsets(seed: str, n: int, k: int) -> Iterator[Sequence[int]]:
    if math.comb(n, k) <= _SUBSETS:
        yield from combinations(range(n), k)
        return
    digest = hashlib.sha256(f"{k} {seed}".encode(errors="surrogatepass")).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "big"))
    for _ in range(_SUBSETS):
        yield np.sort(rng.choice(n, size=k, replace=False)).tolist()


def _part(pool: Pool, places: Sequence[int]) -> Pool:
    return replace(
        pool,
        candidates=tuple(pool.candidates[place] for place in places),
        scores={name: tuple(scores[place] for place in places) for name, scores in pool.scores.items()},
    )
