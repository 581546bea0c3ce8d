"""A judge that no policy is trained by: what people would rate a sentence, from its words and pairs of words.

Ridge regression on TF-IDF, of another kind than the reward model and learned from other sentences, so that what games
the one need not please the other. `vbon_evaluator:evaluator` is it as a scorer: it reads a prompt and its answer as one
sentence. Its weights lie where BON_EVALUATOR says.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bon.errors import UsageError
from bon.types import Candidate, Prompt

__all__ = ["Evaluator", "evaluator", "train_evaluator"]

Floats = npt.NDArray[np.float64]

_WORD = re.compile(r"\w+(?:['-]\w+)*")
_PENALTY = 0.3
"""Times the squared weights, beside the sum of squared errors: chosen on sentences that only the reward model learns
from."""
_ROUNDS = 300
_EXACT = 1e-9


class Evaluator:
    """The mean rating that people would give, in [-4, 4] or nearly so."""

    def __init__(self, weights: Mapping[str, float], rarity: Mapping[str, float], mean: float) -> None:
        self.weights, self.rarity, self.mean = weights, rarity, mean

    def __call__(self, text: str) -> float:
        values = _scaled(_counts(text), self.rarity)
        return self.mean + sum(self.weights[gram] * value for gram, value in values.items())

    def save(self, path: Path) -> None:
        text = json.dumps({"weights": self.weights, "rarity": self.rarity, "mean": self.mean})
        path.write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Evaluator:
        return cls(**json.loads(path.read_text(encoding="utf-8")))


def train_evaluator(texts: Sequence[str], ratings: Sequence[float]) -> Evaluator:
    """Fit it to sentences and people's mean ratings; the same data give the same weights."""
    counts = [_counts(text) for text in texts]
    seen = Counter(gram for one in counts for gram in one)
    rarity = {gram: 1 + math.log((1 + len(texts)) / (1 + count)) for gram, count in sorted(seen.items())}
    places = {gram: place for place, gram in enumerate(rarity)}
    scaled = [_scaled(one, rarity) for one in counts]
    rows = np.array([row for row, values in enumerate(scaled) for _ in values])
    columns = np.array([places[gram] for values in scaled for gram in values])
    held = np.array([value for values in scaled for value in values.values()])
    wanted = np.asarray(ratings, dtype=np.float64)
    mean = float(wanted.mean())

    def normal(weights: Floats) -> Floats:
        """The left side of the normal equations."""
        given = np.bincount(rows, weights[columns] * held, minlength=len(texts))
        return np.bincount(columns, given[rows] * held, minlength=len(places)) + _PENALTY * weights

    aim = np.bincount(columns, (wanted - mean)[rows] * held, minlength=len(places))
    weights = _conjugate_gradients(normal, aim)
    return Evaluator(dict(zip(places, weights.tolist(), strict=True)), rarity, mean)


def evaluator(prompt: Prompt, candidate: Candidate) -> float:
    """What people would rate the whole sentence."""
    return _loaded(os.environ.get("BON_EVALUATOR", ""))(f"{prompt.text}{candidate.text}")


@cache
def _loaded(path: str) -> Evaluator:
    if not path:
        raise UsageError("BON_EVALUATOR is not set: it names the file with the weights of vbon_evaluator:evaluator")
    return Evaluator.load(Path(path))


def _conjugate_gradients(left: Callable[[Floats], Floats], aim: Floats) -> Floats:
    """The x with `left(x) = aim`, for a symmetric positive `left` (Hestenes and Stiefel 1952)."""
    found = np.zeros_like(aim)
    rest, way = aim.copy(), aim.copy()
    size = float(rest @ rest)
    for _ in range(_ROUNDS):
        if size <= _EXACT * float(aim @ aim):
            break
        moved = left(way)
        step = size / float(way @ moved)
        found += step * way
        rest -= step * moved
        size, before = float(rest @ rest), size
        way = rest + size / before * way
    return found


def _counts(text: str) -> Counter[str]:
    words = _WORD.findall(text.lower())
    return Counter([*words, *map(" ".join, pairwise(words))])


def _scaled(counts: Mapping[str, int], rarity: Mapping[str, float]) -> dict[str, float]:
    """TF-IDF of what is known, of length 1."""
    values = {gram: count * rarity[gram] for gram, count in counts.items() if gram in rarity}
    length = math.sqrt(sum(value * value for value in values.values())) or 1.0
    return {gram: value / length for gram, value in values.items()}
