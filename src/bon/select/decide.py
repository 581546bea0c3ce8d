"""From weights to a decision: a selector's weights made safe, the candidate they pick, and the order of a pool."""

from __future__ import annotations

import math
from hashlib import sha256

import numpy as np

from bon.errors import NoCandidates, Undecided, UsageError
from bon.protocols import Selector, Weights
from bon.select.common import name_of, scorer_of
from bon.types import Candidate, Failure, Pool

__all__ = ["pick", "rank", "weigh"]

_SUM_TOLERANCE = 1e-6


def weigh(pool: Pool, selector: Selector) -> tuple[Weights, Failure | None]:
    """A selector's weights, shape `(n,)`; where it had nothing to go on uniform ones, and the failure that this is.

    Raises `NoCandidates` for an empty pool, and `UsageError` if the selector gives anything but weights.
    """
    n = len(pool)
    if not n:
        raise NoCandidates(f"pool {pool.prompt.id!r} has no candidates to select from", pool=pool)
    name = name_of(selector)
    try:
        weights = np.asarray(selector(pool))
    except Undecided as error:
        return np.full(n, 1 / n), Failure.of(error, stage="select", by=name)
    if weights.shape != (n,) or weights.dtype.kind not in "fiub":
        raise UsageError(
            f"selector {name!r} gave {weights.dtype} of shape {weights.shape} for {n} candidates; "
            f"weights are floats of shape ({n},)"
        )
    weights = weights.astype(np.float64)
    if not (np.isfinite(weights).all() and (weights >= 0).all() and abs(weights.sum() - 1) <= _SUM_TOLERANCE):
        raise UsageError(
            f"selector {name!r} gave weights {weights.tolist()}; they must be finite, not negative, and sum to 1"
        )
    return weights, None


def pick(pool: Pool, weights: Weights, *, seed: int, sample: bool = False) -> int:
    """The position in `pool.candidates` of the candidate that weights (shape `(n,)`, summing to 1) decide for.

    That is the heaviest one; of equally heavy ones the one whose hash of (seed, prompt id, text) is highest, so that
    the order of arrival never matters; of equal texts the one with the lowest index. With `sample=True` it is drawn
    in proportion to the weights, and that hash is the only randomness. Raises `UsageError` for an empty pool.
    """
    if not len(pool) or len(weights) != len(pool):
        raise UsageError(f"pool {pool.prompt.id!r}: {len(weights)} weights for {len(pool)} candidates; nothing to pick")
    heaviest = weights.max()
    if not sample:
        likely = np.flatnonzero(weights == heaviest).tolist()
    else:
        text = _drawn_text(pool, weights, seed)
        likely = [i for i, candidate in enumerate(pool.candidates) if candidate.text == text and weights[i] > 0]
    return min(likely, key=lambda i: _order(pool, i, seed)) if len(likely) > 1 else int(likely[0])


def rank(pool: Pool, by: str | None = None, *, seed: int = 0) -> list[int]:
    """Positions in `pool.candidates`, best first by one scorer, those without a score last; ties as `pick` breaks them.

    Raises `UsageError` where the scorer is not named and there is not exactly one.
    """
    if not pool.candidates:
        return []
    values = pool.values(scorer_of(pool, by))

    def place(i: int) -> tuple[bool, float, tuple[int, int]]:
        value = values[i]
        return value is None, 0.0 if value is None else -value, _order(pool, i, seed)

    return sorted(range(len(pool)), key=place)


def _order(pool: Pool, position: int, seed: int) -> tuple[int, int]:
    """Sorts equals: the highest hash first, then the lowest index."""
    candidate: Candidate = pool.candidates[position]
    return -_hash(seed, pool.prompt.id, candidate.text), candidate.index


def _hash(seed: int, prompt_id: str, text: str) -> int:
    """64 bits that depend on nothing but their arguments."""
    key = "\0".join((str(seed), prompt_id, text)).encode(errors="surrogatepass")
    return int.from_bytes(sha256(key).digest()[:8], "big")


def _drawn_text(pool: Pool, weights: Weights, seed: int) -> str:
    """A text drawn in proportion to its weight: the first to finish a race of exponential clocks, one clock a text.

    Clocks of rate w ring first with probability w (the Gumbel-max trick), and unlike a walk along the cumulated
    weights they do not depend on the order of the candidates. Equal texts share a clock: their weights add up.
    """
    shares: dict[str, list[float]] = {}
    for candidate, weight in zip(pool.candidates, weights.tolist(), strict=True):
        if weight > 0:
            shares.setdefault(candidate.text, []).append(weight)

    def ring(text: str) -> float:
        uniform = (_hash(seed, pool.prompt.id, text) + 0.5) / 2**64
        return -math.log(uniform) / math.fsum(shares[text])

    return min(shares, key=ring)
