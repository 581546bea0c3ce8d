"""Self-certainty: how far from a guess the generator was while it wrote, read off the logprobs of its own tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Literal, TypeAlias, get_args

import numpy as np

from bon.errors import UsageError
from bon.types import Logprobs, Pool, Score

__all__ = ["Kind", "SelfCertainty"]

Kind: TypeAlias = Literal["exact", "top", "sampled"]
"""From the best to the one that every generator with logprobs has."""

_KINDS: tuple[Kind, ...] = get_args(Kind)
_REASONS: Mapping[Kind, str] = MappingProxyType(
    {
        "exact": "KL(uniform || p) over the whole vocabulary, mean of the tokens, in nats",
        "top": "KL(uniform || p) over the {k} likeliest tokens, renormalised, mean of the tokens, in nats",
        "sampled": "mean logprob of the sampled tokens, in nats",
    }
)
_LACKING: Mapping[Kind, str] = MappingProxyType(
    {
        "exact": "no exact certainty: it needs all logits, which the transformers backend (hf:) has",
        "top": "no top logprobs, or fewer than 2 a token: request logprobs=true with top_logprobs=20",
        "sampled": "no logprobs: request logprobs=true, with top_logprobs=20 where the endpoint gives them",
    }
)
_FLOOR = -100.0  # nats; endpoints write -9999 or -inf for "practically never"


@dataclass(frozen=True, slots=True)
class SelfCertainty:
    """How sure the generator was: KL(uniform || p), p its next-token distribution, mean of an answer's tokens.

    Kang et al. 2025, "Scalable Best-of-N Selection for Large Language Models via Self-Certainty". Exact where the
    generator has all logits; over the k largest probabilities, renormalised, where it gives those; else the mean
    logprob of the sampled tokens. The reason says which; the scales differ, so one pool is scored with one of them:
    `kind`, or by default the best one that all its candidates with logprobs have (and with the smallest k among them).

    The default therefore needs the pool; with `kind` given it is pointwise and scores candidates as they land (k is
    then the candidate's own). Higher is surer. Without logprobs a candidate has no score.
    """

    kind: Kind | None = None
    name: ClassVar[str] = "selfcertainty"
    instant: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.kind is not None and self.kind not in _KINDS:
            raise UsageError(f"selfcertainty: kind {self.kind!r} is none of {', '.join(_KINDS)}")

    @property
    def pointwise(self) -> bool:
        """Whether a candidate's score depends on that candidate alone."""
        return self.kind is not None

    async def __call__(self, pool: Pool) -> Sequence[Score]:
        logprobs = [candidate.logprobs for candidate in pool.candidates]
        if self.kind is not None:
            return [_score(found, self.kind, _width(found)) for found in logprobs]
        known = [found for found in logprobs if found is not None and found.tokens]
        kind = next((kind for kind in _KINDS if all(_has(found, kind) for found in known)), _KINDS[-1])
        width = min(map(_width, known), default=0)
        return [_score(found, kind, width) for found in logprobs]


def _has(logprobs: Logprobs, kind: Kind) -> bool:
    if kind == "exact":
        return bool(logprobs.certainty)
    return _width(logprobs) >= 2 if kind == "top" else bool(logprobs.tokens)


def _width(logprobs: Logprobs | None) -> int:
    """The k that every token has: some endpoints add the sampled token to the k likeliest where it is not one."""
    return min(map(len, logprobs.top), default=0) if logprobs is not None and logprobs.top is not None else 0


def _score(logprobs: Logprobs | None, kind: Kind, width: int) -> Score:
    if logprobs is None or not logprobs.tokens:
        return Score.missing(_LACKING["sampled"])
    if not _has(logprobs, kind):
        return Score.missing(_LACKING[kind])
    if kind == "exact":
        value = float(np.mean(logprobs.certainty or ()))
    elif kind == "top":
        value = _top(logprobs.top or (), width)
    else:
        value = float(np.maximum(logprobs.tokens, _FLOOR).mean())
    if not np.isfinite(value):
        return Score.missing("logprobs that are no numbers: the generator gave NaN or infinity")
    return Score(value=value, reason=_REASONS[kind].format(k=width))


def _top(rows: Sequence[Sequence[float]], width: int) -> float:
    """Mean of KL(uniform || p) = -log k - mean(log p) over rows, p a row's k=`width` largest renormalised; in nats."""
    largest = np.array([sorted(row, reverse=True)[:width] for row in rows], dtype=np.float64)  # (T, k)
    largest = np.maximum(largest, _FLOOR)
    total = np.logaddexp.reduce(largest, axis=1)
    return float((total - largest.mean(axis=1) - np.log(width)).mean())
