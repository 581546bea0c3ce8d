"""Expected accuracy: what weights are worth where the truth is known, without sampling."""

from __future__ import annotations

from collections.abc import Sequence

from bon.protocols import Weights

__all__ = ["expected_accuracy"]


def expected_accuracy(weights: Weights, correct: Sequence[float | None]) -> float | None:
    """`weights @ correct`: the chance that the candidate picked is right.

    `weights` of shape `(n,)` sum to 1; `correct`, shape `(n,)`, is the truth, 1 or 0 or a share. None where a
    candidate that has weight has no known truth.
    """
    pairs = list(zip(weights.tolist(), correct, strict=True))
    if any(truth is None for weight, truth in pairs if weight > 0):
        return None
    return float(sum(weight * truth for weight, truth in pairs if truth is not None))
